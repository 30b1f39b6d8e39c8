//! `stenogram doctor`: shows what [`crate::doctor`] finds, for people or as JSON.

use std::io::{self, Write};

use indicatif::ProgressBar;
use serde::Serialize;

use super::progress;
use crate::cli::Doctor;
use crate::config::RawConfig;
use crate::doctor::{self, Finding, Observer, Outcome};
use crate::runtime::logging;

/// Runs all checks. Returns how many failed.
pub async fn run(raw: &RawConfig, args: Doctor, out: &mut impl Write) -> io::Result<usize> {
    let colours = logging::shows_colours(&io::stdout());
    let mut printer =
        Printer { out, json: args.json, colours, bar: None, findings: Vec::new(), result: Ok(()) };
    doctor::examine(raw, args.role, &mut printer).await;
    printer.end()
}

/// Prints the findings as they come, or all at the end as JSON.
struct Printer<'a, W> {
    out: &'a mut W,
    json: bool,
    colours: bool,
    /// Shows which check is running, and its progress.
    bar: Option<ProgressBar>,
    findings: Vec<Finding>,
    /// The first failure to write. Nothing is written after it.
    result: io::Result<()>,
}

/// Everything, as `--json` writes it.
#[derive(Serialize)]
struct Report<'a> {
    /// The worst outcome of all findings.
    outcome: Outcome,
    findings: &'a [Finding],
}

impl<W: Write> Printer<'_, W> {
    fn end(self) -> io::Result<usize> {
        self.result?;
        let count = |outcome| self.findings.iter().filter(|finding| finding.outcome == outcome).count();
        let [warned, failed] = [Outcome::Warn, Outcome::Fail].map(count);
        if self.json {
            let outcome = self.findings.iter().map(|finding| finding.outcome).max().unwrap_or(Outcome::Ok);
            serde_json::to_writer(&mut *self.out, &Report { outcome, findings: &self.findings })?;
            writeln!(self.out)?;
        } else {
            writeln!(self.out, "\n{}", sum(warned, failed))?;
        }
        self.out.flush()?;
        Ok(failed)
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl<W: Write> Observer for Printer<'_, W> {
    fn begins(&mut self, check: &'static str) {
        self.clear();
        self.bar = Some(progress::spinner(check));
    }

    fn progress(&mut self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(progress::percent(done, total));
        }
    }

    fn found(&mut self, finding: Finding) {
        self.clear();
        if !self.json && self.result.is_ok() {
            self.result =
                write!(self.out, "{}", line(&finding, self.colours)).and_then(|()| self.out.flush());
        }
        self.findings.push(finding);
    }
}

/// The length of the longest name of a check.
const WIDTH: usize = 14;

/// A line, and another one with the remedy, if there is one.
fn line(finding: &Finding, colours: bool) -> String {
    let (word, colour) = match finding.outcome {
        Outcome::Ok => ("ok", "32"),
        Outcome::Warn => ("warn", "33"),
        Outcome::Fail => ("FAIL", "31"),
    };
    let word = format!("{word:4}");
    let word = if colours { format!("\u{1b}[{colour}m{word}\u{1b}[0m") } else { word };
    // An error may have several lines, or control characters from outside.
    let one_line = |text: &str| text.replace(char::is_control, " ");
    let mut text = format!("{word}  {:WIDTH$}  {}\n", finding.check, one_line(&finding.says));
    if let Some(remedy) = &finding.remedy {
        let code = finding.code.map(|code| format!(" [{code}]")).unwrap_or_default();
        text.push_str(&format!("      {:WIDTH$}  -> {}{code}\n", "", one_line(remedy)));
    }
    text
}

fn sum(warned: usize, failed: usize) -> String {
    match (warned, failed) {
        (0, 0) => "All is well.".to_owned(),
        (_, 0) => format!("Nothing failed; {}.", number(warned, "warning")),
        (0, _) => format!("{} failed.", number(failed, "check")),
        _ => format!("{} failed; {}.", number(failed, "check"), number(warned, "warning")),
    }
}

fn number(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_line_up_and_are_coloured_only_when_told() {
        let finding = Finding {
            check: "session",
            outcome: Outcome::Fail,
            says: "is\nnot there".to_owned(),
            remedy: Some("log in".to_owned()),
            code: Some("not-logged-in"),
        };
        let expected =
            "FAIL  session         is not there\n                      -> log in [not-logged-in]\n";
        assert_eq!(line(&finding, false), expected);
        assert!(line(&finding, true).starts_with("\u{1b}[31mFAIL\u{1b}[0m  session"));
        let well = Finding { outcome: Outcome::Ok, remedy: None, code: None, ..finding };
        assert_eq!(line(&well, false), "ok    session         is not there\n");
    }

    #[test]
    fn the_sum_is_said_in_words() {
        let cases = [
            ((0, 0), "All is well."),
            ((2, 0), "Nothing failed; 2 warnings."),
            ((0, 1), "1 check failed."),
            ((1, 3), "3 checks failed; 1 warning."),
        ];
        for ((warned, failed), expected) in cases {
            assert_eq!(sum(warned, failed), expected);
        }
    }
}
