//! A minute of a voice message, from OGG/Opus to 16 kHz mono: here, and as a process of ffmpeg.
//!
//! `cargo bench --bench audio`. Items are samples at 16 kHz; 4 million in a second are 250 times real
//! time.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use stenogram::audio::{self, Limits};

const SECONDS: usize = 60;

static RUN: AtomicBool = AtomicBool::new(false);

fn main() {
    divan::main();
}

/// Speech by espeak-ng, encoded as Telegram's clients do.
fn voice_message(frame: u32) -> PathBuf {
    let folder = std::env::temp_dir();
    let speech = folder.join("stenogram-bench.wav");
    let voice = folder.join(format!("stenogram-bench-{frame}ms.ogg"));
    let text = "The quick brown fox jumps over the lazy dog, and rests for a while in the shade. ".repeat(20);
    run(Command::new("espeak-ng").args(["-v", "en", "-w"]).arg(&speech).arg(text));
    let options =
        format!("-t {SECONDS} -ac 1 -c:a libopus -b:a 24k -application voip -frame_duration {frame}");
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

static FRAMES_20_MS: LazyLock<PathBuf> = LazyLock::new(|| voice_message(20));
static FRAMES_60_MS: LazyLock<PathBuf> = LazyLock::new(|| voice_message(60));

fn voice(frame: u32) -> &'static PathBuf {
    if frame == 20 { &FRAMES_20_MS } else { &FRAMES_60_MS }
}

#[divan::bench(args = [20, 60], sample_count = 30, sample_size = 1)]
fn stenogram(bencher: Bencher<'_, '_>, frame: u32) {
    let bytes = std::fs::read(voice(frame)).expect("no voice message");
    let limits = Limits::default();
    bencher.counter(ItemsCount::new(SECONDS * 16_000)).bench(|| {
        let pcm = audio::decode(black_box(&bytes), &limits, &RUN).expect("not decoded");
        assert_eq!(pcm.samples.len(), SECONDS * 16_000);
        pcm
    });
}

#[divan::bench(args = [20, 60], sample_count = 30, sample_size = 1)]
fn ffmpeg_process(bencher: Bencher<'_, '_>, frame: u32) {
    let path = voice(frame);
    bencher.counter(ItemsCount::new(SECONDS * 16_000)).bench(|| {
        let output = ffmpeg()
            .args(["-c:a", "libopus", "-i"])
            .arg(path)
            .args(["-ac", "1", "-ar", "16000", "-f", "f32le", "-"])
            .output()
            .expect("cannot run ffmpeg");
        assert_eq!(output.stdout.len(), SECONDS * 16_000 * 4);
        output.stdout
    });
}
