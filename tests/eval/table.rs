//! The table of a trial.

use stenogram::domain::score::{Tally, percent};

/// A line each of clips of a kind, below [`HEAD`].
pub const HEAD: &str =
    "                            clips    exact      WER      CER  false text  language  time ratio";

/// What cannot be told is a dash.
pub fn line(name: &str, tally: &Tally) -> String {
    let shown = |percent: Option<f64>, width: usize| match percent {
        None => format!("{:>width$}", "-"),
        Some(percent) => format!("{:>width$}", format!("{percent:.1} %")),
    };
    let share = |part, whole| (whole > 0).then(|| percent(part, whole));
    let false_texts = match tally.silent {
        0 => "-".to_owned(),
        silent => format!("{} of {silent}", tally.false_texts),
    };
    format!(
        "{name:26} {:>6} {} {} {} {false_texts:>11} {} {:>11.3}",
        tally.clips(),
        shown(share(tally.exact, tally.texts), 8),
        shown(tally.wer(), 8),
        shown(tally.cer(), 8),
        shown(share(tally.languages_right, tally.languages), 9),
        tally.real_time_factor().unwrap_or_default(),
    )
}
