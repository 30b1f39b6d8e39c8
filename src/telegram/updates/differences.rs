//! Asks for what the stream of updates has missed.

use grammers_client::tl;
use grammers_session::Session as _;
use grammers_session::types::PeerId;
use grammers_session::updates::{PrematureEndReason, UpdatesLike};
use tracing::{debug, info, warn};

use super::super::connection::rpc_error::Meaning;
use super::error::UpdatesEnded;
use super::recipient::Recipient;
use super::update_loop::{UpdateLoop, boxes_at};

/// How many updates of a channel are asked for at once. Telegram gives users no more.
const CHANNEL_DIFFERENCE_LIMIT: i32 = 100;

impl<R: Recipient> UpdateLoop<'_, R> {
    /// Asks for what the account has missed, and hands it over.
    pub(super) async fn account_difference(
        &mut self,
        request: tl::functions::updates::GetDifference,
    ) -> Result<(), UpdatesEnded> {
        let mut difference = match self.link.call_until_answered(&request).await {
            Ok(difference) => difference,
            Err(error) if error.meaning() == Some(Meaning::InvalidPosition) => {
                warn!(%error, "The position in the stream of updates is not accepted");
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
                // Telegram: "The specified state must be used to refetch updates". grammers does
                // not.
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
        mut request: tl::functions::updates::GetChannelDifference,
    ) -> Result<(), UpdatesEnded> {
        let tl::enums::InputChannel::Channel(channel) = &mut request.channel else {
            self.boxes.end_channel_difference(PrematureEndReason::Banned);
            return Ok(());
        };
        let Some(chat) = PeerId::channel(channel.channel_id) else {
            self.boxes.end_channel_difference(PrematureEndReason::Banned);
            return Ok(());
        };
        let Some(auth) = self.link.context.session.peer(chat).await?.and_then(|info| info.auth()) else {
            debug!("a channel is not followed: its access hash is not known");
            self.boxes.end_channel_difference(PrematureEndReason::Banned);
            return Ok(());
        };
        channel.access_hash = auth.hash();
        request.limit = CHANNEL_DIFFERENCE_LIMIT;
        let answer = match self.is_followed(chat).await? {
            true => self.link.call_for_a_while(&request).await,
            // Nothing there is answered, so the other chats do not wait for it.
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
                // grammers panics on any other kind of dialog.
                let tl::enums::Dialog::Dialog(tl::types::Dialog { pts: Some(_), top_message, .. }) =
                    too_long.dialog
                else {
                    warn!("a channel's missed messages could not be had, they come with its next one");
                    self.boxes.end_channel_difference(PrematureEndReason::TemporaryServerIssues);
                    return Ok(());
                };
                self.catch_up_channel(chat, top_message).await?;
            }
            tl::enums::updates::ChannelDifference::Difference(all) => {
                self.keep_channel_positions(&mut all.other_updates);
            }
            tl::enums::updates::ChannelDifference::Empty(_) => {}
        }
        let batch = self.boxes.apply_channel_difference(difference);
        self.hand_over(batch, true).await
    }
}
