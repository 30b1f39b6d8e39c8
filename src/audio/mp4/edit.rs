//! Which part of an MP4 track is meant to be played.
//!
//! A track also has the encoder's delay at its beginning, and what was cut off in an editor. The
//! edit list says which samples these are; in old files, iTunes' own tag (`iTunSMPB`) does.

use super::boxes::{child, descendant, number, rows};

/// The audible part of a track, in the units of the track's own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::audio) struct Edit {
    /// Units to be skipped at the start.
    pub skip: u64,
    /// Packets from this time on are not played.
    pub end: Option<u64>,
}

/// Reads the edit of a track of the movie. By default the whole track is played.
pub(super) fn read(moov: &[u8], trak: &[u8]) -> Edit {
    let movie_clock = child(moov, b"mvhd").and_then(clock).unwrap_or(1);
    let edited = || {
        let track_clock = clock(descendant(trak, &[b"mdia", b"mdhd"])?)?;
        first_edit(descendant(trak, &[b"edts", b"elst"])?, track_clock, movie_clock)
    };
    edited().or_else(|| Some(Edit { skip: itunes_delay(moov)?, end: None })).unwrap_or_default()
}

/// The first entry of an edit list that is not a pause.
fn first_edit(elst: &[u8], track_clock: u64, movie_clock: u64) -> Option<Edit> {
    let long = elst.first()? == &1;
    for entry in rows(elst, if long { 20 } else { 12 }) {
        let (duration, start) = if long {
            (number(entry, 0, 8)?, number(entry, 8, 8)? as i64)
        } else {
            (number(entry, 0, 4)?, i64::from(number(entry, 4, 4)? as u32 as i32))
        };
        // A negative start is a pause before the audio. ffmpeg leaves it out too.
        let Ok(skip) = u64::try_from(start) else { continue };
        let length = u128::from(duration) * u128::from(track_clock) / u128::from(movie_clock.max(1));
        let end = u64::try_from(length).ok()?.checked_add(skip)?;
        return Some(Edit { skip, end: (length > 0).then_some(end) });
    }
    None
}

/// The encoder's delay in iTunes' tag: the second of several hexadecimal numbers in a text.
fn itunes_delay(moov: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"iTunSMPB";
    let at = moov.windows(NAME.len()).position(|window| window == NAME)?;
    // The value is in the next box, "data", after a type and a locale.
    let text = moov.get(at + NAME.len()..)?.get(16..16 + 18)?;
    let delay = std::str::from_utf8(text).ok()?.split_ascii_whitespace().nth(1)?;
    u64::from_str_radix(delay, 16).ok()
}

/// Units per second, from a `mvhd` or `mdhd` box.
fn clock(header: &[u8]) -> Option<u64> {
    number(header, if header.first()? == &1 { 20 } else { 12 }, 4)
}

pub(super) fn track_id(tkhd: &[u8]) -> Option<u32> {
    number(tkhd, if tkhd.first()? == &1 { 20 } else { 12 }, 4).map(|id| id as u32)
}

#[cfg(test)]
mod tests {
    use super::super::boxes::boxed;
    use super::super::{Edit, Movie};

    fn header(at: usize, value: u32) -> Vec<u8> {
        let mut header = vec![0; 24];
        header[at..at + 4].copy_from_slice(&value.to_be_bytes());
        header
    }

    fn file(edits: &[(u32, i32)]) -> Vec<u8> {
        let mut elst = vec![0; 4];
        elst.extend((edits.len() as u32).to_be_bytes());
        for (duration, start) in edits {
            elst.extend(duration.to_be_bytes());
            elst.extend(start.to_be_bytes());
            elst.extend([0, 1, 0, 0]);
        }
        let trak = [
            boxed(b"tkhd", &header(12, 2)),
            boxed(b"edts", &boxed(b"elst", &elst)),
            boxed(b"mdia", &boxed(b"mdhd", &header(12, 44_100))),
        ];
        let moov = [boxed(b"mvhd", &header(12, 1000)), boxed(b"trak", &trak.concat())];
        [boxed(b"ftyp", b"isom"), boxed(b"moov", &moov.concat())].concat()
    }

    #[test]
    fn the_first_edit_that_is_not_a_pause_counts() {
        assert_eq!(edit(&file(&[(2000, 1024)]), 2), Edit { skip: 1024, end: Some(88_200 + 1024) });
        assert_eq!(edit(&file(&[(16, -1), (1000, 0)]), 2), Edit { skip: 0, end: Some(44_100) });
        assert_eq!(edit(&file(&[(0, 5)]), 2), Edit { skip: 5, end: None });
        assert_eq!(edit(&file(&[(2000, 1024)]), 3), Edit::default());
        assert_eq!(edit(&file(&[]), 2), Edit::default());
    }

    /// The edit of the track with this id, if it exists.
    fn edit(file: &[u8], id: u32) -> Edit {
        let movie = Movie::find(file);
        let entry = movie.as_ref().and_then(|movie| movie.tracks().find(|entry| entry.id() == id));
        entry.map_or_else(Edit::default, |entry| movie.unwrap().edit(&entry))
    }

    #[test]
    fn any_prefix_is_harmless() {
        let file = file(&[(2000, 1024), (u32::MAX, i32::MAX)]);
        for end in 0..file.len() {
            edit(&file[..end], 2);
        }
        for at in 0..file.len() {
            let mut broken = file.clone();
            broken[at] ^= 0xff;
            edit(&broken, 2);
        }
    }
}
