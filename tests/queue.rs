//! The queue's promises, held against both backends, and what is particular to each.

mod backend;
mod conformance;
mod embedded;
mod model;
mod redis;
