//! Recordings made on the spot by espeak-ng and ffmpeg, and what ffmpeg decodes from them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of its own for the files of one test, removed at its end.
pub struct Studio {
    folder: PathBuf,
}

impl Studio {
    #[expect(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("stenogram-audio-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("cannot create a folder for test recordings");
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Speaks `text` into a WAV file (22.05 kHz, mono) named `name`.
    pub fn speak(&self, name: &str, voice: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        run(Command::new("espeak-ng").args(["-v", voice, "-w"]).arg(&path).arg(text));
        path
    }

    /// Makes the file `name` out of `input` with these options, separated by spaces.
    pub fn encode(&self, input: &Path, options: &str, name: &str) -> PathBuf {
        let path = self.path(name);
        run(ffmpeg().arg("-i").arg(input).args(options.split_whitespace()).arg(&path));
        path
    }

    /// Makes the file `name` of what these options say, without an input file.
    pub fn generate(&self, options: &str, name: &str) -> PathBuf {
        let path = self.path(name);
        run(ffmpeg().args(options.split_whitespace()).arg(&path));
        path
    }
}

impl Drop for Studio {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What `ffmpeg -i path -ac 1 -ar 16000` makes of a recording. Opus goes through libopus: ffmpeg's own
/// decoder is another one. The output is whole numbers, as in a WAV file: only then ffmpeg takes stereo
/// as (L+R)/2 and not as (L+R)/√2.
pub fn reference(path: &Path) -> Vec<f32> {
    let decoder: &[&str] = if codec(path) == "opus" { &["-c:a", "libopus"] } else { &[] };
    let output = ffmpeg()
        .args(decoder)
        .arg("-i")
        .arg(path)
        .args(["-map", "0:a:0", "-ac", "1", "-ar", "16000", "-f", "s32le", "-"])
        .stderr(Stdio::null())
        .output()
        .expect("cannot run ffmpeg");
    let sample = |bytes: &[u8]| {
        i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as f32 / (1u32 << 31) as f32
    };
    output.stdout.chunks_exact(4).map(sample).collect()
}

/// The codec of the first audio track, as ffprobe names it.
pub fn codec(path: &Path) -> String {
    let output = Command::new("ffprobe")
        .args("-v error -select_streams a:0 -show_entries stream=codec_name -of csv=p=0".split(' '))
        .arg(path)
        .stderr(Stdio::null())
        .output()
        .expect("cannot run ffprobe");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().unwrap_or_default().trim_matches([',', ' ']).to_owned()
}

pub fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]).stdin(Stdio::null());
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
