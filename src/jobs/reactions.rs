//! Obeys the owner's reactions to recordings, each recording's at most once.

use tracing::{Instrument as _, debug, error, info, info_span};

use crate::domain::command::LATEST;
use crate::domain::command_texts::Remark;
use crate::domain::unix_time::seconds_since;
use crate::domain::{Asked, Reaction, Tongue};
use crate::jobs::commands::{Commands, Stop};

impl Commands {
    /// Obeys a reaction as the command `t`, except that nothing is said to it in the chat. Returns
    /// true once that is stored, as [`take`](Self::take) does.
    pub async fn take_reaction(&self, reaction: Reaction) -> bool {
        let span = info_span!("reaction", id = %reaction.incoming.id);
        match self.obey_reaction(&reaction).instrument(span).await {
            Ok(()) => true,
            Err(Stop::Queue(error)) => {
                error!(%error, "A reaction cannot be obeyed");
                false
            }
            Err(Stop::Shutdown) => false,
        }
    }

    async fn obey_reaction(&self, reaction: &Reaction) -> Result<(), Stop> {
        let Reaction { incoming, date } = reaction;
        let id = reaction.id();
        // The updates are asked for it too, but the store may have been away since.
        let late = seconds_since(*date);
        if late > LATEST {
            debug!(late_s = late, "The reaction is old and is not obeyed");
            return Ok(());
        }
        if self.mark(id).await?.is_some() {
            return Ok(());
        }
        let asked = Asked { command: id.message, ..Asked::default() };
        match self.ask_for(id, asked, incoming).await? {
            Ok(_) | Err(Remark::AnsweredBefore) => {
                info!(event = "reaction", chat = id.chat, "The owner's reaction was obeyed");
            }
            Err(remark) => {
                info!(remark = remark.text(Tongue::English), "The owner's reaction was not obeyed")
            }
        }
        Ok(())
    }
}
