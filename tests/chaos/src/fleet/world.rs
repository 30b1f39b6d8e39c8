//! What is around the processes of a fleet: an account's Telegram, recordings, Redis.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Mutex;

use fake_telegram::{Chat, Draft, Settings, Telegram, User, write_session};
use stenogram::domain;

use super::plan::Role;
use super::process::Process;
use crate::check::{self, Sent};
use crate::daemon::{for_accounts, for_all, for_recognition};
use crate::plan::News;
use crate::proxy::Proxy;
use crate::recordings::{Kind, Recordings};
use crate::redis_server::{DURABLE, RedisServer};
use crate::run::lock;
use crate::stand_in::COST;

const FIRST_OWNER: i64 = 1001;
const FIRST_USER: i64 = 10_000;
/// Seconds after which the assignment of a silent worker is taken over.
const LEASE: &str = "2";

/// An account: its Telegram, and what it was sent.
pub struct Account {
    pub owner: i64,
    pub telegram: Telegram,
    pub sent: Mutex<Vec<Sent>>,
}

/// What is around the processes.
pub struct World {
    pub accounts: Vec<Account>,
    pub recordings: Recordings,
    pub redis: Mutex<RedisServer>,
}

impl Account {
    pub async fn start(owner: i64, chats: usize, clock: i64) -> anyhow::Result<Self> {
        let settings = Settings { clock_ahead: clock, ..Settings::default() };
        let telegram = Telegram::builder().owner(owner).settings(settings).start().await?;
        for number in 0..chats {
            let id = FIRST_USER + number as i64;
            telegram.add_user(User { id, name: format!("Friend {number}"), bot: false });
        }
        Ok(Self { owner, telegram, sent: Mutex::default() })
    }

    /// How many messages it was sent, and how many of them are answered or left alone.
    pub fn progress(&self) -> (usize, usize) {
        let sent = lock(&self.sent);
        (sent.len(), self.telegram.look(|ledger| check::complete(ledger, self.owner, &sent)))
    }

    /// Sends a recording to it; gives the message.
    pub fn send(&self, recordings: &Recordings, chat: usize, kind: Kind, news: News) -> (Chat, i32) {
        let recording = recordings.make(kind, domain::Settings::default());
        let chat = Chat::User(FIRST_USER + chat as i64);
        // The books are closed meanwhile, lest an answer is counted whose message is not in them.
        let mut sent = lock(&self.sent);
        let draft = Draft::voice(recording.ogg, 1);
        let message = match news {
            News::Never => self.telegram.send_silently(chat, draft),
            News::Once | News::Twice(_) => self.telegram.send(chat, draft),
        };
        sent.push(Sent { chat, message, answer: recording.answer, own: false, again: false });
        (chat, message)
    }
}

impl World {
    /// `clocks`: how many seconds the clock of each account's Telegram is ahead.
    pub async fn start(clocks: &[i64], chats: usize, spoken: usize) -> anyhow::Result<Self> {
        let mut accounts = Vec::new();
        for (owner, clock) in (FIRST_OWNER..).zip(clocks) {
            accounts.push(Account::start(owner, chats, *clock).await?);
        }
        let recordings = Recordings::new(spoken.min(12), true)?;
        Ok(Self { accounts, recordings, redis: Mutex::new(RedisServer::start(DURABLE)) })
    }

    /// How many messages were sent, and how many of them are answered or left alone.
    pub fn progress(&self) -> (usize, usize) {
        let all = self.accounts.iter().map(Account::progress);
        all.fold((0, 0), |(sent, complete), (more, done)| (sent + more, complete + done))
    }

    /// A gateway for the account of this number, in a new folder, with its session.
    pub async fn gateway(&self, number: usize, home: &Path, log_level: &str) -> anyhow::Result<Process> {
        self.account(Role::Gateway, number, home, log_level, 0).await
    }

    /// The same, or a daemon that recognises by itself, at that cost.
    pub async fn account(
        &self,
        role: Role,
        number: usize,
        home: &Path,
        log_level: &str,
        cost: u64,
    ) -> anyhow::Result<Process> {
        let mut process = self.process(role, number, home, log_level).await?;
        if role == Role::Whole {
            process.variables.push((COST, cost.to_string()));
        }
        let data = process.folder.join("data");
        std::fs::create_dir(&data)?;
        write_session(&data.join("account.session"), &self.accounts[number].telegram.session())?;
        Ok(process)
    }

    /// A worker whose stand-in takes so many milliseconds for a recording.
    pub async fn worker(
        &self,
        number: usize,
        home: &Path,
        log_level: &str,
        cost: u64,
    ) -> anyhow::Result<Process> {
        let mut process = self.process(Role::Worker, number, home, log_level).await?;
        process.variables.push((COST, cost.to_string()));
        Ok(process)
    }

    async fn process(
        &self,
        role: Role,
        number: usize,
        home: &Path,
        log_level: &str,
    ) -> anyhow::Result<Process> {
        let kind = match role {
            Role::Gateway => "gateway",
            Role::Worker => "worker",
            Role::Whole => "daemon",
        };
        let name = format!("{kind}-{}", number + 1);
        let folder = home.join(&name);
        std::fs::create_dir(&folder)?;
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, lock(&self.redis).port()));
        let port = RedisServer::free_port();
        let redis = Proxy::start((Ipv4Addr::LOCALHOST, port).into(), server).await?;
        let mut variables = for_all(log_level);
        variables.push(("REDIS_URL", format!("redis://127.0.0.1:{port}/")));
        match role {
            Role::Gateway => variables.extend(for_accounts()),
            Role::Whole => {
                variables.extend(for_accounts());
                variables.extend(for_recognition());
            }
            Role::Worker => {
                variables.extend(for_recognition());
                variables.push(("WORKER_NAME", name.clone()));
                variables.push(("WORKER_LEASE", LEASE.to_owned()));
            }
        }
        Ok(Process { name, role, folder, variables, redis, clock: 0 })
    }
}
