//! The documents agree with the repository: variables, commands and links. Their lines fit a terminal.

use std::fs;
use std::path::Path;

use clap::CommandFactory as _;
use stenogram::cli::Cli;
use stenogram::config::VARIABLES;

use crate::pages::{self, PROJECT, Page};

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(PROJECT).join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn the_readme_lists_every_variable_with_its_default() {
    for (file, header) in
        [("README.md", "| variable | default |"), ("README.ru.md", "| переменная | по умолчанию |")]
    {
        let readme = read(file);
        let (_, table) = readme.split_once(header).expect("the table of variables");
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
        let rows: Vec<_> =
            rows.map(|row| row.split('|').skip(1).take(2).map(cell).collect::<Vec<_>>()).collect();
        let variables: Vec<_> = VARIABLES.iter().map(|variable| [variable.name, variable.default]).collect();
        assert_eq!(rows, variables, "{file}");
    }
}

/// Fails unless the README has a row for every command below `command`, and its options in such rows.
fn assert_listed(command: &clap::Command, name: &str, readme: &str) {
    for command in command.get_subcommands() {
        let name = format!("{name} {}", command.get_name());
        let rows: Vec<&str> = readme.lines().filter(|row| row.starts_with(&format!("| `{name}"))).collect();
        assert!(!rows.is_empty(), "README.md has no row for `{name}`");
        for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
            let listed = rows.iter().any(|row| row.contains(&format!("--{option}")));
            assert!(listed, "README.md has no --{option} of `{name}`");
        }
        assert_listed(command, &name, readme);
    }
}

#[test]
fn the_readme_lists_every_command_with_its_options() {
    for file in ["README.md", "README.ru.md"] {
        assert_listed(&Cli::command(), "stenogram", &read(file));
    }
}

/// The links of `page` that lead nowhere, or neither to a file nor to the web.
fn broken_links(page: &Page) -> Vec<&str> {
    let leads_nowhere = |link: &&str| match page.target(link) {
        Some((path, None)) => !path.exists(),
        Some((path, Some(anchor))) => {
            let text = fs::read_to_string(&path);
            text.is_ok_and(|text| Page::parse(path, &text).place(&anchor).is_none())
        }
        None => !["https://", "http://127.0.0.1", "http://localhost"].iter().any(|it| link.starts_with(it)),
    };
    page.sections.iter().flat_map(|section| section.links()).filter(leads_nowhere).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages::all(Path::new(PROJECT));
    assert!(pages.len() > 10, "only {} pages", pages.len());
    for page in &pages {
        assert_eq!(broken_links(page), [""; 0], "{}", page.path.display());
    }
    let text = "# Quick `code`\n[a](../README.md) [b](../REDAME.md) [c](INSTALL.md#with-docker)\n\
                [d](INSTALL.md#with-none) <https://example.org> [e](ftp://x)\n\n    [no](link)\n";
    let page = Page::parse(Path::new(PROJECT).join("docs/QUICKSTART.md"), text);
    assert_eq!(broken_links(&page), ["../REDAME.md", "INSTALL.md#with-none", "ftp://x"]);
}

#[test]
fn lines_fit_a_terminal() {
    for page in pages::all(Path::new(PROJECT)) {
        let name = page.path.strip_prefix(PROJECT).unwrap().display();
        for (line, number) in fs::read_to_string(&page.path).unwrap().lines().zip(1..) {
            let most = if line.starts_with('|') { 160 } else { 100 };
            assert!(line.chars().count() <= most, "{name}:{number} is over {most} columns wide");
        }
    }
}
