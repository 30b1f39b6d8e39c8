//! The documents agree with the repository: variables, commands and links. Their lines fit a terminal.

use clap::CommandFactory as _;
use stenogram::cli::Cli;
use stenogram::config::VARIABLES;

use crate::pages::{self, PROJECT, Page};

#[test]
fn the_readme_lists_every_variable_with_its_default_and_every_command_with_its_options() {
    for (file, header) in
        [("README.md", "| variable | default |"), ("README.ru.md", "| переменная | по умолчанию |")]
    {
        let readme = Page::read(file).text;
        let (_, table) = readme.split_once(header).expect("the table of variables");
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
        let rows: Vec<_> =
            rows.map(|row| row.split('|').skip(1).take(2).map(cell).collect::<Vec<_>>()).collect();
        let variables: Vec<_> = VARIABLES.iter().map(|variable| [variable.name, variable.default]).collect();
        assert_eq!(rows, variables, "{file}");
        assert_listed(&Cli::command(), "stenogram", &readme);
    }
}

/// Fails unless the README has a row for every command below `command`, and its options in such rows.
fn assert_listed(command: &clap::Command, name: &str, readme: &str) {
    for command in command.get_subcommands() {
        let name = format!("{name} {}", command.get_name());
        let rows: Vec<&str> = readme.lines().filter(|row| row.starts_with(&format!("| `{name}"))).collect();
        assert!(!rows.is_empty(), "README has no row for `{name}`");
        for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
            let listed = rows.iter().any(|row| row.contains(&format!("--{option}")));
            assert!(listed, "README has no --{option} of `{name}`");
        }
        assert_listed(command, &name, readme);
    }
}

/// The links of `page` that lead nowhere, or neither to a file nor to the web.
fn broken_links(page: &Page) -> Vec<&str> {
    let leads_nowhere = |link: &&str| match page.target(link) {
        Some((path, None)) => !path.exists(),
        Some((path, Some(anchor))) => {
            let sections = Page::read(&path.to_string_lossy()).sections;
            !sections.iter().any(|section| section.anchor() == anchor)
        }
        None => !["https://", "http://127.0.0.1", "http://localhost"].iter().any(|it| link.starts_with(it)),
    };
    page.sections.iter().flat_map(|section| section.links()).filter(leads_nowhere).collect()
}

#[test]
fn every_link_leads_somewhere_and_lines_fit_a_terminal() {
    let pages = pages::all(PROJECT.as_ref());
    assert!(pages.len() > 10, "only {} pages", pages.len());
    for page in &pages {
        let name = page.path.display();
        assert_eq!(broken_links(page), [""; 0], "{name}");
        for (line, number) in page.text.lines().zip(1..) {
            let most = if line.starts_with('|') { 160 } else { 100 };
            assert!(line.chars().count() <= most, "{name}:{number} is over {most} columns wide");
        }
    }
    let text = "# Quick `code`\n[a](../README.md) [b](../REDAME.md) [c](INSTALL.md#with-docker)\n\
                [d](INSTALL.md#with-none) <https://example.org> [e](ftp://x)\n\n    [no](link)\n";
    let page = Page::parse(format!("{PROJECT}/docs/QUICKSTART.md").into(), text);
    assert_eq!(broken_links(&page), ["../REDAME.md", "INSTALL.md#with-none", "ftp://x"]);
}

/// How the sections of TROUBLESHOOTING begin that people come for.
const SYMPTOMS: &str = "API_ID / API_HASH not found|Connection lost|Connection refused|Redis not available|\
    No space left on device|Peer id invalid|Slow transcription|Out of memory|Illegal instruction|\
    Model download fails|ffmpeg not found|docker-compose: command not found|Port already in use|\
    Permission denied|FLOOD_WAIT";

#[test]
fn troubleshooting_is_short_and_has_what_people_search_for() {
    for name in ["TROUBLESHOOTING.md", "TROUBLESHOOTING.ru.md"] {
        let Page { text, sections, .. } = Page::read(name);
        assert!(text.len() <= 15 << 10, "{name} has {} bytes", text.len());
        let titles: Vec<_> = sections.iter().filter_map(|it| it.heading.strip_prefix("## ")).collect();
        assert!(titles.len() <= 20, "{name} has {} sections", titles.len());
        for symptom in SYMPTOMS.split('|') {
            assert!(titles.iter().any(|title| title.starts_with(symptom)), "{name} has no {symptom:?}");
        }
    }
}
