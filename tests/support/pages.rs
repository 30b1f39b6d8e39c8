//! Pages of Markdown, as far as the tests hold them against the repository and against one another.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// A page, from its beginning (a section without a heading) to its end.
pub struct Page {
    /// From the project's folder.
    pub path: PathBuf,
    pub first_line: String,
    pub sections: Vec<Section>,
}

/// A heading, and what follows up to the next one.
#[derive(Default)]
pub struct Section {
    /// How many `#`; 0 for what comes before the first heading.
    pub level: usize,
    pub heading: String,
    /// What a link to it names.
    pub anchor: String,
    /// Fenced blocks in some language, comments left out.
    pub commands: Vec<String>,
    /// Fenced blocks in none.
    pub pictures: usize,
    /// Indented blocks.
    pub lines: Vec<String>,
    /// Code in the text.
    pub code: BTreeSet<String>,
    /// Where links lead, those of `[name]: address` too.
    pub links: Vec<String>,
    /// Rows of tables.
    pub rows: usize,
    /// Items of lists.
    pub items: usize,
    /// The text, headings included, without code and without where links lead.
    pub prose: String,
}

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

impl Page {
    /// `path` counts from the project's folder.
    pub fn read(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let text = fs::read_to_string(Path::new(PROJECT).join(path));
        Self::parse(path, &text.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    pub fn parse(path: &Path, text: &str) -> Self {
        let mut sections = vec![Section::default()];
        let mut anchors: HashMap<String, usize> = HashMap::new();
        let mut words = String::new();
        let mut lines = text.lines().peekable();
        let mut after_blank = true;
        while let Some(line) = lines.next() {
            let section = sections.last_mut().expect("there is one");
            if let Some(language) = line.trim_start().strip_prefix("```") {
                let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
                match language {
                    "" => section.pictures += 1,
                    _ => section.commands.push(without_comments(&block)),
                }
            } else if after_blank && line.starts_with("    ") {
                let mut block = line.to_owned();
                while let Some(next) = lines.next_if(|line| line.starts_with("    ")) {
                    block = block + "\n" + next;
                }
                section.lines.push(block);
            } else if let Some(heading) = line.strip_prefix('#') {
                section.take_words(&std::mem::take(&mut words));
                let level = 1 + heading.chars().take_while(|&c| c == '#').count();
                let heading = heading.trim_start_matches('#').trim();
                let mut anchor = anchor(heading);
                let count = anchors.entry(anchor.clone()).or_default();
                if *count > 0 {
                    anchor = format!("{anchor}-{count}");
                }
                *count += 1;
                sections.push(Section { level, heading: heading.into(), anchor, ..Section::default() });
                words = format!("{heading}\n");
            } else {
                let start = line.trim_start();
                let is_item = start.starts_with("- ")
                    || start.split_once(". ").is_some_and(|(n, _)| n.parse::<u32>().is_ok());
                section.items += usize::from(is_item);
                section.rows += usize::from(start.starts_with('|'));
                words = words + line + "\n";
            }
            after_blank = line.trim().is_empty();
        }
        sections.last_mut().expect("there is one").take_words(&words);
        let first_line = text.lines().next().unwrap_or_default().to_owned();
        Self { path: path.to_owned(), first_line, sections }
    }

    /// The page and the anchor, if any, that `link` on this page leads to; none where it leads out of
    /// the project.
    pub fn target(&self, link: &str) -> Option<(PathBuf, Option<String>)> {
        if link.contains("://") {
            return None;
        }
        let (file, anchor) = match link.split_once('#') {
            Some((file, anchor)) => (file, Some(anchor.to_owned())),
            None => (link, None),
        };
        let mut path = match file {
            "" => return Some((self.path.clone(), anchor)),
            _ => self.path.parent().unwrap_or(Path::new("")).to_owned(),
        };
        for part in file.split('/') {
            match part {
                ".." => assert!(path.pop(), "{} links out of the project: {link}", self.path.display()),
                part => path.push(part),
            }
        }
        Some((path, anchor))
    }

    /// Which section has this anchor.
    pub fn place(&self, anchor: &str) -> Option<usize> {
        self.sections.iter().position(|section| section.level > 0 && section.anchor == anchor)
    }
}

impl Section {
    /// Takes the text apart into code, links and the rest.
    fn take_words(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find(['`', ']', '<']) {
            self.prose.push_str(&rest[..at]);
            let (mark, after) = rest[at..].split_at(1);
            let end = |close: char| after.find(close).map(|end| (&after[..end], &after[end + 1..]));
            rest = match mark {
                "`" => {
                    let (code, after) = end('`').unwrap_or_else(|| panic!("no end of code: {after}"));
                    let code = code.split_whitespace().collect::<Vec<_>>().join(" ");
                    self.code.insert(code.replace("\\|", "|"));
                    // So that what stands on either side does not become one number.
                    self.prose.push('`');
                    after
                }
                "]" if after.starts_with('(') => {
                    let (link, after) = end(')').unwrap_or_else(|| panic!("no end of a link: {after}"));
                    self.links.push(link[1..].to_owned());
                    after
                }
                "]" if after.starts_with(": ") => {
                    let (link, after) = end('\n').unwrap_or((after, ""));
                    self.links.push(link[2..].to_owned());
                    after
                }
                "<" if after.starts_with("http") => {
                    let (link, after) = end('>').unwrap_or_else(|| panic!("no end of a link: {after}"));
                    self.links.push(link.to_owned());
                    after
                }
                mark => {
                    self.prose.push_str(mark);
                    after
                }
            };
        }
        self.prose.push_str(rest);
    }
}

/// The lines of a block without what is said to people: from ` # ` on, and what only aligned it.
fn without_comments(block: &[&str]) -> String {
    let command = |line: &&str| {
        let bare = if line.starts_with("# ") { "" } else { line.split(" # ").next().unwrap_or_default() };
        bare.trim_end().to_owned()
    };
    block.iter().map(command).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The anchor that a heading gets: its letters, digits, `_` and `-`, in lower case, blanks as `-`.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' '));
    kept.flat_map(|c| if c == ' ' { '-' } else { c }.to_lowercase()).collect()
}

/// Every page of the project.
pub fn all() -> Vec<Page> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_ours = !name.starts_with('.') && !["target", "data", "models", "logs"].contains(&&*name);
            if path.is_dir() && is_ours && !path.join(".git").exists() {
                collect(&path, found);
            } else if name.ends_with(".md") {
                found.push(path.strip_prefix(PROJECT).unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    collect(Path::new(PROJECT), &mut found);
    found.sort();
    found.into_iter().map(Page::read).collect()
}
