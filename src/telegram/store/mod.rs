//! What changes with every update: the position in the stream of updates and the peers seen. A
//! pause in sending is kept here as well.
//!
//! All of it is in a small redb file beside the session. Without that file the account is not lost,
//! but updates would be followed only from now on.

mod pause;
pub(super) mod peer;
pub(super) mod position;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grammers_session::types::{PeerId, PeerInfo, UpdatesState};
use redb::{ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;

use self::pause::StoredPause;
use self::peer::{SeenPeer, StoredPeer};
use self::position::{LastMessages, StoredPosition};
use super::session::error::SessionError;
use crate::runtime::lock;
use crate::runtime::redb_file::{self, Reopening};

/// Two rows, [`POSITION`] and [`PAUSE`].
const STATE: TableDefinition<&str, &[u8]> = TableDefinition::new("state");
/// Bot API dialog id to [`StoredPeer`].
const PEERS: TableDefinition<i64, &[u8]> = TableDefinition::new("peers");
const POSITION: &str = "position";
const PAUSE: &str = "pause";

/// The store; clones share it.
#[derive(Clone)]
pub(super) struct UpdateStore(Arc<Inner>);

struct Inner {
    path: PathBuf,
    database: Reopening,
    /// The peers met in this run as they are on disk, so that each is written only if it changes.
    peers: Mutex<HashMap<i64, StoredPeer>>,
    position: Mutex<StoredPosition>,
    pause: Mutex<Option<StoredPause>>,
}

impl UpdateStore {
    /// Opens or creates the store of `account` (mode 0600). A store of another account is emptied.
    pub async fn open(path: &Path, account: i64) -> Result<Self, SessionError> {
        let file = path.to_owned();
        let inner = blocking(path, move || Inner::open(file, account)).await?;
        Ok(Self(Arc::new(inner)))
    }

    /// How much longer nothing may be sent, and why; `None` if sending is allowed.
    pub fn pause(&self) -> Option<(Duration, String)> {
        let pause = lock(&self.0.pause);
        let pause = pause.as_ref()?;
        Some((pause.left()?, pause.why.clone()))
    }

    /// Remembers across restarts that nothing may be sent for `length`. A shorter pause does not
    /// shorten a longer one. The pause begins at once, even if it cannot be stored.
    pub async fn set_pause(&self, length: Duration, why: String) -> Result<(), SessionError> {
        if self.pause().is_some_and(|(left, _)| left >= length) {
            return Ok(());
        }
        let pause = StoredPause::begin(self.0.position().account, length, why);
        *lock(&self.0.pause) = Some(pause.clone());
        self.blocking(move |inner| {
            let row = serde_json::to_vec(&pause).map_err(std::io::Error::from)?;
            let write = inner.database.begin_write()?;
            write.open_table(STATE)?.insert(PAUSE, row.as_slice())?;
            Ok(write.commit()?)
        })
        .await
    }

    pub fn last_messages(&self) -> LastMessages {
        self.0.position().last_messages.clone()
    }

    /// Whether the list of chats has been read once.
    pub fn dialogs_walked(&self) -> bool {
        self.0.position().dialogs_walked
    }

    /// Remembers that the list of chats has been read.
    pub async fn set_dialogs_walked(&self) -> Result<(), SessionError> {
        self.blocking(|inner| inner.change_position(|stored| stored.dialogs_walked = true)).await
    }

    /// Whether the account was followed before. Every position that Telegram has given has a date.
    pub fn has_position(&self) -> bool {
        self.0.position().date != 0
    }

    pub fn position(&self) -> UpdatesState {
        self.0.position().state()
    }

    /// C2: stores the position together with the last messages. They are durable when it returns.
    /// Nothing is written if nothing has changed.
    pub async fn set_position(&self, state: UpdatesState, last: LastMessages) -> Result<(), SessionError> {
        if self.position() == state && self.0.position().last_messages == last {
            return Ok(());
        }
        self.blocking(move |inner| inner.change_position(|stored| stored.set(&state, last))).await
    }

    pub async fn peer(&self, id: PeerId) -> Result<Option<PeerInfo>, SessionError> {
        Ok(self.seen_peer(id).await?.map(|peer| peer.info))
    }

    /// A peer with what the owner's rules ask of it.
    pub async fn seen_peer(&self, id: PeerId) -> Result<Option<SeenPeer>, SessionError> {
        let Some(dialog) = id.bot_api_dialog_id() else { return Ok(None) };
        let stored = self.blocking(move |inner| inner.read_peer(dialog)).await?;
        Ok(stored.map(|peer| peer.seen(id)))
    }

    /// Stores peers. Where Telegram leaves something out that is known already, that is kept.
    pub async fn cache_peers(&self, peers: Vec<SeenPeer>) -> Result<(), SessionError> {
        if peers.is_empty() {
            return Ok(());
        }
        self.blocking(move |inner| inner.write_peers(&peers)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, SessionError> {
        let inner = Arc::clone(&self.0);
        blocking(&self.0.path, move || work(&inner)).await.inspect_err(|_| self.0.database.close())
    }
}

/// Runs `work` on a thread that may block. redb panics over some kinds of damage; such a panic
/// becomes an error.
async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, redb::Error> + Send + 'static,
) -> Result<T, SessionError> {
    let why = match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error.to_string(),
        Err(stopped) if stopped.is_panic() => {
            format!("it is damaged ({stopped}); move it away, and updates are followed from now on")
        }
        Err(_) => "the program is stopping".to_owned(),
    };
    Err(SessionError::State { path: path.to_owned(), why })
}

impl Inner {
    fn open(path: PathBuf, account: i64) -> Result<Self, redb::Error> {
        redb_file::make(&path, |_| Ok(()))?;
        let database = Reopening::open(path.clone())?;
        let write = database.begin_write()?;
        let (position, pause) = {
            let mut state = write.open_table(STATE)?;
            write.open_table(PEERS)?;
            let pause: Option<StoredPause> = row(&state, PAUSE)?;
            let position = match row::<StoredPosition>(&state, POSITION)? {
                Some(stored) if stored.account == account => stored,
                _ => {
                    state.remove(POSITION)?;
                    write.delete_table(PEERS)?;
                    write.open_table(PEERS)?;
                    StoredPosition { account, ..StoredPosition::default() }
                }
            };
            (position, pause.filter(|pause| pause.account == account))
        };
        write.commit()?;
        Ok(Self {
            path,
            database,
            peers: Mutex::default(),
            position: Mutex::new(position),
            pause: Mutex::new(pause),
        })
    }

    fn position(&self) -> std::sync::MutexGuard<'_, StoredPosition> {
        // It is replaced as a whole, so a panic elsewhere cannot have left it half written.
        lock(&self.position)
    }

    /// Changes memory only after the disk.
    fn change_position(&self, change: impl FnOnce(&mut StoredPosition)) -> Result<(), redb::Error> {
        let mut position = self.position();
        let mut changed = position.clone();
        change(&mut changed);
        let row = serde_json::to_vec(&changed).map_err(std::io::Error::from)?;
        let write = self.database.begin_write()?;
        write.open_table(STATE)?.insert(POSITION, row.as_slice())?;
        write.commit()?;
        *position = changed;
        Ok(())
    }

    fn read_peer(&self, dialog: i64) -> Result<Option<StoredPeer>, redb::Error> {
        let mut known = lock(&self.peers);
        if let Some(peer) = known.get(&dialog) {
            return Ok(Some(peer.clone()));
        }
        let table = self.database.begin_read()?.open_table(PEERS)?;
        let stored: Option<StoredPeer> =
            table.get(dialog)?.and_then(|row| serde_json::from_slice(row.value()).ok());
        if let Some(peer) = &stored {
            known.insert(dialog, peer.clone());
        }
        Ok(stored)
    }

    fn write_peers(&self, peers: &[SeenPeer]) -> Result<(), redb::Error> {
        let mut changed = Vec::new();
        for seen in peers {
            let Some(dialog) = seen.info.id().bot_api_dialog_id() else { continue };
            let known = self.read_peer(dialog)?;
            let peer = StoredPeer::from(seen).or(known.clone());
            if known.as_ref() != Some(&peer) {
                changed.push((dialog, peer));
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        let write = self.database.begin_write()?;
        {
            let mut table = write.open_table(PEERS)?;
            for (dialog, peer) in &changed {
                let row = serde_json::to_vec(peer).map_err(std::io::Error::from)?;
                table.insert(dialog, row.as_slice())?;
            }
        }
        write.commit()?;
        lock(&self.peers).extend(changed);
        Ok(())
    }
}

/// A row of [`STATE`]; `None` where there is none that can be read.
fn row<T: DeserializeOwned>(
    state: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<T>, redb::Error> {
    Ok(state.get(key)?.and_then(|row| serde_json::from_slice(row.value()).ok()))
}

#[cfg(test)]
mod tests {
    use grammers_session::types::{ChannelState, PeerAuth};

    use super::peer::PeerTraits;
    use super::*;

    fn user(id: i64, hash: Option<i64>, bot: Option<bool>) -> PeerInfo {
        PeerInfo::User { id, auth: hash.map(PeerAuth::from_hash), bot, is_self: None }
    }

    #[tokio::test]
    async fn position_and_peers_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("updates.redb");
        let state =
            UpdatesState { pts: 5, qts: 6, date: 7, seq: 8, channels: vec![ChannelState { id: 9, pts: 10 }] };
        let last = LastMessages { account: 11, channels: [(9, 12)].into() };
        {
            let store = UpdateStore::open(&path, 1000).await.unwrap();
            assert_eq!(store.position(), UpdatesState::default());
            assert_eq!(store.last_messages(), LastMessages::default());
            store.set_position(state.clone(), last.clone()).await.unwrap();
            store.set_dialogs_walked().await.unwrap();
            store.cache_peers(vec![user(2000, Some(5), Some(false)).into()]).await.unwrap();
        }
        let store = UpdateStore::open(&path, 1000).await.unwrap();
        assert_eq!(store.position(), state);
        assert_eq!(store.last_messages(), last);
        assert!(store.dialogs_walked());
        let id = PeerId::user(2000).unwrap();
        assert_eq!(store.peer(id).await.unwrap(), Some(user(2000, Some(5), Some(false))));
    }

    #[tokio::test]
    async fn only_the_owner_can_read_it_and_a_damaged_one_is_an_error() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("updates.redb");
        drop(UpdateStore::open(&path, 1000).await.unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        // Every byte of the file, in turn, over a whole page: an error or none, and never a panic.
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len().min(4096)).step_by(16) {
            let mut damaged = whole.clone();
            damaged[at..].fill(0xff);
            std::fs::write(&path, damaged).unwrap();
            let opened = UpdateStore::open(&path, 1000).await;
            assert!(matches!(opened, Ok(_) | Err(SessionError::State { .. })));
        }
    }

    #[tokio::test]
    async fn what_is_known_of_a_peer_is_kept_when_less_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = UpdateStore::open(&folder.path().join("updates.redb"), 1000).await.unwrap();
        let traits = PeerTraits { contact: Some(true), names: Some(vec!["anna".into()]) };
        let first = SeenPeer { info: user(2000, Some(5), None), traits: traits.clone() };
        store.cache_peers(vec![first]).await.unwrap();
        store.cache_peers(vec![user(2000, None, Some(true)).into()]).await.unwrap();
        let id = PeerId::user(2000).unwrap();
        let known = store.seen_peer(id).await.unwrap().unwrap();
        assert_eq!((known.info, known.traits), (user(2000, Some(5), Some(true)), traits));
        // What is known of somebody changes, and names are given up.
        let traits = PeerTraits { contact: Some(false), names: Some(Vec::new()) };
        let later = SeenPeer { info: user(2000, None, None), traits: traits.clone() };
        store.cache_peers(vec![later]).await.unwrap();
        assert_eq!(store.seen_peer(id).await.unwrap().unwrap().traits, traits);
    }

    #[tokio::test]
    async fn another_account_starts_afresh() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("updates.redb");
        {
            let store = UpdateStore::open(&path, 1000).await.unwrap();
            let last = LastMessages { account: 11, ..LastMessages::default() };
            store.set_position(UpdatesState { pts: 5, ..UpdatesState::default() }, last).await.unwrap();
            store.set_pause(Duration::from_secs(60), "FLOOD_WAIT".into()).await.unwrap();
            store.cache_peers(vec![user(2000, Some(5), None).into()]).await.unwrap();
        }
        let store = UpdateStore::open(&path, 1001).await.unwrap();
        assert_eq!(store.position(), UpdatesState::default());
        assert_eq!(store.last_messages(), LastMessages::default());
        assert_eq!(store.pause(), None);
        assert_eq!(store.peer(PeerId::user(2000).unwrap()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_pause_survives_a_restart_and_is_not_cut_short_by_a_shorter_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("updates.redb");
        {
            let store = UpdateStore::open(&path, 1000).await.unwrap();
            assert_eq!(store.pause(), None);
            store.set_pause(Duration::from_secs(60), "long".into()).await.unwrap();
            store.set_pause(Duration::from_secs(5), "short".into()).await.unwrap();
        }
        let store = UpdateStore::open(&path, 1000).await.unwrap();
        let (left, why) = store.pause().unwrap();
        assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60), "{left:?}");
        assert_eq!(why, "long");
    }
}
