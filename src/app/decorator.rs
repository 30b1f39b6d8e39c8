//! Lets tests/chaos intercept the calls between the worker and the adapters. It ends the process
//! right before or after a call, and stands in for the model.

use std::sync::Arc;

use crate::jobs::ports::{Messenger, Transcriber};
use crate::queue::Queue;

/// Wraps the parts that the daemon works with. Health and metrics observe the wrapped parts.
pub trait Decorator {
    fn queue(&self, queue: Arc<dyn Queue>) -> Arc<dyn Queue> {
        queue
    }

    fn messenger(&self, messenger: Arc<dyn Messenger>) -> Arc<dyn Messenger> {
        messenger
    }

    fn transcriber(&self, transcriber: Arc<dyn Transcriber>) -> Arc<dyn Transcriber> {
        transcriber
    }
}

/// Wraps nothing. The released program uses this.
pub struct Undecorated;

impl Decorator for Undecorated {}
