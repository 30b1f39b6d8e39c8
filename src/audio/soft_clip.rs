//! libopus's soft clipping, which it applies to 16-bit output alone.
//!
//! Opus can decode to twice full scale. Players and ffmpeg ask libopus for 16 bits and get a
//! bounded signal; symphonia asks for floats and does not. This is the method of
//! `opus_pcm_soft_clip` (<https://opus-codec.org/docs/opus_api-1.5/group__opus__decoder.html>).

/// The bend of one channel that is carried into its next packet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SoftClip {
    bend: f32,
}

impl SoftClip {
    /// Bends every half wave of `samples` that exceeds 1.0 so that its peak is just 1.0.
    pub fn apply(&mut self, samples: &mut [f32]) {
        for sample in samples.iter_mut() {
            // Keeps the bend below monotonic.
            *sample = sample.clamp(-2.0, 2.0);
        }
        let Some(&first) = samples.first() else { return };

        // The half wave that the former packet ended in.
        for sample in samples.iter_mut() {
            if *sample * self.bend >= 0.0 {
                break;
            }
            *sample += self.bend * *sample * *sample;
        }

        self.bend = 0.0;
        let mut from = 0;
        while let Some(over) = samples[from..].iter().position(|sample| sample.abs() > 1.0) {
            let over = from + over;
            let same_side = |sample: f32| sample * samples[over] >= 0.0;
            let start = samples[..over].iter().rposition(|&sample| !same_side(sample)).map_or(0, |at| at + 1);
            let length = samples[over..].iter().position(|&sample| !same_side(sample));
            let end = length.map_or(samples.len(), |length| over + length);
            let cut_at_start = start == 0;
            // The first of the highest.
            let (peak_at, peak) = (over..end).fold((over, samples[over].abs()), |peak, at| {
                if samples[at].abs() > peak.1 { (at, samples[at].abs()) } else { peak }
            });

            // peak + bend * peak² = 1, a hair more for rounding.
            let bend = (peak - 1.0) / (peak * peak) * (1.0 + 2.4e-7);
            self.bend = if samples[over] > 0.0 { -bend } else { bend };
            for sample in &mut samples[start..end] {
                *sample += self.bend * *sample * *sample;
            }
            if cut_at_start && peak_at >= 2 {
                // The former packet ended unbent: a ramp hides the step up to the peak.
                let mut offset = first - samples[0];
                let step = offset / peak_at as f32;
                for sample in &mut samples[from..peak_at] {
                    offset -= step;
                    *sample = (*sample + offset).clamp(-1.0, 1.0);
                }
            }
            from = end;
            if end < samples.len() {
                self.bend = 0.0;
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
    fn what_fits_is_left_alone() {
        let mut samples = wave(1.0);
        SoftClip::default().apply(&mut samples);
        assert_eq!(samples, wave(1.0));
        SoftClip::default().apply(&mut []);
    }

    #[test]
    fn what_does_not_is_bounded_without_steps() {
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
