//! The measurements as a table for people and as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::advice::Advice;
use super::difference::differences;
use super::machine::Machine;
use super::measured::{Clip, Measured, Memory, Row, Setting};

/// Everything, as `--json` writes it.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub machine: &'a Machine,
    /// The recordings; empty for the built-in message.
    pub recordings: &'a [String],
    /// A code or `auto`.
    pub language: &'a str,
    pub models: &'a [Measured],
    pub advice: Option<&'a Advice>,
}

/// The table. Each row is written as soon as it is measured.
pub struct Table {
    /// The width of the first column.
    name: usize,
    seconds: Vec<u32>,
}

impl Table {
    pub fn new(models: &[String], seconds: Vec<u32>) -> Self {
        let widths = models.iter().map(|name| name.chars().count());
        Self { name: widths.max().unwrap_or(0).max("MODEL".len()), seconds }
    }

    pub fn head(&self, out: &mut impl Write) -> io::Result<()> {
        let clips: String =
            self.seconds.iter().map(|seconds| format!("{:>9}", format!("{seconds} s"))).collect();
        let (name, [model, threads, context]) = (self.name, ["MODEL", "THREADS", "CONTEXT"]);
        writeln!(
            out,
            "{model:name$}  {threads}  {context}  FLASH  {:>8}{clips}  {:>10}  {:>10}",
            "LOAD", "MEMORY", "PEAK"
        )
    }

    pub fn row(&self, model: &str, row: &Row, out: &mut impl Write) -> io::Result<()> {
        let clips: String = row.clips.iter().map(|clip| format!("{:>9.3}", clip.ratio)).collect();
        let mib = |of: fn(&Memory) -> u64| {
            row.memory.as_ref().map_or("-".to_owned(), |it| format!("{} MiB", of(it)))
        };
        let (width, Setting { threads, audio_context, flash_attention }) = (self.name, row.setting);
        let flash = if flash_attention { "on" } else { "off" };
        let [memory, peak] = [mib(|it| it.resident_mib), mib(|it| it.peak_mib)];
        let load = format!("{:.2} s", row.load);
        writeln!(
            out,
            "{model:width$}  {threads:>7}  {audio_context:7}  {flash:5}  {load:>8}{clips}  {memory:>10}  {peak:>10}"
        )?;
        // People wait for each row.
        out.flush()
    }
}

/// Shows where a model's texts differ from those of its first setting.
pub fn compare(models: &[Measured], out: &mut impl Write) -> io::Result<()> {
    let mut found = false;
    for Measured { model, settings, .. } in models {
        let Some((first, others)) = settings.split_first() else { continue };
        for other in others {
            for (clip, with) in first.clips.iter().zip(&other.clips) {
                let text = |clip: &Clip| clip.text.clone().unwrap_or_default();
                let Some(difference) = differences(&text(clip), &text(with)) else { continue };
                if !found {
                    writeln!(
                        out,
                        "\nOther texts, as changes from a model's first row, [-without-] and {{+with+}}:"
                    )?;
                    found = true;
                }
                writeln!(out, "  {model}, {} s, {}: {difference}", clip.seconds, other.setting)?;
            }
        }
    }
    if !found {
        writeln!(out, "\nEach model gives the same texts with all settings.")?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::domain::AudioContext;

    fn row(threads: usize, text: &str) -> Row {
        let clip = |seconds, took| Clip {
            seconds,
            took,
            ratio: took / f64::from(seconds),
            runs: 3,
            text: Some(text.to_owned()),
        };
        Row {
            setting: Setting {
                threads: NonZeroUsize::new(threads).unwrap(),
                audio_context: AudioContext::Full,
                flash_attention: threads == 16,
            },
            load: 0.123,
            clips: vec![clip(3, 1.5), clip(120, 9.0)],
            memory: (threads == 1).then_some(Memory { resident_mib: 388, peak_mib: 1402 }),
        }
    }

    #[test]
    fn columns_line_up() {
        let table = Table::new(&["base".to_owned(), "large-v3".to_owned()], vec![3, 120]);
        let mut out = Vec::new();
        table.head(&mut out).unwrap();
        table.row("base", &row(1, ""), &mut out).unwrap();
        table.row("large-v3", &row(16, ""), &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "MODEL     THREADS  CONTEXT  FLASH      LOAD      3 s    120 s      MEMORY        PEAK\n\
             base            1  full     off      0.12 s    0.500    0.075     388 MiB    1402 MiB\n\
             large-v3       16  full     on       0.12 s    0.500    0.075           -           -\n"
        );
    }

    #[test]
    fn a_comparison_shows_every_difference_from_the_first_setting() {
        let shown = |settings: Vec<Row>| {
            let mut out = Vec::new();
            let model = Measured { model: "base".into(), value: "base.bin".into(), settings };
            compare(&[model], &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let alike = shown(vec![row(1, "one two"), row(2, "one two")]);
        assert_eq!(alike, "\nEach model gives the same texts with all settings.\n");
        let different = shown(vec![row(1, "one two"), row(2, "one"), row(4, "one two")]);
        assert_eq!(
            different,
            "\nOther texts, as changes from a model's first row, [-without-] and {+with+}:\n  \
             base, 3 s, 2 threads, full context: one [-two-]\n  \
             base, 120 s, 2 threads, full context: one [-two-]\n"
        );
    }
}
