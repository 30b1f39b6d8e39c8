//! The store: what survives a restart, a damaged row, another account.

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
async fn a_damaged_row_costs_that_row_and_never_the_position() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.redb");
    let state = |pts| UpdatesState { pts, date: 7, ..UpdatesState::default() };
    {
        let store = UpdateStore::open(&path, 1000).await.unwrap();
        for pts in [5, 6] {
            store.set_position(state(pts), LastMessages::default()).await.unwrap();
        }
        store.set_pause(Paused::Sends, Duration::from_secs(60), "why".into()).await.unwrap();
        store
            .cache_peers(vec![user(2000, Some(5), None).into(), user(2001, Some(6), None).into()])
            .await
            .unwrap();
    }
    {
        let write = redb_file::open(&path).unwrap();
        let write = write.begin_write().unwrap();
        for key in [POSITION, Paused::Sends.row(), Paused::Edits.row()] {
            write.open_table(STATE).unwrap().insert(key, &b"{\"account\":"[..]).unwrap();
        }
        write.open_table(PEERS).unwrap().insert(2000, &b"\xff"[..]).unwrap();
        write.commit().unwrap();
    }
    let store = UpdateStore::open(&path, 1000).await.unwrap();
    assert_eq!(store.position(), state(5), "the position before");
    assert_eq!(Paused::ALL.map(|what| store.pause(what)), [None, None]);
    assert_eq!(store.peer(PeerId::user(2000).unwrap()).await.unwrap(), None);
    let other = store.peer(PeerId::user(2001).unwrap()).await.unwrap();
    assert_eq!(other, Some(user(2001, Some(6), None)));
    // A damaged peer can be learned again.
    store.cache_peers(vec![user(2000, Some(5), None).into()]).await.unwrap();
    assert!(store.peer(PeerId::user(2000).unwrap()).await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_known_of_a_peer_is_kept_when_less_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = UpdateStore::open(&folder.path().join("updates.redb"), 1000).await.unwrap();
    let traits =
        PeerTraits { contact: Some(true), names: Some(vec!["anna".into()]), called: Some("Anna".into()) };
    let id = PeerId::user(2000).unwrap();
    let first = || SeenPeer { info: user(2000, Some(5), None), traits: traits.clone() };
    // What people call themselves is kept only where it is wanted.
    store.cache_peers(vec![first()]).await.unwrap();
    assert_eq!(store.seen_peer(id).await.unwrap().unwrap().traits.called, None);
    store.keep_names();
    store.cache_peers(vec![first()]).await.unwrap();
    store.cache_peers(vec![user(2000, None, Some(true)).into()]).await.unwrap();
    let known = store.seen_peer(id).await.unwrap().unwrap();
    assert_eq!((known.info, known.traits), (user(2000, Some(5), Some(true)), traits));
    // What is known of somebody changes, and names are given up.
    let traits = PeerTraits { contact: Some(false), names: Some(Vec::new()), called: Some("Anna".into()) };
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
        store.set_pause(Paused::Sends, Duration::from_secs(60), "FLOOD_WAIT".into()).await.unwrap();
        store.cache_peers(vec![user(2000, Some(5), None).into()]).await.unwrap();
    }
    let store = UpdateStore::open(&path, 1001).await.unwrap();
    assert_eq!(store.position(), UpdatesState::default());
    assert_eq!(store.last_messages(), LastMessages::default());
    assert_eq!(Paused::ALL.map(|what| store.pause(what)), [None, None]);
    assert_eq!(store.peer(PeerId::user(2000).unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn messages_sent_are_counted_across_restarts_for_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.redb");
    let now = unix_time::now_millis();
    {
        let store = UpdateStore::open(&path, 1000).await.unwrap();
        for at in [now - SENDS_KEPT - 1, now, now] {
            store.add_send(at).await.unwrap();
        }
        store
            .set_position(UpdatesState { date: 7, ..UpdatesState::default() }, LastMessages::default())
            .await
            .unwrap();
    }
    let store = UpdateStore::open(&path, 1000).await.unwrap();
    let (login, sends) = store.sends().await.unwrap();
    assert!(login >= now && login < now + 60_000, "{login}");
    assert_eq!(sends, [now, now + 1]);
    drop(store);
    let other = UpdateStore::open(&path, 1001).await.unwrap();
    assert_eq!(other.sends().await.unwrap().1, [0; 0]);
}

#[tokio::test]
async fn a_pause_survives_a_restart_and_is_not_cut_short_by_a_shorter_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.redb");
    {
        let store = UpdateStore::open(&path, 1000).await.unwrap();
        assert_eq!(store.pause(Paused::Sends), None);
        store.set_pause(Paused::Sends, Duration::from_secs(60), "long".into()).await.unwrap();
        store.set_pause(Paused::Sends, Duration::from_secs(5), "short".into()).await.unwrap();
    }
    let store = UpdateStore::open(&path, 1000).await.unwrap();
    let (left, why) = store.pause(Paused::Sends).unwrap();
    assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60), "{left:?}");
    assert_eq!(why, "long");
}
