//! Detects the container of a file, and reads its packets.

use std::io::ErrorKind;
use std::sync::{Arc, LazyLock};

use symphonia::core::errors::Error;
use symphonia::core::formats::probe::{Hint, Probe};
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::formats::{
    AdtsReader, AiffReader, CafReader, FlacReader, IsoMp4Reader, MkvReader, MpaReader, OggReader, WavReader,
};

use super::budget::DecodeBudget;
use super::error::AudioError;
use super::limits::{Containers, MAX_TRACKS};
use super::source::Source;
use super::track::Track;
use super::view::View;
use super::{aiff, caf, flac, matroska, mp4, ogg, wav};

/// Containers that begin with a magic number.
static CONTAINERS: LazyLock<Probe> = LazyLock::new(|| {
    let mut probe = Probe::default();
    probe.register_format::<AiffReader<'_>>();
    probe.register_format::<CafReader<'_>>();
    probe.register_format::<FlacReader<'_>>();
    probe.register_format::<IsoMp4Reader<'_>>();
    probe.register_format::<MkvReader<'_>>();
    probe.register_format::<OggReader<'_>>();
    probe.register_format::<WavReader<'_>>();
    probe
});

/// Streams of frames without a container; symphonia searches for the first frame. Containers are
/// not registered here: symphonia would search for them too, in contents that nothing has checked.
static STREAMS: LazyLock<Probe> = LazyLock::new(|| {
    let mut probe = Probe::default();
    probe.register_format::<AdtsReader<'_>>();
    probe.register_format::<MpaReader<'_>>();
    probe
});

/// What there is of these in Telegram's messages.
static MP3: LazyLock<Probe> = LazyLock::new(|| {
    let mut probe = Probe::default();
    probe.register_format::<MpaReader<'_>>();
    probe
});

