//! A folder of recordings with what is said in them.
//!
//! Either a file `TEXTS.md` with a table, files, language and text:
//!
//! ```text
//! | file | language | text |
//! |---|---|---|
//! | speech/a.{wav,mp3}, speech/b*.ogg | en | And so my fellow Americans |
//! | talk.ogg | ru | (no text) |
//! | noise/* | - | nothing |
//! ```
//!
//! or beside each recording `name.ogg` a `name.txt`, empty where nobody speaks; a folder called by the code of a
//! language (`ru/name.ogg`) tells the language.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use stenogram::domain::LanguageCode;
use stenogram::domain::score::Said;

/// A recording.
#[derive(Debug, PartialEq, Eq)]
pub struct Sample {
    pub path: PathBuf,
    pub said: Said,
}

/// All recordings of which something is known, in order. Errors name what is wrong.
pub fn read(folder: &Path) -> Result<Vec<Sample>, String> {
    let explain = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    let files = files(folder).map_err(|error| explain(folder, error))?;
    let table = folder.join("TEXTS.md");
    let samples = if table.exists() {
        let text = fs::read_to_string(&table).map_err(|error| explain(&table, error))?;
        by_table(&text, &files).map_err(|what| format!("{}: {what}", table.display()))?
    } else {
        by_names(folder, &files).map_err(|error| explain(folder, error))?
    };
    if samples.is_empty() {
        return Err(format!(
            "{}: neither a TEXTS.md nor a recording with a .txt beside it",
            folder.display()
        ));
    }
    let whole = |sample: Sample| Sample { path: folder.join(sample.path), ..sample };
    Ok(samples.into_iter().map(whole).collect())
}

/// Everything below the folder, as paths from there, in order.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(inner) = open.pop() {
        for entry in fs::read_dir(folder.join(&inner))? {
            let entry = entry?;
            let path = inner.join(entry.file_name());
            if entry.path().is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

fn by_names(folder: &Path, files: &[PathBuf]) -> io::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension != "txt")) {
        let beside = path.with_extension("txt");
        if files.contains(&beside) {
            let text = Some(fs::read_to_string(folder.join(beside))?.trim().to_owned());
            let parent = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
            let language = parent.filter(|name| name.parse::<LanguageCode>().is_ok()).map(str::to_owned);
            samples.push(Sample { path: path.clone(), said: Said { text, language } });
        }
    }
    Ok(samples)
}

fn by_table(table: &str, files: &[PathBuf]) -> Result<Vec<Sample>, String> {
    let mut samples = Vec::new();
    let rows = table.lines().filter_map(|line| line.trim().strip_prefix('|')?.strip_suffix('|'));
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let &[names, language, text] = cells.as_slice() else {
            return Err(format!("not file, language and text: {row}"));
        };
        if names == "file" || names.starts_with("--") {
            continue;
        }
        let said = match (language, text) {
            ("-" | "–" | "—", _) => Said { text: Some(String::new()), language: None },
            (language, text) => Said {
                // What stands in brackets is about the recording.
                text: (!text.starts_with('(')).then(|| text.to_owned()),
                language: Some(language.to_owned()),
            },
        };
        let mut folder = String::new();
        for name in names.split(", ") {
            let name = if name.contains('/') { name.to_owned() } else { format!("{folder}{name}") };
            folder = name.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
            let patterns = alternatives(&name);
            let fits = |path: &&PathBuf| {
                let path = path.to_string_lossy();
                patterns.iter().any(|pattern| matches(pattern, &path))
            };
            let found: Vec<&PathBuf> = files.iter().filter(fits).collect();
            if found.is_empty() {
                return Err(format!("there is no {name}"));
            }
            samples.extend(found.into_iter().map(|path| Sample { path: path.clone(), said: said.clone() }));
        }
    }
    Ok(samples)
}

/// `a.{b,c}` is `a.b` and `a.c`.
fn alternatives(name: &str) -> Vec<String> {
    let parts = name.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    let Some((before, (inner, after))) = parts else { return vec![name.to_owned()] };
    inner.split(',').map(|one| format!("{before}{one}{after}")).collect()
}

/// `*` and `…` stand for anything.
fn matches(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split(['*', '…']);
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, inner)) = pieces.split_last() else { return rest.is_empty() };
    for piece in inner {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}
