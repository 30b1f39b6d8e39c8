//! The loop over grammers' message boxes, which put updates in order and say what is missing.
//!
//! It handles one batch at a time: first its events are handed over as a whole, and only then the
//! state of the boxes is stored. So the stored state is never ahead of what the sink has stored,
//! and dropping the loop at any point loses nothing.

use std::convert::Infallible;
use std::time::Duration;

use grammers_client::tl;
use grammers_client::tl::types::updates::State;
use grammers_session::types::{PeerId, PeerKind, UpdatesState};
use grammers_session::updates::{MessageBoxes, UpdateAndPeers, UpdatesLike};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};

use super::super::connection::link::{Link, STALL_LIMIT};
use super::super::message;
use super::super::session::error::SessionError;
use super::super::store::UpdateStore;
use super::super::store::position::LastMessages;
use super::dialogs::{Dialog, Dialogs};
use super::error::UpdatesEnded;
use super::event_sink::EventSink;
use crate::domain::Event;

/// How often the loop beats while nothing arrives.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// An update that the server sent before its state arrives within this time after the state.
const PUSH_DELAY: Duration = Duration::from_millis(200);

pub(crate) struct UpdateLoop<'a, S> {
    pub(super) link: &'a Link,
    pub(super) sink: &'a S,
    updates: mpsc::Receiver<UpdatesLike>,
    /// The server's state as it last told it.
    states: watch::Receiver<Option<State>>,
    /// The server's state for which the difference was last asked for. If the difference did not
    /// lead to that state, asking again will not either.
    asked_about: Option<State>,
    pub(super) boxes: MessageBoxes,
    /// The last messages handed over, stored together with the state of the boxes.
    pub(super) last: LastMessages,
    /// Whether this account was never followed before, until its chats are listed.
    is_first: bool,
}

impl<'a, S: EventSink> UpdateLoop<'a, S> {
    /// `state` is the server's state from when the connection was made. An account that was never
    /// followed before is followed from there.
    pub fn new(
        link: &'a Link,
        sink: &'a S,
        updates: mpsc::Receiver<UpdatesLike>,
        states: watch::Receiver<Option<State>>,
        state: State,
    ) -> Self {
        let store = &link.context.store;
        let is_first = !store.has_position();
        let boxes = if is_first { boxes_at(state) } else { resume(store.position()) };
        let last = store.last_messages();
        Self { link, sink, updates, states, asked_about: None, boxes, last, is_first }
    }

    /// Runs until something fails.
    pub async fn run(mut self) -> UpdatesEnded {
        match self.follow().await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    fn store(&self) -> &'a UpdateStore {
        &self.link.context.store
    }

    async fn follow(&mut self) -> Result<Infallible, UpdatesEnded> {
        self.store_position().await?;
        if !self.store().dialogs_walked() {
            self.walk_dialogs().await?;
        }
        loop {
            self.link.context.pulses.updates.beat(STALL_LIMIT);
            let deadline = self.boxes.check_deadlines();
            if let Some(request) = self.boxes.get_difference() {
                self.account_difference(request).await?;
            } else if let Some(request) = self.boxes.get_channel_difference() {
                self.channel_difference(request).await?;
            } else {
                let wake = (Instant::now() + HEARTBEAT).min(deadline.into());
                tokio::select! {
                    // Updates that were sent before the state come first.
                    biased;
                    updates = self.updates.recv() => match updates {
                        None => return Err(UpdatesEnded::Closed),
                        Some(updates) => self.process(updates).await?,
                    },
                    Ok(()) = self.states.changed() => self.check_for_lost_update().await?,
                    () = sleep_until(wake) => {}
                }
            }
        }
    }

