//! The pages for people hold against what is in the repository: variables, commands, links.

#[path = "support/pages.rs"]
#[allow(dead_code, reason = "shared with tests/russian.rs")]
mod pages;

use std::fs;
use std::path::Path;

use clap::CommandFactory as _;
use pages::{Page, Section};
use stenogram::cli::Cli;

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

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

/// The same from a README's table, whose rows are `` | `NAME` | `default` | … | ``.
fn variables_of(readme: &str, header: &str) -> Vec<(String, String)> {
    let readme = read(readme);
    let (_, table) = readme.split_once(header).expect("the table of variables");
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
    let variables = variables_of_the_example();
    assert!(!variables.is_empty());
    assert_eq!(variables_of("README.md", "| variable | default |"), variables);
    assert_eq!(variables_of("README.ru.md", "| переменная | по умолчанию |"), variables);
}

/// Every command with its own words and options, as in `queue retry` and `--all-dead`.
fn commands(of: &clap::Command, before: &str, found: &mut Vec<(String, Vec<String>)>) {
    for command in of.get_subcommands() {
        let name = format!("{before} {}", command.get_name());
        let options = command.get_opts().chain(command.get_arguments().filter(|arg| !arg.is_positional()));
        let mut options: Vec<String> =
            options.filter_map(|option| option.get_long()).map(|long| format!("--{long}")).collect();
        options.sort();
        options.dedup();
        commands(command, &name, found);
        found.push((name, options));
    }
}

#[test]
fn the_readme_lists_every_command_with_its_options() {
    let mut all = Vec::new();
    commands(&Cli::command(), "stenogram", &mut all);
    assert!(all.len() > 10, "{all:?}");
    let readme = read("README.md");
    for (command, options) in all {
        let rows: Vec<&str> = readme.lines().filter(|line| line.contains(&format!("`{command}"))).collect();
        assert!(rows.iter().any(|row| row.starts_with("| ")), "README.md has no row for `{command}`");
        for option in options {
            assert!(rows.iter().any(|row| row.contains(&option)), "README.md has no {option} of `{command}`");
        }
    }
}

/// What is wrong with the links of `pages`, which are all there are.
fn broken_links(pages: &[Page]) -> Vec<String> {
    let mut broken = Vec::new();
    for page in pages {
        for link in page.sections.iter().flat_map(|section| &section.links) {
            let Some((path, anchor)) = page.target(link) else {
                if !["https://", "http://127.0.0.1", "http://localhost"].iter().any(|it| link.starts_with(it))
                {
                    broken.push(format!("{}: {link} is no address of the web", page.path.display()));
                }
                continue;
            };
            let there = Path::new(PROJECT).join(&path).exists();
            let place = anchor.is_none_or(|anchor| {
                pages.iter().any(|page| page.path == path && page.place(&anchor).is_some())
            });
            if !there || !place {
                broken.push(format!("{}: {link} leads nowhere", page.path.display()));
            }
        }
    }
    broken
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let pages = pages::all();
    let links = |section: &Section| section.links.len();
    let count: usize = pages.iter().flat_map(|page| &page.sections).map(links).sum();
    assert!(pages.len() > 10 && count > 100, "only {} pages and {count} links", pages.len());
    assert_eq!(broken_links(&pages), [""; 0]);
}

#[test]
fn a_broken_link_is_found() {
    let pages = [Page::parse(
        Path::new("docs/INSTALL.md"),
        "# Some `code`, and more\n[a](../README.md) [b](../REDAME.md) [c](#some-code-and-more) [d](#some)\n\
         <https://example.org> [e](ftp://x) [f](INSTALL.md#some)\n\n```sh\n[no](link)\n```\n\n    [no](link)\n",
    )];
    let nowhere = ["../REDAME.md leads nowhere", "#some leads nowhere"];
    let expected =
        [nowhere[0], nowhere[1], "ftp://x is no address of the web", "INSTALL.md#some leads nowhere"];
    assert_eq!(broken_links(&pages), expected.map(|what| format!("docs/INSTALL.md: {what}")));
}
