//! The list of chats, page by page, the latest first.

use grammers_client::tl;
use grammers_session::types::{PeerId, PeerInfo};

use super::account::Account;
use super::connection::{CallError, Link, Pool};
use super::incoming;
use super::updates::UpdatesEnded;

/// Chats in one page, the most that Telegram gives.
const PAGE: i32 = 100;
/// Pages read at most: 5,000 chats.
const PAGES: usize = 50;

/// A chat in the list.
pub(super) struct Dialog {
    pub chat: PeerId,
    /// The number of its last message.
    pub last_message: i32,
    /// When that was sent, in seconds of Unix time.
    pub date: Option<i32>,
    /// A channel's position in its stream of updates.
    pub pts: Option<i32>,
}

impl Dialog {
    /// Numbers its messages together with the account's other private chats and basic groups.
    pub fn is_of_account(&self) -> bool {
        !matches!(self.chat.kind(), grammers_session::types::PeerKind::Channel)
    }
}

/// Reads the list of chats.
pub(super) struct Dialogs<'a> {
    account: &'a Account,
    link: &'a Link,
    request: tl::functions::messages::GetDialogs,
    pages: usize,
    more: bool,
}

impl<'a> Dialogs<'a> {
    pub fn new(account: &'a Account, link: &'a Link) -> Self {
        Self { account, link, request: first_page(), pages: 0, more: true }
    }

    /// The next page, its peers remembered already; none at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Dialog>>, UpdatesEnded> {
        if !self.more || self.pages == PAGES {
            return Ok(None);
        }
        if self.pages > 0 {
            tokio::time::sleep(self.account.options.pace).await;
        }
        self.pages += 1;
        let (page, peers, is_slice) = read(self.link.insist(&self.request).await?);
        self.account.store.cache_peers(peers).await?;
        // The chats that stand first for ever are in the first page.
        self.request.exclude_pinned = true;
        let last = page.iter().rev().find_map(|dialog| Some((dialog.date?, dialog)));
        self.more = is_slice && last.is_some();
        if let Some((date, dialog)) = last {
            (self.request.offset_date, self.request.offset_id) = (date, dialog.last_message);
            self.request.offset_peer = match self.account.store.peer(dialog.chat).await? {
                Some(info) => incoming::input_peer(&info),
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

/// The number of the account's last message, by its latest chats.
pub(super) async fn last_message(pool: &Pool, home: i32) -> Result<i32, CallError> {
    let (page, _, _) = read(pool.call_patiently(home, &first_page()).await?);
    let own = page.iter().filter(|dialog| dialog.is_of_account());
    Ok(own.map(|dialog| dialog.last_message).max().unwrap_or_default())
}

/// The chats of an answer, the peers that it speaks of, and whether it is a part only.
fn read(answer: tl::enums::messages::Dialogs) -> (Vec<Dialog>, Vec<PeerInfo>, bool) {
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
    let peers = users.iter().map(PeerInfo::from).chain(chats.iter().map(PeerInfo::from)).collect();
    (dialogs.collect(), peers, is_slice)
}
