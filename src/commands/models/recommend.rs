//! Which model suits this machine, by its memory and by a measurement.

use std::path::Path;
use std::time::Duration;

use crate::commands::progress;
use crate::config::Config;
use crate::doctor::memory::{self, Total};
use crate::runtime::deployment::typed;
use crate::speech::default_threads;
use crate::speech::models::ModelSpec;
use crate::speech::trial::{MESSAGE_SECONDS, TrialError, message_time};

/// Recommended if it is fast enough and there is memory enough for it.
const BETTER: &str = "small-q8_0";
/// Recommended otherwise.
const SMALLER: &str = "base-q8_0";
/// The longest that a message of [`MESSAGE_SECONDS`] may take.
const LONGEST: Duration = Duration::from_secs(3);
const MIB: u64 = 1 << 20;
/// A machine with less memory gets the smaller model. The system and other programs need some too,
/// and a machine that is sold with 2 GB has about 1900 MiB.
const MACHINE: u64 = 2560 * MIB;
/// The memory that the daemon takes besides the model, with some to spare.
const DAEMON: u64 = 200 * MIB;

/// What is recommended, and why.
pub(super) struct Recommendation {
    pub model: &'static ModelSpec,
    /// Two sentences.
    pub why: String,
}

/// Looks at the memory, and measures unless that decides it.
pub(super) fn recommend(config: &Config) -> Recommendation {
    let threads = config.threads.unwrap_or_else(default_threads);
    decide(memory::total(Path::new("/")), |spec| {
        let spinner = progress::spinner("measuring");
        spinner.set_message(format!("how fast {} would be here …", spec.name));
        let took = message_time(spec, threads);
        spinner.finish_and_clear();
        took
    })
}

fn decide(
    memory: Option<Total>,
    measure: impl FnOnce(&ModelSpec) -> Result<Duration, TrialError>,
) -> Recommendation {
    let [better, smaller] = [BETTER, SMALLER].map(|name| ModelSpec::named(name).expect("a test finds them"));
    let needed = u64::from(better.memory_mib) * MIB + DAEMON;
    let (model, reason) = match memory {
        Some(Total { machine, .. }) if machine < MACHINE => {
            let (machine, wanted) = (machine / MIB, MACHINE / MIB);
            (smaller, format!("it has {machine} MiB of memory, and {BETTER} wants {wanted}"))
        }
        Some(Total { limit: Some(limit), .. }) if limit < needed => {
            let (limit, needed) = (limit / MIB, needed / MIB);
            (smaller, format!("the container's limit is {limit} MiB of memory, and {BETTER} needs {needed}"))
        }
        _ => match measure(better) {
            Ok(took) => {
                let (took, longest) = (took.as_secs_f64(), LONGEST.as_secs());
                let measured = format!(
                    "takes {took:.1} s here for a message of {MESSAGE_SECONDS} s, and {longest} s is the limit"
                );
                if took <= LONGEST.as_secs_f64() {
                    (better, format!("it {measured}"))
                } else {
                    (smaller, format!("{BETTER} {measured}"))
                }
            }
            Err(error) => (smaller, error.to_string()),
        },
    };
    let (name, list, bench) = (model.name, typed("models list"), typed("bench"));
    let why = format!(
        "The model for this machine is {name}: {reason}. MODEL selects another one of `{list}`; `{bench}` measures \
         those that are installed."
    );
    Recommendation { model, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(machine: u64, limit: Option<u64>, seconds: Option<f64>) -> (&'static str, String) {
        let memory = Total { machine: machine * MIB, limit: limit.map(|limit| limit * MIB) };
        let Recommendation { model, why } = decide(Some(memory), |spec| {
            assert_eq!(spec.name, BETTER);
            Ok(Duration::from_secs_f64(seconds.expect("nothing is measured where memory decides")))
        });
        (model.name, why)
    }

    #[test]
    fn a_fast_machine_with_memory_enough_gets_the_better_model() {
        for (machine, limit) in [(3800, None), (3800, Some(2048)), (2560, None), (3800, Some(900))] {
            let (model, why) = decided(machine, limit, Some(2.94));
            assert_eq!(model, "small-q8_0");
            let expected = "The model for this machine is small-q8_0: it takes 2.9 s here for a message of 10 s, and 3 s is \
                            the limit. MODEL selects another one of `";
            assert!(why.starts_with(expected), "{why}");
        }
    }

    #[test]
    fn a_slow_machine_or_a_small_one_gets_the_smaller_model() {
        for (machine, limit, seconds, reason) in [
            (
                3800,
                None,
                Some(3.04),
                "small-q8_0 takes 3.0 s here for a message of 10 s, and 3 s is the limit",
            ),
            (1900, None, None, "it has 1900 MiB of memory, and small-q8_0 wants 2560"),
            (3800, Some(512), None, "the container's limit is 512 MiB of memory, and small-q8_0 needs 840"),
        ] {
            let (model, why) = decided(machine, limit, seconds);
            assert_eq!(model, "base-q8_0");
            assert!(why.contains(&format!("The model for this machine is base-q8_0: {reason}. ")), "{why}");
        }
    }

    #[test]
    fn without_knowing_the_memory_the_measurement_decides() {
        assert_eq!(decide(None, |_| Ok(Duration::from_secs(1))).model.name, "small-q8_0");
        assert_eq!(decide(None, |_| Ok(Duration::from_secs(9))).model.name, "base-q8_0");
    }
}
