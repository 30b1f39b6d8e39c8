//! What recognition costs beyond whisper.cpp alone, with a shortened window, on a busy machine, and where the
//! language is not known.
//!
//! `cargo bench --bench speech`, with `-- tiny base small micro` for other models than tiny, base and the test model. All
//! but `micro` are made here, in the shape of the real ones and with weights of no meaning (tests/support/weights.rs).
//! `-- beside-base` sets all of these beside base: what `stenogram models list` says of them.
//! What is compared is measured in turns, in one process; ratios are medians over the rounds, by the clock and by CPU
//! time. The least and most that whisper.cpp alone took tell how quiet the machine was: where they are far apart, ratios
//! near 1 tell nothing. Fails where a bar is missed by the clock, with voice activity too from base on; the test model,
//! which is smaller than any real one, has but that for a busy machine and those for languages.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use eval::ears::{Bare, Equipment, Stenogram};
use stenogram::audio::{self, Limits};
use stenogram::domain::score::words;
use stenogram::domain::{AudioContext, LanguageCode};
use stenogram::speech::{LanguagePrior, RecogniseOptions, cores, default_threads};
use support::{noise, speech, weights};

/// Seconds of the clip, samples of a second.
const SECONDS: usize = 10;
const RATE: usize = 16_000;
/// Seconds of the clips for a shortened window.
const SHORT: std::ops::RangeInclusive<usize> = 3..=10;
/// Starts of the engines, in either order by turns, as they differ by some per cent by where their memory lies, and with
/// each one round there and one back over what is compared to a per cent: what is compared is neighbours, and a machine
/// that slows down favours neither.
const STARTS: usize = 10;
const CLOSE: usize = 4;
/// Rounds of the rest, when busy, and over the short clips.
const OTHER_ROUNDS: usize = 5;
const BUSY_ROUNDS: usize = 3;
const SHORT_ROUNDS: usize = 3;

// Bars.
const BEYOND_BARE: f64 = 1.02;
const SHORTENED: f64 = 0.40;
const AROUND: f64 = 0.03;
const DETECTING: f64 = 1.35;
const REMEMBERED: f64 = 1.02;
const BUSY: f64 = 2.5;

/// What one recognition took, in seconds.
#[derive(Clone, Copy)]
struct Cost {
    clock: f64,
    cpu: f64,
}

