//! The parts of a Core Audio file that symphonia is given: the description of the sound, the
//! codec's header, the table of packets and the packets. symphonia grants what the table asks for,
//! so the table is checked first.
//!
//! <https://developer.apple.com/library/archive/documentation/MusicAudio/Reference/CAFSpec>

use super::error::AudioError;
use super::view::View;

/// Bytes of the file's header, and of a chunk's.
const FILE_HEADER: usize = 8;
const CHUNK_HEADER: usize = 12;
/// Bytes of the description, and of the table before its entries.
const DESCRIPTION: usize = 32;
const TABLE_HEADER: usize = 24;

/// The most bytes of a codec's header and of the table, of which each byte may cost symphonia 32.
const MAX_COOKIE: usize = 64 << 10;
const MAX_TABLE: usize = 2 << 20;
/// The most bytes and frames in a packet, and channels.
const MAX_PACKET: u64 = 64 << 10;
const MAX_FRAMES: u64 = 1 << 16;
const MAX_CHANNELS: u64 = 8;

pub(super) fn is_caf(file: &[u8]) -> bool {
    file.starts_with(b"caff")
}

/// The file without the parts that are not needed to play it.
pub(super) fn audio_view(file: &[u8]) -> Result<View<'_>, AudioError> {
    let (mut description, mut cookie, mut table, mut sound) = (None, None, None, None);
    let mut at = FILE_HEADER;
    while let Some(header) = file.get(at..at.saturating_add(CHUNK_HEADER)) {
        let (kind, size) = header.split_at(4);
        let rest = file.len() - at - CHUNK_HEADER;
        // The sound at the end of a file may have the size -1, up to the end.
        let size = usize::try_from(number(size)).unwrap_or(usize::MAX).min(rest);
        let chunk = at..at + CHUNK_HEADER + size;
        at = chunk.end;
        match kind {
            b"desc" if size == DESCRIPTION => _ = description.get_or_insert(chunk),
            b"kuki" if size <= MAX_COOKIE => _ = cookie.get_or_insert(chunk),
            b"pakt" if size >= TABLE_HEADER => _ = table.get_or_insert(chunk),
            b"data" => _ = sound.get_or_insert(chunk),
            _ => {}
        }
    }
    let (Some(description), Some(sound)) = (description, sound) else {
        return Err(AudioError::Broken("it lacks the description or the sound".to_owned()));
    };
    let table_bytes = table.clone().map(|table| &file[table.start + CHUNK_HEADER..table.end]);
    check(&file[description.start + CHUNK_HEADER..description.end], table_bytes, sound.len() as u64)?;
    let mut view = View::empty(file);
    view.keep(0..FILE_HEADER);
    // The description comes first, as the table is read by it; a size that is cut short is mended.
    for chunk in [Some(description), cookie, table, Some(sound)].into_iter().flatten() {
        view.keep(chunk.start..chunk.start + 4);
        view.insert(((chunk.len() - CHUNK_HEADER) as u64).to_be_bytes().to_vec());
        view.keep(chunk.start + CHUNK_HEADER..chunk.end);
    }
    Ok(view)
}

/// Whether nothing asks for more than there is.
fn check(description: &[u8], table: Option<&[u8]>, sound: u64) -> Result<(), AudioError> {
    let broken = || AudioError::Broken("its description or its table of packets makes no sense".to_owned());
    let field = |at: usize| number(&description[at..at + 4]);
    let (bytes, frames, channels) = (field(16), field(20), field(24));
    if bytes > MAX_PACKET || frames > MAX_FRAMES || !(1..=MAX_CHANNELS).contains(&channels) {
        return Err(broken());
    }
    let Some(table) = table else { return Ok(()) };
    if table.len() > MAX_TABLE {
        return Err(AudioError::Unsupported("a table of so many packets".to_owned()));
    }
    let (header, mut entries) = table.split_at(TABLE_HEADER);
    let mut total = 0;
    for _ in 0..number(&header[..8]) {
        let size = if bytes == 0 { integer(&mut entries).ok_or_else(broken)? } else { bytes };
        let in_packet = if frames == 0 { integer(&mut entries).ok_or_else(broken)? } else { frames };
        // A table of packets of one size has no entries, and symphonia does not read it.
        if bytes > 0 && frames > 0 {
            break;
        }
        if size > MAX_PACKET || in_packet > MAX_FRAMES {
            return Err(broken());
        }
        total += size;
        if total > sound {
            return Err(broken());
        }
    }
    Ok(())
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// A number of seven bits a byte, all but the last of which have their high bit set.
fn integer(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value = value.checked_mul(128)? + u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
}
