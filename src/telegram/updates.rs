//! The loop over grammers' message boxes, which put updates in order and tell what is missing.
//!
//! One batch at a time: what the boxes let out is handed over whole, and only then is their state
//! stored. So the stored state is never ahead of what is safe, and dropping the loop at any point
//! loses nothing.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use grammers_client::session::types::{PeerId, PeerInfo};
use grammers_client::session::updates::{MessageBoxes, PrematureEndReason, UpdateAndPeers, UpdatesLike};
use grammers_client::tl;
use tokio::sync::mpsc;
use tokio::time::timeout_at;
use tracing::{debug, info, warn};

use super::account::Account;
use super::connection::{CallError, Link};
use super::incoming::{self, Sighting};
use super::session::SessionError;
use super::supervisor::Heard;
use crate::domain::policy::Incoming;

/// How much of a channel's difference is asked for at once; the most that users get.
const CHANNEL_DIFFERENCE_LIMIT: i32 = 100;
/// Dialogs in one page, the most that Telegram gives.
const DIALOGS_PAGE: i32 = 100;
/// Pages of dialogs walked at most: 5,000 chats.
const DIALOGS_PAGES: usize = 50;
/// Between two pages, lest the walk brings a FLOOD_WAIT.
const DIALOGS_PAUSE: Duration = Duration::from_millis(300);

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
    account: &'a Account,
    link: &'a Link,
    updates: mpsc::Receiver<UpdatesLike>,
    heard: &'a Heard,
    boxes: MessageBoxes,
}

impl<'a> UpdateLoop<'a> {
    /// `state` is the server's from before anybody was told of the connection: where to begin, if
    /// this account was never followed.
    pub fn new(
        account: &'a Account,
        link: &'a Link,
        updates: mpsc::Receiver<UpdatesLike>,
        heard: &'a Heard,
        state: tl::types::updates::State,
    ) -> Self {
        let mut boxes = MessageBoxes::load(account.store.position());
        if boxes.is_empty() {
            boxes.set_state(state);
        }
        Self { account, link, updates, heard, boxes }
    }