pub(super) enum Container<'a> {
    Mp4 { track: u32, samples: mp4::Samples<'a> },
    Ogg { format: Box<dyn FormatReader + 'a>, is_damaged: bool, has_wrong_times: bool },
    Other(Box<dyn FormatReader + 'a>),
}

impl<'a> Container<'a> {
    /// Opens a file, and the track that is to be decoded.
    pub fn open(
        file: &'a [u8],
        containers: Containers,
        budget: &Arc<DecodeBudget<'a>>,
    ) -> Result<(Self, Track), AudioError> {
        let file = without_id3(file);
        if mp4::is_mp4(file) {
            return Self::open_mp4(file, budget);
        }
        if ogg::is_ogg(file) {
            let ogg::Pages { view, is_damaged, has_wrong_times } = ogg::pages(file)?;
            let format = open_format(&CONTAINERS, view, budget)?;
            let opened = Self::Ogg { format, is_damaged, has_wrong_times };
            let track = opened.select()?;
            return Ok((opened, track));
        }
        let format = if containers == Containers::OfMessages {
            match other_container(file) {
                Some(name) => Err(AudioError::Unsupported(format!("{name} in a message"))),
                None => open_format(&MP3, View::whole(file), budget),
            }
        } else if matroska::is_matroska(file) {
            open_format(&CONTAINERS, matroska::audio_view(file)?, budget)
        } else if flac::is_flac(file) {
            open_format(&CONTAINERS, flac::audio_view(file)?, budget)
        } else if aiff::is_aiff(file) {
            open_format(&CONTAINERS, aiff::audio_view(file), budget)
        } else if caf::is_caf(file) {
            open_format(&CONTAINERS, caf::audio_view(file)?, budget)
        } else if wav::is_wav(file) {
            open_format(&CONTAINERS, wav::audio_view(file), budget)
        } else {
            open_format(&STREAMS, View::whole(file), budget)
        }?;
        let track = Track::select(format.as_ref(), None)?;
        Ok((Self::Other(format), track))
    }

    /// Opens the first track that can be decoded.
    fn open_mp4(file: &'a [u8], budget: &Arc<DecodeBudget<'a>>) -> Result<(Self, Track), AudioError> {
        let Some(movie) = mp4::Movie::find(file) else {
            return Err(AudioError::Broken("the file ends before the list of what it holds".to_owned()));
        };
        if movie.tracks().count() > MAX_TRACKS {
            return Err(AudioError::Unsupported(format!("a file of more than {MAX_TRACKS} tracks")));
        }
        let mut failure = AudioError::NoAudioTrack;
        for entry in movie.tracks() {
            let Some(header) = entry.description() else {
                failure = AudioError::Broken("the description of a track is incomplete".to_owned());
                continue;
            };
            let mut description = View::empty(file);
            description.insert(header);
            let track = open_format(&CONTAINERS, description, budget)
                .and_then(|format| Track::select(format.as_ref(), Some(movie.edit(&entry))));
            match (track, entry.unsupported_codec()) {
                (Ok(track), _) => {
                    let samples = movie.samples(&entry);
                    return Ok((Self::Mp4 { track: entry.id(), samples }, track));
                }
                (Err(_), Some(codec)) => failure = AudioError::Unsupported(codec.to_owned()),
                (Err(AudioError::NoAudioTrack), None) => (),
                (Err(error), None) => failure = error,
            }
        }
        Err(failure)
    }

    pub fn next_packet(&mut self) -> Result<Option<Packet>, Error> {
        match self {
            Self::Other(format) | Self::Ogg { format, .. } => format.next_packet(),
            Self::Mp4 { track, samples } => {
                let sample = samples.next().map_err(|damage| match damage {
                    mp4::Damage::EndsEarly => Error::IoError(ErrorKind::UnexpectedEof.into()),
                    mp4::Damage::Overlapping => Error::DecodeError("its samples overlap"),
                })?;
                Ok(sample.map(|sample| {
                    let time = Timestamp::try_from(sample.time).unwrap_or_default();
                    Packet::new(*track, time, Duration::from(sample.duration), sample.data)
                }))
            }
        }
    }

    /// What is known to be missing before anything is decoded.
    pub fn damage(&self) -> Option<&'static str> {
        matches!(self, Self::Ogg { is_damaged: true, .. })
            .then_some("parts of the file are damaged or missing")
    }

    /// Selects a track, also again, after one stream has ended and another begins.
    pub fn select(&self) -> Result<Track, AudioError> {
        match self {
            Self::Other(format) => Track::select(format.as_ref(), None),
            Self::Ogg { format, has_wrong_times, .. } => {
                let mut track = Track::select(format.as_ref(), None)?;
                if *has_wrong_times {
                    track.ignore_padding();
                }
                Ok(track)
            }
            Self::Mp4 { .. } => Err(AudioError::NoAudioTrack),
        }
    }
}

/// The container of a file, if it is one that Telegram's messages do not have.
fn other_container(file: &[u8]) -> Option<&'static str> {
    if matroska::is_matroska(file) {
        Some("Matroska")
    } else if flac::is_flac(file) {
        Some("FLAC")
    } else if aiff::is_aiff(file) {
        Some("AIFF")
    } else if caf::is_caf(file) {
        Some("CAF")
    } else {
        wav::is_wav(file).then_some("WAV")
    }
}

/// The file without ID3v2 tags at its beginning, which any container may have
/// (<https://id3.org/id3v2.4.0-structure>, section 3.1).
fn without_id3(mut file: &[u8]) -> &[u8] {
    const HEADER: usize = 10;
    const HAS_FOOTER: u8 = 0x10;
    while let Some(&[b'I', b'D', b'3', _, _, flags, a, b, c, d]) = file.get(..HEADER) {
        let size = [a, b, c, d].iter().fold(0, |size, &byte| size << 7 | usize::from(byte & 0x7f));
        let footer = if flags & HAS_FOOTER == 0 { 0 } else { HEADER };
        file = file.get(HEADER + size + footer..).unwrap_or_default();
    }
    file
}

fn open_format<'a>(
    probe: &Probe,
    view: View<'a>,
    budget: &Arc<DecodeBudget<'a>>,
) -> Result<Box<dyn FormatReader + 'a>, AudioError> {
    let source = Box::new(Source::new(view, Arc::clone(budget)));
    let stream = MediaSourceStream::new(source, MediaSourceStreamOptions::default());
    probe.probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default()).map_err(|error| {
        match error {
            Error::Unsupported("core (probe): no suitable format reader found") => {
                AudioError::NotAudio("no known kind of file".to_owned())
            }
            Error::Unsupported(what) => AudioError::Unsupported(format!("this kind of file ({what})")),
            error => AudioError::Broken(describe(&error)),
        }
    })
}

/// One of symphonia's errors, in words that may follow "damaged: ".
pub(super) fn describe(error: &Error) -> String {
    match error {
        Error::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => "the file ends early".to_owned(),
        error => error.to_string(),
    }
}
