//! What the machine offers: CPU, threads, memory.

use std::path::Path;

use super::memory;
use super::{Finding, Observer};
use crate::config::Config;
use crate::setup;
use crate::speech::cpu::{self, Instructions};
use crate::speech::models::ModelSpec;
use crate::speech::problems::{CPU_TOO_OLD, OUT_OF_MEMORY, too_many_threads};
use crate::speech::{cores, default_threads};

const MIB: u64 = 1 << 20;
/// The memory that the daemon takes besides the model, with some to spare.
const BASE_MEMORY: u64 = 60 * MIB;

pub(super) fn cpu(observer: &mut dyn Observer) {
    observer.found(judge_cpu(&cpu::needed()));
}

fn judge_cpu(needed: &[Instructions]) -> Finding {
    const CHECK: &str = "CPU";
    if let Some(missing) = cpu::missing(needed) {
        let what = "which this build needs: recognition would end in SIGILL";
        return Finding::fail(CHECK, CPU_TOO_OLD.with(format_args!("lacks {missing}, {what}")));
    }
    let names: Vec<_> = needed.iter().map(|instructions| instructions.name).collect();
    if names.is_empty() {
        return Finding::ok(CHECK, "this build runs on every CPU of its kind, slowly");
    }
    Finding::ok(CHECK, format!("has what this build needs: {}", names.join(", ")))
}

pub(super) fn threads(config: &Config, observer: &mut dyn Observer) {
    const CHECK: &str = "threads";
    let cores = cores();
    observer.found(match config.threads {
        Some(asked) if asked > cores => Finding::warn(CHECK, too_many_threads(asked, cores)),
        Some(asked) => Finding::ok(CHECK, format!("{asked} for recognition, of {cores} cores")),
        None => Finding::ok(CHECK, format!("{} for recognition, of {cores} cores", default_threads())),
    });
}

/// Whether the models fit into memory. A daemon that runs has loaded them already.
pub(super) fn memory(config: &Config, daemon_runs: bool, observer: &mut dyn Observer) {
    const CHECK: &str = "memory";
    observer.begins(CHECK);
    let Some(needed) = memory_of(config) else {
        observer.found(Finding::unclear(
            CHECK,
            "was not compared: the model's size is not known",
            "first the model, then run this again",
        ));
        return;
    };
    let needed = needed + BASE_MEMORY;
    let Some(headroom) = memory::headroom(Path::new("/"), daemon_runs) else {
        observer.found(Finding::unclear(
            CHECK,
            "cannot be looked at: /proc/meminfo is not readable",
            "look with `free -m`; README's table has the sizes of the models",
        ));
        return;
    };
    let (free, needed, scope) = (headroom.bytes / MIB, needed / MIB, headroom.scope);
    let what = if config.named_models().len() > 1 { "the models need" } else { "the model needs" };
    let says = format!("{free} MiB {scope}, and {what} about {needed} MiB");
    observer.found(if free < needed {
        Finding::fail(CHECK, OUT_OF_MEMORY.with(format_args!("{says}: too little")))
    } else {
        Finding::ok(CHECK, says)
    });
}

/// The memory that the models take during a recognition, in bytes.
fn memory_of(config: &Config) -> Option<u64> {
    let models = config.named_models().into_iter();
    models.map(|model| memory_of_model(&setup::model_path(config, model).ok()?)).sum()
}

fn memory_of_model(path: &Path) -> Option<u64> {
    if let Some(spec) = ModelSpec::of_file(path) {
        return Some(u64::from(spec.memory_mib) * MIB);
    }
    let file = path.metadata().ok()?.len();
    // For the models of the catalogue this is right within an eighth: the weights, a third of them,
    // and a constant.
    Some(file / 3 * 4 + 200 * MIB)
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;
    use crate::speech::models::SPEECH_MODELS;

    #[test]
    fn instructions_that_are_missing_are_named() {
        let needed = [
            Instructions { name: "AVX2", supported: true },
            Instructions { name: "AVX512F", supported: false },
            Instructions { name: "AVX-VNNI", supported: false },
        ];
        let finding = judge_cpu(&needed);
        assert_eq!(finding.outcome, Outcome::Fail);
        assert!(finding.says.contains("lacks AVX512F, AVX-VNNI,"), "{finding:?}");
        assert_eq!(judge_cpu(&needed[..1]).outcome, Outcome::Ok);
        assert_eq!(judge_cpu(&[]).outcome, Outcome::Ok);
    }

    #[test]
    fn the_rule_for_an_own_model_fits_the_catalogue() {
        for spec in
            SPEECH_MODELS.iter().filter(|spec| !spec.name.contains("-q") && !spec.name.contains("turbo"))
        {
            let ruled = (spec.bytes / 3 * 4 + 200 * MIB) / MIB;
            let told = u64::from(spec.memory_mib);
            assert!(ruled.abs_diff(told) * 8 < told, "{}: {ruled} for {told}", spec.name);
        }
    }
}
