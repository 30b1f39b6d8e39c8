//! Fits the adapters to the traits that intake and pipeline need.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::domain::policy::Policy;
use crate::domain::{
    Answer, ChatInfo, CommandPrefix, Event, Fault, Form, Job, JobId, LanguageCode, Note, Part, Peer, Preview,
    ReactionEmoji, Said,
};
use crate::jobs::intake::Intake;
use crate::jobs::ports::{Conversation, Messenger, Summariser};
use crate::notices::{Channel, Notice};
use crate::summary::SummaryServer;
use crate::telegram::{Account, EventSink};

/// Passes the events that the account receives on to the intake.
pub struct IntakeSink {
    pub intake: Intake,
    pub policy: watch::Receiver<Policy>,
    /// `None`: there are no commands.
    pub prefix: Option<CommandPrefix>,
    /// `None`: reactions ask for nothing.
    pub reaction: Option<ReactionEmoji>,
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

    fn is_request(&self, emoji: &str) -> bool {
        self.reaction.as_ref().is_some_and(|reaction| reaction.is(emoji))
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

    async fn preview_turn(&self) {
        Account::preview_turn(self).await;
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

#[async_trait]
impl Summariser for SummaryServer {
    async fn summarise(&self, text: &str, language: Option<LanguageCode>) -> Option<String> {
        SummaryServer::summarise(self, text, language).await
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
