//! Hexadecimal notation of hashes.

use std::fmt::Write as _;

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Parses 64 lower-case hexadecimal digits. In a constant, anything else does not compile.
pub(super) const fn unhex(text: &str) -> [u8; 32] {
    const fn digit(byte: u8) -> u8 {
        match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => panic!("no hexadecimal digit"),
        }
    }
    let text = text.as_bytes();
    assert!(text.len() == 64);
    let mut bytes = [0; 32];
    let mut n = 0;
    while n < 32 {
        bytes[n] = digit(text[2 * n]) << 4 | digit(text[2 * n + 1]);
        n += 1;
    }
    bytes
}
