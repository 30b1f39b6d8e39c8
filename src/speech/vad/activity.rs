//! Which parts of a recording are speech, what of it Whisper is given, and what its times then
//! mean.
//!
//! ```text
//! recording   ....speech......................speech speech......
//! kept           |.speech.|                  |.speech speech.|
//! heard          |.speech.|.speech speech.|
//! ```
//!
//! Whisper hears the kept parts joined; its times are told back as those of the recording. Numbers
//! are samples at 16 kHz.

use std::ops::Range;

use super::silero::WINDOW;

/// Samples per millisecond.
const MS: usize = 16;

// Thresholds and durations are those that faster-whisper arrived at; Silero's own, 30 ms of padding
// and 100 ms of silence, cut words.

/// Speech begins in a window with this probability,
const SPEECH: f32 = 0.5;
/// and goes on to the first one below this.
const SILENCE: f32 = 0.35;
/// A silence this long is shortened; shorter ones belong to speech. Longer than two paddings.
const LONG_SILENCE: usize = 2000 * MS;
/// What is kept of a long silence on either side of speech.
const PADDING: usize = 400 * MS;
/// Between long silences less voice than this is a word only if a window of it is certain: plucked
/// notes, which are held for voice with 0.5 to 0.93, are not. Lone words ("да", "ok", "stop") reach
/// 0.97 at any common speed.
const WORD: usize = 500 * MS;
const CERTAIN: f32 = 0.95;
/// A click.
const CLICK: usize = WINDOW;

/// Windows of the shortest pause that a recording is cut in, 0.3 s: more than the closure of any
/// consonant.
const PAUSE: usize = 10;

/// How far off a time of Whisper's may be.
const BESIDE: usize = 500 * MS;

/// What was heard in a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Activity {
    /// Parts of the recording that are worth recognising, in order, apart from each other.
    kept: Vec<Range<usize>>,
    /// Where there is voice, in order, in the time of the kept parts joined; none where that is not
    /// known.
    voiced: Option<Vec<Range<usize>>>,
}

impl Activity {
    /// Of a recording in which nobody speaks.
    pub(crate) fn none() -> Self {
        Self { kept: Vec::new(), voiced: Some(Vec::new()) }
    }

    /// Of a recording of so many samples that nothing is known of: all of it is kept.
    pub(crate) fn unknown(samples: usize) -> Self {
        Self { kept: std::iter::once(0..samples).collect(), voiced: None }
    }

