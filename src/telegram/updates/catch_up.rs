//! Reads from the chats themselves what Telegram does not list after a long outage.
//!
//! After `differenceTooLong` the updates go on from now, and the messages before that are only in
//! the histories (<https://core.telegram.org/api/updates#recovering-gaps>). Private chats and basic
//! groups number their messages together, so the last message handed over says which chats have
//! newer ones, and where to begin in them. None of this changes the stored position: after a crash
//! in between, all of it is repeated.

use std::collections::HashMap;

use grammers_client::tl;
use grammers_session::types::PeerId;
use tracing::{info, warn};

use super::super::message;
use super::dialogs::{Dialog, Dialogs};
use super::error::UpdatesEnded;
use super::event_sink::EventSink;
use super::update_loop::UpdateLoop;
use crate::domain::{Event, unix_time};

/// Messages in one page, the most that Telegram gives.
const PAGE: i32 = 100;
/// Pages of a chat that are read only to count the recordings that are too old.
const OLD_PAGES: usize = 5;
/// How often the list of chats is read at most. While it is read, chats move to its head, so it is
/// read again from there.
const ROUNDS: usize = 10;

/// The events in a history after the last message handed over.
#[derive(Default)]
struct Missed {
    /// Those that are recent enough, oldest first.
    events: Vec<Event>,
    /// How many recordings were too old.
    too_old: usize,
    /// Whether there may be more that are too old.
    uncounted: bool,
}

/// A page of a history, newest message first.
struct Page {
    messages: Vec<tl::enums::Message>,
    /// Whether Telegram says that the history ends here.
    is_last: bool,
}

