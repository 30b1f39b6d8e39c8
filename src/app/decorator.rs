//! Lets tests/chaos put itself between the worker and the adapters, to end the process right before
//! or after a call, and to answer in place of the model.

use std::sync::Arc;

use crate::jobs::ports::{Messenger, Transcriber};
use crate::queue::Queue;

/// Wraps what the daemon works with. Health and metrics observe the wrapped parts.
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

/// Wraps nothing; the released program uses this.
pub struct Undecorated;

impl Decorator for Undecorated {}
