//! The Russian pages say what the English ones say: the same sections in the same order, and in each of them the
//! same commands, lines of the program, variables, links and numbers.

#[path = "support/pages.rs"]
#[allow(dead_code, reason = "shared with tests/documents.rs")]
mod pages;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use pages::{Page, Section};

/// Pages that there are in both languages.
const PAGES: [&str; 5] =
    ["README.md", "TROUBLESHOOTING.md", "docs/INSTALL.md", "docs/OPERATING.md", "docs/QUICKSTART.md"];

/// `docs/INSTALL.ru.md` for `docs/INSTALL.md`.
fn russian_name(path: &Path) -> PathBuf {
    path.with_extension("ru.md")
}

/// Both versions of each page.
fn twins() -> Vec<[Page; 2]> {
    PAGES.map(|path| [Page::read(path), Page::read(russian_name(Path::new(path)))]).into()
}

/// A place that a link leads to, the same for both languages: the English page and the number of the section
/// in it, or whatever else.
fn destination(page: &Page, link: &str, language: usize, twins: &[[Page; 2]]) -> String {
    let Some((path, anchor)) = page.target(link) else { return link.to_owned() };
    let Some(twin) = twins.iter().find(|twin| twin[language].path == path) else { return link.to_owned() };
    let place = anchor.map(|anchor| twin[language].place(&anchor));
    format!("{} {place:?}", twin[0].path.display())
}

/// The numbers in a text, smallest first: `10,000` and `0.4` of English are `10 000` and `0,4` in Russian.
fn numbers(text: &str, [group, point]: [char; 2]) -> Vec<String> {
    let chars: Vec<char> = text.chars().map(|c| if c == '\u{a0}' { ' ' } else { c }).collect();
    let digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    let (mut found, mut number, mut digits) = (Vec::new(), String::new(), 0);
    for at in 0..=chars.len() {
        if digit(at) {
            number.push(chars[at]);
            digits += 1;
            continue;
        }
        let thousands = digit(at + 1) && digit(at + 2) && digit(at + 3) && !digit(at + 4) && digits <= 3;
        match chars.get(at) {
            _ if number.is_empty() => {}
            Some(&c) if c == group && thousands && !number.contains('.') => digits = 0,
            Some(&c) if (c == point || c == '.') && digit(at + 1) => number.push('.'),
            _ => {
                found.push(std::mem::take(&mut number));
                digits = 0;
            }
        }
    }
    found.sort();
    found
}

/// In what the two differ.
fn differences(twin: &[Page; 2], all: &[[Page; 2]]) -> Vec<String> {
    let [english, russian] = twin;
    let mut found = Vec::new();
    let name = russian.path.display();
    let levels = |page: &Page| page.sections.iter().map(|section| section.level).collect::<Vec<_>>();
    if levels(english) != levels(russian) {
        let headings = |page: &Page| -> Vec<String> {
            let shown = |section: &Section| format!("{} {}", section.level, section.heading);
            page.sections.iter().map(shown).collect()
        };
        found.push(format!("{name}: other sections: {:#?} for {:#?}", headings(russian), headings(english)));
        return found;
    }
    for (ours, theirs) in english.sections.iter().zip(&russian.sections) {
        let mut differ = |what: &str, english: &dyn Debug, russian: &dyn Debug| {
            let (english, russian) = (format!("{english:?}"), format!("{russian:?}"));
            if english != russian {
                let heading = &theirs.heading;
                found.push(format!("{name}, {heading:?}: other {what}:\n  {russian}\n  {english}"));
            }
        };
        differ("commands", &ours.commands, &theirs.commands);
        differ("lines of the program", &ours.lines, &theirs.lines);
        let only = |one: &Section, other: &Section| -> BTreeSet<String> {
            one.code.difference(&other.code).cloned().collect()
        };
        differ("code", &only(ours, theirs), &only(theirs, ours));
        let links = |section: &Section, language: usize| {
            let page = &twin[language];
            let mut links: Vec<_> =
                section.links.iter().map(|link| destination(page, link, language, all)).collect();
            links.sort();
            links
        };
        // The first line leads to the other language.
        if ours.level > 0 {
            differ("links", &links(ours, 0), &links(theirs, 1));
        }
        differ("numbers", &numbers(&ours.prose, [',', '.']), &numbers(&theirs.prose, [' ', ',']));
        differ("pictures", &ours.pictures, &theirs.pictures);
        differ("rows of tables", &ours.rows, &theirs.rows);
        differ("items of lists", &ours.items, &theirs.items);
    }
    found
}

