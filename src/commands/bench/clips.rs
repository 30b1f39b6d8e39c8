//! The clips to recognise: recordings, joined and then cut or repeated to a length.

use std::sync::atomic::AtomicBool;

use crate::audio::{self, AudioError, Limits, SAMPLE_RATE};

/// The recording used if none is given: [`VOICE_TEXT`], spoken by espeak-ng's en-us, as a voice
/// message of 14 s (libopus, 48 kHz, mono, 16 kbit/s).
const VOICE: &[u8] = include_bytes!("voice.ogg");
#[cfg(test)]
const VOICE_TEXT: &str = "Hi, it's me. I am still on the train, and it looks as if we will be about twenty \
     minutes late. Could you start the rice, please, and take the fish out of the fridge? I will bring bread, \
     and something sweet. See you soon.";
/// -60 dBFS. The engine takes quieter samples for silence and does not recognise them.
const SILENCE: f32 = 0.001;
/// The samples of silence that are kept before a recording: half a second.
const LEAD: usize = SAMPLE_RATE as usize / 2;

/// The built-in message, 16 kHz mono.
pub fn built_in() -> Vec<f32> {
    decode(VOICE, &Limits::default()).expect("a test below decodes it")
}

/// A recording without most of the silence at its start. Empty if all of it is silence.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Vec<f32>, AudioError> {
    let mut samples = audio::decode(bytes, limits, &AtomicBool::new(false))?.samples;
    let sound = samples.iter().position(|sample| sample.abs() >= SILENCE);
    let begin = sound.map_or(samples.len(), |at| at.saturating_sub(LEAD));
    samples.drain(..begin);
    Ok(samples)
}

/// `audio`, which is not empty, cut or repeated to this length.
pub fn clip(audio: &[f32], seconds: u32) -> Vec<f32> {
    let samples = seconds as usize * SAMPLE_RATE as usize;
    audio.iter().copied().cycle().take(samples).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_is_cut_or_repeated() {
        let audio: Vec<f32> = (0..40_000).map(|n| n as f32).collect();
        let clip = |seconds| clip(&audio, seconds);
        assert_eq!(clip(2), audio[..32_000]);
        let long = clip(3);
        assert_eq!((long.len(), &long[..40_000]), (48_000, &audio[..]));
        assert_eq!(long[40_000..], audio[..8_000]);
    }

    #[test]
    fn the_built_in_message_begins_with_speech() {
        let samples = built_in();
        let seconds = samples.len() as f64 / f64::from(SAMPLE_RATE);
        assert!((13.0..15.0).contains(&seconds), "{seconds} s");
        assert!(samples[..LEAD + 1].iter().any(|sample| sample.abs() >= SILENCE));
        let words = VOICE_TEXT.split(' ').count() as f64;
        assert!((2.0..4.0).contains(&(words / seconds)), "as fast as people speak");
    }

    #[test]
    fn silence_is_removed_up_to_half_a_second_before_the_sound() {
        // A WAV file: 1 channel, 16 kHz, 16 bits, a second.
        let mut wav =
            b"RIFF\x24\x7d\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80>\0\0\0}\0\0\x02\0\x10\0data".to_vec();
        wav.extend(32_000_u32.to_le_bytes());
        wav.extend([0; 32_000]);
        assert_eq!(decode(&wav, &Limits::default()).unwrap(), [0.0; 0]);
        let at = wav.len() - 200;
        wav[at + 1] = 0x40;
        assert_eq!(decode(&wav, &Limits::default()).unwrap().len(), LEAD + 100);
    }
}
