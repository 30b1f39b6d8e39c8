//! The list of chats, page by page, latest first.

use grammers_client::tl;
use grammers_session::types::{PeerId, PeerKind};

use super::super::connection::error::CallError;
use super::super::connection::link::Link;
use super::super::connection::pool::Pool;
use super::super::message;
use super::super::store::peer::MetPeer;
use super::error::UpdatesEnded;

/// Chats in one page, the most that Telegram gives.
const PAGE: i32 = 100;
/// Pages read at most: 5,000 chats.
const PAGES: usize = 50;

/// A chat in the list.
pub(crate) struct Dialog {
    pub chat: PeerId,
    /// The number of its last message.
    pub last_message: i32,
    /// When that was sent, in seconds of Unix time.
    pub date: Option<i32>,
    /// A channel's position in its stream of updates.
    pub pts: Option<i32>,
}

impl Dialog {
    /// Whether this is a private chat or a basic group. These number their messages together.
    pub fn is_of_account(&self) -> bool {
        !matches!(self.chat.kind(), PeerKind::Channel)
    }
}

/// Reads the list of chats.
pub(crate) struct Dialogs<'a> {
    link: &'a Link,
    request: tl::functions::messages::GetDialogs,
    pages: usize,
    more: bool,
}

impl<'a> Dialogs<'a> {
    pub fn new(link: &'a Link) -> Self {
        Self { link, request: first_page(), pages: 0, more: true }
    }

    /// The next page, after its peers were stored; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Dialog>>, UpdatesEnded> {
        if !self.more || self.pages == PAGES {
            return Ok(None);
        }
        if self.pages > 0 {
            tokio::time::sleep(self.link.context.options.pace).await;
        }
        self.pages += 1;
        let store = &self.link.context.store;
        let (page, peers, is_slice) = read(self.link.call_until_answered(&self.request).await?);
        store.cache_peers(peers).await?;
        // Pinned chats are in the first page.
        self.request.exclude_pinned = true;
        let last = page.iter().rev().find_map(|dialog| Some((dialog.date?, dialog)));
        self.more = is_slice && last.is_some();
        if let Some((date, dialog)) = last {
            (self.request.offset_date, self.request.offset_id) = (date, dialog.last_message);
            self.request.offset_peer = match store.peer(dialog.chat).await? {
                Some(info) => message::input_peer(&message::peer(&info)),
                None => tl::enums::InputPeer::Empty,
            };
        }
        Ok(Some(page))
    }
}

fn first_page() -> tl::functions::messages::GetDialogs {
    tl::functions::messages::GetDialogs {
        exclude_pinned: false,
        // All folders.
        folder_id: None,
        offset_date: 0,
        offset_id: 0,
        offset_peer: tl::enums::InputPeer::Empty,
        limit: PAGE,
        hash: 0,
    }
}

/// The number of the account's last message, from its latest chats.
pub(crate) async fn last_message(pool: &Pool, home: i32) -> Result<i32, CallError> {
    let (page, _, _) = read(pool.call_with_retries(home, &first_page()).await?);
    let own = page.iter().filter(|dialog| dialog.is_of_account());
    Ok(own.map(|dialog| dialog.last_message).max().unwrap_or_default())
}

/// The chats of an answer, the peers that it mentions, and whether more chats follow.
fn read(answer: tl::enums::messages::Dialogs) -> (Vec<Dialog>, Vec<MetPeer>, bool) {
    use tl::enums::messages::Dialogs;
    let (dialogs, messages, users, chats, is_slice) = match answer {
        Dialogs::Dialogs(all) => (all.dialogs, all.messages, all.users, all.chats, false),
        Dialogs::Slice(slice) => (slice.dialogs, slice.messages, slice.users, slice.chats, true),
        Dialogs::NotModified(_) => (vec![], vec![], vec![], vec![], false),
    };
    let date = |dialog: &tl::types::Dialog| {
        messages.iter().find_map(|message| match message {
            tl::enums::Message::Message(m) if m.id == dialog.top_message && m.peer_id == dialog.peer => {
                Some(m.date)
            }
            tl::enums::Message::Service(m) if m.id == dialog.top_message && m.peer_id == dialog.peer => {
                Some(m.date)
            }
            _ => None,
        })
    };
    let dialogs = dialogs.into_iter().filter_map(|dialog| match dialog {
        tl::enums::Dialog::Dialog(dialog) => Some(Dialog {
            chat: PeerId::from(&dialog.peer),
            last_message: dialog.top_message,
            date: date(&dialog),
            pts: dialog.pts,
        }),
        _ => None,
    });
    (dialogs.collect(), message::peers(&users, &chats), is_slice)
}
