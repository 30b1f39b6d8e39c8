//! What `stenogram transcribe` has in memory at most, for a minute and for an hour of speech without a pause.
//!
//! `cargo bench --bench memory`, with `-- MINUTES…` for other lengths. Takes a quarter of an hour. Fails where the longest
//! recording takes [`BAR`] more than the shortest.

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use support::daemon::Home;
use support::peak::peak;
use support::speech;

/// Bytes.
const BAR: u64 = 80_000_000;
const LENGTHS: [usize; 2] = [1, 60];
/// More than espeak-ng says in a minute at that speed.
const WORDS_PER_MINUTE: usize = 220;
const SPEED: &str = "150";

fn main() -> ExitCode {
    let named: Vec<usize> = std::env::args().skip(1).filter_map(|minutes| minutes.parse().ok()).collect();
    let lengths = if named.is_empty() { LENGTHS.to_vec() } else { named };
    let home = Home::with_voice_activity();
    let mut random = speech::Random::new();
    let mut peaks = Vec::new();
    for minutes in lengths {
        let text = random.digits("en", minutes * WORDS_PER_MINUTE);
        let spoken = speech::speak_as(&text, "en-us", &["-s", SPEED]);
        let cut = format!("atrim=0:{}", minutes * 60);
        fs::write(home.path().join("speech.ogg"), speech::ogg(&["-i", "pipe:0"], &spoken, &cut, "24k"))
            .expect("write a recording");
        let started = Instant::now();
        let mut command = home.command();
        let peak = peak(command.env("LANGUAGE", "en").args(["transcribe", "speech.ogg"])) * 1024;
        println!("{minutes:4} min: {:6.1} MB in {:.0} s", peak as f64 / 1e6, started.elapsed().as_secs_f64());
        peaks.push(peak);
    }
    let more = peaks.iter().max().expect("a length").saturating_sub(peaks[0]);
    println!("{:.1} MB more than the first, at most {} wanted", more as f64 / 1e6, BAR / 1_000_000);
    if more <= BAR { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
