//! Messages that carry a file.
//!
//! A file is uploaded before its message is sent, and again for each attempt: Telegram keeps an
//! upload for a short time only, and takes it for one message. Only the message counts, and it has
//! its `random_id` like every other.

use std::hash::{BuildHasher as _, RandomState};

use grammers_client::tl;
use tokio::time::sleep;

use super::super::account::Account;
use super::super::connection::error::CallError;
use super::super::connection::link::Link;
use super::super::connection::rpc_error::Meaning;
use super::calls::SECOND_TRY;
use super::send::Outgoing;
use crate::domain::{Document, Fault, Job, Part};

/// Bytes that are uploaded at once. A file travels over the main connection, so on a line of
/// 20 kbit/s a ping behind such a piece is not late. Telegram wants them to divide 512 KiB.
const CHUNK: usize = 16 << 10;

/// A file that is to be sent.
pub(super) struct Upload {
    pub name: String,
    mime_type: &'static str,
    content: Vec<u8>,
}

impl Upload {
    /// The document of a part of the answer to `job`, if it has one.
    pub fn of(part: &Part, job: &Job) -> Option<Self> {
        let document @ Document { format, content } = part.document.as_ref()?;
        Some(Self {
            name: document.file_name(job.recording.date),
            mime_type: format.mime_type(),
            content: content.clone().into_bytes(),
        })
    }
}

impl Account {
    /// Uploads a file and sends the message with it, twice at most. The outer error means that
    /// nothing may be sent now.
    pub(super) async fn send_file(
        &self,
        link: &Link,
        job: &Job,
        outgoing: Outgoing,
        file: Upload,
        random_id: i64,
    ) -> Result<Result<tl::enums::Updates, CallError>, Fault> {
        let Outgoing { peer, reply_to, text, entities, .. } = outgoing;
        let mut request = tl::functions::messages::SendMedia {
            silent: true,
            background: true,
            clear_draft: false,
            noforwards: false,
            update_stickersets_order: false,
            invert_media: false,
            allow_paid_floodskip: false,
            peer,
            reply_to: reply_to.map(Into::into),
            media: tl::enums::InputMedia::Empty,
            message: text,
            random_id,
            reply_markup: None,
            entities: (!entities.is_empty()).then_some(entities),
            schedule_date: None,
            schedule_repeat_period: None,
            send_as: None,
            quick_reply_shortcut: None,
            effect: None,
            allow_paid_stars: None,
            suggested_post: None,
        };
        let mut is_repeated = false;
        loop {
            request.media = match upload(link, &file).await {
                Ok(media) => media,
                Err(error) => return Ok(Err(error)),
            };
            if !is_repeated {
                self.context.restrictions.check_to_send()?;
                self.context.pace.take(job).await?;
            }
            match link.call_for_job(&request).await {
                Err(error) if error.meaning() == Some(Meaning::BadRequest) && !is_repeated => {
                    is_repeated = true;
                    sleep(SECOND_TRY).await;
                }
                sent => return Ok(sent),
            }
        }
    }
}

/// Uploads a file, piece after piece.
async fn upload(link: &Link, file: &Upload) -> Result<tl::enums::InputMedia, CallError> {
    // Any number that no other upload of this time has.
    let id = RandomState::new().hash_one(&file.name) as i64;
    let mut parts = 0;
    for chunk in file.content.chunks(CHUNK) {
        let request =
            tl::functions::upload::SaveFilePart { file_id: id, file_part: parts, bytes: chunk.to_vec() };
        link.call_for_job(&request).await?;
        parts += 1;
    }
    let name = tl::types::DocumentAttributeFilename { file_name: file.name.clone() };
    let media = tl::types::InputMediaUploadedDocument {
        nosound_video: false,
        force_file: true,
        spoiler: false,
        file: tl::types::InputFile { id, parts, name: file.name.clone(), md5_checksum: String::new() }.into(),
        thumb: None,
        mime_type: file.mime_type.to_owned(),
        attributes: vec![name.into()],
        stickers: None,
        video_cover: None,
        video_timestamp: None,
        ttl_seconds: None,
    };
    Ok(media.into())
}

/// The name of the file that a message carries.
pub(super) fn file_name(message: &tl::types::Message) -> Option<&str> {
    let tl::enums::MessageMedia::Document(media) = message.media.as_ref()? else { return None };
    let tl::enums::Document::Document(document) = media.document.as_ref()? else { return None };
    document.attributes.iter().find_map(|attribute| match attribute {
        tl::enums::DocumentAttribute::Filename(attribute) => Some(attribute.file_name.as_str()),
        _ => None,
    })
}
