//! One audio track: its codec, and which of the decoded samples are meant to be heard.

use std::sync::LazyLock;

use symphonia::core::codecs::audio::well_known::{CODEC_ID_OPUS, CODEC_ID_VORBIS};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::formats::{FormatReader, Track as Entry, TrackType};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, TimeBase};

use super::soft_clip::SoftClip;
use super::{AudioError, MAX_TRACKS, mp4, vorbis};

/// Frames in a packet of the longest kind there is, FLAC's. The decoder of PCM takes memory for as
/// many as a header claims.
const MAX_FRAMES: u64 = 1 << 16;

/// Decoded samples beyond this are damage. Real ones exceed 1.0 a little, and what is finite here
/// stays finite in every sum that follows.
const LOUDEST: f32 = 100.0;

static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut registry = CodecRegistry::new();
    symphonia::default::register_enabled_codecs(&mut registry);
    registry.register_audio_decoder::<symphonia_adapter_libopus::OpusDecoder>();
    registry
});

/// An audio track with its decoder.
pub(super) struct Track {
    id: u32,
    decoder: Box<dyn AudioDecoder>,
    clock: Option<TimeBase>,
    edit: mp4::Edit,
    /// Sample frames still to be left out; none until the first packet tells the rate.
    to_skip: Option<u64>,
    opus: Option<Opus>,
    interleaved: Vec<f32>,
}

/// What a packet was decoded to, be it meant to be heard or not.
pub(super) struct Decoded {
    pub rate: u32,
    pub frames: u64,
    /// Of all channels.
    pub samples: u64,
}

impl Track {
    /// Picks the track to be heard. In an MP4 file, `edit` tells what of it.
    pub fn select(format: &dyn FormatReader, edit: Option<mp4::Edit>) -> Result<Self, AudioError> {
        let tracks = format.tracks();
        if tracks.len() > MAX_TRACKS {
            return Err(AudioError::Unsupported(format!("a file of {} tracks", tracks.len())));
        }
        let known = |entry: &&Entry| {
            parameters(entry).is_some_and(|params| CODECS.get_audio_decoder(params.codec).is_some())
        };
        let default = format.default_track(TrackType::Audio).filter(known);
        let Some(entry) = default.or_else(|| tracks.iter().find(known)) else {
            return Err(if tracks.iter().any(|entry| parameters(entry).is_some()) {
                AudioError::Unsupported(format!("the codec in this {} file", format.format_info().long_name))
            } else {
                AudioError::NoAudioTrack
            });
        };
        Self::new(entry, edit.unwrap_or_default(), edit.is_some())
    }

    fn new(entry: &Entry, edit: mp4::Edit, is_mp4: bool) -> Result<Self, AudioError> {
        let Some(params) = parameters(entry) else { return Err(AudioError::NoAudioTrack) };
        let mut params = params.clone();
        let header = params.extra_data.as_deref().unwrap_or_default();
        if params.codec == CODEC_ID_VORBIS && !vorbis::codebooks_are_sane(header) {
            return Err(AudioError::Broken("its Vorbis header asks for too much memory".to_owned()));
        }
        if params.max_frames_per_packet.is_some_and(|frames| frames > MAX_FRAMES) {
            return Err(AudioError::Broken("its header asks for too much memory".to_owned()));
        }
        let mut opus = None;
        let mut to_skip = None;
        if params.codec == CODEC_ID_OPUS {
            let head = Opus::new(header, is_mp4);
            // An edit list, where there is one, includes the pre-skip.
            if edit.skip == 0 {
                to_skip = Some(head.pre_skip);
            }
            opus = Some(head);
            // Without the header the adapter leaves the trimming to us. Containers note the rate
            // before encoding, which is none of our business.
            params.extra_data = None;
            params.sample_rate = Some(48_000);
        }
        let decoder = CODECS.make_audio_decoder(&params, &AudioDecoderOptions::default());
        let decoder =
            decoder.map_err(|error| AudioError::Unsupported(format!("this kind of audio ({error})")))?;
        Ok(Self {
            id: entry.id,
            decoder,
            clock: entry.time_base,
            edit,
            to_skip,
            opus,
            interleaved: Vec::new(),
        })
    }

