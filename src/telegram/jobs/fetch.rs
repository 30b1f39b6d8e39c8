//! Fetches the file of a recording, chunk by chunk.

use std::sync::Arc;
use std::time::Duration;

use grammers_client::tl;
use tokio::time::{Instant, sleep};
use tracing::debug;

use super::super::account::Account;
use super::super::connection::error::CallError;
use super::super::connection::link::Link;
use super::super::connection::rpc_error::Meaning;
use super::super::problems::FLOOD_WAIT;
use super::calls::fault;
use super::chunk_size::ChunkSize;
use super::downloads::FileBytes;
use crate::domain::{Fault, Form, Job, JobId};

/// If a chunk takes longer than this, the download counts as stuck. With a login to another
/// datacentre, a chunk takes several requests, each with a timeout of its own.
const CHUNK_STALL_LIMIT: Duration = Duration::from_secs(300);
/// The longest pause during which the job stays claimed. For a longer one the job is put back, and
/// other jobs are worked on meanwhile.
const MAX_CLAIMED_PAUSE: Duration = Duration::from_secs(30);
/// How many errors inside Telegram in a row are followed by another attempt.
const MAX_SERVER_ERRORS: u32 = 3;
/// Pause after such an error.
const SERVER_ERROR_PAUSE: Duration = Duration::from_secs(1);
/// How often in a row Telegram may point to another datacentre or ask for a fresh file reference.
const MAX_REDIRECTS: u32 = 3;

impl Account {
    /// Fetches the bytes of a job's recording, and resumes the download of an earlier attempt.
    ///
    /// The message is read again first, because file references expire after some hours.
    pub async fn fetch(&self, job: &Job) -> Result<Vec<u8>, Fault> {
        let _during = self.context.pulses.files.during(CHUNK_STALL_LIMIT);
        let link = self.current_link()?;
        let goes_elsewhere =
            job.settings.as_ref().is_some_and(|it| matches!(it.form, Form::SavedMessages | Form::Nowhere));
        if !goes_elsewhere && self.refusing.refuse(&job.recording) {
            let why = "the account may not write in this chat, as an answer before this one has shown";
            return Err(Fault::Reject(why.into()));
        }
        let recording = self.look_up(&link, job).await?;
        let size = u64::try_from(recording.document.size).unwrap_or(0);
        if size > self.context.options.max_file_size {
            return Err(Fault::Reject(format!(
                "the recording has {size} bytes, more than MAX_FILE_SIZE allows"
            )));
        }
        let mut download = Download {
            account: self,
            job,
            bytes: self.downloads.resume(job.id, recording.document.id, size).await,
            dc: recording.document.dc_id,
            document: recording.document,
            size,
            chunk_size: ChunkSize::of_own_connection(),
            failures: Failures::default(),
            link,
        };
        // An empty file has a chunk too, which says so.
        let is_here = size > 0 && download.bytes.len() >= size;
        while !is_here && !download.next_chunk().await? {}
        let bytes = download.bytes.finish();
        // A file that Telegram cuts short ends with a short chunk, like a complete one.
        if (bytes.len() as u64) < size {
            self.downloads.forget(job.id);
            return Err(Fault::retry_in(30, format!("the file ended after {} of {size} bytes", bytes.len())));
        }
        Ok(bytes)
    }

    /// Drops the unfinished file and the turn to send of a job that has ended.
    pub fn forget_job(&self, job: JobId) {
        self.downloads.forget(job);
        self.context.pace.forget(job);
    }

    /// Waits until Telegram lets this account download.
    async fn may_download(&self) -> Result<(), Fault> {
        while let Some((left, why)) = self.downloads.paused_for() {
            if left > MAX_CLAIMED_PAUSE {
                return Err(Fault::wait(left, why));
            }
            self.context.pulses.files.keep(left + CHUNK_STALL_LIMIT);
            sleep(left).await;
        }
        self.context.pulses.files.keep(CHUNK_STALL_LIMIT);
        Ok(())
    }
}

