//! Commands and flags.

mod demo;
mod serve;
mod session;

use clap::{Parser, Subcommand};

/// A Telegram on loopback, for tests, demonstrations and containers.
#[derive(Parser)]
#[command(name = "fake-telegram", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a server.
    ///
    /// Once it is ready it prints one line of JSON with its addresses and keys. Then it obeys
    /// lines of JSON on its standard input (and on --control), such as
    /// {"do":"voice","chat":2000,"file":"hello.ogg","seconds":2}, until one says {"do":"quit"} or
    /// the input ends.
    Serve(Box<serve::Args>),
    /// Show the daemon at work: send it voice messages, print its answers beside them.
    Demo(demo::Args),
    /// Write a session file with which the daemon talks to a server under your control.
    Session(session::Args),
}

pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(args) => serve::run(*args),
        Command::Demo(args) => demo::run(args),
        Command::Session(args) => session::run(args),
    }
}

/// A key on the command line: 512 hex digits.
fn parse_key(text: &str) -> Result<[u8; 256], String> {
    fake_telegram::key_from_hex(text).ok_or_else(|| "a key is 512 hexadecimal digits".to_owned())
}
