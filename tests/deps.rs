//! DEPS.md and every Cargo.toml list the same dependencies.

use std::collections::BTreeSet;

const DEPS: &str = include_str!("../DEPS.md");
const MANIFESTS: [(&str, &str); 3] = [
    ("Cargo.toml", include_str!("../Cargo.toml")),
    ("tests/fake-telegram/Cargo.toml", include_str!("fake-telegram/Cargo.toml")),
    ("tests/chaos/Cargo.toml", include_str!("chaos/Cargo.toml")),
];

/// `manifest: kind` and the name of one dependency.
type Dependency = (String, String);

/// The dependencies of a manifest: `name = …` below a `[…dependencies]`, or `[…dependencies.name]`.
fn of_manifest(file: &str, manifest: &str) -> BTreeSet<Dependency> {
    let mut found = BTreeSet::new();
    let mut kind = None;
    for line in manifest.lines() {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.split(']').next().unwrap_or_default();
            kind = None;
            // A table for one target, [target.'cfg(…)'.dependencies], counts as the kind itself.
            for name in ["dev-dependencies", "build-dependencies", "dependencies"] {
                if table.ends_with(name) {
                    kind = Some(format!("{file}: {name}"));
                    break;
                }
                if let Some((before, dependency)) = table.rsplit_once(&format!("{name}."))
                    && !before.ends_with('-')
                {
                    found.insert((format!("{file}: {name}"), dependency.to_owned()));
                    break;
                }
            }
        } else if let (Some(kind), Some((name, _))) = (&kind, line.split_once('='))
            && !line.starts_with(['#', ' ', '\t'])
        {
            let name = name.trim().split('.').next().unwrap_or_default();
            found.insert((kind.clone(), name.to_owned()));
        }
    }
    found
}

/// The rows of DEPS.md: below a heading `## manifest: kind`, a table whose first column is the name.
fn of_document(document: &str) -> BTreeSet<Dependency> {
    let mut found = BTreeSet::new();
    let mut kind = String::new();
    for line in document.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            kind = heading.to_owned();
        } else if let Some(name) = line.strip_prefix("| `").and_then(|row| row.split('`').next()) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            assert!(cells.len() == 4 && !cells.contains(&""), "name, room, what for, why this one: {line}");
            assert!(found.insert((kind.clone(), name.to_owned())), "twice: {line}");
        }
    }
    found
}

#[test]
fn every_dependency_is_justified_and_every_justification_is_of_a_dependency() {
    let wanted: BTreeSet<Dependency> =
        MANIFESTS.iter().flat_map(|(file, manifest)| of_manifest(file, manifest)).collect();
    let found = of_document(DEPS);
    let missing: Vec<_> = wanted.difference(&found).collect();
    let left_over: Vec<_> = found.difference(&wanted).collect();
    assert!(
        missing.is_empty() && left_over.is_empty(),
        "DEPS.md lacks {missing:?}, and has without use {left_over:?}"
    );
}

#[test]
fn manifests_are_read_in_all_their_forms() {
    let manifest = "\
[package]
name = \"x\"
[dependencies]
a = \"1\" # = one
# b = \"1\"
c.workspace = true
[dev-dependencies]
d = { version = \"1\" }
[build-dependencies.e]
version = \"1\"
[target.'cfg(unix)'.dependencies]
f = \"1\"
[profile.dev]
debug = 1";
    let found = of_manifest("m", manifest);
    let found: Vec<String> = found.iter().map(|(kind, name)| format!("{kind} {name}")).collect();
    assert_eq!(
        found,
        [
            "m: build-dependencies e",
            "m: dependencies a",
            "m: dependencies c",
            "m: dependencies f",
            "m: dev-dependencies d",
        ]
    );
}
