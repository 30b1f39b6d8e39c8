//! Names files by their magic numbers where symphonia would only say that it does not know them.

use super::error::AudioError;

enum Kind {
    /// Audio for which there is no decoder.
    Audio,
    /// Something other than audio.
    Other,
}

/// Offset, magic number, kind, and name.
const MAGIC: &[(usize, &[u8], Kind, &str)] = &[
    (0, b"#!AMR", Kind::Audio, "AMR"),
    (28, b"Speex   ", Kind::Audio, "Speex"),
    (0, b"wvpk", Kind::Audio, "WavPack"),
    (0, b"MAC ", Kind::Audio, "Monkey's Audio"),
    (0, b"MThd", Kind::Audio, "MIDI"),
    (8, b"AVI ", Kind::Audio, "AVI"),
    (0, b"\x30\x26\xb2\x75", Kind::Audio, "WMA"),
    (0, b"\x89PNG", Kind::Other, "a PNG picture"),
    (0, b"\xff\xd8\xff", Kind::Other, "a JPEG picture"),
    (8, b"WEBP", Kind::Other, "a WebP picture"),
    (0, b"GIF8", Kind::Other, "a GIF picture"),
    (0, b"%PDF", Kind::Other, "a PDF document"),
    (0, b"PK\x03\x04", Kind::Other, "a ZIP archive"),
    (0, b"\x1f\x8b", Kind::Other, "a gzip archive"),
    (0, b"\x7fELF", Kind::Other, "a program"),
    (0, b"lmgg", Kind::Other, "a speech model"),
];

/// Fails for a file that is known not to be decodable, before anything parses it.
pub(super) fn check(bytes: &[u8]) -> Result<(), AudioError> {
    if bytes.is_empty() {
        return Err(AudioError::Empty);
    }
    for (offset, magic, kind, name) in MAGIC {
        if bytes.get(*offset..).is_some_and(|rest| rest.starts_with(magic)) {
            return Err(match kind {
                Kind::Audio => AudioError::Unsupported((*name).to_owned()),
                Kind::Other => AudioError::NotAudio((*name).to_owned()),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named() {
        let message = |bytes: &[u8]| check(bytes).unwrap_err().to_string();
        assert_eq!(message(b""), "the file is empty");
        assert_eq!(message(b"#!AMR\n123"), "AMR is not supported");
        assert_eq!(message(b"\x89PNG\r\n"), "not audio: a PNG picture");
        assert_eq!(check(b"RIFF\0\0\0\0WAVE"), Ok(()));
        assert_eq!(check(b"O"), Ok(()));
    }
}
