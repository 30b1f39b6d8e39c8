//! How a model is named, and how it is run.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

use super::LanguageCode;

/// Samples per second of all audio that is recognised; Whisper was trained on it.
pub const SAMPLE_RATE: u32 = 16_000;

/// The models as MODELS names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Models {
    /// For single languages, each language once.
    pub of_languages: Vec<(LanguageCode, ModelName)>,
    /// For all others, written `*`; without it that is MODEL.
    pub of_others: Option<ModelName>,
}

/// A text that does not name models by their languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of languages, each with its model")]
pub struct ParseModelsError;

impl FromStr for Models {
    type Err = ParseModelsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut models = Self::default();
        for entry in text.split(',') {
            let (language, model) = entry.split_once(':').ok_or(ParseModelsError)?;
            let model = model.trim().parse().map_err(|_| ParseModelsError)?;
            let is_new = match language.trim() {
                "*" => models.of_others.replace(model).is_none(),
                code => {
                    let code = code.parse().map_err(|_| ParseModelsError)?;
                    let is_new = models.of_languages.iter().all(|(known, _)| *known != code);
                    models.of_languages.push((code, model));
                    is_new
                }
            };
            if !is_new {
                return Err(ParseModelsError);
            }
        }
        Ok(models)
    }
}

/// A model as its owner names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelName {
    /// A name of the catalogue, which may not have it.
    Catalogue(String),
    /// The path of a ggml or GGUF file.
    Path(PathBuf),
}

/// A text that cannot be the name of a model.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither the name of a model (see `stenogram models list`) nor the path of a .bin or .gguf file"
)]
pub struct ParseModelNameError(String);

impl FromStr for ModelName {
    type Err = ParseModelNameError;

    /// A text with a slash, or that ends in `.bin` or `.gguf`, is a path.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_path = text.contains('/') || text.ends_with(".bin") || text.ends_with(".gguf");
        // Only a shell expands `~`: here it would be the name of a folder.
        if is_path && !text.starts_with('~') {
            return Ok(Self::Path(text.into()));
        }
        let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_name = !is_path && !text.is_empty() && text.chars().all(in_name);
        is_name.then(|| Self::Catalogue(text.to_owned())).ok_or_else(|| ParseModelNameError(text.to_owned()))
    }
}

/// How much of its 30 s window Whisper computes for a shorter recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AudioContext {
    /// What the recording needs; all of it, and more carefully, if that text is doubtful.
    #[default]
    Auto,
    /// All of it, as in the model's training.
    Full,
}

/// A text that names no [`AudioContext`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither full nor auto")]
pub struct ParseAudioContextError(String);

impl FromStr for AudioContext {
    type Err = ParseAudioContextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "full" => Ok(Self::Full),
            "auto" => Ok(Self::Auto),
            _ => Err(ParseAudioContextError(text.to_owned())),
        }
    }
}

impl fmt::Display for AudioContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Full => "full",
            Self::Auto => "auto",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_named_by_their_languages() {
        let named = |name: &str| ModelName::Catalogue(name.to_owned());
        let models: Models = "ru:gigaam-v3, en:/m/a.gguf,*:small".parse().unwrap();
        let [russian, english] = ["ru", "en"].map(|code| code.parse().unwrap());
        let path = ModelName::Path("/m/a.gguf".into());
        assert_eq!(models.of_languages, [(russian, named("gigaam-v3")), (english, path)]);
        assert_eq!(models.of_others, Some(named("small")));
        assert_eq!("ru:base".parse::<Models>().unwrap().of_others, None);
        for bad in ["", "small", "ru:", "ru:a,ru:b", "*:a,*:b", "xx:a", "ru:a,", "ru:a b", ":a", "ru a"] {
            assert!(bad.parse::<Models>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_model_is_a_name_or_a_path() {
        let name = "large-v3-turbo-q5_0";
        assert_eq!(name.parse(), Ok(ModelName::Catalogue(name.into())));
        assert_eq!("own.gguf".parse(), Ok(ModelName::Path("own.gguf".into())));
        assert_eq!("own.bin".parse(), Ok(ModelName::Path("own.bin".into())));
        assert_eq!("/m/own.ggml".parse(), Ok(ModelName::Path("/m/own.ggml".into())));
        for bad in ["", "large v3", "~/own.bin", "~own.bin"] {
            assert!(bad.parse::<ModelName>().is_err(), "{bad}");
        }
    }
}