#[test]
fn the_russian_pages_say_what_the_english_ones_say() {
    let twins = twins();
    let found: Vec<String> = twins.iter().flat_map(|twin| differences(twin, &twins)).collect();
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_russian_page_has_an_english_one_and_each_leads_to_the_other() {
    let russian: Vec<PathBuf> = pages::all().into_iter().map(|page| page.path).collect();
    let russian = russian.into_iter().filter(|path| path.to_string_lossy().ends_with(".ru.md"));
    let mut known = PAGES.map(|path| russian_name(Path::new(path)));
    known.sort();
    assert_eq!(russian.collect::<Vec<_>>(), known);
    for [english, russian] in twins() {
        let file = |page: &Page| page.path.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(english.first_line, format!("**English** · [Русский]({})", file(&russian)));
        assert_eq!(russian.first_line, format!("[English]({}) · **Русский**", file(&english)));
    }
}

#[test]
fn the_russian_pages_are_russian() {
    let mut wrong = Vec::new();
    for [_, page] in twins() {
        for section in &page.sections {
            let name = format!("{}, {:?}", page.path.display(), section.heading);
            for paragraph in section.prose.split("\n\n").map(str::trim) {
                let letters = paragraph.chars().filter(|c| c.is_alphabetic()).count();
                let russian = paragraph.chars().filter(|c| ('а'..='я').contains(c)).count();
                if letters > 100 && russian * 2 < letters {
                    wrong.push(format!("{name}: not Russian: {paragraph}"));
                }
            }
            for quote in ['"', '“', '”'] {
                let line = section.prose.lines().find(|line| line.contains(quote));
                wrong.extend(line.map(|line| format!("{name}: {quote} for « or »: {line}")));
            }
            let dash = section.prose.lines().find(|line| line.trim_start_matches(['-', ' ']).contains(" - "));
            wrong.extend(dash.map(|line| format!("{name}: - for —: {line}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_russian_page_that_says_something_else_is_found() {
    let read = |path: &Path| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let english_path = Path::new("docs/OPERATING.md");
    let (english, russian) = (read(english_path), read(&russian_name(english_path)));
    let differ = |from: &str, to: &str| {
        assert!(russian.contains(from), "{from} is not on the page");
        let changed = Page::parse(&russian_name(english_path), &russian.replacen(from, to, 1));
        let twin = [Page::parse(english_path, &english), changed];
        differences(&twin, &twins()).join("\n")
    };
    assert_eq!(differ("## ", "## "), "");
    for (from, to, what) in [
        ("\n## ", "\n### ", "other sections"),
        ("\n## ", "\n", "other sections"),
        ("docker-compose stop", "docker-compose pause", "other commands"),
        ("`LOG_KEEP_DAYS`", "`LOG_DAYS`", "other code"),
        ("](../CHANGELOG.md)", "](../README.ru.md)", "other links"),
        ("](INSTALL.ru.md)", "](INSTALL.md)", "other links"),
        ("503", "500", "other numbers"),
        ("| `/livez` |", "`/livez`", "other rows"),
    ] {
        let found = differ(from, to);
        assert!(found.contains(what), "{from:?} as {to:?}: {found}");
    }
}

#[test]
fn numbers_are_read_in_both_languages() {
    let english = numbers("10,000 jobs in 0.4 s, 78, 32 MB, Debian 12.5, 1,000,000; x86-64", [',', '.']);
    let russian = numbers("10 000 заданий за 0,4 с, 78, 32 МБ, Debian 12.5, 1 000 000; x86-64", [' ', ',']);
    assert_eq!(english, ["0.4", "10000", "1000000", "12.5", "32", "64", "78", "86"]);
    assert_eq!(english, russian);
}
