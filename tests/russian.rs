//! Each section of a Russian page has the commands, code, links and numbers of its English twin.

use std::fs;

use crate::pages::{PROJECT, Page, Section};

/// The pages that exist in both languages, without `.md` and `.ru.md`.
const TWINS: [&str; 5] = ["README", "TROUBLESHOOTING", "docs/INSTALL", "docs/OPERATING", "docs/QUICKSTART"];

/// Where `link` leads, the same for both languages: the English file and the number of the section.
fn destination(page: &Page, link: &str) -> String {
    let Some((path, anchor)) = page.target(link) else { return link.to_owned() };
    let section = anchor.map(|anchor| {
        let text = fs::read_to_string(&path).unwrap_or_default();
        Page::parse(path.clone(), &text).place(&anchor)
    });
    let path = path.to_string_lossy().into_owned();
    let is_russian = |path: &str| path.ends_with(".ru.md");
    let has_twin = TWINS.iter().any(|twin| path == format!("{PROJECT}/{twin}.md"));
    let misses_twin = is_russian(&page.path.to_string_lossy()) && has_twin;
    format!("{} {section:?}{}", path.replace(".ru.md", ".md"), if misses_twin { " in English" } else { "" })
}

/// What must be the same in both languages, and what it is.
fn facts(page: &Page, section: &Section) -> [(&'static str, Vec<String>); 5] {
    // 10,000 and 0.4 are 10 000 and 0,4 in Russian: only the digits are the same.
    let digits = section.prose.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let links = section.links().into_iter().map(|link| destination(page, link));
    let level = section.heading.chars().take_while(|&c| c == '#').count();
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    [
        ("level", vec![level.to_string()]),
        ("blocks", section.blocks.clone()),
        ("code", section.code.iter().cloned().collect()),
        ("links", sorted(links.collect())),
        ("numbers", sorted(digits.map(str::to_owned).collect())),
    ]
}

fn differences(english: &Page, russian: &Page) -> Vec<String> {
    let mut found = Vec::new();
    if english.sections.len() != russian.sections.len() {
        found.push(format!("{} has other sections", russian.path.display()));
    }
    for (ours, theirs) in english.sections.iter().zip(&russian.sections) {
        for ((what, ours), (_, theirs_)) in facts(english, ours).into_iter().zip(facts(russian, theirs)) {
            // The first line leads to the other language.
            if ours != theirs_ && !(what == "links" && theirs.heading.is_empty()) {
                let heading = &theirs.heading;
                found.push(format!(
                    "{}, {heading}: other {what}:\n{theirs_:?}\n{ours:?}",
                    russian.path.display()
                ));
            }
        }
    }
    found
}

#[test]
fn the_russian_pages_say_what_the_english_ones_say() {
    for twin in TWINS {
        let [english, russian] = [".md", ".ru.md"].map(|end| Page::read(&format!("{twin}{end}")));
        assert_eq!(differences(&english, &russian), [""; 0]);
        let name = twin.trim_start_matches("docs/");
        assert_eq!(english.sections[0].links(), [format!("{name}.ru.md")]);
        assert_eq!(russian.sections[0].links(), [format!("{name}.md")]);
    }
}

#[test]
fn a_russian_page_that_says_something_else_is_found() {
    let english = Page::read("docs/OPERATING.md");
    let path = english.path.with_extension("ru.md");
    let russian = fs::read_to_string(&path).unwrap();
    for (from, to, what) in [
        ("\n## ", "\n### ", "other level"),
        ("\n## ", "\n", "other sections"),
        ("docker-compose stop", "docker-compose pause", "other blocks"),
        ("`LOG_KEEP_DAYS`", "`LOG_DAYS`", "other code"),
        ("](../CHANGELOG.md)", "](../README.ru.md)", "other links"),
        ("](INSTALL.ru.md)", "](INSTALL.md)", "other links"),
        ("503", "500", "other numbers"),
    ] {
        let page = Page::parse(path.clone(), &russian.replacen(from, to, 1));
        let found = differences(&english, &page).join("\n");
        assert!(found.contains(what), "{from:?} as {to:?}: {found}");
    }
}
