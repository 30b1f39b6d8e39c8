//! What the decoder process of one recording may use up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::audio::Limits;

/// Processor time for any file, however small it is.
const CPU_BASE: Duration = Duration::from_secs(20);
/// Bytes of a file that give a second more. Music of the highest rate has 40 KB in a second of
/// sound, and even a Raspberry Pi decodes a second of sound in 20 ms.
const BYTES_PER_CPU_SECOND: u64 = 20_000;
/// Seconds of the claimed length that give a second more: silence takes a few bytes per second.
const CLAIMED_PER_CPU_SECOND: u32 = 30;
/// A long recording is decoded twice, each time within the limit of its time.
const PASSES: u32 = 2;

/// On a busy machine a process takes several times as long as its processor time.
const WALL_FACTOR: u32 = 4;
const WALL_GRACE: Duration = Duration::from_secs(60);

/// Memory in bytes for any file. The resampler for the oddest of rates takes the greatest part.
const MEMORY_BASE: u64 = 96 << 20;
/// Memory for each byte of the file: the file itself, and once more what is kept of it.
const MEMORY_PER_BYTE: u64 = 2;

/// What the decoder process of one recording may use up, beyond what it needs to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// Processor time.
    pub cpu: Duration,
    /// For how long the daemon waits for the process, each time that the recording is decoded. What
    /// the process waits for the daemon does not count.
    pub wall: Duration,
    /// Address space, in bytes.
    pub memory: u64,
}

impl Allowance {
    /// For a file of this size, of which its sender claims this length.
    pub fn new(bytes: u64, claimed: Duration, limits: &Limits) -> Self {
        let by_size = Duration::from_secs(bytes / BYTES_PER_CPU_SECOND);
        let by_length = claimed.min(limits.length) / CLAIMED_PER_CPU_SECOND;
        let cpu = CPU_BASE.saturating_add(by_size).saturating_add(by_length).min(PASSES * limits.time);
        // The kernel counts whole seconds.
        let cpu = Duration::from_secs(cpu.as_secs());
        let wall = cpu.saturating_mul(WALL_FACTOR).min(limits.time).saturating_add(WALL_GRACE);
        let memory = MEMORY_BASE.saturating_add(bytes.saturating_mul(MEMORY_PER_BYTE));
        Self { cpu, wall, memory }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_the_size_and_the_claimed_length_up_to_the_limits() {
        let limits = Limits::default();
        let seconds = |bytes, claimed| {
            let Allowance { cpu, wall, .. } = Allowance::new(bytes, Duration::from_secs(claimed), &limits);
            (cpu.as_secs(), wall.as_secs())
        };
        assert_eq!(seconds(30_000, 10), (21, 144));
        assert_eq!(seconds(7_200_000, 3600), (500, 660));
        assert_eq!(seconds(u64::MAX, u64::MAX), (1200, 660));
        let memory = |bytes| Allowance::new(bytes, Duration::ZERO, &limits).memory;
        assert_eq!((memory(0), memory(1 << 20)), (96 << 20, 98 << 20));
    }
}
