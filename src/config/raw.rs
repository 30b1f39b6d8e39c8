//! The first stage: what the environment and the `.env` file say, and which of them says it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::misspelt::misspelt;
use super::origin::Origin;
use super::variables::{VARIABLES, Variable};

/// The longest value that a `NAME_FILE` may hold, in bytes. No real value is that long, but the
/// file may be /dev/zero.
const VALUE_FILE_LIMIT: u64 = 64 << 10;

/// The file in MODEL_DIR with the name of the model that was chosen for this machine at the first
/// installation. It is used if MODEL is not set.
pub const CHOSEN_MODEL: &str = "chosen-model";

/// A variable and its value, which is not checked yet. It has no `Debug`, because the value may be
/// secret.
pub struct Entry {
    pub variable: &'static Variable,
    /// The value or the default. `None` if there is neither, or if the value could not be read.
    value: Option<String>,
    pub origin: Origin,
}

impl Entry {
    /// The value as it may be shown to others.
    pub fn shown(&self) -> Option<String> {
        self.value.as_deref().map(|value| self.variable.shown(value))
    }

    /// Whether the owner has set it, to a value that can be read or not.
    pub fn is_set(&self) -> bool {
        !matches!(self.origin, Origin::Default | Origin::Chosen(_))
    }

    /// The value or the default. `None` if there is neither, or if the value could not be read:
    /// then the [`ConfigError`] is recorded already.
    pub(super) fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }
}

/// The values of all variables of the table, not checked yet.
pub struct RawConfig {
    entries: Vec<Entry>,
    errors: Vec<ConfigError>,
    warnings: Vec<String>,
}

impl RawConfig {
    /// Reads the process's environment, and the file ENV_FILE or `.env` in the working directory.
    /// The environment takes precedence, and is not changed.
    pub fn load() -> Self {
        Self::from_environment(|name| std::env::var_os(name))
    }

    /// Like [`RawConfig::load`] for any environment: `lookup` returns the value of a name.
    pub fn from_environment(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let mut raw = Self { entries: Vec::new(), errors: Vec::new(), warnings: Vec::new() };
        let lookup = |name: &str| lookup(name).filter(|value| !is_for_gettext(name, value));
        let env_file = raw.read_env_file(&lookup);
        let layers = [
            Layer { origin: Origin::Environment, lookup: &lookup },
            Layer { origin: Origin::EnvFile(env_file.path.clone()), lookup: &|name| env_file.get(name) },
        ];
        for variable in VARIABLES {
            // The .env file cannot say where it is itself.
            let applicable = if variable.name == "ENV_FILE" { &layers[..1] } else { &layers[..] };
            let entry = raw.entry(variable, applicable);
            raw.entries.push(entry);
        }
        raw.use_chosen_model();
        raw
    }

    /// All variables, in the order of the table.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What is odd about the `.env` file without being an error.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Where the `.env` file is, or would be.
    pub fn env_file(&self) -> PathBuf {
        self.get("ENV_FILE").value().unwrap_or(".env").into()
    }

    pub(super) fn errors(&self) -> &[ConfigError] {
        &self.errors
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
                    self.errors.push(ConfigError::Twice(variable, layer.origin.clone()));
                    (None, layer.origin.clone())
                }
            };
            return Entry { variable, value, origin };
        }
        let default = Some(variable.default).filter(|default| !default.is_empty());
        let value = default.map(str::to_owned);
        Entry { variable, value, origin: Origin::Default }
    }

    /// Without MODEL, the model is the one that was chosen for this machine, if one was.
    fn use_chosen_model(&mut self) {
        let Some(folder) = self.get("MODEL_DIR").value() else { return };
        let path = Path::new(folder).join(CHOSEN_MODEL);
        if !path.exists() {
            return;
        }
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.variable.name == "MODEL") else {
            return;
        };
        if entry.origin != Origin::Default {
            return;
        }
        match read_value(&path) {
            Ok(name) => entry.value = Some(name),
            Err(why) => {
                entry.value = None;
                let variable = entry.variable;
                self.errors.push(ConfigError::Chosen { variable, path: path.clone(), why });
            }
        }
        entry.origin = Origin::Chosen(path);
    }

    fn text(&mut self, variable: &'static Variable, value: OsString, origin: &Origin) -> Option<String> {
        let text = value.into_string().ok();
        if text.is_none() {
            self.errors.push(ConfigError::NotText { variable, origin: origin.clone() });
        }
        text
    }

    fn value_of_file(&mut self, variable: &'static Variable, path: &Path) -> Option<String> {
        read_value(path)
            .map_err(|why| {
                self.errors.push(ConfigError::File { variable, path: path.to_owned(), why });
            })
            .ok()
    }

    /// Reads the `.env` file. A missing file is an error only if ENV_FILE names it.
    fn read_env_file(&mut self, lookup: &dyn Fn(&str) -> Option<OsString>) -> EnvFile {
        let asked_for = lookup("ENV_FILE").filter(|path| !path.is_empty());
        let path = PathBuf::from(asked_for.clone().unwrap_or_else(|| ".env".into()));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                if asked_for.is_some() || error.kind() != io::ErrorKind::NotFound {
                    self.errors.push(ConfigError::EnvFile { path: path.clone(), why: error.to_string() });
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
                        .push(format!("{}: {name} is there twice; the first one counts", path.display()));
                }
                Ok(pair) => {
                    self.check_name(&pair.0, &path);
                    values.push(pair);
                }
                Err(dotenvy::Error::LineParse(content, _)) => {
                    let line = line_number(text, &content);
                    self.errors.push(ConfigError::Line { path: path.clone(), line });
                }
                Err(error) => {
                    self.errors.push(ConfigError::EnvFile { path: path.clone(), why: error.to_string() });
                }
            }
        }
        EnvFile { path, values }
    }

    /// Warns of a name in the `.env` file that has no effect but looks as if it should.
    fn check_name(&mut self, name: &str, path: &Path) {
        let path = path.display();
        if name == "ENV_FILE" {
            self.warnings.push(format!("{path}: ENV_FILE has no effect here, only in the environment"));
        } else if let Some(meant) = misspelt(name) {
            self.warnings.push(format!("{path}: there is no variable {name}; is it {meant}?"));
        }
    }
}

/// A source of values.
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

/// GNU gettext has a variable LANGUAGE too, which many desktops set: `en_US:en`, `ru_RU.UTF-8`. No
/// code of Whisper's looks like that.
fn is_for_gettext(name: &str, value: &OsString) -> bool {
    name == "LANGUAGE" && value.to_string_lossy().contains(['_', ':', '.', '@'])
}

/// The text of a file, without the newline at its end.
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

/// The number, counted from 1, of the line of `text` with which `content` begins. `content` is one
/// or more whole lines of `text`.
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
