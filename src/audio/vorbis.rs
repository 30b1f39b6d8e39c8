//! How much memory a Vorbis header asks for, checked before symphonia allocates it.

/// The most bytes of memory that the codebooks of one stream may take. Those of encoders take well
/// below one megabyte; a header of a few kilobytes can ask for four gigabytes.
const MAX_CODEBOOKS: u64 = 32 << 20;

/// Whether the codebooks in the setup header stay within bounds.
///
/// A codebook may begin at any bit. It has a sync pattern of 24 bits, the number of dimensions in
/// 16, and that of entries in 24 (<https://xiph.org/vorbis/doc/Vorbis_I_spec.html#x1-530003.2.1>).
/// symphonia allocates dimensions times entries floats, and tables of the entries.
pub(super) fn codebooks_are_sane(header: &[u8]) -> bool {
    const SYNC: u64 = 0x56_4342;
    let mut total = 0u64;
    // At each byte, the codebook that may begin at any of its 8 bits: 64 of the next 72 bits.
    for window in header.windows(9) {
        let mut bits = 0u128;
        for (n, &byte) in window.iter().enumerate() {
            bits |= u128::from(byte) << (8 * n);
        }
        for shift in 0..8 {
            let book = (bits >> shift) as u64;
            if book & 0xff_ffff == SYNC {
                let dimensions = book >> 24 & 0xffff;
                let entries = book >> 40;
                total = total.saturating_add(4 * entries * (dimensions + 4));
            }
        }
    }
    total <= MAX_CODEBOOKS
}

#[cfg(test)]
mod tests {
    use super::codebooks_are_sane;

    #[test]
    fn a_bomb_is_found_at_any_bit() {
        for shift in 0..8 {
            let book = |entries: u128, dimensions: u128| {
                ((entries << 40 | dimensions << 24 | 0x564342) << shift).to_le_bytes()
            };
            assert!(codebooks_are_sane(&book(256, 8)));
            assert!(!codebooks_are_sane(&book(128 << 10, 32).repeat(4)));
        }
        assert!(codebooks_are_sane(b"BCV"));
    }
}
