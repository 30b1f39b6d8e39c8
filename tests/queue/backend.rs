//! What the suite needs of a backend, and the jobs it works with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stenogram::domain::{
    Answer, Form, Job, JobId, Part, Peer, PeerKind, Preview, Progress, Recording, RecordingKind, Segment,
    Settings, Task, Transcript,
};
use stenogram::queue::embedded::{Embedded, EmbeddedOptions};
use stenogram::queue::redis::{RedisOptions, RedisQueue, ServerOptions};
use stenogram::queue::{Claim, Claimed, CrashRules, Entry, JobQueue, Queue, QueueAdmin, QueueError, State};
use support::redis::{DURABLE, Folder, RedisServer};

pub const ACCOUNT: i64 = 1000;
pub const LONG: Duration = Duration::from_secs(3600);
const DEADLINE: Duration = Duration::from_secs(60);

/// A queue with all that both backends do.
pub trait AnyQueue: Queue + QueueAdmin {}

impl<Q: Queue + QueueAdmin> AnyQueue for Q {}

/// A place for a queue that outlives the queue itself.
pub trait Backend {
    fn new() -> Self;
    /// Opens the queue as a new process would; to drop what it returns is a crash.
    /// What it keeps is kept for so long.
    async fn open_as(&self, marks: Duration, results: Duration, crashes: CrashRules) -> Box<dyn AnyQueue>;

    /// Opens the queues of two accounts in the same store.
    async fn open_for(&self, accounts: [i64; 2], crashes: CrashRules) -> [Arc<dyn AnyQueue>; 2];

    async fn open_keeping(&self, marks: Duration, results: Duration) -> Box<dyn AnyQueue> {
        self.open_as(marks, results, CrashRules::STRICT).await
    }

    async fn open_with(&self, crashes: CrashRules) -> Box<dyn AnyQueue> {
        self.open_as(LONG, LONG, crashes).await
    }

    async fn open(&self) -> Box<dyn AnyQueue> {
        self.open_keeping(LONG, LONG).await
    }

    /// Everything crashes, the store as well, and is started again.
    async fn crash(&mut self, queue: Box<dyn AnyQueue>, crashes: CrashRules) -> Box<dyn AnyQueue> {
        drop(queue);
        self.open_with(crashes).await
    }

    /// Crashes `queue` and opens it anew.
    async fn reopen(&self, queue: Box<dyn AnyQueue>) -> Box<dyn AnyQueue> {
        drop(queue);
        self.open().await
    }
}

pub struct OnFile(pub Folder);

impl OnFile {
    pub fn path(&self) -> PathBuf {
        self.0.path().join("state/queue.redb")
    }
}

impl Backend for OnFile {
    fn new() -> Self {
        Self(Folder::new("queue"))
    }

    async fn open_as(&self, marks: Duration, results: Duration, crashes: CrashRules) -> Box<dyn AnyQueue> {
        let options = EmbeddedOptions { dedupe_ttl: marks, result_ttl: results, crashes };
        // A claim whose future was dropped may be at work still and hold the file for a moment.
        let opened = until(async || match Embedded::open(self.path(), options.clone()).await {
            Err(QueueError::InUse(_)) => None,
            opened => Some(opened),
        });
        Box::new(opened.await.expect("open the file"))
    }

    async fn open_for(&self, _: [i64; 2], crashes: CrashRules) -> [Arc<dyn AnyQueue>; 2] {
        let queue: Arc<dyn AnyQueue> = self.open_with(crashes).await.into();
        [Arc::clone(&queue), queue]
    }
}

pub struct InRedis(pub RedisServer);

impl Backend for InRedis {
    fn new() -> Self {
        Self(RedisServer::start(DURABLE))
    }

    async fn crash(&mut self, queue: Box<dyn AnyQueue>, crashes: CrashRules) -> Box<dyn AnyQueue> {
        drop(queue);
        self.0.restart();
        self.open_with(crashes).await
    }

    async fn open_as(&self, marks: Duration, results: Duration, crashes: CrashRules) -> Box<dyn AnyQueue> {
        let options =
            RedisOptions { dedupe_ttl: marks, result_ttl: results, crashes, ..options(self.0.url()) };
        Box::new(RedisQueue::connect(options).await.expect("connect to Redis"))
    }

