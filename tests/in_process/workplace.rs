//! The real worker on a real queue, observed as in the daemon, with a messenger and a transcriber
//! that do as each test plans.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use stenogram::domain::policy::Policy;
use stenogram::domain::rules::Rules;
use stenogram::domain::{
    Answer, ChatRules, Fault, Form, Job, JobId, Part, Peer, PeerKind, Preview, Progress, Recording,
    RecordingKind, Segment, Settings, Transcript,
};
use stenogram::health::HealthState;
use stenogram::health::observed::{ObservedMessenger, ObservedQueue, ObservedTranscriber};
use stenogram::jobs::ports::{Messenger, Transcriber, Transcription};
use stenogram::jobs::worker::Worker;
use stenogram::queue::embedded::{Embedded, EmbeddedOptions};
use stenogram::queue::{Checkpoints as _, CrashRules, JobQueue as _, Queue};
use stenogram::runtime::pulse::Pulse;
use tempfile::TempDir;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// What becomes of a recording.
#[derive(Clone, Copy, Debug)]
pub enum Plan {
    /// So many seconds long, and recognised in so many milliseconds.
    Speech(u32, u64),
    Silence,
    /// It cannot be decoded.
    Noise,
    Gone,
    /// Telegram wants so many seconds of silence; after them it is sent.
    Flood(u64),
    /// The decoder never comes back.
    Hang,
    /// It takes so many seconds until the transcriber is ready.
    Load(u64),
    /// The recogniser comes back after so many hours, and beats every ten minutes if `true`.
    Hours(u64, bool),
}

/// The plans by the number of the message, from 1.
struct Planned {
    plans: watch::Receiver<Vec<Plan>>,
    health: Arc<HealthState>,
    recognition: Pulse,
    /// There is one recogniser.
    turn: tokio::sync::Mutex<()>,
    connected: watch::Receiver<bool>,
    flooded: AtomicI32,
}

impl Planned {
    fn plan(&self, job: &Job) -> Plan {
        self.plans.borrow()[job.id.message as usize - 1]
    }
}

#[async_trait]
impl Messenger for Planned {
    async fn ready(&self) {
        self.connected.clone().wait_for(|connected| *connected).await.expect("the workplace is there");
    }

    fn connection(&self) -> Option<u64> {
        self.connected.borrow().then_some(1)
    }

    async fn fetch(&self, job: &Job) -> Result<Vec<u8>, Fault> {
        sleep(Duration::from_millis(180)).await;
        match self.plan(job) {
            Plan::Gone => Err(Fault::Gone("the message was deleted".into())),
            _ => Ok(Vec::new()),
        }
    }

    async fn find_sent(&self, _: &Job, answer: &Answer) -> Result<Vec<Option<i32>>, Fault> {
        Ok(vec![None; answer.parts.len()])
    }

    async fn deliver(&self, job: &Job, _: &Answer, _: usize) -> Result<Option<i32>, Fault> {
        if let Plan::Flood(seconds) = self.plan(job)
            && self.flooded.swap(job.id.message, Ordering::Relaxed) != job.id.message
        {
            return Err(Fault::wait(Duration::from_secs(seconds), "FLOOD_WAIT"));
        }
        sleep(Duration::from_millis(120)).await;
        Ok(Some(job.id.message + 1))
    }

    async fn preview_turn(&self) {}

    fn may_preview(&self, _: &Job) -> bool {
        false
    }

    async fn preview(&self, _: &Job, _: &Preview) -> Result<Option<i32>, Fault> {
        unreachable!("no preview may be sent")
    }

    async fn find_preview(&self, _: &Job, _: &Preview) -> Result<Option<i32>, Fault> {
        Ok(None)
    }

    async fn edit_preview(&self, _: &Job, _: &Form, _: &Part, _: i32) -> Result<bool, Fault> {
        unreachable!("there is no preview")
    }

    async fn complete_preview(&self, _: &Job, _: &Answer, _: i32) -> Result<bool, Fault> {
        unreachable!("there is no preview")
    }

    async fn withdraw(&self, _: &Job, _: &Form, _: &[i32]) -> Result<(), Fault> {
        Ok(())
    }

    fn forget(&self, _: JobId) {}
}

#[async_trait]
impl Transcriber for Planned {
    async fn prepare(&self, job: &Job) -> Result<(), Fault> {
        let _during = self.recognition.during(stenogram::health::limits::ENCODER_PASS_LIMIT);
        if let Plan::Load(seconds) = self.plan(job) {
            sleep(Duration::from_secs(seconds)).await;
        }
        Ok(())
    }

    async fn open(
        &self,
        job: &Job,
        _: &Settings,
        _: Vec<u8>,
        progress: &Progress,
    ) -> Result<Box<dyn Transcription + '_>, Fault> {
        let plan = self.plan(job);
        let seconds = match plan {
            Plan::Noise => return Err(Fault::Reject("not audio".into())),
            Plan::Speech(seconds, _) => seconds,
            Plan::Hang => std::future::pending().await,
            _ => 4,
        };
        sleep(Duration::from_millis(u64::from(seconds) * 2)).await;
        let until_ms = progress.until_ms;
        Ok(Box::new(Heard {
            planned: self,
            job: job.id,
            plan,
            length_ms: u64::from(seconds) * 1000,
            until_ms,
        }))
    }
}

