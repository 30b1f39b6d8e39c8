//! One audio track: its codec, and which of the decoded samples are meant to be played.

use std::sync::LazyLock;

use symphonia::core::audio::layouts::{CHANNEL_LAYOUT_MONO, CHANNEL_LAYOUT_STEREO};
use symphonia::core::codecs::audio::well_known::{CODEC_ID_OPUS, CODEC_ID_VORBIS};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::formats::{FormatReader, Track as TrackInfo, TrackType};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, TimeBase};

use super::error::AudioError;
use super::limits::MAX_TRACKS;
use super::multistream::Multistream;
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

enum Decoder {
    One(Box<dyn AudioDecoder>),
    /// For Opus of more than two channels.
    Many(Multistream),
}

/// An audio track with its decoder.
pub(super) struct Track {
    id: u32,
    decoder: Decoder,
    clock: Option<TimeBase>,
    edit: mp4::Edit,
    /// Frames still to be skipped; `None` until the first packet gives the rate.
    to_skip: Option<u64>,
    opus: Option<Opus>,
    /// Whether what the container says about the end of the sound is wrong.
    ignores_padding: bool,
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
        let mut multistream = None;
        let mut to_skip = None;
        if params.codec == CODEC_ID_OPUS {
            multistream = Multistream::new(header, opus_decoder)?;
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
        let decoder = match multistream {
            Some(multistream) => Decoder::Many(multistream),
            None => Decoder::One(make_decoder(&params)?),
        };
        Ok(Self {
            id: info.id,
            decoder,
            clock: info.time_base,
            edit,
            to_skip,
            opus,
            ignores_padding: false,
            interleaved: Vec::new(),
        })
    }

    /// Has the container's word on where the sound of a packet ends ignored.
    pub fn ignore_padding(&mut self) {
        self.ignores_padding = true;
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
            if !self.ignores_padding {
                padding = usize::try_from(packet.trim_end.get()).unwrap_or(usize::MAX);
            }
            packet.trim_start = Duration::ZERO;
            packet.trim_end = Duration::ZERO;
        }
        let (rate, channels) = match &mut self.decoder {
            Decoder::One(decoder) => {
                let decoded = decoder.decode(&packet)?;
                decoded.copy_to_vec_interleaved(&mut self.interleaved);
                (decoded.spec().rate(), decoded.spec().channels().count().max(1))
            }
            Decoder::Many(decoders) => {
                (decoders.decode(&packet, &mut self.interleaved)?, decoders.channels())
            }
        };
        let length = self.interleaved.len() / channels;

        if let Some(opus) = &mut self.opus {
            opus.apply_gain_and_clip(&mut self.interleaved, channels);
        }
        mix(&mut self.interleaved, channels, mono);
        mono.truncate(mono.len().saturating_sub(padding));

        let (skip, clock) = (self.edit.skip, self.clock);
        let to_skip = self.to_skip.get_or_insert_with(|| frames(skip, clock, rate));
        let skipped = usize::try_from(*to_skip).unwrap_or(usize::MAX).min(mono.len());
        *to_skip -= skipped as u64;
        mono.drain(..skipped);
        Ok(Some(Decoded { rate, frames: length as u64, samples: (length * channels) as u64 }))
    }
}

/// Appends the mean of the channels to `mono`; in a packet whose channels cancel each other out,
/// such as stereo with one side inverted, the loudest channel instead.
fn mix(interleaved: &mut [f32], channels: usize, mono: &mut Vec<f32>) {
    /// The channels cancel out if this little of the loudest one's energy is left: 20 dB less.
    const CANCELLED: f32 = 0.01;
    for sample in interleaved.iter_mut() {
        *sample = if sample.is_finite() { sample.clamp(-MAX_AMPLITUDE, MAX_AMPLITUDE) } else { 0.0 };
    }
    let start = mono.len();
    mono.extend(interleaved.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32));
    if channels < 2 {
        return;
    }
    let mean_energy: f32 = mono[start..].iter().map(|sample| sample * sample).sum();
    let energy = |channel: usize| -> f32 {
        interleaved.iter().skip(channel).step_by(channels).map(|sample| sample * sample).sum()
    };
    let loudest = (0..channels).map(|channel| (channel, energy(channel))).max_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((channel, energy)) = loudest
        && mean_energy < CANCELLED * energy
    {
        let samples = interleaved.iter().skip(channel).step_by(channels);
        mono[start..].iter_mut().zip(samples).for_each(|(mono, sample)| *mono = *sample);
    }
}

fn make_decoder(params: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, AudioError> {
    let decoder = CODECS.make_audio_decoder(params, &AudioDecoderOptions::default());
    decoder.map_err(|error| AudioError::Unsupported(format!("this kind of audio ({error})")))
}

/// A decoder of Opus with one channel or two.
fn opus_decoder(channels: usize) -> Result<Box<dyn AudioDecoder>, AudioError> {
    let layout = if channels == 1 { CHANNEL_LAYOUT_MONO } else { CHANNEL_LAYOUT_STEREO };
    let mut params = AudioCodecParameters::new();
    params.for_codec(CODEC_ID_OPUS).with_sample_rate(48_000).with_channels(layout);
    make_decoder(&params)
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
    clips: Vec<SoftClip>,
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
        Self { pre_skip: word(10).into(), gain, clips: Vec::new(), channel: Vec::new() }
    }

    /// Applies gain and clipping to one packet.
    fn apply_gain_and_clip(&mut self, interleaved: &mut [f32], channels: usize) {
        self.clips.resize(channels, SoftClip::default());
        for (number, clip) in self.clips.iter_mut().enumerate() {
            let samples = interleaved.iter_mut().skip(number).step_by(channels);
            self.channel.clear();
            self.channel.extend(samples.map(|sample| *sample * self.gain));
            clip.apply(&mut self.channel);
            let samples = interleaved.iter_mut().skip(number).step_by(channels);
            samples.zip(&self.channel).for_each(|(sample, &clipped)| *sample = clipped);
        }
    }
}
