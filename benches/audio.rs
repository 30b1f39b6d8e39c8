//! Ten seconds, a minute and half an hour of a voice message, from OGG/Opus to 16 kHz mono: here, in
//! a decoder of its own as the daemon does it, and as a process of ffmpeg.
//!
//! `cargo bench --bench audio`. Items are samples at 16 kHz; 4.8 million in a second are 300 times real
//! time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use stenogram::audio::{Decoder, Limits, SAMPLE_RATE};
use stenogram::decoding::DecoderProgram;

const RATE: usize = SAMPLE_RATE as usize;
const TEN_SECONDS: usize = 10;
const MINUTE: usize = 60;
const HALF_AN_HOUR: usize = 1800;

static RUN: AtomicBool = AtomicBool::new(false);

fn main() {
    divan::main();
}

/// So many seconds of speech by espeak-ng, encoded as Telegram's clients do, in packets of so many milliseconds.
fn voice_message(seconds: usize, frame: u32) -> PathBuf {
    let folder = std::env::temp_dir();
    let speech = folder.join(format!("stenogram-bench-{seconds}s.wav"));
    let voice = folder.join(format!("stenogram-bench-{seconds}s-{frame}ms.ogg"));
    let text = "The quick brown fox jumps over the lazy dog, and rests for a while in the shade. ";
    let text = text.repeat(seconds / 3);
    run(Command::new("espeak-ng").args(["-v", "en", "-w"]).arg(&speech).arg(text));
    let options =
        format!("-t {seconds} -ac 1 -c:a libopus -b:a 24k -application voip -frame_duration {frame}");
    run(ffmpeg().arg("-i").arg(speech).args(options.split(' ')).arg(&voice));
    voice
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]).stdin(Stdio::null());
    command
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

static FRAMES_20_MS: LazyLock<PathBuf> = LazyLock::new(|| voice_message(MINUTE, 20));
static FRAMES_60_MS: LazyLock<PathBuf> = LazyLock::new(|| voice_message(MINUTE, 60));
static SHORT: LazyLock<PathBuf> = LazyLock::new(|| voice_message(TEN_SECONDS, 60));
static LONG: LazyLock<PathBuf> = LazyLock::new(|| voice_message(HALF_AN_HOUR, 60));

fn voice(frame: u32) -> &'static PathBuf {
    if frame == 20 { &FRAMES_20_MS } else { &FRAMES_60_MS }
}

#[divan::bench(args = [20, 60], sample_count = 30, sample_size = 1)]
fn stenogram(bencher: Bencher<'_, '_>, frame: u32) {
    decode(bencher, MINUTE, voice(frame));
}

#[divan::bench(args = [20, 60], sample_count = 30, sample_size = 1)]
fn ffmpeg_process(bencher: Bencher<'_, '_>, frame: u32) {
    decode_by_ffmpeg(bencher, MINUTE, voice(frame));
}

#[divan::bench(sample_count = 100, sample_size = 1)]
fn ten_seconds_in_process(bencher: Bencher<'_, '_>) {
    decode(bencher, TEN_SECONDS, &SHORT);
}

#[divan::bench(sample_count = 100, sample_size = 1)]
fn ten_seconds_in_a_decoder(bencher: Bencher<'_, '_>) {
    decode_in_a_process(bencher, TEN_SECONDS, &SHORT);
}

#[divan::bench(sample_count = 7, sample_size = 1)]
fn half_an_hour_in_a_decoder(bencher: Bencher<'_, '_>) {
    decode_in_a_process(bencher, HALF_AN_HOUR, &LONG);
}

#[divan::bench(sample_count = 7, sample_size = 1)]
fn stenogram_half_an_hour(bencher: Bencher<'_, '_>) {
    decode(bencher, HALF_AN_HOUR, &LONG);
}

#[divan::bench(sample_count = 7, sample_size = 1)]
fn ffmpeg_process_half_an_hour(bencher: Bencher<'_, '_>) {
    decode_by_ffmpeg(bencher, HALF_AN_HOUR, &LONG);
}

/// As the daemon does it: in chunks, of which none is kept.
fn decode(bencher: Bencher<'_, '_>, seconds: usize, path: &Path) {
    let bytes = std::fs::read(path).expect("no voice message");
    let limits = Limits::default();
    bencher.counter(ItemsCount::new(seconds * RATE)).bench(|| {
        let decoder = Decoder::new(black_box(&bytes), &limits, &RUN).expect("not decoded");
        let samples: usize = decoder.map(|chunk| black_box(chunk.expect("not decoded")).len()).sum();
        assert_eq!(samples, seconds * RATE);
    });
}

/// As the daemon does it: in a process of its own, which decodes what is long twice.
fn decode_in_a_process(bencher: Bencher<'_, '_>, seconds: usize, path: &Path) {
    let bytes = std::fs::read(path).expect("no voice message");
    let (limits, decoder) = (Limits::default(), DecoderProgram::at(support::stenogram()));
    let (claimed, keep) = (Duration::from_secs(seconds as u64), 60 * RATE as u64);
    bencher.counter(ItemsCount::new(seconds * RATE)).bench(|| {
        let process = decoder.decode(bytes.clone(), claimed, &limits, keep, &RUN).expect("not decoded");
        let samples: usize = process.map(|chunk| black_box(chunk.expect("not decoded")).len()).sum();
        assert_eq!(samples, seconds * RATE);
    });
}

fn decode_by_ffmpeg(bencher: Bencher<'_, '_>, seconds: usize, path: &Path) {
    bencher.counter(ItemsCount::new(seconds * RATE)).bench(|| {
        let output = ffmpeg()
            .args(["-c:a", "libopus", "-i"])
            .arg(path)
            .args(["-ac", "1", "-ar", "16000", "-f", "f32le", "-"])
            .output()
            .expect("cannot run ffmpeg");
        assert_eq!(output.stdout.len(), seconds * RATE * 4);
        output.stdout
    });
}
