//! The line from Telegram to the reply inside one process: the real account, intake, queue and worker
//! against the loopback Telegram, without audio and whisper. A recording's bytes are its text.

mod commands;
mod deletions;
mod documents;
mod forms;
mod pictures;
mod previews;
mod reactions;
mod rules;
mod summaries;
mod table;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fake_telegram::{
    Action, Chat, Dedupe, Draft, FRIEND, Fault, OWNER, SAVED_MESSAGES, SECOND_FRIEND, Telegram, User,
    access_hash,
};
use stenogram::domain::policy::Policy;
use stenogram::domain::rules::Rules;
use stenogram::domain::{
    Answer, ChatInfo, ChatRules, CommandPrefix, Event, Fault as JobFault, Form, Job, JobId, LanguageCode,
    Part, Peer, PeerKind, Preview, Progress, ReactionEmoji, Recording, RecordingKind, Said, Segment,
    Settings, Task, Transcript,
};
use stenogram::jobs::chat_rules_file::{ChatRulesFile, FILE_NAME};
use stenogram::jobs::commands::{Commands, ModelAbilities};
use stenogram::jobs::deletions::Deletions;
use stenogram::jobs::gate::Gate;
use stenogram::jobs::intake::Intake;
use stenogram::jobs::ports::{Conversation, Messenger, Summariser, Transcriber, Transcription};
use stenogram::jobs::worker::Worker;
use stenogram::queue::embedded::{Embedded, EmbeddedOptions};
use stenogram::queue::{Counts, CrashRules, Queue, QueueError};
use stenogram::telegram::{Account, EventSink};
use tempfile::TempDir;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::in_process::account::{DEADLINE, open, options, session};

const FRIENDS_CHAT: Chat = Chat::User(FRIEND);
const OTHER_CHAT: Chat = Chat::User(SECOND_FRIEND);

/// What is configured.
pub fn policy(task: Task) -> Policy {
    let settings = Settings { task, ..Settings::default() };
    Policy {
        max_age: Duration::from_secs(86_400),
        rules: Rules::default(),
        settings,
        chats: ChatRules::default(),
    }
}

fn prefix() -> CommandPrefix {
    ".".parse().expect("a prefix")
}

struct Ears {
    intake: Intake,
    policy: watch::Receiver<Policy>,
}

#[async_trait]
impl EventSink for Ears {
    async fn take(&self, events: Vec<Event>) -> bool {
        self.intake.take(events).await
    }

    fn covers(&self, chat: &ChatInfo) -> bool {
        self.policy.borrow().covers(chat)
    }

    fn max_age(&self) -> Duration {
        self.policy.borrow().max_age
    }

    fn command_in(&self, text: &str, in_saved_messages: bool) -> Option<Said> {
        prefix().command_in(text, in_saved_messages)
    }

    fn is_request(&self, emoji: &str) -> bool {
        "✍".parse::<ReactionEmoji>().expect("a reaction").is(emoji)
    }
}

/// Reads a recording's text from its bytes, and translates it into capital letters. A text with `|` in it is
/// a long recording, each part of it a stretch of a second, and all but the first wait for the gate to open.
/// A stretch of `!` alone cannot be recognised.
struct Reading {
    /// How many stretches were recognised.
    recognised: watch::Sender<usize>,
    gate: watch::Receiver<bool>,
    /// How many stretches of a recording pass the gate although it is closed, besides the first.
    let_in: watch::Receiver<usize>,
    /// How many came to the gate.
    came: watch::Sender<usize>,
}

#[async_trait]
impl Transcriber for Reading {
    async fn prepare(&self, _: &Job) -> Result<(), JobFault> {
        Ok(())
    }

    async fn open(
        &self,
        _: &Job,
        settings: &Settings,
        bytes: Vec<u8>,
        progress: &Progress,
    ) -> Result<Box<dyn Transcription + '_>, JobFault> {
        let (task, text) = (settings.task, String::from_utf8(bytes).expect("a text"));
        let text = if task == Task::Translate { text.to_uppercase() } else { text };
        let stretches = text.split('|').map(str::to_owned).collect();
        Ok(Box::new(ReadAloud { task, stretches, read: progress.until_ms as usize / 1000, reading: self }))
    }
}

