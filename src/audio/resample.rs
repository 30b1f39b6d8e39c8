//! Mono PCM of any rate to 16 kHz, in chunks of bounded size.
//!
//! The filter imitates that of ffmpeg's `swresample` with its defaults: a sinc of 32 lobes at 0.97
//! of the lower Nyquist frequency, under a Kaiser window with beta 9. So a model gets the samples
//! that `ffmpeg -ac 1 -ar 16000` would give it. Delay, reflected edges and total length are
//! swresample's too, which lets tests compare with ffmpeg sample by sample.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, FixedAsync, Resampler as _, SincInterpolationParameters, SincInterpolationType, WindowFunction,
};

use super::SAMPLE_RATE;
use super::error::AudioError;

/// Sample rates in Hz that are accepted. Below 4 kHz speech is unintelligible; nothing records
/// above 384 kHz, and the filter grows with the rate.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;

/// Input samples given to rubato at a time.
const BLOCK: usize = 1024;

/// The most filter phases between two input samples. More would cost time at the start of every
/// recording (10 ms per thousand), to reduce a jitter that is already 60 dB below speech.
const MAX_PHASES: usize = 1024;

/// Resamples a stream of mono samples to 16 kHz.
pub(super) struct Resampler {
    rate: u32,
    /// `None` where the input is at 16 kHz already.
    filter: Option<Filter>,
}

impl Resampler {
    /// A resampler of input at `rate` Hz.
    pub fn new(rate: u32) -> Result<Self, AudioError> {
        if !RATES.contains(&rate) {
            return Err(AudioError::Unsupported(format!("a sample rate of {rate} Hz")));
        }
        let filter = if rate == SAMPLE_RATE { None } else { Some(Filter::new(rate)?) };
        Ok(Self { rate, filter })
    }

    /// The input's rate in Hz.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Takes samples, and appends to `out` what can be computed from those so far.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), AudioError> {
        match &mut self.filter {
            Some(filter) => filter.push(samples, out),
            None => {
                out.extend_from_slice(samples);
                Ok(())
            }
        }
    }

    /// Ends the stream, and appends what the filter still holds.
    pub fn finish(self, out: &mut Vec<f32>) -> Result<(), AudioError> {
        self.filter.map_or(Ok(()), |filter| filter.finish(out))
    }
}

struct Filter {
    inner: Async<f32>,
    /// Taps of swresample's filter, on which the total length depends.
    taps: u64,
    rate: u64,
    /// Samples that are reflected at each end, where the filter reaches beyond the stream.
    edge: usize,
    /// Silence before the reflected start, so that an output sample falls on the first input
    /// sample.
    lead: usize,
    /// The first samples, until there are enough to reflect; then `None`.
    head: Option<Vec<f32>>,
    /// The last `edge` input samples.
    tail: Vec<f32>,
    /// Input not yet given to `inner`; between calls, less than a block.
    pending: Vec<f32>,
    scratch: Vec<f32>,
    /// Output samples still to be dropped, because they precede the stream.
    to_drop: usize,
    received: u64,
    produced: u64,
}

impl Filter {
    fn new(rate: u32) -> Result<Self, AudioError> {
        // As in swresample: the cutoff relative to the input's Nyquist frequency, and 32 lobes.
        let cutoff = (0.97 * f64::from(SAMPLE_RATE) / f64::from(rate)).min(1.0);
        let taps = ((32.0 / cutoff).ceil() as usize).next_multiple_of(2);
        // rubato has no Kaiser window. A Blackman window of 0.975 times the length comes closest to
        // one with beta 9 (found by search); rubato's lengths are multiples of 8. For white noise,
        // the hardest case, the difference is 55 dB below the signal from 48 kHz, and 44 dB from
        // 22.05 kHz, where the length fits worst.
        let length = (0.975 * taps as f64 / 8.0).round() as usize * 8;
        let phases = SAMPLE_RATE / gcd(rate, SAMPLE_RATE);
        let parameters = SincInterpolationParameters::new(length, WindowFunction::Blackman)
            // rubato wants it relative to the lower of the two Nyquist frequencies.
            .f_cutoff(if rate > SAMPLE_RATE { 0.97 } else { cutoff as f32 })
            .interpolation(SincInterpolationType::Nearest)
            .oversampling_factor(oversampling(phases as usize));
        let ratio = f64::from(SAMPLE_RATE) / f64::from(rate);
        let inner = Async::new_sinc(ratio, 1.0, &parameters, BLOCK, 1, FixedAsync::Input)
            .map_err(|error| AudioError::Unsupported(format!("resampling from {rate} Hz ({error})")))?;

        // rubato's output k is at the input time (k + 1) * rate / 16000 - length / 2, which is
        // whole where k + 1 is a multiple of `phases`. Enough silence is put before the first
        // sample for one of these outputs to fall on it, and for the reflection.
        let period = rate / (SAMPLE_RATE / phases);
        let periods = (length as u32).div_ceil(period);
        let edge = length / 2;
        // rubato is late by one filter phase: a whole sample where there is one phase, and next to
        // nothing where there are many.
        let grid_offset = usize::from(phases == 1);
        Ok(Self {
            scratch: vec![0.0; inner.output_frames_max()],
            inner,
            taps: taps as u64,
            rate: u64::from(rate),
            edge,
            lead: (periods * period) as usize - length + grid_offset,
            head: Some(Vec::new()),
            tail: Vec::with_capacity(edge),
            pending: Vec::new(),
            to_drop: (periods * phases) as usize - 1,
            received: 0,
            produced: 0,
        })
    }

    fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), AudioError> {
        self.received += samples.len() as u64;
        let surplus = (self.tail.len() + samples.len()).saturating_sub(self.edge);
        self.tail.drain(..surplus.min(self.tail.len()));
        self.tail.extend_from_slice(&samples[samples.len().saturating_sub(self.edge)..]);
        match &mut self.head {
            Some(head) => {
                head.extend_from_slice(samples);
                if head.len() > self.edge {
                    self.start();
                }
            }
            None => self.pending.extend_from_slice(samples),
        }
        self.run(out)
    }

    fn finish(mut self, out: &mut Vec<f32>) -> Result<(), AudioError> {
        self.start();
        let tail = std::mem::take(&mut self.tail);
        self.pending.extend(tail.iter().rev());
        let total = output_length(self.received, self.rate, self.taps);
        let end = out.len() as u64 + total - self.produced.min(total);
        while (out.len() as u64) < end {
            self.pending.resize(self.pending.len().next_multiple_of(BLOCK).max(BLOCK), 0.0);
            self.run(out)?;
        }
        out.truncate(end as usize);
        Ok(())
    }

    /// Reflects the start of the stream about its first sample.
    fn start(&mut self) {
        let Some(head) = self.head.take() else { return };
        let reflected = self.edge.min(head.len().saturating_sub(1));
        self.pending.resize(self.lead + self.edge - reflected, 0.0);
        self.pending.extend(head.iter().skip(1).take(reflected).rev());
        self.pending.extend_from_slice(&head);
    }

    /// Filters every whole block that is pending.
    fn run(&mut self, out: &mut Vec<f32>) -> Result<(), AudioError> {
        let mut used = 0;
        for block in self.pending.chunks_exact(BLOCK) {
            let broken = |error: &dyn std::fmt::Display| AudioError::Crashed(format!("resampler: {error}"));
            let frames = self.scratch.len();
            let input = InterleavedSlice::new(block, 1, BLOCK).map_err(|error| broken(&error))?;
            let mut output =
                InterleavedSlice::new_mut(&mut self.scratch, 1, frames).map_err(|error| broken(&error))?;
            let (_, written) =
                self.inner.process_into_buffer(&input, &mut output, None).map_err(|error| broken(&error))?;
            let dropped = self.to_drop.min(written);
            self.to_drop -= dropped;
            self.produced += (written - dropped) as u64;
            out.extend_from_slice(&self.scratch[dropped..written]);
            used += BLOCK;
        }
        self.pending.drain(..used);
        Ok(())
    }
}

/// How many samples swresample makes of `received` samples at `rate` Hz.
///
/// It computes an output sample while the window of `taps` samples lies within the input. At its
/// end the input is extended by reflecting half of the samples that are still in use.
fn output_length(received: u64, rate: u64, taps: u64) -> u64 {
    let out = u64::from(SAMPLE_RATE);
    let before = (taps - 1) / 2;
    // The first output sample whose window reaches beyond `end`.
    let first_after = |end: u64| (end + 1).saturating_sub(taps - before).saturating_mul(out).div_ceil(rate);
    let in_use = (received + before).saturating_sub(first_after(received) * rate / out);
    first_after(received + in_use.min(taps).div_ceil(2))
}

