//! The parts of an AIFF file that symphonia is given: the format and the samples. Markers, comments
//! and texts would cost many times their size in memory.

use super::view::View;

/// The most bytes of a format chunk (COMM). It has 18, and in AIFF-C a name besides.
const MAX_FORMAT: usize = 4096;

pub(super) fn is_aiff(file: &[u8]) -> bool {
    file.starts_with(b"FORM") && matches!(file.get(8..12), Some(b"AIFF" | b"AIFC"))
}

/// The file without the parts that are not needed to play it.
pub(super) fn audio_view(file: &[u8]) -> View<'_> {
    let (mut format, mut samples) = (None, None);
    let mut at = 12;
    while let Some(header) = file.get(at..at + 8) {
        let (kind, size) = header.split_at(4);
        let size = size.iter().fold(0, |size, &byte| size << 8 | usize::from(byte));
        // A chunk with an odd number of bytes is followed by one byte of padding.
        let chunk = at..at + 8 + size + size % 2;
        at = chunk.end;
        match kind {
            b"COMM" if size <= MAX_FORMAT => _ = format.get_or_insert(chunk),
            b"SSND" => _ = samples.get_or_insert(chunk),
            _ => {}
        }
    }
    let chunks: Vec<_> = format.into_iter().chain(samples).collect();
    let size = chunks.iter().map(|chunk| chunk.len()).sum::<usize>() + 4;
    let mut view = View::empty(file);
    let size = u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes();
    view.insert([b"FORM", &size[..], file.get(8..12).unwrap_or_default()].concat());
    chunks.into_iter().for_each(|chunk| view.keep(chunk));
    view
}