/// Writes summaries, where the settings want some.
struct FirstWords;

#[async_trait]
impl Summariser for FirstWords {
    async fn summarise(&self, text: &str, _: Option<LanguageCode>) -> Option<String> {
        let words: Vec<&str> = text.split_whitespace().take(2).collect();
        let summary = || format!("About {}.", words.join(" "));
        Some(pictures::summary_of(text).map_or_else(summary, str::to_owned))
    }
}

/// The account, with a note of each job that has ended.
struct NotingMessenger {
    account: Arc<Account>,
    /// The messages whose jobs have ended.
    ended: watch::Sender<Vec<i32>>,
}

#[async_trait]
impl Messenger for NotingMessenger {
    async fn ready(&self) {
        self.account.connected().await;
    }

    fn connection(&self) -> Option<u64> {
        self.account.connection()
    }

    async fn fetch(&self, job: &Job) -> Result<Vec<u8>, JobFault> {
        self.account.fetch(job).await
    }

    async fn find_sent(&self, job: &Job, answer: &Answer) -> Result<Vec<Option<i32>>, JobFault> {
        self.account.find_sent(job, answer).await
    }

    async fn deliver(&self, job: &Job, answer: &Answer, index: usize) -> Result<Option<i32>, JobFault> {
        self.account.deliver(job, answer, index).await
    }

    async fn preview_turn(&self) {
        Messenger::preview_turn(&*self.account).await;
    }

    fn may_preview(&self, job: &Job) -> bool {
        Messenger::may_preview(&*self.account, job)
    }

    async fn preview(&self, job: &Job, preview: &Preview) -> Result<Option<i32>, JobFault> {
        Messenger::preview(&*self.account, job, preview).await
    }

    async fn find_preview(&self, job: &Job, preview: &Preview) -> Result<Option<i32>, JobFault> {
        Messenger::find_preview(&*self.account, job, preview).await
    }

    async fn edit_preview(
        &self,
        job: &Job,
        form: &Form,
        part: &Part,
        message: i32,
    ) -> Result<bool, JobFault> {
        Messenger::edit_preview(&*self.account, job, form, part, message).await
    }

    async fn complete_preview(&self, job: &Job, answer: &Answer, message: i32) -> Result<bool, JobFault> {
        Messenger::complete_preview(&*self.account, job, answer, message).await
    }

    async fn withdraw(&self, job: &Job, form: &Form, messages: &[i32]) -> Result<(), JobFault> {
        self.account.withdraw(job, form, messages).await
    }

    fn forget(&self, job: JobId) {
        self.account.forget(job);
        self.ended.send_modify(|ended| ended.push(job.message));
    }
}

struct ReadAloud<'a> {
    task: Task,
    stretches: Vec<String>,
    read: usize,
    reading: &'a Reading,
}

#[async_trait]
impl Transcription for ReadAloud<'_> {
    fn length(&self) -> u64 {
        self.stretches.len() as u64 * 1000
    }

    async fn next(&mut self) -> Result<Option<Progress>, JobFault> {
        let Some(text) = self.stretches.get(self.read) else { return Ok(None) };
        if self.read > 0 {
            self.reading.came.send_modify(|came| *came += 1);
            let (mut gate, mut let_in) = (self.reading.gate.clone(), self.reading.let_in.clone());
            let passed = tokio::select! {
                open = gate.wait_for(|open| *open) => open.is_ok(),
                let_in = let_in.wait_for(|let_in| *let_in >= self.read) => let_in.is_ok(),
            };
            if !passed {
                return Err(JobFault::Aborted);
            }
        }
        if text == "!" {
            return Err(JobFault::Reject("it is damaged from here on".into()));
        }
        self.read += 1;
        self.reading.recognised.send_modify(|recognised| *recognised += 1);
        let until_ms = self.read as u64 * 1000;
        let segments = vec![Segment { start_ms: until_ms - 1000, end_ms: until_ms, text: text.clone() }];
        let transcript = Transcript { task: self.task, language: None, segments, ..Transcript::default() };
        Ok(Some(Progress { until_ms, transcript }))
    }
}

