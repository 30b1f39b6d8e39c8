//! One audio track: its codec, and which of the decoded samples are meant to be played.

use std::sync::LazyLock;

use symphonia::core::codecs::audio::well_known::{CODEC_ID_OPUS, CODEC_ID_VORBIS};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::formats::{FormatReader, Track as TrackInfo, TrackType};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, TimeBase};

use super::error::AudioError;
use super::limits::MAX_TRACKS;
use super::soft_clip::SoftClip;
use super::{mp4, vorbis};

/// The most frames in a packet: FLAC's are the longest. The PCM decoder allocates memory for as
/// many as a header claims.
const MAX_FRAMES: u64 = 1 << 16;

/// Decoded samples beyond this are damage: real ones exceed 1.0 only a little. Bounded samples also
/// keep every later sum finite.
const MAX_AMPLITUDE: f32 = 100.0;

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
    /// Frames still to be skipped; `None` until the first packet gives the rate.
    to_skip: Option<u64>,
    opus: Option<Opus>,
    interleaved: Vec<f32>,
}

/// What a packet was decoded to, including what is not meant to be played.
pub(super) struct Decoded {
    pub rate: u32,
    pub frames: u64,
    /// Samples of all channels together.
    pub samples: u64,
}

impl Track {
    /// Selects the track to be decoded. `edit` is that of an MP4 file.
    pub fn select(format: &dyn FormatReader, edit: Option<mp4::Edit>) -> Result<Self, AudioError> {
        let tracks = format.tracks();
        if tracks.len() > MAX_TRACKS {
            return Err(AudioError::Unsupported(format!("a file of {} tracks", tracks.len())));
        }
        let can_decode = |info: &&TrackInfo| {
            parameters(info).is_some_and(|params| CODECS.get_audio_decoder(params.codec).is_some())
        };
        let default = format.default_track(TrackType::Audio).filter(can_decode);
        let Some(info) = default.or_else(|| tracks.iter().find(can_decode)) else {
            return Err(if tracks.iter().any(|info| parameters(info).is_some()) {
                AudioError::Unsupported(format!("the codec in this {} file", format.format_info().long_name))
            } else {
                AudioError::NoAudioTrack
            });
        };
        Self::new(info, edit.unwrap_or_default(), edit.is_some())
    }

    fn new(info: &TrackInfo, edit: mp4::Edit, is_mp4: bool) -> Result<Self, AudioError> {
        let Some(params) = parameters(info) else { return Err(AudioError::NoAudioTrack) };
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
            // An edit list includes the pre-skip.
            if edit.skip == 0 {
                to_skip = Some(head.pre_skip);
            }
            opus = Some(head);
            // Without the header the adapter does not trim, so that we can. Containers give the
            // rate of the original, but libopus decodes to 48 kHz.
            params.extra_data = None;
            params.sample_rate = Some(48_000);
        }
        let decoder = CODECS.make_audio_decoder(&params, &AudioDecoderOptions::default());
        let decoder =
            decoder.map_err(|error| AudioError::Unsupported(format!("this kind of audio ({error})")))?;
        Ok(Self { id: info.id, decoder, clock: info.time_base, edit, to_skip, opus, interleaved: Vec::new() })
    }

    /// Decodes a packet into `mono`, which is overwritten. `None` where the packet belongs to
    /// another track or is cut off by the edit.
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
            opus.apply_gain_and_clip(&mut self.interleaved, channels);
        }
        mono.extend(self.interleaved.chunks_exact(channels).map(|frame| {
            let sample = frame.iter().sum::<f32>() / channels as f32;
            if sample.is_finite() { sample.clamp(-MAX_AMPLITUDE, MAX_AMPLITUDE) } else { 0.0 }
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

fn parameters(info: &TrackInfo) -> Option<&AudioCodecParameters> {
    info.codec_params.as_ref()?.audio()
}

/// `units` of a track's clock, in frames at `rate`.
fn frames(units: u64, clock: Option<TimeBase>, rate: u32) -> u64 {
    let Some(clock) = clock else { return units };
    let scaled = u128::from(units) * u128::from(clock.numer.get()) * u128::from(rate);
    u64::try_from(scaled / u128::from(clock.denom.get())).unwrap_or(u64::MAX)
}

/// What symphonia's adapter of libopus does not do: it ignores the identification header
/// (<https://www.rfc-editor.org/rfc/rfc7845#section-5.1>), and does not clip.
struct Opus {
    /// Samples at 48 kHz to be skipped at the start.
    pre_skip: u64,
    /// The factor for all samples.
    gain: f32,
    /// One for each channel.
    clips: [SoftClip; 2],
    /// The samples of one channel.
    channel: Vec<f32>,
}

impl Opus {
    /// MP4 stores the same header in big-endian order. Fields that are missing count as zero.
    fn new(header: &[u8], big_endian: bool) -> Self {
        let word = |at: usize| {
            let bytes = header.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
            if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
        };
        // Decibels, in Q7.8 fixed point.
        let gain = 10f32.powf(f32::from(word(16) as i16) / 256.0 / 20.0);
        Self { pre_skip: word(10).into(), gain, clips: Default::default(), channel: Vec::new() }
    }

    /// Applies gain and clipping to one packet.
    fn apply_gain_and_clip(&mut self, interleaved: &mut [f32], channels: usize) {
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