    /// Decodes a packet into `mono`, which is overwritten. None where the packet belongs to another
    /// track or is not to be heard.
    pub fn decode(
        &mut self,
        mut packet: Packet,
        mono: &mut Vec<f32>,
    ) -> symphonia::core::errors::Result<Option<Decoded>> {
        mono.clear();
        let cut_off =
            self.edit.end.is_some_and(|end| u64::try_from(packet.pts.get()).is_ok_and(|pts| pts >= end));
        if packet.track_id != self.id || cut_off {
            return Ok(None);
        }
        let mut padding = 0;
        if self.opus.is_some() {
            padding = usize::try_from(packet.trim_end.get()).unwrap_or(usize::MAX);
            packet.trim_start = Duration::ZERO;
            packet.trim_end = Duration::ZERO;
        }
        let decoded = self.decoder.decode(&packet)?;
        let rate = decoded.spec().rate();
        let channels = decoded.spec().channels().count().max(1);
        let length = decoded.frames();
        decoded.copy_to_vec_interleaved(&mut self.interleaved);

        if let Some(opus) = &mut self.opus {
            opus.finish(&mut self.interleaved, channels);
        }
        mono.extend(self.interleaved.chunks_exact(channels).map(|frame| {
            let sample = frame.iter().sum::<f32>() / channels as f32;
            if sample.is_finite() { sample.clamp(-LOUDEST, LOUDEST) } else { 0.0 }
        }));
        mono.truncate(mono.len().saturating_sub(padding));

        let (skip, clock) = (self.edit.skip, self.clock);
        let to_skip = self.to_skip.get_or_insert_with(|| frames(skip, clock, rate));
        let skipped = usize::try_from(*to_skip).unwrap_or(usize::MAX).min(mono.len());
        *to_skip -= skipped as u64;
        mono.drain(..skipped);
        Ok(Some(Decoded { rate, frames: length as u64, samples: (length * channels) as u64 }))
    }
}

fn parameters(entry: &Entry) -> Option<&AudioCodecParameters> {
    entry.codec_params.as_ref()?.audio()
}

/// `units` of a track's clock in sample frames at `rate`.
fn frames(units: u64, clock: Option<TimeBase>, rate: u32) -> u64 {
    let Some(clock) = clock else { return units };
    let scaled = u128::from(units) * u128::from(clock.numer.get()) * u128::from(rate);
    u64::try_from(scaled / u128::from(clock.denom.get())).unwrap_or(u64::MAX)
}

/// What the adapter leaves undone of Opus: the identification header
/// (<https://www.rfc-editor.org/rfc/rfc7845#section-5.1>) and the clipping.
struct Opus {
    /// Samples at 48 kHz to be left out at the start.
    pre_skip: u64,
    /// Factor for all samples.
    gain: f32,
    /// Left and right, or the only one.
    clips: [SoftClip; 2],
    channel: Vec<f32>,
}

impl Opus {
    /// MP4 stores the same header in the other byte order; one that is cut short changes nothing.
    fn new(header: &[u8], big_endian: bool) -> Self {
        let word = |at: usize| {
            let bytes = header.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
            if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
        };
        // Decibels in Q7.8.
        let gain = 10f32.powf(f32::from(word(16) as i16) / 256.0 / 20.0);
        Self { pre_skip: word(10).into(), gain, clips: Default::default(), channel: Vec::new() }
    }

    /// Gain and clipping of one packet.
    fn finish(&mut self, interleaved: &mut [f32], channels: usize) {
        for (number, clip) in self.clips.iter_mut().enumerate().take(channels) {
            let samples = interleaved.iter_mut().skip(number).step_by(channels);
            self.channel.clear();
            self.channel.extend(samples.map(|sample| *sample * self.gain));
            clip.apply(&mut self.channel);
            let samples = interleaved.iter_mut().skip(number).step_by(channels);
            samples.zip(&self.channel).for_each(|(sample, &clipped)| *sample = clipped);
        }
    }
}
