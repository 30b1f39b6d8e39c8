//! The machine, as far as it explains the numbers. The details are known on Linux only.

use std::fmt;
use std::fs;

use serde::Serialize;

use crate::speech::{cores, device};

/// With a higher system load the numbers are those of a busy machine.
const BUSY: f64 = 0.5;

/// The machine that the numbers are measured on.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// The cores that this process may use.
    pub cores: usize,
    pub cpu: Option<String>,
    /// The GPU, if it recognises in place of the CPU.
    pub gpu: Option<String>,
    /// The average number of runnable processes in the last minute.
    pub load: Option<f64>,
}

impl Machine {
    pub fn detect() -> Self {
        let read = |file| fs::read_to_string(file).ok();
        let cpu = read("/proc/cpuinfo").and_then(|text| value(&text, "model name").map(str::to_owned));
        let load = read("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok());
        Self { cores: cores().get(), cpu, gpu: device::gpu(), load }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, cpu, gpu, load } = self;
        write!(f, "{cores} cores")?;
        cpu.iter().try_for_each(|cpu| write!(f, " of {cpu}"))?;
        gpu.iter().try_for_each(|gpu| write!(f, ", GPU {gpu}"))?;
        load.iter().try_for_each(|load| write!(f, ", load {load:.1}"))?;
        if load.is_some_and(|load| load > BUSY) {
            f.write_str(": something else is at work, so times are upper bounds")?;
        }
        Ok(())
    }
}

/// The value of the first line `name: value`.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.find_map(|(key, value)| (key.trim() == name).then(|| value.trim()))
}
