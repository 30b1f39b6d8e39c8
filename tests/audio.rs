//! Decoding against ffmpeg: the same length, the same sound.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use stenogram::audio::{self, AudioError, Containers, Decoder, Limits, Pcm, SAMPLE_RATE};
use support::bombs::mend_ogg_page;
use support::ffmpeg::{self, Studio};
use support::skipped;

static RUN: AtomicBool = AtomicBool::new(false);

const SENTENCE: &str = "The quick brown fox jumps over the lazy dog, and rests for a while in the shade.";

/// Two channels that differ, with noise up to the Nyquist frequency: 3.21 s at 48 kHz.
const STEREO: &str = "-f lavfi -i aevalsrc=0.4*sin(1300*t)+0.2*random(0)|0.3*sin(2900*t):s=48000:d=3.21";

fn decode(bytes: &[u8]) -> Result<Pcm, AudioError> {
    audio::decode(bytes, &Limits::default(), &RUN)
}

fn decode_file(path: &Path) -> Pcm {
    decode(&std::fs::read(path).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder of `../shared/data`; none, and a line that says so, where it is not there.
fn shared(folder: &str) -> Vec<PathBuf> {
    let path = format!("{}/../shared/data/{folder}", env!("CARGO_MANIFEST_DIR"));
    let Ok(entries) = std::fs::read_dir(&path) else {
        skipped(format!("no {path}"));
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Asserts the bars: the length of ffmpeg's output to the sample, and 40 dB above the difference to it
/// at lag 0, or a difference that 16 bits cannot hold (of near silence nothing else can be asked).
fn assert_like_ffmpeg(path: &Path) {
    let (ours, theirs) = (decode_file(path), ffmpeg::reference(path));
    let name = path.file_name().unwrap().to_string_lossy();
    assert_eq!(ours.damaged, None, "{name}");
    // webm keeps the padding of its last packet in a place that symphonia does not look at.
    let surplus = if name.ends_with(".webm") { SAMPLE_RATE as usize * 60 / 1000 } else { 0 };
    let lengths = theirs.len()..=theirs.len() + surplus;
    assert!(lengths.contains(&ours.samples.len()), "{name}: {} samples, not {lengths:?}", ours.samples.len());
    let (snr, error) = difference(&ours.samples, &theirs);
    println!("{name:55} {:8} samples {snr:6.1} dB", ours.samples.len());
    assert!(snr >= 40.0 || error < 0.5 / 32768.0, "{name}: {snr:.1} dB, {error:.1e}");
}

/// Signal to noise in dB, and the noise (root mean square).
fn difference(ours: &[f32], theirs: &[f32]) -> (f64, f64) {
    let mean = |sum: f64| sum / theirs.len().max(1) as f64;
    let signal = mean(theirs.iter().map(|&x| f64::from(x).powi(2)).sum());
    let noise = mean(ours.iter().zip(theirs).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum());
    (10.0 * (signal / noise.max(1e-30)).log10(), noise.sqrt())
}

#[test]
fn voice_messages() {
    let studio = Studio::new();
    let mono = studio.speak("speech.wav", "ru", "Быстрая бурая лиса прыгает через ленивую собаку.");
    let stereo = studio.generate(STEREO, "stereo.wav");
    for frame in [20, 60] {
        for rate in [16, 24] {
            let options = format!("-c:a libopus -b:a {rate}k -application voip -frame_duration {frame}");
            let name = format!("{frame}ms-{rate}k.ogg");
            assert_like_ffmpeg(&studio.encode(&mono, &format!("-ac 1 {options}"), &format!("mono-{name}")));
            assert_like_ffmpeg(&studio.encode(&stereo, &options, &format!("stereo-{name}")));
        }
    }
}

#[test]
fn video_notes() {
    let studio = Studio::new();
    let speech = studio.speak("speech.wav", "en", SENTENCE);
    let encoders = ffmpeg::ffmpeg().args(["-hide_banner", "-encoders"]).output().unwrap().stdout;
    let h264 = String::from_utf8_lossy(&encoders).contains(" libx264 ");
    if !h264 {
        skipped("ffmpeg has no libx264, the picture is MPEG-4");
    }
    let video = if h264 { "-c:v libx264 -preset ultrafast" } else { "-c:v mpeg4" };
    let options = format!(
        "-f lavfi -i testsrc=s=240x240:r=25 -shortest {video} -pix_fmt yuv420p -c:a aac -ac 1 -ar 44100"
    );
    assert_like_ffmpeg(&studio.encode(&speech, &options, "note.mp4"));
    assert_like_ffmpeg(&studio.encode(&speech, &format!("{options} -movflags +faststart"), "fast.mp4"));

    for (flags, name) in [
        ("frag_keyframe+empty_moov", "fragments.mp4"),
        ("frag_keyframe+empty_moov+default_base_moof", "based.mp4"),
        ("frag_keyframe+empty_moov+separate_moof", "separate.mp4"),
    ] {
        assert_like_ffmpeg(&studio.encode(&speech, &format!("{options} -movflags {flags}"), name));
    }

    let silent = studio.generate(&format!("-f lavfi -i testsrc=s=64x64:d=1 {video}"), "silent.mp4");
    assert_eq!(decode(&std::fs::read(silent).unwrap()), Err(AudioError::NoAudioTrack));
}

#[test]
fn audio_files() {
    let studio = Studio::new();
    let mono = studio.speak("speech.wav", "en", SENTENCE);
    let stereo = studio.generate(STEREO, "stereo.wav");
    for (options, name) in [
        ("-c:a aac", "aac.m4a"),
        ("-c:a aac -movflags frag_keyframe+empty_moov", "fragmented.mp4"),
        ("-c:a aac -f adts", "adts.aac"),
        ("-c:a alac", "alac.m4a"),
        ("-c:a flac", "flac.flac"),
        ("-c:a flac", "flac.oga"),
        ("-c:a libmp3lame", "mp3.mp3"),
        ("-c:a libmp3lame -write_xing 0", "no-xing.mp3"),
        ("-c:a libvorbis", "vorbis.ogg"),
        ("-c:a libvorbis", "vorbis.webm"),
        ("-c:a libopus", "opus.webm"),
        // At other rates ffmpeg skips as many samples at 48 kHz as there should be at that rate.
        ("-c:a libopus -ar 48000", "opus.mp4"),
        ("-c:a pcm_s16le -ar 8000", "s16-8k.wav"),
        ("-c:a pcm_s16le -ar 16000", "s16-16k.wav"),
        ("-c:a pcm_s24le -ar 44100", "s24-44k.wav"),
        ("-c:a pcm_f32le -ar 48000", "f32-48k.wav"),
        ("-c:a pcm_u8 -ar 11025", "u8-11k.wav"),
        ("-c:a pcm_s16be -ar 44100", "s16-44k.aiff"),
        ("-c:a pcm_s24be -ar 48000 -metadata title=title", "s24-48k.aiff"),
        ("-c:a pcm_f32be -ar 16000", "f32-16k.aiff"),
        ("-c:a pcm_s16le -ar 44100", "s16-44k.caf"),
        ("-c:a pcm_mulaw -ar 8000", "mulaw-8k.wav"),
        ("-c:a pcm_s16le -ar 96000", "s16-96k.wav"),
        // Rates that share hardly a factor with 16000.
        ("-c:a pcm_s16le -ar 44056", "s16-44056.wav"),
        ("-c:a pcm_s16le -ar 47999", "s16-47999.wav"),
    ] {
        assert_like_ffmpeg(&studio.encode(&mono, options, &format!("mono-{name}")));
        assert_like_ffmpeg(&studio.encode(&stereo, options, &format!("stereo-{name}")));
    }
}

/// What is left out or found anew before symphonia reads a file.
#[test]
fn containers() {
    let studio = Studio::new();
    let speech = studio.speak("speech.wav", "en", SENTENCE);
    for (options, name) in [
        ("-c:a aac -movflags empty_moov+default_base_moof -frag_duration 50000", "fragments.mp4"),
        ("-c:a aac -movflags dash -frag_duration 1000000", "dash.mp4"),
        ("-c:a aac -metadata title=title", "aac.mov"),
        ("-c:a pcm_s16be", "pcm.mov"),
        ("-c:a libmp3lame", "mp3.mp4"),
        ("-c:a flac -strict -2", "flac.mp4"),
        ("-c:a aac", "aac.mkv"),
        ("-c:a pcm_s16le -metadata title=title", "pcm.mkv"),
        ("-c:a libopus -live 1", "live.webm"),
        ("-c:a pcm_s16le -metadata title=title", "tagged.wav"),
        ("-c:a flac -metadata title=title", "tagged.flac"),
        ("-c:a libvorbis -metadata title=title", "tagged.ogg"),
        ("-c:a libmp3lame -metadata title=title", "tagged.mp3"),
    ] {
        assert_like_ffmpeg(&studio.encode(&speech, options, name));
    }
}

#[test]
fn the_daemon_tries_only_the_containers_of_messages() {
    let studio = Studio::new();
    let speech = studio.speak("speech.wav", "en", SENTENCE);
    let limits = Limits { containers: Containers::OfMessages, ..Limits::default() };
    let decode = |options: &str, name: &str| {
        let bytes = std::fs::read(studio.encode(&speech, options, name)).unwrap();
        audio::decode(&bytes, &limits, &RUN).map(|pcm| pcm.damaged).map_err(|error| error.to_string())
    };
    for (options, name) in [
        ("-c:a libopus", "voice.ogg"),
        ("-c:a aac", "note.mp4"),
        ("-c:a aac -metadata title=title", "music.m4a"),
        ("-c:a libmp3lame -metadata title=title", "music.mp3"),
    ] {
        assert_eq!(decode(options, name), Ok(None), "{name}");
    }
    for (options, name, message) in [
        ("-c:a libopus", "opus.webm", "Matroska in a message is not supported"),
        ("-c:a flac", "music.flac", "FLAC in a message is not supported"),
        ("-c:a pcm_s16le", "pcm.wav", "WAV in a message is not supported"),
        ("-c:a aac -f adts", "music.aac", "not audio: no known kind of file"),
    ] {
        assert_eq!(decode(options, name), Err(message.to_owned()), "{name}");
    }
}

/// Fragments of a tenth of a second each, as live streams have them for hours.
#[test]
fn thousands_of_fragments() {
    let studio = Studio::new();
    let options = "-f lavfi -i sine=r=8000:d=600 -c:a aac -b:a 16k -movflags empty_moov+default_base_moof";
    let path = studio.generate(&format!("{options} -frag_duration 100000"), "fragments.mp4");
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.windows(4).filter(|kind| kind == b"moof").count() > 2000);
    let pcm = decode_file(&path);
    assert_eq!(pcm.damaged, None);
    assert!((pcm.seconds() - 600.0).abs() < 0.5, "{}", pcm.seconds());
}

#[test]
fn short_files() {
    let studio = Studio::new();
    for samples in [200, 480, 961, 1500, 4801] {
        let tone = format!("-f lavfi -i aevalsrc=0.5*sin(2000*t):s=48000 -af atrim=end_sample={samples}");
        assert_like_ffmpeg(&studio.generate(&tone, &format!("{samples}.wav")));
        let opus = decode_file(&studio.generate(&format!("{tone} -c:a libopus"), &format!("{samples}.ogg")));
        assert!(opus.samples.len().abs_diff(samples / 3) <= 1, "{samples}: {}", opus.samples.len());
    }
}

#[test]
fn shared_recordings() {
    for path in ["containers", "speech", "no-speech"].into_iter().flat_map(shared) {
        match path.file_name().and_then(|name| name.to_str()) {
            Some("exo_sample_nb.amr") => assert_message(&path, "AMR is not supported"),
            Some("vj_testSPEEX.spx") => assert_message(&path, "Speex is not supported"),
            _ => assert_like_ffmpeg(&path),
        }
    }
}

fn assert_message(path: &Path, message: &str) {
    let error = decode(&std::fs::read(path).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), message);
}

/// ffmpeg weighs the channels of surround sound; here they count the same.
#[test]
fn many_channels_are_averaged() {
    let studio = Studio::new();
    let six = "-f lavfi -i aevalsrc=0.6*sin(500*t)|0|0|0|0|0:c=5.1:s=16000:d=1";
    let peak = |pcm: Pcm| pcm.samples.iter().fold(0f32, |peak, sample| peak.max(sample.abs()));
    let wav = peak(decode_file(&studio.generate(six, "six.wav")));
    assert!((wav - 0.1).abs() < 1e-3, "{wav}");
    let opus = decode_file(&studio.generate(&format!("{six} -c:a libopus -b:a 256k -ar 48000"), "six.ogg"));
    assert_eq!((opus.samples.len(), opus.damaged.as_deref()), (SAMPLE_RATE as usize, None));
    let opus = peak(opus);
    assert!((opus - 0.1).abs() < 0.02, "{opus}");
}

/// Streams one after the other in one file: another codec, rate and number of channels each.
#[test]
fn chained_ogg_is_one_recording() {
    let studio = Studio::new();
    let mono = studio.speak("speech.wav", "en", SENTENCE);
    let stereo = studio.generate(STEREO, "stereo.wav");
    let links = [
        studio.encode(&mono, "-ac 1 -c:a libopus", "opus.ogg"),
        studio.encode(&stereo, "-c:a libvorbis -ar 44100", "vorbis.ogg"),
        studio.encode(&mono, "-c:a flac", "flac.oga"),
    ];
    let chained: Vec<u8> = links.iter().flat_map(|link| std::fs::read(link).unwrap()).collect();
    let pcm = decode(&chained).unwrap();
    assert_eq!(pcm.damaged, None);
    let separate: Vec<f32> = links.iter().flat_map(|link| decode_file(link).samples).collect();
    assert_eq!(pcm.samples.len(), separate.len());
    let (snr, _) = difference(&pcm.samples, &separate);
    assert!(snr > 40.0, "{snr:.1} dB");
}

#[test]
fn chunks_add_up_to_the_whole() {
    let studio = Studio::new();
    let speech = studio.speak("speech.wav", "en", SENTENCE);
    let bytes = std::fs::read(studio.encode(&speech, "-c:a libopus", "speech.ogg")).unwrap();
    let mut decoder = Decoder::new(&bytes, &Limits::default(), &RUN).unwrap();
    let chunks: Vec<Vec<f32>> = decoder.by_ref().map(Result::unwrap).collect();
    assert!(decoder.next().is_none());
    assert!(chunks.len() > 3);
    assert!(chunks.iter().all(|chunk| (1..2 * SAMPLE_RATE as usize).contains(&chunk.len())));
    let whole = decode(&bytes).unwrap();
    assert_eq!(chunks.concat(), whole.samples);
    assert_eq!(whole.seconds(), whole.samples.len() as f64 / 16_000.0);
}

#[test]
fn every_limit_is_named() {
    let studio = Studio::new();
    let speech = studio.speak("speech.wav", "en", SENTENCE);
    let bytes = std::fs::read(studio.encode(&speech, "-c:a libopus", "speech.ogg")).unwrap();
    let error = |limits: Limits| audio::decode(&bytes, &limits, &RUN).unwrap_err();
    let all = Limits::default;

    let limit = bytes.len() as u64 - 1;
    let size = AudioError::TooManyBytes { bytes: limit + 1, limit };
    assert_eq!(error(Limits { bytes: limit, ..all() }), size);
    assert_eq!(error(Limits { packets: 10, ..all() }), AudioError::TooManyPackets { limit: 10 });
    let limit = Duration::from_secs(2);
    assert_eq!(error(Limits { length: limit, ..all() }), AudioError::TooLong { limit });
    assert_eq!(AudioError::TooLong { limit }.to_string(), "longer than the limit of 2 s");
    let limit = Duration::ZERO;
    assert_eq!(error(Limits { time: limit, ..all() }), AudioError::TooSlow { limit });

    let abort = AtomicBool::new(true);
    assert_eq!(audio::decode(&bytes, &all(), &abort), Err(AudioError::Aborted));
}

#[test]
fn an_abort_ends_it_between_chunks() {
    let studio = Studio::new();
    let speech = studio.speak("speech.wav", "en", SENTENCE);
    let bytes = std::fs::read(studio.encode(&speech, "-c:a libopus", "speech.ogg")).unwrap();
    let abort = AtomicBool::new(false);
    let mut decoder = Decoder::new(&bytes, &Limits::default(), &abort).unwrap();
    assert!(decoder.next().unwrap().is_ok());
    abort.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(decoder.next(), Some(Err(AudioError::Aborted)));
    assert_eq!(decoder.next(), None);
}

#[test]
fn a_broken_tail_keeps_what_was_before_it() {
    let studio = Studio::new();
    let speech = studio.speak("speech.wav", "en", SENTENCE);
    for (options, name) in
        [("-c:a libopus -page_duration 200000", "cut.ogg"), ("-c:a aac -movflags +faststart", "cut.m4a")]
    {
        let bytes = std::fs::read(studio.encode(&speech, options, name)).unwrap();
        let whole = decode(&bytes).unwrap();
        let cut = decode(&bytes[..bytes.len() * 2 / 3]).unwrap();
        let damage = cut.damaged.expect("unnoticed");
        assert!(damage.starts_with("the file ends early (at "), "{damage}");
        let kept = cut.samples.len();
        assert!(kept > whole.samples.len() / 2 && kept < whole.samples.len() * 3 / 4, "{name}: {kept}");
        // The last samples before the cut already feel the end.
        assert_eq!(cut.samples[..kept - 100], whole.samples[..kept - 100], "{name}");
    }
}

/// The pages of an Ogg file.
fn ogg_pages(file: &[u8]) -> Vec<Vec<u8>> {
    let starts: Vec<usize> = (0..file.len()).filter(|&at| file[at..].starts_with(b"OggS\0")).collect();
    let ends = starts.iter().skip(1).copied().chain([file.len()]);
    starts.iter().zip(ends).map(|(&start, end)| file[start..end].to_vec()).collect()
}

#[test]
fn pages_that_are_lost_or_damaged_are_reported() {
    let studio = Studio::new();
    let speech = studio.speak("speech.wav", "en", SENTENCE);
    let options = "-c:a libopus -page_duration 200000";
    let bytes = std::fs::read(studio.encode(&speech, options, "pages.ogg")).unwrap();
    let whole = decode(&bytes).unwrap();
    assert_eq!(whole.damaged, None);
    let pages = ogg_pages(&bytes);
    let lost = [&pages[..6], &pages[8..]].concat().concat();
    let mut bad = pages.clone();
    for page in &mut bad[6..8] {
        *page.last_mut().unwrap() ^= 1;
    }
    for file in [lost, bad.concat()] {
        let pcm = decode(&file).unwrap();
        assert_eq!(pcm.damaged.as_deref(), Some("parts of the file are damaged or missing"));
        assert!(pcm.samples.len() < whole.samples.len());
    }
}

#[test]
fn times_that_stand_still_cut_nothing_off() {
    let studio = Studio::new();
    let speech = studio.speak("speech.wav", "en", SENTENCE);
    for options in ["-c:a libopus", "-t 0.5 -c:a libopus"] {
        let bytes = std::fs::read(studio.encode(&speech, options, "times.ogg")).unwrap();
        let whole = decode(&bytes).unwrap();
        let mut pages = ogg_pages(&bytes);
        for page in &mut pages {
            page[6..14].fill(0);
            mend_ogg_page(page);
        }
        let pcm = decode(&pages.concat()).unwrap();
        assert_eq!(pcm.damaged, None);
        // The padding of the last packet is played too.
        let surplus = pcm.samples.len().checked_sub(whole.samples.len()).expect("something is missing");
        assert!(surplus <= SAMPLE_RATE as usize / 50, "{options}: {surplus}");
        assert_eq!(pcm.samples[..whole.samples.len() - 100], whole.samples[..whole.samples.len() - 100]);
    }
}

#[test]
fn stereo_that_cancels_out_is_heard() {
    let studio = Studio::new();
    let inverted = "-f lavfi -i aevalsrc=0.5*sin(1300*t)|-0.5*sin(1300*t):s=48000:d=1";
    let loudness = |path: &Path| {
        let samples = decode_file(path).samples;
        (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
    };
    for name in ["inverted.wav", "inverted.flac", "inverted.ogg"] {
        let codec = if name.ends_with("ogg") { "-c:a libopus -b:a 64k" } else { "" };
        let rms = loudness(&studio.generate(&format!("{inverted} {codec}"), name));
        assert!((0.25..0.45).contains(&rms), "{name}: {rms}");
    }
}

#[test]
fn what_is_no_audio_is_named() {
    let studio = Studio::new();
    let message = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
    assert_eq!(message(b""), "the file is empty");
    assert_eq!(message(b"Hello, this is a letter and no sound at all."), "not audio: no known kind of file");
    assert_eq!(message(b"#!AMR\n\x04\x00\x00"), "AMR is not supported");
    let speex = [b"OggS\0\x02".as_slice(), &[0; 22], b"Speex   1.2.1"].concat();
    assert_eq!(message(&speex), "Speex is not supported");
    let empty = studio.generate("-f lavfi -i anullsrc=r=16000:cl=mono -t 0 -c:a pcm_s16le", "empty.wav");
    assert_eq!(message(&std::fs::read(empty).unwrap()), "the audio track is empty");
    let picture = studio.generate("-f lavfi -i testsrc=s=64x64 -frames:v 1", "picture.png");
    assert_eq!(message(&std::fs::read(picture).unwrap()), "not audio: a PNG picture");
}
