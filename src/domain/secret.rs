//! Text that is never shown, and the credentials that hold one.

use std::fmt;

/// A password, a key, a URL that holds one. Prints as `(hidden)`, whatever the format.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// What identifies the owner's application to Telegram, from <https://my.telegram.org>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub api_id: i32,
    pub api_hash: Secret,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_format_shows_it() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "(hidden) (hidden) (hidden)");
        assert_eq!(secret.expose(), "hunter2");
    }
}
