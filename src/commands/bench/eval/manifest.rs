//! The recordings to evaluate, with what is said in them, and other programs' texts for them. Both
//! are files with a JSON object per line.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::domain::LanguageCode;
use crate::domain::score::{Heard, Said};

/// A recording whose text is known.
#[derive(Debug, PartialEq, Eq)]
pub struct Clip {
    /// Its path as the manifest has it.
    pub name: String,
    pub path: PathBuf,
    /// Always with a text.
    pub said: Said,
}

/// What another program recognised in each clip, in the order of the clips.
#[derive(Debug, PartialEq)]
pub struct Other {
    /// The file's name without its extension.
    pub name: String,
    pub texts: Vec<Heard>,
    /// Whether it says in which languages it recognised them.
    pub tells_language: bool,
}

/// The recordings of a manifest, or everything that is wrong with it, each with its line.
pub fn clips(manifest: &Path) -> Result<Vec<Clip>, Vec<String>> {
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let mut names = HashSet::new();
    let clips = objects(manifest, |object| {
        let name = text(object, "audio")?.ok_or("it has no \"audio\", the path of a recording")?;
        let said = text(object, "text")?
            .ok_or("it has no \"text\"; write \"text\": \"\" if nobody speaks")?
            .to_owned();
        let clip = Clip {
            path: folder.join(name),
            name: name.to_owned(),
            said: Said { text: Some(said), language: language(object)? },
        };
        if !clip.path.is_file() {
            return Err(format!("there is no file {}", clip.path.display()));
        }
        if !names.insert(clip.name.clone()) {
            return Err(format!("{name} is in an earlier line too"));
        }
        Ok(clip)
    })?;
    if clips.is_empty() {
        return Err(vec![format!("{}: it names no recording", manifest.display())]);
    }
    Ok(clips)
}

/// Another program's texts for `clips`, or everything that is wrong with the file.
pub fn other(file: &Path, clips: &[Clip]) -> Result<Other, Vec<String>> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut texts: HashMap<PathBuf, Heard> = HashMap::new();
    let lines = objects(file, |object| {
        let name = text(object, "file")?.or(text(object, "audio")?);
        let name = name.ok_or("it has no \"file\", the path of a recording")?;
        let heard = Heard {
            text: text(object, "text")?.ok_or("it has no \"text\"")?.to_owned(),
            language: language(object)?,
            took: number(object, "seconds")?,
            ..Heard::default()
        };
        Ok((name.to_owned(), heard))
    })?;
    let tells_language = lines.iter().any(|(_, heard)| heard.language.is_some());
    for (name, heard) in lines {
        // The path may be meant from the manifest's folder, from here, or from the file's folder.
        let files = [PathBuf::from(&name), folder.join(&name)].into_iter();
        texts.extend(files.filter_map(|path| path.canonicalize().ok()).map(|path| (path, heard.clone())));
        texts.insert(name.into(), heard);
    }
    let of = |clip: &Clip| {
        let same_name = texts.get(Path::new(&clip.name));
        same_name.or_else(|| texts.get(&clip.path.canonicalize().ok()?)).cloned()
    };
    let found: Vec<Option<Heard>> = clips.iter().map(of).collect();
    let missing: Vec<&str> =
        clips.iter().zip(&found).filter(|(_, text)| text.is_none()).map(|(clip, _)| &*clip.name).collect();
    if let [first, others @ ..] = missing.as_slice() {
        let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        return Err(vec![format!("{}: it has no text for {first}{more}", file.display())]);
    }
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Other { name, texts: found.into_iter().flatten().collect(), tells_language })
}

/// Reads the object of each line that is not blank.
fn objects<T>(
    file: &Path,
    mut read: impl FnMut(&Map<String, Value>) -> Result<T, String>,
) -> Result<Vec<T>, Vec<String>> {
    let shown = file.display();
    let text = fs::read_to_string(file).map_err(|error| vec![format!("{shown}: {error}")])?;
    let (mut read_lines, mut errors) = (Vec::new(), Vec::new());
    for (line, number) in text.trim_start_matches('\u{feff}').lines().zip(1..) {
        if line.trim().is_empty() {
            continue;
        }
        let object = serde_json::from_str(line).map_err(|error| not_json(&error));
        match object.and_then(|object| read(&object)) {
            Ok(value) => read_lines.push(value),
            Err(what) => errors.push(format!("{shown}:{number}: {what}")),
        }
    }
    if errors.is_empty() { Ok(read_lines) } else { Err(errors) }
}

fn not_json(error: &serde_json::Error) -> String {
    // serde_json counts lines within the one that it was given.
    let (column, why) = (error.column(), error.to_string());
    let why = why.split(" at line ").next().unwrap_or_default();
    format!("not a JSON object: {why} (column {column})")
}

fn text<'a>(object: &'a Map<String, Value>, field: &str) -> Result<Option<&'a str>, String> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("its {field:?} is no text")),
    }
}

/// 0 without the field.
fn number(object: &Map<String, Value>, field: &str) -> Result<f64, String> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(0.0),
        Some(value) => value
            .as_f64()
            .filter(|number| *number >= 0.0)
            .ok_or_else(|| format!("its {field:?} is no number of at least 0")),
    }
}

