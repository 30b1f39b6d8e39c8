//! A worker: takes the assignments of all gateways in turn, and recognises them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, info, info_span, warn};

use super::conclusion::{FAREWELL_LIMIT, Stop};
use super::in_hand::InHand;
use super::job::{job_of, settings_of};
use super::keeper::{Keeper, RENEWALS};
use super::options::{WorkerObserver, WorkerOptions};
use crate::domain::{Fault, JobId};
use crate::jobs::ports::Transcriber;
use crate::jobs::retry::retry_until_available;
use crate::queue::fleet::{Card, Lease, Leases, Outcome, Stretch};
use crate::queue::{Candidates, QueueError};
use crate::runtime::lock;
use crate::runtime::pulse::Pulse;

/// Assignments in hand at a time: while one is recognised, the next are fetched and decoded.
const SLOTS: usize = 4;
/// How many of them may be in the middle of a long recording.
const LONG_SLOTS: usize = SLOTS - 1;
/// How much later a busy worker takes another assignment, for each that it has in hand: an idle
/// one is there first.
const COURTESY: Duration = Duration::from_millis(30);
/// How often it is looked for assignments while none is announced. A missed lease is noticed then.
const LOOK: Duration = Duration::from_secs(1);
/// How long this worker takes nothing when something in its surroundings fails, at least and at
/// most.
pub(super) const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How the work on an assignment ended, for whoever counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Recognised,
    Rejected,
    Failed,
    GivenBack,
    /// Somebody else has it, or nobody waits for it.
    Lost,
}

/// Works for the gateways of a fleet.
pub struct FleetWorker {
    pub(super) leases: Arc<Leases>,
    transcriber: Arc<dyn Transcriber>,
    in_hand: Arc<InHand>,
    pub(super) options: WorkerOptions,
    observer: Arc<dyn WorkerObserver>,
    /// The pulse of the recognition: while it is overdue no lease is renewed.
    recognition: Pulse,
    shutdown: CancellationToken,
    /// Serialises taking.
    taking: tokio::sync::Mutex<()>,
    slots: Semaphore,
    long_slots: Semaphore,
    /// Notified when a slot becomes free.
    freed: Notify,
    pub(super) busy: AtomicU64,
    /// When each account had its turn last, in turns.
    turns: Mutex<(u64, BTreeMap<i64, u64>)>,
    /// Until when nothing is taken.
    paused: Mutex<Option<Instant>>,
    /// How many failures followed each other.
    pub(super) failures: AtomicU32,
    /// Whether Redis has not answered lately. Then leases may be over that nobody could renew.
    redis_was_away: Arc<AtomicBool>,
    pub(super) done: Mutex<Card>,
}

