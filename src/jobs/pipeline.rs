//! One job, stage after stage: fetch, decode, recognise, summarise, compose, (C3) store, deliver. A
//! long recording is recognised stretch by stretch, and its progress is stored after each stretch.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::domain::policy::Policy;
use crate::domain::preview::preview_of;
use crate::domain::reply::{compose_below, text_of, under, without_documents};
use crate::domain::{
    Answer, Fault, Form, Job, LanguageCode, Origin, Preview, Progress, Settings, Task, Transcript,
};
use crate::jobs::gate::Gate;
use crate::jobs::ports::{Messenger, Summariser, Transcriber};
use crate::jobs::preview::{self, GrowingPreview};
use crate::jobs::retry::retry_until_available;
use crate::queue::{Checkpoints, Claim, QueueError, ResultCache};

/// How long a job with a long recording is put off when it gets no permit.
const LONG_JOB_PAUSE: Duration = Duration::from_secs(60);

/// What all jobs in work share.
pub struct PipelineContext {
    pub checkpoints: Arc<dyn Checkpoints>,
    pub results: Arc<dyn ResultCache>,
    pub messenger: Arc<dyn Messenger>,
    pub transcriber: Arc<dyn Transcriber>,
    /// `None`: there are no summaries.
    pub summariser: Option<Arc<dyn Summariser>>,
    /// Has the settings of jobs that were stored without.
    pub policy: watch::Receiver<Policy>,
    pub shutdown: CancellationToken,
    /// One permit for each job that may be in the middle of a long recording.
    pub long_jobs: Semaphore,
    pub gate: Arc<Gate>,
    /// How long a job is worked on before its text so far is shown; `None`: it never is.
    pub preview_after: Option<Duration>,
}

/// Answers the claimed job and returns the ids of the replies. The worker ends the job afterwards
/// (C4). `preview` is the preview of the job, if it has one, and afterwards the one that was left.
///
/// `on_checkpoint` is called whenever something was stored that a later process need not do again.
pub async fn answer(
    claim: &Claim,
    preview: &mut Option<Preview>,
    context: &PipelineContext,
    on_checkpoint: &mut (dyn FnMut() + Send),
) -> Result<Vec<i32>, Fault> {
    let PipelineContext { checkpoints, messenger, shutdown, .. } = context;
    let job = &claim.job;
    let (answer, sent) = match &claim.outbox {
        Some(answer) if answer.parts.is_empty() || answer.settings.form == Form::Nowhere => {
            (answer.clone(), Vec::new())
        }
        Some(answer) => (answer.clone(), messenger.find_sent(job, answer).await?),
        None => {
            if claim.progress.is_none() {
                context.gate.admit(job).await?;
            }
            let configured = || context.policy.borrow().settings.clone();
            let settings = job.settings.clone().unwrap_or_else(configured);
            let cached = if job.is_anew() { None } else { cached_answer(job, &settings, context).await? };
            let answer = match cached {
                Some(answer) => answer,
                None => {
                    let transcript = transcribe(claim, &settings, preview, context, on_checkpoint).await?;
                    let summary = summarise(&transcript, &settings, context).await;
                    let origin = Some(Origin { job: job.id, sent: job.recording.date });
                    Answer { origin, ..compose_below(summary, &transcript, settings) }
                }
            };
            stored("store an answer", shutdown, || checkpoints.store_outbox(job.id, &answer)).await?;
            on_checkpoint();
            (answer, Vec::new())
        }
    };
    if answer.parts.is_empty() {
        withdraw_earlier(job, &answer, &[], messenger.as_ref()).await?;
        preview::withdraw(job, preview, &[], messenger.as_ref()).await?;
        info!(event = "silent", "Nothing was said, no reply");
        return Ok(if job.is_anew() { Vec::new() } else { job.earlier_answer().to_vec() });
    }
    if answer.settings.form == Form::Nowhere {
        preview::withdraw(job, preview, &[], messenger.as_ref()).await?;
        info!(event = "kept", "The transcript is kept, nothing is sent");
        return Ok(Vec::new());
    }
    let replies = match deliver(job, &answer, &sent, preview, messenger.as_ref()).await {
        Err(Fault::NoDocuments(why)) => {
            info!(
                event = "documents_refused",
                reason = why,
                "This chat takes no documents, sending messages instead"
            );
            let answer = without_documents(answer.clone());
            stored("store an answer", shutdown, || checkpoints.store_outbox(job.id, &answer)).await?;
            deliver(job, &answer, &[], preview, messenger.as_ref()).await?
        }
        delivered => delivered?,
    };
    withdraw_earlier(job, &answer, &replies, messenger.as_ref()).await?;
    preview::withdraw(job, preview, &replies, messenger.as_ref()).await?;
    context.gate.answered(job.id.chat);
    info!(event = "answered", parts = answer.parts.len(), "Answered");
    Ok(replies)
}

