//! What decoding a recording may cost.

use std::time::Duration;

/// The most tracks that one file may have.
pub(super) const MAX_TRACKS: usize = 32;

/// What decoding a recording may cost. Exceeding a limit is an error that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Packets of compressed audio.
    pub packets: u64,
    /// Length of the decoded audio.
    pub length: Duration,
    /// Time spent on decoding. What the caller does between two blocks does not count.
    pub time: Duration,
}

impl Default for Limits {
    /// Four hours of audio, which take a minute or less to decode.
    fn default() -> Self {
        Self {
            bytes: 512 << 20,
            // Four hours in packets of 2.5 ms, the shortest there are.
            packets: 6_000_000,
            length: Duration::from_secs(4 * 3600),
            time: Duration::from_secs(600),
        }
    }
}
