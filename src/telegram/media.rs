//! Fetches the file of a recording, part by part.

use std::sync::Arc;
use std::time::Duration;

use grammers_client::tl;
use tokio::time::{Instant, sleep};
use tracing::debug;

use super::account::Account;
use super::connection::{CallError, Link};
use super::deliver::fault;
use super::downloads::FileBytes;
use super::file_route::FileRoute;
use super::incoming::{self, Recording};
use super::rpc_error::Meaning;
use crate::domain::{Fault, Job, JobId, PeerKind};

/// A part and what comes with it, a login to another datacentre above all, are some requests with a
/// limit each. What takes longer is stuck.
const PART: Duration = Duration::from_secs(300);
/// The longest wait for Telegram that is sat out with the job claimed. For a longer one the job is
/// put back, and others are worked on meanwhile.
const WAIT_IN_PLACE: Duration = Duration::from_secs(30);
/// Troubles inside Telegram in a row after which the file is left for later.
const SERVER_ERRORS: u32 = 3;
/// Pause after one.
const SERVER_ERROR_PAUSE: Duration = Duration::from_secs(1);
/// How often in a row the file may say that it lies elsewhere or wants a fresh reference.
const DETOURS: u32 = 3;

impl Account {
    /// The bytes of a job's recording. What an earlier attempt at the job has fetched is not
    /// fetched again.
    ///
    /// The message is read anew first, because file references expire after some hours.
    pub async fn fetch(&self, job: &Job) -> Result<Vec<u8>, Fault> {
        let _during = self.pulses.files.during(PART);
        let link = self.current_link()?;
        let recording = self.look_up(&link, job).await?;
        let size = u64::try_from(recording.document.size).unwrap_or(0);
        if size > self.options.max_file_size {
            return Err(Fault::Reject(format!(
                "the recording has {size} bytes, more than MAX_FILE_SIZE allows"
            )));
        }
        let mut download = Download {
            account: self,
            job,
            bytes: self.downloads.resume(job.id, recording.document.id),
            dc: recording.document.dc_id,
            document: recording.document,
            size,
            part_size: PartSize::of_own_connection(),
            failures: Failures::default(),
            link,
        };
        while !download.next_part().await? {}
        let bytes = download.bytes.finish();
        // A download that broke off looks like one that ended.
        if (bytes.len() as u64) < size {
            return Err(Fault::retry_in(30, format!("the file ended after {} of {size} bytes", bytes.len())));
        }
        Ok(bytes)
    }

    /// Drops what was kept of the file of a job that has ended.
    pub fn forget_file(&self, job: JobId) {
        self.downloads.forget(job);
    }

    /// Waits until Telegram lets this account download.
    async fn may_download(&self) -> Result<(), Fault> {
        while let Some((left, why)) = self.downloads.paused_for() {
            if left > WAIT_IN_PLACE {
                return Err(Fault::wait(left, why));
            }
            self.pulses.files.keep(left + PART);
            sleep(left).await;
        }
        self.pulses.files.keep(PART);
        Ok(())
    }

    /// Reads the job's message anew. Where the chat's access hash is missing it is known
    /// afterwards.
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

/// A file on its way. What has come is kept when this is dropped before it is whole.
struct Download<'a> {
    account: &'a Account,
    link: Arc<Link>,
    job: &'a Job,
    document: tl::types::Document,
    /// In bytes, as the message says.
    size: u64,
    /// The datacentre that has the file.
    dc: i32,
    bytes: FileBytes<'a>,
    part_size: PartSize,
    failures: Failures,
}

/// What went wrong since the last part came.
#[derive(Default)]
struct Failures {
    server_errors: u32,
    detours: u32,
    lost_parts: u32,
}

impl Download<'_> {
    /// Fetches the next part; whether it was the last.
    async fn next_part(&mut self) -> Result<bool, Fault> {
        loop {
            self.account.may_download().await?;
            match self.ask().await {
                Ok(None) => {}
                Ok(Some((tl::enums::upload::File::File(part), limit))) => {
                    self.failures = Failures::default();
                    self.bytes.add(&part.bytes);
                    let is_last = part.bytes.len() < limit as usize;
                    return Ok(is_last || self.bytes.len() >= self.size);
                }
                Ok(Some((tl::enums::upload::File::CdnRedirect(_), _))) => {
                    return Err(Fault::retry_in(60, "Telegram offered the file from its CDN, unasked"));
                }
                Err(error) => self.recover(error).await?,
            }
        }
    }

    /// Asks once for the next part; the answer, and how many bytes were asked for. None if Telegram has
    /// demanded a wait of another download while this one waited for its turn.
    async fn ask(&mut self) -> Result<Option<(tl::enums::upload::File, i32)>, CallError> {
        let route = self.link.file_route(self.dc).await?;
        if self.account.downloads.paused_for().is_some() {
            return Ok(None);
        }
        self.part_size.fit(&route);
        let offset = self.bytes.len();
        let limit = self.part_size.at(offset);
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
        let (took, ping_timeout) = (asked.elapsed(), self.account.options.ping_timeout);
        match &answer {
            Ok(_) => self.part_size.came_after(took, ping_timeout),
            Err(CallError::Lost(_)) => self.part_size.was_lost_after(took, ping_timeout),
            Err(CallError::Rpc { .. }) => {}
        }
        Ok(Some((answer?, limit)))
    }

    /// Prepares another try at the part, if there is to be one now.
    async fn recover(&mut self, error: CallError) -> Result<(), Fault> {
        let failures = &mut self.failures;
        match error.meaning() {
            Some(Meaning::Wait { time, .. }) => {
                self.account.downloads.pause_for(time, error.to_string());
            }
            Some(Meaning::Migrate(to)) if failures.detours < DETOURS => {
                failures.detours += 1;
                self.dc = to.unwrap_or(self.dc);
            }
            Some(Meaning::FileReference) if failures.detours < DETOURS => {
                failures.detours += 1;
                debug!(%error, "reading the message again for its file's reference");
                let document = self.account.look_up(&self.link, self.job).await?.document;
                if document.id != self.document.id {
                    return Err(Fault::retry_in(1, "the message holds another recording now"));
                }
                self.document = document;
            }
            Some(Meaning::ServerTrouble) if failures.server_errors < SERVER_ERRORS => {
                failures.server_errors += 1;
                debug!(%error, "asking for the part again");
                sleep(SERVER_ERROR_PAUSE).await;
            }
            // The line may be slow, or the connection was lost while nothing went over it.
            None if failures.lost_parts == 0 => {
                failures.lost_parts += 1;
                debug!(%error, "a part of the file did not come, asking again");
            }
            _ => return Err(fault(&error)),
        }
        Ok(())
    }
}

