//! The size of the chunks in which a file is fetched.

use std::time::Duration;

/// How many bytes are asked for at once: a power of two. Over the main connection it grows while
/// chunks come quickly, and shrinks while they come slowly. Over every connection it shrinks after
/// a chunk that did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkSize {
    of_main: bool,
    now: i32,
    least: i32,
    most: i32,
}

impl ChunkSize {
    /// From 64 KiB, which take 26 s on a line of 20 kbit/s and so arrive within the timeout of 30
    /// s, to the most that `upload.getFile` gives.
    pub fn of_own_connection() -> Self {
        Self { of_main: false, now: 512 << 10, least: 64 << 10, most: 512 << 10 }
    }

    /// From 16 KiB to 64 KiB. The smallest chunk takes 7 s on a line of 20 kbit/s, half of the
    /// timeout of a ping that waits behind it. The largest is asked for only if the line has just
    /// carried half as much within a sixteenth of that timeout, so the line may become seven times
    /// slower before a ping is late.
    pub fn of_main_connection() -> Self {
        Self { of_main: true, now: 16 << 10, least: 16 << 10, most: 64 << 10 }
    }

    /// Starts over if the kind of connection has changed.
    pub fn fit(&mut self, is_main: bool) {
        if self.of_main != is_main {
            *self = if is_main { Self::of_main_connection() } else { Self::of_own_connection() };
        }
    }

    /// The number of bytes to ask for at `offset`. A chunk must not cross a multiple of 1 MiB
    /// (<https://core.telegram.org/api/files#downloading-files>), so it begins at a multiple of its
    /// size.
    pub fn at(&self, offset: u64) -> i32 {
        let mut size = self.now;
        // This ends: `offset` is a sum of whole chunks, each of at least 16 KiB.
        while !offset.is_multiple_of(size as u64) {
            size /= 2;
        }
        size
    }

    /// A chunk came after `time`.
    pub fn came_after(&mut self, time: Duration, ping_timeout: Duration) {
        if !self.of_main {
            return;
        }
        if time < ping_timeout / 16 {
            self.now = (self.now * 2).min(self.most);
        } else if time > ping_timeout / 4 {
            self.now = (self.now / 2).max(self.least);
        }
    }

    /// No chunk came within `time`. A connection that was cut at once says nothing about the speed.
    pub fn was_lost_after(&mut self, time: Duration, ping_timeout: Duration) {
        if time > ping_timeout / 4 {
            self.now = self.least;
            self.most = self.least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING_TIMEOUT: Duration = Duration::from_secs(15);

    #[test]
    fn chunks_over_the_main_connection_grow_on_a_fast_line_only() {
        let mut size = ChunkSize::of_main_connection();
        assert_eq!(size.at(0), 16 << 10);
        for _ in 0..5 {
            size.came_after(Duration::from_millis(200), PING_TIMEOUT);
        }
        assert_eq!(size.now, 64 << 10);
        for _ in 0..5 {
            // 16 KiB on a line of 20 kbit/s.
            size.came_after(Duration::from_secs(7), PING_TIMEOUT);
        }
        assert_eq!(size.now, 16 << 10);
    }

    #[test]
    fn after_a_chunk_that_did_not_come_in_time_they_stay_small() {
        let mut size = ChunkSize::of_own_connection();
        size.came_after(Duration::from_secs(20), PING_TIMEOUT);
        assert_eq!(size.at(0), 512 << 10);
        size.was_lost_after(Duration::from_millis(1), PING_TIMEOUT);
        assert_eq!(size.at(0), 512 << 10);
        size.was_lost_after(Duration::from_secs(30), PING_TIMEOUT);
        size.came_after(Duration::from_millis(200), PING_TIMEOUT);
        assert_eq!(size.at(512 << 10), 64 << 10);
    }

    #[test]
    fn no_chunk_crosses_a_mebibyte_whatever_the_size_of_those_before() {
        let sizes = [ChunkSize::of_main_connection(), ChunkSize::of_own_connection()];
        let mut offset = 0_u64;
        for step in 0..1000 {
            let mut size = sizes[step / 7 % 2];
            if step % 3 == 0 {
                size.came_after(Duration::from_millis(200), PING_TIMEOUT);
            }
            let limit = size.at(offset) as u64;
            assert_eq!(offset >> 20, (offset + limit - 1) >> 20, "{limit} at {offset}");
            assert!(limit.is_power_of_two() && (4096..=1 << 20).contains(&limit), "{limit}");
            offset += limit;
        }
    }
}
