//! Where tests/chaos gets between the worker and the adapters: nowhere else can it tell exactly
//! before or after which call the process dies.

use std::sync::Arc;

use crate::pipeline::Stages;
use crate::queue::Queue;

/// Wraps what the daemon works with, inside of what observes it for health and metrics.
pub trait Decorator {
    fn queue(&self, queue: Arc<dyn Queue>) -> Arc<dyn Queue> {
        queue
    }

    fn stages(&self, stages: Arc<dyn Stages>) -> Arc<dyn Stages> {
        stages
    }
}

/// Leaves everything as it is: the released program's.
pub struct Undecorated;

impl Decorator for Undecorated {}