/// How many bytes are asked for at once: a power of two. Over the main connection it grows while parts
/// come quickly and shrinks while they come slowly; over any, after one that did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PartSize {
    of_main: bool,
    now: i32,
    least: i32,
    most: i32,
}

impl PartSize {
    /// From 64 KiB, which take 26 s on a line of 20 kbit/s and so come within the 30 s that a call
    /// has, to the most that `upload.getFile` gives.
    fn of_own_connection() -> Self {
        Self { of_main: false, now: 512 << 10, least: 64 << 10, most: 512 << 10 }
    }

    /// From 16 KiB, which take 7 s on a line of 20 kbit/s, half of what a ping behind them has, to
    /// 64 KiB. Those are asked for on a line only that has just carried half as much within a
    /// sixteenth of that time, so it may become seven times slower before a ping is late.
    fn of_main_connection() -> Self {
        Self { of_main: true, now: 16 << 10, least: 16 << 10, most: 64 << 10 }
    }

    /// Begins anew on another kind of connection.
    fn fit(&mut self, route: &FileRoute<'_>) {
        if self.of_main != route.is_main() {
            *self = if route.is_main() { Self::of_main_connection() } else { Self::of_own_connection() };
        }
    }

    /// What to ask for at `offset`: a part must not cross a multiple of 1 MiB
    /// (<https://core.telegram.org/api/files#downloading-files>), so parts lie at multiples of
    /// their size.
    fn at(&self, offset: u64) -> i32 {
        let mut size = self.now;
        // What has come is whole parts, each of 16 KiB at least.
        while !offset.is_multiple_of(size as u64) {
            size /= 2;
        }
        size
    }

    fn came_after(&mut self, time: Duration, ping_timeout: Duration) {
        if !self.of_main {
            return;
        }
        if time < ping_timeout / 16 {
            self.now = (self.now * 2).min(self.most);
        } else if time > ping_timeout / 4 {
            self.now = (self.now / 2).max(self.least);
        }
    }

    /// A connection that was cut at once tells nothing of the line's speed.
    fn was_lost_after(&mut self, time: Duration, ping_timeout: Duration) {
        if time > ping_timeout / 4 {
            self.now = self.least;
            self.most = self.least;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const PING_TIMEOUT: Duration = Duration::from_secs(15);

    #[test]
    fn parts_over_the_main_connection_grow_on_a_fast_line_only() {
        let mut size = PartSize::of_main_connection();
        assert_eq!(size.at(0), 16 << 10);
        for _ in 0..5 {
            size.came_after(Duration::from_millis(200), PING_TIMEOUT);
        }
        assert_eq!(size.now, 64 << 10);
        for _ in 0..5 {
            // 16 KiB on a line of 20 kbit/s.
            size.came_after(Duration::from_secs(7), PING_TIMEOUT);
        }
        assert_eq!(size.now, 16 << 10);
    }

    #[test]
    fn after_a_part_that_did_not_come_in_time_they_stay_small() {
        let mut size = PartSize::of_own_connection();
        size.came_after(Duration::from_secs(20), PING_TIMEOUT);
        assert_eq!(size.at(0), 512 << 10);
        size.was_lost_after(Duration::from_millis(1), PING_TIMEOUT);
        assert_eq!(size.at(0), 512 << 10);
        size.was_lost_after(Duration::from_secs(30), PING_TIMEOUT);
        size.came_after(Duration::from_millis(200), PING_TIMEOUT);
        assert_eq!(size.at(512 << 10), 64 << 10);
    }

    #[test]
    fn no_part_crosses_a_mebibyte_whatever_the_size_of_those_before() {
        let sizes = [PartSize::of_main_connection(), PartSize::of_own_connection()];
        let mut offset = 0_u64;
        for step in 0..1000 {
            let mut size = sizes[step / 7 % 2];
            if step % 3 == 0 {
                size.came_after(Duration::from_millis(200), PING_TIMEOUT);
            }
            let limit = size.at(offset) as u64;
            assert_eq!(offset >> 20, (offset + limit - 1) >> 20, "{limit} at {offset}");
            assert!(limit.is_power_of_two() && (4096..=1 << 20).contains(&limit), "{limit}");
            offset += limit;
        }
    }
}
