//! What of a WAV file symphonia is given: the format and the samples. Its lists of texts cost it 17 times
//! their size in memory.

use super::view::View;

/// Bytes of a format.
const MAX_FORMAT: usize = 4096;

pub(super) fn is_wav(file: &[u8]) -> bool {
    file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WAVE")
}

/// The file without what is not needed to hear it. What follows the samples is beyond their end.
pub(super) fn sound(file: &[u8]) -> View<'_> {
    let mut view = View::of(file);
    // Its size is not known, as when it is written to a pipe.
    view.add(b"RIFF\xff\xff\xff\xffWAVE".to_vec());
    let mut at = 12;
    let mut kept: Vec<&[u8]> = Vec::new();
    while let Some(header) = file.get(at..at + 8) {
        let (kind, size) = header.split_at(4);
        if kind == b"data" {
            view.keep(at..file.len());
            break;
        }
        let size = size.iter().rev().fold(0, |size, &byte| size << 8 | usize::from(byte));
        // Of an odd number of bytes, one more follows.
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
