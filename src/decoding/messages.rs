//! What the decoder process writes to its standard output: a tag of one byte, the length of the
//! content as a little-endian u32, and the content.
//!
//! The daemon does not trust it. A file may have taken the process over, so the daemon bounds and
//! checks what it reads.

use std::io::{self, Write};

use serde::de::DeserializeOwned;

use super::{Length, Walls};
use crate::audio::AudioError;

/// Bytes of the longest content.
pub(super) const MAX_CONTENT: usize = 1 << 20;
/// Bytes of the tag and the length.
pub(super) const HEAD: usize = 5;
/// Samples that one message carries at most.
const MAX_SAMPLES: usize = 1 << 16;
/// Characters of a text from the process that are kept.
const MAX_TEXT: usize = 500;
/// Real samples exceed 1.0 only a little, see `audio::track`.
const MAX_AMPLITUDE: f32 = 100.0;

/// A message of the decoder process, in the order in which they come.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The walls stand, and the process is about to read the file.
    Walls(Walls),
    /// All of the recording was decoded once.
    Length(Length),
    /// Mono at [`crate::audio::SAMPLE_RATE`], never empty.
    Samples(Vec<f32>),
    /// There is nothing more, because of this.
    Failed(AudioError),
    /// All samples were sent.
    End,
}

impl Message {
    /// Reads a message from its tag and content. `None` if no decoder writes that.
    pub(super) fn parse(tag: u8, content: &[u8]) -> Option<Self> {
        match tag {
            b'w' => json(content).map(Self::Walls),
            b'l' => json(content).map(|Length { samples, damaged }| {
                Self::Length(Length { samples, damaged: damaged.map(|text| harmless(&text)) })
            }),
            b'f' => json::<AudioError>(content).map(|error| Self::Failed(error.map_text(harmless))),
            b's' => {
                let (samples, rest) = content.as_chunks();
                let samples: Vec<f32> =
                    samples.iter().map(|&bytes| usable(f32::from_le_bytes(bytes))).collect();
                (rest.is_empty() && !samples.is_empty()).then_some(Self::Samples(samples))
            }
            b'e' => content.is_empty().then_some(Self::End),
            _ => None,
        }
    }
}

fn json<T: DeserializeOwned>(content: &[u8]) -> Option<T> {
    serde_json::from_slice(content).ok()
}

/// A text for the log, on one line and not too long.
pub(super) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TEXT).collect()
}

fn usable(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-MAX_AMPLITUDE, MAX_AMPLITUDE) } else { 0.0 }
}

/// Writes messages.
pub struct Sender<W>(pub(super) W);

impl<W: Write> Sender<W> {
    /// Sends a message; samples in as many as they need.
    pub fn send(&mut self, message: &Message) -> io::Result<()> {
        match message {
            Message::Walls(walls) => self.write(b'w', &serde_json::to_vec(walls)?),
            Message::Length(length) => self.write(b'l', &serde_json::to_vec(length)?),
            Message::Failed(error) => self.write(b'f', &serde_json::to_vec(error)?),
            Message::Samples(samples) => samples.chunks(MAX_SAMPLES).try_for_each(|samples| {
                let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                self.write(b's', &bytes)
            }),
            Message::End => self.write(b'e', &[]),
        }
    }

    fn write(&mut self, tag: u8, content: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(HEAD + content.len());
        bytes.push(tag);
        bytes.extend((content.len() as u32).to_le_bytes());
        bytes.extend(content);
        self.0.write_all(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of a message that was sent.
    fn sent(message: &Message) -> Vec<Option<Message>> {
        let mut sender = Sender(Vec::new());
        sender.send(message).unwrap();
        let (mut rest, mut read) = (sender.0.as_slice(), Vec::new());
        while let Some((&[tag, a, b, c, d], tail)) = rest.split_first_chunk() {
            let (content, tail) = tail.split_at(u32::from_le_bytes([a, b, c, d]) as usize);
            assert!(content.len() <= MAX_CONTENT);
            read.push(Message::parse(tag, content));
            rest = tail;
        }
        read
    }

    #[test]
    fn messages_are_read_as_they_were_sent() {
        let length = Length { samples: 7, damaged: Some("the file ends early".into()) };
        for message in [
            Message::Walls(Walls { standing: vec!["seccomp".into()], missing: Vec::new() }),
            Message::Length(length),
            Message::Samples(vec![0.5, -1.0]),
            Message::Failed(AudioError::TooLong { limit: std::time::Duration::from_millis(1500) }),
            Message::End,
        ] {
            assert_eq!(sent(&message), [Some(message)]);
        }
        let many = vec![0.25; MAX_SAMPLES + 1];
        let parts = [vec![0.25; MAX_SAMPLES], vec![0.25]].map(|part| Some(Message::Samples(part)));
        assert_eq!(sent(&Message::Samples(many)), parts);
    }

    #[test]
    fn what_no_decoder_writes_is_refused_or_made_harmless() {
        for (tag, content) in [(b'x', &b""[..]), (b's', b""), (b's', b"123"), (b'e', b"1"), (b'f', b"{}")] {
            assert_eq!(Message::parse(tag, content), None, "{tag} {content:?}");
        }
        let samples = [f32::NAN, f32::INFINITY, 1e30].map(f32::to_le_bytes).concat();
        assert_eq!(Message::parse(b's', &samples), Some(Message::Samples(vec![0.0, 0.0, MAX_AMPLITUDE])));
        let wicked = AudioError::Broken(format!("\u{1b}[2J\n{}", "x".repeat(9999)));
        let [Some(Message::Failed(AudioError::Broken(text)))] = &sent(&Message::Failed(wicked))[..] else {
            panic!("it was not read");
        };
        assert!(text.starts_with(" [2J x") && text.len() == MAX_TEXT, "{text}");
    }
}
