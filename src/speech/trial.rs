//! How long a model of the catalogue takes on this machine, measured before it is downloaded.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters};

use super::models::ModelSpec;
use super::models::blank::BlankModel;
use super::whisper::audio_context::first_pass;
use super::whisper::{RATE, device, log};
use crate::domain::AudioContext;
use crate::runtime::process;

/// The length of a typical voice message, in seconds.
pub const MESSAGE_SECONDS: u32 = 10;
/// The tokens of the text that is said in it: about 27 words, at up to two tokens each.
const TOKENS: i32 = 48;
/// The message is recognised so many times at most, and the shortest time counts.
const RUNS: u32 = 3;
/// It is not recognised again once this has passed.
const ENOUGH: Duration = Duration::from_secs(8);

/// Why a model could not be tried out.
#[derive(Debug, thiserror::Error)]
#[error("{model} cannot be tried out: {why}")]
pub struct TrialError {
    model: &'static str,
    why: String,
}

/// How long `spec` takes to recognise a message of [`MESSAGE_SECONDS`] in a quick pass, measured
/// with a model of its shape whose weights are zeros. The pass is that of the engine: with a
/// shortened audio context, and without a second pass, which only some messages need.
///
/// On a CPU it is the CPU time for each thread, which is what the clock shows on an idle machine:
/// while stenogram is being installed the machine is often busy.
pub fn message_time(spec: &ModelSpec, threads: NonZeroUsize) -> Result<Duration, TrialError> {
    let failed = |why: &dyn Display| TrialError { model: spec.name, why: why.to_string() };
    log::install();
    let blank = BlankModel::write(spec).map_err(|error| failed(&error))?;
    let mut parameters = WhisperContextParameters::default();
    let on_gpu = device::gpu().is_some();
    parameters.flash_attn(on_gpu);
    let context = WhisperContext::new_with_params(blank.path(), parameters);
    let context = context.map_err(|error| failed(&error))?;
    drop(blank);
    let mut state = context.create_state().map_err(|error| failed(&error))?;

    let message = vec![0.0; MESSAGE_SECONDS as usize * RATE];
    let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
    params.set_n_threads(threads.get() as i32);
    params.set_language(Some("en"));
    params.set_audio_ctx(first_pass(AudioContext::Auto, message.len()).positions.unwrap_or_default());
    // All tokens are equally likely, so no text would end by itself.
    params.set_no_timestamps(true);
    params.set_single_segment(true);
    params.set_max_tokens(TOKENS);
    params.set_temperature_inc(0.0);
    params.set_print_progress(false);
    params.set_print_timestamps(false);
    let (started, mut shortest) = (Instant::now(), Duration::MAX);
    for _ in 0..RUNS {
        let (run, cpu) = (Instant::now(), process::cpu_time());
        state.full(params.clone(), &message).map_err(|error| failed(&error))?;
        let (clock, cpu) = (run.elapsed(), process::cpu_time().saturating_sub(cpu));
        let took = if on_gpu { clock } else { clock.min(cpu / threads.get() as u32) };
        shortest = shortest.min(took);
        if started.elapsed() > ENOUGH {
            break;
        }
    }
    Ok(shortest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_tried_out_without_its_file() {
        let threads = NonZeroUsize::MIN;
        let of = |name| message_time(ModelSpec::named(name).unwrap(), threads);
        assert!(of("tiny-q8_0").unwrap() > Duration::from_millis(1));
        let error = of("silero-v5.1.2").unwrap_err().to_string();
        assert!(error.contains("silero-v5.1.2 cannot be tried out: "), "{error}");
    }
}
