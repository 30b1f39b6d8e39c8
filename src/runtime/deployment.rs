//! Who runs this process, so that what a person is told to type works where they type it.
//!
//! `docker-compose.yml`, the systemd unit and `start.sh` each say it in an environment variable. It
//! is not a setting: nothing depends on it but the words of messages.

use std::env;
use std::sync::LazyLock;

/// The environment variable.
pub const VARIABLE: &str = "STENOGRAM_RUN_BY";

/// Who runs the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// docker-compose.yml, as the service `userbot`.
    Compose,
    /// stenogram.service, or `stenogramctl`.
    Systemd,
    /// start.sh, in the folder of the project.
    StartSh,
    /// Somebody else, such as a person at a shell.
    Other,
}

static HERE: LazyLock<Home> = LazyLock::new(|| Home::named(&env::var(VARIABLE).unwrap_or_default()));

/// Who runs this process.
pub fn here() -> Home {
    *HERE
}

/// `stenogram ARGUMENTS` as it is typed here, as in `sudo stenogramctl login`.
pub fn typed(arguments: &str) -> String {
    here().typed(arguments)
}

/// A text for all homes as it reads in this one: `` `stenogram COMMAND` `` becomes the command as
/// it is typed here, `<configuration>` the file of the configuration, and `<start>` what starts the
/// daemon.
pub fn localised(text: &str) -> String {
    here().localised(text)
}

impl Home {
    fn named(name: &str) -> Self {
        match name {
            "docker-compose" => Self::Compose,
            "systemd" => Self::Systemd,
            "start.sh" => Self::StartSh,
            _ => Self::Other,
        }
    }

    /// `stenogram ARGUMENTS` as it is typed there.
    pub fn typed(self, arguments: &str) -> String {
        format!("{} {arguments}", self.program())
    }

    fn localised(self, text: &str) -> String {
        text.replace("`stenogram ", &format!("`{} ", self.program()))
            .replace("<configuration>", self.configuration())
            .replace("<start>", self.start())
    }

    fn program(self) -> &'static str {
        match self {
            // Not `exec`: it works without a daemon too.
            Self::Compose => "docker-compose run --rm userbot",
            Self::Systemd => "sudo stenogramctl",
            Self::StartSh => "./start.sh",
            Self::Other => "stenogram",
        }
    }

    /// The file of the configuration, as the owner knows it.
    pub fn configuration(self) -> &'static str {
        match self {
            Self::Systemd => "/etc/stenogram/stenogram.env",
            Self::Compose | Self::StartSh | Self::Other => ".env",
        }
    }

    /// What starts the daemon.
    pub fn start(self) -> &'static str {
        match self {
            Self::Compose => "`docker-compose up -d`",
            Self::Systemd => "`sudo systemctl start stenogram`",
            Self::StartSh => "`./start.sh`",
            Self::Other => "`./start.sh`, `docker-compose up -d` or `systemctl start stenogram`",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_home_has_its_own_way_to_be_spoken_to() {
        for (name, login) in [
            ("docker-compose", "docker-compose run --rm userbot login"),
            ("systemd", "sudo stenogramctl login"),
            ("start.sh", "./start.sh login"),
            ("", "stenogram login"),
            ("Systemd", "stenogram login"),
        ] {
            assert_eq!(Home::named(name).typed("login"), login, "{name:?}");
            assert_eq!(Home::named(name).localised("run `stenogram login`"), format!("run `{login}`"));
        }
    }

    #[test]
    fn files_are_called_as_their_owner_knows_them() {
        let text = "set it in <configuration>, then <start>";
        let there = "set it in /etc/stenogram/stenogram.env, then `sudo systemctl start stenogram`";
        assert_eq!(Home::Systemd.localised(text), there);
    }
}
