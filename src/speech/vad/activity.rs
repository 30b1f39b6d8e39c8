//! Which parts of a recording are speech, and how times in them map to the recording.
//!
//! ```text
//! recording   ....speech......................speech speech......
//! kept           |.speech.|                  |.speech speech.|
//! joined         |.speech.|.speech speech.|
//! ```
//!
//! Whisper is given the kept parts, joined, and its times are mapped back to the recording. Numbers
//! are samples at 16 kHz.

use std::ops::Range;

use super::voice::{LONG_SILENCE, MS, phrases, voices};

/// What is kept of a long silence next to speech.
const PADDING: usize = 400 * MS;
/// How far off Whisper's times may be.
const TIMESTAMP_TOLERANCE: usize = 500 * MS;

/// The parts of a recording that are kept, and the voice in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Activity {
    /// The kept parts of the recording, in order and apart from each other.
    kept: Vec<Range<usize>>,
    /// Where there is voice in the joined parts, in order. None if unknown.
    voiced: Option<Vec<Range<usize>>>,
}

impl Activity {
    /// Nobody speaks: nothing is kept.
    pub(super) fn none() -> Self {
        Self { kept: Vec::new(), voiced: Some(Vec::new()) }
    }

    /// Voice activity was not detected in this many samples: all of them are kept.
    pub(super) fn unknown(samples: usize) -> Self {
        Self { kept: std::iter::once(0..samples).collect(), voiced: None }
    }

