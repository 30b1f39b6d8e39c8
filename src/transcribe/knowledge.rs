//! What is known of a recording's chat and owner before it is recognised.

use std::sync::Arc;
use std::time::Duration;

use super::chat_languages::ChatLanguages;
use crate::domain::{JobId, LanguageCode};
use crate::speech::{LanguagePrior, Observer, OwnersLists};

/// Knows the chats and owners of recordings.
pub trait Knowledge: Send + Sync {
    /// The languages spoken in the job's chat before.
    fn prior(&self, job: JobId) -> LanguagePrior;

    /// What the job's owner has listed; `None` for what this program was started with.
    fn lists(&self, _job: JobId) -> Option<Arc<OwnersLists>> {
        None
    }

    /// Is told of the recognition of the job.
    fn observer(self: Arc<Self>, job: JobId) -> Arc<dyn Observer>;
}

impl Knowledge for ChatLanguages {
    fn prior(&self, job: JobId) -> LanguagePrior {
        ChatLanguages::prior(self, job.chat)
    }

    fn observer(self: Arc<Self>, job: JobId) -> Arc<dyn Observer> {
        Arc::new(Learns { languages: self, chat: job.chat })
    }
}

/// Remembers the languages of a chat.
struct Learns {
    languages: Arc<ChatLanguages>,
    chat: i64,
}

impl Observer for Learns {
    fn on_language(&self, language: LanguageCode, speech: Duration) {
        self.languages.record(self.chat, language, speech);
    }
}
