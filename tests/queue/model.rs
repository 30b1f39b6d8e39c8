//! Random operations and crashes, against a model of the promises that fits on a page.
//!
//! The seed is printed; `QUEUE_SEED` runs one again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use stenogram::domain::{Answer, JobId, Progress, Task};
use stenogram::queue::{
    self, Added, AdminOutcome, Claim, Claimed, Counts, CrashRules, MAX_DEATHS, MAX_DELIVERIES,
    MAX_DELIVERIES_AT_ONCE, QueueError,
};

use super::backend::{
    AnyQueue, Backend, InRedis, LONG, OnFile, answer_of, dead, id, job, progress, silence, with_document,
};

const STEPS: u32 = 1200;
const CHATS: u64 = 4;

#[tokio::test]
async fn embedded_behaves_like_the_model() {
    run(OnFile::new(), Duration::ZERO).await;
}

#[tokio::test]
async fn embedded_that_puts_off_behaves_like_the_model() {
    run(OnFile::new(), LONG).await;
}

#[tokio::test]
async fn redis_behaves_like_the_model() {
    run(InRedis::new(), Duration::ZERO).await;
}

#[tokio::test]
async fn redis_that_puts_off_behaves_like_the_model() {
    run(InRedis::new(), LONG).await;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Claimed,
    /// Due at once: it joins the line with the next claim.
    Due,
    /// Not due while the test runs.
    Late,
    Dead,
    Done,
}

#[derive(Clone, Debug)]
struct Job {
    id: JobId,
    state: State,
    deliveries: u32,
    deaths: u32,
    begun: bool,
    attempts: u32,
    /// By a retry or a wait, or after a death.
    put_off: bool,
    progress: Option<Progress>,
    outbox: Option<Answer>,
}

/// Jobs in the order they were added, and the line as numbers of jobs.
#[derive(Default)]
struct Model {
    jobs: Vec<Job>,
    /// Recovered or released, with the place each had.
    first: Vec<(u64, usize)>,
    line: VecDeque<(u64, usize)>,
    /// The first answer stored for each recording.
    results: HashMap<i64, Answer>,
    /// The place of each job that is claimed.
    places: Vec<u64>,
    place: u64,
    dead: Vec<JobId>,
    /// The poisonous recordings.
    poison: HashSet<i64>,
}

impl Model {
    fn find(&self, id: JobId) -> Option<usize> {
        self.jobs.iter().position(|job| job.id == id)
    }

    fn unfinished(&self, chat: i64) -> impl Iterator<Item = usize> {
        let jobs = self.jobs.iter().enumerate();
        jobs.filter(move |(_, job)| job.id.chat == chat && !matches!(job.state, State::Dead | State::Done))
            .map(|(n, _)| n)
    }

    fn line_up(&mut self, n: usize) {
        self.place += 1;
        self.line.push_back((self.place, n));
    }

    fn add(&mut self, id: JobId) -> Added {
        if self.find(id).is_some() {
            return Added::Seen;
        }
        self.jobs.push(Job {
            id,
            state: State::Waiting,
            deliveries: 0,
            deaths: 0,
            begun: false,
            attempts: 0,
            put_off: false,
            progress: None,
            outbox: None,
        });
        self.places.push(0);
        if self.unfinished(id.chat).count() == 1 {
            self.line_up(self.jobs.len() - 1);
        }
        Added::New
    }

    fn claim(&mut self) -> Option<Claim> {
        while let Some(n) = self.jobs.iter().position(|job| job.state == State::Due) {
            self.jobs[n].state = State::Waiting;
            self.line_up(n);
        }
        self.first.sort();
        loop {
            let (place, n) =
                if self.first.is_empty() { self.line.pop_front()? } else { self.first.remove(0) };
            let document = job_of(self.jobs[n].id).recording.document;
            let known = self.poison.contains(&document);
            if !known && self.jobs[n].deaths == MAX_DEATHS {
                self.poison.insert(document);
            }
            if known || self.jobs[n].deaths == MAX_DEATHS || self.jobs[n].deliveries == MAX_DELIVERIES {
                self.end(n, State::Dead);
                self.dead.push(self.jobs[n].id);
                continue;
            }
            self.places[n] = place;
            let it = &mut self.jobs[n];
            it.state = State::Claimed;
            it.deliveries += 1;
            it.begun = false;
            return Some(Claim {
                job: job_of(it.id),
                delivery: it.deliveries,
                deaths: it.deaths,
                attempts: it.attempts,
                progress: it.progress.clone(),
                preview: None,
                outbox: it.outbox.clone(),
            });
        }
    }

