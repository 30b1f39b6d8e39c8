//! The configuration, and the rights of its file.

use std::path::Path;

use super::Finding;
use super::problems::ENV_FILE_READABLE;
use crate::cli::Role;
use crate::config::{Config, Needs, RawConfig, VARIABLE_UNKNOWN};
use crate::runtime::private;
use crate::runtime::problem::Diagnosis;

const CHECK: &str = "configuration";
const ENV_FILE: &str = ".env";

/// The findings, and the configuration if the other checks can use it, which they can without
/// credentials.
pub(super) fn check(raw: &RawConfig, role: Role) -> (Vec<Finding>, Option<Config>) {
    let mut findings = Vec::new();
    let needs = match role {
        Role::Run => Needs::Telegram,
        Role::Gateway => Needs::Gateway,
        Role::Worker => Needs::Worker,
    };
    match Config::check(raw, needs) {
        Ok(_) => {
            let set = raw.entries().iter().filter(|entry| entry.is_set()).count();
            findings.push(Finding::ok(CHECK, format!("{set} variables set, the others have their defaults")));
        }
        Err(found) => {
            findings.extend(found.errors.iter().map(|error| Finding::fail(CHECK, error.diagnosis())))
        }
    }
    let odd = |warning: &String| Finding::warn(CHECK, VARIABLE_UNKNOWN.with(warning));
    findings.extend(raw.warnings().iter().map(odd));
    findings.extend(env_file(&raw.env_file()));
    (findings, Config::check(raw, Needs::Nothing).ok())
}

/// `None` if there is no such file: it is optional.
fn env_file(path: &Path) -> Option<Finding> {
    let shown = path.display();
    match private::mode_if_open(path) {
        Some(mode) => Some(Finding::warn(ENV_FILE, readable(path, mode))),
        None if path.exists() => {
            Some(Finding::ok(ENV_FILE, format!("{shown} is readable by its owner alone")))
        }
        None => None,
    }
}

/// The file with the configuration can be read by other users, as its `mode` says.
pub fn readable(path: &Path, mode: u32) -> Diagnosis {
    let shown = path.display();
    let what = format_args!("{shown} can be read by other users (mode {mode:03o})");
    ENV_FILE_READABLE.with(what).fill("path", &shown)
}
