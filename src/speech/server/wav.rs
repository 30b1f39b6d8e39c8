//! Samples as a WAV file, which every server reads.

/// The bytes of the head.
const HEAD: usize = 44;

/// A WAV file of 16-bit samples, mono, at `rate` per second, from samples of full scale ±1. What is
/// louder is clipped.
pub(super) fn wav(pcm: &[f32], rate: u32) -> Vec<u8> {
    let bytes = 2 * pcm.len() as u32;
    let mut file = Vec::with_capacity(HEAD + bytes as usize);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(HEAD as u32 - 8 + bytes).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16_u32.to_le_bytes());
    // PCM, one channel.
    for number in [1_u16, 1] {
        file.extend_from_slice(&number.to_le_bytes());
    }
    for number in [rate, 2 * rate] {
        file.extend_from_slice(&number.to_le_bytes());
    }
    // Bytes and bits of a sample.
    for number in [2_u16, 16] {
        file.extend_from_slice(&number.to_le_bytes());
    }
    file.extend_from_slice(b"data");
    file.extend_from_slice(&bytes.to_le_bytes());
    for sample in pcm {
        let sample = (sample * f32::from(i16::MAX)).round() as i16;
        file.extend_from_slice(&sample.to_le_bytes());
    }
    file
}

#[cfg(test)]
mod tests {
    use super::wav;

    #[test]
    fn samples_are_clipped_and_the_sizes_are_right() {
        let file = wav(&[0.0, 1.0, -1.0, 7.0, -7.0], 16_000);
        assert_eq!(file.len(), 44 + 10);
        assert_eq!(u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize, file.len() - 8);
        assert_eq!(u32::from_le_bytes(file[40..44].try_into().unwrap()), 10);
        let samples: Vec<_> = file[44..].chunks(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
        assert_eq!(samples, [0, i16::MAX, -i16::MAX, i16::MAX, i16::MIN]);
    }
}
