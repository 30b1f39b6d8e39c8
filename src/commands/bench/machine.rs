//! The machine, as far as it explains the numbers. Linux tells; elsewhere nothing is known.

use std::fs;

use serde::Serialize;

use crate::speech::{cores, device};

/// What the numbers hold for.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// That this process may run on at once.
    pub cores: usize,
    pub cpu: Option<String>,
    /// That recognises in the place of the CPU.
    pub gpu: Option<String>,
    /// Processes that ran or wanted to, over the minute before.
    pub load: Option<f64>,
}

impl Machine {
    pub fn look() -> Self {
        let read = |file| fs::read_to_string(file).ok();
        let cpu = read("/proc/cpuinfo").and_then(|text| value(&text, "model name").map(str::to_owned));
        let load = read("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok());
        Self { cores: cores().get(), cpu, gpu: device::gpu(), load }
    }
}

/// Memory of this process in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Resident now.
    pub resident_mib: u64,
    /// The most that was resident since [`Memory::forget_peak`].
    pub peak_mib: u64,
}

impl Memory {
    /// The peak is from now on what is resident now. Where the kernel does not take that, a peak
    /// may be that of a model measured before.
    pub fn forget_peak() {
        // The kernel's proc(5): 5 resets the peak of the resident set.
        let _ = fs::write("/proc/self/clear_refs", "5");
    }

    pub fn look() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/status").ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let mib = |name| {
            let kib: u64 = value(status, name)?.strip_suffix("kB")?.trim().parse().ok()?;
            Some(kib.div_ceil(1024))
        };
        Some(Self { resident_mib: mib("VmRSS")?, peak_mib: mib("VmHWM")? })
    }
}

/// The value of the first line `name: value`.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.find_map(|(key, value)| (key.trim() == name).then(|| value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        let status = "Name:\tstenogram\nVmPeak:\t  999999 kB\nVmHWM:\t  204801 kB\nVmRSS:\t  102400 kB\n";
        assert_eq!(Memory::parse(status), Some(Memory { resident_mib: 100, peak_mib: 201 }));
        assert_eq!(Memory::parse("Name:\tstenogram\n"), None);
    }
}