    /// Asks for the difference if the server's state is ahead of ours: then an update was lost, and
    /// no later one has shown the gap.
    async fn check_for_lost_update(&mut self) -> Result<(), UpdatesEnded> {
        let Some(state) = self.states.borrow_and_update().clone() else { return Ok(()) };
        if !self.is_behind(&state) {
            return Ok(());
        }
        sleep(PUSH_DELAY).await;
        self.drain().await?;
        if self.is_behind(&state) && !self.asked_about.as_ref().is_some_and(|asked| is_same(asked, &state)) {
            debug!("an update was lost; asking for the difference");
            self.asked_about = Some(state);
            self.process(UpdatesLike::Updates(tl::enums::Updates::TooLong)).await?;
        }
        Ok(())
    }

    fn is_behind(&self, state: &State) -> bool {
        let ours = self.boxes.session_state();
        state.pts > ours.pts || state.qts > ours.qts || state.seq > ours.seq
    }

    /// Handles what the server has pushed.
    pub(super) async fn process(&mut self, mut updates: UpdatesLike) -> Result<(), UpdatesEnded> {
        if matches!(updates, UpdatesLike::ConnectionClosed) {
            return Err(UpdatesEnded::Closed);
        }
        if let UpdatesLike::Updates(updates) = &mut updates {
            match updates {
                tl::enums::Updates::Updates(updates) => self.keep_channel_positions(&mut updates.updates),
                tl::enums::Updates::Combined(updates) => self.keep_channel_positions(&mut updates.updates),
                tl::enums::Updates::UpdateShort(short) => {
                    self.keep_channel_positions(std::slice::from_mut(&mut short.update));
                }
                _ => {}
            }
        }
        // While a difference is due, the boxes pass new updates on at once, before the missed ones.
        let in_order = self.boxes.get_difference().is_none() && self.boxes.get_channel_difference().is_none();
        match self.boxes.process_updates(updates) {
            Ok(batch) => self.hand_over(batch, in_order).await,
            // Updates are missing. The boxes will ask for the difference next.
            Err(_gap) => Ok(()),
        }
    }

    /// Keeps our positions in channels. grammers would replace them by the position that comes with
    /// updateChannelTooLong, and never ask for what came before it.
    pub(super) fn keep_channel_positions(&self, updates: &mut [tl::enums::Update]) {
        for update in updates {
            if let tl::enums::Update::ChannelTooLong(update) = update
                && self.boxes.session_state().channels.iter().any(|known| known.id == update.channel_id)
            {
                update.pts = None;
            }
        }
    }

    /// Handles the updates that have arrived already, after those that were missed before them. On
    /// the very first start nothing was missed, and until the chats are listed it is not known
    /// which messages are older than it.
    async fn drain(&mut self) -> Result<(), UpdatesEnded> {
        loop {
            if !self.is_first
                && let Some(request) = self.boxes.get_difference()
            {
                self.account_difference(request).await?;
            } else if let Ok(updates) = self.updates.try_recv() {
                self.process(updates).await?;
            } else {
                return Ok(());
            }
        }
    }

    /// Hands over the events in a batch, and stores the position after it. `in_order` says that no
    /// earlier update is still missing.
    pub(super) async fn hand_over(
        &mut self,
        batch: UpdateAndPeers,
        in_order: bool,
    ) -> Result<(), UpdatesEnded> {
        let (updates, users, chats) = batch;
        self.store().cache_peers(message::peers(&users, &chats)).await?;
        if updates.iter().any(|(update, _)| matches!(update, tl::enums::Update::Config)) {
            self.link.ask_whether_frozen().await;
        }
        let mut events = Vec::new();
        let mut last = self.last.clone();
        for (update, _) in &updates {
            if let Some(message) = message::new_message(update)
                && let Some(chat) = message::chat(message)
                && self.is_followed(chat).await?
            {
                last.advance(chat, message.id());
            }
            events.extend(self.event(update).await?);
        }
        self.hand_over_events(events).await?;
        if in_order {
            self.last = last;
        }
        self.store_position().await
    }

