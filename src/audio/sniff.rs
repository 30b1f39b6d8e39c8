//! What a file is, by its first bytes, where symphonia would only say that it does not know.

use super::AudioError;

/// Pages that may begin a stream in one Ogg file. Each costs symphonia memory and, where streams are
/// chained, a search for the stream's end; a voice message has one.
const MAX_OGG_STREAMS: usize = 256;

enum Kind {
    /// Audio that nothing here decodes.
    Audio,
    /// Something else.
    Other,
}

/// Offset, magic number, what it tells.
const MAGIC: &[(usize, &[u8], Kind, &str)] = &[
    (0, b"#!AMR", Kind::Audio, "AMR"),
    (28, b"Speex   ", Kind::Audio, "Speex"),
    (0, b"wvpk", Kind::Audio, "WavPack"),
    (0, b"MAC ", Kind::Audio, "Monkey's Audio"),
    (0, b"MThd", Kind::Audio, "MIDI"),
    (0, b"caff", Kind::Audio, "CAF"),
    (8, b"AIFF", Kind::Audio, "AIFF"),
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

/// Fails for a file that is known to be no use, before anything tries to read it.
pub(super) fn check(bytes: &[u8]) -> Result<(), AudioError> {
    if bytes.is_empty() {
        return Err(AudioError::Empty);
    }
    for (offset, magic, kind, name) in MAGIC {
        if bytes.get(*offset..).is_some_and(|rest| rest.starts_with(magic)) {
            return Err(match kind {
                Kind::Audio => AudioError::Unsupported((*name).to_owned()),
                Kind::Other => AudioError::NotAudio(name),
            });
        }
    }
    if bytes.starts_with(b"OggS") && ogg_streams(bytes) > MAX_OGG_STREAMS {
        return Err(AudioError::Unsupported(format!("an Ogg file of more than {MAX_OGG_STREAMS} streams")));
    }
    Ok(())
}

/// Counts the pages that begin a stream, as far as `MAX_OGG_STREAMS` and one more.
fn ogg_streams(bytes: &[u8]) -> usize {
    // Capture pattern, version 0, then the flags (https://www.rfc-editor.org/rfc/rfc3533#section-6).
    const BEGINS: u8 = 2;
    let mut streams = 0;
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&byte| byte == b'O') {
        rest = &rest[at..];
        if rest.starts_with(b"OggS\0") && rest.get(5).is_some_and(|flags| flags & BEGINS != 0) {
            streams += 1;
            if streams > MAX_OGG_STREAMS {
                break;
            }
        }
        rest = &rest[1..];
    }
    streams
}

/// Names the audio codec of an MP4 file whose tracks symphonia could not make sense of.
pub(super) fn mp4_codec(bytes: &[u8]) -> Option<&'static str> {
    let has = |code: &[u8; 4]| bytes.windows(4).any(|window| window == code);
    [(b"samr", "AMR"), (b"sawb", "AMR"), (b"ac-3", "AC-3"), (b"ec-3", "E-AC-3")]
        .into_iter()
        .find_map(|(code, name)| has(code).then_some(name))
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

    #[test]
    fn a_crowd_of_ogg_streams_is_refused() {
        let page = b"OggS\0\x02..............";
        assert_eq!(check(&page.repeat(MAX_OGG_STREAMS)), Ok(()));
        assert!(matches!(check(&page.repeat(MAX_OGG_STREAMS + 1)), Err(AudioError::Unsupported(_))));
    }
}
