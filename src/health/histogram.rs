//! Durations counted by size, as Prometheus wants them.

/// Upper bounds of the buckets in seconds: from decoding a voice message to recognising an hour of
/// speech.
const BOUNDS: [f64; 13] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0, 1800.0];

/// Durations in seconds, counted by bucket.
#[derive(Debug, Default)]
pub struct Histogram {
    /// For each bound, the durations that are not longer, but longer than the bound before.
    counts: [u64; BOUNDS.len()],
    pub count: u64,
    pub sum: f64,
}

impl Histogram {
    pub fn observe(&mut self, seconds: f64) {
        if let Some(bucket) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.counts[bucket] += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }

    /// Each bound, and how many durations are not longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        BOUNDS.into_iter().zip(self.counts).scan(0, |total, (bound, count)| {
            *total += count;
            Some((bound, *total))
        })
    }
}
