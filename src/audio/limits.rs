//! What decoding a recording may cost.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The most tracks that one file may have.
pub(super) const MAX_TRACKS: usize = 32;

/// Which containers are tried. Fewer of them mean less code that a stranger's file can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Containers {
    /// All that symphonia knows.
    All,
    /// Those of Telegram's voice, video and audio messages: Ogg, MP4 and MP3.
    OfMessages,
}

/// What decoding a recording may cost. Exceeding a limit is an error that names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub containers: Containers,
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
    /// Four hours of audio in any container, which take a minute or less to decode.
    fn default() -> Self {
        Self {
            containers: Containers::All,
            bytes: 512 << 20,
            // Four hours in packets of 2.5 ms, the shortest there are.
            packets: 6_000_000,
            length: Duration::from_secs(4 * 3600),
            time: Duration::from_secs(600),
        }
    }
}
