//! What Telegram does not list after a long outage is read from the chats themselves.
//!
//! After `differenceTooLong` the updates go on from now; what came before stands in the histories only
//! (<https://core.telegram.org/api/updates#recovering-gaps>). Private chats and basic groups number their
//! messages together, so the last message handed over tells which chats have newer ones, and where
//! in them to begin. Nothing of this changes the stored position: a crash in between repeats all of it.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

use grammers_client::tl;
use grammers_session::types::{PeerId, PeerInfo};
use tracing::{info, warn};

use super::dialogs::{Dialog, Dialogs};
use super::incoming;
use super::recipient::Recipient;
use super::updates::{UpdateLoop, UpdatesEnded};
use crate::domain::policy::Incoming;

/// Messages in one page, the most that Telegram gives.
const PAGE: i32 = 100;
/// Pages of a chat that are read for nothing but to count what is too old.
const OLD_PAGES: usize = 5;
/// Chats move to the head of the list while it is read; it is read again from there, so often at most.
const ROUNDS: usize = 10;

/// What a history held beyond the last message known.
#[derive(Default)]
struct History {
    /// Young enough, oldest first.
    recordings: Vec<Incoming>,
    /// How many were too old.
    too_old: usize,
    /// Not all of them were counted.
    uncounted: bool,
}

impl UpdateLoop<'_> {
    /// Hands over what came to private chats and basic groups after the last message known.
    pub(super) async fn catch_up(&mut self, to: &impl Recipient) -> Result<(), UpdatesEnded> {
        let known = self.last.account;
        info!("Away for so long that Telegram does not list what was missed: reading the chats");
        let (chats, last) = self.chats_beyond(known, oldest(to)).await?;
        let mut total = History::default();
        let mut found = 0;
        for dialog in &chats {
            let Some(history) = self.history(dialog.chat, known, to).await? else { continue };
            total.too_old += history.too_old;
            total.uncounted |= history.uncounted;
            found += history.recordings.len();
            self.give(history.recordings, to).await?;
        }
        info!(chats = chats.len(), voice_messages = found, "What was missed is queued");
        report_old(&total);
        self.last.account = last.max(known);
        Ok(())
    }

    /// The same for a channel.
    pub(super) async fn catch_up_channel(
        &mut self,
        channel: PeerId,
        last: i32,
        to: &impl Recipient,
    ) -> Result<(), UpdatesEnded> {
        let known = self.last.of(channel);
        let Some(history) = self.history(channel, known, to).await? else { return Ok(()) };
        info!(voice_messages = history.recordings.len(), "Away for long, a channel's history was read");
        report_old(&history);
        self.give(history.recordings, to).await?;
        self.last.raise(channel, last);
        Ok(())
    }

    async fn give(&self, recordings: Vec<Incoming>, to: &impl Recipient) -> Result<(), UpdatesEnded> {
        if recordings.is_empty() || to.take(recordings).await { Ok(()) } else { Err(UpdatesEnded::NotTaken) }
    }

    /// The chats with messages beyond `known`, and the last message of them all when this began: no
    /// earlier one is missing from the histories read afterwards.
    async fn chats_beyond(&self, known: i32, oldest: i64) -> Result<(Vec<Dialog>, i32), UpdatesEnded> {
        let mut chats: HashMap<PeerId, Dialog> = HashMap::new();
        let (mut floor, mut first_head) = (known, None);
        for _ in 0..ROUNDS {
            let is_new = |dialog: &Dialog| {
                dialog.last_message > floor
                    && (known > 0 || dialog.date.is_none_or(|date| i64::from(date) >= oldest))
            };
            let mut dialogs = Dialogs::new(self.account, self.link);
            let (mut pages, mut head) = (0, floor);
            while let Some(page) = dialogs.next().await? {
                pages += 1;
                let (new, old): (Vec<_>, Vec<_>) =
                    page.into_iter().filter(Dialog::is_of_account).partition(is_new);
                if pages == 1 {
                    head = new.iter().map(|dialog| dialog.last_message).max().unwrap_or(floor);
                }
                // The first page begins with what is pinned, however old.
                let beyond = pages > 1 && new.is_empty() && !old.is_empty();
                chats.extend(new.into_iter().map(|dialog| (dialog.chat, dialog)));
                if beyond {
                    break;
                }
            }
            first_head.get_or_insert(head);
            if pages <= 1 || head == floor {
                break;
            }
            floor = head;
        }
        let mut chats: Vec<Dialog> = chats.into_values().collect();
        chats.sort_by_key(|dialog| std::cmp::Reverse(dialog.last_message));
        Ok((chats, first_head.unwrap_or(known)))
    }

    /// The recordings in `chat` after the message `known`; none where they are not wanted or cannot be
    /// read.
    async fn history(
        &self,
        chat: PeerId,
        known: i32,
        to: &impl Recipient,
    ) -> Result<Option<History>, UpdatesEnded> {
        let Some(info) = self.account.peer(chat).await? else {
            warn_unreadable("its access hash is not known");
            return Ok(None);
        };
        let bot = matches!(info, PeerInfo::User { bot: Some(true), .. });
        if !to.covers(&incoming::peer(&info), bot) {
            return Ok(None);
        }
        let oldest = oldest(to);
        let mut request = tl::functions::messages::GetHistory {
            peer: incoming::input_peer(&info),
            offset_id: 0,
            offset_date: 0,
            add_offset: 0,
            limit: PAGE,
            max_id: 0,
            min_id: known,
            hash: 0,
        };
        let mut history = History::default();
        let mut old_pages = 0;
        loop {
            tokio::time::sleep(self.account.options.pace).await;
            let answer = match self.link.insist(&request).await {
                Ok(answer) => answer,
                Err(error) if error.is_refusal() => {
                    warn_unreadable(error);
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
            self.account.store.cache_peers(incoming::peers_of(&answer)).await?;
            let is_whole = matches!(answer, tl::enums::messages::Messages::Messages(_));
            let messages = incoming::messages_of(answer);
            // Newest first.
            let Some(last) = messages.iter().map(tl::enums::Message::id).min() else { break };
            let mut old = false;
            for message in messages.iter().filter(|message| message.id() > known) {
                old = incoming::date(message).is_some_and(|date| date < oldest);
                match incoming::sighting(message) {
                    Some(_) if old => history.too_old += 1,
                    Some(sighting) => history.recordings.push(self.with_peer(sighting).await?),
                    None => {}
                }
            }
            // Where the last known message is not known, this may be a chat's whole life.
            if old && known == 0 {
                break;
            }
            old_pages += usize::from(old);
            if old_pages == OLD_PAGES {
                history.uncounted = true;
                break;
            }
            let is_end = is_whole || last <= known || (request.offset_id != 0 && last >= request.offset_id);
            if is_end {
                break;
            }
            request.offset_id = last;
        }
        history.recordings.reverse();
        Ok(Some(history))
    }
}

/// Messages sent before this, in seconds of Unix time, are too old.
fn oldest(to: &impl Recipient) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.saturating_sub(to.max_age()).as_secs()).unwrap_or(i64::MAX)
}

fn warn_unreadable(reason: impl Display) {
    warn!(%reason, "A chat cannot be read, what was missed there is not answered");
}

fn report_old(history: &History) {
    if history.too_old > 0 {
        warn!(
            voice_messages = history.too_old,
            and_more = history.uncounted,
            "Older than CATCH_UP_MAX_AGE, not answered"
        );
    }
}
