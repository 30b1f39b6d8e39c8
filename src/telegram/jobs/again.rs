//! Answers to recordings that were answered before: the earlier messages are edited in place.

use grammers_client::tl;
use tracing::{debug, info};

use super::super::account::Account;
use super::super::connection::link::Link;
use super::super::connection::rpc_error::Meaning;
use super::edit::Edit;
use super::find_sent::is_reply_to;
use super::saved::saved_part;
use crate::domain::{Answer, Asked, Fault, Form, Job, Peer, PeerKind};

/// A message of an earlier answer, as it is in Telegram.
struct Earlier {
    message: tl::types::Message,
    /// The part of the answer that it carries.
    text: String,
}

impl Account {
    /// Delivers a part of an answer to a recording that may have been answered by the messages
    /// `asked.replaces`. Where its message is still there, it stays as it is, or gets the new text
    /// if that was asked for; otherwise a new one is sent.
    pub(super) async fn deliver_again(
        &self,
        link: &Link,
        job: &Job,
        asked: &Asked,
        answer: &Answer,
        index: usize,
    ) -> Result<Option<i32>, Fault> {
        let form = &answer.settings.form;
        let Asked { replaces, again, .. } = asked;
        let earlier = match replaces.get(index) {
            Some(number) => self.earlier(link, job, form, *number).await?,
            None => None,
        };
        let delivered = match earlier {
            Some(earlier) if !again => Some(earlier.message.id),
            Some(earlier) if self.put_into(link, job, answer, index, &earlier).await? => {
                Some(earlier.message.id)
            }
            // It cannot be edited any more: a new message takes its place.
            Some(earlier) => {
                let sent = self.deliver_new(link, job, answer, index).await?;
                self.delete_earlier(link, job, form, earlier.message.id).await?;
                sent
            }
            None => self.deliver_new(link, job, answer, index).await?,
        };
        Ok(delivered)
    }

    /// The message of this number, if it carries a part of an earlier answer to the job. A number
    /// alone proves nothing: each channel counts its messages itself.
    async fn earlier(
        &self,
        link: &Link,
        job: &Job,
        form: &Form,
        number: i32,
    ) -> Result<Option<Earlier>, Fault> {
        let own = self.own_chat();
        let chat = if *form == Form::SavedMessages { own } else { self.chat(job).await? };
        let (messages, ..) = self.messages(link, &chat, &[number]).await?;
        let Some(message) = messages.into_iter().next() else { return Ok(None) };
        let text = match form {
            Form::SavedMessages => saved_part(job, &message),
            Form::Caption if number == job.id.message => Some(message.message.clone()),
            Form::Nowhere => None,
            Form::Replies | Form::Caption => {
                is_reply_to(job, &message, job.id.chat == own.id).then(|| message.message.clone())
            }
        };
        Ok(text.map(|text| Earlier { message, text }))
    }

    /// Gives an earlier message the text of a part. False if it cannot be edited any more.
    async fn put_into(
        &self,
        link: &Link,
        job: &Job,
        answer: &Answer,
        index: usize,
        earlier: &Earlier,
    ) -> Result<bool, Fault> {
        let part = &answer.parts[index];
        // A document and a text do not become each other, nor one document another.
        let has_file = earlier.message.media.is_some() && earlier.message.id != job.id.message;
        if has_file || part.document.is_some() {
            return Ok(false);
        }
        if earlier.text.trim() == part.shown().trim() {
            return Ok(true);
        }
        let new = self.outgoing(link, job, &answer.settings.form, part, index).await?;
        match self.edit(link, Edit::into(new, earlier.message.id)).await? {
            Ok(()) => {
                info!(event = "answer_edited", part = index + 1, "The earlier answer has the new text");
                Ok(true)
            }
            Err(error) => match error.meaning() {
                Some(Meaning::BadRequest | Meaning::MayNotEdit | Meaning::MayNotWrite | Meaning::Gone) => {
                    debug!(%error, "The earlier answer cannot be edited, a new message takes its place");
                    Ok(false)
                }
                _ => Err(self.sending_failed(job, &error).await),
            },
        }
    }

    /// Deletes those of these messages that carry a part of an earlier answer to the job.
    pub async fn withdraw(&self, job: &Job, form: &Form, numbers: &[i32]) -> Result<(), Fault> {
        let link = self.current_link()?;
        for number in numbers {
            if self.earlier(&link, job, form, *number).await?.is_some() {
                self.delete_earlier(&link, job, form, *number).await?;
            }
        }
        Ok(())
    }

    /// Deletes a message of an earlier answer, or the caption of the recording itself. One that
    /// Telegram lets nobody delete any more stays.
    async fn delete_earlier(&self, link: &Link, job: &Job, form: &Form, number: i32) -> Result<(), Fault> {
        let deleted = if *form == Form::Caption && number == job.id.message {
            let peer = self.input_peer(job).await?;
            let edit = Edit { peer, message: number, text: String::new(), entities: Vec::new() };
            self.edit(link, edit).await?
        } else {
            let chat = if *form == Form::SavedMessages { self.own_chat() } else { self.chat(job).await? };
            self.delete_messages(link, &chat, &[number]).await?
        };
        let Err(error) = deleted else {
            info!(event = "answer_withdrawn", "A message that the answer does not need is deleted");
            return Ok(());
        };
        match error.meaning() {
            Some(Meaning::BadRequest | Meaning::MayNotEdit | Meaning::MayNotWrite | Meaning::Gone) => {
                debug!(%error, "An earlier answer could not be deleted");
                Ok(())
            }
            _ => Err(self.send_refused(&error).await),
        }
    }

    pub(super) fn own_chat(&self) -> Peer {
        Peer { kind: PeerKind::User, id: self.context.user.id, access_hash: self.context.user.access_hash }
    }
}
