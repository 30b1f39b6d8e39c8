//! The configuration, and the file it is in.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Finding;
use super::problems::ENV_FILE_READABLE;
use crate::config::{Config, Needs, RawConfig, VARIABLE_UNKNOWN};

const CHECK: &str = "configuration";
const ENV_FILE: &str = ".env";

/// What was found, and the configuration where it is good for looking on: the credentials may be
/// missing.
pub(super) fn check(raw: &RawConfig) -> (Vec<Finding>, Option<Config>) {
    let mut findings = Vec::new();
    match Config::check(raw, Needs::Telegram) {
        Ok(_) => {
            let set = raw.entries().iter().filter(|entry| entry.is_set()).count();
            findings.push(Finding::ok(CHECK, format!("{set} variables set, the others have their defaults")));
        }
        Err(mistakes) => {
            findings.extend(mistakes.mistakes.iter().map(|mistake| Finding::fail(CHECK, mistake.diagnosis())))
        }
    }
    let odd = |warning: &String| Finding::warn(CHECK, VARIABLE_UNKNOWN.with(warning));
    findings.extend(raw.warnings().iter().map(odd));
    findings.extend(env_file(&raw.env_file()));
    (findings, Config::check(raw, Needs::Nothing).ok())
}

/// None where there is no such file: it is not needed.
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
