//! The configuration, and the rights of its file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Finding;
use crate::config::{Config, ConfigError, Needs, RawConfig};
use crate::runtime::deployment::{self, Home, typed};

const CHECK: &str = "configuration";
const ENV_FILE: &str = ".env";

/// The findings, and the configuration if the other checks can use it, which they can without
/// credentials.
pub(super) fn check(raw: &RawConfig) -> (Vec<Finding>, Option<Config>) {
    let mut findings = Vec::new();
    match Config::check(raw, Needs::Telegram) {
        Ok(_) => {
            let set = raw.entries().iter().filter(|entry| entry.is_set()).count();
            findings.push(Finding::ok(CHECK, format!("{set} variables set, the others have their defaults")));
        }
        Err(found) => findings.extend(found.errors.iter().map(error)),
    }
    let odd = |warning: &String| Finding::warn(CHECK, warning, "correct it, or take it out");
    findings.extend(raw.warnings().iter().map(odd));
    findings.extend(env_file(&raw.env_file()));
    (findings, Config::check(raw, Needs::Nothing).ok())
}

fn error(error: &ConfigError) -> Finding {
    let remedy = match error {
        ConfigError::Missing(variable) => missing(variable.name),
        _ => format!("correct it where it is set; `{}` shows where each value comes from", typed("config")),
    };
    Finding::fail(CHECK, error.to_string(), remedy)
}

fn missing(name: &str) -> String {
    let home = deployment::here();
    match home {
        Home::Compose | Home::Systemd => format!("set {name} in {}", home.configuration()),
        Home::StartSh | Home::Other => format!(
            "set {name} in .env or in the environment; `./start.sh` at a terminal asks for what is missing"
        ),
    }
}

/// `None` if there is no such file: it is optional.
fn env_file(path: &Path) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    let shown = path.display();
    Some(if mode & 0o077 == 0 {
        Finding::ok(ENV_FILE, format!("{shown} is readable by its owner alone"))
    } else {
        Finding::warn(
            ENV_FILE,
            format!(
                "{shown} can be read by other users (mode {mode:03o}); it may hold API_HASH and passwords"
            ),
            format!("chmod 600 {shown}"),
        )
    })
}
