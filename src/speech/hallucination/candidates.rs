//! What an engine wrote down of speech, with the evidence that it was said.

use std::ops::Range;

use super::guard::{Candidate, Evidence};
use crate::domain::Segment;
use crate::speech::vad::activity::Activity;
use crate::speech::whisper::RATE;

/// Segments without empty ones: trimmed, with times of the recording, in order and within it.
pub(crate) struct Candidates<'a> {
    /// The parts of the recording that the engine was given.
    activity: &'a Activity,
    /// The end of the last segment, in samples of the joined parts.
    end: usize,
    pub list: Vec<Candidate>,
}

impl<'a> Candidates<'a> {
    pub fn of(activity: &'a Activity) -> Self {
        Self { activity, end: 0, list: Vec::new() }
    }

    /// Adds a segment. `range` is where the engine heard it, in samples of what it was given.
    pub fn push(&mut self, range: Range<usize>, text: &str, logprob: f32, no_speech: Option<f32>) {
        let ms = |samples: usize| (samples * 1000 / RATE) as u64;
        let start = range.start.max(self.end);
        self.end = range.end.max(start);
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        let voiced = self.activity.voiced(start..self.end);
        let range = self.activity.in_recording(start..self.end);
        let evidence = Evidence { no_speech, logprob, voiced_ms: voiced.map(|voiced| ms(voiced) as usize) };
        let segment = Segment { start_ms: ms(range.start), end_ms: ms(range.end), text: text.to_owned() };
        self.list.push(Candidate { segment, evidence });
    }
}
