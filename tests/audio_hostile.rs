//! Decoding of files that are broken or mean harm: no panic, no hang, no memory without bound.
//!
//! A program of its own, because its allocator counts what each decoding takes.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use stenogram::audio::{self, AudioError, Decoder, Limits, Pcm};
use support::allocations::{Counting, peak_of};
use support::bombs::{OPUS_HEAD, OPUS_TAGS, bombs, ogg_page};
use support::ffmpeg::Studio;
use support::skipped;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static RUN: AtomicBool = AtomicBool::new(false);

/// Memory for whatever file, in bytes, besides the samples it gives. The resampler for the oddest
/// of rates takes the greatest part of it.
const MEMORY: usize = 48 << 20;

/// Decodes within all bounds, and whatever comes out is fit for use.
fn survive(what: &str, bytes: &[u8]) -> Result<Pcm, AudioError> {
    let limits =
        Limits { length: Duration::from_secs(600), time: Duration::from_secs(60), ..Limits::default() };
    let started = Instant::now();
    let (result, peak) = peak_of(|| audio::decode(bytes, &limits, &RUN));
    let elapsed = started.elapsed();
    assert!(elapsed < limits.time + Duration::from_secs(2), "{what}: {elapsed:?}, {result:?}");
    // A growing vector holds its content up to three times; a limit was reached with the content in
    // memory.
    let seconds = match &result {
        Ok(pcm) => pcm.seconds(),
        Err(AudioError::TooLong { limit }) => limit.as_secs_f64(),
        Err(_) => 0.0,
    };
    let bound = MEMORY + 4 * bytes.len() + 3 * (seconds * 16_000.0) as usize * size_of::<f32>();
    assert!(peak < bound, "{what}: {peak} bytes allocated, {result:?}");
    if let Ok(pcm) = &result {
        assert!(!pcm.samples.is_empty(), "{what}");
        assert!(pcm.samples.iter().all(|sample| sample.is_finite()), "{what}");
    }
    result
}

/// xorshift64*: the same files in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

#[derive(Default, Debug)]
struct Tally {
    whole: u32,
    damaged: u32,
    refused: u32,
    crashed: u32,
}

impl Tally {
    fn add(&mut self, what: &str, result: &Result<Pcm, AudioError>) {
        let trouble = match result {
            Ok(pcm) => pcm.damaged.clone(),
            Err(error) => Some(error.to_string()),
        };
        *match (&trouble, result) {
            (Some(why), _) if why.contains("crashed") => {
                println!("{what}: {why}");
                &mut self.crashed
            }
            (None, _) => &mut self.whole,
            (_, Ok(_)) => &mut self.damaged,
            (_, Err(_)) => &mut self.refused,
        } += 1;
    }
}

/// Cuts the file at about every hundredth byte (and everywhere in its head), then flips bytes one,
/// two or four at a time, half of them in the first kilobyte, where the headers are.
fn mutate(name: &str, original: &[u8], flips: usize, mend: impl Fn(&mut [u8])) {
    let started = Instant::now();
    let mut tally = Tally::default();
    let step = (original.len() / 60).max(100);
    for end in (0..64.min(original.len())).chain((64..original.len()).step_by(step)) {
        let what = format!("{name} cut at {end}");
        tally.add(&what, &survive(&what, &original[..end]));
    }
    let mut random = Random(0x5eed);
    for flip in 0..flips {
        let mut bytes = original.to_vec();
        let area = if flip % 2 == 0 { bytes.len().min(1024) } else { bytes.len() };
        for _ in 0..1 << (flip % 3) {
            let at = random.below(area);
            bytes[at] ^= 1 << random.below(8);
            if flip % 5 == 0 {
                bytes[at] = [0, 0xff, 0x7f, 0x80][random.below(4)];
            }
        }
        mend(&mut bytes);
        let what = format!("{name} flip {flip}");
        tally.add(&what, &survive(&what, &bytes));
    }
    println!("{name:12} {tally:?} in {:?}", started.elapsed());
}

/// Half a second of speech in the format that these options make. At 48 kHz, for which the
/// resampler has the least to prepare.
fn specimen(options: &str, name: &str) -> Vec<u8> {
    let studio = Studio::new();
    let speech = studio.speak("speech.wav", "en", "one two");
    std::fs::read(studio.encode(&speech, &format!("-t 0.5 -ar 48000 {options}"), name)).unwrap()
}

/// Sets the checksum of every Ogg page right again, so that damage gets past it.
fn mend_ogg(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + 27) {
        let segments = usize::from(header[26]);
        let Some(table) = bytes.get(at + 27..at + 27 + segments) else { return };
        let end = at + 27 + segments + table.iter().map(|&size| usize::from(size)).sum::<usize>();
        let Some(page) = bytes.get_mut(at..end) else { return };
        page[22..26].fill(0);
        let checksum = page.iter().fold(0u32, |sum, &byte| {
            (0..8).fold(sum ^ u32::from(byte) << 24, |sum, _| {
                if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 }
            })
        });
        page[22..26].copy_from_slice(&checksum.to_le_bytes());
        at = end;
    }
}