fn language(object: &Map<String, Value>) -> Result<Option<String>, String> {
    let code = text(object, "language")?.filter(|code| !code.is_empty());
    let known = code.map(str::parse::<LanguageCode>).transpose().map_err(|error| error.to_string())?;
    Ok(known.map(|code| code.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files {
            fs::write(folder.path().join(file), text).unwrap();
        }
        folder
    }

    fn read(manifest: &str) -> Result<Vec<Clip>, Vec<String>> {
        let folder = folder(&[("m.jsonl", manifest), ("a.ogg", ""), ("b.ogg", "")]);
        let path = folder.path().join("m.jsonl");
        let shorten = |error: String| error.replace(&format!("{}/", folder.path().display()), "");
        clips(&path).map_err(|errors| errors.into_iter().map(shorten).collect())
    }

    #[test]
    fn a_manifest_is_read_line_by_line() {
        let clips = read(
            "\u{feff}{\"audio\": \"a.ogg\", \"text\": \"One.\", \"language\": \"en\", \"kind\": 3}\n\n\
             {\"audio\": \"b.ogg\", \"text\": \"\", \"language\": null}\n",
        )
        .unwrap();
        let known: Vec<_> = clips.iter().map(|clip| (&*clip.name, clip.said.clone())).collect();
        let said = |text: &str, language: Option<&str>| Said {
            text: Some(text.into()),
            language: language.map(str::to_owned),
        };
        assert_eq!(known, [("a.ogg", said("One.", Some("en"))), ("b.ogg", said("", None))]);
    }

    #[test]
    fn everything_that_is_wrong_with_a_manifest_is_said_with_its_line() {
        let errors = read(
            "{\"audio\": \"a.ogg\", \"text\": \"one\"}\n\
             {\"audio\": \"a.ogg\", \"text\": \n\
             [1]\n\
             {\"text\": \"one\"}\n\
             {\"audio\": \"b.ogg\", \"language\": \"en\"}\n\
             {\"audio\": \"b.ogg\", \"text\": 7}\n\
             {\"audio\": \"c.ogg\", \"text\": \"one\"}\n\
             {\"audio\": \"b.ogg\", \"text\": \"one\", \"language\": \"English\"}\n\
             {\"audio\": \"a.ogg\", \"text\": \"two\"}\n",
        )
        .unwrap_err();
        let expected = [
            "m.jsonl:2: not a JSON object: EOF while parsing a value (column 27)",
            "m.jsonl:3: not a JSON object: invalid type: sequence, expected a map (column 0)",
            "m.jsonl:4: it has no \"audio\", the path of a recording",
            "m.jsonl:5: it has no \"text\"; write \"text\": \"\" if nobody speaks",
            "m.jsonl:6: its \"text\" is no text",
            "m.jsonl:7: there is no file c.ogg",
            "m.jsonl:8: ",
            "m.jsonl:9: a.ogg is in an earlier line too",
        ];
        assert_eq!(errors.len(), expected.len(), "{errors:#?}");
        for (error, expected) in errors.iter().zip(expected) {
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(errors[6].contains("English"), "{}", errors[6]);
        assert_eq!(read("\n").unwrap_err(), ["m.jsonl: it names no recording"]);
        assert_eq!(
            clips(Path::new("/nowhere/m.jsonl")).unwrap_err(),
            ["/nowhere/m.jsonl: No such file or directory (os error 2)"]
        );
    }

    #[test]
    fn other_texts_are_found_by_name_or_by_file() {
        let lines = "{\"file\": \"b.ogg\", \"text\": \"two\", \"language\": \"en\", \"seconds\": 1.5}\n\
                     {\"audio\": \"sub/../a.ogg\", \"text\": \"one\"}\n\
                     {\"file\": \"elsewhere.ogg\", \"text\": \"three\"}\n";
        let folder = folder(&[("fw.jsonl", lines), ("a.ogg", ""), ("b.ogg", ""), ("c.ogg", "")]);
        fs::create_dir(folder.path().join("sub")).unwrap();
        let clip = |name: &str| Clip {
            name: name.into(),
            path: folder.path().join(name),
            said: Said { text: Some("one".into()), language: None },
        };
        let file = folder.path().join("fw.jsonl");
        let found = other(&file, &[clip("a.ogg"), clip("b.ogg")]).unwrap();
        let texts: Vec<_> = found.texts.iter().map(|heard| (&*heard.text, heard.took)).collect();
        assert_eq!((&*found.name, found.tells_language), ("fw", true));
        assert_eq!(texts, [("one", 0.0), ("two", 1.5)]);
        let error = other(&file, &[clip("c.ogg"), clip("a.ogg")]).unwrap_err();
        assert_eq!(error, [format!("{}: it has no text for c.ogg", file.display())]);
        fs::write(&file, "{\"file\": \"a.ogg\", \"text\": \"\", \"seconds\": -1}").unwrap();
        let error = other(&file, &[clip("a.ogg")]).unwrap_err();
        assert!(error[0].ends_with(":1: its \"seconds\" is no number of at least 0"), "{error:?}");
    }
}
