//! What a job needs of others: a messenger, from which its recording comes and to which its answer
//! goes, a transcriber, and perhaps a summariser. What a command needs: a conversation. The
//! daemon's are Telegram, and whisper.cpp in this process or a server.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{Answer, Fault, Form, Job, JobId, LanguageCode, Note, Peer, Progress, Settings};

/// Where recordings come from and answers go. It knows accounts and chats.
#[async_trait]
pub trait Messenger: Send + Sync {
    /// Waits until there is a connection.
    async fn ready(&self);

    /// Identifies the current connection; `None` while offline. It changes with every reconnect.
    fn connection(&self) -> Option<u64>;

    /// Downloads the recording.
    async fn fetch(&self, job: &Job) -> Result<Vec<u8>, Fault>;

    /// For each part of the answer, the id of the message that already carries it, if an earlier
    /// attempt sent one.
    async fn find_sent(&self, job: &Job, answer: &Answer) -> Result<Vec<Option<i32>>, Fault>;

    /// Sends the part of this index; the id of its message, where the messenger tells it.
    async fn deliver(&self, job: &Job, answer: &Answer, index: usize) -> Result<Option<i32>, Fault>;

    /// Deletes those of these messages that carry an earlier answer of this form to the job.
    /// Repeating it is harmless.
    async fn withdraw(&self, job: &Job, form: &Form, messages: &[i32]) -> Result<(), Fault>;

    /// Drops what is kept for a job between its attempts. Called when the job has ended.
    fn forget(&self, job: JobId);
}

/// Where the owner's commands are answered. Repeating any of it is harmless.
#[async_trait]
pub trait Conversation: Send + Sync {
    /// Waits until there is a connection.
    async fn ready(&self);

    /// Replaces the text of a message of the owner.
    async fn rewrite(&self, chat: &Peer, message: i32, text: &str) -> Result<(), Fault>;

    /// Deletes a message for everybody.
    async fn delete(&self, chat: &Peer, message: i32) -> Result<(), Fault>;

    /// Writes into Saved Messages what there is to say of a command.
    async fn note(&self, command: JobId, note: Note, text: &str) -> Result<(), Fault>;

    /// Gives up the turn of a note that is not written after all, so that nothing waits behind it.
    fn give_up(&self, command: JobId);
}

/// Turns recordings into transcripts. It knows nothing of where they come from.
#[async_trait]
pub trait Transcriber: Send + Sync {
    /// Gets ready for a job whose recording is on its way: a model that was freed is loaded
    /// meanwhile.
    async fn prepare(&self, job: &Job) -> Result<(), Fault>;

    /// Decodes the recording, to be recognised under these settings from where `progress` ends.
    async fn open(
        &self,
        job: &Job,
        settings: &Settings,
        bytes: Vec<u8>,
        progress: &Progress,
    ) -> Result<Box<dyn Transcription + '_>, Fault>;
}

/// A recording that is being recognised.
#[async_trait]
pub trait Transcription: Send {
    /// The recording's length in milliseconds.
    fn length(&self) -> u64;

    /// Recognises the next stretch; `None` at the end.
    async fn next(&mut self) -> Result<Option<Progress>, Fault>;

    /// The name of the recogniser that recognised the last stretch; `None` if nobody speaks in it.
    fn recognised_by(&self) -> Option<Arc<str>> {
        None
    }
}

/// Writes summaries of long texts.
#[async_trait]
pub trait Summariser: Send + Sync {
    /// A summary of a few lines, in `language` if that is known; `None` if there is none in time.
    /// That is no failure of the job.
    async fn summarise(&self, text: &str, language: Option<LanguageCode>) -> Option<String>;
}
