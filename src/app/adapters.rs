//! Fits the adapters to the traits that intake and pipeline need.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tracing::warn;

use crate::audio::Limits;
use crate::domain::policy::{Incoming, Policy};
use crate::domain::{Answer, Fault, Job, JobId, LanguageCode, Peer, Progress, Task};
use crate::health::Vitals;
use crate::health::observed::PASS;
use crate::jobs::intake::Intake;
use crate::jobs::ports::{Messenger, Transcriber, Transcription};
use crate::runtime::pulse::Pulse;
use crate::speech::{Engine, Observer};
use crate::telegram::{Account, Recipient};
use crate::transcribe::chat_languages::ChatLanguages;
use crate::transcribe::recording::{Recording, RecordingOptions};

/// Passes the recordings that the account receives to the intake.
pub struct IntakeSink {
    pub intake: Intake,
    pub policy: watch::Receiver<Policy>,
}

#[async_trait]
impl Recipient for IntakeSink {
    async fn take(&self, recordings: Vec<Incoming>) -> bool {
        self.intake.take(recordings).await
    }

    fn covers(&self, peer: &Peer, bot: bool) -> bool {
        self.policy.borrow().covers(peer, bot)
    }

    fn max_age(&self) -> Duration {
        self.policy.borrow().max_age
    }
}

#[async_trait]
impl Messenger for Account {
    async fn ready(&self) {
        self.connected().await;
    }

    fn connection(&self) -> Option<u64> {
        Account::connection(self)
    }

    async fn fetch(&self, job: &Job) -> Result<Vec<u8>, Fault> {
        Account::fetch(self, job).await
    }

    async fn find_sent(&self, job: &Job, answer: &Answer) -> Result<Vec<Option<i32>>, Fault> {
        self.sent(job, answer).await
    }

    async fn deliver(&self, job: &Job, answer: &Answer, index: usize) -> Result<Option<i32>, Fault> {
        Account::deliver(self, job, answer, index).await
    }

    fn forget(&self, job: JobId) {
        self.forget_file(job);
    }
}

/// Recognises with whisper.cpp in this process.
pub struct LocalTranscriber {
    pub engine: Engine,
    pub limits: Limits,
    pub languages: Arc<ChatLanguages>,
    pub vitals: Arc<Vitals>,
    /// The pulse of the engine, which all jobs share.
    pub recognition: Pulse,
}

#[async_trait]
impl Transcriber for LocalTranscriber {
    fn task(&self) -> Task {
        self.engine.task()
    }

    async fn prepare(&self, _: &Job) -> Result<(), Fault> {
        let _during = self.recognition.during(PASS);
        Ok(self.engine.wake().await?)
    }

    async fn open(
        &self,
        job: &Job,
        bytes: Vec<u8>,
        progress: &Progress,
    ) -> Result<Box<dyn Transcription + '_>, Fault> {
        let (vitals, pulse) = (Arc::clone(&self.vitals), self.recognition.clone());
        let languages = Arc::clone(&self.languages);
        let prior = languages.prior(job.id.chat);
        let observer = Arc::new(Recognition { vitals, pulse, languages, job: job.id });
        let from = progress.clone();
        let options = RecordingOptions { from, prior, progress: None, observer: Some(observer) };
        let recording = Recording::open(&self.engine, bytes, self.limits.clone(), options).await?;
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
}

/// Reports on the recognition of one job.
struct Recognition {
    vitals: Arc<Vitals>,
    pulse: Pulse,
    languages: Arc<ChatLanguages>,
    job: JobId,
}

impl Observer for Recognition {
    fn on_pass(&self) {
        self.pulse.keep(PASS);
    }

    fn on_finished(&self, time: Duration) {
        self.vitals.recognised_in(self.job, time);
    }

    fn on_dropped(&self, reason: &'static str) {
        self.vitals.text_dropped(reason);
    }

    fn on_language(&self, language: LanguageCode, speech: Duration) {
        self.languages.record(self.job.chat, language, speech);
    }

    fn on_retry(&self) {
        self.vitals.recognition_repeated();
    }
}
