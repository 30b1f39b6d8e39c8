//! Finds the messages that an earlier attempt has sent.
//!
//! Telegram drops a message that is sent again under its `random_id`, but forgets that number after
//! a while. So before a job is delivered again, the chat to which its answer goes is searched for
//! what was sent before.

use grammers_client::tl;
use tracing::debug;

use super::super::account::Account;
use super::super::connection::link::Link;
use super::super::message;
use super::calls::{call_to_send, sending_fault};
use super::caption::has_caption;
use super::saved::saved_part;
use super::upload::file_name;
use crate::domain::{Answer, Fault, Form, Job, Part, PeerKind};

/// Messages in one page, the most that Telegram gives.
const PAGE: i32 = 100;
/// Pages read at most, newest first. For older messages only the `random_id` prevents a second one.
const PAGES: usize = 20;

impl Account {
    /// For each part of the answer to `job`, the number of the message that already carries it, if
    /// there is one.
    pub async fn sent(&self, job: &Job, answer: &Answer) -> Result<Vec<Option<i32>>, Fault> {
        self.may_send((job.id, job.stranger))?;
        let link = self.current_link()?;
        match answer.settings.form {
            Form::Nowhere => Ok(vec![None; answer.parts.len()]),
            Form::SavedMessages => self.search_for(&link, job, &Form::SavedMessages, &answer.parts).await,
            Form::Replies | Form::Caption => {
                // Telegram may send a reply to a message that is gone as one to nothing.
                let message = self.found_message(&link, job).await?.message;
                let mut found = self.search_for(&link, job, &Form::Replies, &answer.parts).await?;
                if let (Form::Caption, Some(found), Some(part)) =
                    (&answer.settings.form, found.first_mut(), answer.parts.first())
                    && part.document.is_none()
                    && has_caption(&message, part)
                {
                    *found = Some(message.id);
                }
                Ok(found)
            }
        }
    }

    /// Searches Saved Messages for these parts of an answer in that form, and the job's chat for
    /// replies.
    pub(super) async fn search_for(
        &self,
        link: &Link,
        job: &Job,
        form: &Form,
        parts: &[Part],
    ) -> Result<Vec<Option<i32>>, Fault> {
        if *form == Form::SavedMessages {
            // A channel numbers its messages itself, so its numbers say nothing about others.
            let is_channel = job.recording.chat.kind == PeerKind::Channel;
            let after = if is_channel { 0 } else { job.id.message };
            let search = Search { peer: tl::enums::InputPeer::PeerSelf, after };
            return self.search(link, job, parts, search, |message| saved_part(job, message)).await;
        }
        // A reply in Saved Messages is not marked as outgoing.
        let own_chat = job.id.chat == self.context.user.id;
        let reply = |message: &tl::types::Message| {
            is_reply_to(job, message, own_chat).then(|| message.message.clone())
        };
        let search = Search { peer: self.input_peer(job).await?, after: job.id.message };
        self.search(link, job, parts, search, reply).await
    }

    /// Searches a history, newest first, for messages of which `part_of` says that they carry a
    /// part of the answer.
    async fn search(
        &self,
        link: &Link,
        job: &Job,
        parts: &[Part],
        search: Search,
        part_of: impl Fn(&tl::types::Message) -> Option<String>,
    ) -> Result<Vec<Option<i32>>, Fault> {
        let Search { peer, after } = search;
        let mut request = tl::functions::messages::GetHistory {
            peer,
            offset_id: 0,
            offset_date: 0,
            add_offset: 0,
            limit: PAGE,
            max_id: 0,
            min_id: after,
            hash: 0,
        };
        let mut carriers = Vec::new();
        for _ in 0..PAGES {
            let answer = call_to_send(link, &request).await.map_err(|error| sending_fault(&error))?;
            let messages = message::messages_of(answer);
            let last = messages.iter().map(tl::enums::Message::id).min();
            // Nothing was sent before the recording was.
            let is_past =
                after == 0 && messages.iter().filter_map(message::date).any(|date| date < job.recording.date);
            carriers.extend(messages.into_iter().filter_map(|message| match message {
                tl::enums::Message::Message(message) => {
                    let (text, file) = (part_of(&message)?, file_name(&message).map(str::to_owned));
                    Some(Carrier { number: message.id, text, file })
                }
                _ => None,
            }));
            let found = assign(job, parts, &carriers);
            match last {
                Some(last)
                    if !is_past
                        && last > after + 1
                        && (request.offset_id == 0 || last < request.offset_id) =>
                {
                    request.offset_id = last;
                }
                _ => return Ok(found),
            }
            if found.iter().all(Option::is_some) {
                return Ok(found);
            }
        }
        debug!("the chat has too many newer messages, not all of them were searched");
        Ok(assign(job, parts, &carriers))
    }
}

