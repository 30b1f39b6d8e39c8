//! Voice messages, each of which must be answered with its own text.
//!
//! ffmpeg encodes once; a recording is then a few of its packets, drawn anew for each message and
//! put into pages of our own: ten thousand different recordings cost nothing.

use std::ops::Range;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, ensure};
use stenogram::audio::{self, Limits};
use stenogram::domain::reply::compose;
use stenogram::domain::{Part, Settings};

use crate::random::Random;
use crate::speech;
use crate::stand_in::{SLOW_FROM, STUBBED_BELOW, transcript_of};

/// Seconds of sound from which packets are drawn.
const POOL: &str = "40";
const MINUTE: u32 = 60;
/// At 48 kHz, in a packet of 20 ms.
const SAMPLES_A_PACKET: u64 = 960;

/// What a message holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Answered by the stand-in for recognition, with a text made of the samples.
    Tone(u64),
    /// The same, in several stretches.
    Slow(u64),
    /// Spoken words, for the real model: the fixture of this number.
    Speech(usize),
    /// No recording at all, though it says so.
    Corrupt(u64),
}

/// A voice message and the parts of the answer that it must have.
pub struct Recording {
    pub ogg: Vec<u8>,
    pub answer: Vec<Part>,
}

/// A minute of sound as Telegram's clients record it: Opus at 24 kbit/s.
pub fn minute_of_speech() -> anyhow::Result<Vec<u8>> {
    encode(&format!("anoisesrc=color=pink:seed=1:sample_rate=48000:duration={MINUTE}"), "24k")
}

fn encode(noise: &str, rate: &str) -> anyhow::Result<Vec<u8>> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", noise, "-ac", "1", "-c:a", "libopus"])
        .args(["-b:a", rate, "-frame_duration", "20", "-f", "ogg", "pipe:1"])
        .output()
        .context("ffmpeg; ./test.sh installs it")?;
    ensure!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

pub struct Recordings {
    head: Vec<u8>,
    tags: Vec<u8>,
    packets: Vec<Vec<u8>>,
    spoken: Vec<(String, Vec<u8>)>,
    in_stretches: bool,
}

impl Recordings {
    /// `spoken`: how many recordings of real words there are to be. `in_stretches`: the stand-in
    /// recognises some of the others in several stretches.
    pub fn new(spoken: usize, in_stretches: bool) -> anyhow::Result<Self> {
        let noise = format!("anoisesrc=color=pink:seed=1:sample_rate=48000:duration={POOL}");
        let mut packets = packets(&encode(&noise, "12k")?).into_iter();
        let head = packets.next().context("no OpusHead")?;
        let tags = packets.next().context("no OpusTags")?;
        // The first packets decode to silence or to the encoder's warming up.
        let packets: Vec<_> = packets.skip(10).collect();
        ensure!(packets.iter().all(|packet| packet.len() < 255), "packets too large for one lacing value");
        let spoken = speech::fixtures("en")
            .iter()
            .take(spoken)
            .map(|fixture| (fixture.text.to_owned(), speech::say(fixture.text, fixture.voice)))
            .collect();
        Ok(Self { head, tags, packets, spoken, in_stretches })
    }

    /// A recording that is answered under these settings.
    pub fn make(&self, kind: Kind, settings: Settings) -> Recording {
        match kind {
            Kind::Tone(seed) => self.tone(seed, 12..30, settings),
            Kind::Slow(seed) => self.tone(seed, 33..44, settings),
            Kind::Speech(number) => {
                let (text, ogg) = &self.spoken[number % self.spoken.len()];
                Recording { ogg: ogg.clone(), answer: vec![Part::message(text.clone(), false)] }
            }
            Kind::Corrupt(seed) => Recording { ogg: self.corrupt(seed), answer: Vec::new() },
        }
    }

    fn tone(&self, seed: u64, packets: Range<usize>, settings: Settings) -> Recording {
        let mut random = Random::new(seed);
        let count = packets.start + random.below(packets.len());
        let drawn: Vec<&[u8]> =
            (0..count).map(|_| self.packets[random.below(self.packets.len())].as_slice()).collect();
        let ogg = self.ogg(&drawn);
        let samples = decode(&ogg).expect("a recording of our own decodes");
        assert!(samples.len() < STUBBED_BELOW, "the recording is not for the stand-in");
        assert_eq!(samples.len() >= SLOW_FROM, packets.start > 30, "it has other stretches than it should");
        Recording { ogg, answer: compose(&transcript_of(&samples, self.in_stretches), settings).parts }
    }

    fn corrupt(&self, seed: u64) -> Vec<u8> {
        let mut random = Random::new(seed);
        let garbage: Vec<u8> = (0..400).map(|_| random.next() as u8).collect();
        let ogg = match random.below(3) {
            0 => garbage,
            // Cut off after the headers.
            1 => self.ogg(&[])[..60].to_vec(),
            _ => [b"OggS\0\x02", garbage.as_slice()].concat(),
        };
        assert!(decode(&ogg).is_err(), "what was to be corrupt decodes");
        ogg
    }

    fn ogg(&self, packets: &[&[u8]]) -> Vec<u8> {
        let length = SAMPLES_A_PACKET * packets.len() as u64;
        let mut ogg = page(2, 0, 0, &[&self.head]);
        ogg.extend(page(0, 0, 1, &[&self.tags]));
        ogg.extend(page(4, length, 2, packets));
        ogg
    }
}

fn decode(ogg: &[u8]) -> Result<Vec<f32>, audio::AudioError> {
    audio::decode(ogg, &Limits::default(), &AtomicBool::new(false)).map(|pcm| pcm.samples)
}

/// The packets of an OGG file, <https://www.rfc-editor.org/rfc/rfc3533#section-6>.
fn packets(mut ogg: &[u8]) -> Vec<Vec<u8>> {
    let (mut packets, mut packet) = (Vec::new(), Vec::new());
    while ogg.len() > 27 {
        let lacing = &ogg[27..27 + usize::from(ogg[26])];
        let mut body = &ogg[27 + lacing.len()..];
        for &value in lacing {
            packet.extend_from_slice(&body[..usize::from(value)]);
            body = &body[usize::from(value)..];
            if value < 255 {
                packets.push(std::mem::take(&mut packet));
            }
        }
        ogg = body;
    }
    packets
}

/// A page with packets that end in it.
fn page(flags: u8, granule: u64, number: u32, packets: &[&[u8]]) -> Vec<u8> {
    let mut lacing = Vec::new();
    for packet in packets {
        lacing.extend(std::iter::repeat_n(255, packet.len() / 255));
        lacing.push((packet.len() % 255) as u8);
    }
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend(granule.to_le_bytes());
    page.extend(7_u32.to_le_bytes()); // serial
    page.extend(number.to_le_bytes());
    page.extend([0; 4]);
    page.push(u8::try_from(lacing.len()).expect("a page has 255 lacing values at most"));
    page.extend(lacing);
    packets.iter().for_each(|packet| page.extend_from_slice(packet));
    let sum = checksum(&page);
    page[22..26].copy_from_slice(&sum.to_le_bytes());
    page
}

/// OGG's CRC: polynomial 0x04c11db7, not reflected, starting from zero.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0_u32, |sum, &byte| {
        (0..8).fold(sum ^ (u32::from(byte) << 24), |sum, _| {
            if sum & 0x8000_0000 == 0 { sum << 1 } else { (sum << 1) ^ 0x04c1_1db7 }
        })
    })
}
