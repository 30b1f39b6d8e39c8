//! Finds out which container a file is, and gives out its packets.

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
    AdtsReader, FlacReader, IsoMp4Reader, MkvReader, MpaReader, OggReader, WavReader,
};

use super::source::{Source, Watch};
use super::track::Track;
use super::view::View;
use super::{AudioError, MAX_TRACKS, flac, matroska, mp4, ogg, wav};

/// Containers that begin with a marker.
static CONTAINERS: LazyLock<Probe> = LazyLock::new(|| {
    let mut probe = Probe::default();
    probe.register_format::<FlacReader<'_>>();
    probe.register_format::<IsoMp4Reader<'_>>();
    probe.register_format::<MkvReader<'_>>();
    probe.register_format::<OggReader<'_>>();
    probe.register_format::<WavReader<'_>>();
    probe
});

/// Frames without a container, the first of which has to be searched for. No container is searched
/// for in such a file, since its contents have not been checked.
static STREAMS: LazyLock<Probe> = LazyLock::new(|| {
    let mut probe = Probe::default();
    probe.register_format::<AdtsReader<'_>>();
    probe.register_format::<MpaReader<'_>>();
    probe
});

pub(super) enum Container<'a> {
    Mp4 { track: u32, samples: mp4::Samples<'a> },
    Other(Box<dyn FormatReader + 'a>),
}

impl<'a> Container<'a> {
    /// Opens a file, and the track of it that is to be heard.
    pub fn open(file: &'a [u8], watch: &Arc<Watch<'a>>) -> Result<(Self, Track), AudioError> {
        let file = without_id3(file);
        if mp4::is_mp4(file) {
            return Self::open_mp4(file, watch);
        }
        let format = if matroska::is_matroska(file) {
            read(&CONTAINERS, matroska::sound(file)?, watch)
        } else if ogg::is_ogg(file) {
            read(&CONTAINERS, ogg::sound(file)?, watch)
        } else if flac::is_flac(file) {
            read(&CONTAINERS, flac::sound(file)?, watch)
        } else if wav::is_wav(file) {
            read(&CONTAINERS, wav::sound(file), watch)
        } else {
            read(&STREAMS, View::whole(file), watch)
        }?;
        let track = Track::select(format.as_ref(), None)?;
        Ok((Self::Other(format), track))
    }

    /// Takes the first track that can be decoded.
    fn open_mp4(file: &'a [u8], watch: &Arc<Watch<'a>>) -> Result<(Self, Track), AudioError> {
        let Some(movie) = mp4::Movie::find(file) else {
            return Err(AudioError::Broken("the file ends before the list of what it holds".to_owned()));
        };
        if movie.tracks().count() > MAX_TRACKS {
            return Err(AudioError::Unsupported(format!("a file of more than {MAX_TRACKS} tracks")));
        }
        let mut why = AudioError::NoAudioTrack;
        for entry in movie.tracks() {
            let Some(header) = entry.description() else {
                why = AudioError::Broken("the description of a track is incomplete".to_owned());
                continue;
            };
            let mut description = View::of(file);
            description.add(header);
            let track = read(&CONTAINERS, description, watch)
                .and_then(|format| Track::select(format.as_ref(), Some(movie.edit(&entry))));
            match (track, entry.unknown_codec()) {
                (Ok(track), _) => {
                    let samples = movie.samples(&entry);
                    return Ok((Self::Mp4 { track: entry.id(), samples }, track));
                }
                (Err(_), Some(codec)) => why = AudioError::Unsupported(codec.to_owned()),
                (Err(AudioError::NoAudioTrack), None) => (),
                (Err(error), None) => why = error,
            }
        }
        Err(why)
    }

    pub fn next_packet(&mut self) -> Result<Option<Packet>, Error> {
        match self {
            Self::Other(format) => format.next_packet(),
            Self::Mp4 { track, samples } => {
                let sample = samples.next().map_err(|damage| match damage {
                    mp4::Damage::EndsEarly => Error::IoError(ErrorKind::UnexpectedEof.into()),
                    mp4::Damage::Overlap => Error::DecodeError("its samples overlap"),
                })?;
                Ok(sample.map(|sample| {
                    let time = Timestamp::try_from(sample.time).unwrap_or_default();
                    Packet::new(*track, time, Duration::from(sample.duration), sample.data)
                }))
            }
        }
    }

    /// Picks the track anew: one stream has ended and another begins.
    pub fn select(&self) -> Result<Track, AudioError> {
        match self {
            Self::Other(format) => Track::select(format.as_ref(), None),
            Self::Mp4 { .. } => Err(AudioError::NoAudioTrack),
        }
    }
}

/// The file behind the ID3v2 tags that it begins with
/// (<https://id3.org/id3v2.4.0-structure>, section 3.1), whatever container it is.
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

fn read<'a>(
    probe: &Probe,
    view: View<'a>,
    watch: &Arc<Watch<'a>>,
) -> Result<Box<dyn FormatReader + 'a>, AudioError> {
    let source = Box::new(Source::new(view, Arc::clone(watch)));
    let stream = MediaSourceStream::new(source, MediaSourceStreamOptions::default());
    probe.probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default()).map_err(|error| {
        match error {
            Error::Unsupported("core (probe): no suitable format reader found") => {
                AudioError::NotAudio("no known kind of file")
            }
            Error::Unsupported(what) => AudioError::Unsupported(format!("this kind of file ({what})")),
            error => AudioError::Broken(describe(&error)),
        }
    })
}

/// symphonia's errors in words that fit behind "damaged: ".
pub(super) fn describe(error: &Error) -> String {
    match error {
        Error::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => "the file ends early".to_owned(),
        error => error.to_string(),
    }
}
