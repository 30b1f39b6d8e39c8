//! Programs in Python that others wrote, from PyPI.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The Python of a virtual environment below `folder` that has these packages, such as
/// `telethon==1.45.0`. It is made once and then stays. The error says why it cannot be had.
pub fn with_packages(folder: &str, packages: &[&str]) -> Result<PathBuf, String> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let environment = Path::new(folder).join(format!("python-{}", packages.join("-")));
    let (python, is_whole) = (environment.join("bin/python"), environment.join("is-whole"));
    if !is_whole.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--retries", "1"])
            .args(packages))?;
        std::fs::write(is_whole, "").map_err(|error| error.to_string())?;
    }
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}