impl FleetWorker {
    pub fn new(
        leases: Arc<Leases>,
        transcriber: Arc<dyn Transcriber>,
        in_hand: Arc<InHand>,
        options: WorkerOptions,
        observer: Arc<dyn WorkerObserver>,
        recognition: Pulse,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            leases,
            transcriber,
            in_hand,
            options,
            observer,
            recognition,
            shutdown,
            taking: tokio::sync::Mutex::default(),
            slots: Semaphore::new(SLOTS),
            long_slots: Semaphore::new(LONG_SLOTS),
            freed: Notify::new(),
            busy: AtomicU64::new(0),
            turns: Mutex::default(),
            paused: Mutex::default(),
            failures: AtomicU32::default(),
            redis_was_away: Arc::default(),
            done: Mutex::default(),
        }
    }

    /// Works until the shutdown, and gives back what it has then. An error means that it can
    /// recognise nothing any more.
    pub async fn run(&self) -> Result<(), String> {
        let work = async || {
            let outcome = self.work().await;
            self.shutdown.cancel();
            outcome
        };
        let working = join_all((0..SLOTS).map(|_| work()));
        let ended = tokio::select! {
            ended = working => ended,
            never = self.say_that_it_is_there() => never,
        };
        let _ = timeout(FAREWELL_LIMIT, self.leases.leave()).await;
        ended.into_iter().collect()
    }

    async fn work(&self) -> Result<(), String> {
        loop {
            let taking = self.taking.lock().await;
            let mut permit = self.slots(1).await;
            let Some(lease) = self.next_lease().await? else { return Ok(()) };
            self.busy.fetch_add(1, Ordering::Relaxed);
            let (leases, time) = (Arc::clone(&self.leases), self.options.lease);
            let (recognition, away) = (self.recognition.clone(), Arc::clone(&self.redis_was_away));
            let keeper = Keeper::start(leases, lease.clone(), time, recognition, away);
            // So that no other recording is blamed if this one kills the process.
            if lease.deaths > 0 {
                permit.merge(self.slots(SLOTS - 1).await);
            }
            drop(taking);
            let span = info_span!("job", id = %lease.job);
            let result = self.work_on(&lease, &keeper, permit).instrument(span).await;
            self.busy.fetch_sub(1, Ordering::Relaxed);
            self.freed.notify_one();
            result?;
        }
    }

    async fn slots(&self, count: usize) -> SemaphorePermit<'_> {
        self.slots.acquire_many(count as u32).await.expect("nobody closes the semaphore")
    }

    /// `None` at the shutdown.
    async fn next_lease(&self) -> Result<Option<Lease>, String> {
        loop {
            let busy = self.busy.load(Ordering::Relaxed);
            let pause = lock(&self.paused).unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Ok(None),
                () = sleep_until(pause.max(Instant::now() + COURTESY * busy as u32)) => {}
            }
            let looked = retry_until_available("take an assignment", &self.shutdown, || {
                self.observed(None, self.look())
            })
            .await;
            match looked {
                None => return Ok(None),
                // One assignment that cannot be read is no reason to take no others.
                Some(Err(error @ QueueError::Damaged(_))) => {
                    warn!(%error, "an assignment is left alone");
                    self.pause(PAUSES.0);
                }
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(Some(lease))) => return Ok(Some(lease)),
                Some(Ok(None)) => self.wait().await,
            }
        }
    }

    /// Waits until it makes sense to look again.
    async fn wait(&self) {
        let idle = async {
            if self.busy.load(Ordering::Relaxed) > 0 {
                return sleep(LOOK).await;
            }
            if let Err(error) = self.leases.wait(LOOK).await {
                self.redis_was_away.store(true, Ordering::Relaxed);
                debug!(%error, "cannot wait for assignments");
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = self.freed.notified() => {}
            () = idle => {}
        }
    }

    async fn observed<T>(
        &self,
        job: Option<JobId>,
        operation: impl Future<Output = Result<T, QueueError>>,
    ) -> Result<T, QueueError> {
        let result = operation.await;
        if matches!(result, Err(QueueError::Unavailable(_))) {
            self.redis_was_away.store(true, Ordering::Relaxed);
        }
        self.observer.store_answered(job, result.as_ref().err());
        result
    }

    /// Takes an assignment of the account whose turn it is: of a stranger only if no account has
    /// any other.
    async fn look(&self) -> Result<Option<Lease>, QueueError> {
        let mut accounts = self.leases.accounts().await?;
        if self.redis_was_away.swap(false, Ordering::Relaxed) {
            // The others renew their leases first. What they lost meanwhile is nobody's death.
            tokio::select! {
                () = sleep(self.options.lease / RENEWALS) => {}
                () = self.shutdown.cancelled() => return Ok(None),
            }
        }
        let in_hand = self.in_hand.jobs();
        {
            let turns = lock(&self.turns);
            accounts.sort_by_key(|account| turns.1.get(account).copied());
        }
        for candidates in [Candidates::NoStrangers, Candidates::All] {
            for &account in &accounts {
                if let Some(lease) = self.leases.take(account, candidates, &in_hand).await? {
                    let mut turns = lock(&self.turns);
                    turns.0 += 1;
                    let turn = turns.0;
                    turns.1.insert(account, turn);
                    return Ok(Some(lease));
                }
            }
        }
        Ok(None)
    }

    pub(super) fn pause(&self, time: Duration) {
        let until = Instant::now() + time.clamp(PAUSES.0, PAUSES.1);
        let mut paused = lock(&self.paused);
        *paused = Some(paused.map_or(until, |known| known.max(until)));
    }

    async fn work_on(
        &self,
        lease: &Lease,
        keeper: &Keeper,
        mut permit: SemaphorePermit<'_>,
    ) -> Result<(), String> {
        if lease.is_taken_over {
            warn!(
                event = "lease_taken_over",
                deaths = lease.deaths,
                "Taking over from a worker that is silent"
            );
        }
        info!(event = "assignment_taken", bytes = lease.size, "Taken");
        self.observer.taken(lease.job);
        let entry = self.in_hand.add(lease.job, &lease.order);
        let result = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Err(Stop::Fault(Fault::Aborted)),
            result = self.recognise(lease, &mut permit) => result,
            () = keeper.lost() => Err(Stop::Lost),
        };
        self.in_hand.remove(lease.job, &entry);
        let (ended, fatal) = self.conclude(lease, result).await;
        self.observer.ended(lease.job, ended);
        fatal.map_or(Ok(()), Err)
    }

    async fn recognise(&self, lease: &Lease, permit: &mut SemaphorePermit<'_>) -> Result<(), Stop> {
        let (job, settings) = (job_of(lease), settings_of(lease));
        let mut until_ms = lease.order.from.until_ms;
        let mut progress = lease.order.from.clone();
        for stretch in &lease.stretches {
            until_ms = stretch.progress.until_ms;
            progress.add(stretch.progress.clone());
        }
        self.options.check(settings.language.or(progress.transcript.language), &lease.order)?;
        let mut long_slot = if until_ms > 0 { Some(self.long_slot()?) } else { None };
        let recording = self.persist(lease, "fetch a recording", || self.leases.recording(lease));
        let prepared = async { self.transcriber.prepare(&job).await.map_err(Stop::from) };
        let (recording, ()) = tokio::try_join!(recording, prepared)?;
        let recording = recording.ok_or(Stop::Missing)?;
        self.held(self.persist(lease, "begin a recognition", || self.leases.begin(lease)).await?)?;
        let mut recording = self.transcriber.open(&job, &settings, recording, &progress).await?;
        recording.begun().await?;
        let length = recording.length();
        debug!(event = "recognising", "Recognising");
        while let Some(progress) = recording.next().await? {
            let seconds = progress.until_ms.saturating_sub(until_ms) as f64 / 1000.0;
            until_ms = progress.until_ms;
            let report = self.in_hand.take_report(lease.job);
            self.count(seconds, &report);
            let by = recording.recognised_by().map(|by| self.named(&by));
            let stretch = Stretch { progress, length, by, report };
            let is_last = until_ms >= length;
            let published =
                self.persist(lease, "publish a stretch", || self.leases.publish(lease, &stretch, is_last));
            self.held(published.await?)?;
            if is_last {
                return Ok(());
            }
            // It is like any other from here on.
            drop(permit.split(SLOTS - 1));
            info!(event = "progress", until_s = until_ms / 1000, of_s = length / 1000, "Recognised so far");
            if long_slot.is_none() {
                long_slot = Some(self.long_slot()?);
            }
        }
        let outcome = Outcome::Recognised { length };
        self.held(self.persist(lease, "finish an assignment", || self.leases.finish(lease, &outcome)).await?)
    }

    fn held(&self, is_held: bool) -> Result<(), Stop> {
        if is_held { Ok(()) } else { Err(Stop::Lost) }
    }

    fn long_slot(&self) -> Result<SemaphorePermit<'_>, Stop> {
        self.long_slots.try_acquire().map_err(|_| Stop::TooLong)
    }

    /// Repeats an operation until Redis is there.
    async fn persist<T, F>(
        &self,
        lease: &Lease,
        what: &str,
        mut operation: impl FnMut() -> F,
    ) -> Result<T, Stop>
    where
        F: Future<Output = Result<T, QueueError>>,
    {
        match retry_until_available(what, &self.shutdown, || self.observed(Some(lease.job), operation()))
            .await
        {
            Some(Ok(done)) => Ok(done),
            Some(Err(error)) => Err(Stop::Fault(Fault::retry_in(60, error))),
            None => Err(Stop::Fault(Fault::Aborted)),
        }
    }
}
