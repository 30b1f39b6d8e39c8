//! The parts of a Matroska or WebM file that symphonia is given: one description of the tracks, and
//! the clusters with the audio. Tags, cues, chapters and attachments would cost many times their
//! size in memory, and an index can refer to the same element a thousand times.

use std::ops::Range;

use super::error::AudioError;
use super::limits::MAX_TRACKS;
use super::view::View;

// https://www.rfc-editor.org/rfc/rfc9559#section-27.1, including the bits that mark their lengths.
const EBML: u32 = 0x1A45_DFA3;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_A966;
const TRACKS: u32 = 0x1654_AE6B;
const TRACK_ENTRY: u32 = 0xAE;
const CLUSTER: u32 = 0x1F43_B675;
/// The other elements of a segment. Any of them ends a cluster of unknown size.
const OTHERS: [u32; 5] = [0x114D_9B74, 0x1C53_BB6B, 0x1941_A469, 0x1043_A770, 0x1254_C367];

/// The most bytes of headers before the audio. Those of subtitles can be long.
const MAX_HEADERS: usize = 256 << 10;

/// The least bytes of a cluster that has audio: its time, and a block.
const MIN_CLUSTER: usize = 8;

/// An element of the file.
struct Element {
    id: u32,
    start: usize,
    /// Where its data begin.
    data: usize,
    /// Where its data end; `None` where its size is unknown.
    end: Option<usize>,
}

pub(super) fn is_matroska(file: &[u8]) -> bool {
    file.starts_with(&EBML.to_be_bytes())
}

/// The file without the parts that are not needed to play it.
pub(super) fn audio_view(file: &[u8]) -> Result<View<'_>, AudioError> {
    let broken = |why: &str| AudioError::Broken(why.to_owned());
    let header = element(file, 0).and_then(|header| header.end).ok_or_else(|| broken("no header"))?;
    let segment = elements(file, header, file.len()).find(|element| element.id == SEGMENT);
    let segment = segment.ok_or_else(|| broken("it ends before the sound"))?;
    let end = segment.end.unwrap_or(file.len());
    let (mut info, mut tracks) = (None, None);
    let mut clusters = View::empty(file);
    let mut last: Option<Element> = None;
    for part in elements(file, segment.data, end) {
        let range = part.range(file, end);
        match part.id {
            INFO => info = info.or(Some(range)),
            TRACKS => {
                let entries = elements(file, part.data, range.end).filter(|entry| entry.id == TRACK_ENTRY);
                if entries.count() > MAX_TRACKS {
                    return Err(AudioError::Unsupported(format!("a file of more than {MAX_TRACKS} tracks")));
                }
                tracks = tracks.or(Some(range));
            }
            CLUSTER if range.end.saturating_sub(part.data) >= MIN_CLUSTER => {
                if let Some(former) = last.replace(part) {
                    clusters.keep(former.range(file, end));
                    if clusters.is_scattered() {
                        return Err(broken("too much between its clusters"));
                    }
                }
            }
            _ => (),
        }
    }
    let (Some(info), Some(tracks)) = (info, tracks) else {
        return Err(broken("it does not say what it holds"));
    };
    if header + info.len() + tracks.len() > MAX_HEADERS {
        return Err(AudioError::Unsupported(format!("a file with headers of more than {MAX_HEADERS} bytes")));
    }
    if let Some(last) = last {
        // symphonia takes a file for truncated where a cluster of unknown size ends.
        let truncated = last.end.is_some_and(|end| end > file.len());
        let range = last.range(file, end);
        clusters.insert(element_header(CLUSTER, (!truncated).then_some(range.end.saturating_sub(last.data))));
        clusters.keep(last.data..range.end);
    }
    let whole = segment.end.is_none_or(|end| end <= file.len());
    let size = info.len() + tracks.len() + clusters.len() as usize;
    let mut view = View::empty(file);
    view.keep(0..header);
    view.insert(element_header(SEGMENT, whole.then_some(size)));
    view.keep(info);
    view.keep(tracks);
    view.append(clusters);
    Ok(view)
}

impl Element {
    /// Its bytes in the file, in a segment that ends at `limit`.
    fn range(&self, file: &[u8], limit: usize) -> Range<usize> {
        self.start..self.end.unwrap_or_else(|| cluster_end(file, self.data, limit)).min(file.len())
    }
}

/// The elements from `start` to `end`, up to the first that is not well-formed. Only clusters and
/// the last element may be of unknown size.
fn elements(file: &[u8], start: usize, end: usize) -> impl Iterator<Item = Element> {
    let mut next = Some(start);
    std::iter::from_fn(move || {
        let element = element(file, next.filter(|&at| at < end)?)?;
        next = match element.end {
            None if element.id == CLUSTER => Some(cluster_end(file, element.data, end)),
            end => end,
        };
        Some(element)
    })
}

/// Where a cluster of unknown size ends: before the next element of the segment, or at `limit`.
fn cluster_end(file: &[u8], data: usize, limit: usize) -> usize {
    let mut at = data;
    while let Some(child) = element(file, at).filter(|_| at < limit) {
        match child.end {
            Some(end) if child.id != CLUSTER && !OTHERS.contains(&child.id) => at = end,
            _ => break,
        }
    }
    at.min(limit).min(file.len())
}

/// The element at `start`.
fn element(file: &[u8], start: usize) -> Option<Element> {
    let id_width = vint_width(*file.get(start)?).filter(|&width| width <= 4)?;
    let id = number(file.get(start..start + id_width)?) as u32;
    let at = start + id_width;
    let width = vint_width(*file.get(at)?)?;
    let marker = 1u64 << (7 * width);
    let size = number(file.get(at..at + width)?) & (marker - 1);
    let data = at + width;
    let end = (size != marker - 1).then(|| data.saturating_add(usize::try_from(size).unwrap_or(usize::MAX)));
    Some(Element { id, start, data, end })
}

/// The length of a variable-size integer, which its leading zeros give.
fn vint_width(first: u8) -> Option<usize> {
    (first != 0).then(|| first.leading_zeros() as usize + 1)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// The header of an element of this size, or of unknown size.
fn element_header(id: u32, size: Option<usize>) -> Vec<u8> {
    const UNKNOWN: u64 = (1 << 56) - 1;
    let size = size.map_or(UNKNOWN, |size| size as u64) | 1 << 56;
    [id.to_be_bytes().as_slice(), &size.to_be_bytes()].concat()
}
