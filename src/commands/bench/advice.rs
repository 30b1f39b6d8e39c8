//! Derives from the measurements how to configure stenogram on this machine.

use std::fmt;

use serde::Serialize;

use super::measured::{Clip, Measured, Row, Setting};
use crate::domain::AudioContext;

/// The length of a typical voice message, in seconds.
const TYPICAL_SECONDS: u32 = 10;
/// A model keeps up with several chats if it takes at most this share of a recording's length.
const KEEPS_UP: f64 = 0.5;
/// More threads are worthwhile if they save at least this share of the time.
const WORTHWHILE: f64 = 0.05;
/// Sorted by the quality of their texts, worst first, according to the catalogue's notes.
const FAMILIES: [&str; 6] = ["tiny", "base", "small", "medium", "large-v3-turbo", "large-v3"];

/// The recommended settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    pub model: String,
    /// The value of MODEL that selects it.
    pub value: String,
    #[serde(flatten)]
    pub setting: Setting,
    /// Whether the model keeps up.
    pub keeps_up: bool,
    /// Seconds of work per second of audio, and the length of the measured clip in seconds.
    pub ratio: f64,
    pub seconds: u32,
    /// Whether other models were measured too.
    #[serde(skip)]
    had_alternatives: bool,
    /// Whether the recommended flash attention differs from FLASH_ATTENTION=auto.
    #[serde(skip)]
    overrides_flash_default: bool,
}

/// `None` if nothing was measured.
pub fn advise(models: &[Measured], on_gpu: bool) -> Option<Advice> {
    let had_alternatives = models.len() > 1;
    let best: Vec<Advice> =
        models.iter().filter_map(|model| best_of(model, had_alternatives, on_gpu)).collect();
    let fastest = |a: &&Advice, b: &&Advice| b.ratio.total_cmp(&a.ratio);
    let keeping_up = best.iter().filter(|advice| advice.keeps_up);
    // Models that are not in the catalogue rank below all others. The fastest of equals wins.
    let capable = keeping_up.max_by(|a, b| rank(&a.model).cmp(&rank(&b.model)).then(fastest(a, b)));
    capable.or_else(|| best.iter().max_by(fastest)).cloned()
}

/// The fewest threads that are about as fast as any number, with the automatic audio context if it
/// was measured, else with the full one if that was.
fn best_of(model: &Measured, had_alternatives: bool, on_gpu: bool) -> Option<Advice> {
    let with = |context| {
        let rows = model.settings.iter().filter(move |row| row.setting.audio_context == context);
        rows.filter_map(|row| Some((row, typical(row)?))).collect::<Vec<(&Row, &Clip)>>()
    };
    let contexts = [AudioContext::Auto, AudioContext::Full, AudioContext::Careful];
    let rows = contexts.into_iter().map(with).find(|rows| !rows.is_empty())?;
    let least = rows.iter().map(|(_, clip)| clip.took).min_by(f64::total_cmp)?;
    let good = rows.iter().filter(|(_, clip)| clip.took * (1.0 - WORTHWHILE) <= least);
    let (row, clip) = good.min_by(|(a, with_a), (b, with_b)| {
        a.setting.threads.cmp(&b.setting.threads).then(with_a.took.total_cmp(&with_b.took))
    })?;
    Some(Advice {
        model: model.model.clone(),
        value: model.value.clone(),
        setting: row.setting,
        keeps_up: clip.ratio <= KEEPS_UP,
        ratio: clip.ratio,
        seconds: clip.seconds,
        had_alternatives,
        overrides_flash_default: row.setting.flash_attention != on_gpu,
    })
}

/// The clip whose length is nearest to a typical message's.
fn typical(row: &Row) -> Option<&Clip> {
    row.clips.iter().min_by_key(|clip| clip.seconds.abs_diff(TYPICAL_SECONDS))
}

