//! Each section of a Russian page has the commands, variables and links of its English twin.

use crate::pages::{self, PROJECT, Page, Section};

/// What must be the same in both languages.
fn facts(section: &Section) -> [String; 4] {
    let level = section.heading.chars().take_while(|&c| c == '#').count();
    let file = |link: &str| link.split('#').next().unwrap_or_default().replace(".ru.", ".");
    let (blocks, mut links) =
        (section.blocks.join("|"), section.links().into_iter().map(file).collect::<Vec<_>>());
    links.sort();
    let code = section.code.iter().cloned().collect::<Vec<_>>().join("|");
    [format!("level {level}"), format!("blocks {blocks}"), format!("code {code}"), format!("links {links:?}")]
}

fn differences(english: &Page, russian: &Page) -> Vec<String> {
    let mut found = Vec::new();
    if english.sections.len() != russian.sections.len() {
        found.push("other sections".to_owned());
    }
    for (ours, theirs) in english.sections.iter().zip(&russian.sections) {
        let pairs = facts(ours).into_iter().zip(facts(theirs)).filter(|(ours, theirs)| ours != theirs);
        found.extend(pairs.map(|(ours, theirs)| format!("not {ours}, but {theirs}")));
    }
    found
}

#[test]
fn the_russian_pages_say_what_the_english_ones_say() {
    let pages = pages::all(PROJECT.as_ref());
    let russian: Vec<_> =
        pages.iter().filter(|page| page.path.to_string_lossy().ends_with(".ru.md")).collect();
    assert!(russian.len() >= 5, "{} Russian pages", russian.len());
    for russian in russian {
        let english = Page::read(&russian.path.to_string_lossy().replace(".ru.md", ".md"));
        assert_eq!(differences(&english, russian), [""; 0], "{}", russian.path.display());
    }
}

#[test]
fn a_russian_page_that_says_something_else_is_found() {
    let english = Page::read("docs/OPERATING.md");
    let russian = Page::read("docs/OPERATING.ru.md");
    for (from, to, what) in [
        ("\n## ", "\n### ", "not level"),
        ("\n## ", "\n", "other sections"),
        ("docker-compose stop", "docker-compose pause", "not blocks"),
        ("`LOG_KEEP_DAYS`", "`LOG_DAYS`", "not code"),
        ("](INSTALL.ru.md)", "](QUICKSTART.ru.md)", "not links"),
    ] {
        let page = Page::parse(russian.path.clone(), &russian.text.replacen(from, to, 1));
        let found = differences(&english, &page).join("\n");
        assert!(found.contains(what), "{from:?} as {to:?}: {found}");
    }
}
