//! The pages for people hold against each other and against what is in the repository.

use std::fs;
use std::path::Path;

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");
const PAGES: [&str; 5] = ["README.md", "TROUBLESHOOTING.md", "ARCHITECTURE.md", "CHANGELOG.md", "DEPS.md"];

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(PROJECT).join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// `(name, default)` of each variable, in order; they stand there as `NAME=default`, commented out or not.
fn variables_of_the_example() -> Vec<(String, String)> {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    read(".env.example")
        .lines()
        .filter_map(|line| line.strip_prefix('#').unwrap_or(line).split_once('='))
        .filter(|(name, _)| is_name(name))
        .map(|(name, default)| (name.to_owned(), default.to_owned()))
        .collect()
}

/// The same from the README's table, whose rows are `` | `NAME` | `default` | … | ``.
fn variables_of_the_readme() -> Vec<(String, String)> {
    let readme = read("README.md");
    let (_, table) = readme.split_once("| variable | default |").expect("the table of variables");
    let cell = |text: &str| text.trim().trim_matches('`').to_owned();
    table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|row| {
            let mut cells = row.trim_matches('|').split('|').map(cell);
            (cells.next().unwrap(), cells.next().unwrap())
        })
        .collect()
}

#[test]
fn the_readme_lists_every_variable_with_its_default() {
    assert!(!variables_of_the_readme().is_empty());
    assert_eq!(variables_of_the_readme(), variables_of_the_example());
}

#[test]
fn every_file_that_a_page_links_to_is_there() {
    let mut links = 0;
    for page in PAGES {
        for link in read(page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("https://") || link.starts_with('#') {
                continue;
            }
            links += 1;
            assert!(Path::new(PROJECT).join(link).exists(), "{page} links to {link}");
        }
    }
    assert!(links > 0);
}

/// The anchor that a heading gets: its letters, digits, `_` and `-`, in lower case, blanks as `-`.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' '));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn every_section_that_a_page_links_to_is_there() {
    let mut links = 0;
    for page in PAGES {
        let text = read(page);
        let headings: Vec<String> = text
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(|line| anchor(line.trim_start_matches('#').trim()))
            .collect();
        for link in text.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            links += 1;
            assert!(headings.iter().any(|heading| heading == link), "{page} links to #{link}");
        }
    }
    assert!(links > 0);
}
