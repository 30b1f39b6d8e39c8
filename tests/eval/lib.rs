//! How well recordings are recognised: see README.md.

pub mod ears;
pub mod folder;
pub mod made;
pub mod table;
pub mod trials;
