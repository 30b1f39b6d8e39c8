//! One job, stage after stage: fetch, decode, recognise, compose, (C3) store, deliver. A long recording
//! is recognised stretch by stretch, and how far it has come is stored after each.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::domain::reply::compose;
use crate::domain::{Fault, Job, JobId, Part, Progress, Task};
use crate::patience::insist;
use crate::queue::{Claim, Queue, QueueError};

/// The work that a job needs done by others.
#[async_trait]
pub trait Stages: Send + Sync {
    /// Waits until jobs can be worked on at all.
    async fn ready(&self);
    /// The number of the connection over which they can be now.
    fn connection(&self) -> Option<u64>;
    /// What is written down of the recordings.
    fn task(&self) -> Task;
    /// The bytes of the recording.
    async fn fetch(&self, job: &Job) -> Result<Vec<u8>, Fault>;
    /// Decodes the recording, to be recognised from where `progress` ends.
    async fn listen(
        &self,
        job: &Job,
        bytes: Vec<u8>,
        progress: &Progress,
    ) -> Result<Box<dyn Listening + '_>, Fault>;
    /// For each part the message that is it, where an earlier try has sent it.
    async fn sent(&self, job: &Job, parts: &[Part]) -> Result<Vec<Option<i32>>, Fault>;
    /// Sends one part; the number of its message where it is known.
    async fn deliver(&self, job: &Job, index: usize, part: &Part) -> Result<Option<i32>, Fault>;
    /// Drops what is kept for a job between its attempts: it has ended.
    fn forget(&self, job: JobId);
}

/// A recording that is being recognised.
#[async_trait]
pub trait Listening: Send {
    /// Milliseconds.
    fn length(&self) -> u64;
    /// What was said in the next stretch, none at the end.
    async fn next(&mut self) -> Result<Option<Progress>, Fault>;
}

/// What the jobs that are worked on at the same time share.
pub struct Shop {
    pub queue: Arc<dyn Queue>,
    pub stages: Arc<dyn Stages>,
    pub shutdown: CancellationToken,
    /// A permit for each job that may be in the middle of a long recording.
    pub long: Semaphore,
}

/// How long a long recording that has no permit waits for one.
const LONG_WAIT: Duration = Duration::from_secs(60);

/// Answers the claimed job and says with which messages. It is not ended yet (C4 is the worker's).
///
/// `got_on` is called whenever something was stored that a process after this one need not do again.
pub async fn answer(
    claim: &Claim,
    shop: &Shop,
    got_on: &mut (dyn FnMut() + Send),
) -> Result<Vec<i32>, Fault> {
    let Shop { queue, shutdown, .. } = shop;
    let stages = &*shop.stages;
    let job = &claim.job;
    let (parts, sent) = match &claim.outbox {
        Some(parts) if parts.is_empty() => (Vec::new(), Vec::new()),
        Some(parts) => (parts.clone(), stages.sent(job, parts).await?),
        None => {
            let parts = match known(job, shop).await? {
                Some(parts) => parts,
                None => transcribe(claim, shop, got_on).await?,
            };
            stored("store an answer", shutdown, || queue.store_outbox(job.id, &parts)).await?;
            got_on();
            (parts, Vec::new())
        }
    };
    let mut replies = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if let Some(Some(message)) = sent.get(index) {
            info!(part = index + 1, "Sent before, found in the chat");
            replies.push(*message);
        } else {
            replies.extend(stages.deliver(job, index, part).await?);
        }
    }
    match parts.len() {
        0 => info!("Nothing was said, no reply"),
        parts => info!(parts, "Answered"),
    }
    Ok(replies)
}

/// Repeats a change of the claimed job until the queue has it.
async fn stored<F>(what: &str, shutdown: &CancellationToken, change: impl FnMut() -> F) -> Result<(), Fault>
where
    F: Future<Output = Result<(), QueueError>>,
{
    match insist(what, shutdown, change).await {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(Fault::Fatal(error.to_string())),
        None => Err(Fault::Aborted),
    }
}

/// What was answered to another copy of the same recording, if it is of the task that is asked for now.
async fn known(job: &Job, shop: &Shop) -> Result<Option<Vec<Part>>, Fault> {
    let Shop { queue, stages, shutdown, .. } = shop;
    match insist("look for a transcript", shutdown, || queue.result(job.document)).await {
        Some(Ok(Some(parts))) if parts.iter().all(|part| part.task == stages.task()) => {
            info!("Known recording, its transcript is taken from the store");
            Ok(Some(parts))
        }
        Some(Ok(Some(_))) => {
            info!("Known recording, but what is stored of it is of another TASK");
            Ok(None)
        }
        Some(Ok(None)) => Ok(None),
        // It can be had again.
        Some(Err(error @ QueueError::Damaged(_))) => {
            warn!(%error, "A stored transcript is of no use");
            Ok(None)
        }
        Some(Err(error)) => Err(Fault::Fatal(error.to_string())),
        None => Err(Fault::Aborted),
    }
}

async fn transcribe(
    claim: &Claim,
    shop: &Shop,
    got_on: &mut (dyn FnMut() + Send),
) -> Result<Vec<Part>, Fault> {
    let Shop { queue, stages, shutdown, long } = shop;
    let job = &claim.job;
    // What is left of another TASK cannot be gone on with.
    let same_task = |progress: &Progress| progress.transcript.task == stages.task();
    let mut progress = claim.progress.clone().filter(same_task).unwrap_or_default();
    let mut permit = match progress.until_ms {
        0 => None,
        _ => Some(permit_for(long)?),
    };
    let start = Instant::now();
    let bytes = stages.fetch(job).await?;
    let fetched = start.elapsed();
    stored("begin a job", shutdown, || queue.begin(job.id)).await?;
    let mut recording = stages.listen(job, bytes, &progress).await?;
    let decoded = start.elapsed();
    if progress.until_ms > 0 {
        info!(
            from_s = progress.until_ms / 1000,
            of_s = recording.length() / 1000,
            "Going on with a recording"
        );
    }
    debug!("Recognising");
    while let Some(stretch) = recording.next().await? {
        progress.add(stretch);
        if progress.until_ms >= recording.length() {
            break;
        }
        stored("store a part of a transcript", shutdown, || queue.store_progress(job.id, &progress)).await?;
        got_on();
        info!(until_s = progress.until_ms / 1000, of_s = recording.length() / 1000, "Recognised so far");
        if permit.is_none() {
            permit = Some(permit_for(long)?);
        }
    }
    let recognised = start.elapsed();
    debug!(
        fetch_ms = millis(fetched),
        decode_ms = millis(decoded - fetched),
        recognise_ms = millis(recognised - decoded),
        "stages"
    );
    let transcript = progress.transcript;
    info!(
        audio_s = tenth(recording.length() as f64 / 1000.0),
        took_s = tenth(recognised.as_secs_f64()),
        language = transcript.language.as_deref().unwrap_or("-"),
        characters = transcript.text().chars().count(),
        "Recognised"
    );
    Ok(compose(&transcript))
}

/// The right to go on with a long recording, or a wait for it that leaves the way to the others.
fn permit_for(long: &Semaphore) -> Result<SemaphorePermit<'_>, Fault> {
    long.try_acquire().map_err(|_| Fault::Later {
        after: LONG_WAIT,
        why: "other long recordings are being recognised".to_owned(),
    })
}

fn millis(time: Duration) -> f64 {
    tenth(time.as_secs_f64() * 1000.0)
}

fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
