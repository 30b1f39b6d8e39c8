//! What the tests and benchmarks share: recordings, servers, and the program as a child.

pub mod allocations;
pub mod bombs;
pub mod browser;
pub mod certificates;
pub mod daemon;
pub mod disk;
pub mod doctor;
pub mod ffmpeg;
pub mod gguf;
pub mod http;
pub mod model_file;
pub mod mtproxy;
pub mod noise;
pub mod official;
pub mod peak;
pub mod proxy;
pub mod python;
pub mod redis;
pub mod signals;
mod skipped;
pub mod speech;
pub mod terminal;
pub mod tls;
pub mod weights;

use std::path::PathBuf;

pub use skipped::skipped;

/// The program `stenogram` of the build that the running test or benchmark belongs to.
pub fn stenogram() -> PathBuf {
    // Cargo puts tests and benchmarks into the folder `deps` beside the programs.
    let this = std::env::current_exe().expect("the path of the running program");
    this.ancestors().nth(2).expect("it is in a folder of target").join("stenogram")
}
