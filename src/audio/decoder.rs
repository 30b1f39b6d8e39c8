//! Decodes a recording: packets from the container, through the track's codec and the resampler,
//! into blocks of samples.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use symphonia::core::errors::Error;

use super::budget::DecodeBudget;
use super::container::{Container, describe};
use super::error::AudioError;
use super::limits::{Containers, Limits};
use super::resample::Resampler;
use super::track::Track;
use super::{SAMPLE_RATE, crash, sniff};

/// Samples in a block: one second.
const BLOCK: usize = SAMPLE_RATE as usize;

/// Samples of all channels together that one second of audio may have: two channels at 192 kHz, or
/// eight at 48 kHz.
const MAX_SAMPLES_PER_SECOND: u64 = 384_000;

/// After this many failures in a row to find a packet, the rest of the file is given up.
const MAX_FAILURES: u32 = 8;

/// Decodes a recording block by block, in memory that does not grow with its length.
///
/// An iterator over mono PCM at [`SAMPLE_RATE`], in blocks of about a second, none of them empty.
/// The first error ends it. A recording without any sample is an error; one with a broken tail ends
/// early, and [`Decoder::damaged`] says why.
pub struct Decoder<'a> {
    /// `None` once the stream has ended.
    input: Option<Input<'a>>,
    resampler: Option<Resampler>,
    /// Samples of the packet that was decoded last, at the rate of the file.
    mono: Vec<f32>,
    budget: Arc<DecodeBudget<'a>>,
    limits: Limits,
    /// Samples returned so far.
    produced: u64,
    damaged: Option<String>,
    /// When the caller got the last block.
    returned_at: Instant,
}

/// The container and the track in it.
struct Input<'a> {
    container: Container<'a>,
    track: Track,
    packets: u64,
    /// Packets in a row that were not found.
    failures: u32,
    /// Length of what was decoded, and the samples of all its channels. What the file marks to be
    /// cut off is included, because it takes as long to decode.
    length: Duration,
    samples: u64,
}

/// The result of an attempt to read a packet.
enum Read {
    /// It was decoded, at this rate.
    Packet(u32),
    /// It has no samples to be played.
    Nothing,
    /// It is damaged; the next may be whole.
    Damage(String),
    /// The rest of the file cannot be decoded.
    Broken(String),
    End,
}

impl<'a> Decoder<'a> {
    /// Opens a recording.
    pub fn new(bytes: &'a [u8], limits: &Limits, abort: &'a AtomicBool) -> Result<Self, AudioError> {
        let size = bytes.len() as u64;
        if size > limits.bytes {
            return Err(AudioError::TooManyBytes { bytes: size, limit: limits.bytes });
        }
        sniff::check(bytes)?;
        let budget = Arc::new(DecodeBudget::new(bytes.len(), limits.time, abort));
        let input = crash::catch(|| Input::open(bytes, limits.containers, &budget));
        budget.check()?;
        let input = input.map_err(AudioError::Crashed)??;
        let damaged = input.container.damage().map(str::to_owned);
        Ok(Self {
            input: Some(input),
            resampler: None,
            mono: Vec::new(),
            budget,
            // A packet has at least one byte, so a file with more packets than bytes has empty
            // ones.
            limits: Limits { packets: limits.packets.min(size), ..limits.clone() },
            produced: 0,
            damaged,
            returned_at: Instant::now(),
        })
    }

    /// What is missing from the samples returned so far, and why.
    pub fn damaged(&self) -> Option<&str> {
        self.damaged.as_deref()
    }

    /// Adds samples to `block` until it is full (true) or the recording ends (false).
    fn fill(&mut self, block: &mut Vec<f32>) -> Result<bool, AudioError> {
        while block.len() < BLOCK {
            match self.read()? {
                Read::Nothing => (),
                Read::Packet(rate) => self.resample(rate, block)?,
                Read::Damage(why) => self.record_damage(&why, block),
                Read::Broken(why) => {
                    self.record_damage(&why, block);
                    return self.end(block);
                }
                Read::End => return self.end(block),
            }
        }
        Ok(true)
    }