/// `None`, which sorts below all others, for a model that is not in the catalogue. Among models of
/// a family, the one with more bits per weight ranks higher.
fn rank(model: &str) -> Option<(usize, u8)> {
    let (family, bits) = match model.split_once("-q") {
        None => (model, 16),
        Some((family, kind)) => (family, if kind.starts_with('8') { 8 } else { 5 }),
    };
    FAMILIES.iter().position(|known| *known == family).map(|at| (at, bits))
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, value, setting, ratio, seconds, .. } = self;
        let Setting { threads, audio_context, flash_attention } = setting;
        let took = ratio * f64::from(*seconds);
        let why = match (self.keeps_up, self.had_alternatives) {
            (true, true) => "the most capable here that takes at most half of a recording's length",
            (true, false) => "it takes at most half of a recording's length",
            (false, true) => "the fastest here, and yet slow: a smaller one would suit this machine",
            (false, false) => "slow: a smaller one would suit this machine",
        };
        write!(f, "For this machine: MODEL={value}, THREADS={threads}")?;
        if *audio_context != AudioContext::default() {
            write!(f, ", WHISPER_AUDIO_CTX={audio_context}")?;
        }
        if self.overrides_flash_default {
            write!(f, ", FLASH_ATTENTION={}", if *flash_attention { "on" } else { "off" })?;
        }
        writeln!(f)?;
        write!(f, "  {model}: {why} ({took:.1} s for {seconds} s)")?;
        match threads.get() {
            1 => write!(f, "\n  one thread: more gain less than 5 %"),
            threads => write!(f, "\n  {threads} threads: fewer are slower, more gain less than 5 %"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    /// A model with the seconds that 10 s of audio took with 1, 2, 4 threads.
    fn model(name: &str, took: &[f64]) -> Measured {
        let row = |(n, &took): (usize, &f64)| {
            let clip =
                |seconds, took| Clip { seconds, took, ratio: took / f64::from(seconds), runs: 1, text: None };
            Row {
                setting: Setting {
                    threads: NonZeroUsize::new(1 << n).unwrap(),
                    audio_context: AudioContext::Auto,
                    flash_attention: false,
                },
                load: 1.0,
                clips: vec![clip(3, 0.1), clip(10, took), clip(120, 9.0)],
                memory: None,
            }
        };
        Measured {
            model: name.into(),
            value: name.into(),
            settings: took.iter().enumerate().map(row).collect(),
        }
    }

    fn advice(models: &[Measured]) -> (String, usize, bool) {
        let advice = advise(models, false).unwrap();
        (advice.model, advice.setting.threads.get(), advice.keeps_up)
    }

    #[test]
    fn the_most_capable_model_that_keeps_up_is_recommended_with_the_fewest_fast_threads() {
        let tiny = model("tiny", &[1.0, 0.6, 0.5]);
        let small = model("small", &[8.0, 4.4, 4.3]);
        let quantised = model("small-q5_1", &[6.0, 3.0, 2.0]);
        let large = model("large-v3", &[99.0, 60.0, 50.0]);
        let own = model("own", &[0.2, 0.1, 0.1]);
        assert_eq!(advice(&[tiny.clone(), small.clone(), large.clone()]), ("small".into(), 2, true));
        assert_eq!(advice(&[small, quantised.clone()]), ("small".into(), 2, true), "the original");
        assert_eq!(advice(&[quantised, tiny.clone()]), ("small-q5_1".into(), 4, true));
        assert_eq!(advice(&[own.clone(), tiny]), ("tiny".into(), 4, true), "own ones are not known");
        assert_eq!(advice(std::slice::from_ref(&own)), ("own".into(), 2, true));
        assert_eq!(advice(&[large.clone(), model("medium", &[70.0, 40.0])]), ("medium".into(), 2, false));
        assert_eq!(advise(&[], false), None);
        let text = advise(&[large, own], false).unwrap().to_string();
        assert_eq!(text.lines().next(), Some("For this machine: MODEL=own, THREADS=2"));
    }

    #[test]
    fn another_audio_context_than_auto_is_advised_only_where_auto_was_not_measured() {
        let auto = model("base", &[1.5, 0.5]);
        let mut full = model("base", &[0.9, 0.4]);
        full.settings.iter_mut().for_each(|row| row.setting.audio_context = AudioContext::Full);
        let mut careful = full.clone();
        careful.settings.iter_mut().for_each(|row| row.setting.audio_context = AudioContext::Careful);
        let mut both = full.clone();
        both.settings.extend(auto.settings);
        for (measured, line) in [
            (both, "For this machine: MODEL=base, THREADS=2"),
            (full, "For this machine: MODEL=base, THREADS=2, WHISPER_AUDIO_CTX=full"),
            (careful, "For this machine: MODEL=base, THREADS=2, WHISPER_AUDIO_CTX=careful"),
        ] {
            let text = advise(&[measured], false).unwrap().to_string();
            assert_eq!(text.lines().next(), Some(line));
        }
    }

    #[test]
    fn flash_attention_is_shown_if_auto_would_choose_otherwise() {
        let plain = model("base", &[4.0, 2.0]);
        let mut both = model("base", &[3.0, 1.0]);
        both.settings.iter_mut().for_each(|row| row.setting.flash_attention = true);
        both.settings.extend(plain.settings.clone());
        for (measured, on_gpu, line) in [
            (&both, true, "For this machine: MODEL=base, THREADS=2"),
            (&both, false, "For this machine: MODEL=base, THREADS=2, FLASH_ATTENTION=on"),
            (&plain, true, "For this machine: MODEL=base, THREADS=2, FLASH_ATTENTION=off"),
            (&plain, false, "For this machine: MODEL=base, THREADS=2"),
        ] {
            let text = advise(std::slice::from_ref(measured), on_gpu).unwrap().to_string();
            assert_eq!(text.lines().next(), Some(line));
        }
    }

    #[test]
    fn every_model_of_the_catalogue_has_a_rank() {
        for spec in &crate::speech::models::SPEECH_MODELS {
            assert!(rank(spec.name).is_some(), "{}", spec.name);
        }
        assert!(rank("large-v3-turbo-q5_0") > rank("medium") && rank("large-v3") > rank("large-v3-turbo"));
        assert!(rank("small") > rank("small-q8_0") && rank("small-q8_0") > rank("small-q5_1"));
    }
}
