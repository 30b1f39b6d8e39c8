//! The way of the samples: container, track, resampler, chunks.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use symphonia::core::errors::Error;

use super::container::{Container, describe};
use super::resample::Resampler;
use super::source::Watch;
use super::track::Track;
use super::{AudioError, Limits, SAMPLE_RATE, crash, sniff};

/// Samples of a chunk, about a second of them.
const CHUNK: usize = SAMPLE_RATE as usize;

/// Samples of all channels in a second of what may be heard: two at 192 kHz, or eight at 48 kHz.
const MAX_SAMPLES: u64 = 384_000;

/// Failures to find a packet, one after the other, after which the rest of the file is given up.
const MAX_LOST: u32 = 8;

/// Decodes a recording chunk by chunk, in memory that does not grow with its length.
///
/// An iterator over mono PCM at [`SAMPLE_RATE`], in chunks of about a second, none of them empty.
/// The first error ends it. A recording without any sample is an error; one with a broken tail ends
/// early, and [`Decoder::damaged`] tells why.
pub struct Decoder<'a> {
    /// None once all is said.
    input: Option<Input<'a>>,
    resampler: Option<Resampler>,
    /// Samples of the packet at hand, at the rate of the file.
    mono: Vec<f32>,
    watch: Arc<Watch<'a>>,
    limits: Limits,
    /// Samples given out.
    produced: u64,
    damaged: Option<String>,
    /// When the caller got the last chunk.
    paused: Instant,
}

/// The container and the track in it.
struct Input<'a> {
    container: Container<'a>,
    track: Track,
    packets: u64,
    lost: u32,
    /// Length of the sound that was decoded, and the samples of all its channels. That includes
    /// sound which the file says is to be cut off, for that takes as long to decode.
    length: Duration,
    samples: u64,
}

/// What became of an attempt to read a packet.
enum Read {
    /// Decoded, at this rate.
    Packet(u32),
    /// Nothing to be heard in it.
    Nothing,
    /// Something is missing here.
    Damage(String),
    /// Something is missing from here on.
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
        let watch = Arc::new(Watch::new(bytes.len(), limits.time, abort));
        let input = crash::catch(|| Input::open(bytes, &watch));
        watch.check()?;
        Ok(Self {
            input: Some(input.map_err(AudioError::Crashed)??),
            resampler: None,
            mono: Vec::new(),
            watch,
            // A packet has a byte at least; more packets than that are empty ones.
            limits: Limits { packets: limits.packets.min(size), ..limits.clone() },
            produced: 0,
            damaged: None,
            paused: Instant::now(),
        })
    }

    /// What is missing and why, as far as decoding has come.
    pub fn damaged(&self) -> Option<&str> {
        self.damaged.as_deref()
    }

    /// Adds samples to `chunk` until it is full (true) or the recording ends (false).
    fn fill(&mut self, chunk: &mut Vec<f32>) -> Result<bool, AudioError> {
        while chunk.len() < CHUNK {
            match self.read()? {
                Read::Nothing => (),
                Read::Packet(rate) => self.resample(rate, chunk)?,
                Read::Damage(why) => self.note(&why, chunk),
                Read::Broken(why) => {
                    self.note(&why, chunk);
                    return self.end(chunk);
                }
                Read::End => return self.end(chunk),
            }
        }
        Ok(true)
    }

    /// Reads and decodes a packet within the limits.
    fn read(&mut self) -> Result<Read, AudioError> {
        self.watch.check()?;
        let Some(input) = &mut self.input else { return Ok(Read::End) };
        if input.packets >= self.limits.packets {
            return Err(AudioError::TooManyPackets { limit: self.limits.packets });
        }
        // Up to the same length again may be cut off at the beginning or the end.
        let length = 2 * self.limits.length;
        if input.length > length || input.samples > length.as_secs().saturating_mul(MAX_SAMPLES) {
            return Err(AudioError::TooLong { limit: self.limits.length });
        }
        let mono = &mut self.mono;
        // A panic leaves the decoder in no state to go on; what was before it is kept.
        let read = crash::catch(|| input.read(mono))
            .unwrap_or_else(|panic| Read::Broken(format!("the decoder crashed: {panic}")));
        // A reader that was stopped takes it for damage, or for the end.
        self.watch.check()?;
        Ok(read)
    }

    /// Adds the packet in `mono` to `chunk`.
    fn resample(&mut self, rate: u32, chunk: &mut Vec<f32>) -> Result<(), AudioError> {
        if let Some(former) = self.resampler.take_if(|former| former.rate() != rate) {
            former.finish(chunk)?;
        }
        let resampler = match self.resampler.take() {
            Some(resampler) => resampler,
            None => Resampler::new(rate)?,
        };
        self.resampler.insert(resampler).push(&self.mono, chunk)?;
        if self.length(chunk) > self.limits.length {
            return Err(AudioError::TooLong { limit: self.limits.length });
        }
        Ok(())
    }

    fn end(&mut self, chunk: &mut Vec<f32>) -> Result<bool, AudioError> {
        if let Some(resampler) = self.resampler.take() {
            resampler.finish(chunk)?;
        }
        Ok(false)
    }

    /// Keeps the first damage, with its place.
    fn note(&mut self, why: &str, chunk: &[f32]) {
        let place = self.length(chunk).as_secs_f64();
        self.damaged.get_or_insert_with(|| format!("{why} (at {place:.1} s)"));
    }

    /// Length of the recording up to the end of `chunk`.
    fn length(&self, chunk: &[f32]) -> Duration {
        Duration::from_secs(self.produced + chunk.len() as u64) / SAMPLE_RATE
    }
}

impl Iterator for Decoder<'_> {
    type Item = Result<Vec<f32>, AudioError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.input.as_ref()?;
        self.watch.forgive(self.paused.elapsed());
        let mut chunk = Vec::with_capacity(2 * CHUNK);
        let result = self.fill(&mut chunk);
        self.paused = Instant::now();
        if !matches!(result, Ok(true)) {
            self.input = None;
        }
        self.produced += chunk.len() as u64;
        match result {
            Err(error) => Some(Err(error)),
            Ok(_) if !chunk.is_empty() => Some(Ok(chunk)),
            Ok(_) if self.produced > 0 => None,
            Ok(_) => Some(Err(self.damaged.clone().map_or(AudioError::NoSound, AudioError::Broken))),
        }
    }
}

impl<'a> Input<'a> {
    fn open(file: &'a [u8], watch: &Arc<Watch<'a>>) -> Result<Self, AudioError> {
        let (container, track) = Container::open(file, watch)?;
        Ok(Self { container, track, packets: 0, lost: 0, length: Duration::ZERO, samples: 0 })
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
                self.lost += 1;
                let why = describe(&error);
                return if self.lost < MAX_LOST { Read::Damage(why) } else { Read::Broken(why) };
            }
        };
        self.lost = 0;
        if packet.data.is_empty() {
            // libopus would invent 120 ms of sound for each, and a file can have millions.
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

    /// One stream ended and another begins, as in chained Ogg; it may be of another kind.
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