    async fn open_for(&self, accounts: [i64; 2], crashes: CrashRules) -> [Arc<dyn AnyQueue>; 2] {
        let open = async |account| {
            let options = RedisOptions { account, crashes, ..options(self.0.url()) };
            let queue = RedisQueue::connect(options).await.expect("connect to Redis");
            Arc::new(queue) as Arc<dyn AnyQueue>
        };
        [open(accounts[0]).await, open(accounts[1]).await]
    }
}

pub fn embedded_options() -> EmbeddedOptions {
    EmbeddedOptions { dedupe_ttl: LONG, result_ttl: LONG, crashes: CrashRules::STRICT }
}

pub fn options(url: String) -> RedisOptions {
    RedisOptions {
        server: ServerOptions::of_url(url),
        account: ACCOUNT,
        dedupe_ttl: LONG,
        result_ttl: LONG,
        crashes: CrashRules::STRICT,
        timeout: Duration::from_secs(5),
    }
}

pub fn id(chat: i64, message: i32) -> JobId {
    JobId { account: ACCOUNT, chat, message }
}

pub fn job(chat: i64, message: i32) -> Job {
    Job {
        id: id(chat, message),
        recording: Recording {
            chat: Peer { kind: PeerKind::User, id: chat.saturating_abs(), access_hash: i64::MIN + 1 },
            thread: None,
            kind: RecordingKind::Voice,
            document: chat.wrapping_shl(32) ^ i64::from(message) ^ i64::MIN,
            outgoing: message % 2 == 0,
            date: 1_800_000_000,
            lifetime: None,
            duration: 3,
            size: u64::MAX,
        },
        settings: Some(Settings { language: Some("ru".parse().unwrap()), ..settings(Task::Translate) }),
        stranger: false,
        asked: None,
    }
}

/// `job` with another recording.
pub fn with_document(document: i64, mut job: Job) -> Job {
    job.recording.document = document;
    job
}

/// `job` as one of a stranger.
pub fn strangers(job: Job) -> Job {
    Job { stranger: true, ..job }
}

/// `job` with another date.
pub fn dated(date: i64, mut job: Job) -> Job {
    job.recording.date = date;
    job
}

fn settings(task: Task) -> Settings {
    Settings { task, ..Settings::default() }
}

pub fn answer(text: &str) -> Answer {
    answer_of(Task::Transcribe, text)
}

pub fn answer_of(task: Task, text: &str) -> Answer {
    let part = |text: &str, folded| Part::message(text.into(), folded);
    Answer {
        settings: settings(task), parts: vec![part(text, false), part("«два»\0\n", true)], origin: None
    }
}

/// The answer where nothing was said.
pub fn silence(task: Task) -> Answer {
    Answer { parts: Vec::new(), ..answer_of(task, "") }
}

pub fn progress(text: &str) -> Progress {
    let segments = vec![Segment { start_ms: 0, end_ms: 90_000, text: text.into() }];
    let transcript = Transcript { task: Task::Translate, language: "ru".parse().ok(), segments };
    Progress { until_ms: 90_000, transcript }
}

/// A preview with this number, if that is known.
pub fn preview(message: Option<i32>) -> Preview {
    Preview { form: Form::SavedMessages, part: Part::message("один …".into(), true), message }
}

/// The dead letters, oldest first.
pub async fn dead(queue: &dyn QueueAdmin) -> Vec<Entry> {
    let entries = queue.entries().await.expect("list");
    entries.into_iter().filter(|entry| entry.state == State::Dead).collect()
}

/// Claims, and there has to be a job.
pub async fn claim(queue: &dyn JobQueue) -> Claim {
    match queue.claim().await.expect("claim") {
        Claimed::Job(claim) => *claim,
        Claimed::GivenUp { job, reason, .. } => panic!("{} is given up: {reason}", job.id),
        Claimed::Empty { next_due } => panic!("nothing to claim, next due {next_due:?}"),
    }
}

pub async fn claim_id(queue: &dyn JobQueue) -> JobId {
    claim(queue).await.job.id
}

pub async fn is_empty(queue: &dyn JobQueue) -> bool {
    matches!(queue.claim().await.expect("claim"), Claimed::Empty { .. })
}

/// Asks until there is an answer.
pub async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "the condition never came true");
        tokio::time::sleep(Duration::from_millis(2)).await; // between two looks at it
    }
}
