//! Recognition in this process: decodes recordings, and has their stretches recognised.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tracing::warn;

use crate::audio::{Containers, Limits};
use crate::decoding::DecoderProgram;
use crate::domain::{Fault, Job, JobId, LanguageCode, Progress, Settings};
use crate::health::HealthState;
use crate::health::limits::ENCODER_PASS_LIMIT;
use crate::jobs::ports::{Transcriber, Transcription};
use crate::runtime::pulse::Pulse;
use crate::speech::{Observer, Recogniser as _, Recognisers};
use crate::transcribe::knowledge::Knowledge;
use crate::transcribe::recording::{Recording, RecordingOptions};

/// Decodes recordings, and has their stretches recognised.
pub struct StretchTranscriber {
    pub recognisers: Recognisers,
    pub decoder: DecoderProgram,
    /// Of the recordings that the owner has not asked for.
    pub limits: Limits,
    /// What is known of chats and owners.
    pub known: Arc<dyn Knowledge>,
    pub health: Arc<HealthState>,
    /// The pulse of the recognition, which all jobs share.
    pub recognition: Pulse,
}

#[async_trait]
impl Transcriber for StretchTranscriber {
    async fn prepare(&self, _: &Job) -> Result<(), Fault> {
        let _during = self.recognition.during(ENCODER_PASS_LIMIT);
        Ok(self.recognisers.wake().await?)
    }

    async fn open(
        &self,
        job: &Job,
        settings: &Settings,
        bytes: Vec<u8>,
        progress: &Progress,
    ) -> Result<Box<dyn Transcription + '_>, Fault> {
        let (health, pulse) = (Arc::clone(&self.health), self.recognition.clone());
        let (prior, lists) = (self.known.prior(job.id), self.known.lists(job.id));
        let also = Arc::clone(&self.known).observer(job.id);
        let observer = Arc::new(Recognition { health, pulse, also, job: job.id });
        let (settings, from) = (settings.clone(), progress.clone());
        let claimed = Some(Duration::from_secs(job.recording.duration.into()));
        let options = RecordingOptions {
            settings,
            from,
            prior,
            lists,
            observer: Some(observer),
            claimed,
            ..Default::default()
        };
        let mut limits = self.limits.clone();
        if job.asked.is_some() {
            limits.containers = Containers::All;
        }
        let recording = Recording::open(&self.recognisers, &self.decoder, bytes, limits, options).await?;
        if let Some(what) = recording.damaged() {
            warn!(what, "The recording is damaged, going on with the rest");
        }
        Ok(Box::new(recording))
    }
}

#[async_trait]
impl Transcription for Recording<'_> {
    fn length(&self) -> u64 {
        self.length_ms()
    }

    async fn next(&mut self) -> Result<Option<Progress>, Fault> {
        Ok(Recording::next(self).await?)
    }

    fn recognised_by(&self) -> Option<Arc<str>> {
        Recording::recognised_by(self)
    }
}

/// Reports on the recognition of one job.
struct Recognition {
    health: Arc<HealthState>,
    pulse: Pulse,
    /// Whoever else is told.
    also: Arc<dyn Observer>,
    job: JobId,
}

impl Observer for Recognition {
    fn on_pass(&self) {
        self.pulse.keep(ENCODER_PASS_LIMIT);
    }

    fn on_finished(&self, time: Duration) {
        self.health.recognition_took(self.job, time);
        self.also.on_finished(time);
    }

    fn on_dropped(&self, reason: &'static str) {
        self.health.text_dropped(reason);
        self.also.on_dropped(reason);
    }

    fn on_language(&self, language: LanguageCode, speech: Duration) {
        self.also.on_language(language, speech);
    }

    fn on_retry(&self) {
        self.health.recognition_repeated();
        self.also.on_retry();
    }
}
