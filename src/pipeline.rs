//! One job, stage after stage: fetch, decode, recognise, compose, (C3) store, deliver.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::domain::reply::compose;
use crate::domain::{Fault, Job, Part, Transcript};
use crate::patience::insist;
use crate::queue::{Claim, Queue, QueueError};

/// The work that a job needs done by others.
#[async_trait]
pub trait Stages: Send + Sync {
    /// Waits until jobs can be worked on at all.
    async fn ready(&self);
    /// The number of the connection over which they can be now.
    fn connection(&self) -> Option<u64>;
    /// The bytes of the recording.
    async fn fetch(&self, job: &Job) -> Result<Vec<u8>, Fault>;
    /// Samples at 16 kHz, mono.
    async fn decode(&self, bytes: Vec<u8>) -> Result<Vec<f32>, Fault>;
    async fn recognise(&self, samples: Vec<f32>) -> Result<Transcript, Fault>;
    /// For each part the message that is it, where an earlier try has sent it.
    async fn sent(&self, job: &Job, parts: &[Part]) -> Result<Vec<Option<i32>>, Fault>;
    /// Sends one part; the number of its message where it is known.
    async fn deliver(&self, job: &Job, index: usize, part: &Part) -> Result<Option<i32>, Fault>;
}

/// Answers the claimed job and says with which messages. It is not ended yet (C4 is the worker's).
pub async fn answer(
    claim: &Claim,
    stages: &dyn Stages,
    queue: &Arc<dyn Queue>,
    shutdown: &CancellationToken,
) -> Result<Vec<i32>, Fault> {
    let job = &claim.job;
    let (parts, sent) = match &claim.outbox {
        Some(parts) if parts.is_empty() => (Vec::new(), Vec::new()),
        Some(parts) => (parts.clone(), stages.sent(job, parts).await?),
        None => {
            let parts = match known(job, queue, shutdown).await? {
                Some(parts) => parts,
                None => transcribe(job, stages).await?,
            };
            #[cfg(feature = "chaos")]
            crate::chaos::pass("C2-C3");
            match insist("store an answer", shutdown, || queue.store_outbox(job.id, &parts)).await {
                Some(Ok(())) => (parts, Vec::new()),
                Some(Err(error)) => return Err(Fault::Fatal(error.to_string())),
                None => return Err(Fault::Aborted),
            }
        }
    };
    let mut replies = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        #[cfg(feature = "chaos")]
        crate::chaos::pass("C3-send");
        if let Some(Some(message)) = sent.get(index) {
            info!(part = index + 1, "Sent before, found in the chat");
            replies.push(*message);
        } else {
            replies.extend(stages.deliver(job, index, part).await?);
        }
    }
    #[cfg(feature = "chaos")]
    crate::chaos::pass("send-C4");
    match parts.len() {
        0 => info!("Nothing was said, no reply"),
        parts => info!(parts, "Answered"),
    }
    Ok(replies)
}

/// What was answered to another copy of the same recording.
async fn known(
    job: &Job,
    queue: &Arc<dyn Queue>,
    shutdown: &CancellationToken,
) -> Result<Option<Vec<Part>>, Fault> {
    match insist("look for a transcript", shutdown, || queue.result(job.document)).await {
        Some(Ok(parts)) => {
            if parts.is_some() {
                info!("Known recording, its transcript is taken from the store");
            }
            Ok(parts)
        }
        // It can be had again.
        Some(Err(error @ QueueError::Damaged(_))) => {
            warn!(%error, "A stored transcript is of no use");
            Ok(None)
        }
        Some(Err(error)) => Err(Fault::Fatal(error.to_string())),
        None => Err(Fault::Aborted),
    }
}

async fn transcribe(job: &Job, stages: &dyn Stages) -> Result<Vec<Part>, Fault> {
    let start = Instant::now();
    let bytes = stages.fetch(job).await?;
    let fetched = start.elapsed();
    let samples = stages.decode(bytes).await?;
    let decoded = start.elapsed();
    let seconds = samples.len() as f64 / 16_000.0;
    debug!("Recognising");
    let transcript = stages.recognise(samples).await?;
    let recognised = start.elapsed();
    debug!(
        fetch_ms = millis(fetched),
        decode_ms = millis(decoded - fetched),
        recognise_ms = millis(recognised - decoded),
        "stages"
    );
    info!(
        audio_s = (seconds * 10.0).round() / 10.0,
        took_s = (recognised.as_secs_f64() * 10.0).round() / 10.0,
        language = transcript.language.as_deref().unwrap_or("-"),
        characters = transcript.text().chars().count(),
        "Recognised"
    );
    Ok(compose(&transcript))
}

/// To a tenth.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}
