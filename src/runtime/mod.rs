//! What a long-running process needs and that has nothing to do with voice messages.

pub mod allocator;
pub mod deployment;
pub mod ending;
pub mod problem;
pub mod pulse;
pub mod redb_file;
