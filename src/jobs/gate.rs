//! Which jobs may be worked on now: a chat that has used up its budget waits, and so does one in
//! which messages are made from our answers. What waits stays in the queue.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::{debug, info, warn};

use crate::domain::budget::{Budgets, Cost, GateLimits, Spending};
use crate::domain::loops::LoopWatch;
use crate::domain::unix_time::{now_millis, now_seconds};
use crate::domain::{Fault, Incoming, Job, JobId};
use crate::runtime::ledger::Ledger;
use crate::runtime::lock;
use crate::runtime::memory_budget::{MemoryBudget, Reservation};

/// The longest time for which a job is put off at once. After a restart with other budgets, these
/// apply to all jobs by then.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// How long a job waits whose recording does not fit into memory beside the others.
const MEMORY_PAUSE: Duration = Duration::from_secs(5);
/// A recording that is older than this when it arrives was sent while we were away, in seconds. It
/// follows no answer.
const FRESH: i64 = 60;

/// What waits or was refused, as the owner may see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateUsage {
    /// Chats whose messages wait because their budget is used up.
    pub over_budget: u64,
    /// Chats whose messages wait because they were made from our answers.
    pub looping: u64,
    /// Recordings of strangers that were refused since the start, because the queue was full.
    pub refused: u64,
}

/// The gate of one account. Without limits it lets everything pass.
pub struct Gate {
    limits: Option<GateLimits>,
    /// What each chat has used.
    spending: Mutex<BTreeMap<i64, Spending>>,
    /// Has the same on disk; `None` where that cannot be used.
    ledger: Option<Arc<Ledger>>,
    /// The jobs that were counted and have not ended, and whether their length was measured.
    counted: Mutex<BTreeMap<JobId, bool>>,
    /// The chats that are over their budget, which was logged.
    over_budget: Mutex<BTreeSet<i64>>,
    loops: Mutex<LoopWatch>,
    refused: AtomicU64,
    /// For the recordings in work.
    memory: Arc<MemoryBudget>,
    /// Whether the last recording of a stranger was refused, which was logged.
    is_full: Mutex<bool>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            limits: None,
            spending: Mutex::default(),
            ledger: None,
            counted: Mutex::default(),
            over_budget: Mutex::default(),
            loops: Mutex::new(LoopWatch::new(0)),
            refused: AtomicU64::new(0),
            memory: MemoryBudget::new(u64::MAX),
            is_full: Mutex::default(),
        }
    }
}

impl Gate {
    /// With the counts of earlier runs in the file at `path`. Without them, if it cannot be used.
    pub async fn open(limits: GateLimits, path: PathBuf) -> Self {
        let opened = tokio::task::spawn_blocking(move || Ledger::open(&path)).await;
        let (ledger, rows) = match opened {
            Ok(Ok((ledger, rows))) => (Some(Arc::new(ledger)), rows),
            Ok(Err(error)) => {
                warn!("A restart will forget what chats have used of their budgets: {error}");
                (None, Vec::new())
            }
            Err(error) => {
                warn!("A restart will forget what chats have used of their budgets: {error}");
                (None, Vec::new())
            }
        };
        let read = |(chat, row): (i64, Vec<u8>)| Some((chat, serde_json::from_slice(&row).ok()?));
        let spending = Mutex::new(rows.into_iter().filter_map(read).collect());
        let loops = Mutex::new(LoopWatch::new(limits.loop_after));
        Self { limits: Some(limits), spending, ledger, loops, ..Self::default() }
    }

    /// Has the recordings in work share this budget.
    pub fn with_memory(self, memory: Arc<MemoryBudget>) -> Self {
        Self { memory, ..self }
    }

    /// Reserves the memory for the job's recording, as long as it is worked on.
    pub fn reserve_memory(&self, job: &Job) -> Result<Reservation, Fault> {
        // What is larger than the budget is larger than MAX_FILE_SIZE, and is refused before any of
        // it is fetched.
        let bytes = Some(job.recording.size).filter(|size| *size <= self.memory.limit()).unwrap_or(0);
        self.memory.reserve(bytes).ok_or_else(|| Fault::Later {
            after: MEMORY_PAUSE,
            why: "other recordings take the memory that there is for them".into(),
        })
    }

    /// Fails while the job has to wait. Otherwise it is counted, once. What the owner asks for is
    /// not held up, and not counted.
    pub async fn admit(&self, job: &Job) -> Result<(), Fault> {
        if job.asked.is_some() {
            return Ok(());
        }
        let (chat, now) = (job.id.chat, now_millis());
        let paused = lock(&self.loops).paused_for(chat, now);
        if !paused.is_zero() {
            let why = "messages of this chat follow our answers at once, as a program's would".into();
            return Err(Fault::Held { after: paused.min(LONGEST_WAIT), why });
        }
        let Some(budgets) = self.budgets(job) else { return Ok(()) };
        if lock(&self.counted).contains_key(&job.id) {
            return Ok(());
        }
        let cost = Cost::of(&job.recording);
        let used = lock(&self.spending).get(&chat).copied().unwrap_or_default();
        let wait = used.wait(&cost, &budgets, now);
        if !wait.is_zero() {
            if lock(&self.over_budget).insert(chat) {
                let minutes = wait.as_secs().div_ceil(60);
                let variables = if job.stranger {
                    "STRANGER_PER_HOUR, STRANGER_PER_DAY"
                } else {
                    "CHAT_PER_HOUR, CHAT_PER_DAY"
                };
                warn!(
                    event = "over_budget",
                    chat,
                    "The budget of the chat ({variables}) is used up; its messages wait, the next for {minutes} min"
                );
            }
            let why = "the budget of this chat is used up".into();
            return Err(Fault::Held { after: wait.min(LONGEST_WAIT), why });
        }
        if lock(&self.over_budget).remove(&chat) {
            info!(event = "within_budget", chat, "The chat is within its budget again");
        }
        lock(&self.counted).insert(job.id, false);
        self.spend(chat, &cost, &budgets).await;
        Ok(())
    }