    /// From the probability of speech in each [`WINDOW`] of a recording with so many samples.
    pub(crate) fn of(probabilities: &[f32], samples: usize) -> Self {
        let (mut kept, mut voiced) = (Vec::new(), Vec::new());
        let mut joined = 0;
        for phrase in phrases(voices(probabilities, samples)) {
            let (start, end) = (phrase[0].place.start, phrase[phrase.len() - 1].place.end);
            // What lies between two phrases is a long silence, and so is what lies beyond them.
            let part = start - kept_of(start)..end + kept_of(samples - end);
            let heard = |place: usize| joined + place - part.start;
            voiced.extend(phrase.iter().map(|voice| heard(voice.place.start)..heard(voice.place.end)));
            joined += part.len();
            kept.push(part);
        }
        Self { kept, voiced: Some(voiced) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Leaves of the recording what is kept, joined.
    pub(crate) fn cut(&self, pcm: &mut Vec<f32>) {
        let mut length = 0;
        for part in &self.kept {
            pcm.copy_within(part.clone(), length);
            length += part.len();
        }
        pcm.truncate(length);
    }

    /// Where in the recording a stretch of what was heard lies. Whisper is generous with silence:
    /// an end that only reaches into the padding beyond a cut, or a beginning in the padding before
    /// one, stays on its own side.
    pub(crate) fn in_recording(&self, heard: Range<usize>) -> Range<usize> {
        let Range { mut start, mut end } = heard;
        let mut joint = 0;
        for part in &self.kept {
            if start < joint && joint < end {
                if !self.is_voiced(&(start..joint)) {
                    start = joint;
                } else if !self.is_voiced(&(joint..end)) {
                    end = joint;
                }
            }
            joint += part.len();
        }
        let start = self.place(start, |offset, part| offset < part.len());
        let end = self.place(end, |offset, part| offset <= part.len());
        start..end.max(start)
    }

    /// How much voice there is in a stretch of what was heard and just beside it, for Whisper's
    /// times are rounded. None where that is not known.
    pub(crate) fn voiced(&self, heard: Range<usize>) -> Option<usize> {
        let (start, end) = (heard.start.saturating_sub(BESIDE), heard.end + BESIDE);
        let within = |voice: &Range<usize>| voice.end.min(end).saturating_sub(voice.start.max(start));
        Some(self.voiced.as_ref()?.iter().map(within).sum())
    }

    /// The place in the recording of a place in what was heard, in the first part that has it.
    fn place(&self, heard: usize, has: impl Fn(usize, &Range<usize>) -> bool) -> usize {
        let mut joint = 0;
        for part in &self.kept {
            if has(heard - joint, part) {
                return part.start + heard - joint;
            }
            joint += part.len();
        }
        // Beyond the end: whisper.cpp's last window is filled up with silence.
        self.kept.last().map_or(0, |part| part.end)
    }

    fn is_voiced(&self, heard: &Range<usize>) -> bool {
        let mut voiced = self.voiced.iter().flatten();
        voiced.any(|voice| voice.start < heard.end && heard.start < voice.end)
    }
}

/// The middle of the longest pause between words, in samples; none where nobody pauses. A whole
/// number of [`WINDOW`]s.
pub(crate) fn longest_pause(probabilities: &[f32]) -> Option<usize> {
    let mut at = 0;
    let pauses = probabilities.chunk_by(|a, b| (*a < SILENCE) == (*b < SILENCE)).filter_map(|run| {
        let start = at;
        at += run.len();
        (run[0] < SILENCE && run.len() >= PAUSE).then_some((run.len(), start))
    });
    // Of equals the last: the stretch before it is the longer.
    pauses.max().map(|(length, start)| (start + length / 2) * WINDOW)
}

/// How much is kept of a silence beside speech.
fn kept_of(silence: usize) -> usize {
    if silence < LONG_SILENCE { silence } else { PADDING }
}

/// A stretch of voice.
#[derive(Clone, Debug, PartialEq)]
struct Voice {
    place: Range<usize>,
    /// The highest probability in it.
    peak: f32,
}

/// In order.
fn voices(probabilities: &[f32], samples: usize) -> Vec<Voice> {
    let mut voices = Vec::new();
    let mut begun: Option<(usize, f32)> = None;
    for (window, &probability) in probabilities.iter().enumerate() {
        begun = match begun {
            None if probability >= SPEECH => Some((window * WINDOW, probability)),
            Some((start, peak)) if probability < SILENCE => {
                voices.push(Voice { place: start..window * WINDOW, peak });
                None
            }
            Some((start, peak)) => Some((start, peak.max(probability))),
            None => None,
        };
    }
    voices.extend(begun.map(|(start, peak)| Voice { place: start..samples, peak }));
    voices
}

/// Voices with no long silence between them, and words among them.
fn phrases(voices: Vec<Voice>) -> Vec<Vec<Voice>> {
    let mut phrases: Vec<Vec<Voice>> = Vec::new();
    for voice in voices {
        match phrases.last_mut() {
            Some(phrase)
                if phrase.last().is_some_and(|last| voice.place.start - last.place.end < LONG_SILENCE) =>
            {
                phrase.push(voice);
            }
            _ => phrases.push(vec![voice]),
        }
    }
    phrases.retain(|phrase| {
        let length: usize = phrase.iter().map(|voice| voice.place.len()).sum();
        length >= WORD || (length > CLICK && phrase.iter().any(|voice| voice.peak >= CERTAIN))
    });
    phrases
}

#[cfg(test)]
mod tests {
    use support::speech::Random;

    use super::*;

    /// Windows in so many milliseconds, which are a multiple of 32.
    fn windows(ms: usize) -> usize {
        ms * MS / WINDOW
    }

    /// Silences and voices in turn, in milliseconds; the recording ends 100 samples into its last
    /// window.
    fn activity(turns: &[usize]) -> (Activity, usize) {
        let probabilities: Vec<f32> = turns
            .iter()
            .enumerate()
            .flat_map(|(n, &ms)| vec![if n % 2 == 0 { 0.1 } else { 0.99 }; windows(ms)])
            .collect();
        let samples = (probabilities.len() * WINDOW).saturating_sub(WINDOW - 100);
        (Activity::of(&probabilities, samples), samples)
    }

    fn ms(range: Range<usize>) -> Range<usize> {
        range.start / MS..range.end / MS
    }

    #[test]
    fn without_voice_nothing_is_kept() {
        for turns in [&[][..], &[3200], &[3200, 32, 3200]] {
            assert!(activity(turns).0.is_empty(), "{turns:?}");
        }
        // As little as a short word is.
        assert!(!activity(&[3200, 64, 3200]).0.is_empty());
        assert!(!activity(&[0, 128]).0.is_empty());
    }

    #[test]
    fn little_voice_has_to_be_certain() {
        let doubtful = |windows: usize| {
            let probabilities = [vec![0.1; 80], vec![0.9; windows], vec![0.1; 80]].concat();
            Activity::of(&probabilities, probabilities.len() * WINDOW)
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
    fn speech_goes_on_while_it_is_merely_doubtful() {
        let probabilities = [0.1, 0.6, 0.4, 0.4, 0.36, 0.34, 0.4, 0.1];
        assert_eq!(voices(&probabilities, 8 * WINDOW), [Voice { place: WINDOW..5 * WINDOW, peak: 0.6 }]);
        assert_eq!(
            voices(&probabilities[..3], 2 * WINDOW + 7),
            [Voice { place: WINDOW..2 * WINDOW + 7, peak: 0.6 }]
        );
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
        // And every place in what is left is told back as the sample it was.
        for (heard, &sample) in pcm.iter().enumerate() {
            assert_eq!(activity.place(heard, |offset, part| offset < part.len()), sample as usize);
        }
    }

    #[test]
    fn times_are_those_of_the_recording() {
        // Heard: silence to 400, voice to 1040, silence to 1440 | 1840, voice to 2160, silence to
        // 2560.
        let (activity, _) = activity(&[9600, 640, 20000, 320, 3200]);
        let told = |heard: Range<usize>| ms(activity.in_recording(heard.start * MS..heard.end * MS));
        assert_eq!(told(400..1040), 9600..10240);
        assert_eq!(told(1840..2160), 30240..30560);
        // All of it, cut and all.
        assert_eq!(told(0..2560), 9200..30960);
        // What reaches over the cut only for silence stays on its side.
        assert_eq!(told(400..1600), 9600..10640);
        assert_eq!(told(1100..2160), 29840..30560);
        // What ends or begins at the cut does so on its own side.
        assert_eq!(told(0..1440), 9200..10640);
        assert_eq!(told(1440..2560), 29840..30960);
        // Beyond the end.
        assert_eq!(told(1840..9999), 30240..30960);
        assert_eq!(told(5000..9999), 30960..30960);
        // Nothing, at the cut.
        let nothing = told(1440..1440);
        assert!(nothing.is_empty() && nothing.start == 29840, "{nothing:?}");
    }

    #[test]
    fn voice_is_counted_within_a_stretch_and_just_beside_it() {
        // Heard: voice from 1600 to 2240 and from 3840 to 4480, silence to 5920.
        let (activity, _) = activity(&[1600, 640, 1600, 640, 1440]);
        let voiced = |heard: Range<usize>| activity.voiced(heard.start * MS..heard.end * MS).unwrap() / MS;
        assert_eq!(voiced(1600..2240), 640);
        assert_eq!(voiced(0..6000), 1280);
        assert_eq!(voiced(2000..2100), 640);
        assert_eq!(voiced(2640..2700), 100);
        assert_eq!(voiced(2800..3300), 0);
        assert_eq!(voiced(5000..30_000), 0);
    }

    #[test]
    fn what_nothing_is_known_of_is_kept_as_it_is() {
        let activity = Activity::unknown(1000 * MS);
        let mut pcm = vec![0.5; 1000 * MS];
        activity.cut(&mut pcm);
        assert_eq!((pcm.len(), activity.voiced(0..1000 * MS)), (1000 * MS, None));
        for (heard, told) in [(0..1000, 0..1000), (200..1400, 200..1000), (1200..1400, 1000..1000)] {
            assert_eq!(ms(activity.in_recording(heard.start * MS..heard.end * MS)), told);
        }
        assert!(Activity::none().is_empty());
        assert_eq!(Activity::none().voiced(0..1000 * MS), Some(0));
    }

    #[test]
    fn the_longest_pause_is_found() {
        let speech = |turns: &[usize]| -> Vec<f32> {
            turns.iter().enumerate().flat_map(|(n, &length)| vec![[0.9, 0.1][n % 2]; length]).collect()
        };
        for (turns, pause) in [
            (&[][..], None),
            (&[300], None),
            (&[20, 9, 20], None),
            (&[20, 10, 20], Some(25)),
            (&[20, 10, 20, 40, 20, 30], Some(70)),
            (&[20, 10, 20, 10, 20], Some(55)),
            (&[0, 40, 20], Some(20)),
            (&[0, 400], Some(200)),
        ] {
            assert_eq!(longest_pause(&speech(turns)), pause.map(|windows| windows * WINDOW), "{turns:?}");
        }
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

    /// Silences and voices of random lengths and probabilities, and how many samples they are.
    fn random_recording(random: &mut Random) -> (Vec<f32>, usize) {
        let mut probabilities = Vec::new();
        for _ in 0..random.below(12) {
            // Thresholds are between these, and long silences between these lengths.
            let likely = [0.1, 0.4, 0.6, 0.9, 0.99][random.below(5)];
            let longest = [4, 20, 150][random.below(3)];
            let length = random.below(longest);
            probabilities.resize(probabilities.len() + length, likely);
        }
        // The last window may be incomplete.
        let samples = (probabilities.len() * WINDOW).saturating_sub(random.below(WINDOW));
        (probabilities, samples)
    }

    #[test]
    fn any_recording_is_kept_in_order_and_its_times_keep_theirs() {
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
            // Segments one after the other, as Whisper tells them; the last may reach beyond the
            // end.
            let mut times: Vec<usize> = (0..12).map(|_| random.below(length + 2 * LONG_SILENCE)).collect();
            times.sort_unstable();
            let segments = times.windows(2).map(|two| activity.in_recording(two[0]..two[1]));
            let mut told = 0;
            for segment in segments {
                assert!(told <= segment.start && segment.start <= segment.end, "{times:?} in {what}");
                assert!(segment.end <= samples, "{times:?} in {what}");
                told = segment.end;
            }
        }
    }
}