    /// Reads and decodes a packet within the limits.
    fn read(&mut self) -> Result<Read, AudioError> {
        self.budget.check()?;
        let Some(input) = &mut self.input else { return Ok(Read::End) };
        if input.packets >= self.limits.packets {
            return Err(AudioError::TooManyPackets { limit: self.limits.packets });
        }
        // Up to the same length again may be cut off at the beginning or the end.
        let length = 2 * self.limits.length;
        if input.length > length || input.samples > length.as_secs().saturating_mul(MAX_SAMPLES_PER_SECOND) {
            return Err(AudioError::TooLong { limit: self.limits.length });
        }
        let mono = &mut self.mono;
        // After a panic the decoder is not used again; what it decoded before is kept.
        let read = crash::catch(|| input.read(mono))
            .unwrap_or_else(|panic| Read::Broken(format!("the decoder crashed: {panic}")));
        // symphonia reports a read that the budget refused as damage, or as the end of the file.
        self.budget.check()?;
        Ok(read)
    }

    /// Adds the packet in `mono` to `block`.
    fn resample(&mut self, rate: u32, block: &mut Vec<f32>) -> Result<(), AudioError> {
        if let Some(former) = self.resampler.take_if(|former| former.rate() != rate) {
            former.finish(block)?;
        }
        let resampler = match self.resampler.take() {
            Some(resampler) => resampler,
            None => Resampler::new(rate)?,
        };
        self.resampler.insert(resampler).push(&self.mono, block)?;
        if self.length(block) > self.limits.length {
            return Err(AudioError::TooLong { limit: self.limits.length });
        }
        Ok(())
    }

    fn end(&mut self, block: &mut Vec<f32>) -> Result<bool, AudioError> {
        if let Some(resampler) = self.resampler.take() {
            resampler.finish(block)?;
        }
        Ok(false)
    }

    /// Records the first damage, and where it is.
    fn record_damage(&mut self, why: &str, block: &[f32]) {
        let seconds = self.length(block).as_secs_f64();
        self.damaged.get_or_insert_with(|| format!("{why} (at {seconds:.1} s)"));
    }

    /// Length of the recording up to the end of `block`.
    fn length(&self, block: &[f32]) -> Duration {
        Duration::from_secs(self.produced + block.len() as u64) / SAMPLE_RATE
    }
}

impl Iterator for Decoder<'_> {
    type Item = Result<Vec<f32>, AudioError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.input.as_ref()?;
        self.budget.extend_deadline(self.returned_at.elapsed());
        let mut block = Vec::with_capacity(2 * BLOCK);
        let result = self.fill(&mut block);
        self.returned_at = Instant::now();
        if !matches!(result, Ok(true)) {
            self.input = None;
        }
        self.produced += block.len() as u64;
        match result {
            Err(error) => Some(Err(error)),
            Ok(_) if !block.is_empty() => Some(Ok(block)),
            Ok(_) if self.produced > 0 => None,
            Ok(_) => Some(Err(self.damaged.clone().map_or(AudioError::NoSound, AudioError::Broken))),
        }
    }
}

impl<'a> Input<'a> {
    fn open(
        file: &'a [u8],
        containers: Containers,
        budget: &Arc<DecodeBudget<'a>>,
    ) -> Result<Self, AudioError> {
        let (container, track) = Container::open(file, containers, budget)?;
        Ok(Self { container, track, packets: 0, failures: 0, length: Duration::ZERO, samples: 0 })
    }

    /// Reads the next packet and decodes it into `mono`.
    fn read(&mut self, mono: &mut Vec<f32>) -> Read {
        self.packets += 1;
        let packet = match self.container.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => return Read::End,
            Err(Error::ResetRequired) => return self.next_in_chain(),
            Err(error @ Error::IoError(_)) => return Read::Broken(describe(&error)),
            Err(error) => {
                self.failures += 1;
                let why = describe(&error);
                return if self.failures < MAX_FAILURES { Read::Damage(why) } else { Read::Broken(why) };
            }
        };
        self.failures = 0;
        if packet.data.is_empty() {
            // libopus would fill in 120 ms of audio for each, and a file can have millions.
            return Read::Nothing;
        }
        match self.track.decode(packet, mono) {
            Ok(Some(decoded)) => {
                self.length += Duration::from_secs(decoded.frames) / decoded.rate.max(1);
                self.samples = self.samples.saturating_add(decoded.samples);
                if mono.is_empty() { Read::Nothing } else { Read::Packet(decoded.rate) }
            }
            Ok(None) => Read::Nothing,
            Err(Error::ResetRequired) => self.next_in_chain(),
            Err(error) => Read::Damage(describe(&error)),
        }
    }

    /// One stream has ended and another begins, as in chained Ogg. Its codec may be another one.
    fn next_in_chain(&mut self) -> Read {
        match self.container.select() {
            Ok(track) => {
                self.track = track;
                Read::Nothing
            }
            Err(error) => Read::Broken(error.to_string()),
        }
    }
}
