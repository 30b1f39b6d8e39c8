//! The parts of an Ogg file that symphonia is given: the undamaged pages. In a chained file
//! symphonia searches for pages again and again, and each time it would read whatever lies between
//! them.

use std::collections::HashMap;

use super::error::AudioError;
use super::view::View;

/// The most streams in one file. Each costs symphonia memory and, where streams are chained, a
/// search for the stream's end. A voice message has one.
const MAX_STREAMS: usize = 256;

/// The most comments in one file. Each costs symphonia a few hundred bytes; a song has about
/// twenty.
const MAX_COMMENTS: u64 = 10_000;

/// Pages with a wrong checksum may have this many times the file's size in all. They can overlap: a
/// page can begin at any byte of a damaged one.
const MAX_DAMAGED: usize = 4;

/// Bytes of a page before its segment table
/// (<https://www.rfc-editor.org/rfc/rfc3533#section-6>).
const HEADER: usize = 27;

pub(super) fn is_ogg(file: &[u8]) -> bool {
    file.starts_with(b"OggS")
}

/// The undamaged pages of a file, and what the pass over them has shown.
pub(super) struct Pages<'a> {
    pub view: View<'a>,
    /// Whether pages are damaged or missing.
    pub is_damaged: bool,
    /// Whether the times of the pages of an Opus stream do not grow with its sound, so that they
    /// do not tell where it ends.
    pub has_wrong_times: bool,
}

/// What is known of a stream.
#[derive(Default)]
struct Stream {
    is_flac: bool,
    is_opus: bool,
    /// The number of its last page.
    page: u32,
    /// Packets that were completed so far; in Opus the first two are headers.
    packets: usize,
    /// The time of its last page with sound, in samples.
    time: u64,
}

impl Stream {
    /// Whether the time of a page that completes packets of sound is not later than that of the
    /// page before.
    fn has_wrong_time(&mut self, page: &[u8]) -> bool {
        const HEADERS: usize = 2;
        let completed = page[HEADER..][..usize::from(page[HEADER - 1])].iter().filter(|&&size| size < 255);
        let completed = completed.count();
        self.packets += completed;
        let time = page[6..14].try_into().map_or(0, u64::from_le_bytes);
        let is_sound = self.is_opus && completed > 0 && self.packets > HEADERS;
        let is_wrong = is_sound && time <= self.time;
        if is_sound {
            self.time = time;
        }
        is_wrong
    }
}

/// Looks through the pages of the file.
pub(super) fn pages(file: &[u8]) -> Result<Pages<'_>, AudioError> {
    const BEGINS_STREAM: u8 = 2;
    let broken = |why: &str| AudioError::Broken(why.to_owned());
    let mut view = View::empty(file);
    let (mut streams, mut comments) = (0, 0u64);
    let (mut is_damaged, mut has_wrong_times) = (false, false);
    let mut known: HashMap<&[u8], Stream> = HashMap::new();
    let mut damaged_allowed = file.len().saturating_mul(MAX_DAMAGED);
    let mut at = 0;
    while let Some(found) = next_marker(file, at) {
        at = found + 1;
        let Some(page) = page(&file[found..]) else { continue };
        if !is_intact(page) {
            is_damaged = true;
            damaged_allowed =
                damaged_allowed.checked_sub(page.len()).ok_or_else(|| broken("too many damaged pages"))?;
            continue;
        }
        at = found + page.len();
        view.keep(found..at);
        if view.is_scattered() {
            return Err(broken("too much between its pages"));
        }
        streams += usize::from(page[5] & BEGINS_STREAM != 0);
        if streams > MAX_STREAMS {
            return Err(AudioError::Unsupported(format!("an Ogg file of more than {MAX_STREAMS} streams")));
        }
        let number = page[18..22].try_into().map_or(0, u32::from_le_bytes);
        if page[5] & BEGINS_STREAM != 0 {
            let begins_with = |magic: &[u8]| packets(page).any(|packet| packet.starts_with(magic));
            let (is_flac, is_opus) = (begins_with(b"\x7fFLAC"), begins_with(b"OpusHead"));
            known.insert(&page[14..18], Stream { is_flac, is_opus, page: number, ..Stream::default() });
        }
        let is_flac = match known.get_mut(&page[14..18]) {
            Some(stream) => {
                is_damaged |= number > stream.page.saturating_add(1);
                stream.page = number;
                has_wrong_times |= stream.has_wrong_time(page);
                stream.is_flac
            }
            // Its first page is missing.
            None => {
                is_damaged = true;
                false
            }
        };
        let counts = packets(page).filter_map(|packet| comment_count(packet, is_flac));
        comments = counts.fold(comments, u64::saturating_add);
        if comments > MAX_COMMENTS {
            return Err(AudioError::Unsupported(format!("an Ogg file of more than {MAX_COMMENTS} comments")));
        }
    }
    if view.len() == 0 {
        return Err(broken("none of its pages is whole"));
    }
    Ok(Pages { view, is_damaged, has_wrong_times })
}

fn next_marker(file: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += file.get(at..)?.iter().position(|&byte| byte == b'O')?;
        if file[at..].starts_with(b"OggS\0") {
            return Some(at);
        }
        at += 1;
    }
}

/// The page that `bytes` begin with, if all of it is there. It may be damaged.
fn page(bytes: &[u8]) -> Option<&[u8]> {
    let segments = usize::from(*bytes.get(HEADER - 1)?);
    let table = bytes.get(HEADER..HEADER + segments)?;
    let size = HEADER + segments + table.iter().map(|&size| usize::from(size)).sum::<usize>();
    bytes.get(..size)
}

/// Whether the page matches its checksum.
fn is_intact(page: &[u8]) -> bool {
    let (head, rest) = page.split_at(22);
    let (claimed, rest) = rest.split_at(4);
    checksum(checksum(checksum(0, head), &[0; 4]), rest).to_le_bytes() == claimed
}

/// The packets in a page, or their parts: the first may have begun on an earlier page, and the last
/// may go on on the next.
fn packets(page: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (table, mut rest) = page[HEADER..].split_at(usize::from(page[HEADER - 1]));
    table.split_inclusive(|&size| size < u8::MAX).map(move |sizes| {
        let size = sizes.iter().map(|&size| usize::from(size)).sum();
        let (packet, others) = rest.split_at(size);
        rest = others;
        packet
    })
}

/// How many comments a packet claims to hold, if it is a comment header. The encoder's name
/// precedes the count. If the name is so long that the count is on another page, that counts as too
/// many.
fn comment_count(packet: &[u8], is_flac: bool) -> Option<u64> {
    // FLAC's metadata blocks have a header of four bytes, with their type.
    let rest = packet.strip_prefix(b"OpusTags").or_else(|| packet.strip_prefix(b"\x03vorbis"));
    let rest = rest.or_else(|| packet.get(4..).filter(|_| is_flac && packet[0] & 0x7f == 4))?;
    let number = |at: usize| rest.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes);
    let vendor = number(0)? as usize;
    Some(number(4 + vendor).map_or(u64::MAX, u64::from))
}

fn checksum(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, &byte| sum << 8 ^ SUMS[usize::from((sum >> 24) as u8 ^ byte)])
}

/// The checksum of each byte, by the polynomial 0x04c11db7.
const SUMS: [u32; 256] = {
    let mut sums = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 };
            bit += 1;
        }
        sums[byte] = sum;
        byte += 1;
    }
    sums
};
