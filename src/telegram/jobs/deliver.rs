//! Delivers answers in the form that each has, each part under its own `random_id`.

use grammers_client::tl;

use super::super::account::Account;
use super::super::connection::link::Link;
use super::saved::saved_message;
use super::send::{Outgoing, quote};
use super::upload::Upload;
use crate::domain::{Answer, Fault, Form, Job, Part};

impl Account {
    /// Sends part number `index` of the answer to `job`. Returns the number of the message that
    /// carries it, if Telegram tells it. Delivering the same part again is harmless.
    pub async fn deliver(&self, job: &Job, answer: &Answer, index: usize) -> Result<Option<i32>, Fault> {
        self.may_send((job.id, job.stranger))?;
        let link = self.current_link()?;
        if let Some(asked) = &job.asked {
            return self.deliver_again(&link, job, asked, answer, index).await;
        }
        self.deliver_new(&link, job, answer, index).await
    }

    pub(super) async fn deliver_new(
        &self,
        link: &Link,
        job: &Job,
        answer: &Answer,
        index: usize,
    ) -> Result<Option<i32>, Fault> {
        let (form, part) = (&answer.settings.form, &answer.parts[index]);
        match form {
            Form::Caption if index == 0 && part.document.is_none() => {
                if let Some(message) = self.set_caption(link, job, part).await? {
                    return Ok(Some(message));
                }
            }
            Form::Nowhere => return Ok(None),
            _ => {}
        }
        let outgoing = self.outgoing(link, job, form, part, index).await?;
        self.send(link, job, outgoing).await
    }

    /// A part of an answer as a message of its own.
    pub(super) async fn outgoing(
        &self,
        link: &Link,
        job: &Job,
        form: &Form,
        part: &Part,
        index: usize,
    ) -> Result<Outgoing, Fault> {
        if *form == Form::SavedMessages {
            let origin = self.found_message(link, job).await?;
            return Ok(saved_message(job, part, index, &origin));
        }
        Ok(Outgoing {
            peer: self.input_peer(job).await?,
            reply_to: Some(reply_to(job)),
            text: part.shown(),
            entities: quote(part, 0),
            file: Upload::of(part, job),
            index,
        })
    }
}

/// Names the message that the answer replies to, and its forum topic, where the answer goes even if
/// the message is deleted meanwhile.
fn reply_to(job: &Job) -> tl::types::InputReplyToMessage {
    super::send::reply_to(job.id.message, job.recording.thread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Peer, PeerKind};

    #[test]
    fn a_reply_names_the_message_and_its_topic() {
        for thread in [None, Some(5)] {
            let chat = Peer { kind: PeerKind::Channel, id: 500, access_hash: 1 };
            let mut job = Job::example(chat, 7);
            job.recording.thread = thread;
            let reply_to = reply_to(&job);
            assert_eq!((reply_to.reply_to_msg_id, reply_to.top_msg_id), (7, thread));
        }
    }
}
