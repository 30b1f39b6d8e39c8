//! Noises of a day without words: computed, so that each run hears others.

use std::f32::consts::TAU;

use crate::speech::Random;

const RATE: f32 = 16_000.0;

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    White,
    Pink,
    Brown,
    Hum,
    Clicks,
    Breath,
    Music,
    Steps,
}

pub const KINDS: [Kind; 8] =
    [Kind::White, Kind::Pink, Kind::Brown, Kind::Hum, Kind::Clicks, Kind::Breath, Kind::Music, Kind::Steps];

/// From -1 to 1.
fn uniform(random: &mut Random) -> f32 {
    random.below(20_001) as f32 / 10_000.0 - 1.0
}

fn between(low: f32, high: f32, random: &mut Random) -> f32 {
    low + (high - low) * (uniform(random) + 1.0) / 2.0
}

/// White noise, ± `level`.
pub fn hiss(samples: usize, level: f32, random: &mut Random) -> Vec<f32> {
    (0..samples).map(|_| uniform(random) * level).collect()
}

/// `speech` with white noise so many decibels below it, by the power of the whole recording.
pub fn mixed(speech: &[f32], decibels: f32, random: &mut Random) -> Vec<f32> {
    let power = speech.iter().map(|sample| sample * sample).sum::<f32>() / speech.len().max(1) as f32;
    // White noise of ±1 has a power of 1/3.
    let level = (3.0 * power / 10f32.powf(decibels / 10.0)).sqrt();
    speech.iter().map(|sample| (sample + uniform(random) * level).clamp(-1.0, 1.0)).collect()
}

/// So many seconds of it, with peaks of `level`.
pub fn noise(kind: Kind, seconds: usize, level: f32, random: &mut Random) -> Vec<f32> {
    let samples = seconds * RATE as usize;
    let mut noise = match kind {
        Kind::White => hiss(samples, 1.0, random),
        Kind::Pink => pink(samples, random),
        Kind::Brown => smooth(&hiss(samples, 1.0, random), 0.02),
        Kind::Hum => hum(samples, random),
        Kind::Clicks => clicks(samples, random),
        Kind::Breath => breath(samples, random),
        Kind::Music => music(samples, random),
        Kind::Steps => steps(samples, random),
    };
    let peak = noise.iter().fold(f32::MIN_POSITIVE, |peak, sample| peak.max(sample.abs()));
    noise.iter_mut().for_each(|sample| *sample *= level / peak);
    noise
}

/// One pole: the smaller `share`, the deeper what is left.
fn smooth(noise: &[f32], share: f32) -> Vec<f32> {
    let mut state = 0.0;
    let step = |sample: &f32| {
        state += share * (sample - state);
        state
    };
    noise.iter().map(step).collect()
}

/// White noise through three poles, Paul Kellet's economy method.
fn pink(samples: usize, random: &mut Random) -> Vec<f32> {
    let mut b = [0.0; 3];
    let step = |white: f32| {
        b[0] = 0.99765 * b[0] + white * 0.099_046;
        b[1] = 0.963 * b[1] + white * 0.296_516_4;
        b[2] = 0.57 * b[2] + white * 1.052_691_3;
        b[0] + b[1] + b[2] + white * 0.1848
    };
    hiss(samples, 1.0, random).into_iter().map(step).collect()
}

/// The mains and its overtones.
fn hum(samples: usize, random: &mut Random) -> Vec<f32> {
    let hertz = if random.below(2) == 0 { 50.0 } else { 60.0 };
    let overtones: Vec<(f32, f32)> =
        (1..6).map(|n| (hertz * n as f32, between(0.0, 1.0 / n as f32, random))).collect();
    let tone =
        |n: usize| overtones.iter().map(|(hertz, level)| level * (TAU * hertz * n as f32 / RATE).sin()).sum();
    (0..samples).map(tone).collect()
}

/// A few short knocks a second, in silence.
fn clicks(samples: usize, random: &mut Random) -> Vec<f32> {
    let mut noise = vec![0.0; samples];
    for _ in 0..1 + samples * 3 / RATE as usize {
        let at = random.below(samples);
        for (n, sample) in noise[at..].iter_mut().take(160).enumerate() {
            *sample += uniform(random) * (-(n as f32) / 20.0).exp();
        }
    }
    noise
}

/// Swelling hiss, in and out every few seconds.
fn breath(samples: usize, random: &mut Random) -> Vec<f32> {
    let rate = between(0.2, 0.5, random);
    let share = between(0.1, 0.5, random);
    let hiss = smooth(&hiss(samples, 1.0, random), share);
    let swell = |n: usize| (TAU * rate * n as f32 / RATE).sin().powi(2);
    hiss.into_iter().enumerate().map(|(n, sample)| sample * swell(n)).collect()
}

/// Plucked notes of a pentatonic scale, with overtones, over each other.
fn music(samples: usize, random: &mut Random) -> Vec<f32> {
    const SCALE: [f32; 5] = [1.0, 9.0 / 8.0, 5.0 / 4.0, 3.0 / 2.0, 5.0 / 3.0];
    let mut noise = vec![0.0; samples];
    let base = between(130.0, 330.0, random);
    let beat = between(0.15, 0.5, random) * RATE;
    for note in 0..(samples as f32 / beat) as usize {
        let hertz = base * SCALE[random.below(5)] * [1.0, 2.0][random.below(2)];
        let decay = between(0.1, 0.6, random) * RATE;
        for (n, sample) in noise[(note as f32 * beat) as usize..].iter_mut().enumerate() {
            let t = n as f32;
            if t > 5.0 * decay {
                break;
            }
            let overtones = (1..5).map(|k| (TAU * hertz * k as f32 * t / RATE).sin() / (k * k) as f32);
            *sample += overtones.sum::<f32>() * (-t / decay).exp();
        }
    }
    noise
}

/// Dull thuds in an even pace, on some ground.
fn steps(samples: usize, random: &mut Random) -> Vec<f32> {
    let pace = between(0.4, 0.8, random) * RATE;
    let ground = hiss(samples, 0.02, random);
    let thuds = smooth(&hiss(samples, 1.0, random), 0.1);
    let envelope = |n: usize| (-(n as f32 % pace) / 800.0).exp();
    thuds.iter().zip(ground).enumerate().map(|(n, (thud, ground))| thud * envelope(n) + ground).collect()
}
