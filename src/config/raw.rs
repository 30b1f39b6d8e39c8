//! The first stage: what the environment and the `.env` file said, and where.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::misspelt::misspelt;
use super::mistake::Mistake;
use super::variables::{VARIABLES, Variable};

/// Longest value that a `NAME_FILE` may hold, in bytes. None of ours comes near; /dev/zero does.
const VALUE_FILE_LIMIT: u64 = 64 << 10;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    Environment,
    /// The `.env` file of this path.
    EnvFile(PathBuf),
    /// The file of this path, which the variable of this name names.
    ValueFile(String, PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment => f.write_str("environment"),
            Self::EnvFile(path) => path.display().fmt(f),
            Self::ValueFile(name, path) => write!(f, "{name}, {}", path.display()),
        }
    }
}

/// A variable, and what was said about it. No `Debug`: it may hold a secret.
pub struct Entry {
    pub variable: &'static Variable,
    /// What is in force, defaults included; none where nothing is.
    value: Option<String>,
    pub origin: Origin,
}

impl Entry {
    /// The value fit for other eyes.
    pub fn shown(&self) -> Option<String> {
        self.value.as_deref().map(|value| self.variable.shown(value))
    }

    /// Somebody said something about it, be it of use or not.
    pub fn is_set(&self) -> bool {
        self.origin != Origin::Default
    }

    /// The value; none where nobody gave one, or where it could not be read, which is a
    /// [`Mistake`] noted already.
    pub(super) fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }
}

/// What was said about every variable of the table, none of it checked yet.
pub struct RawConfig {
    entries: Vec<Entry>,
    mistakes: Vec<Mistake>,
    warnings: Vec<String>,
}

impl RawConfig {
    /// Reads the environment of the process, and `.env` of the working directory or ENV_FILE. The
    /// environment wins. It is not changed.
    pub fn load() -> Self {
        Self::from_environment(|name| std::env::var_os(name))
    }

    /// The same for any environment: `lookup` gives the value of a name.
    pub fn from_environment(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let mut raw = Self { entries: Vec::new(), mistakes: Vec::new(), warnings: Vec::new() };
        let lookup = |name: &str| lookup(name).filter(|value| !is_for_gettext(name, value));
        let env_file = raw.read_env_file(&lookup);
        let layers = [
            Layer { origin: Origin::Environment, lookup: &lookup },
            Layer { origin: Origin::EnvFile(env_file.path.clone()), lookup: &|name| env_file.get(name) },
        ];
        for variable in VARIABLES {
            // The .env file cannot say where it is itself.
            let heard = if variable.name == "ENV_FILE" { &layers[..1] } else { &layers[..] };
            let entry = raw.entry(variable, heard);
            raw.entries.push(entry);
        }
        raw
    }

    /// Every variable, in the order of the table.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What is odd about the `.env` file and yet no mistake.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Where the `.env` file is, or would be.
    pub fn env_file(&self) -> PathBuf {
        self.get("ENV_FILE").value().unwrap_or(".env").into()
    }

    pub(super) fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// The entry of a variable of the table.
    ///
    /// # Panics
    /// If the table has no such variable.
    pub(super) fn get(&self, name: &str) -> &Entry {
        let entry = self.entries.iter().find(|entry| entry.variable.name == name);
        entry.unwrap_or_else(|| panic!("{name} is missing from the table of variables"))
    }