    fn end(&mut self, n: usize, state: State) {
        self.jobs[n].state = state;
        let next = self.unfinished(self.jobs[n].id.chat).next();
        if let Some(next) = next {
            self.line_up(next);
        }
    }

    fn put_first(&mut self, n: usize) {
        self.jobs[n].state = State::Waiting;
        self.first.push((self.places[n], n));
    }

    fn crash(&mut self, rules: CrashRules) {
        for n in 0..self.jobs.len() {
            let it = &mut self.jobs[n];
            if it.state != State::Claimed {
                continue;
            }
            let begun = std::mem::take(&mut it.begun);
            let mut is_put_off = !begun && (MAX_DELIVERIES_AT_ONCE..MAX_DELIVERIES).contains(&it.deliveries);
            if begun && it.deaths > 1 && !rules.together.is_zero() {
                it.deaths -= 1;
                is_put_off = true;
            } else if begun {
                is_put_off = it.deaths == 2;
            }
            if is_put_off && !rules.pauses[0].is_zero() {
                (it.state, it.put_off) = (State::Late, true);
            } else {
                self.put_first(n);
            }
        }
    }

    fn counts(&self) -> Counts {
        let count =
            |states: &[State]| self.jobs.iter().filter(|job| states.contains(&job.state)).count() as u64;
        Counts {
            waiting: count(&[State::Waiting]),
            claimed: count(&[State::Claimed]),
            delayed: count(&[State::Due, State::Late]),
            dead: count(&[State::Dead]),
        }
    }

    fn requeue(&mut self, id: JobId) -> AdminOutcome {
        let Some(n) = self.find(id) else { return AdminOutcome::Unknown };
        match self.jobs[n].state {
            State::Done => return AdminOutcome::Unknown,
            State::Waiting | State::Claimed => {}
            State::Due | State::Late => {
                self.jobs[n].state = State::Waiting;
                self.line_up(n);
            }
            State::Dead => {
                self.poison.remove(&job_of(id).recording.document);
                // As if it were added now, behind the others of its chat.
                let job = self.jobs[n].clone();
                self.dead.retain(|dead| *dead != id);
                self.jobs[n].state = State::Done;
                self.jobs[n].id.account = 0;
                assert_eq!(self.add(id), Added::New);
                let added = self.jobs.last_mut().expect("it was added");
                (added.progress, added.outbox) = (job.progress, job.outbox);
            }
        }
        AdminOutcome::Done
    }

    fn discard(&mut self, id: JobId) -> AdminOutcome {
        let Some(n) = self.find(id) else { return AdminOutcome::Unknown };
        let first = self.unfinished(id.chat).next() == Some(n);
        match self.jobs[n].state {
            State::Done => {}
            State::Claimed => return AdminOutcome::Claimed,
            State::Dead => {
                self.dead.retain(|dead| *dead != id);
                self.jobs[n].state = State::Done;
            }
            _ if first => {
                self.first.retain(|(_, other)| *other != n);
                self.line.retain(|(_, other)| *other != n);
                self.end(n, State::Done);
            }
            _ => self.jobs[n].state = State::Done,
        }
        AdminOutcome::Done
    }

    /// Every job that is not finished, in the order of its id: its state, deliveries, attempts.
    fn entries(&self) -> Vec<(JobId, &'static str, u32, u32)> {
        let name = |state| match state {
            State::Waiting => Some("waiting"),
            State::Claimed => Some("claimed"),
            State::Due | State::Late => Some("delayed"),
            State::Dead => Some("dead"),
            State::Done => None,
        };
        let entry = |job: &Job| Some((job.id, name(job.state)?, job.deliveries, job.attempts));
        let mut entries: Vec<_> = self.jobs.iter().filter_map(entry).collect();
        entries.sort();
        entries
    }

