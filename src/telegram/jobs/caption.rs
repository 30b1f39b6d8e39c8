//! Answers as captions of the owner's own voice messages.
//!
//! A caption is set by editing the message. An edit that is repeated changes nothing, so a crash
//! does no harm. A caption that the owner has written is left alone.

use grammers_client::tl;
use tracing::info;

use super::super::account::Account;
use super::super::connection::link::Link;
use super::super::connection::rpc_error::Meaning;
use super::edit::Edit;
use super::send::quote;
use crate::domain::{Fault, Job, Part};

impl Account {
    /// Sets the caption of a job's message. Returns the number of the message; `None` if it cannot
    /// have this caption, for example because it is too old to be edited.
    pub(super) async fn set_caption(
        &self,
        link: &Link,
        job: &Job,
        part: &Part,
    ) -> Result<Option<i32>, Fault> {
        let message = self.found_message(link, job).await?.message;
        if has_caption(&message, part) {
            return Ok(Some(message.id));
        }
        if !message.message.is_empty() || message.fwd_from.is_some() {
            return Ok(None);
        }
        let edit = Edit {
            peer: self.input_peer(job).await?,
            message: message.id,
            text: part.shown(),
            entities: quote(part, 0),
        };
        match self.edit(link, edit).await? {
            Ok(()) => Ok(Some(message.id)),
            Err(error) => match error.meaning() {
                Some(Meaning::BadRequest | Meaning::MayNotEdit | Meaning::MayNotWrite) => {
                    info!(event = "caption_refused", %error, "The caption cannot be set, replying instead");
                    Ok(None)
                }
                _ => Err(self.sending_failed(job, &error).await),
            },
        }
    }
}

/// Whether a message has this part of an answer as its caption already.
pub(super) fn has_caption(message: &tl::types::Message, part: &Part) -> bool {
    // Telegram trims texts.
    message.message.trim() == part.shown().trim()
}
