//! Where a value comes from.

use std::fmt;
use std::path::PathBuf;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    Environment,
    /// The `.env` file with this path.
    EnvFile(PathBuf),
    /// The file with this path, which the variable of this name points to.
    ValueFile(String, PathBuf),
    /// The file with this path, which the first installation wrote (see [`CHOSEN_MODEL`]).
    ///
    /// [`CHOSEN_MODEL`]: super::CHOSEN_MODEL
    Chosen(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment => f.write_str("environment"),
            Self::EnvFile(path) => path.display().fmt(f),
            Self::ValueFile(name, path) => write!(f, "{name}, {}", path.display()),
            Self::Chosen(path) => write!(f, "chosen for this machine, {}", path.display()),
        }
    }
}