    fn entry(&mut self, variable: &'static Variable, layers: &[Layer<'_>]) -> Entry {
        for layer in layers {
            let plain = layer.get(variable.name).filter(|value| variable.may_be_empty || !value.is_empty());
            let file = variable
                .from_file
                .then(|| layer.get(&variable.file_name()).filter(|path| !path.is_empty()))
                .flatten();
            let (value, origin) = match (plain, file) {
                (None, None) => continue,
                (Some(value), None) => (self.text(variable, value, &layer.origin), layer.origin.clone()),
                (None, Some(path)) => {
                    let path = PathBuf::from(path);
                    (self.value_of_file(variable, &path), Origin::ValueFile(variable.file_name(), path))
                }
                (Some(_), Some(_)) => {
                    self.mistakes.push(Mistake::Twice(variable.name, layer.origin.clone()));
                    (None, layer.origin.clone())
                }
            };
            return Entry { variable, value, origin };
        }
        let given = !variable.default.is_empty();
        let value = given.then(|| variable.default.to_owned());
        Entry { variable, value, origin: Origin::Default }
    }

    fn text(&mut self, variable: &Variable, value: OsString, origin: &Origin) -> Option<String> {
        let text = value.into_string().ok();
        if text.is_none() {
            let (name, origin) = (variable.name.to_owned(), origin.clone());
            self.mistakes.push(Mistake::NotText { name, origin });
        }
        text
    }

    fn value_of_file(&mut self, variable: &Variable, path: &Path) -> Option<String> {
        read_value(path)
            .map_err(|why| {
                let (name, path) = (variable.file_name(), path.to_owned());
                self.mistakes.push(Mistake::File { name, path, why });
            })
            .ok()
    }

    /// Reads the `.env` file; that there is none is a mistake only where ENV_FILE asked for one.
    fn read_env_file(&mut self, lookup: &dyn Fn(&str) -> Option<OsString>) -> EnvFile {
        let asked_for = lookup("ENV_FILE").filter(|path| !path.is_empty());
        let path = PathBuf::from(asked_for.clone().unwrap_or_else(|| ".env".into()));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                if asked_for.is_some() || error.kind() != io::ErrorKind::NotFound {
                    self.mistakes.push(Mistake::EnvFile { path: path.clone(), why: error.to_string() });
                }
                return EnvFile { path, values: Vec::new() };
            }
        };
        let text = text.trim_start_matches('\u{feff}');
        let mut values: Vec<(String, String)> = Vec::new();
        for line in dotenvy::from_read_iter(text.as_bytes()) {
            match line {
                Ok((name, _)) if values.iter().any(|(known, _)| *known == name) => {
                    self.warnings
                        .push(format!("{}: {name} is there twice; the first counts", path.display()));
                }
                Ok(pair) => {
                    self.warn_of(&pair.0, &path);
                    values.push(pair);
                }
                Err(dotenvy::Error::LineParse(content, _)) => {
                    let line = line_number(text, &content);
                    self.mistakes.push(Mistake::Line { path: path.clone(), line });
                }
                Err(error) => {
                    self.mistakes.push(Mistake::EnvFile { path: path.clone(), why: error.to_string() });
                }
            }
        }
        EnvFile { path, values }
    }

    /// Warns of a name in the `.env` file that does nothing there and looks as if it should.
    fn warn_of(&mut self, name: &str, path: &Path) {
        let path = path.display();
        if name == "ENV_FILE" {
            self.warnings.push(format!("{path}: ENV_FILE has no effect here, only in the environment"));
        } else if let Some(meant) = misspelt(name) {
            self.warnings.push(format!("{path}: there is no variable {name}; is it {meant}?"));
        }
    }
}

/// One of the places where values come from.
struct Layer<'a> {
    origin: Origin,
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Layer<'_> {
    fn get(&self, name: &str) -> Option<OsString> {
        (self.lookup)(name)
    }
}

struct EnvFile {
    path: PathBuf,
    values: Vec<(String, String)>,
}

impl EnvFile {
    fn get(&self, name: &str) -> Option<OsString> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value.into())
    }
}

/// LANGUAGE is also GNU gettext's, and set on many desktops: `en_US:en`, `ru_RU.UTF-8`. No code of
/// Whisper's looks like that.
fn is_for_gettext(name: &str, value: &OsString) -> bool {
    name == "LANGUAGE" && value.to_string_lossy().contains(['_', ':', '.', '@'])
}

/// The text of a file without the newline at its end.
fn read_value(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(VALUE_FILE_LIMIT + 1).read_to_string(&mut text))
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > VALUE_FILE_LIMIT {
        return Err(format!("it is longer than {VALUE_FILE_LIMIT} bytes"));
    }
    let value = text.trim_end_matches(['\r', '\n']);
    if value.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(value.to_owned())
}

/// The number, from 1, of the line of `text` that `content`, one or more whole lines of it, begins
/// with.
fn line_number(text: &str, content: &str) -> usize {
    let first = content.lines().next().unwrap_or_default();
    text.lines().position(|line| line == first).unwrap_or_default() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_of_the_desktop_is_not_ours() {
        let raw = |value: &str| {
            let value = OsString::from(value);
            let raw = RawConfig::from_environment(|name| match name {
                "LANGUAGE" => Some(value.clone()),
                "ENV_FILE" => Some("/dev/null".into()),
                _ => None,
            });
            raw.get("LANGUAGE").value().map(str::to_owned)
        };
        assert_eq!(raw("en_US:en").as_deref(), Some("auto"));
        assert_eq!(raw("ru").as_deref(), Some("ru"));
    }

    #[test]
    fn a_broken_line_is_found_again() {
        assert_eq!(line_number("A=1\nB=2 3\nC=3", "B=2 3"), 2);
        assert_eq!(line_number("A=1\n\nB='x\ny", "B='x\ny\n"), 3);
    }
}
