//! Every test that needs no process of its own, one module per file.
//!
//! Linking a program with whisper.cpp takes long, so there is one for all of them. A file whose tests
//! need a process of their own says why at its head and has its own `[[test]]` in Cargo.toml.

mod in_process {
    //! Parts of the daemon that run inside the test.
    pub mod account;
    pub mod workplace;
}

mod architecture;
mod audio;
mod bench_cli;
mod cli;
mod compose;
mod config;
mod cpu;
mod demo;
mod deps;
mod doctor;
mod documents;
mod e2e;
mod evaluation;
mod explain;
mod fleet;
mod guard;
mod health;
mod line;
mod log_events;
mod log_files;
mod login;
mod models;
mod models_cli;
mod notices;
mod official;
mod page;
mod pages;
mod private_files;
mod proxies;
mod queue;
mod recognisers;
mod refusals;
mod release;
mod russian;
mod scripts;
mod secrets;
mod serve;
mod signals;
mod speech;
mod spool;
mod systemd;
mod telegram;
mod toolkits;
mod transcribe;
mod translation;
mod vad;
mod volume;
mod window;

/// A file that is in neither list would never be compiled.
#[test]
fn every_file_of_tests_is_part_of_a_program() {
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for file in std::fs::read_dir(tests).unwrap().map(|entry| entry.unwrap().file_name()) {
        let file = file.into_string().unwrap();
        let Some(name) = file.strip_suffix(".rs").filter(|name| *name != "main") else { continue };
        let here = include_str!("main.rs").contains(&format!("\nmod {name};\n"));
        let own = include_str!("../Cargo.toml").contains(&format!("[[test]]\nname = \"{name}\"\n"));
        assert!(
            here != own,
            "tests/{file} belongs either into tests/main.rs or under [[test]] in Cargo.toml"
        );
    }
}