/// A running line.
pub struct Line {
    pub queue: Arc<dyn Queue>,
    pub recognised: watch::Receiver<usize>,
    pub gate: watch::Sender<bool>,
    let_in: watch::Sender<usize>,
    came: watch::Receiver<usize>,
    ended: watch::Receiver<Vec<i32>>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Line {
    async fn start(folder: &TempDir) -> Self {
        Self::start_for(Task::Transcribe, folder).await
    }

    async fn start_for(task: Task, folder: &TempDir) -> Self {
        Self::start_under(policy(task), folder).await
    }

    async fn start_under(policy: Policy, folder: &TempDir) -> Self {
        Self::start_on(policy, folder, open(folder, options()).await, Arc::default()).await
    }

    pub async fn start_on(
        policy: Policy,
        folder: &TempDir,
        account: Arc<Account>,
        admission: Arc<Gate>,
    ) -> Self {
        Self::start_with(policy, folder, account, admission, None).await
    }

    /// `preview_after` is how long a recording is worked on before its text so far is shown.
    async fn start_with(
        policy: Policy,
        folder: &TempDir,
        account: Arc<Account>,
        admission: Arc<Gate>,
        preview_after: Option<Duration>,
    ) -> Self {
        let queue = queue(folder).await;
        let (work, shutdown) = (Arc::new(Notify::new()), CancellationToken::new());
        let (policy, in_force) = watch::channel(policy);
        let commands = Arc::new(Commands {
            queue: Arc::clone(&queue),
            rules: ChatRulesFile::open(folder.path().join(FILE_NAME), Arc::new(policy))
                .expect("open the rules"),
            conversation: Arc::clone(&account) as Arc<dyn Conversation>,
            prefix: Some(prefix()),
            model: ModelAbilities { languages: LanguageCode::all().take(99).collect(), translates: true },
            keeps_results: false,
            work: Arc::clone(&work),
            shutdown: shutdown.clone(),
            started: Instant::now(),
            shown: [Duration::from_millis(100); 2],
        });
        let intake = Intake::new(queue.clone(), in_force.clone(), Arc::clone(&work), shutdown.clone())
            .with_gate(Arc::clone(&admission))
            .with_commands(commands)
            .with_deletions(Deletions {
                transcriber: None,
                queue: Arc::clone(&queue),
                conversation: Arc::clone(&account) as Arc<dyn Conversation>,
                delete_answers: true,
                shutdown: shutdown.clone(),
            });
        let ears = Ears { intake, policy: in_force.clone() };
        let (recognised, count) = watch::channel(0);
        let (gate, opened) = watch::channel(false);
        let (let_in, may_pass) = watch::channel(0);
        let (came, at_the_gate) = watch::channel(0);
        let (ended, jobs_ended) = watch::channel(Vec::new());
        let messenger = Arc::new(NotingMessenger { account: Arc::clone(&account), ended });
        let reading = Arc::new(Reading { recognised, gate: opened, let_in: may_pass, came });
        let worker = Worker::new(Arc::clone(&queue), messenger, reading, in_force, work, shutdown.clone())
            .with_gate(admission)
            .with_previews(preview_after)
            .with_summariser(Some(Arc::new(FirstWords)))
            .with_conversation(Arc::clone(&account) as Arc<dyn Conversation>);
        let mut tasks = JoinSet::new();
        let stop = shutdown.clone();
        tasks.spawn(async move { account.run(&ears, shutdown).await.expect("not logged out") });
        tasks.spawn(async move { worker.run().await.expect("the queue works") });
        Self { queue, recognised: count, gate, let_in, came: at_the_gate, ended: jobs_ended, tasks, stop }
    }

    /// Drops everything in the middle of whatever it does, and starts anew.
    async fn crash(self, folder: &TempDir) -> Self {
        self.stop().await;
        Self::start(folder).await
    }

    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        // Nothing of it may hold the queue any more.
        self.stop.cancel();
    }

