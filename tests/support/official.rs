//! OpenAI's weights and recordings of people, which a machine may lack.

use std::path::{Path, PathBuf};

use crate::skipped;

/// The folder of the project.
fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("this crate is in tests/support")
}

/// Where a model file with official weights is looked for: in the folder that MODEL_DIR names, or in target/models,
/// where `../shared/models/real/make.sh target/models` puts them.
pub fn model_path(file: &str) -> PathBuf {
    let made = || project().join("target/models");
    std::env::var_os("MODEL_DIR").map_or_else(made, PathBuf::from).join(file)
}

/// A model file with official weights. If it is missing, the test says so and leaves out what needs it.
pub fn model(file: &str) -> Option<PathBuf> {
    found(model_path(file))
}

/// A recording of `../shared/data`. If it is missing, the test says so and leaves out what needs it.
pub fn shared(name: &str) -> Option<PathBuf> {
    found(project().join("../shared/data").join(name))
}

fn found(path: PathBuf) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    skipped(format!("no {}", path.display()));
    None
}
