//! The Markdown pages, as far as tests compare them with the repository and with one another.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

pub struct Page {
    /// Absolute.
    pub path: PathBuf,
    pub text: String,
    /// The first one is what comes before the first heading.
    pub sections: Vec<Section>,
}

/// A heading, and what follows up to the next one.
#[derive(Default)]
pub struct Section {
    /// `## Heading`, or empty.
    pub heading: String,
    /// The lines of code blocks without comments; drawings, which have no language, are left out.
    pub blocks: Vec<String>,
    /// Code within the text.
    pub code: BTreeSet<String>,
    /// The text without code, which stands there as a single backtick.
    prose: String,
}

impl Page {
    /// `path` is relative to the project, or absolute.
    pub fn read(path: &str) -> Self {
        let path = Path::new(PROJECT).join(path);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(path.canonicalize().unwrap(), &text)
    }

    pub fn parse(path: PathBuf, text: &str) -> Self {
        let mut sections = vec![Section::default()];
        let (mut lines, mut may_be_indented) = (text.lines(), true);
        while let Some(line) = lines.next() {
            let section = sections.last_mut().expect("there is one");
            if let Some(language) = line.trim_start().strip_prefix("```") {
                let block = lines.by_ref().take_while(|line| line.trim() != "```");
                let commands = block.map(|line| if line.starts_with("# ") { "" } else { line });
                let commands = commands.map(|line| line.split(" # ").next().unwrap_or_default().trim_end());
                let wanted = commands.filter(|line| !line.is_empty() && !language.is_empty());
                section.blocks.extend(wanted.map(str::to_owned));
            } else if may_be_indented && line.starts_with("    ") {
                section.blocks.push(line.to_owned());
            } else if line.starts_with('#') {
                let (heading, prose) = (line.to_owned(), format!("{line}\n"));
                sections.push(Section { heading, prose, ..Section::default() });
            } else {
                section.prose += &format!("{line}\n");
                may_be_indented = line.is_empty();
            }
        }
        for section in &mut sections {
            for (number, piece) in std::mem::take(&mut section.prose).split('`').enumerate() {
                match number % 2 {
                    0 => section.prose += &format!("{piece}`"),
                    _ => drop(section.code.insert(piece.split_whitespace().collect::<Vec<_>>().join(" "))),
                }
            }
        }
        Self { path, text: text.to_owned(), sections }
    }

    /// The file of this project and the anchor that `link` leads to; none if it leads out of it.
    pub fn target(&self, link: &str) -> Option<(PathBuf, Option<String>)> {
        let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
        let path = if file.is_empty() { self.path.clone() } else { self.path.with_file_name(file) };
        (!link.contains("://")).then(|| (path, anchor.map(str::to_owned)))
    }
}

impl Section {
    /// GitHub's: letters, digits, `_` and `-` in lower case, spaces as `-`.
    pub fn anchor(&self) -> String {
        let heading = self.heading.trim_start_matches('#').trim().chars();
        let kept = heading.filter(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' '));
        kept.flat_map(|c| if c == ' ' { '-' } else { c }.to_lowercase()).collect()
    }

    /// The targets of `[text](target)`, `[text]: target` and `<target>`.
    pub fn links(&self) -> Vec<&str> {
        let after = |open, close| {
            self.prose.split(open).skip(1).map(move |rest: &str| rest.split(close).next().unwrap_or_default())
        };
        let is_address = |link: &&str| link.contains("://");
        after("](", ')').chain(after("]: ", '\n').chain(after("<", '>')).filter(is_address)).collect()
    }
}

/// Every page of the project, below its folder `folder`.
pub fn all(folder: &Path) -> Vec<Page> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        let is_ours = !name.starts_with('.') && !["target", "data", "models", "logs"].contains(&&*name);
        if entry.is_dir() && is_ours && !entry.join(".git").exists() {
            found.extend(all(&entry));
        } else if name.ends_with(".md") {
            found.push(Page::read(&entry.to_string_lossy()));
        }
    }
    found
}
