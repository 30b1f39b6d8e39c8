//! Progress bars on standard error. indicatif shows nothing if that is not a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that counts bytes. The total is set together with the progress.
pub fn of_bytes(name: &str) -> ProgressBar {
    bar(0, "{msg} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}", name)
}

/// A bar that counts to 100. Its steps take long, so a spinner shows that work goes on.
pub fn of_percent(name: &str) -> ProgressBar {
    let bar = bar(100, "{spinner} {msg} [{bar:30}] {percent:>3} % {elapsed}", name);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A bar that counts steps that may take long.
pub fn of_steps(steps: usize) -> ProgressBar {
    let bar = bar(steps as u64, "{spinner} [{bar:30}] {pos}/{len} {elapsed} {msg}", "");
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A spinner that turns while the check `name` runs, with a message.
pub fn spinner(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner}     {prefix} {msg}");
    let bar =
        ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    let bar = bar.with_prefix(name.to_owned()).with_message("…");
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// The share that is done, as "37 %".
pub fn percent(done: u64, total: u64) -> String {
    format!("{} %", done.saturating_mul(100).checked_div(total).unwrap_or(100))
}

fn bar(length: u64, template: &str, name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style).with_message(name.to_owned())
}
