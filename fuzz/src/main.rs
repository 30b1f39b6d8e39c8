//! One program for every target; `FUZZ_TARGET` names it. libFuzzer has the `main` function.
//! With `FUZZ_SEEDS` it writes the seeds of all targets into that folder instead.

#![no_main]

use std::sync::LazyLock;

use fuzz_targets::{TARGETS, seeds};
use support::allocations::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    if let Some(folder) = std::env::var_os("FUZZ_SEEDS") {
        seeds::write(folder.as_ref()).expect("write the seeds");
        return |_| ();
    }
    let wanted = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let target = TARGETS.iter().find(|(name, _)| *name == wanted);
    target.unwrap_or_else(|| panic!("FUZZ_TARGET={wanted} is no target")).1
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET(bytes));
