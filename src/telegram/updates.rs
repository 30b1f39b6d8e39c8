//! The loop over grammers' message boxes, which put updates in order and tell what is missing.
//!
//! One batch at a time: what the boxes let out is handed over whole, and only then is their state
//! stored. So the stored state is never ahead of what is safe, and dropping the loop at any point
//! loses nothing.

use std::convert::Infallible;
use std::time::Duration;

use grammers_client::tl;
use grammers_client::tl::types::updates::State;
use grammers_session::types::{PeerId, PeerInfo, PeerKind, UpdatesState};
use grammers_session::updates::{MessageBoxes, PrematureEndReason, UpdateAndPeers, UpdatesLike};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info, warn};

use super::account::Account;
use super::connection::{CallError, Link, STEP};
use super::dialogs::{Dialog, Dialogs};
use super::incoming::{self, Sighting};
use super::recipient::Recipient;
use super::rpc_error::Meaning;
use super::session::SessionError;
use super::state::LastMessages;
use crate::domain::policy::Incoming;

/// How often the loop shows that it gets on, where nothing comes.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// A push that the server sent before it told its state has arrived within this time.
const SETTLE: Duration = Duration::from_millis(200);
/// How much of a channel's difference is asked for at once; the most that users get.
const CHANNEL_DIFFERENCE_LIMIT: i32 = 100;

/// Why the loop ended.
#[derive(Debug)]
pub(super) enum UpdatesEnded {
    Call(CallError),
    Closed,
    /// The receiver of the recordings could not make them safe.
    NotTaken,
    Session(SessionError),
}

impl From<CallError> for UpdatesEnded {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<SessionError> for UpdatesEnded {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

pub(super) struct UpdateLoop<'a> {
    pub(super) account: &'a Account,
    pub(super) link: &'a Link,
    updates: mpsc::Receiver<UpdatesLike>,
    /// What the server last told of its state.
    states: watch::Receiver<Option<State>>,
    /// The state for which the difference was last asked for: if it did not lead there, asking
    /// again would not.
    asked_about: Option<State>,
    boxes: MessageBoxes,
    /// The last messages handed over; stored together with the boxes' state.
    pub(super) last: LastMessages,
    /// This account was never followed before.
    is_first: bool,
}

impl<'a> UpdateLoop<'a> {
    /// `state` is the server's from before anybody was told of the connection: where to begin, if
    /// this account was never followed.
    pub fn new(
        account: &'a Account,
        link: &'a Link,
        updates: mpsc::Receiver<UpdatesLike>,
        states: watch::Receiver<Option<State>>,
        state: State,
    ) -> Self {
        let position = account.store.position();
        let is_first = !account.store.has_position();
        let boxes = if is_first { boxes_at(state) } else { resume(position) };
        let last = account.store.last_messages();
        Self { account, link, updates, states, asked_about: None, boxes, last, is_first }
    }

