//! Who runs this process, so that what a person is told to type works where they type it.
//!
//! `docker-compose.yml`, the systemd unit and `start.sh` each say it in an environment variable. It
//! is not a setting: nothing depends on it but the words of messages.

use std::env;
use std::sync::LazyLock;

/// The environment variable.
pub const VARIABLE: &str = "STENOGRAM_RUN_BY";

/// Who runs the process. A name is the service's, as whoever runs it knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// A compose file, as this service of it; `userbot` in docker-compose.yml.
    Compose(&'static str),
    /// A unit of systemd, or `stenogramctl`: `stenogram`, `stenogram-worker`, `stenogram@ACCOUNT`.
    Systemd(&'static str),
    /// start.sh, in the folder of the project.
    StartSh,
    /// Somebody else, such as a person at a shell.
    Other,
}

static VALUE: LazyLock<String> = LazyLock::new(|| env::var(VARIABLE).unwrap_or_default());

/// Who runs this process.
pub fn here() -> Home {
    Home::named(&VALUE)
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
    /// The home of this name, which the service's name may follow, as in `systemd stenogram@anna`.
    fn named(value: &'static str) -> Self {
        match value.split_once(' ').unwrap_or((value, "")) {
            ("docker-compose", "") => Self::Compose("userbot"),
            ("docker-compose", service) => Self::Compose(service),
            ("systemd", "") => Self::Systemd("stenogram"),
            ("systemd", unit) => Self::Systemd(unit),
            ("start.sh", _) => Self::StartSh,
            _ => Self::Other,
        }
    }

    /// `stenogram ARGUMENTS` as it is typed there.
    pub fn typed(self, arguments: &str) -> String {
        format!("{} {arguments}", self.program())
    }

    fn localised(self, text: &str) -> String {
        text.replace("`stenogram ", &format!("`{} ", self.program()))
            .replace("<configuration>", &self.configuration())
            .replace("<start>", &self.start())
    }

    fn program(self) -> String {
        match self {
            // Not `exec`: it works without a daemon too.
            Self::Compose(service) => format!("docker-compose run --rm {service}"),
            Self::Systemd("stenogram-worker") => "sudo stenogramctl --worker".to_owned(),
            Self::Systemd(unit) => match unit.strip_prefix("stenogram@") {
                Some(account) => format!("sudo stenogramctl --account {account}"),
                None => "sudo stenogramctl".to_owned(),
            },
            Self::StartSh => "./start.sh".to_owned(),
            Self::Other => "stenogram".to_owned(),
        }
    }

    /// The file of the configuration, as the owner knows it.
    pub fn configuration(self) -> String {
        match self {
            Self::Systemd("stenogram-worker") => "/etc/stenogram/worker.env".to_owned(),
            Self::Systemd(unit) => match unit.strip_prefix("stenogram@") {
                Some(account) => format!("/etc/stenogram/accounts/{account}.env"),
                None => "/etc/stenogram/stenogram.env".to_owned(),
            },
            Self::Compose(_) | Self::StartSh | Self::Other => ".env".to_owned(),
        }
    }

    /// What starts the daemon.
    pub fn start(self) -> String {
        match self {
            Self::Compose(_) => "`docker-compose up -d`".to_owned(),
            Self::Systemd(unit) => format!("`sudo systemctl start {unit}`"),
            Self::StartSh => "`./start.sh`".to_owned(),
            Self::Other => "`./start.sh`, `docker-compose up -d` or `systemctl start stenogram`".to_owned(),
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
            ("docker-compose account1", "docker-compose run --rm account1 login"),
            ("systemd", "sudo stenogramctl login"),
            ("systemd stenogram@anna", "sudo stenogramctl --account anna login"),
            ("systemd stenogram-worker", "sudo stenogramctl --worker login"),
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
        for (unit, file) in [
            ("stenogram", "stenogram.env"),
            ("stenogram@anna", "accounts/anna.env"),
            ("stenogram-worker", "worker.env"),
        ] {
            let there = format!("set it in /etc/stenogram/{file}, then `sudo systemctl start {unit}`");
            assert_eq!(Home::Systemd(unit).localised(text), there);
        }
    }
}
