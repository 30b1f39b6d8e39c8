//! Opus of more than two channels: each packet holds one packet for each of several streams, of one
//! or two channels each (<https://www.rfc-editor.org/rfc/rfc7845#section-5.1.1>).

use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::errors::{Error, Result};
use symphonia::core::packet::Packet;

/// The most streams that are decoded: eight channels have five.
const MAX_STREAMS: usize = 8;

/// A decoder for each stream.
pub(super) struct Multistream {
    /// With its number of channels.
    decoders: Vec<(Box<dyn AudioDecoder>, usize)>,
    /// The samples of one stream.
    stream: Vec<f32>,
}

impl Multistream {
    /// `None` if the identification header says that there is one stream, or makes no sense.
    /// `make` makes a decoder of so many channels.
    pub fn new<E>(
        head: &[u8],
        make: impl Fn(usize) -> std::result::Result<Box<dyn AudioDecoder>, E>,
    ) -> std::result::Result<Option<Self>, E> {
        const STREAMS: usize = 19;
        let field = |at: usize| head.get(at).map_or(0, |&count| usize::from(count));
        let (streams, coupled) = (field(STREAMS), field(STREAMS + 1));
        if !(2..=MAX_STREAMS).contains(&streams) || coupled > streams {
            return Ok(None);
        }
        let channels = (0..streams).map(|stream| if stream < coupled { 2 } else { 1 });
        let decoders = channels
            .map(|channels| Ok((make(channels)?, channels)))
            .collect::<std::result::Result<_, E>>()?;
        Ok(Some(Self { decoders, stream: Vec::new() }))
    }

    /// The channels of all streams together.
    pub fn channels(&self) -> usize {
        self.decoders.iter().map(|(_, channels)| channels).sum()
    }

    /// Decodes a packet into `interleaved`, which is overwritten; returns the rate in Hz.
    pub fn decode(&mut self, packet: &Packet, interleaved: &mut Vec<f32>) -> Result<u32> {
        interleaved.clear();
        let (all, count) = (self.channels(), self.decoders.len());
        let mut rest: &[u8] = &packet.data;
        let (mut rate, mut first) = (0, 0);
        for (number, (decoder, channels)) in self.decoders.iter_mut().enumerate() {
            let data =
                if number + 1 == count { rest.to_vec() } else { take_packet(&mut rest).ok_or(DAMAGED)? };
            if data.is_empty() {
                return Err(DAMAGED);
            }
            let packet = Packet::new(packet.track_id, packet.pts, packet.dur, data);
            let decoded = decoder.decode(&packet)?;
            rate = decoded.spec().rate();
            decoded.copy_to_vec_interleaved(&mut self.stream);
            let frames = self.stream.len() / *channels;
            if number == 0 {
                interleaved.resize(frames * all, 0.0);
            }
            if interleaved.len() != frames * all {
                return Err(DAMAGED);
            }
            for (frame, samples) in interleaved.chunks_exact_mut(all).zip(self.stream.chunks_exact(*channels))
            {
                frame[first..first + samples.len()].copy_from_slice(samples);
            }
            first += *channels;
        }
        Ok(rate)
    }
}

const DAMAGED: Error = Error::DecodeError("opus: the streams in a packet do not fit each other");

/// Takes a packet that gives its own length from the beginning of `rest`, and returns it as an
/// ordinary one (<https://www.rfc-editor.org/rfc/rfc6716#appendix-B>).
fn take_packet(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let toc = take(rest, 1)?[0];
    let mut packet = vec![toc];
    match toc & 3 {
        // One frame, or two of the same size.
        code @ (0 | 1) => {
            let size = take_size(rest)?.0;
            packet.extend(take(rest, size * (usize::from(code) + 1))?);
        }
        2 => {
            let (first, written) = take_size(rest)?;
            let (second, _) = take_size(rest)?;
            packet.extend(written);
            packet.extend(take(rest, first + second)?);
        }
        _ => take_frames(rest, &mut packet)?,
    }
    Some(packet)
}

/// Any number of frames, perhaps with padding.
fn take_frames(rest: &mut &[u8], packet: &mut Vec<u8>) -> Option<()> {
    const HAS_SIZES: u8 = 0x80;
    const HAS_PADDING: u8 = 0x40;
    let flags = take(rest, 1)?[0];
    packet.push(flags);
    let frames = usize::from(flags & 0x3f);
    let mut padding = 0;
    // 255 stands for 254 bytes of padding, and another number follows.
    let mut goes_on = flags & HAS_PADDING != 0;
    while goes_on {
        let byte = take(rest, 1)?[0];
        packet.push(byte);
        padding += usize::from(byte.min(254));
        goes_on = byte == 255;
    }
    let mut size = 0;
    if flags & HAS_SIZES != 0 {
        for _ in 1..frames {
            let (frame, written) = take_size(rest)?;
            packet.extend(written);
            size += frame;
        }
        size += take_size(rest)?.0;
    } else {
        size = take_size(rest)?.0 * frames;
    }
    packet.extend(take(rest, size + padding)?);
    Some(())
}

/// The size of a frame, and how it is written.
fn take_size<'a>(rest: &mut &'a [u8]) -> Option<(usize, &'a [u8])> {
    let whole = *rest;
    let first = usize::from(take(rest, 1)?[0]);
    let size = if first < 252 { first } else { first + 4 * usize::from(take(rest, 1)?[0]) };
    Some((size, &whole[..whole.len() - rest.len()]))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, others) = rest.split_at_checked(count)?;
    *rest = others;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::take_packet;

    #[test]
    fn packets_lose_the_length_that_they_give_themselves() {
        let long = [7; 300];
        // 300 = 252 + 4 * 12
        let sized = [&[4, 252, 12][..], &long, b"next"].concat();
        let mut rest = &sized[..];
        assert_eq!(take_packet(&mut rest).unwrap(), [&[4][..], &long].concat());
        assert_eq!(rest, b"next");
        for (sized, plain) in [
            (&[5, 2, 1, 2, 3, 4][..], &[5, 1, 2, 3, 4][..]),
            (&[6, 1, 2, 1, 2, 3], &[6, 1, 1, 2, 3]),
            // Two frames of one size, with two bytes of padding.
            (&[7, 0x42, 2, 1, 8, 9, 0, 0], &[7, 0x42, 2, 8, 9, 0, 0]),
            (&[7, 0x83, 1, 2, 1, 1, 2, 3, 4], &[7, 0x83, 1, 2, 1, 2, 3, 4]),
        ] {
            let mut rest = sized;
            assert_eq!(take_packet(&mut rest).as_deref(), Some(plain), "{sized:?}");
            assert_eq!(rest, [0; 0], "{sized:?}");
            for end in 0..sized.len() {
                assert_eq!(take_packet(&mut &sized[..end]), None, "{sized:?} cut at {end}");
            }
        }
    }
}
