//! Every target holds on its seeds, and on every input that ever failed.

use std::fs;
use std::path::Path;

use fuzz_targets::{TARGETS, seeds};
use support::allocations::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn seeds_hold() {
    for (name, target) in TARGETS {
        let seeds = seeds::seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for (seed, bytes) in seeds {
            println!("{name}: {seed}");
            target(&bytes);
        }
    }
}

#[test]
fn what_failed_once_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    for entry in fs::read_dir(folder).expect("list the regressions") {
        let folder = entry.expect("list the regressions").path();
        if folder.is_file() {
            // The README.
            continue;
        }
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name");
        let Some((_, target)) = TARGETS.iter().find(|(target, _)| *target == name) else {
            panic!("{name} is no target")
        };
        for input in fs::read_dir(&folder).expect("list the inputs") {
            let input = input.expect("list the inputs").path();
            println!("{}", input.display());
            target(&fs::read(&input).expect("read an input"));
        }
    }
}