    /// Waits until so many long recordings are in their middle.
    pub async fn at_the_gate(&mut self, count: usize) {
        let came = self.came.wait_for(|came| *came == count);
        tokio::time::timeout(DEADLINE, came).await.expect("in time").expect("the line runs");
    }

    /// Waits until the job of this message has ended.
    async fn ended(&mut self, message: i32) {
        let ended = self.ended.wait_for(|ended| ended.contains(&message));
        tokio::time::timeout(DEADLINE, ended).await.expect("in time").expect("the line runs");
    }

    /// Waits until nothing is left to do.
    pub async fn finished(&self) {
        self.left(Counts::default()).await;
    }

    /// Waits until so much is left to do.
    pub async fn left(&self, left: Counts) {
        let start = tokio::time::Instant::now();
        loop {
            let counts = self.queue.counts().await.expect("count");
            if counts == left {
                return;
            }
            assert!(start.elapsed() < DEADLINE * 2, "left: {counts:?}");
            // The queue tells nobody when it is empty.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Opens the queue, once the one before it has let go of its file.
pub async fn queue(folder: &TempDir) -> Arc<dyn Queue> {
    queue_under(CrashRules::default(), folder).await
}

async fn queue_under(crashes: CrashRules, folder: &TempDir) -> Arc<dyn Queue> {
    const HOUR: Duration = Duration::from_secs(3600);
    let options = || EmbeddedOptions { dedupe_ttl: HOUR, result_ttl: HOUR, crashes };
    let opened = async {
        loop {
            match Embedded::open(folder.path().join("queue.redb"), options()).await {
                Ok(queue) => return Arc::new(queue),
                Err(QueueError::Damaged(why)) => panic!("{why}"),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(DEADLINE, opened).await.expect("the queue is free in time")
}

/// A Telegram that forgets every `random_id` at once.
async fn start() -> (Telegram, TempDir, Line) {
    start_under(policy(Task::Transcribe)).await
}

async fn start_under(policy: Policy) -> (Telegram, TempDir, Line) {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    telegram.configure(|settings| settings.dedupe = Dedupe::Off);
    let folder = session(&telegram);
    let line = Line::start_under(policy, &folder).await;
    // Greets the connection: what was said before the first one is left alone.
    telegram
        .wait_until(DEADLINE, |ledger| ledger.count("messages.getDialogs") >= 1)
        .await
        .expect("connected");
    (telegram, folder, line)
}

pub fn saying(text: &str) -> Draft {
    Draft::voice(text.as_bytes(), 1)
}

/// The texts of the replies to a message, in the order in which they were sent.
pub fn replies(telegram: &Telegram, chat: Chat, message: i32) -> Vec<String> {
    telegram.look(|ledger| ledger.replies(chat, message).map(|post| post.text.clone()).collect())
}

/// A text of three parts, all different.
fn three_parts() -> String {
    (0..1200).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_lost_answer_in_the_middle_of_several_parts_repeats_none() {
    for action in [Action::DropAfter, Action::LoseAnswer, Action::DropBefore] {
        let (telegram, _folder, line) = start().await;
        telegram.fault(Fault::on("messages.sendMessage", action.clone()).after(1).once());
        let text = three_parts();
        let message = telegram.send(FRIENDS_CHAT, saying(&text));
        telegram.wait_until(DEADLINE, |ledger| ledger.sent().count() >= 3).await.unwrap();
        line.finished().await;
        let replies = replies(&telegram, FRIENDS_CHAT, message);
        assert_eq!(replies.len(), 3, "{action:?}");
        assert_eq!(replies.join(" "), text, "{action:?}");
    }
}

#[tokio::test]
async fn a_crash_after_each_part_repeats_none() {
    let (telegram, folder, mut line) = start().await;
    let text = three_parts();
    telegram.fault(Fault::on("messages.sendMessage", Action::LoseAnswer).times(2));
    let message = telegram.send(SAVED_MESSAGES, saying(&text).own());
    for sent in 1..=2 {
        telegram.wait_until(DEADLINE, |ledger| ledger.sent().count() >= sent).await.unwrap();
        line = line.crash(&folder).await;
    }
    line.finished().await;
    let replies = replies(&telegram, SAVED_MESSAGES, message);
    assert_eq!(replies.len(), 3);
    assert_eq!(replies.join(" "), text);
    // The outbox kept the text.
    assert_eq!(*line.recognised.borrow(), 0);
}

#[tokio::test]
async fn a_crash_in_the_middle_of_catching_up_answers_each_once() {
    let (telegram, folder, line) = start().await;
    let seen = telegram.send(FRIENDS_CHAT, saying("seen"));
    telegram.wait_for_reply(FRIENDS_CHAT, seen, DEADLINE).await.unwrap();
    line.finished().await;
    line.stop().await;
    let mut expected = vec![(FRIENDS_CHAT, seen)];
    for n in 0..40 {
        let chat = telegram.add_user(User { id: 5000 + n % 8, name: "Stranger".into(), bot: false });
        expected.push((chat, telegram.send_silently(chat, saying("missed"))));
    }
    telegram.fault(Fault::on("updates.getDifference", Action::TooLong).times(4));
    let mut line = Line::start(&folder).await;
    for read in [2, 7, 12] {
        telegram.wait_until(DEADLINE, |ledger| ledger.count("messages.getHistory") >= read).await.unwrap();
        line = line.crash(&folder).await;
    }
    telegram.wait_until(DEADLINE, |ledger| ledger.sent().count() >= expected.len()).await.unwrap();
    line.finished().await;
    for (chat, message) in expected {
        assert_eq!(replies(&telegram, chat, message).len(), 1, "{chat:?} {message}");
    }
}

#[tokio::test]
async fn answers_of_a_chat_keep_their_order_under_faults() {
    let (telegram, _folder, line) = start().await;
    let chats = [FRIENDS_CHAT, OTHER_CHAT, SAVED_MESSAGES];
    let send = "messages.sendMessage";
    telegram.fault(Fault::on(send, Action::flood_wait(1)).after(3).once());
    telegram.fault(Fault::on(send, Action::DropAfter).after(6).once());
    telegram.fault(Fault::on(send, Action::DropBefore).after(9).once());
    telegram.fault(Fault::on(send, Action::LoseAnswer).after(12).once());
    telegram.fault(Fault::on("upload.getFile", Action::DropAfter).after(8).once());
    let mut sent = Vec::new();
    for n in 0..8 {
        for chat in chats {
            let draft = saying(&format!("number {n}"));
            let draft = if chat == SAVED_MESSAGES { draft.own() } else { draft };
            sent.push((chat, telegram.send(chat, draft)));
        }
    }
    telegram.wait_until(DEADLINE * 2, |ledger| ledger.sent().count() >= sent.len()).await.unwrap();
    line.finished().await;
    telegram.look(|ledger| {
        assert_eq!(ledger.sent().count(), sent.len(), "{ledger:?}");
        for chat in chats {
            let answered: Vec<_> =
                ledger.chat(chat).filter(|post| post.by_client()).filter_map(|post| post.reply_to).collect();
            let said: Vec<_> = sent.iter().filter(|(to, _)| *to == chat).map(|(_, id)| *id).collect();
            assert_eq!(answered, said, "{chat:?}");
        }
    });
}

#[tokio::test]
async fn a_flood_wait_lets_other_chats_be_recognised_and_sends_nothing() {
    let (telegram, folder, mut line) = start().await;
    telegram.fault(Fault::on("messages.sendMessage", Action::flood_wait(6)).once());
    let first = telegram.send(FRIENDS_CHAT, saying("first"));
    let tries = "messages.sendMessage";
    telegram.wait_until(DEADLINE, |ledger| ledger.count(tries) == 1).await.unwrap();
    let refused = std::time::Instant::now();
    let second = telegram.send(OTHER_CHAT, saying("second"));
    line.recognised.wait_for(|recognised| *recognised == 2).await.unwrap();
    // Neither a new job nor a restart tries before the time.
    let line = line.crash(&folder).await;
    let third = telegram.send(SAVED_MESSAGES, saying("third").own());
    telegram.wait_until(DEADLINE, |ledger| ledger.count(tries) == 2).await.unwrap();
    assert!(refused.elapsed() >= Duration::from_secs(6), "tried again after {:?}", refused.elapsed());
    for (chat, message, text) in
        [(FRIENDS_CHAT, first, "first"), (OTHER_CHAT, second, "second"), (SAVED_MESSAGES, third, "third")]
    {
        telegram.wait_for_reply(chat, message, DEADLINE).await.unwrap();
        assert_eq!(replies(&telegram, chat, message), [text]);
    }
    line.finished().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_had_holds_up_its_own_chat_only() {
    let (telegram, _folder, line) = start().await;
    telegram.fault(Fault::on("*", Action::Ignore).in_dc(4));
    let stuck = telegram.send(FRIENDS_CHAT, saying("stuck").in_dc(4));
    let behind = telegram.send(FRIENDS_CHAT, saying("behind").in_dc(2));
    let other = telegram.send(OTHER_CHAT, saying("other").in_dc(2));
    telegram.wait_for_reply(OTHER_CHAT, other, DEADLINE).await.unwrap();
    assert!(replies(&telegram, FRIENDS_CHAT, behind).is_empty(), "it overtook");
    telegram.clear_faults();
    telegram.wait_for_reply(FRIENDS_CHAT, behind, DEADLINE).await.unwrap();
    assert_eq!(replies(&telegram, FRIENDS_CHAT, stuck), ["stuck"]);
    line.finished().await;
}

#[tokio::test]
async fn a_job_that_cuts_the_connection_every_time_does_not_keep_the_others_waiting() {
    let (telegram, _folder, line) = start().await;
    // Only the first job's file lies there.
    telegram.fault(Fault::on("upload.getFile", Action::Ignore).in_dc(4));
    telegram.fault(Fault::on("messages.getMessages", Action::DropBefore).times(4));
    let bad = telegram.send(FRIENDS_CHAT, saying("bad"));
    let other = telegram.send(OTHER_CHAT, saying("other").in_dc(2));
    telegram.wait_for_reply(OTHER_CHAT, other, DEADLINE).await.unwrap();
    assert!(replies(&telegram, FRIENDS_CHAT, bad).is_empty());
    telegram.clear_faults();
    telegram.wait_for_reply(FRIENDS_CHAT, bad, DEADLINE).await.unwrap();
    line.finished().await;
}

#[tokio::test]
async fn what_is_gone_ends_quietly_and_the_next_is_answered() {
    let (telegram, _folder, line) = start().await;
    telegram.fault(Fault::on("messages.sendMessage", Action::error(403, "CHAT_WRITE_FORBIDDEN")).once());
    let forbidden = telegram.send(FRIENDS_CHAT, saying("forbidden"));
    let next = telegram.send(FRIENDS_CHAT, saying("next"));
    telegram.wait_for_reply(FRIENDS_CHAT, next, DEADLINE).await.unwrap();
    line.finished().await;
    assert!(replies(&telegram, FRIENDS_CHAT, forbidden).is_empty());
}

#[tokio::test]
async fn what_is_kept_for_a_job_is_dropped_once_it_has_ended_and_not_before() {
    let (telegram, _folder, line) = start().await;
    let send = "messages.sendMessage";
    telegram.fault(Fault::on(send, Action::flood_wait(1)).after(1).once());
    telegram.fault(Fault::on(send, Action::error(403, "CHAT_WRITE_FORBIDDEN")).after(1).once());
    let answered = telegram.send(OTHER_CHAT, saying("answered"));
    telegram.wait_for_reply(OTHER_CHAT, answered, DEADLINE).await.unwrap();
    let forbidden = telegram.send(FRIENDS_CHAT, saying("forbidden"));
    line.left(Counts { delayed: 1, ..Counts::default() }).await;
    assert_eq!(*line.ended.borrow(), [answered]);
    line.left(Counts::default()).await;
    assert_eq!(*line.ended.borrow(), [answered, forbidden]);
}

#[tokio::test]
async fn a_short_message_overtakes_another_chats_long_one() {
    let (telegram, _folder, mut line) = start().await;
    let long = telegram.send(FRIENDS_CHAT, saying("one|two|three"));
    let behind = telegram.send(FRIENDS_CHAT, saying("behind"));
    line.at_the_gate(1).await;
    let short = telegram.send(OTHER_CHAT, saying("short"));
    telegram.wait_for_reply(OTHER_CHAT, short, DEADLINE).await.unwrap();
    assert!(replies(&telegram, FRIENDS_CHAT, long).is_empty());
    line.gate.send_replace(true);
    telegram.wait_for_reply(FRIENDS_CHAT, behind, DEADLINE).await.unwrap();
    assert_eq!(replies(&telegram, FRIENDS_CHAT, long), ["one two three"]);
    line.finished().await;
}

#[tokio::test]
async fn any_number_of_long_recordings_leave_a_way_for_a_short_one() {
    let (telegram, _folder, mut line) = start().await;
    for n in 0..6 {
        let chat = telegram.add_user(User { id: 5000 + n, name: "Talker".into(), bot: false });
        telegram.send(chat, saying("on|and|on"));
    }
    line.at_the_gate(3).await;
    let short = telegram.send(OTHER_CHAT, saying("short"));
    telegram.wait_for_reply(OTHER_CHAT, short, DEADLINE).await.unwrap();
    // Each had its first stretch; three go on, the others are put off.
    assert_eq!(*line.recognised.borrow(), 7);
    line.left(Counts { claimed: 3, delayed: 3, ..Counts::default() }).await;
}

#[tokio::test]
async fn a_long_recording_goes_on_after_a_crash_where_it_was() {
    let (telegram, folder, mut line) = start().await;
    let long = telegram.send(FRIENDS_CHAT, saying("one|two|three"));
    line.at_the_gate(1).await;
    let line = line.crash(&folder).await;
    line.gate.send_replace(true);
    telegram.wait_for_reply(FRIENDS_CHAT, long, DEADLINE).await.unwrap();
    assert_eq!(replies(&telegram, FRIENDS_CHAT, long), ["one two three"]);
    assert_eq!(*line.recognised.borrow(), 2);
    line.finished().await;
}

#[tokio::test]
async fn after_a_crash_each_job_is_alone_until_it_gets_on() {
    let (telegram, folder, mut line) = start().await;
    let first = telegram.send(FRIENDS_CHAT, saying("one|two|three"));
    line.at_the_gate(1).await;
    let second = telegram.send(OTHER_CHAT, saying("four|five|six"));
    line.at_the_gate(2).await;
    let mut line = line.crash(&folder).await;
    line.at_the_gate(1).await;
    // The process may die over it again, and the other one would be held for the cause.
    assert_eq!(line.queue.counts().await.unwrap().claimed, 1);
    line.gate.send_replace(true);
    telegram.wait_for_reply(FRIENDS_CHAT, first, DEADLINE).await.unwrap();
    telegram.wait_for_reply(OTHER_CHAT, second, DEADLINE).await.unwrap();
    line.finished().await;
}

#[tokio::test]
async fn a_recording_is_recognised_under_the_settings_of_its_arrival() {
    let (telegram, folder, line) = start().await;
    line.stop().await;
    let mut line = Line::start_for(Task::Translate, &folder).await;
    let long = telegram.send(FRIENDS_CHAT, saying("one|two|three"));
    let behind = telegram.send(FRIENDS_CHAT, saying("behind"));
    line.at_the_gate(1).await;
    line.left(Counts { claimed: 1, waiting: 1, ..Counts::default() }).await;
    line.stop().await;

    // One goes on, the other begins, after a restart with another TASK.
    let line = Line::start_for(Task::Transcribe, &folder).await;
    line.gate.send_replace(true);
    telegram.wait_for_reply(FRIENDS_CHAT, behind, DEADLINE).await.unwrap();
    assert_eq!(replies(&telegram, FRIENDS_CHAT, long), ["ONE TWO THREE"]);
    assert_eq!(replies(&telegram, FRIENDS_CHAT, behind), ["BEHIND"]);
    assert_eq!(*line.recognised.borrow(), 3, "two stretches and the short one");
    let new = telegram.send(FRIENDS_CHAT, saying("new"));
    telegram.wait_for_reply(FRIENDS_CHAT, new, DEADLINE).await.unwrap();
    assert_eq!(replies(&telegram, FRIENDS_CHAT, new), ["new"]);
    line.finished().await;
}

/// An earlier version stored no settings with a job. Such a job is recognised as it is configured now, and what
/// was recognised of it for another task is of no use.
#[tokio::test]
async fn a_job_without_settings_has_those_that_are_configured() {
    let (telegram, folder, line) = start().await;
    line.stop().await;
    let message = telegram.send_silently(FRIENDS_CHAT, saying("one|two|three"));
    let old = Job {
        id: JobId { account: OWNER, chat: FRIEND, message },
        recording: Recording {
            chat: Peer { kind: PeerKind::User, id: FRIEND, access_hash: access_hash(FRIEND) },
            thread: None,
            kind: RecordingKind::Voice,
            document: 0,
            outgoing: false,
            date: 1_800_000_000,
            lifetime: None,
            duration: 3,
            size: 13,
        },
        settings: None,
        stranger: false,
        asked: None,
    };
    let segments = vec![Segment { start_ms: 0, end_ms: 1000, text: "one".into() }];
    let transcript = Transcript { task: Task::Transcribe, language: None, segments, ..Transcript::default() };
    let store = queue(&folder).await;
    store.add(&old).await.unwrap();
    store.claim().await.unwrap();
    store.store_progress(old.id, &Progress { until_ms: 1000, transcript }).await.unwrap();
    store.release(old.id).await.unwrap();
    drop(store);

    let line = Line::start_for(Task::Translate, &folder).await;
    line.gate.send_replace(true);
    telegram.wait_for_reply(FRIENDS_CHAT, message, DEADLINE).await.unwrap();
    assert_eq!(replies(&telegram, FRIENDS_CHAT, message), ["ONE TWO THREE"]);
    assert_eq!(*line.recognised.borrow(), 3, "from its beginning");
    line.finished().await;
}

#[tokio::test]
async fn what_was_recognised_for_another_task_is_recognised_anew() {
    let (telegram, folder, line) = start().await;
    let first = telegram.send(OTHER_CHAT, saying("short"));
    telegram.wait_for_reply(OTHER_CHAT, first, DEADLINE).await.unwrap();
    let post = telegram.look(|ledger| ledger.post(OTHER_CHAT, first).cloned()).expect("it is there");
    line.stop().await;

    let line = Line::start_for(Task::Translate, &folder).await;
    // The same recording again: its transcript is no translation, but then there is one.
    for _ in 0..2 {
        let copy = telegram.send(OTHER_CHAT, Draft::forward(&post));
        telegram.wait_for_reply(OTHER_CHAT, copy, DEADLINE).await.unwrap();
        assert_eq!(replies(&telegram, OTHER_CHAT, copy), ["SHORT"]);
        assert_eq!(*line.recognised.borrow(), 1);
    }
    line.finished().await;
}

#[tokio::test]
async fn that_nothing_was_said_holds_for_its_task_alone() {
    let (telegram, folder, mut line) = start().await;
    let first = telegram.send(OTHER_CHAT, saying(" "));
    line.ended(first).await;
    let post = telegram.look(|ledger| ledger.post(OTHER_CHAT, first).cloned()).expect("it is there");
    line.stop().await;

    // Perhaps there is something to translate; but that is looked for once.
    let mut line = Line::start_for(Task::Translate, &folder).await;
    for _ in 0..2 {
        let copy = telegram.send(OTHER_CHAT, Draft::forward(&post));
        line.ended(copy).await;
        assert_eq!(*line.recognised.borrow_and_update(), 1);
        assert_eq!(replies(&telegram, OTHER_CHAT, copy), [""; 0]);
    }
    line.finished().await;
}