/// Whether a message is the owner's reply to the message of a job.
pub(super) fn is_reply_to(job: &Job, message: &tl::types::Message, own_chat: bool) -> bool {
    let named = match &message.reply_to {
        Some(tl::enums::MessageReplyHeader::Header(header)) => header.reply_to_msg_id,
        _ => None,
    };
    (message.out || own_chat) && named == Some(job.id.message)
}

/// Where what was sent may be found.
struct Search {
    peer: tl::enums::InputPeer,
    /// The number of a message before which nothing was sent.
    after: i32,
}

/// A message that carries a part of the answer.
struct Carrier {
    number: i32,
    text: String,
    /// The name of its file.
    file: Option<String>,
}

/// Assigns each carrier to at most one part, in the order in which both were sent.
fn assign(job: &Job, parts: &[Part], carriers: &[Carrier]) -> Vec<Option<i32>> {
    let mut carriers: Vec<_> = carriers.iter().collect();
    carriers.sort_by_key(|carrier| carrier.number);
    let mut found = vec![None; parts.len()];
    for Carrier { number, text, file } in carriers {
        let fits = |index: &usize| {
            let part = &parts[*index];
            let name = part.document.as_ref().map(|document| document.file_name(job.recording.date));
            // Telegram trims the texts of messages.
            found[*index].is_none() && part.shown().trim() == text.trim() && name == *file
        };
        if let Some(index) = (0..parts.len()).find(fits) {
            found[index] = Some(*number);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Document, DocumentFormat, Peer};

    fn job() -> Job {
        let chat = Peer { kind: PeerKind::User, id: 2000, access_hash: 1 };
        Job::example(chat, 6)
    }

    fn carriers(replies: &[(i32, &str)]) -> Vec<Carrier> {
        let carrier =
            |(number, text): &(i32, &str)| Carrier { number: *number, text: (*text).to_owned(), file: None };
        replies.iter().map(carrier).collect()
    }

    fn assigned(parts: &[&str], replies: &[(i32, &str)]) -> Vec<Option<i32>> {
        let parts: Vec<Part> = parts.iter().map(|text: &&str| Part::message((*text).into(), false)).collect();
        assign(&job(), &parts, &carriers(replies))
    }

    #[test]
    fn a_document_is_found_by_its_name_and_its_caption() {
        let document = |format, text: &str| {
            let content = "content".to_owned();
            Part { document: Some(Document { format, content }), ..Part::message(text.into(), false) }
        };
        let parts = [document(DocumentFormat::Txt, "one …"), document(DocumentFormat::Srt, "")];
        let mut sent = carriers(&[(7, ""), (8, "one …"), (9, "one …"), (10, ""), (11, "")]);
        sent[2].file = Some("transcript_1970-01-01_00-00_UTC.txt".into());
        sent[3].file = Some("another.srt".into());
        assert_eq!(assign(&job(), &parts, &sent), [Some(9), None]);
        sent[4].file = Some("transcript_1970-01-01_00-00_UTC.srt".into());
        assert_eq!(assign(&job(), &parts, &sent), [Some(9), Some(11)]);
        // A document with the same beginning is no message of text alone.
        assert_eq!(assign(&job(), &[Part::message("one …".into(), false)], &sent), [Some(8)]);
    }

    #[test]
    fn each_part_is_found_by_its_text() {
        assert_eq!(assigned(&["a", "b", "c"], &[(9, "b"), (7, "a ")]), [Some(7), Some(9), None]);
        assert_eq!(assigned(&["a"], &[(7, "my own words")]), [None]);
        assert_eq!(assigned(&[], &[(7, "a")]), []);
    }

    #[test]
    fn parts_of_the_same_text_are_counted() {
        assert_eq!(assigned(&["a", "a", "a"], &[(8, "a"), (7, "a")]), [Some(7), Some(8), None]);
        assert_eq!(assigned(&["a"], &[(7, "a"), (8, "a")]), [Some(7)]);
    }
}
