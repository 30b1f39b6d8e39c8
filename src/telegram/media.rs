//! Fetches the file of a recording.

use std::time::Duration;

use grammers_client::tl;
use tokio::time::sleep;
use tracing::debug;

use super::account::Account;
use super::connection::Link;
use super::deliver::fault;
use super::incoming::{self, Recording};
use super::rpc_error::Meaning;
use crate::domain::{Fault, Job, PeerKind};

/// Bytes asked for at once: the most that `upload.getFile` gives.
const CHUNK: i32 = 512 << 10;
/// What is asked for after one of those did not come in time: on a line of 20 kbit/s this does, within
/// the 30 s that a call has. There is no limit to the whole.
const SMALL_CHUNK: i32 = 64 << 10;
/// A part and what comes with it, a login to another datacentre above all, are some requests with a limit
/// each. What takes longer is stuck.
const PART: Duration = Duration::from_secs(300);
/// Troubles inside Telegram in a row after which the file is left for later.
const SERVER_ERRORS: u32 = 3;
/// Pause after one.
const SERVER_ERROR_PAUSE: Duration = Duration::from_secs(1);
/// How often the file may say that it lies elsewhere or wants a fresh reference.
const DETOURS: u32 = 3;

impl Account {
    /// The bytes of a job's recording.
    ///
    /// The message is read anew first, because file references expire after some hours.
    pub async fn fetch(&self, job: &Job) -> Result<Vec<u8>, Fault> {
        let _during = self.pulses.files.during(PART);
        let link = self.current_link()?;
        let mut recording = self.look_up(&link, job).await?;
        let size = u64::try_from(recording.document.size).unwrap_or(0);
        if size > self.options.max_file_size {
            return Err(Fault::Reject(format!(
                "the recording has {size} bytes, more than MAX_FILE_SIZE allows"
            )));
        }
        let mut dc = recording.document.dc_id;
        let mut bytes = Vec::new();
        let (mut server_errors, mut detours) = (0, 0);
        let mut chunk = CHUNK;
        loop {
            self.pulses.files.keep(PART);
            let request = tl::functions::upload::GetFile {
                precise: false,
                cdn_supported: false,
                location: location(&recording.document),
                // Bounded by MAX_FILE_SIZE, far below.
                offset: bytes.len() as i64,
                limit: chunk,
            };
            match link.call_for_file(dc, &request).await {
                Ok(tl::enums::upload::File::File(file)) => {
                    server_errors = 0;
                    let last = file.bytes.len() < chunk as usize;
                    bytes.extend_from_slice(&file.bytes);
                    if last || bytes.len() as u64 >= size {
                        break;
                    }
                }
                Ok(tl::enums::upload::File::CdnRedirect(_)) => {
                    return Err(Fault::retry_in(60, "Telegram offered the file from its CDN, unasked"));
                }
                Err(error) => match error.meaning() {
                    Some(Meaning::Migrate(to)) if detours < DETOURS => {
                        detours += 1;
                        dc = to.unwrap_or(dc);
                    }
                    Some(Meaning::FileReference) if detours < DETOURS => {
                        detours += 1;
                        debug!(%error, "reading the message again for its file's reference");
                        recording = self.look_up(&link, job).await?;
                    }
                    Some(Meaning::ServerTrouble) if server_errors < SERVER_ERRORS => {
                        server_errors += 1;
                        sleep(SERVER_ERROR_PAUSE).await;
                    }
                    // The line may be slow, or the connection was lost while nothing went over it.
                    None if chunk > SMALL_CHUNK => {
                        debug!(%error, "a part of the file did not come, going on in smaller ones");
                        chunk = SMALL_CHUNK;
                    }
                    _ => return Err(fault(&error)),
                },
            }
        }
        // A download that broke off looks like one that ended.
        match (bytes.len() as u64).cmp(&size) {
            std::cmp::Ordering::Less => {
                Err(Fault::retry_in(30, format!("the file ended after {} of {size} bytes", bytes.len())))
            }
            _ => Ok(bytes),
        }
    }

    /// Reads the job's message anew. Where the chat's access hash is missing it is known afterwards.
    pub(super) async fn look_up(&self, link: &Link, job: &Job) -> Result<Recording, Fault> {
        let id = vec![tl::enums::InputMessage::Id(tl::types::InputMessageId { id: job.id.message })];
        let answer = if job.peer.kind == PeerKind::Channel {
            let channel =
                tl::types::InputChannel { channel_id: job.peer.id, access_hash: job.peer.access_hash }.into();
            link.call_for_job(&tl::functions::channels::GetMessages { channel, id }).await
        } else {
            link.call_for_job(&tl::functions::messages::GetMessages { id }).await
        };
        let answer = answer.map_err(|error| fault(&error))?;
        if job.peer.access_hash == 0 {
            let cached = self.store.cache_peers(incoming::peers_of(&answer)).await;
            cached.map_err(|error| Fault::retry_in(60, error))?;
        }
        let messages = incoming::messages_of(answer);
        let media = messages.iter().find_map(|message| match message {
            tl::enums::Message::Message(message) if message.id == job.id.message => message.media.as_ref(),
            _ => None,
        });
        media
            .and_then(incoming::recording)
            .ok_or_else(|| Fault::Gone("the message was deleted, or is no recording any more".into()))
    }
}

fn location(document: &tl::types::Document) -> tl::enums::InputFileLocation {
    tl::types::InputDocumentFileLocation {
        id: document.id,
        access_hash: document.access_hash,
        file_reference: document.file_reference.clone(),
        thumb_size: String::new(),
    }
    .into()
}
