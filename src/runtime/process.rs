//! What the kernel says about this process. Of its memory only Linux does.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The CPU time that this process has used since its start, all threads together.
pub fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// What the machine is called; in a container that is the container's name.
pub fn host_name() -> String {
    let kernel =
        fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| fs::read_to_string("/etc/hostname"));
    let name = kernel.unwrap_or_default().trim().to_owned();
    if name.is_empty() { "worker".to_owned() } else { name }
}

/// The physical memory of this process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// In use now.
    pub resident: u64,
    /// The most that was in use since the start or since [`Memory::reset_peak`].
    pub peak: u64,
}

impl Memory {
    /// `None` if the kernel does not say.
    pub fn sample() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/status").ok()?)
    }

    /// Sets the peak to what is in use now. Where the kernel refuses, the peak stays.
    pub fn reset_peak() {
        // See proc(5): 5 resets the peak of the resident set.
        let _ = fs::write("/proc/self/clear_refs", "5");
    }

    fn parse(status: &str) -> Option<Self> {
        let bytes = |name| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_suffix("kB"))?;
            value.trim().parse::<u64>().ok().map(|kib| kib << 10)
        };
        Some(Self { resident: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        let status = "Name:\tstenogram\nVmPeak:\t  999999 kB\nVmHWM:\t  204801 kB\nVmRSS:\t  102400 kB\n";
        let memory = Memory { resident: 102_400 << 10, peak: 204_801 << 10 };
        assert_eq!(Memory::parse(status), Some(memory));
        assert_eq!(Memory::parse("Name:\tstenogram\n"), None);
        assert!(Memory::sample().is_some_and(|memory| memory.resident > 1 << 20));
    }
}
