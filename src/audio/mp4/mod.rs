//! Parses MP4 files without trusting them.
//!
//! symphonia 0.6.1 loops over counts that a file only claims, walks the tables from their beginning
//! for every sample, and keeps every fragment in memory. A file of two kilobytes can keep it busy
//! for minutes, and no limit ends a loop that reads nothing. So symphonia is given only the
//! description of one track, to create the decoder. The samples are found here, in one pass over
//! the tables, in constant memory and in time linear in the size of the file, whatever the file
//! claims.

mod boxes;
mod edit;
mod samples;

use boxes::{boxed, boxes, child, descendant, word};
pub(super) use edit::Edit;
pub(super) use samples::{Damage, Samples};

/// The most bytes of a sample description (`stsd`). Codecs with long headers, such as Vorbis, have
/// a few thousand.
const MAX_DESCRIPTION: usize = 256 << 10;

/// The most bytes of any other header that is copied. They have about a hundred. A handler's name
/// may be longer; it is not used, and is truncated.
const MAX_HEADER: usize = 256;

/// An MP4 file that has a `moov` box.
pub(super) struct Movie<'a> {
    file: &'a [u8],
    moov: &'a [u8],
}

/// A track of a movie.
pub(super) struct Entry<'a> {
    trak: &'a [u8],
}

impl<'a> Movie<'a> {
    /// `None` without a `moov` box, as where a file that has it at its end was cut off.
    pub fn find(file: &'a [u8]) -> Option<Self> {
        child(file, b"moov").map(|moov| Self { file, moov })
    }

    pub fn tracks(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        boxes(self.moov).filter(|(kind, _)| kind == b"trak").map(|(_, trak)| Entry { trak })
    }

    /// Which part of the track is meant to be played.
    pub fn edit(&self, entry: &Entry) -> Edit {
        edit::read(self.moov, entry.trak)
    }

    pub fn samples(&self, entry: &Entry<'a>) -> Samples<'a> {
        Samples::new(self.file, self.moov, entry.trak, entry.id())
    }
}

impl Entry<'_> {
    pub fn id(&self) -> u32 {
        child(self.trak, b"tkhd").and_then(edit::track_id).unwrap_or(0)
    }

    /// The four-character code of its codec.
    pub fn codec(&self) -> Option<[u8; 4]> {
        let stsd = descendant(self.trak, &[b"mdia", b"minf", b"stbl", b"stsd"])?;
        boxes(stsd.get(8..)?).next().map(|(kind, _)| kind)
    }

    /// An MP4 file that has only this track, without its samples. `None` where a header is missing.
    pub fn description(&self) -> Option<Vec<u8>> {
        let mdia = child(self.trak, b"mdia")?;
        let stsd = descendant(mdia, &[b"minf", b"stbl", b"stsd"])?;
        if stsd.len() > MAX_DESCRIPTION {
            return None;
        }
        let copied = |parent, kind| {
            child(parent, kind).map(|content| boxed(kind, &content[..content.len().min(MAX_HEADER)]))
        };
        let empty = |kind: &[u8; 4]| boxed(kind, &[0; 12]);
        let tables = [boxed(b"stsd", stsd), empty(b"stts"), empty(b"stsc"), empty(b"stsz"), empty(b"stco")];
        let minf = boxed(b"minf", &boxed(b"stbl", &tables.concat()));
        let mdia = [copied(mdia, b"mdhd")?, copied(mdia, b"hdlr")?, minf];
        let trak = [copied(self.trak, b"tkhd")?, boxed(b"mdia", &mdia.concat())];
        let moov = [boxed(b"mvhd", &movie_header()), boxed(b"trak", &trak.concat())];
        Some([boxed(b"ftyp", b"isom\0\0\0\0"), boxed(b"moov", &moov.concat())].concat())
    }

    /// The name of its codec, where it is a known one that cannot be decoded.
    pub fn unsupported_codec(&self) -> Option<&'static str> {
        match &self.codec()? {
            b"samr" | b"sawb" => Some("AMR"),
            b"ac-3" => Some("AC-3"),
            b"ec-3" => Some("E-AC-3"),
            _ => None,
        }
    }
}

/// Whether the file begins like an MP4 file. QuickTime files need not begin with `ftyp`. With any
/// other box the size is checked too, because a text can have one of these words in the same place.
pub(super) fn is_mp4(file: &[u8]) -> bool {
    let kind = file.get(4..8).unwrap_or_default();
    let leads = [b"free", b"skip", b"wide", b"pdin", b"styp", b"moov", b"mdat", b"pnot"];
    kind == b"ftyp" || leads.iter().any(|lead| kind == lead.as_slice()) && word(file, 0) <= 1 << 30
}

/// A `mvhd` of version 0. Nothing in it matters, except that the time scale must not be zero.
fn movie_header() -> [u8; 100] {
    let mut header = [0; 100];
    header[12..16].copy_from_slice(&1000u32.to_be_bytes());
    header
}
