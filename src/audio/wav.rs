//! The parts of a WAV file that symphonia is given: the format and the samples. Lists of texts
//! would cost 17 times their size in memory.

use super::view::View;

/// The most bytes of a format chunk. The longest in use has 40.
const MAX_FORMAT: usize = 4096;

pub(super) fn is_wav(file: &[u8]) -> bool {
    file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WAVE")
}

/// The file without the parts that are not needed to play it. What follows the samples may stay,
/// because symphonia does not read beyond them.
pub(super) fn audio_view(file: &[u8]) -> View<'_> {
    let mut view = View::empty(file);
    // A size of all ones means unknown, as in files that were written to a pipe.
    view.insert(b"RIFF\xff\xff\xff\xffWAVE".to_vec());
    let mut at = 12;
    let mut kept: Vec<&[u8]> = Vec::new();
    while let Some(header) = file.get(at..at + 8) {
        let (kind, size) = header.split_at(4);
        if kind == b"data" {
            view.keep(at..file.len());
            break;
        }
        let size = size.iter().rev().fold(0, |size, &byte| size << 8 | usize::from(byte));
        // A chunk with an odd number of bytes is followed by one byte of padding.
        let end = at + 8 + size + size % 2;
        if [b"fmt ", b"fact"].iter().any(|&wanted| kind == wanted)
            && size <= MAX_FORMAT
            && !kept.contains(&kind)
        {
            kept.push(kind);
            view.keep(at..end);
        }
        at = end;
    }
    view
}
