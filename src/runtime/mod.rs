//! What a long-running process needs and that has nothing to do with voice messages.

pub mod redb_file;