    /// Changes the job and says whether the queue should agree to it.
    fn change(&mut self, change: &Change, id: JobId) -> bool {
        let Some(n) = self.find(id) else { return false };
        let state = self.jobs[n].state;
        let back = matches!(state, State::Waiting | State::Due | State::Late);
        match (change, state) {
            (Change::Done | Change::Reject, State::Done) | (Change::Bury, State::Dead) => true,
            (Change::Release, _) if back => true,
            (Change::Retry(_) | Change::Wait(_), _) if back && self.jobs[n].put_off => true,
            (Change::Begin, State::Claimed) => {
                let it = &mut self.jobs[n];
                it.deaths += u32::from(!it.begun);
                it.begun = true;
                true
            }
            (Change::Progress(progress), State::Claimed) => {
                let it = &mut self.jobs[n];
                it.progress = Some(progress.clone());
                (it.deliveries, it.deaths) = (1, it.begun.into());
                true
            }
            (Change::Outbox(answer), State::Claimed) => {
                let it = &mut self.jobs[n];
                (it.progress, it.outbox) = (None, Some(answer.clone()));
                (it.deliveries, it.deaths, it.begun) = (1, 0, false);
                let result =
                    self.results.entry(job_of(id).recording.document).or_insert_with(|| answer.clone());
                if result.settings != answer.settings {
                    result.clone_from(answer);
                }
                true
            }
            (Change::Done | Change::Reject, State::Claimed) => {
                self.end(n, State::Done);
                true
            }
            (Change::Bury, State::Claimed) => {
                self.end(n, State::Dead);
                self.dead.push(id);
                true
            }
            (Change::Release, State::Claimed) => {
                self.jobs[n].deliveries -= 1;
                self.jobs[n].deaths -= u32::from(self.jobs[n].begun);
                self.jobs[n].begun = false;
                self.put_first(n);
                true
            }
            (Change::Retry(after) | Change::Wait(after), State::Claimed) => {
                let it = &mut self.jobs[n];
                it.state = if after.is_zero() { State::Due } else { State::Late };
                (it.deliveries, it.deaths, it.begun) = (0, 0, false);
                it.attempts += u32::from(matches!(change, Change::Retry(_)));
                it.put_off = true;
                true
            }
            _ => false,
        }
    }
}

#[derive(Debug)]
enum Change {
    Begin,
    Progress(Progress),
    Outbox(Answer),
    Done,
    Reject,
    Bury,
    Release,
    Retry(Duration),
    Wait(Duration),
}

async fn apply(queue: &dyn AnyQueue, change: &Change, id: JobId) -> Result<(), QueueError> {
    match change {
        Change::Begin => queue.begin(id).await,
        Change::Progress(progress) => queue.store_progress(id, progress).await,
        Change::Outbox(answer) => queue.store_outbox(id, answer).await,
        Change::Done => queue.done(id, &[1, 2]).await,
        Change::Reject => queue.reject(id, "r").await,
        Change::Bury => queue.bury(id, "b").await,
        Change::Release => queue.release(id).await,
        Change::Retry(after) => queue.retry(id, *after, "t").await,
        Change::Wait(after) => queue.wait(id, *after, "t").await,
    }
}

/// The job of this id; every third recording of a chat is the same one.
fn job_of(id: JobId) -> stenogram::domain::Job {
    let job = job(id.chat, id.message);
    let document = if id.message % 3 == 0 { id.chat + 1 } else { job.recording.document };
    with_document(document, job)
}

async fn entries(queue: &dyn AnyQueue) -> Vec<(JobId, &'static str, u32, u32)> {
    let entries = queue.entries().await.unwrap().into_iter().map(|entry| {
        let state = match entry.state {
            queue::State::Waiting => "waiting",
            queue::State::Claimed => "claimed",
            queue::State::Delayed { .. } => "delayed",
            queue::State::Dead => "dead",
        };
        (entry.job.id, state, entry.deliveries, entry.attempts)
    });
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    entries
}

/// xorshift64*, enough to pick operations.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % bound
    }
}

