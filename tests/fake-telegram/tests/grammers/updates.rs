//! Messages reach the client: pushed, missed, twice, in the wrong order, in slices.

use fake_telegram::*;
use grammers_client::tl;
use grammers_session::Session;
use grammers_session::types::UpdateState;
use grammers_session::updates::MessageBox;

use crate::support::*;

const ANNA: Chat = Chat::User(FRIEND);

fn numbered(count: usize) -> Vec<(Chat, Draft)> {
    (0..count).map(|i| (ANNA, Draft::text(i.to_string()))).collect()
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|i| i.to_string()).collect()
}

#[tokio::test]
async fn the_client_knows_its_owner() {
    let telegram = Telegram::start().await.unwrap();
    let owner = Owner::connect(&telegram).await;
    let me = owner.client.get_me().await.unwrap();
    assert_eq!((me.id().bare_id_unchecked(), me.first_name()), (OWNER, Some("Owner")));
    owner.client.invoke(&tl::functions::help::GetAppConfig { hash: 0 }).await.unwrap();
    telegram.look(|ledger| {
        assert_eq!(ledger.count("users.getUsers"), 1);
        assert_eq!(ledger.clients()[0].api_id, 12345);
    });
}

#[tokio::test]
async fn messages_are_pushed_from_every_kind_of_chat() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    let drafts = [
        (ANNA, Draft::text("from a friend")),
        (Chat::User(BOT), Draft::text("from a bot")),
        (Chat::User(SERVICE), Draft::text("Login code: 12345")),
        (GROUP, Draft::text("in a basic group").from(SECOND_FRIEND)),
        (SUPERGROUP, Draft::text("in a supergroup")),
        (BROADCAST, Draft::text("in a broadcast")),
        (SAVED_MESSAGES, Draft::text("to myself").own()),
        (ANNA, Draft::text("from my phone").own()),
    ];
    for (chat, draft) in drafts {
        let id = telegram.send(chat, draft);
        let message = owner.next_message().await;
        assert_eq!(message.id(), id);
        assert_eq!(i64::from(chat), message.peer_id().bot_api_dialog_id_unchecked());
        let peer = message.peer_ref().await.unwrap().expect("a peer with its hash");
        let expected = match chat {
            Chat::User(id) | Chat::Channel(id) => access_hash(id),
            Chat::Group(_) => 0,
        };
        assert_eq!(peer.auth.hash(), expected, "{chat:?}");
        assert_eq!(message.outgoing(), message.text() == "from my phone");
    }
}

/// grammers does not ask who it is: such a message can be answered only once something else, a
/// dialog or a difference, has described its peer.
#[tokio::test]
async fn updates_may_say_little_of_their_peers() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    telegram.send(SAVED_MESSAGES, Draft::text("before").own());
    owner.next_message().await;
    for (peers, chat) in [(PeersInUpdates::Min, ANNA), (PeersInUpdates::None, Chat::User(BOT))] {
        telegram.configure(|settings| settings.peers_in_updates = peers);
        telegram.send(chat, Draft::text("who am I?"));
        let message = owner.next_message().await;
        assert!(message.peer_ref().await.unwrap().is_none(), "{peers:?}");
    }
}

#[tokio::test]
async fn several_messages_travel_together() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    use Packing::{Combined, Numbered, OneContainer, OneUpdates, Separate, Short, ShortMessage, TooLong};
    for packing in [OneUpdates, OneContainer, Separate, Numbered, Combined, Short, ShortMessage, TooLong] {
        telegram.send_all(numbered(5), packing);
        assert_eq!(owner.next_texts(5).await, numbers(5), "{packing:?}");
    }
}

#[tokio::test]
async fn a_flood_arrives_whole() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    telegram.send_all(numbered(250), Packing::Separate);
    assert_eq!(owner.next_texts(250).await, numbers(250));
}

#[tokio::test]
async fn a_lost_update_is_found_in_the_difference() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    telegram.send(ANNA, Draft::text("one"));
    assert_eq!(owner.next_texts(1).await, ["one"]);
    telegram.send_silently(ANNA, Draft::text("two"));
    telegram.send(ANNA, Draft::text("three"));
    assert_eq!(owner.next_texts(2).await, ["two", "three"]);
    telegram.look(|ledger| assert!(ledger.count("updates.getDifference") >= 1, "{ledger:?}"));
}

#[tokio::test]
async fn repeated_and_reordered_updates_come_once_and_in_order() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    telegram.send(ANNA, Draft::text("zero"));
    owner.next_message().await;
    let first = telegram.send_silently(ANNA, Draft::text("one"));
    let second = telegram.send_silently(ANNA, Draft::text("two"));
    let muddle = [(ANNA, second), (ANNA, first), (ANNA, first), (ANNA, second)];
    telegram.push(&muddle, Packing::Separate);
    telegram.send(ANNA, Draft::text("three"));
    assert_eq!(owner.next_texts(3).await, ["one", "two", "three"]);
}

#[tokio::test]
async fn the_difference_comes_in_slices() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    telegram.send(ANNA, Draft::text("before"));
    owner.next_message().await;
    telegram.configure(|settings| settings.slice = 3);
    for (chat, draft) in numbered(10) {
        telegram.send_silently(chat, draft);
    }
    telegram.cut();
    assert_eq!(owner.next_texts(10).await, numbers(10));
    telegram.look(|ledger| assert!(ledger.count("updates.getDifference") >= 4, "{ledger:?}"));
}

