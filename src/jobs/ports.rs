//! What a job needs of others: a messenger, from which its recording comes and to which its answer
//! goes, a transcriber, and perhaps a summariser. What a command needs: a conversation. The
//! daemon's are Telegram, and whisper.cpp in this process, a server, or the workers of a fleet.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{
    Answer, Deleted, Fault, Form, Job, JobId, LanguageCode, Note, Part, Peer, Preview, Progress, Settings,
};

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

    /// Waits until it is a preview's turn to be sent or edited. All recordings share the turns.
    async fn preview_turn(&self);

    /// Whether a preview may be sent or edited now.
    fn may_preview(&self, job: &Job) -> bool;

    /// Sends a preview; the number of its message, or `None` if that is gone. Repeating it is
    /// harmless.
    async fn preview(&self, job: &Job, preview: &Preview) -> Result<Option<i32>, Fault>;

    /// The number of a preview that an earlier attempt may have sent.
    async fn find_preview(&self, job: &Job, preview: &Preview) -> Result<Option<i32>, Fault>;

    /// Gives the message of a preview another text. False if it cannot be edited any more.
    async fn edit_preview(&self, job: &Job, form: &Form, part: &Part, message: i32) -> Result<bool, Fault>;

    /// Makes the message of a preview the first part of the answer. False if it cannot be.
    async fn complete_preview(&self, job: &Job, answer: &Answer, message: i32) -> Result<bool, Fault>;

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

/// Room for a recording, until it is dropped.
pub type Room = Box<dyn Send + Sync>;

/// Turns recordings into transcripts. It knows nothing of where they come from.
#[async_trait]
pub trait Transcriber: Send + Sync {
    /// Gets ready for a job whose recording is on its way: a model that was freed is loaded
    /// meanwhile.
    async fn prepare(&self, job: &Job) -> Result<(), Fault>;

    /// Whether recordings are recognised by other processes. This one then dies of none.
    fn is_elsewhere(&self) -> bool {
        false
    }

    /// Waits until there is room for the job's recording where it is to be recognised. The room is
    /// held as long as what is returned.
    async fn make_room(&self, _job: &Job) -> Result<Option<Room>, Fault> {
        Ok(None)
    }

    /// Takes up a recording that was handed over before, by this process or an earlier one, so that
    /// it need not be fetched; `None` if it was not.
    async fn resume(
        &self,
        _job: &Job,
        _settings: &Settings,
        _progress: &Progress,
    ) -> Result<Option<Box<dyn Transcription + '_>>, Fault> {
        Ok(None)
    }

    /// Ends the work on the recordings of these messages, which are deleted.
    fn deleted(&self, _messages: &Deleted) {}

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
    /// Waits until its length is known.
    async fn begun(&mut self) -> Result<(), Fault> {
        Ok(())
    }

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
