//! The program `stenogram`; see [`stenogram::program`].

use std::process::ExitCode;

use stenogram::app::Undecorated;

fn main() -> ExitCode {
    stenogram::program::main_with(&Undecorated)
}