fn main() -> ExitCode {
    let named: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let names = if named.is_empty() { vec!["micro".into(), "tiny".into(), "base".into()] } else { named };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{} threads of {} cores, load before: {load}", default_threads(), cores());
    if names == ["beside-base"] {
        beside_base(folder.path());
        return ExitCode::SUCCESS;
    }
    let mut missed = 0;
    for name in names {
        let known = name == "micro" || weights::SHAPES.iter().any(|shape| shape.name == name);
        if !known {
            let names = weights::SHAPES.map(|shape| shape.name).join(", ");
            eprintln!("there is no model {name}: micro, {names}");
            return ExitCode::FAILURE;
        }
        missed += measure(&name, folder.path());
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One of them, which says as much as is said in so many seconds.
fn model(name: &str, seconds: usize, folder: &Path) -> PathBuf {
    let Some(shape) = weights::SHAPES.into_iter().find(|shape| shape.name == name) else {
        return speech::MODEL.into();
    };
    let path = folder.join(format!("{name}.bin"));
    weights::write(shape, seconds, Path::new(speech::MODEL), &path).expect("write a model");
    path
}

/// The times of all models that are made here, in that of base, in turns.
fn beside_base(folder: &Path) {
    let pcm = decode(&voice_message(SECONDS), SECONDS);
    let names = weights::SHAPES.map(|shape| shape.name);
    let mut ears = names.map(|name| {
        let path = model(name, SECONDS, folder);
        Bare::start(&path, default_threads()).expect("load the model")
    });
    let mut costs = names.map(|_| Vec::new());
    for round in 0..=BUSY_ROUNDS {
        for (bare, costs) in ears.iter_mut().zip(&mut costs) {
            let (cost, _) = cost(|| bare.hear(&pcm, Some("en")).expect("recognise").text);
            // In the first round memory is taken and caches are filled.
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    let base = names.iter().position(|name| *name == "base").expect("it is there");
    for (name, of) in names.iter().zip(&costs) {
        let clock = median(of, |cost| cost.clock);
        println!("{name:12} {clock:7.3} s, {:6.2} of base", ratio(of, &costs[base], |cost| cost.clock));
    }
}

/// How many bars are missed.
fn measure(name: &str, folder: &Path) -> usize {
    // First, as its models are gone then.
    let short = short_clips(name, folder);
    let model = &model(name, SECONDS, folder);
    let real = name != "micro";
    // Beside tiny voice activity is itself as much as bars leave for all.
    let large = real && !name.starts_with("tiny");
    let voice = voice_message(SECONDS);
    let pcm = decode(&voice, SECONDS);
    // The voice activity model takes its time over it, and then nothing is recognised.
    let nothing = noise::hiss(pcm.len(), 0.02, &mut speech::Random::seeded(1));
    let languages = ["ru", "en"].map(|code| code.parse().expect("a code")).into();
    let equipment = Equipment { languages, ..equipment(model, AudioContext::Full) };
    let known = LanguagePrior(vec![(LanguageCode::ENGLISH, 100.0)]);
    let given = RecogniseOptions { language: Some(LanguageCode::ENGLISH), ..Default::default() };
    let remembered = RecogniseOptions { prior: known, ..Default::default() };
    let ours = |stenogram: &Stenogram, options: &RecogniseOptions| {
        cost(|| stenogram.hear_with(&pcm, options.clone()).expect("recognise").text)
    };
    let alone = |bare: &mut Bare| cost(|| bare.hear(&pcm, Some("en")).expect("recognise").text);
    let start = |bare_first: bool| {
        let start_bare = || Bare::start(model, equipment.threads).expect("load the model");
        let first = bare_first.then(start_bare);
        let stenogram = Stenogram::start(&equipment).expect("start the engine");
        let mut bare = first.unwrap_or_else(start_bare);
        // Memory is taken and caches are filled, with what is measured first last; and both hear the same.
        let (our_text, text) = (ours(&stenogram, &given).1, alone(&mut bare).1);
        if real {
            assert_eq!(words(&text), words(&our_text));
        }
        (stenogram, bare)
    };

    let mut close: [Vec<Cost>; CLOSE] = Default::default();
    for number in 0..STARTS {
        let (stenogram, mut bare) = start(number % 2 == 0);
        for which in (0..CLOSE).chain((0..CLOSE).rev()) {
            let (cost, _) = match which {
                0 => alone(&mut bare),
                1 => recognition(&stenogram, &pcm, &given),
                2 => ours(&stenogram, &given),
                _ => ours(&stenogram, &remembered),
            };
            close[which].push(cost);
        }
    }
    let [alone_idle, recognised, fixed, known] = close;

    let mut others: [Vec<Cost>; 3] = Default::default();
    let (stenogram, mut bare) = start(false);
    let mut flash = Bare::with_flash_attention(model, equipment.threads).expect("load the model");
    alone(&mut flash);
    for _ in 0..OTHER_ROUNDS {
        others[0].push(ours(&stenogram, &RecogniseOptions::default()).0);
        let around = || {
            let pcm = decode(&voice, SECONDS);
            assert_eq!(stenogram.hear(&nothing, Some("en")).expect("recognise").text, "");
            pcm.len().to_string()
        };
        others[1].push(cost(around).0);
        others[2].push(alone(&mut flash).0);
    }
    drop(flash);
    let [detected, around, flash] = others;

    let all =
        |which: usize| (0..SHORT_ROUNDS).map(|n| sum(short.iter().map(|clip| clip[which][n]))).collect();
    let [whole, less, with_vad]: [Vec<Cost>; 3] = [all(0), all(1), all(2)];
    let mut busy: [Vec<Cost>; 2] = Default::default();
    let beside = Load::start();
    for _ in 0..BUSY_ROUNDS {
        busy[0].push(alone(&mut bare).0);
        busy[1].push(ours(&stenogram, &given).0);
    }
    drop(beside);

    let took = sorted(alone_idle.iter().map(|cost| cost.clock));
    let [least, most] = [took[0], took[took.len() - 1]];
    println!("\n{name}, {SECONDS} s: whisper.cpp alone {:.3} s, {least:.3} to {most:.3} s", middle(&took));
    let rows = [
        ("recognition, of whisper.cpp alone", &recognised, &alone_idle, real.then_some(BEYOND_BARE)),
        ("recognition and voice activity, of the same", &fixed, &alone_idle, large.then_some(BEYOND_BARE)),
        ("auto context, clips of 3 to 10 s together", &less, &whole, real.then_some(SHORTENED)),
        ("the same and voice activity", &with_vad, &whole, large.then_some(SHORTENED)),
        (
            "decoding and voice activity, of whisper.cpp",
            &around,
            &alone_idle,
            (name == "base").then_some(AROUND),
        ),
        ("flash attention, of without, whisper.cpp", &flash, &alone_idle, None),
        ("language not known, of given", &detected, &fixed, Some(DETECTING)),
        ("language remembered, of given", &known, &fixed, Some(REMEMBERED)),
        ("busy, of idle", &busy[1], &fixed, Some(BUSY)),
        ("busy, of idle, whisper.cpp alone", &busy[0], &alone_idle, None),
    ];
    let mut missed = 0;
    for (what, cost, of, bar) in rows {
        let ratio = |part: fn(&Cost) -> f64| ratio(cost, of, part);
        let (clock, cpu) = (ratio(|cost| cost.clock), ratio(|cost| cost.cpu));
        let held = bar.is_none_or(|bar| clock <= bar);
        missed += usize::from(!held);
        let verdict = bar
            .map_or(String::new(), |bar| format!("{} at most {bar}", if held { "held" } else { "MISSED" }));
        println!("  {what:46} {clock:6.3} by the clock  {cpu:6.3} by CPU time  {verdict}");
    }
    let of_clips = SHORT.zip(&short).map(|(seconds, [whole, less, _])| {
        format!("{seconds} s {:.2}", ratio(less, whole, |cost| cost.clock))
    });
    println!("  auto context by the clock, clip by clip: {}", of_clips.collect::<Vec<_>>().join(", "));
    missed
}

fn equipment(model: &Path, audio_context: AudioContext) -> Equipment {
    let (vad, threads) = (Some(speech::VAD.into()), default_threads());
    Equipment { model: model.into(), vad, languages: Vec::new(), threads, audio_context }
}

/// Without voice activity, which is found on another thread while the recording before is recognised.
fn recognition(stenogram: &Stenogram, pcm: &[f32], options: &RecogniseOptions) -> (Cost, String) {
    let speech = stenogram.listen(pcm).expect("listen");
    cost(|| stenogram.recognise(speech, options.clone()).expect("recognise"))
}

/// What whisper.cpp alone, a shortened window, and that with voice activity took over clips of [`SHORT`] seconds, which
/// are said in so many words by models of their own: by length, and in rounds.
fn short_clips(name: &str, folder: &Path) -> Vec<[Vec<Cost>; 3]> {
    let given = RecogniseOptions { language: Some(LanguageCode::ENGLISH), ..Default::default() };
    let clip_by_clip = SHORT.map(|seconds| {
        let clip = decode(&voice_message(seconds), seconds);
        let model = model(name, seconds, folder);
        let shortened = Stenogram::start(&equipment(&model, AudioContext::Auto)).expect("start the engine");
        let mut bare = Bare::start(&model, default_threads()).expect("load the model");
        let mut costs: [Vec<Cost>; 3] = Default::default();
        for round in 0..=SHORT_ROUNDS {
            let (whole, text) = cost(|| bare.hear(&clip, Some("en")).expect("recognise").text);
            let (less, our_text) = recognition(&shortened, &clip, &given);
            let (with_vad, _) = cost(|| shortened.hear_with(&clip, given.clone()).expect("recognise").text);
            if name != "micro" {
                assert_eq!(words(&text), words(&our_text));
            }
            // In the first round memory is taken and caches are filled.
            if round > 0 {
                costs[0].push(whole);
                costs[1].push(less);
                costs[2].push(with_vad);
            }
        }
        costs
    });
    clip_by_clip.collect()
}

/// By the clock and in CPU time of all threads, and what came of it.
fn cost(work: impl FnOnce() -> String) -> (Cost, String) {
    let (started, before) = (Instant::now(), cpu_time());
    let text = work();
    (Cost { clock: started.elapsed().as_secs_f64(), cpu: cpu_time() - before }, text)
}

/// Of this process so far, in seconds.
fn cpu_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes to the timespec, which is ours.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn sum(costs: impl Iterator<Item = Cost>) -> Cost {
    costs.fold(Cost { clock: 0.0, cpu: 0.0 }, |sum, cost| Cost {
        clock: sum.clock + cost.clock,
        cpu: sum.cpu + cost.cpu,
    })
}

fn median(costs: &[Cost], part: fn(&Cost) -> f64) -> f64 {
    middle(&sorted(costs.iter().map(part)))
}

/// Of rounds where both were measured, of each round; else of their medians.
fn ratio(costs: &[Cost], of: &[Cost], part: fn(&Cost) -> f64) -> f64 {
    if costs.len() != of.len() {
        return median(costs, part) / median(of, part);
    }
    middle(&sorted(costs.iter().zip(of).map(|(cost, of)| part(cost) / part(of))))
}

fn sorted(numbers: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

/// The median; of an even count the mean of the two in the middle.
fn middle(sorted: &[f64]) -> f64 {
    let count = sorted.len();
    f64::midpoint(sorted[(count - 1) / 2], sorted[count / 2])
}

/// So many seconds of speech, ten at most, as Telegram's clients send it.
fn voice_message(seconds: usize) -> Vec<u8> {
    let text = "I am still on the train, and it looks as if we will be about twenty minutes late. Could you start the rice, \
                please, and take the fish out of the fridge? I will bring bread, and something sweet for the evening.";
    let wav = speech::speak_as(text, "en-us", &["-s", "165"]);
    let cut = format!("atrim=0:{seconds}");
    speech::ogg(&["-i", "pipe:0"], &wav, &cut, "24k")
}

fn decode(voice: &[u8], seconds: usize) -> Vec<f32> {
    let pcm = audio::decode(voice, &Limits::default(), &AtomicBool::new(false)).expect("decode");
    assert!(pcm.samples.len().abs_diff(seconds * RATE) < RATE / 10, "{}", pcm.samples.len());
    pcm.samples
}

/// An endless loop for each core; ended when dropped.
struct Load(Vec<Child>);

impl Load {
    fn start() -> Self {
        let endless = || {
            let mut shell = Command::new("sh");
            shell.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
            shell.spawn().expect("start a shell")
        };
        Self((0..cores().get()).map(|_| endless()).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