/// Sends the parts of an answer that were not `sent` before; the preview becomes the first part.
/// Returns the ids of the messages.
async fn deliver(
    job: &Job,
    answer: &Answer,
    sent: &[Option<i32>],
    preview: &mut Option<Preview>,
    messenger: &dyn Messenger,
) -> Result<Vec<i32>, Fault> {
    let mut replies = Vec::new();
    for index in 0..answer.parts.len() {
        if let Some(Some(message)) = sent.get(index) {
            info!(event = "found_sent", part = index + 1, "Sent before, found in the chat");
            preview.take_if(|preview| preview.message == Some(*message));
            replies.push(*message);
            continue;
        }
        if index == 0
            && let Some(message) = preview::complete(job, answer, preview, messenger).await?
        {
            replies.push(message);
            continue;
        }
        match messenger.deliver(job, answer, index).await {
            // The first document has all of the text.
            Err(Fault::NoDocuments(why)) if index > 0 => return Err(Fault::Reject(why)),
            delivered => replies.extend(delivered?),
        }
    }
    Ok(replies)
}

/// Deletes the messages of an earlier answer that `replies` have taken the place of, if the owner
/// has asked for the recording to be recognised anew. A crash may have come before that.
async fn withdraw_earlier(
    job: &Job,
    answer: &Answer,
    replies: &[i32],
    messenger: &dyn Messenger,
) -> Result<(), Fault> {
    let earlier = job.earlier_answer().iter().copied();
    let left: Vec<i32> = earlier.filter(|message| job.is_anew() && !replies.contains(message)).collect();
    if left.is_empty() { Ok(()) } else { messenger.withdraw(job, &answer.settings.form, &left).await }
}

/// Repeats a change of the claimed job until the queue has stored it.
async fn stored<F>(what: &str, shutdown: &CancellationToken, change: impl FnMut() -> F) -> Result<(), Fault>
where
    F: Future<Output = Result<(), QueueError>>,
{
    match retry_until_available(what, shutdown, change).await {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(Fault::Fatal(error.to_string())),
        None => Err(Fault::Aborted),
    }
}

/// The stored answer to another message with the same recording, if it was made under settings that
/// give the same parts.
async fn cached_answer(
    job: &Job,
    settings: &Settings,
    context: &PipelineContext,
) -> Result<Option<Answer>, Fault> {
    let PipelineContext { results, shutdown, .. } = context;
    match retry_until_available("look for a transcript", shutdown, || results.result(job)).await {
        Some(Ok(Some(answer))) if settings.gives_parts_of(&answer) => {
            info!(event = "transcript_reused", "Known recording, its transcript is taken from the store");
            Ok(Some(under(settings.clone(), answer)))
        }
        Some(Ok(Some(_))) => {
            info!(
                "Known recording, but its stored transcript was made under another LANGUAGE, TASK, ANSWER_IN, \
                 DOCUMENT_FROM or SUMMARY_FROM"
            );
            Ok(None)
        }
        Some(Ok(None)) => Ok(None),
        // The recording can be recognised again.
        Some(Err(error @ QueueError::Damaged(_))) => {
            warn!(%error, "A stored transcript is of no use");
            Ok(None)
        }
        Some(Err(error)) => Err(Fault::Fatal(error.to_string())),
        None => Err(Fault::Aborted),
    }
}

/// A summary of a transcript, if these settings want one and it is there in time.
async fn summarise(
    transcript: &Transcript,
    settings: &Settings,
    context: &PipelineContext,
) -> Option<String> {
    let summariser = context.summariser.as_ref()?;
    let text = text_of(transcript);
    if !settings.wants_summary(&text) {
        return None;
    }
    let language = match settings.task {
        Task::Transcribe => transcript.language,
        Task::Translate => Some(LanguageCode::ENGLISH),
    };
    summariser.summarise(&text, language).await
}

