//! `stenogram config`: the values in force, and where each one comes from.

use std::io::{self, Write};

use crate::config::RawConfig;

/// Prints a line for each variable: name, value, origin, in columns. Secrets are hidden. The values
/// are not checked here.
pub fn run(raw: &RawConfig, out: &mut impl Write) -> io::Result<()> {
    let rows: Vec<[String; 3]> = raw
        .entries()
        .iter()
        .map(|entry| {
            let value = entry.shown().unwrap_or_else(|| "(not set)".to_owned());
            [entry.variable.name.to_owned(), value, entry.origin.to_string()]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (names, values) = (width(0), width(1));
    for [name, value, origin] in &rows {
        writeln!(out, "{name:names$}  {value:values$}  {origin}")?;
    }
    out.flush()
}