    /// The recording of an admitted job has this length, in seconds. One that is longer than its
    /// sender has claimed is counted with its length.
    pub async fn measured(&self, job: &Job, seconds: u64) {
        let more = seconds.saturating_sub(job.recording.duration.into());
        let is_first = lock(&self.counted).insert(job.id, true) != Some(true);
        if let Some(budgets) = self.budgets(job).filter(|_| is_first && more > 1) {
            self.spend(job.id.chat, &Cost::of_seconds(more), &budgets).await;
        }
    }

    /// An answer was sent in the chat.
    pub fn answered(&self, chat: i64) {
        lock(&self.loops).answered(chat, now_millis());
    }

    /// The job has ended.
    pub fn ended(&self, id: JobId) {
        lock(&self.counted).remove(&id);
    }

    /// A recording has come that will be answered.
    pub fn heard(&self, incoming: &Incoming) {
        let fresh = now_seconds().saturating_sub(incoming.recording.date) < FRESH;
        if incoming.sender.is_owner || !fresh {
            return;
        }
        let (chat, sender) = (incoming.id.chat, incoming.sender.id);
        if let Some(pause) = lock(&self.loops).heard(chat, sender, now_millis()) {
            warn!(
                event = "loop_noticed",
                chat,
                "The messages of this chat keep following our answers within seconds (LOOP_AFTER), as if a program makes \
                 them from the answers; they wait for {} min",
                pause.as_secs() / 60
            );
        }
    }

    /// Whether a recording is refused while so many jobs are unfinished: only those of strangers
    /// are, and the newest, so that what was accepted is answered.
    pub fn refuses(&self, job: &Job, unfinished: u64) -> bool {
        let Some(GateLimits { jobs, .. }) = self.limits else { return false };
        if !job.stranger {
            return false;
        }
        let refuses = unfinished >= jobs;
        let was_full = std::mem::replace(&mut *lock(&self.is_full), refuses);
        match (was_full, refuses) {
            (false, true) => warn!(
                event = "queue_full",
                unfinished,
                "As many messages wait as QUEUE_LIMIT allows; further ones of strangers are not answered"
            ),
            (true, false) => {
                info!(event = "queue_has_room", unfinished, "Messages of strangers are accepted again");
            }
            _ => {}
        }
        if refuses {
            self.refused.fetch_add(1, Ordering::Relaxed);
            debug!(event = "ignored", reason = "the queue is full", "Left alone");
        }
        refuses
    }

    pub fn usage(&self) -> GateUsage {
        GateUsage {
            over_budget: lock(&self.over_budget).len() as u64,
            looping: lock(&self.loops).paused(now_millis()) as u64,
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    /// The budgets of the job's chat. The owner's own recordings have no limit, and what the owner
    /// asks for has none.
    fn budgets(&self, job: &Job) -> Option<Budgets> {
        let is_owners = job.recording.outgoing || job.id.chat == job.id.account || job.asked.is_some();
        let limits = self.limits.filter(|_| !is_owners)?;
        Some(if job.stranger { limits.stranger } else { limits.chat })
    }

    async fn spend(&self, chat: i64, cost: &Cost, budgets: &Budgets) {
        let now = now_millis();
        let (used, over) = {
            let mut spending = lock(&self.spending);
            let over: Vec<i64> = self.over(&spending, now);
            spending.retain(|chat, _| !over.contains(chat));
            let used = spending.entry(chat).or_default();
            *used = used.plus(cost, budgets, now);
            (*used, over)
        };
        let Some(ledger) = self.ledger.clone() else { return };
        let stored = tokio::task::spawn_blocking(move || {
            let row = serde_json::to_vec(&used).map_err(|error| error.to_string())?;
            ledger.put(chat, &row, &over).map_err(|error| error.to_string())
        });
        if let Ok(Err(error)) = stored.await {
            warn!(
                "What a chat has used of its budget could not be stored, a restart will forget it: {error}"
            );
        }
    }

    /// Some chats that have nothing to remember, so that rows do not pile up.
    fn over(&self, spending: &BTreeMap<i64, Spending>, now: u64) -> Vec<i64> {
        let Some(GateLimits { stranger, chat, .. }) = self.limits else { return Vec::new() };
        let is_over = |used: &Spending| used.is_over(&stranger, now) && used.is_over(&chat, now);
        spending.iter().filter(|(_, used)| is_over(used)).map(|(chat, _)| *chat).take(16).collect()
    }
}