    /// From the probability of speech in each frame of a recording with this many samples.
    pub(super) fn of(probabilities: &[f32], samples: usize) -> Self {
        let (mut kept, mut voiced) = (Vec::new(), Vec::new());
        let mut joined = 0;
        for phrase in phrases(voices(probabilities, samples)) {
            let (start, end) = (phrase[0].range.start, phrase[phrase.len() - 1].range.end);
            // Between two phrases is a long silence, so their parts do not overlap.
            let part = start - kept_silence(start)..end + kept_silence(samples - end);
            let to_joined = |at: usize| joined + at - part.start;
            voiced
                .extend(phrase.iter().map(|voice| to_joined(voice.range.start)..to_joined(voice.range.end)));
            joined += part.len();
            kept.push(part);
        }
        Self { kept, voiced: Some(voiced) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Where there is voice in the joined parts, in order. None if unknown.
    pub(super) fn voices(&self) -> Option<&[Range<usize>]> {
        self.voiced.as_deref()
    }

    /// Replaces the recording by its kept parts, joined.
    pub(super) fn cut(&self, pcm: &mut Vec<f32>) {
        let mut length = 0;
        for part in &self.kept {
            pcm.copy_within(part.clone(), length);
            length += part.len();
        }
        pcm.truncate(length);
    }

    /// Maps a range of the joined parts to the recording. If the range reaches across a cut only
    /// into silence, as Whisper's segments may, that end is moved to the cut.
    pub(crate) fn in_recording(&self, joined: Range<usize>) -> Range<usize> {
        let Range { mut start, mut end } = joined;
        let mut cut = 0;
        for part in &self.kept {
            if start < cut && cut < end {
                if !self.is_voiced(&(start..cut)) {
                    start = cut;
                } else if !self.is_voiced(&(cut..end)) {
                    end = cut;
                }
            }
            cut += part.len();
        }
        let start = self.to_recording(start, |offset, part| offset < part.len());
        let end = self.to_recording(end, |offset, part| offset <= part.len());
        start..end.max(start)
    }

    /// How many samples of voice there are in a range of the joined parts, give or take the
    /// tolerance of Whisper's times. None if unknown.
    pub(crate) fn voiced(&self, joined: Range<usize>) -> Option<usize> {
        let start = joined.start.saturating_sub(TIMESTAMP_TOLERANCE);
        let end = joined.end + TIMESTAMP_TOLERANCE;
        let within = |voice: &Range<usize>| voice.end.min(end).saturating_sub(voice.start.max(start));
        Some(self.voiced.as_ref()?.iter().map(within).sum())
    }

    /// Maps a sample of the joined parts to the recording, by the first part that `contains` its
    /// offset. At a cut, this decides between the end of one part and the start of the next.
    fn to_recording(&self, joined: usize, contains: impl Fn(usize, &Range<usize>) -> bool) -> usize {
        let mut cut = 0;
        for part in &self.kept {
            if contains(joined - cut, part) {
                return part.start + joined - cut;
            }
            cut += part.len();
        }
        // Beyond the end: whisper.cpp fills its last window up with silence.
        self.kept.last().map_or(0, |part| part.end)
    }

    fn is_voiced(&self, joined: &Range<usize>) -> bool {
        let mut voiced = self.voiced.iter().flatten();
        voiced.any(|voice| voice.start < joined.end && joined.start < voice.end)
    }
}

/// How much of a silence is kept next to speech.
fn kept_silence(silence: usize) -> usize {
    if silence < LONG_SILENCE { silence } else { PADDING }
}

#[cfg(test)]
mod tests {
    use support::speech::Random;

    use super::*;
    use crate::speech::vad::silero::FRAME;

    /// Frames in this many milliseconds, which are a multiple of 32.
    fn frames(ms: usize) -> usize {
        ms * MS / FRAME
    }

    /// The activity of alternating silences and voices of these lengths in milliseconds. The
    /// recording ends 100 samples into its last frame.
    fn activity(lengths: &[usize]) -> (Activity, usize) {
        let probabilities: Vec<f32> = lengths
            .iter()
            .enumerate()
            .flat_map(|(n, &ms)| vec![if n % 2 == 0 { 0.1 } else { 0.99 }; frames(ms)])
            .collect();
        let samples = (probabilities.len() * FRAME).saturating_sub(FRAME - 100);
        (Activity::of(&probabilities, samples), samples)
    }

    fn ms(range: Range<usize>) -> Range<usize> {
        range.start / MS..range.end / MS
    }

    #[test]
    fn without_voice_nothing_is_kept() {
        for lengths in [&[][..], &[3200], &[3200, 32, 3200]] {
            assert!(activity(lengths).0.is_empty(), "{lengths:?}");
        }
        // As long as a short word.
        assert!(!activity(&[3200, 64, 3200]).0.is_empty());
        assert!(!activity(&[0, 128]).0.is_empty());
    }

    #[test]
    fn a_short_voice_has_to_be_certain() {
        let doubtful = |frames: usize| {
            let probabilities = [vec![0.1; 80], vec![0.9; frames], vec![0.1; 80]].concat();
            Activity::of(&probabilities, probabilities.len() * FRAME)
        };
        assert!(doubtful(15).is_empty());
        assert!(!doubtful(16).is_empty());
    }

    #[test]
    fn short_silences_stay_and_long_ones_are_shortened_to_the_padding() {
        let (activity, _) = activity(&[9600, 640, 1920, 640, 20000, 320, 1600]);
        let kept: Vec<_> = activity.kept.iter().cloned().map(ms).collect();
        assert_eq!(kept, [9200..13200, 32400..34694]);
        let voiced: Vec<_> = activity.voiced.iter().flatten().cloned().map(ms).collect();
        assert_eq!(voiced, [400..1040, 2960..3600, 4400..4720]);
    }

    #[test]
    fn with_short_silences_only_everything_is_kept() {
        let (activity, samples) = activity(&[1920, 640, 1920, 96, 1920]);
        assert!(matches!(&activity.kept[..], [all] if *all == (0..samples)));
        let mut pcm = vec![0.5; samples];
        activity.cut(&mut pcm);
        assert_eq!(pcm.len(), samples);
    }

    #[test]
    fn cutting_keeps_exactly_the_kept_samples() {
        let (activity, samples) = activity(&[9600, 640, 20000, 320, 3200, 960]);
        let recording: Vec<f32> = (0..samples).map(|n| n as f32).collect();
        let mut pcm = recording.clone();
        activity.cut(&mut pcm);
        let expected: Vec<f32> =
            activity.kept.iter().flat_map(|part| recording[part.clone()].to_vec()).collect();
        assert_eq!(pcm, expected);
        // Every sample that is left is mapped back to where it was.
        for (joined, &sample) in pcm.iter().enumerate() {
            assert_eq!(activity.to_recording(joined, |offset, part| offset < part.len()), sample as usize);
        }
    }

    #[test]
    fn times_are_those_of_the_recording() {
        // Joined: silence to 400, voice to 1040, silence to the cut at 1440 and on to 1840, voice
        // to 2160, silence to 2560.
        let (activity, _) = activity(&[9600, 640, 20000, 320, 3200]);
        let mapped = |joined: Range<usize>| ms(activity.in_recording(joined.start * MS..joined.end * MS));
        assert_eq!(mapped(400..1040), 9600..10240);
        assert_eq!(mapped(1840..2160), 30240..30560);
        // All of it, across the cut.
        assert_eq!(mapped(0..2560), 9200..30960);
        // A range that reaches across the cut only into silence stays on its side.
        assert_eq!(mapped(400..1600), 9600..10640);
        assert_eq!(mapped(1100..2160), 29840..30560);
        // A range that ends or begins at the cut does so on its own side.
        assert_eq!(mapped(0..1440), 9200..10640);
        assert_eq!(mapped(1440..2560), 29840..30960);
        // Beyond the end.
        assert_eq!(mapped(1840..9999), 30240..30960);
        assert_eq!(mapped(5000..9999), 30960..30960);
        // An empty range, at the cut.
        let nothing = mapped(1440..1440);
        assert!(nothing.is_empty() && nothing.start == 29840, "{nothing:?}");
    }

    #[test]
    fn voice_is_counted_within_a_range_and_just_beside_it() {
        // Joined: voice from 1600 to 2240 and from 3840 to 4480, silence to 5920.
        let (activity, _) = activity(&[1600, 640, 1600, 640, 1440]);
        let voiced = |joined: Range<usize>| activity.voiced(joined.start * MS..joined.end * MS).unwrap() / MS;
        assert_eq!(voiced(1600..2240), 640);
        assert_eq!(voiced(0..6000), 1280);
        assert_eq!(voiced(2000..2100), 640);
        assert_eq!(voiced(2640..2700), 100);
        assert_eq!(voiced(2800..3300), 0);
        assert_eq!(voiced(5000..30_000), 0);
    }

    #[test]
    fn without_detection_everything_is_kept() {
        let activity = Activity::unknown(1000 * MS);
        let mut pcm = vec![0.5; 1000 * MS];
        activity.cut(&mut pcm);
        assert_eq!((pcm.len(), activity.voiced(0..1000 * MS)), (1000 * MS, None));
        for (joined, expected) in [(0..1000, 0..1000), (200..1400, 200..1000), (1200..1400, 1000..1000)] {
            assert_eq!(ms(activity.in_recording(joined.start * MS..joined.end * MS)), expected);
        }
        assert!(Activity::none().is_empty());
        assert_eq!(Activity::none().voiced(0..1000 * MS), Some(0));
    }

    #[test]
    fn times_keep_their_order() {
        let (activity, _) = activity(&[9600, 640, 20000, 320, 3200, 640, 2560, 64, 2560, 960, 96]);
        let length: usize = activity.kept.iter().map(Range::len).sum();
        let step = 50 * MS;
        for start in (0..length).step_by(step) {
            for middle in (start..length).step_by(step) {
                let (first, second) =
                    (activity.in_recording(start..middle), activity.in_recording(middle..length));
                assert!(first.start <= first.end && first.end <= second.start, "{first:?} {second:?}");
            }
        }
    }

    /// Silences and voices of random lengths and probabilities, and their number of samples.
    fn random_recording(random: &mut Random) -> (Vec<f32>, usize) {
        let mut probabilities = Vec::new();
        for _ in 0..random.below(12) {
            // The thresholds are between these probabilities, and long silences between these
            // lengths.
            let likely = [0.1, 0.4, 0.6, 0.9, 0.99][random.below(5)];
            let longest = [4, 20, 150][random.below(3)];
            let length = random.below(longest);
            probabilities.resize(probabilities.len() + length, likely);
        }
        // The last frame may be incomplete.
        let samples = (probabilities.len() * FRAME).saturating_sub(random.below(FRAME));
        (probabilities, samples)
    }

    #[test]
    fn parts_and_times_of_any_recording_keep_their_order() {
        let mut random = Random::new();
        for _ in 0..2_000 {
            let (probabilities, samples) = random_recording(&mut random);
            let activity = Activity::of(&probabilities, samples);
            let what = format!("{activity:?} of {samples} samples with {probabilities:?}");
            assert!(activity.kept.iter().all(|part| part.start < part.end && part.end <= samples), "{what}");
            assert!(activity.kept.windows(2).all(|two| two[0].end < two[1].start), "{what}");
            let length: usize = activity.kept.iter().map(Range::len).sum();
            let voiced = activity.voiced.as_ref().expect("it is known");
            assert!(voiced.iter().all(|voice| voice.start < voice.end && voice.end <= length), "{what}");
            assert!(voiced.windows(2).all(|two| two[0].end < two[1].start), "{what}");
            let mut pcm = vec![0.5; samples];
            activity.cut(&mut pcm);
            assert_eq!(pcm.len(), length, "{what}");
            // Consecutive segments, as Whisper returns them; the last may reach beyond the end.
            let mut times: Vec<usize> = (0..12).map(|_| random.below(length + 2 * LONG_SILENCE)).collect();
            times.sort_unstable();
            let segments = times.windows(2).map(|two| activity.in_recording(two[0]..two[1]));
            let mut last = 0;
            for segment in segments {
                assert!(last <= segment.start && segment.start <= segment.end, "{times:?} in {what}");
                assert!(segment.end <= samples, "{times:?} in {what}");
                last = segment.end;
            }
        }
    }
}