async fn transcribe(
    claim: &Claim,
    settings: &Settings,
    preview: &mut Option<Preview>,
    context: &PipelineContext,
    on_checkpoint: &mut (dyn FnMut() + Send),
) -> Result<Transcript, Fault> {
    let PipelineContext { checkpoints, messenger, transcriber, shutdown, long_jobs, .. } = context;
    let job = &claim.job;
    // A transcript that was begun for another task cannot be continued: a job of a version that
    // stored no settings may have been begun under another TASK.
    let task = settings.task;
    let begun = claim.progress.clone().filter(|progress| progress.transcript.task == task);
    let mut progress = begun.unwrap_or_else(|| Progress {
        transcript: Transcript { task, ..Transcript::default() },
        ..Progress::default()
    });
    let is_long = progress.until_ms > 0 && !transcriber.is_elsewhere();
    let mut permit = if is_long { Some(long_job_permit(long_jobs)?) } else { None };
    let _room = transcriber.make_room(job).await?;
    let start = Instant::now();
    let mut fetched = Duration::ZERO;
    // What is recognised elsewhere is in this process's memory only until it is handed over.
    let mut memory = None;
    let mut recording = match transcriber.resume(job, settings, &progress).await? {
        Some(resumed) => resumed,
        None => {
            memory = Some(context.gate.reserve_memory(job)?);
            let (bytes, ()) = tokio::try_join!(messenger.fetch(job), transcriber.prepare(job))?;
            fetched = start.elapsed();
            if !transcriber.is_elsewhere() {
                stored("begin a job", shutdown, || checkpoints.begin(job.id)).await?;
            }
            transcriber.open(job, settings, bytes, &progress).await?
        }
    };
    if transcriber.is_elsewhere() {
        drop(memory.take());
    }
    recording.begun().await?;
    let decoded = start.elapsed();
    if claim.progress.is_none() {
        context.gate.measured(job, recording.length() / 1000).await;
    }
    if progress.until_ms > 0 {
        info!(
            event = "resumed",
            from_s = progress.until_ms / 1000,
            of_s = recording.length() / 1000,
            "Going on with a recording"
        );
    }
    debug!(event = "recognising", "Recognising");
    let mut recognisers: Vec<Arc<str>> = Vec::new();
    let (grown, text) = watch::channel(None);
    let recognise = async {
        // What follows the text ends with this.
        let grown = grown;
        while let Some(stretch) = recording.next().await? {
            progress.add(stretch);
            let by = recording.recognised_by();
            recognisers.extend(by.filter(|by| !recognisers.contains(by)));
            if progress.until_ms >= recording.length() {
                break;
            }
            stored("store a part of a transcript", shutdown, || {
                checkpoints.store_progress(job.id, &progress)
            })
            .await?;
            on_checkpoint();
            info!(
                event = "progress",
                until_s = progress.until_ms / 1000,
                of_s = recording.length() / 1000,
                "Recognised so far"
            );
            grown.send_replace(preview_of(&progress.transcript, settings));
            if permit.is_none() && !transcriber.is_elsewhere() {
                permit = Some(long_job_permit(long_jobs)?);
            }
        }
        Ok::<(), Fault>(())
    };
    // An earlier answer is there until the new one takes its place.
    match context.preview_after.filter(|_| job.earlier_answer().is_empty()) {
        Some(after) => {
            // One that is in the chat already goes on at once.
            let after = if preview.is_some() { Duration::ZERO } else { after };
            let growing = GrowingPreview {
                job,
                form: settings.form.clone(),
                checkpoints: checkpoints.as_ref(),
                messenger: messenger.as_ref(),
                gate: &context.gate,
                preview,
            };
            // Nothing of the preview is under way any more when the answer takes its place.
            tokio::join!(recognise, growing.follow(text, start + after)).0?;
        }
        None => recognise.await?,
    }
    let recognised = start.elapsed();
    debug!(
        event = "stages",
        fetch_ms = millis(fetched),
        decode_ms = millis(decoded - fetched),
        recognise_ms = millis(recognised - decoded),
        "Times of the stages"
    );
    let transcript = progress.transcript;
    info!(
        event = "recognised",
        audio_s = tenth(recording.length() as f64 / 1000.0),
        took_s = tenth(recognised.as_secs_f64()),
        language = transcript.language.map_or("-", LanguageCode::as_str),
        recogniser = if recognisers.is_empty() { "-".to_owned() } else { recognisers.join(", ") },
        characters = transcript.text().chars().count(),
        "Recognised"
    );
    Ok(transcript)
}

/// A permit to go on with a long recording. Without one the job is put off, so that its slot is
/// free for short recordings.
fn long_job_permit(long_jobs: &Semaphore) -> Result<SemaphorePermit<'_>, Fault> {
    long_jobs.try_acquire().map_err(|_| Fault::Later {
        after: LONG_JOB_PAUSE,
        why: "other long recordings are being recognised".to_owned(),
    })
}

fn millis(time: Duration) -> f64 {
    tenth(time.as_secs_f64() * 1000.0)
}

fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
