//! Fits the adapters to the traits that intake and pipeline need.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tracing::warn;

use crate::audio::{Containers, Limits};
use crate::decoding::DecoderProgram;
use crate::domain::policy::Policy;
use crate::domain::{
    Answer, ChatInfo, CommandPrefix, Event, Fault, Form, Job, JobId, LanguageCode, Note, Part, Peer, Preview,
    Progress, Said, Settings,
};
use crate::health::HealthState;
use crate::health::limits::ENCODER_PASS_LIMIT;
use crate::jobs::intake::Intake;
use crate::jobs::ports::{Conversation, Messenger, Transcriber, Transcription};
use crate::notices::{Channel, Notice};
use crate::runtime::pulse::Pulse;
use crate::speech::{Observer, Recogniser as _, Recognisers};
use crate::telegram::{Account, EventSink};
use crate::transcribe::chat_languages::ChatLanguages;
use crate::transcribe::recording::{Recording, RecordingOptions};

/// Passes the events that the account receives on to the intake.
pub struct IntakeSink {
    pub intake: Intake,
    pub policy: watch::Receiver<Policy>,
    /// `None`: there are no commands.
    pub prefix: Option<CommandPrefix>,
}

#[async_trait]
impl EventSink for IntakeSink {
    async fn take(&self, events: Vec<Event>) -> bool {
        self.intake.take(events).await
    }

    fn covers(&self, chat: &ChatInfo) -> bool {
        self.policy.borrow().covers(chat)
    }

    fn max_age(&self) -> Duration {
        self.policy.borrow().max_age
    }

    fn command_in(&self, text: &str, in_saved_messages: bool) -> Option<Said> {
        self.prefix.as_ref()?.command_in(text, in_saved_messages)
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

    fn may_preview(&self, job: &Job) -> bool {
        Account::may_preview(self, job)
    }

    async fn preview(&self, job: &Job, preview: &Preview) -> Result<Option<i32>, Fault> {
        Account::preview(self, job, preview).await
    }

    async fn find_preview(&self, job: &Job, preview: &Preview) -> Result<Option<i32>, Fault> {
        Account::find_preview(self, job, preview).await
    }

    async fn edit_preview(&self, job: &Job, form: &Form, part: &Part, message: i32) -> Result<bool, Fault> {
        Account::edit_preview(self, job, form, part, message).await
    }

    async fn complete_preview(&self, job: &Job, answer: &Answer, message: i32) -> Result<bool, Fault> {
        Account::complete_preview(self, job, answer, message).await
    }

    async fn withdraw(&self, job: &Job, form: &Form, messages: &[i32]) -> Result<(), Fault> {
        Account::withdraw(self, job, form, messages).await
    }

    fn forget(&self, job: JobId) {
        self.forget_job(job);
    }
}

#[async_trait]
impl Conversation for Account {
    async fn ready(&self) {
        self.connected().await;
    }

    async fn rewrite(&self, chat: &Peer, message: i32, text: &str) -> Result<(), Fault> {
        Account::rewrite(self, chat, message, text).await
    }

    async fn delete(&self, chat: &Peer, message: i32) -> Result<(), Fault> {
        Account::delete(self, chat, message).await
    }

    async fn note(&self, command: JobId, note: Note, text: &str) -> Result<(), Fault> {
        Account::note(self, command, note, text).await
    }

    fn give_up(&self, command: JobId) {
        self.give_up_turn(command);
    }
}

/// Tells the owner in Saved Messages.
pub struct SavedMessages(pub Arc<Account>);

#[async_trait]
impl Channel for SavedMessages {
    fn name(&self) -> &'static str {
        "saved"
    }

    fn is_open(&self) -> bool {
        self.0.can_tell_owner()
    }

    async fn tell(&self, notice: &Notice) -> Result<(), String> {
        let id = format!("{:?}/{}/{}", notice.topic, notice.at, notice.is_over);
        self.0.tell_owner(&id, format!("{}\n\n{}", notice.title, notice.text)).await
    }
}

/// Decodes recordings, and has their stretches recognised.
pub struct StretchTranscriber {
    pub recognisers: Recognisers,
    pub decoder: DecoderProgram,
    /// Of the recordings that the owner has not asked for.
    pub limits: Limits,
    pub languages: Arc<ChatLanguages>,
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
        let languages = Arc::clone(&self.languages);
        let prior = languages.prior(job.id.chat);
        let observer = Arc::new(Recognition { health, pulse, languages, job: job.id });
        let (settings, from) = (settings.clone(), progress.clone());
        let claimed = Some(Duration::from_secs(job.recording.duration.into()));
        let options = RecordingOptions {
            settings,
            from,
            prior,
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
    languages: Arc<ChatLanguages>,
    job: JobId,
}

impl Observer for Recognition {
    fn on_pass(&self) {
        self.pulse.keep(ENCODER_PASS_LIMIT);
    }

    fn on_finished(&self, time: Duration) {
        self.health.recognition_took(self.job, time);
    }

    fn on_dropped(&self, reason: &'static str) {
        self.health.text_dropped(reason);
    }

    fn on_language(&self, language: LanguageCode, speech: Duration) {
        self.languages.record(self.job.chat, language, speech);
    }

    fn on_retry(&self) {
        self.health.recognition_repeated();
    }
}
