//! The queue's promises, held against both backends, and what is particular to each.

pub mod backend;
mod conformance;
mod embedded;
mod model;
mod old_formats;
mod redis;
pub mod redis_sentinel;
mod redis_tls;