/// Filter phases between two input samples: a multiple of those needed, or as many as are allowed.
fn oversampling(phases: usize) -> usize {
    match phases {
        1 => 1,
        2..=MAX_PHASES => MAX_PHASES / phases * phases,
        _ => MAX_PHASES,
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resample(input: &[f32], rate: u32, piece: usize) -> Vec<f32> {
        let mut resampler = Resampler::new(rate).unwrap();
        let mut out = Vec::new();
        for piece in input.chunks(piece) {
            resampler.push(piece, &mut out).unwrap();
        }
        resampler.finish(&mut out).unwrap();
        out
    }

    fn sine(rate: u32, hz: f64, samples: usize) -> Vec<f32> {
        let step = std::f64::consts::TAU * hz / f64::from(rate);
        (0..samples).map(|n| (step * n as f64).cos() as f32).collect()
    }

    /// Ratio of the signal to its difference from `ideal`, in dB.
    fn snr(ideal: &[f32], got: &[f32]) -> f64 {
        let power = |x: f64| x * x;
        let signal: f64 = ideal.iter().map(|&x| power(x.into())).sum();
        let noise: f64 = ideal.iter().zip(got).map(|(&a, &b)| power(f64::from(a) - f64::from(b))).sum();
        10.0 * (signal / noise.max(1e-30)).log10()
    }

    #[test]
    fn a_tone_stays_where_it_is() {
        for rate in [8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 47_999, 48_000, 96_000, 192_000] {
            // A cosine is its own reflection at the start, so the edge there is exact too.
            let out = resample(&sine(rate, 1000.0, rate as usize), rate, 960);
            assert!(out.len().abs_diff(16_000) <= 1, "{rate}: {}", out.len());
            let inner = 0..15_900;
            let ratio = snr(&sine(SAMPLE_RATE, 1000.0, 16_000)[inner.clone()], &out[inner]);
            assert!(ratio > 60.0, "{rate}: {ratio:.1} dB");
        }
    }

    #[test]
    fn frequencies_above_8_khz_are_removed() {
        let out = resample(&sine(48_000, 11_000.0, 48_000), 48_000, 1000);
        let peak = out[100..15_900].iter().fold(0f32, |peak, x| peak.max(x.abs()));
        assert!(peak < 1e-3, "{peak}");
    }

    #[test]
    fn a_constant_has_no_ripple_at_the_edges() {
        for rate in [8_000, 44_100, 48_000] {
            for samples in [60, 500, 5_000] {
                let out = resample(&vec![0.5; samples], rate, 7);
                assert!(out.iter().all(|x| (x - 0.5).abs() < 2e-3), "{rate} {samples}: {out:?}");
            }
        }
    }

    #[test]
    fn the_size_of_the_pieces_does_not_matter() {
        let input = sine(44_100, 440.0, 30_000);
        let whole = resample(&input, 44_100, input.len());
        for piece in [1, 100, 1024, 5_000] {
            assert_eq!(resample(&input, 44_100, piece), whole, "{piece}");
        }
    }

    /// Lengths measured with ffmpeg 5.1: `-f s16le -ar RATE -i - -ar 16000`.
    #[test]
    fn lengths_are_those_of_ffmpeg() {
        for (rate, samples, expected) in [
            (48_000, 1_000, 333),
            (48_000, 1_001, 334),
            (48_000, 1_002, 334),
            (48_000, 100_000, 33_333),
            (44_100, 1_001, 363),
            (44_100, 1_004, 364),
            (44_100, 48_001, 17_416),
            (44_100, 100_000, 36_281),
            (24_000, 1_003, 669),
            (22_050, 12_345, 8_958),
            (11_025, 1_002, 1_455),
            (8_000, 1_000, 2_000),
            (96_000, 12_345, 2_058),
        ] {
            assert_eq!(resample(&vec![0.1; samples], rate, 4096).len(), expected, "{samples} at {rate} Hz");
        }
    }

    #[test]
    fn nothing_makes_nothing() {
        for rate in [8_000, 16_000, 48_000] {
            assert!(resample(&[], rate, 1).is_empty());
        }
    }

    #[test]
    fn absurd_rates_are_refused() {
        for rate in [0, 1, 3_999, 384_001, u32::MAX] {
            assert!(matches!(Resampler::new(rate), Err(AudioError::Unsupported(_))), "{rate}");
        }
    }
}
