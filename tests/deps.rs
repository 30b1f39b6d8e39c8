//! DEPS.md and every Cargo.toml list the same dependencies.

use std::collections::BTreeSet;

use crate::pages::PROJECT;

const CRATES: [&str; 7] =
    ["", "tests/fake-telegram/", "tests/chaos/", "tests/eval/", "tests/fuzz/", "tests/support/", "fuzz/"];

/// The dependencies of a manifest, as `Cargo.toml: dev-dependencies: name`.
fn of_manifest(folder: &str) -> BTreeSet<String> {
    let file = format!("{folder}Cargo.toml");
    let manifest = std::fs::read_to_string(std::path::Path::new(PROJECT).join(&file)).unwrap();
    let (mut found, mut kind) = (BTreeSet::new(), None);
    for line in manifest.lines() {
        if let Some(table) = line.strip_prefix('[') {
            assert!(!table.contains("dependencies."), "{file}: write this as one line: {line}");
            // A table for one target, [target.'cfg(…)'.dependencies], counts as the kind itself.
            let name = table.trim_end_matches(']').rsplit('.').next().unwrap_or_default();
            kind = name.ends_with("dependencies").then(|| name.to_owned());
        } else if let (Some(kind), Some((name, _))) = (&kind, line.split_once('='))
            && line.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            let name = name.trim().split('.').next().unwrap_or_default();
            found.insert(format!("{file}: {kind}: {name}"));
        }
    }
    found
}

/// The items of DEPS.md, ``- `name` (folders): reason``, below headings `## manifest: kind`.
fn of_document() -> BTreeSet<String> {
    let (mut found, mut kind) = (BTreeSet::new(), "");
    for line in include_str!("../DEPS.md").lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            kind = heading;
        } else if let Some((name, reason)) = line.strip_prefix("- `").and_then(|item| item.split_once('`')) {
            assert!(reason.starts_with(" (") && reason.contains("): "), "where, and what for: {line}");
            assert!(found.insert(format!("{kind}: {name}")), "twice: {line}");
        }
    }
    found
}

#[test]
fn every_dependency_has_a_reason_and_every_reason_a_dependency() {
    let manifests = CRATES.into_iter().flat_map(of_manifest);
    assert_eq!(manifests.collect::<BTreeSet<_>>(), of_document());
}
