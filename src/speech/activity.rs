//! Which parts of a recording are speech, what of it Whisper is given, and what its times then mean.
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

use super::vad::WINDOW;

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
/// Less voice than this between two long silences is a click, no word.
const SHORTEST_VOICE: usize = 3 * WINDOW;

/// What was heard in a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Activity {
    /// Parts of the recording that are worth recognising, in order, apart from each other.
    kept: Vec<Range<usize>>,
    /// Where there is voice, in order, in the time of the kept parts joined.
    voiced: Vec<Range<usize>>,
}

impl Activity {
    /// From the probability of speech in each [`WINDOW`] of a recording with so many samples.
    pub(super) fn of(probabilities: &[f32], samples: usize) -> Self {
        let (mut kept, mut voiced) = (Vec::new(), Vec::new());
        let mut joined = 0;
        for phrase in phrases(voices(probabilities, samples)) {
            let (start, end) = (phrase[0].start, phrase[phrase.len() - 1].end);
            // What lies between two phrases is a long silence, and so is what lies beyond them.
            let part = start - kept_of(start)..end + kept_of(samples - end);
            voiced.extend(
                phrase.iter().map(|voice| joined + voice.start - part.start..joined + voice.end - part.start),
            );
            joined += part.len();
            kept.push(part);
        }
        Self { kept, voiced }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Leaves of the recording what is kept, joined.
    pub(super) fn cut(&self, pcm: &mut Vec<f32>) {
        let mut length = 0;
        for part in &self.kept {
            pcm.copy_within(part.clone(), length);
            length += part.len();
        }
        pcm.truncate(length);
    }

    /// Where in the recording a stretch of what was heard lies. Whisper is generous with silence: an
    /// end that only reaches into the padding beyond a cut, or a beginning in the padding before one,
    /// stays on its own side.
    pub(super) fn in_recording(&self, heard: Range<usize>) -> Range<usize> {
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
        self.voiced.iter().any(|voice| voice.start < heard.end && heard.start < voice.end)
    }
}

/// How much is kept of a silence beside speech.
fn kept_of(silence: usize) -> usize {
    if silence < LONG_SILENCE { silence } else { PADDING }
}

/// Stretches of voice, in order.
fn voices(probabilities: &[f32], samples: usize) -> Vec<Range<usize>> {
    let mut voices = Vec::new();
    let mut begun = None;
    for (window, &probability) in probabilities.iter().enumerate() {
        match begun {
            None if probability >= SPEECH => begun = Some(window * WINDOW),
            Some(start) if probability < SILENCE => {
                voices.push(start..window * WINDOW);
                begun = None;
            }
            _ => {}
        }
    }
    voices.extend(begun.map(|start| start..samples));
    voices
}

/// Voices with no long silence between them; none of them empty, nor with too little voice.
fn phrases(voices: Vec<Range<usize>>) -> Vec<Vec<Range<usize>>> {
    let mut phrases: Vec<Vec<Range<usize>>> = Vec::new();
    for voice in voices {
        match phrases.last_mut() {
            Some(phrase) if phrase.last().is_some_and(|last| voice.start - last.end < LONG_SILENCE) => {
                phrase.push(voice);
            }
            _ => phrases.push(vec![voice]),
        }
    }
    phrases.retain(|phrase| phrase.iter().map(Range::len).sum::<usize>() >= SHORTEST_VOICE);
    phrases
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows in so many milliseconds, which are a multiple of 32.
    fn windows(ms: usize) -> usize {
        ms * MS / WINDOW
    }

    /// Silences and voices in turn, in milliseconds; the recording ends 100 samples into its last window.
    fn activity(turns: &[usize]) -> (Activity, usize) {
        let probabilities: Vec<f32> = turns
            .iter()
            .enumerate()
            .flat_map(|(n, &ms)| vec![if n % 2 == 0 { 0.1 } else { 0.9 }; windows(ms)])
            .collect();
        let samples = (probabilities.len() * WINDOW).saturating_sub(WINDOW - 100);
        (Activity::of(&probabilities, samples), samples)
    }

    fn ms(range: Range<usize>) -> Range<usize> {
        range.start / MS..range.end / MS
    }

    #[test]
    fn without_voice_nothing_is_kept() {
        for turns in [&[][..], &[3200], &[3200, 64, 3200]] {
            assert!(activity(turns).0.is_empty(), "{turns:?}");
        }
        // As little as a short word is.
        assert!(!activity(&[3200, 96, 3200]).0.is_empty());
        assert!(!activity(&[0, 128]).0.is_empty());
    }

    #[test]
    fn short_silences_stay_and_long_ones_are_shortened_to_the_padding() {
        let (activity, _) = activity(&[9600, 640, 1920, 640, 20000, 320, 1600]);
        let kept: Vec<_> = activity.kept.iter().cloned().map(ms).collect();
        assert_eq!(kept, [9200..13200, 32400..34694]);
        let voiced: Vec<_> = activity.voiced.iter().cloned().map(ms).collect();
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
        assert!(matches!(&voices(&probabilities, 8 * WINDOW)[..], [voice] if *voice == (WINDOW..5 * WINDOW)));
        let cut_off = voices(&probabilities[..3], 2 * WINDOW + 7);
        assert!(matches!(&cut_off[..], [voice] if *voice == (WINDOW..2 * WINDOW + 7)), "{cut_off:?}");
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
        // Heard: silence to 400, voice to 1040, silence to 1440 | 1840, voice to 2160, silence to 2560.
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
}