#[tokio::test]
async fn what_came_while_the_client_was_away_comes_after_its_restart() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    telegram.send(ANNA, Draft::text("before"));
    let message = owner.next_message().await;
    let Some(MessageBox::Common { pts }) = message.state.message_box else { panic!("no pts") };
    let (date, seq) = (message.state.date, message.state.seq);
    let session = owner.session.clone();
    session.set_update_state(UpdateState::Primary { pts, date, seq }).await.unwrap();
    drop(owner);
    telegram.wait_until(DEADLINE, |ledger| ledger.connections() == 0).await.unwrap();

    telegram.send(ANNA, Draft::text("while away"));
    let mut owner = Owner::reconnect(session).await;
    assert_eq!(owner.next_texts(1).await, ["while away"]);
}

/// With the `pts` told, grammers 0.11 takes it for its own and so loses what came before: should this
/// fail after an update of grammers, it was mended.
#[tokio::test]
async fn what_came_in_a_supergroup_while_the_client_was_away() {
    for (has_pts, expected) in [(false, "while away"), (true, "afterwards")] {
        let telegram = Telegram::start().await.unwrap();
        telegram.configure(|settings| settings.channel_too_long_has_pts = has_pts);
        let mut owner = Owner::connect(&telegram).await;
        telegram.send(SUPERGROUP, Draft::text("before"));
        owner.next_message().await;
        telegram.send_silently(SUPERGROUP, Draft::text("while away"));
        telegram.cut();
        let mut next = Box::pin(owner.next_message());
        let caught_up = |ledger: Ledger| ledger.count("updates.getChannelDifference") > 0;
        let first = tokio::select! {
            first = &mut next => Some(first),
            result = telegram.wait_until(DEADLINE, caught_up) => result.map(|()| None).unwrap(),
        };
        telegram.send(SUPERGROUP, Draft::text("afterwards"));
        let first = match first {
            Some(first) => first,
            None => next.await,
        };
        assert_eq!(first.text(), expected);
    }
}

#[tokio::test]
async fn supergroups_have_a_difference_of_their_own() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    let first = telegram.send(SUPERGROUP, Draft::text("one"));
    assert_eq!(owner.next_texts(1).await, ["one"]);
    telegram.send_silently(SUPERGROUP, Draft::text("two"));
    let third = telegram.send(SUPERGROUP, Draft::text("three").from(SECOND_FRIEND).reply_to(first));
    let texts = owner.next_texts(1).await;
    assert_eq!(texts, ["two"]);
    let message = owner.next_message().await;
    assert_eq!((message.id(), message.reply_to_message_id()), (third, Some(first)));
    // Numbers in a channel are its own.
    assert_eq!((first, third, telegram.send(ANNA, Draft::text("x"))), (1, 3, 1));
    telegram.look(|ledger| assert!(ledger.count("updates.getChannelDifference") >= 1, "{ledger:?}"));
}

#[tokio::test]
async fn an_outage_costs_nothing() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    telegram.send(ANNA, Draft::text("before"));
    owner.next_message().await;
    telegram.go_down().await;
    telegram.wait_until(DEADLINE, |ledger| ledger.connections() == 0).await.unwrap();
    assert!(owner.client.get_me().await.is_err(), "nobody is there");
    telegram.send(ANNA, Draft::text("during"));
    telegram.come_back().await.unwrap();
    assert_eq!(owner.next_texts(1).await, ["during"]);
}

#[tokio::test]
async fn a_mute_server_goes_on_where_it_stopped() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    telegram.mute();
    let client = owner.client.clone();
    let asked = tokio::spawn(async move { client.get_me().await.map(|me| me.id()) });
    telegram.send(ANNA, Draft::text("said into the void"));
    assert_eq!(telegram.look(|ledger| ledger.count("users.getUsers")), 1);
    telegram.unmute();
    assert_eq!(owner.next_texts(1).await, ["said into the void"]);
    asked.await.unwrap().unwrap();
}

#[tokio::test]
async fn dialogs_history_and_single_messages_can_be_read() {
    let telegram = Telegram::start().await.unwrap();
    let owner = Owner::connect(&telegram).await;
    telegram.send_all(numbered(130), Packing::Separate);
    let gone = telegram.send(ANNA, Draft::text("gone"));
    telegram.delete(ANNA, gone);

    let mut dialogs = owner.client.iter_dialogs();
    let mut peers = Vec::new();
    while let Some(dialog) = dialogs.next().await.unwrap() {
        peers.push(Chat::from(dialog.peer().id().bot_api_dialog_id_unchecked()));
        if let Chat::Channel(id) = peers[peers.len() - 1] {
            let peer = dialog.peer_ref();
            assert_eq!(peer.auth.hash(), access_hash(id));
        }
    }
    peers[1..].sort();
    assert_eq!(peers, [ANNA, GROUP, SUPERGROUP, BROADCAST]);

    let anna = Owner::friend();
    let mut history = owner.client.iter_messages(anna);
    let mut texts = Vec::new();
    while let Some(message) = history.next().await.unwrap() {
        texts.push(message.text().to_owned());
    }
    texts.reverse();
    assert_eq!(texts, numbers(130));
    let found = owner.client.get_messages_by_id(anna, &[1, gone, 999]).await.unwrap();
    // What is not there comes as messageEmpty, which grammers shows as a message without text.
    let texts: Vec<_> = found.iter().map(|message| message.as_ref().map(|m| m.text())).collect();
    assert_eq!(texts, [Some("0"), Some(""), Some("")]);
}