/// A recording in two stretches.
struct Heard<'a> {
    planned: &'a Planned,
    job: JobId,
    plan: Plan,
    length_ms: u64,
    until_ms: u64,
}

#[async_trait]
impl Transcription for Heard<'_> {
    fn length(&self) -> u64 {
        self.length_ms
    }

    async fn next(&mut self) -> Result<Option<Progress>, Fault> {
        if self.until_ms == self.length_ms {
            return Ok(None);
        }
        let Planned { health, recognition, turn, .. } = self.planned;
        let _turn = turn.lock().await;
        let mut text = String::from("secret words");
        match self.plan {
            Plan::Speech(_, took) => {
                sleep(Duration::from_millis(took / 2)).await;
                health.recognition_took(self.job, Duration::from_millis(took / 2));
            }
            Plan::Hours(hours, beats) => {
                for _ in 0..hours * 3 {
                    sleep(Duration::from_secs(600)).await;
                    if beats {
                        recognition.keep(stenogram::health::limits::ENCODER_PASS_LIMIT);
                    }
                }
            }
            Plan::Silence => text.clear(),
            _ => {}
        }
        self.until_ms = (self.until_ms + self.length_ms / 2).min(self.length_ms);
        let segments = vec![Segment { start_ms: 0, end_ms: 1, text }];
        Ok(Some(Progress {
            until_ms: self.until_ms,
            transcript: Transcript { segments, ..Default::default() },
        }))
    }
}

/// Everything of the daemon but its adapters.
pub struct Workplace {
    pub health: Arc<HealthState>,
    pub queue: Arc<dyn Queue>,
    pub connected: watch::Sender<bool>,
    plans: watch::Sender<Vec<Plan>>,
    work: Arc<Notify>,
    _folder: TempDir,
    _tasks: JoinSet<()>,
}

impl Workplace {
    /// `wrap` stands between the queue's store and who uses it.
    pub async fn new(wrap: impl FnOnce(Arc<dyn Queue>) -> Arc<dyn Queue>) -> Self {
        Self::after_a_crash(&[], wrap).await
    }

    /// An earlier process died over jobs with these plans.
    pub async fn after_a_crash(left: &[Plan], wrap: impl FnOnce(Arc<dyn Queue>) -> Arc<dyn Queue>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let day = Duration::from_secs(86_400);
        let crashes = CrashRules::default();
        let options = EmbeddedOptions { dedupe_ttl: day, result_ttl: Duration::ZERO, crashes };
        let open = || Embedded::open(folder.path().join("queue.redb"), options.clone());
        let store = open().await.expect("open the queue");
        for number in 1..=left.len() {
            store.add(&job(number as i32)).await.expect("add a job");
            store.claim().await.expect("claim it");
            store.begin(job(number as i32).id).await.expect("begin it");
        }
        drop(store);
        let store = open().await.expect("open the queue again");
        let health = Arc::new(HealthState::new(&stenogram::speech::DROP_REASONS));
        let recognition = Pulse::default();
        health.watch("recognition", recognition.clone());
        let queue: Arc<dyn Queue> =
            Arc::new(ObservedQueue::new(wrap(Arc::new(store)), Arc::clone(&health), Pulse::default()));
        let (plans, plans_now) = watch::channel(left.to_vec());
        let (connected, connection) = watch::channel(true);
        let planned = Arc::new(Planned {
            plans: plans_now,
            health: Arc::clone(&health),
            recognition: recognition.clone(),
            turn: tokio::sync::Mutex::default(),
            connected: connection,
            flooded: AtomicI32::new(0),
        });
        let messenger = Arc::new(ObservedMessenger::new(planned.clone(), Arc::clone(&health)));
        let transcriber = Arc::new(ObservedTranscriber::new(planned, Arc::clone(&health), recognition));
        let work = Arc::new(Notify::new());
        let shutdown = CancellationToken::new();
        let policy = Policy {
            max_age: day,
            rules: Rules::default(),
            settings: Settings::default(),
            chats: ChatRules::default(),
        };
        let (_, policy) = watch::channel(policy);
        let working =
            Worker::new(Arc::clone(&queue), messenger, transcriber, policy, Arc::clone(&work), shutdown);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { working.run().await.expect("the queue works") });
        Self { health, queue, connected, plans, work, _folder: folder, _tasks: tasks }
    }

    /// Has a recording come, in a chat of its own.
    pub async fn hear(&self, plan: Plan) {
        self.plans.send_modify(|plans| plans.push(plan));
        let message = self.plans.borrow().len() as i32;
        self.queue.add(&job(message)).await.expect("add a job");
        self.work.notify_one();
    }

    /// Waits until nothing waits or runs.
    pub async fn idle(&self) {
        loop {
            let counts = self.queue.counts().await.expect("count");
            if counts.waiting + counts.claimed + counts.delayed == 0 {
                return;
            }
            // The queue tells nobody when it is empty.
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Each in a chat of its own.
fn job(message: i32) -> Job {
    let chat = 700_000 + i64::from(message);
    let date = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    Job {
        id: JobId { account: 424_242, chat, message },
        recording: Recording {
            chat: Peer { kind: PeerKind::User, id: chat, access_hash: 1 },
            thread: None,
            kind: RecordingKind::Voice,
            document: chat,
            outgoing: false,
            date: date.as_secs() as i64,
            lifetime: None,
            duration: 1,
            size: 1,
        },
        settings: None,
        stranger: false,
        asked: None,
    }
}
