//! DEPS.md and every Cargo.toml list the same dependencies.

use std::collections::BTreeSet;

const DEPS: &str = include_str!("../DEPS.md");
const MANIFESTS: [(&str, &str); 5] = [
    ("Cargo.toml", include_str!("../Cargo.toml")),
    ("tests/fake-telegram/Cargo.toml", include_str!("fake-telegram/Cargo.toml")),
    ("tests/chaos/Cargo.toml", include_str!("chaos/Cargo.toml")),
    ("tests/eval/Cargo.toml", include_str!("eval/Cargo.toml")),
    ("tests/support/Cargo.toml", include_str!("support/Cargo.toml")),
];

/// The dependencies of a manifest, as `Cargo.toml: dev-dependencies: name`.
fn of_manifest(file: &str, manifest: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut kind = None;
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
fn of_document(document: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut kind = "";
    for line in document.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            kind = heading;
        } else if let Some((name, reason)) = line.strip_prefix("- `").and_then(|item| item.split_once('`')) {
            assert!(reason.starts_with(" (") && reason.contains("): "), "where, and what for: {line}");
            assert!(found.insert(format!("{kind}: {name}")), "twice: {line}");
        }
    }
    found
}

/// A workspace is built with the features that any member asks for. What a test crate asked for
/// would be in the program that all other tests run, and not in the one that is released.
#[test]
fn no_test_crate_asks_for_a_feature_of_the_product() {
    for (file, manifest) in MANIFESTS {
        let asks = |line: &&str| line.starts_with("stenogram =") && line.contains("features");
        assert_eq!(manifest.lines().find(asks), None, "{file}");
    }
}

#[test]
fn every_dependency_has_a_reason_and_every_reason_a_dependency() {
    let manifests = MANIFESTS.iter().flat_map(|(file, manifest)| of_manifest(file, manifest));
    assert_eq!(manifests.collect::<BTreeSet<_>>(), of_document(DEPS));
}
