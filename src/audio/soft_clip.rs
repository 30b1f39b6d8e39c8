//! Soft clipping as in libopus, which applies it to 16-bit output only.
//!
//! Opus can decode to twice full scale. Players and ffmpeg ask libopus for 16 bits and get a
//! bounded signal; symphonia asks for floats and gets an unbounded one. Merely clamping loud
//! recordings gives a signal that differs from ffmpeg's by as little as 21 dB. This is
//! `opus_pcm_soft_clip` (<https://opus-codec.org/docs/opus_api-1.5/group__opus__decoder.html>).

/// The clipping of one channel: the curve at the end of a packet goes on in the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SoftClip {
    /// The factor of the squared term of the curve; zero leaves samples as they are.
    curvature: f32,
}

impl SoftClip {
    /// Compresses every half wave that exceeds 1.0 so that its peak is 1.0.
    pub fn apply(&mut self, samples: &mut [f32]) {
        for sample in samples.iter_mut() {
            // Beyond 2.0 the curve would not be monotonic.
            *sample = sample.clamp(-2.0, 2.0);
        }
        let Some(&first) = samples.first() else { return };

        // The half wave in which the previous packet ended.
        for sample in samples.iter_mut() {
            if *sample * self.curvature >= 0.0 {
                break;
            }
            *sample += self.curvature * *sample * *sample;
        }

        self.curvature = 0.0;
        let mut from = 0;
        while let Some(over) = samples[from..].iter().position(|sample| sample.abs() > 1.0) {
            let over = from + over;
            let same_side = |sample: f32| sample * samples[over] >= 0.0;
            let start = samples[..over].iter().rposition(|&sample| !same_side(sample)).map_or(0, |at| at + 1);
            let length = samples[over..].iter().position(|&sample| !same_side(sample));
            let end = length.map_or(samples.len(), |length| over + length);
            let cut_at_start = start == 0;
            // The first sample with the maximum amplitude.
            let (peak_at, peak) = (over..end).fold((over, samples[over].abs()), |peak, at| {
                if samples[at].abs() > peak.1 { (at, samples[at].abs()) } else { peak }
            });

            // peak - curvature * peak² = 1, and a little more against rounding errors.
            let curvature = (peak - 1.0) / (peak * peak) * (1.0 + 2.4e-7);
            self.curvature = if samples[over] > 0.0 { -curvature } else { curvature };
            for sample in &mut samples[start..end] {
                *sample += self.curvature * *sample * *sample;
            }
            if cut_at_start && peak_at >= 2 {
                // The end of the previous packet is not on this curve: a ramp up to the peak hides
                // the step.
                let mut offset = first - samples[0];
                let step = offset / peak_at as f32;
                for sample in &mut samples[from..peak_at] {
                    offset -= step;
                    *sample = (*sample + offset).clamp(-1.0, 1.0);
                }
            }
            from = end;
            if end < samples.len() {
                self.curvature = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SoftClip;

    fn wave(amplitude: f32) -> Vec<f32> {
        (0..9600).map(|n| amplitude * (n as f32 * 0.05).sin()).collect()
    }

    #[test]
    fn samples_within_full_scale_are_left_alone() {
        let mut samples = wave(1.0);
        SoftClip::default().apply(&mut samples);
        assert_eq!(samples, wave(1.0));
        SoftClip::default().apply(&mut []);
    }

    #[test]
    fn samples_beyond_it_are_bounded_without_steps() {
        for packet in [120, 960, 2880] {
            let mut samples = wave(1.9);
            let mut clip = SoftClip::default();
            samples.chunks_mut(packet).for_each(|packet| clip.apply(packet));
            assert!(samples.iter().all(|sample| sample.abs() <= 1.0));
            let step = samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0f32, f32::max);
            assert!(step < 0.11, "{packet}: {step}");
        }
    }
}
