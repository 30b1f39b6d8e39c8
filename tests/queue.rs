//! The queue's promises, held against both backends, and what is particular to each.

#[path = "queue/backend.rs"]
mod backend;
#[path = "queue/conformance.rs"]
mod conformance;
#[path = "queue/embedded.rs"]
mod embedded;
#[path = "queue/model.rs"]
mod model;
#[path = "queue/redis.rs"]
mod redis_backend;
#[path = "support/redis.rs"]
mod redis_server;
