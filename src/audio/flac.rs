//! The parts of a FLAC file that symphonia is given: the description of the stream, and the frames.
//! Comments, pictures and seek tables would cost up to 30 times their size in memory.

use super::error::AudioError;
use super::view::View;

const MARKER: &[u8] = b"fLaC";

pub(super) fn is_flac(file: &[u8]) -> bool {
    file.starts_with(MARKER)
}

/// The file without the parts that are not needed to play it.
pub(super) fn audio_view(file: &[u8]) -> Result<View<'_>, AudioError> {
    // A block header has one byte for its type and a flag for the last block, and three for its
    // size: https://www.rfc-editor.org/rfc/rfc9639#section-8.1.
    const LAST: u8 = 0x80;
    const STREAMINFO: u8 = 0;
    let mut info = None;
    let mut at = MARKER.len();
    loop {
        let Some(&[kind, a, b, c]) = file.get(at..at + 4) else {
            return Err(AudioError::Broken("it ends before the sound".to_owned()));
        };
        let end = at + 4 + u32::from_be_bytes([0, a, b, c]) as usize;
        if kind & !LAST == STREAMINFO && info.is_none() {
            info = Some((vec![LAST | STREAMINFO, a, b, c], at + 4..end));
        }
        at = end;
        if kind & LAST != 0 {
            break;
        }
    }
    let Some((header, info)) = info else {
        return Err(AudioError::Broken("it does not say what it holds".to_owned()));
    };
    let mut view = View::empty(file);
    view.keep(0..MARKER.len());
    view.insert(header);
    view.keep(info);
    view.keep(at..file.len());
    Ok(view)
}
