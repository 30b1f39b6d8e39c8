//! Decoding against ffmpeg, and against files that mean harm.

#[path = "support/ffmpeg.rs"]
mod ffmpeg;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use ffmpeg::Studio;
use stenogram::audio::{self, AudioError, Limits, Pcm};

static RUN: AtomicBool = AtomicBool::new(false);

fn decode(bytes: &[u8]) -> Result<Pcm, AudioError> {
    audio::decode(bytes, &Limits::default(), &RUN)
}

/// The files of a folder of `../shared/data`; none, and a line that says so, where it is not there.
fn shared(folder: &str) -> Vec<PathBuf> {
    let path = format!("{}/../shared/data/{folder}", env!("CARGO_MANIFEST_DIR"));
    let Ok(entries) = std::fs::read_dir(&path) else {
        eprintln!("skipped: no {path}");
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

struct Comparison {
    ours: usize,
    theirs: usize,
    snr: f64,
    error: f64,
}

fn compare(ours: &[f32], theirs: &[f32]) -> Comparison {
    let mean = |sum: f64| sum / theirs.len().max(1) as f64;
    let signal = mean(theirs.iter().map(|&x| f64::from(x).powi(2)).sum());
    let noise = mean(ours.iter().zip(theirs).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum());
    Comparison {
        ours: ours.len(),
        theirs: theirs.len(),
        snr: 10.0 * (signal / noise.max(1e-30)).log10(),
        error: noise.sqrt(),
    }
}

#[test]
fn table() {
    for folder in ["containers", "speech", "no-speech", "hostile"] {
        for path in shared(folder) {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let theirs = ffmpeg::reference(&path);
            match decode(&std::fs::read(&path).unwrap()) {
                Ok(pcm) => {
                    let c = compare(&pcm.samples, &theirs);
                    println!(
                        "{folder}/{name:50} {:>8} {:>8} {:+5} {:7.1} dB err {:.2e} {:?}",
                        c.ours,
                        c.theirs,
                        c.ours as i64 - c.theirs as i64,
                        c.snr,
                        c.error,
                        pcm.damaged
                    );
                }
                Err(error) => println!("{folder}/{name:50} ({}) {error}", theirs.len()),
            }
        }
    }
    let studio = Studio::new();
    let wav = studio.speak(
        "speech.wav",
        "en",
        "The quick brown fox jumps over the lazy dog, and then it rests for a while in the shade.",
    );
    let stereo = studio.generate(
        "-f lavfi -i aevalsrc=0.4*sin(1300*t)+0.2*random(0)|0.3*sin(2900*t):s=48000:d=3.21",
        "stereo.wav",
    );
    for (input, options, name) in [
        (&wav, "-ac 1 -c:a libopus -b:a 16k -application voip -frame_duration 20", "a.ogg"),
        (&wav, "-ac 1 -c:a libopus -b:a 24k -application voip -frame_duration 60", "b.ogg"),
        (&stereo, "-c:a libopus -b:a 64k -frame_duration 60", "c.ogg"),
        (&stereo, "-c:a libopus -b:a 64k", "d.webm"),
        (&stereo, "-c:a libopus -b:a 64k", "d.mp4"),
        (&wav, "-c:a aac -ac 1", "e.mp4"),
        (&stereo, "-c:a aac", "e2.m4a"),
        (&wav, "-c:a libmp3lame", "f.mp3"),
        (&stereo, "-c:a libmp3lame", "f2.mp3"),
        (&stereo, "-c:a libmp3lame -write_xing 0", "f3.mp3"),
        (&wav, "-c:a flac", "g.flac"),
        (&stereo, "-c:a flac", "g2.flac"),
        (&wav, "-c:a pcm_s16le -ar 8000", "h.wav"),
        (&wav, "-c:a pcm_s24le -ar 44100", "i.wav"),
        (&wav, "-c:a pcm_f32le -ar 48000", "j.wav"),
        (&wav, "-c:a pcm_u8 -ar 16000", "j2.wav"),
        (&stereo, "-c:a pcm_mulaw -ar 8000", "j3.wav"),
        (&wav, "-c:a alac", "k.m4a"),
        (&wav, "-c:a libvorbis", "l.ogg"),
        (&stereo, "-c:a libvorbis", "l2.ogg"),
        (&stereo, "-c:a libvorbis", "l3.webm"),
        (&stereo, "-c:a flac", "m.oga"),
        (&stereo, "-c:a aac -f adts", "n.aac"),
        (&stereo, "-ac 6 -c:a pcm_s16le", "o.wav"),
        (&stereo, "-ac 6 -c:a aac", "o.m4a"),
        (&stereo, "-ac 6 -c:a libopus", "o.ogg"),
        (&wav, "-c:a aac -movflags frag_keyframe+empty_moov", "p.mp4"),
    ] {
        let path = studio.encode(input, options, name);
        let theirs = ffmpeg::reference(&path);
        match decode(&std::fs::read(&path).unwrap()) {
            Ok(pcm) => {
                let c = compare(&pcm.samples, &theirs);
                println!(
                    "{options} {name:10} {:>8} {:>8} {:+5} {:7.1} dB err {:.2e} {:?}",
                    c.ours,
                    c.theirs,
                    c.ours as i64 - c.theirs as i64,
                    c.snr,
                    c.error,
                    pcm.damaged
                );
            }
            Err(error) => println!("{options} {name:10} ({}) {error}", theirs.len()),
        }
    }
}