#[test]
fn broken_ogg() {
    let opus = specimen("-ac 1 -c:a libopus -b:a 16k -application voip", "voice.ogg");
    mutate("opus", &opus, 200, |_| ());
    mutate("opus, mended", &opus, 500, mend_ogg);
    mutate("vorbis", &specimen("-c:a libvorbis", "music.ogg"), 200, mend_ogg);
    mutate("flac in ogg", &specimen("-c:a flac", "music.oga"), 100, mend_ogg);
}

#[test]
fn broken_mp4() {
    mutate("aac", &specimen("-c:a aac", "voice.m4a"), 300, |_| ());
    mutate("aac, moov first", &specimen("-c:a aac -movflags +faststart", "fast.m4a"), 400, |_| ());
    mutate(
        "fragments",
        &specimen("-c:a aac -movflags frag_keyframe+empty_moov", "fragments.mp4"),
        300,
        |_| (),
    );
    mutate("alac", &specimen("-c:a alac", "lossless.m4a"), 100, |_| ());
    mutate("opus in mp4", &specimen("-c:a libopus -movflags +faststart", "opus.mp4"), 100, |_| ());
}

#[test]
fn broken_wav_and_webm() {
    mutate("s16", &specimen("-c:a pcm_s16le", "s16.wav"), 300, |_| ());
    mutate("f32", &specimen("-c:a pcm_f32le", "f32.wav"), 200, |_| ());
    mutate("webm", &specimen("-c:a libopus", "opus.webm"), 300, |_| ());
}

#[test]
fn broken_mp3_and_flac() {
    mutate("mp3", &specimen("-c:a libmp3lame", "music.mp3"), 400, |_| ());
    mutate("flac", &specimen("-c:a flac", "music.flac"), 400, |_| ());
    mutate("aiff", &specimen("-c:a pcm_s16be", "music.aiff"), 200, |_| ());
    mutate("surround opus", &specimen("-ac 6 -c:a libopus -b:a 128k", "six.ogg"), 200, mend_ogg);
    mutate("caf", &specimen("-c:a alac", "music.caf"), 200, |_| ());
    mutate("opus in caf", &specimen("-c:a libopus", "opus.caf"), 200, |_| ());
    mutate("adts", &specimen("-c:a aac -f adts", "music.aac"), 100, |_| ());
}

#[test]
fn shared_hostile_files() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/hostile");
    if !Path::new(folder).is_dir() {
        skipped(format!("no {folder}"));
        return;
    }
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        let result = survive(&name, &bytes);
        match &result {
            Ok(pcm) => println!("{name}: {:.3} s, {:?}", pcm.seconds(), pcm.damaged),
            Err(error) => println!("{name}: {error}"),
        }
        assert!(!matches!(result, Err(AudioError::Crashed(_))), "{name}");
        // A prefix of broken is broken in ways of its own.
        for end in (0..bytes.len()).step_by((bytes.len() / 20).max(1)) {
            let _ = survive(&format!("{name} cut at {end}"), &bytes[..end]);
        }
    }
}

/// Decodes a bomb. What it may cost is the bar for the whole program, in a build that is not
/// optimised and on a machine that is busy; without bounds, most of them take minutes or gigabytes.
fn defuse(name: &str, bytes: &[u8]) -> Result<Pcm, AudioError> {
    const TIME: Duration = Duration::from_secs(10);
    const MEMORY: usize = 100 << 20;
    let limits = Limits { time: 2 * TIME, ..Limits::default() };
    let started = Instant::now();
    let (result, peak) = peak_of(|| audio::decode(bytes, &limits, &RUN));
    let elapsed = started.elapsed();
    let outcome = match &result {
        Ok(pcm) => format!("{:.3} s, {:?}", pcm.seconds(), pcm.damaged),
        Err(error) => error.to_string(),
    };
    println!("{name}: {} bytes, {elapsed:?}, {} KB: {outcome}", bytes.len(), peak >> 10);
    assert!(elapsed < TIME, "{name}: {elapsed:?}, {outcome}");
    assert!(peak < MEMORY, "{name}: {peak} bytes allocated, {outcome}");
    result
}

#[test]
fn bombs_cost_no_more_than_other_files() {
    for (name, bytes) in bombs() {
        let _ = defuse(&name, &bytes);
    }
}

#[test]
fn shared_bombs() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/bombs");
    let Ok(files) = std::fs::read_dir(folder) else {
        skipped(format!("no {folder}"));
        return;
    };
    for file in files {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let _ = defuse(&name, &std::fs::read(&path).unwrap());
    }
}

