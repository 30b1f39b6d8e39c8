//! The transcriber, wrapped: its stages, and the pulses of the job and of the recognition.

use std::sync::Arc;

use async_trait::async_trait;

use super::facts::Stage;
use super::limits::{BETWEEN_OPERATIONS_LIMIT, DECODE_LIMIT, ENCODER_PASS_LIMIT};
use super::observed::JobObserver;
use super::state::HealthState;
use crate::domain::{Deleted, Fault, Job, JobId, Progress, Settings};
use crate::jobs::ports::{Room, Transcriber, Transcription};
use crate::runtime::pulse::Pulse;

/// The transcriber, observed.
pub struct ObservedTranscriber {
    transcriber: Arc<dyn Transcriber>,
    observer: JobObserver,
    /// The pulse of the recognition, which all jobs share.
    recognition: Pulse,
}

impl ObservedTranscriber {
    pub fn new(transcriber: Arc<dyn Transcriber>, health: Arc<HealthState>, recognition: Pulse) -> Self {
        Self { transcriber, observer: JobObserver { health }, recognition }
    }
}

#[async_trait]
impl Transcriber for ObservedTranscriber {
    /// The recording is fetched at the same time, and may have arrived long before the model is
    /// loaded. Until then the job's pulse is extended; the recognition's pulse shows a load that
    /// hangs.
    async fn prepare(&self, job: &Job) -> Result<(), Fault> {
        let pulse = self.observer.health.pulse_of(job.id);
        let mut prepared = self.transcriber.prepare(job);
        loop {
            tokio::select! {
                result = &mut prepared => return result,
                () = tokio::time::sleep(BETWEEN_OPERATIONS_LIMIT / 2) => pulse.keep(BETWEEN_OPERATIONS_LIMIT),
            }
        }
    }

    fn is_elsewhere(&self) -> bool {
        self.transcriber.is_elsewhere()
    }

    /// Room may be long in coming, as workers are that nobody has started.
    async fn make_room(&self, job: &Job) -> Result<Option<Room>, Fault> {
        self.observer.watch(job.id, None, self.transcriber.make_room(job)).await
    }

    async fn resume(
        &self,
        job: &Job,
        settings: &Settings,
        progress: &Progress,
    ) -> Result<Option<Box<dyn Transcription + '_>>, Fault> {
        let resumed = self.transcriber.resume(job, settings, progress);
        let resumed = self.observer.watch(job.id, None, resumed).await?;
        Ok(resumed.map(|resumed| self.observed(resumed, job, progress)))
    }

    async fn open(
        &self,
        job: &Job,
        settings: &Settings,
        bytes: Vec<u8>,
        progress: &Progress,
    ) -> Result<Box<dyn Transcription + '_>, Fault> {
        let opened = self.transcriber.open(job, settings, bytes, progress);
        let opened = match self.is_elsewhere() {
            true => self.observer.watch(job.id, None, opened).await?,
            false => self.observer.observe(job.id, Stage::Decode, Some(DECODE_LIMIT), opened).await?,
        };
        Ok(self.observed(opened, job, progress))
    }

    fn deleted(&self, messages: &Deleted) {
        self.transcriber.deleted(messages);
    }
}

impl ObservedTranscriber {
    fn observed<'a>(
        &'a self,
        transcription: Box<dyn Transcription + 'a>,
        job: &Job,
        progress: &Progress,
    ) -> Box<dyn Transcription + 'a> {
        let (id, until_ms) = (job.id, progress.until_ms);
        Box::new(ObservedTranscription { transcription, transcriber: self, id, until_ms })
    }
}

/// A recording that is being recognised, observed.
struct ObservedTranscription<'a> {
    transcription: Box<dyn Transcription + 'a>,
    transcriber: &'a ObservedTranscriber,
    id: JobId,
    until_ms: u64,
}

#[async_trait]
impl Transcription for ObservedTranscription<'_> {
    async fn begun(&mut self) -> Result<(), Fault> {
        let ObservedTranscriber { observer, transcriber, .. } = self.transcriber;
        match transcriber.is_elsewhere() {
            // Until a worker has taken and decoded it.
            true => observer.observe(self.id, Stage::Decode, None, self.transcription.begun()).await?,
            false => self.transcription.begun().await?,
        }
        let seconds = self.transcription.length() as f64 / 1000.0;
        observer.health.update_job(self.id, |job| job.audio = Some(seconds));
        Ok(())
    }

    fn length(&self) -> u64 {
        self.transcription.length()
    }

    fn recognised_by(&self) -> Option<Arc<str>> {
        self.transcription.recognised_by()
    }

    async fn next(&mut self) -> Result<Option<Progress>, Fault> {
        let ObservedTranscriber { observer, recognition, transcriber } = self.transcriber;
        observer.health.update_job(self.id, |job| job.stage = Some(Stage::Recognise));
        // Other jobs may come first. The recognition's pulse beats after each pass of the model.
        let _during = (!transcriber.is_elsewhere()).then(|| recognition.during(ENCODER_PASS_LIMIT));
        let stretch = observer.watch(self.id, None, self.transcription.next()).await?;
        if let Some(stretch) = &stretch {
            let seconds = stretch.until_ms.saturating_sub(self.until_ms) as f64 / 1000.0;
            observer.health.audio_recognised(self.id, seconds);
            observer.health.stretch_recognised(self.id, self.transcription.recognised_by());
            self.until_ms = stretch.until_ms;
        }
        Ok(stretch)
    }
}
