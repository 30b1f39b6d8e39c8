//! The budget of messages that the account sends, counted across restarts.

use std::sync::Mutex;

use tracing::{info, warn};

use super::super::session::error::SessionError;
use super::super::store::UpdateStore;
use crate::domain::pacing::{Pacing, SendLimits, SendUsage};
use crate::domain::unix_time::now_millis;
use crate::domain::{Fault, JobId};
use crate::runtime::lock;

/// The budget of one account.
pub(crate) struct Pace {
    pacing: Mutex<Pacing>,
    store: UpdateStore,
}

impl Pace {
    pub async fn open(limits: SendLimits, store: UpdateStore) -> Result<Self, SessionError> {
        let (login, sent) = store.sends().await?;
        Ok(Self { pacing: Mutex::new(Pacing::new(limits, login, sent)), store })
    }

    /// Fails while the job or command has to wait until it may send. `whose` is its id, and whether
    /// it is a stranger's.
    pub fn check(&self, whose: (JobId, bool)) -> Result<(), Fault> {
        self.ask(whose, |_, _| ())
    }

    /// Counts a message that it sends at once, unless it has to wait.
    pub async fn take(&self, whose: (JobId, bool)) -> Result<(), Fault> {
        let now = now_millis();
        self.ask(whose, |pacing, now| pacing.record(whose.0, whose.1, now))?;
        self.keep(now).await;
        Ok(())
    }

    /// Counts a message to the owner themselves, which waits for no turn: there are a few a day.
    pub async fn count(&self, account: i64) {
        let now = now_millis();
        let no_job = JobId { account, chat: account, message: 0 };
        lock(&self.pacing).record(no_job, false, now);
        self.keep(now).await;
    }

    /// Whether there is room for a message that could as well wait.
    pub fn has_room(&self) -> bool {
        lock(&self.pacing).has_room(now_millis())
    }

    /// The job has ended.
    pub fn forget(&self, job: JobId) {
        lock(&self.pacing).forget(job);
    }

    async fn keep(&self, now: u64) {
        if let Err(error) = self.store.add_send(now).await {
            warn!(%error, "A message could not be counted, a restart will forget it");
        }
    }

    pub fn usage(&self) -> SendUsage {
        lock(&self.pacing).usage(now_millis())
    }

    fn ask(
        &self,
        (job, stranger): (JobId, bool),
        and_then: impl FnOnce(&mut Pacing, u64),
    ) -> Result<(), Fault> {
        let (mut pacing, now) = (lock(&self.pacing), now_millis());
        let before = pacing.usage(now);
        let asked = pacing.ask(job, stranger, now);
        let usage = pacing.usage(now);
        match asked {
            Ok(()) => and_then(&mut pacing, now),
            Err(_) if before.waiting == 0 => {
                let SendUsage { minute, day, .. } = usage;
                info!(
                    event = "sends_paced",
                    "The account has sent {} messages in a minute and {} in a day, of {} and {} that \
                     SENDS_PER_MINUTE and SENDS_PER_DAY allow now; further answers wait for their turn",
                    minute.0,
                    day.0,
                    minute.1,
                    day.1
                );
            }
            Err(_) => {}
        }
        let which = if usage.day.0 >= usage.day.1 { "SENDS_PER_DAY" } else { "SENDS_PER_MINUTE" };
        asked.map_err(|after| Fault::Held { after, why: format!("the budget of {which} is used up") })
    }
}
