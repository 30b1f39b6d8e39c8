//! What the operator sees of the running daemon.

pub mod logging;
