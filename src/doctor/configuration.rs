//! The configuration, and the rights of its file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Finding;
use super::problems::ENV_FILE_READABLE;
use crate::config::{Config, Needs, RawConfig, VARIABLE_UNKNOWN};

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
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    let shown = path.display();
    Some(if mode & 0o077 == 0 {
        Finding::ok(ENV_FILE, format!("{shown} is readable by its owner alone"))
    } else {
        let what = format_args!("{shown} can be read by other users (mode {mode:03o})");
        Finding::warn(ENV_FILE, ENV_FILE_READABLE.with(what).fill("path", &shown))
    })
}