    /// Runs until something fails.
    pub async fn run(mut self, to: &impl Recipient) -> UpdatesEnded {
        match self.follow(to).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn follow(&mut self, to: &impl Recipient) -> Result<Infallible, UpdatesEnded> {
        self.store_position().await?;
        if !self.account.store.dialogs_walked() {
            self.walk_dialogs(to).await?;
        }
        loop {
            self.account.pulses.updates.beat(STEP);
            let deadline = self.boxes.check_deadlines();
            if let Some(request) = self.boxes.get_difference() {
                self.account_difference(request, to).await?;
            } else if let Some(request) = self.boxes.get_channel_difference() {
                self.channel_difference(request, to).await?;
            } else {
                let look = (Instant::now() + LOOK_EVERY).min(deadline.into());
                tokio::select! {
                    // What was pushed before the state was told comes first.
                    biased;
                    updates = self.updates.recv() => match updates {
                        None => return Err(UpdatesEnded::Closed),
                        Some(updates) => self.process(updates, to).await?,
                    },
                    Ok(()) = self.states.changed() => self.compare(to).await?,
                    () = sleep_until(look) => {}
                }
            }
        }
    }

    /// Asks for the difference where the server's state is ahead of ours: a push was lost, and none
    /// after it has shown the gap.
    async fn compare(&mut self, to: &impl Recipient) -> Result<(), UpdatesEnded> {
        let Some(state) = self.states.borrow_and_update().clone() else { return Ok(()) };
        if !self.is_behind(&state) {
            return Ok(());
        }
        sleep(SETTLE).await;
        self.drain(to).await?;
        if self.is_behind(&state) && !self.asked_about.as_ref().is_some_and(|asked| is_same(asked, &state)) {
            debug!("an update was lost; asking for the difference");
            self.asked_about = Some(state);
            self.process(UpdatesLike::Updates(tl::enums::Updates::TooLong), to).await?;
        }
        Ok(())
    }

    fn is_behind(&self, state: &State) -> bool {
        let ours = self.boxes.session_state();
        state.pts > ours.pts || state.qts > ours.qts || state.seq > ours.seq
    }

    /// Handles one push.
    async fn process(&mut self, mut updates: UpdatesLike, to: &impl Recipient) -> Result<(), UpdatesEnded> {
        if matches!(updates, UpdatesLike::ConnectionClosed) {
            return Err(UpdatesEnded::Closed);
        }
        if let UpdatesLike::Updates(updates) = &mut updates {
            match updates {
                tl::enums::Updates::Updates(updates) => self.keep_positions(&mut updates.updates),
                tl::enums::Updates::Combined(updates) => self.keep_positions(&mut updates.updates),
                tl::enums::Updates::UpdateShort(short) => {
                    self.keep_positions(std::slice::from_mut(&mut short.update));
                }
                _ => {}
            }
        }
        // While a difference is due the boxes let pushes out as they come, before what was missed.
        let in_order = self.boxes.get_difference().is_none() && self.boxes.get_channel_difference().is_none();
        match self.boxes.process_updates(updates) {
            Ok(batch) => self.hand_over(batch, in_order, to).await,
            // Something is missing; the boxes ask for the difference next.
            Err(_gap) => Ok(()),
        }
    }

    /// grammers takes the position that comes with updateChannelTooLong for its own, and would never
    /// ask for what came before it.
    fn keep_positions(&self, updates: &mut [tl::enums::Update]) {
        for update in updates {
            if let tl::enums::Update::ChannelTooLong(update) = update
                && self.boxes.session_state().channels.iter().any(|known| known.id == update.channel_id)
            {
                update.pts = None;
            }
        }
    }

    /// Handles the updates that are there already.
    async fn drain(&mut self, to: &impl Recipient) -> Result<(), UpdatesEnded> {
        while let Ok(updates) = self.updates.try_recv() {
            self.process(updates, to).await?;
        }
        Ok(())
    }

    /// `in_order`: nothing that came before is still to be handed over.
    async fn hand_over(
        &mut self,
        batch: UpdateAndPeers,
        in_order: bool,
        to: &impl Recipient,
    ) -> Result<(), UpdatesEnded> {
        let (updates, users, chats) = batch;
        let peers = users.iter().map(PeerInfo::from).chain(chats.iter().map(PeerInfo::from)).collect();
        self.account.store.cache_peers(peers).await?;

        if updates.iter().any(|(update, _)| matches!(update, tl::enums::Update::Config)) {
            self.link.ask_whether_frozen().await;
        }
        let mut recordings = Vec::new();
        let mut last = self.last.clone();
        for (update, _) in &updates {
            let (tl::enums::Update::NewMessage(tl::types::UpdateNewMessage { message, .. })
            | tl::enums::Update::NewChannelMessage(tl::types::UpdateNewChannelMessage {
                message, ..
            })) = update
            else {
                continue;
            };
            if let Some(chat) = incoming::chat(message)
                && self.is_followed(chat, to).await?
            {
                last.raise(chat, message.id());
            }
            if let Some(sighting) = incoming::sighting(message) {
                recordings.push(self.with_peer(sighting).await?);
            }
        }
        if !recordings.is_empty() && !to.take(recordings).await {
            return Err(UpdatesEnded::NotTaken);
        }
        if in_order {
            self.last = last;
        }
        self.store_position().await
    }

    /// Whether the last message of `chat` is to be remembered: the account's always, a channel's where
    /// something there could be answered.
    async fn is_followed(&self, chat: PeerId, to: &impl Recipient) -> Result<bool, SessionError> {
        if chat.kind() != PeerKind::Channel {
            return Ok(true);
        }
        let info = self.account.peer(chat).await?;
        Ok(info.is_some_and(|info| to.covers(&incoming::peer(&info), false)))
    }

    async fn store_position(&self) -> Result<(), UpdatesEnded> {
        Ok(self.account.store.set_position(self.boxes.session_state(), self.last.clone()).await?)
    }

    /// Adds what is known of the chat: without its access hash no reply could be sent.
    pub(super) async fn with_peer(&self, sighting: Sighting) -> Result<Incoming, UpdatesEnded> {
        let user = self.account.user;
        if sighting.chat == PeerId::user(user.id) {
            return Ok(sighting.incoming(user.id, user.access_hash, false));
        }
        let mut info = self.known(&sighting).await?;
        if info.as_ref().is_none_or(|info| info.auth().is_none()) {
            // Telegram leaves people out whom it thinks we know; asked for the message itself it tells.
            let request = tl::functions::messages::GetMessages {
                id: vec![tl::enums::InputMessage::Id(tl::types::InputMessageId { id: sighting.message })],
            };
            let answer = match self.link.insist(&request).await {
                Ok(answer) => answer,
                Err(error) if error.is_refusal() => {
                    debug!(%error, "the sender of a message could not be looked up");
                    return Ok(sighting.incoming(user.id, 0, false));
                }
                Err(error) => return Err(error.into()),
            };
            self.account.store.cache_peers(incoming::peers_of(&answer)).await?;
            info = self.known(&sighting).await?;
        }
        let bot = matches!(info, Some(PeerInfo::User { bot: Some(true), .. }));
        let access_hash = info.and_then(|info| info.auth()).map_or(0, |auth| auth.hash());
        Ok(sighting.incoming(user.id, access_hash, bot))
    }

    async fn known(&self, sighting: &Sighting) -> Result<Option<PeerInfo>, SessionError> {
        match sighting.chat {
            Some(chat) => self.account.store.peer(chat).await,
            None => Ok(None),
        }
    }

    async fn account_difference(
        &mut self,
        request: tl::functions::updates::GetDifference,
        to: &impl Recipient,
    ) -> Result<(), UpdatesEnded> {
        let mut difference = match self.link.insist(&request).await {
            Ok(difference) => difference,
            Err(error) if error.meaning() == Some(Meaning::InvalidPosition) => {
                warn!(%error, "The position in the stream of updates is not accepted");
                return self.start_over(to).await;
            }
            Err(error) => return Err(error.into()),
        };
        match &mut difference {
            tl::enums::updates::Difference::TooLong(too_long) => {
                let moved = too_long.pts != request.pts;
                self.catch_up(to).await?;
                let batch = self.boxes.apply_difference(difference);
                self.hand_over(batch, true, to).await?;
                // "The specified state must be used to refetch updates", but grammers ends here.
                if moved {
                    let again = UpdatesLike::Updates(tl::enums::Updates::TooLong);
                    self.process(again, to).await?;
                }
                return Ok(());
            }
            tl::enums::updates::Difference::Difference(all) => self.keep_positions(&mut all.other_updates),
            tl::enums::updates::Difference::Slice(slice) => self.keep_positions(&mut slice.other_updates),
            tl::enums::updates::Difference::Empty(_) => {}
        }
        let batch = self.boxes.apply_difference(difference);
        self.hand_over(batch, true, to).await
    }

    /// Goes on from the server's position, after what it passes over was read from the chats.
    async fn start_over(&mut self, to: &impl Recipient) -> Result<(), UpdatesEnded> {
        let request = tl::functions::updates::GetState {};
        let tl::enums::updates::State::State(state) = self.link.insist(&request).await?;
        self.catch_up(to).await?;
        let channels = self.boxes.session_state().channels;
        self.boxes = boxes_at(state);
        for channel in channels {
            self.boxes.try_set_channel_state(channel.id, channel.pts);
        }
        self.store_position().await
    }

    async fn channel_difference(
        &mut self,
        mut request: tl::functions::updates::GetChannelDifference,
        to: &impl Recipient,
    ) -> Result<(), UpdatesEnded> {
        let tl::enums::InputChannel::Channel(channel) = &mut request.channel else {
            self.boxes.end_channel_difference(PrematureEndReason::Banned);
            return Ok(());
        };
        let Some(chat) = PeerId::channel(channel.channel_id) else {
            self.boxes.end_channel_difference(PrematureEndReason::Banned);
            return Ok(());
        };
        let Some(auth) = self.account.peer(chat).await?.and_then(|info| info.auth()) else {
            debug!("a channel is not followed: its access hash is not known");
            self.boxes.end_channel_difference(PrematureEndReason::Banned);
            return Ok(());
        };
        channel.access_hash = auth.hash();
        request.limit = CHANNEL_DIFFERENCE_LIMIT;
        let answer = match self.is_followed(chat, to).await? {
            true => self.link.insist_for_a_while(&request).await,
            // Not worth keeping the others waiting.
            false => self.link.call(&request).await,
        };
        let mut difference = match answer {
            Ok(difference) => difference,
            Err(error) => match error.meaning() {
                None | Some(Meaning::LoggedOut | Meaning::Deactivated) => return Err(error.into()),
                Some(Meaning::Gone | Meaning::InvalidPeer) => {
                    info!(%error, "a channel is not followed any more");
                    self.boxes.end_channel_difference(PrematureEndReason::Banned);
                    return Ok(());
                }
                Some(_) => {
                    warn!(%error, "a channel's missed messages could not be had, they come with its next one");
                    self.boxes.end_channel_difference(PrematureEndReason::TemporaryServerIssues);
                    return Ok(());
                }
            },
        };
        match &mut difference {
            tl::enums::updates::ChannelDifference::TooLong(too_long) => {
                // grammers panics on any other.
                let tl::enums::Dialog::Dialog(tl::types::Dialog { pts: Some(_), top_message, .. }) =
                    too_long.dialog
                else {
                    warn!("a channel's missed messages could not be had, they come with its next one");
                    self.boxes.end_channel_difference(PrematureEndReason::TemporaryServerIssues);
                    return Ok(());
                };
                self.catch_up_channel(chat, top_message, to).await?;
            }
            tl::enums::updates::ChannelDifference::Difference(all) => {
                self.keep_positions(&mut all.other_updates);
            }
            tl::enums::updates::ChannelDifference::Empty(_) => {}
        }
        let batch = self.boxes.apply_channel_difference(difference);
        self.hand_over(batch, true, to).await
    }

    /// Learns access hashes and channels' positions, once after the login. What is not known this
    /// way has no gap recovery.
    async fn walk_dialogs(&mut self, to: &impl Recipient) -> Result<(), UpdatesEnded> {
        let mut dialogs = Dialogs::new(self.account, self.link);
        let mut chats = 0;
        let mut last = 0;
        loop {
            let page = match dialogs.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(UpdatesEnded::Call(error)) if error.is_refusal() => {
                    warn!(%error, "the list of chats could not be read, the next start tries again");
                    return Ok(());
                }
                Err(ended) => return Err(ended),
            };
            chats += page.len();
            // What was pushed before this page was made is counted in its positions: first things first.
            self.drain(to).await?;
            for dialog in page.iter().filter(|dialog| dialog.is_of_account()) {
                last = last.max(dialog.last_message);
            }
            for Dialog { chat, pts, .. } in page {
                if let (PeerKind::Channel, Some(channel), Some(pts)) = (chat.kind(), chat.bare_id(), pts) {
                    self.boxes.try_set_channel_state(channel, pts);
                }
            }
        }
        debug!(chats, "walked the list of chats");
        if self.is_first {
            // What was said before the daemon came is not answered, also not by way of a history.
            self.last.account = self.last.account.max(last);
        }
        // In this order: channels whose position was lost would not be asked about again.
        self.store_position().await?;
        self.account.store.set_dialogs_walked().await?;
        Ok(())
    }
}

/// Whether nothing happened between the two.
fn is_same(one: &State, other: &State) -> bool {
    (one.pts, one.qts, one.seq) == (other.pts, other.qts, other.seq)
}

/// The boxes of an account that is followed from `state` on.
fn boxes_at(state: State) -> MessageBoxes {
    let mut boxes = MessageBoxes::new();
    boxes.set_state(state);
    boxes
}

/// The boxes at a stored position, which ask for what came since.
fn resume(position: UpdatesState) -> MessageBoxes {
    if position.pts != 0 {
        return MessageBoxes::load(position);
    }
    // An account in which nothing has happened yet has a pts of 0, which grammers takes for unknown.
    let UpdatesState { pts, qts, date, seq, channels } = position;
    let mut boxes = boxes_at(State { pts, qts, date, seq, unread_count: 0 });
    let mut updates = Vec::new();
    for channel in channels {
        boxes.try_set_channel_state(channel.id, channel.pts);
        updates.push(tl::types::UpdateChannelTooLong { channel_id: channel.id, pts: None }.into());
    }
    let channels = tl::types::Updates { updates, users: Vec::new(), chats: Vec::new(), date: 0, seq: 0 };
    for updates in [channels.into(), tl::enums::Updates::TooLong] {
        // The account's is always a gap: that is how its difference is asked for.
        let _ = boxes.process_updates(UpdatesLike::Updates(updates));
    }
    boxes
}