/// A file that is being fetched. If this is dropped early, the bytes fetched so far are kept.
struct Download<'a> {
    account: &'a Account,
    link: Arc<Link>,
    job: &'a Job,
    document: tl::types::Document,
    /// Size in bytes, as the message says.
    size: u64,
    /// The datacentre that stores the file.
    dc: i32,
    bytes: FileBytes<'a>,
    chunk_size: ChunkSize,
    failures: Failures,
}

/// What has gone wrong since the last chunk came.
#[derive(Default)]
struct Failures {
    server_errors: u32,
    redirects: u32,
    lost_chunks: u32,
}

impl Download<'_> {
    /// Fetches the next chunk. Returns whether it was the last.
    async fn next_chunk(&mut self) -> Result<bool, Fault> {
        loop {
            self.account.may_download().await?;
            match self.ask().await {
                Ok(None) => {}
                Ok(Some((tl::enums::upload::File::File(chunk), limit))) => {
                    self.failures = Failures::default();
                    let is_last = chunk.bytes.len() < limit as usize;
                    self.bytes.add(chunk.bytes).await;
                    return Ok(is_last || self.bytes.len() >= self.size);
                }
                Ok(Some((tl::enums::upload::File::CdnRedirect(_), _))) => {
                    return Err(Fault::retry_in(60, "Telegram offered the file from its CDN, unasked"));
                }
                Err(error) => self.recover(error).await?,
            }
        }
    }

    /// Asks once for the next chunk. Returns the answer and how many bytes were asked for; `None`
    /// if Telegram has demanded a pause of another download while this one waited for its turn.
    async fn ask(&mut self) -> Result<Option<(tl::enums::upload::File, i32)>, CallError> {
        let route = self.link.file_route(self.dc).await?;
        if self.account.downloads.paused_for().is_some() {
            return Ok(None);
        }
        self.chunk_size.fit(route.is_main());
        let offset = self.bytes.len();
        let limit = self.chunk_size.at(offset);
        let request = tl::functions::upload::GetFile {
            precise: false,
            cdn_supported: false,
            location: location(&self.document),
            // Bounded by MAX_FILE_SIZE, far below.
            offset: offset as i64,
            limit,
        };
        let asked = Instant::now();
        let answer = self.link.call_for_file(&route, &request).await;
        let (took, ping_timeout) = (asked.elapsed(), self.account.context.options.ping_timeout);
        match &answer {
            Ok(_) => self.chunk_size.came_after(took, ping_timeout),
            Err(CallError::Lost(_)) => self.chunk_size.was_lost_after(took, ping_timeout),
            Err(CallError::Rpc { .. } | CallError::KeyExchange(_)) => {}
        }
        Ok(Some((answer?, limit)))
    }

    /// Prepares another attempt at the chunk, or fails if there is none now.
    async fn recover(&mut self, error: CallError) -> Result<(), Fault> {
        let failures = &mut self.failures;
        match error.meaning() {
            Some(Meaning::Wait { time, .. }) => {
                self.account.downloads.pause_for(time, FLOOD_WAIT.tag(error));
            }
            Some(Meaning::Migrate(to)) if failures.redirects < MAX_REDIRECTS => {
                failures.redirects += 1;
                self.dc = to.unwrap_or(self.dc);
            }
            Some(Meaning::FileReference) if failures.redirects < MAX_REDIRECTS => {
                failures.redirects += 1;
                debug!(%error, "reading the message again for its file's reference");
                let document = self.account.look_up(&self.link, self.job).await?.document;
                if document.id != self.document.id {
                    return Err(Fault::retry_in(1, "the message holds another recording now"));
                }
                self.document = document;
            }
            Some(Meaning::ServerTrouble) if failures.server_errors < MAX_SERVER_ERRORS => {
                failures.server_errors += 1;
                debug!(%error, "asking for the chunk again");
                sleep(SERVER_ERROR_PAUSE).await;
            }
            // The line may be slow, or an idle connection was lost without notice.
            None if failures.lost_chunks == 0 => {
                failures.lost_chunks += 1;
                debug!(%error, "a chunk of the file did not come, asking again");
            }
            _ => return Err(fault(&error)),
        }
        Ok(())
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