    pub(super) async fn hand_over_events(&self, events: Vec<Event>) -> Result<(), UpdatesEnded> {
        if events.is_empty() || self.sink.take(events).await {
            Ok(())
        } else {
            Err(UpdatesEnded::SinkRejected)
        }
    }

    /// Whether the last message of `chat` is remembered: always in private chats and basic groups,
    /// and in a channel if the sink wants its events.
    pub(super) async fn is_followed(&self, chat: PeerId) -> Result<bool, SessionError> {
        if chat.kind() != PeerKind::Channel {
            return Ok(true);
        }
        let context = &self.link.context;
        let Some(known) = context.seen_peer(chat).await? else { return Ok(false) };
        let peer = message::peer(&known.info);
        Ok(self.sink.covers(&message::chat_info(&peer, Some(&known), context.user.id)))
    }

    pub(super) async fn store_position(&self) -> Result<(), UpdatesEnded> {
        Ok(self.store().set_position(self.boxes.session_state(), self.last.clone()).await?)
    }

    /// Learns access hashes and the positions in channels, once after the login. In a channel whose
    /// position is not known, missed messages cannot be recovered.
    async fn walk_dialogs(&mut self) -> Result<(), UpdatesEnded> {
        let mut dialogs = Dialogs::new(self.link);
        let mut chats = 0;
        let mut last = 0;
        loop {
            let page = match dialogs.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(UpdatesEnded::Call(error)) if error.is_refusal() => {
                    warn!(%error, "The list of chats could not be read, the next start will try again");
                    return Ok(());
                }
                Err(ended) => return Err(ended),
            };
            chats += page.len();
            // The positions in this page count the updates that were sent before it, so those come
            // first.
            self.drain().await?;
            for dialog in page.iter().filter(|dialog| dialog.is_of_account()) {
                last = last.max(dialog.last_message);
            }
            for Dialog { chat, pts, .. } in page {
                if let (PeerKind::Channel, Some(channel), Some(pts)) = (chat.kind(), chat.bare_id(), pts) {
                    self.boxes.try_set_channel_state(channel, pts);
                }
            }
        }
        debug!(event = "chats_listed", chats, "walked the list of chats");
        if self.is_first {
            // Messages from before the first start are not answered, also not from a history.
            self.last.account = self.last.account.max(last);
        }
        // The positions are stored first: after a crash in between, the list would not be read
        // again.
        self.store_position().await?;
        self.store().set_dialogs_walked().await?;
        self.is_first = false;
        Ok(())
    }
}

/// Whether nothing happened between the two states.
fn is_same(one: &State, other: &State) -> bool {
    (one.pts, one.qts, one.seq) == (other.pts, other.qts, other.seq)
}

/// The boxes of an account that is followed from `state` on.
pub(super) fn boxes_at(state: State) -> MessageBoxes {
    let mut boxes = MessageBoxes::new();
    boxes.set_state(state);
    boxes
}

/// The boxes at a stored position. They will ask for the updates since then.
fn resume(position: UpdatesState) -> MessageBoxes {
    if position.pts != 0 {
        return MessageBoxes::load(position);
    }
    // An account in which nothing has happened yet has a pts of 0, which grammers takes for none.
    let UpdatesState { pts, qts, date, seq, channels } = position;
    let mut boxes = boxes_at(State { pts, qts, date, seq, unread_count: 0 });
    let mut updates = Vec::new();
    for channel in channels {
        boxes.try_set_channel_state(channel.id, channel.pts);
        updates.push(tl::types::UpdateChannelTooLong { channel_id: channel.id, pts: None }.into());
    }
    let channels = tl::types::Updates { updates, users: Vec::new(), chats: Vec::new(), date: 0, seq: 0 };
    for updates in [channels.into(), tl::enums::Updates::TooLong] {
        // The account's TooLong is always a gap, by which the boxes ask for its difference.
        let _ = boxes.process_updates(UpdatesLike::Updates(updates));
    }
    boxes
}