/// After a death a job is put off for so long.
async fn run(mut backend: impl Backend, pause: Duration) {
    let seed = match std::env::var("QUEUE_SEED") {
        Ok(seed) => seed.parse().expect("QUEUE_SEED is a number"),
        Err(_) => std::time::UNIX_EPOCH.elapsed().expect("a clock").as_nanos() as u64 | 1,
    };
    println!("QUEUE_SEED={seed}");
    let mut random = Random(seed);
    let mut model = Model::default();
    let mut messages: HashMap<u64, i32> = HashMap::new();
    let mut queue = backend.open().await;
    for step in 0..STEPS {
        // New chats now and then, as a job that is delayed for long stops its chat.
        let chat = u64::from(step / 150) * CHATS + random.below(CHATS);
        let last = messages.entry(chat).or_default();
        match random.below(100) {
            0..25 => {
                // One in four is known already.
                if random.below(4) > 0 || *last == 0 {
                    *last += 1;
                }
                let message = *last;
                let added = queue.add(&job_of(id(chat as i64, message))).await.unwrap();
                assert_eq!(added, model.add(id(chat as i64, message)), "step {step}");
            }
            25..55 => {
                let expected = model.claim();
                match queue.claim().await.unwrap() {
                    Claimed::Job(claim) => assert_eq!(Some(*claim), expected, "step {step}"),
                    Claimed::GivenUp { .. } => panic!("step {step}: nothing was asked for"),
                    Claimed::Empty { next_due } => {
                        assert_eq!(None, expected, "step {step}");
                        assert_eq!(next_due.is_some(), model.counts().delayed > 0, "step {step}");
                    }
                }
            }
            55..87 => {
                let claimed: Vec<JobId> =
                    (model.jobs.iter()).filter(|job| job.state == State::Claimed).map(|job| job.id).collect();
                // Mostly a claimed job, sometimes any.
                let message = random.below(*last as u64 + 2) as i32;
                let any = id(chat as i64, message);
                let target = match claimed.len() {
                    0 => any,
                    _ if random.below(6) == 0 => any,
                    len => claimed[random.below(len as u64) as usize],
                };
                let change = match random.below(15) {
                    12.. => Change::Begin,
                    0 => Change::Progress(progress(&step.to_string())),
                    1..3 => {
                        let task = if random.below(2) == 0 { Task::Transcribe } else { Task::Translate };
                        // Now and then nothing was said.
                        Change::Outbox(match random.below(4) {
                            0 => silence(task),
                            _ => answer_of(task, &step.to_string()),
                        })
                    }
                    3..7 => Change::Done,
                    7 => Change::Reject,
                    8 => Change::Bury,
                    9 => Change::Release,
                    // Two that are due in the same millisecond have no order.
                    10 if model.jobs.iter().all(|job| job.state != State::Due) => match random.below(2) {
                        0 => Change::Retry(Duration::ZERO),
                        _ => Change::Wait(Duration::ZERO),
                    },
                    _ if random.below(4) == 0 => Change::Retry(LONG),
                    _ if random.below(4) == 0 => Change::Wait(LONG),
                    _ => Change::Done,
                };
                let result = apply(&*queue, &change, target).await;
                let agreed = model.change(&change, target);
                match result {
                    Ok(()) => assert!(agreed, "step {step}: {change:?} of {target} succeeded"),
                    Err(QueueError::NotClaimed(id)) if id == target && !agreed => {}
                    Err(error) => panic!("step {step}: {change:?} of {target}: {error}"),
                }
            }
            87..93 => {
                let dead = model.dead.len() as u64;
                let target = match random.below(3) {
                    0 if dead > 0 => model.dead[random.below(dead) as usize],
                    _ => id(chat as i64, random.below(*last as u64 + 2) as i32),
                };
                let (handled, expected) = match random.below(2) {
                    0 => (queue.requeue(target).await, model.requeue(target)),
                    _ => (queue.discard(target).await, model.discard(target)),
                };
                assert_eq!(handled.unwrap(), expected, "step {step}: {target}");
                let copy = job_of(target);
                let result = queue.result(&copy).await.unwrap();
                let expected = model.results.get(&copy.recording.document);
                assert_eq!(result.as_ref(), expected, "step {step}: {target}");
            }
            _ => {
                let together = if random.below(2) == 0 { Duration::ZERO } else { LONG };
                let rules = CrashRules { together, pauses: [pause; 2] };
                model.crash(rules);
                queue = backend.crash(queue, rules).await;
            }
        }
        if step % 10 == 0 {
            assert_eq!(entries(&*queue).await, model.entries(), "step {step}");
        }
        assert_eq!(queue.counts().await.unwrap(), model.counts(), "step {step}");
    }
    let dead: Vec<JobId> = dead(&*queue).await.iter().map(|dead| dead.job.id).collect();
    assert_eq!(dead, model.dead);
}
