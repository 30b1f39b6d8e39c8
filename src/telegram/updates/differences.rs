//! Asks for what the stream of updates has missed.

use grammers_client::tl;
use grammers_client::tl::enums::Dialog;
use grammers_client::tl::enums::updates::ChannelDifference;
use grammers_session::Session as _;
use grammers_session::types::PeerId;
use grammers_session::updates::{PrematureEndReason, UpdatesLike};
use tracing::{debug, info, warn};

use super::super::connection::rpc_error::Meaning;
use super::error::UpdatesEnded;
use super::event_sink::EventSink;
use super::update_loop::{UpdateLoop, boxes_at};

/// How many updates of a channel are asked for at once. Telegram gives users no more.
const CHANNEL_DIFFERENCE_LIMIT: i32 = 100;
const CHANNEL_NOT_READ: &str =
    "The missed messages of a channel could not be read, they are read when its next message arrives";

impl<S: EventSink> UpdateLoop<'_, S> {
    /// Asks for what the account has missed, and hands it over.
    pub(super) async fn account_difference(
        &mut self,
        request: tl::functions::updates::GetDifference,
    ) -> Result<(), UpdatesEnded> {
        let mut difference = match self.link.call_until_answered(&request).await {
            Ok(difference) => difference,
            Err(error) if error.meaning() == Some(Meaning::InvalidPosition) => {
                warn!(%error, "Telegram does not accept the position in the stream of updates, reading the chats");
                return self.start_over().await;
            }
            Err(error) => return Err(error.into()),
        };
        match &mut difference {
            tl::enums::updates::Difference::TooLong(too_long) => {
                let moved = too_long.pts != request.pts;
                self.catch_up().await?;
                let batch = self.boxes.apply_difference(difference);
                self.hand_over(batch, true).await?;
                // Telegram's documentation says: "The specified state must be used to refetch
                // updates". grammers does not do that.
                if moved {
                    let again = UpdatesLike::Updates(tl::enums::Updates::TooLong);
                    self.process(again).await?;
                }
                return Ok(());
            }
            tl::enums::updates::Difference::Difference(all) => {
                self.keep_channel_positions(&mut all.other_updates)
            }
            tl::enums::updates::Difference::Slice(slice) => {
                self.keep_channel_positions(&mut slice.other_updates)
            }
            tl::enums::updates::Difference::Empty(_) => {}
        }
        let batch = self.boxes.apply_difference(difference);
        self.hand_over(batch, true).await
    }

    /// Goes on from the server's position. The messages before it are read from the chats.
    async fn start_over(&mut self) -> Result<(), UpdatesEnded> {
        let request = tl::functions::updates::GetState {};
        let tl::enums::updates::State::State(state) = self.link.call_until_answered(&request).await?;
        self.catch_up().await?;
        let channels = self.boxes.session_state().channels;
        self.boxes = boxes_at(state);
        for channel in channels {
            self.boxes.try_set_channel_state(channel.id, channel.pts);
        }
        self.store_position().await
    }

    /// Asks for what a channel has missed, and hands it over.
    pub(super) async fn channel_difference(
        &mut self,
        request: tl::functions::updates::GetChannelDifference,
    ) -> Result<(), UpdatesEnded> {
        let (channel, mut difference) = match self.ask_for_channel(request).await? {
            Ok(answer) => answer,
            Err(reason) => {
                self.boxes.end_channel_difference(reason);
                return Ok(());
            }
        };
        match &mut difference {
            ChannelDifference::TooLong(too_long) => {
                // grammers panics on any other kind of dialog.
                let Dialog::Dialog(tl::types::Dialog { pts: Some(_), top_message, .. }) = too_long.dialog
                else {
                    warn!("{CHANNEL_NOT_READ}");
                    self.boxes.end_channel_difference(PrematureEndReason::TemporaryServerIssues);
                    return Ok(());
                };
                self.catch_up_channel(channel, top_message).await?;
            }
            ChannelDifference::Difference(all) => self.keep_channel_positions(&mut all.other_updates),
            ChannelDifference::Empty(_) => {}
        }
        let batch = self.boxes.apply_channel_difference(difference);
        self.hand_over(batch, true).await
    }

    /// Asks for the difference of a channel, or says why the boxes shall not wait for it.
    async fn ask_for_channel(
        &self,
        mut request: tl::functions::updates::GetChannelDifference,
    ) -> Result<Result<(PeerId, ChannelDifference), PrematureEndReason>, UpdatesEnded> {
        let tl::enums::InputChannel::Channel(channel) = &mut request.channel else {
            return Ok(Err(PrematureEndReason::Banned));
        };
        let Some(chat) = PeerId::channel(channel.channel_id) else {
            return Ok(Err(PrematureEndReason::Banned));
        };
        let Some(auth) = self.link.context.session.peer(chat).await?.and_then(|info| info.auth()) else {
            debug!("a channel is not followed: its access hash is not known");
            return Ok(Err(PrematureEndReason::Banned));
        };
        channel.access_hash = auth.hash();
        request.limit = CHANNEL_DIFFERENCE_LIMIT;
        let answer = match self.is_followed(chat).await? {
            true => self.link.call_for_a_while(&request).await,
            // Nothing there is answered, so the other chats do not wait for it.
            false => self.link.call(&request).await,
        };
        let error = match answer {
            Ok(difference) => return Ok(Ok((chat, difference))),
            Err(error) => error,
        };
        match error.meaning() {
            None | Some(Meaning::LoggedOut | Meaning::Deactivated) => Err(error.into()),
            Some(Meaning::Gone | Meaning::MayNotWrite | Meaning::InvalidPeer) => {
                info!(%error, "A channel cannot be read any more and is no longer followed");
                Ok(Err(PrematureEndReason::Banned))
            }
            Some(_) => {
                warn!(%error, "{CHANNEL_NOT_READ}");
                Ok(Err(PrematureEndReason::TemporaryServerIssues))
            }
        }
    }
}