/// A WAV header with these fields, and a second of samples behind it.
fn wav(channels: u16, rate: u32, align: u16, bits: u16, size: u32) -> Vec<u8> {
    let mut file = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0".to_vec();
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend(rate.wrapping_mul(align.into()).to_le_bytes());
    file.extend(align.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend(size.to_le_bytes());
    file.extend([0x11, 0x22].repeat(16_000));
    file
}

#[test]
fn absurd_headers() {
    assert!(survive("a plain one", &wav(1, 16_000, 2, 16, 32_000)).is_ok());
    for rate in [0, 1, 15, 500_000, 4_000_000_000, u32::MAX] {
        let error = survive(&format!("{rate} Hz"), &wav(1, rate, 2, 16, 32_000)).unwrap_err();
        println!("{rate} Hz: {error}");
    }
    for rate in [383_987, 47_981, 4_001] {
        // Primes: the resampler's worst case.
        survive(&format!("{rate} Hz"), &wav(1, rate, 2, 16, 32_000)).unwrap();
    }
    for channels in [0, 2, 3, 32, 255, 4096, u16::MAX] {
        for align in [0, 1, 2, channels.wrapping_mul(2), u16::MAX] {
            let _ = survive(
                &format!("{channels} channels, {align}"),
                &wav(channels, 48_000, align, 16, u32::MAX),
            );
        }
    }
    for bits in [0, 1, 7, 8, 24, 32, 64, u16::MAX] {
        let _ = survive(&format!("{bits} bits"), &wav(1, 48_000, 2, bits, 32_000));
    }
}

/// Boxes that claim to hold gigabytes.
#[test]
fn absurd_sizes() {
    let mp4 = specimen("-c:a aac -movflags +faststart", "voice.m4a");
    for kind in
        [b"stsz", b"stts", b"stsc", b"stco", b"elst", b"esds", b"mdat", b"udta", b"moov", b"trak", b"stsd"]
    {
        let Some(at) = mp4.windows(4).position(|window| window == kind) else { continue };
        for value in [0, 1, 8, 0x00ff_ffff, 0x7fff_ffff, u32::MAX] {
            // Its size, its version, and its first, second and third number.
            for field in [at - 4, at + 4, at + 8, at + 12, at + 16, at + 20] {
                let mut bytes = mp4.clone();
                bytes[field..field + 4].copy_from_slice(&value.to_be_bytes());
                let _ = survive(&format!("{kind:?} {field} {value:x}"), &bytes);
            }
        }
    }
    let tagged = |size: [u8; 4]| [b"ID3\x04\0\0".as_slice(), &size, b"APIC\x7f\x7f\x7f\x7f"].concat();
    let _ = survive("a tag of 256 MB", &tagged([0x7f; 4]));
    let _ =
        survive("an EBML element of 2^56 bytes", b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xfe\x42\x86");
}

/// A packet of two bytes that stands for 120 ms of sound, 255 times per page: 30 s in 300 bytes.
#[test]
fn tiny_packets_that_claim_much() {
    let mut file = ogg_page(2, 7, 0, 0, &[OPUS_HEAD]);
    file.extend(ogg_page(0, 7, 1, 0, &[OPUS_TAGS]));
    let packets = [&b"\xfb\x06"[..]; 255];
    for page in 0..200 {
        file.extend(ogg_page(0, 7, page + 2, u64::from(page + 1) * 255 * 5760, &packets));
    }
    let limit = Duration::from_secs(600);
    assert_eq!(survive("a bomb of silence", &file), Err(AudioError::TooLong { limit }));
}

#[test]
fn a_crowd_of_streams() {
    let head = ogg_page(2, 7, 0, 0, &[OPUS_HEAD]);
    let error = survive("streams at once", &head.repeat(100_000)).unwrap_err();
    assert_eq!(error.to_string(), "an Ogg file of more than 256 streams is not supported");
    let _ = survive("some streams at once", &head.repeat(250));
    let chain = specimen("-c:a libopus", "link.ogg").repeat(200);
    let pcm = survive("a long chain", &chain).unwrap();
    assert!(pcm.seconds() > 99.0, "{} s, {:?}", pcm.seconds(), pcm.damaged);
}

/// Memory does not grow with the length of the recording.
#[test]
fn a_long_recording_streams_in_flat_memory() {
    let studio = Studio::new();
    let peak = |seconds: u32| {
        let options =
            format!("-f lavfi -i sine=r=48000:d={seconds} -c:a libopus -b:a 8k -compression_level 0");
        let bytes = std::fs::read(studio.generate(&options, &format!("{seconds}.ogg"))).unwrap();
        let limits = Limits::default();
        let (samples, peak) = peak_of(|| {
            let decoder = Decoder::new(&bytes, &limits, &RUN).unwrap();
            decoder.map(|chunk| chunk.unwrap().len()).sum::<usize>()
        });
        assert_eq!(samples, seconds as usize * 16_000);
        peak
    };
    let (short, long) = (peak(10), peak(300));
    println!("{short} bytes for 10 s, {long} for 300 s");
    assert!(long < short + (256 << 10), "{short} {long}");
    assert!(long < 4 << 20, "{long}");
}