impl<S: EventSink> UpdateLoop<'_, S> {
    /// Hands over the events in private chats and basic groups after the last message handed over.
    pub(super) async fn catch_up(&mut self) -> Result<(), UpdatesEnded> {
        let known = self.last.account;
        info!(
            event = "catching_up",
            "The outage was so long that Telegram does not list the missed messages, reading the chats"
        );
        let (chats, last) = self.chats_beyond(known, self.oldest_wanted()).await?;
        let mut total = Missed::default();
        let mut found = 0;
        for dialog in &chats {
            let Some(missed) = self.history(dialog.chat, known).await? else { continue };
            total.too_old += missed.too_old;
            total.uncounted |= missed.uncounted;
            found += recordings_among(&missed.events);
            self.hand_over_events(missed.events).await?;
        }
        info!(
            event = "caught_up",
            chats = chats.len(),
            voice_messages = found,
            "The missed voice messages are queued"
        );
        warn_of_old(&total);
        self.last.account = last.max(known);
        Ok(())
    }

    /// Hands over the events in a channel after the last message handed over. `last` is the last
    /// message there.
    pub(super) async fn catch_up_channel(&mut self, channel: PeerId, last: i32) -> Result<(), UpdatesEnded> {
        let Some(missed) = self.history(channel, self.last.of(channel)).await? else { return Ok(()) };
        let found = recordings_among(&missed.events);
        info!(voice_messages = found, "The outage was long, the history of a channel was read");
        warn_of_old(&missed);
        self.hand_over_events(missed.events).await?;
        self.last.advance(channel, last);
        Ok(())
    }

    /// The chats with messages after `known`, and the last message in all of them when this began.
    /// The histories are read afterwards, so they contain every message up to that one.
    async fn chats_beyond(&self, known: i32, oldest: i64) -> Result<(Vec<Dialog>, i32), UpdatesEnded> {
        let mut chats: HashMap<PeerId, Dialog> = HashMap::new();
        let (mut floor, mut first_head) = (known, None);
        for _ in 0..ROUNDS {
            let is_new = |dialog: &Dialog| {
                dialog.last_message > floor
                    && (known > 0 || dialog.date.is_none_or(|date| i64::from(date) >= oldest))
            };
            let mut dialogs = Dialogs::new(self.link);
            let (mut pages, mut head) = (0, floor);
            while let Some(page) = dialogs.next().await? {
                pages += 1;
                let (new, old): (Vec<_>, Vec<_>) =
                    page.into_iter().filter(Dialog::is_of_account).partition(is_new);
                if pages == 1 {
                    head = new.iter().map(|dialog| dialog.last_message).max().unwrap_or(floor);
                }
                // The first page begins with pinned chats, however old they are.
                let is_beyond = pages > 1 && new.is_empty() && !old.is_empty();
                chats.extend(new.into_iter().map(|dialog| (dialog.chat, dialog)));
                if is_beyond {
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

    /// The events in `chat` after the message `known`; `None` if they are not wanted or cannot be
    /// read.
    async fn history(&self, chat: PeerId, known: i32) -> Result<Option<Missed>, UpdatesEnded> {
        let Some(peer) = self.covered_peer(chat).await? else { return Ok(None) };
        let oldest = self.oldest_wanted();
        let mut request = first_page(peer, known);
        let mut missed = Missed::default();
        let mut old_pages = 0;
        loop {
            let Some(page) = self.page(&request).await? else { return Ok(None) };
            let Some(first) = page.messages.iter().map(tl::enums::Message::id).min() else { break };
            let ends_too_old = self.add_events(&page, known, oldest, &mut missed).await?;
            // If the last message is not known, the rest may be the whole history of the chat.
            if ends_too_old && known == 0 {
                break;
            }
            old_pages += usize::from(ends_too_old);
            if old_pages == OLD_PAGES {
                missed.uncounted = true;
                break;
            }
            let is_repeated = request.offset_id != 0 && first >= request.offset_id;
            if page.is_last || first <= known || is_repeated {
                break;
            }
            request.offset_id = first;
        }
        missed.events.reverse();
        Ok(Some(missed))
    }

    /// Where to read `chat`; `None` if its events are not wanted, or the chat cannot be reached.
    async fn covered_peer(&self, chat: PeerId) -> Result<Option<tl::enums::InputPeer>, UpdatesEnded> {
        let context = &self.link.context;
        let Some(known) = context.seen_peer(chat).await? else {
            let error = "its access hash is not known";
            warn!(error, "A chat cannot be read, voice messages missed there are not answered");
            return Ok(None);
        };
        let peer = message::peer(&known.info);
        let info = message::chat_info(&peer, Some(&known), context.user.id);
        Ok(self.sink.covers(&info).then(|| message::input_peer(&peer)))
    }

    /// Reads one page of a history, and stores the peers in it; `None` if Telegram refuses.
    async fn page(
        &self,
        request: &tl::functions::messages::GetHistory,
    ) -> Result<Option<Page>, UpdatesEnded> {
        tokio::time::sleep(self.link.context.options.pace).await;
        let answer = match self.link.call_until_answered(request).await {
            Ok(answer) => answer,
            Err(error) if error.is_refusal() => {
                warn!(%error, "A chat cannot be read, voice messages missed there are not answered");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        self.link.context.store.cache_peers(message::peers_of_messages(&answer)).await?;
        let is_last = matches!(answer, tl::enums::messages::Messages::Messages(_));
        Ok(Some(Page { messages: message::messages_of(answer), is_last }))
    }

    /// Adds the events in a page that come after the message `known`. Returns whether the page ends
    /// with messages from before `oldest`.
    async fn add_events(
        &self,
        page: &Page,
        known: i32,
        oldest: i64,
        missed: &mut Missed,
    ) -> Result<bool, UpdatesEnded> {
        let mut is_old = false;
        for message in page.messages.iter().filter(|message| message.id() > known) {
            is_old = message::date(message).is_some_and(|date| date < oldest);
            if !is_old {
                missed.events.extend(self.event_in_message(message).await?);
            } else if message::unresolved_recording(message).is_some() {
                missed.too_old += 1;
            }
        }
        Ok(is_old)
    }

    /// Messages sent before this, in seconds of Unix time, are too old to be answered.
    fn oldest_wanted(&self) -> i64 {
        let oldest = unix_time::now().saturating_sub(self.sink.max_age());
        i64::try_from(oldest.as_secs()).unwrap_or(i64::MAX)
    }
}

fn first_page(peer: tl::enums::InputPeer, known: i32) -> tl::functions::messages::GetHistory {
    tl::functions::messages::GetHistory {
        peer,
        offset_id: 0,
        offset_date: 0,
        add_offset: 0,
        limit: PAGE,
        max_id: 0,
        min_id: known,
        hash: 0,
    }
}

fn recordings_among(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Recording(_))).count()
}

fn warn_of_old(missed: &Missed) {
    if missed.too_old > 0 {
        warn!(
            event = "too_old",
            voice_messages = missed.too_old,
            and_more = missed.uncounted,
            "Older than CATCH_UP_MAX_AGE, not answered"
        );
    }
}