    /// Runs until something fails; see [`Account::run`] for `take`.
    pub async fn run<T, F>(mut self, take: &T) -> UpdatesEnded
    where
        T: Fn(Vec<Incoming>) -> F,
        F: Future<Output = bool>,
    {
        match self.follow(take).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn follow<T, F>(&mut self, take: &T) -> Result<Infallible, UpdatesEnded>
    where
        T: Fn(Vec<Incoming>) -> F,
        F: Future<Output = bool>,
    {
        self.account.store.set_position(self.boxes.session_state()).await?;
        if !self.account.store.dialogs_walked() {
            self.walk_dialogs(take).await?;
        }
        loop {
            let deadline = self.boxes.check_deadlines();
            let batch = if let Some(request) = self.boxes.get_difference() {
                let difference = self.link.call(&request).await?;
                if let tl::enums::updates::Difference::TooLong(_) = difference {
                    warn!(
                        "away for so long that Telegram does not list what was missed; older messages are skipped"
                    );
                }
                self.boxes.apply_difference(difference)
            } else if let Some(request) = self.boxes.get_channel_difference() {
                match self.channel_difference(request).await? {
                    Some(difference) => self.boxes.apply_channel_difference(difference),
                    None => continue,
                }
            } else {
                match timeout_at(deadline.into(), self.updates.recv()).await {
                    Err(_) => continue,
                    Ok(None | Some(UpdatesLike::ConnectionClosed)) => return Err(UpdatesEnded::Closed),
                    Ok(Some(updates)) => match self.boxes.process_updates(updates) {
                        Ok(batch) => batch,
                        // Something is missing; the boxes ask for the difference next.
                        Err(_gap) => continue,
                    },
                }
            };
            self.heard.now();
            self.hand_over(batch, take).await?;
        }
    }

    /// Handles the updates that are there already.
    async fn drain<T, F>(&mut self, take: &T) -> Result<(), UpdatesEnded>
    where
        T: Fn(Vec<Incoming>) -> F,
        F: Future<Output = bool>,
    {
        while let Ok(updates) = self.updates.try_recv() {
            if matches!(updates, UpdatesLike::ConnectionClosed) {
                return Err(UpdatesEnded::Closed);
            }
            if let Ok(batch) = self.boxes.process_updates(updates) {
                self.hand_over(batch, take).await?;
            }
        }
        Ok(())
    }

    async fn hand_over<T, F>(&mut self, batch: UpdateAndPeers, take: &T) -> Result<(), UpdatesEnded>
    where
        T: Fn(Vec<Incoming>) -> F,
        F: Future<Output = bool>,
    {
        let (updates, users, chats) = batch;
        let peers = users.iter().map(PeerInfo::from).chain(chats.iter().map(PeerInfo::from)).collect();
        self.account.store.cache_peers(peers).await?;

        let mut recordings = Vec::new();
        for (update, _) in &updates {
            let (tl::enums::Update::NewMessage(tl::types::UpdateNewMessage { message, .. })
            | tl::enums::Update::NewChannelMessage(tl::types::UpdateNewChannelMessage {
                message, ..
            })) = update
            else {
                continue;
            };
            if let Some(sighting) = incoming::sighting(message) {
                recordings.push(self.with_peer(sighting).await?);
            }
        }
        if !recordings.is_empty() && !take(recordings).await {
            return Err(UpdatesEnded::NotTaken);
        }
        self.account.store.set_position(self.boxes.session_state()).await?;
        Ok(())
    }

    /// Adds what is known of the chat: without its access hash no reply could be sent.
    async fn with_peer(&self, sighting: Sighting) -> Result<Incoming, UpdatesEnded> {
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
            let answer = match self.link.call(&request).await {
                Ok(answer) => answer,
                Err(error @ CallError::Lost(_)) => return Err(error.into()),
                Err(error) => {
                    debug!(%error, "the sender of a message could not be looked up");
                    return Ok(sighting.incoming(user.id, 0, false));
                }
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

    /// None where there is no difference to be had; the boxes know of it then.
    async fn channel_difference(
        &mut self,
        mut request: tl::functions::updates::GetChannelDifference,
    ) -> Result<Option<tl::enums::updates::ChannelDifference>, UpdatesEnded> {
        let tl::enums::InputChannel::Channel(channel) = &mut request.channel else {
            self.boxes.end_channel_difference(PrematureEndReason::Banned);
            return Ok(None);
        };
        let known = match PeerId::channel(channel.channel_id) {
            Some(id) => self.account.store.peer(id).await?,
            None => None,
        };
        let Some(auth) = known.and_then(|info| info.auth()) else {
            debug!("a channel is not followed: its access hash is not known");
            self.boxes.end_channel_difference(PrematureEndReason::Banned);
            return Ok(None);
        };
        channel.access_hash = auth.hash();
        request.limit = CHANNEL_DIFFERENCE_LIMIT;
        match self.link.call(&request).await {
            Ok(difference) => Ok(Some(difference)),
            Err(error @ CallError::Lost(_)) => Err(error.into()),
            Err(error) if error.logged_out().is_some() => Err(error.into()),
            Err(error) if error.is("CHANNEL_PRIVATE") || error.is("CHANNEL_INVALID") => {
                info!(%error, "a channel is not followed any more");
                self.boxes.end_channel_difference(PrematureEndReason::Banned);
                Ok(None)
            }
            Err(error) => {
                warn!(%error, "a channel's missed messages could not be had, they come with its next one");
                self.boxes.end_channel_difference(PrematureEndReason::TemporaryServerIssues);
                Ok(None)
            }
        }
    }

    /// Learns access hashes and channels' positions, once after the login. What is not known this
    /// way has no gap recovery.
    async fn walk_dialogs<T, F>(&mut self, take: &T) -> Result<(), UpdatesEnded>
    where
        T: Fn(Vec<Incoming>) -> F,
        F: Future<Output = bool>,
    {
        let mut request = tl::functions::messages::GetDialogs {
            exclude_pinned: false,
            folder_id: None,
            offset_date: 0,
            offset_id: 0,
            offset_peer: tl::enums::InputPeer::Empty,
            limit: DIALOGS_PAGE,
            hash: 0,
        };
        let mut chats_known = 0;
        for _ in 0..DIALOGS_PAGES {
            let page = match self.link.call(&request).await {
                Ok(page) => incoming::DialogsPage::from(page),
                Err(error @ CallError::Lost(_)) => return Err(error.into()),
                Err(error) => {
                    warn!(%error, "the list of chats could not be read, the next start tries again");
                    return Ok(());
                }
            };
            chats_known += page.peers.len();
            self.account.store.cache_peers(page.peers).await?;
            // What was pushed before this page was made is counted in its positions: first things first.
            self.drain(take).await?;
            for (channel, pts) in page.channels {
                self.boxes.try_set_channel_state(channel, pts);
            }
            let Some(next) = page.next else { break };
            (request.offset_date, request.offset_id) = (next.date, next.message);
            request.offset_peer = match self.account.store.peer(next.chat).await? {
                Some(info) => incoming::input_peer(&info),
                None => tl::enums::InputPeer::Empty,
            };
            tokio::time::sleep(DIALOGS_PAUSE).await;
        }
        debug!(chats_known, "walked the list of chats");
        // In this order: channels whose position was lost would not be asked about again.
        self.account.store.set_position(self.boxes.session_state()).await?;
        self.account.store.set_dialogs_walked().await?;
        Ok(())
    }
}
