//! What the client sends is in the ledger, once.

use fake_telegram::*;
use grammers_client::message::InputMessage;
use grammers_client::tl;
use grammers_session::types::{PeerAuth, PeerId, PeerRef};

use crate::support::*;

const ANNA: Chat = Chat::User(FRIEND);

fn request(random_id: i64) -> tl::functions::messages::SendMessage {
    tl::functions::messages::SendMessage {
        no_webpage: false,
        silent: true,
        background: false,
        clear_draft: false,
        noforwards: false,
        update_stickersets_order: false,
        invert_media: false,
        allow_paid_floodskip: false,
        peer: tl::types::InputPeerUser { user_id: FRIEND, access_hash: access_hash(FRIEND) }.into(),
        reply_to: None,
        message: "once".to_owned(),
        random_id,
        reply_markup: None,
        entities: None,
        schedule_date: None,
        schedule_repeat_period: None,
        send_as: None,
        quick_reply_shortcut: None,
        effect: None,
        allow_paid_stars: None,
        suggested_post: None,
        rich_message: None,
    }
}

#[tokio::test]
async fn a_reply_is_seen_by_the_other_side() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    for (answer, chat) in
        [(SentAnswer::Updates, ANNA), (SentAnswer::Short, ANNA), (SentAnswer::Updates, SUPERGROUP)]
    {
        telegram.configure(|settings| settings.sent_answer = answer);
        let id = telegram.send(chat, Draft::text("say something"));
        let message = owner.next_message().await;
        let quote = tl::types::MessageEntityBlockquote { collapsed: true, offset: 0, length: 5 };
        let text = InputMessage::new().text("hello world").silent(true).fmt_entities(vec![quote.into()]);
        let sent = message.reply(text).await.unwrap();
        let reply = telegram.wait_for_reply(chat, id, DEADLINE).await.unwrap();
        assert_eq!((reply.id, reply.text.as_str(), reply.silent), (sent.id(), "hello world", true));
        assert!(reply.by_client() && reply.outgoing());
        let kind = "messageEntityBlockquote";
        assert_eq!(reply.entities(), [Entity { kind, offset: 0, length: 5, collapsed: true }]);
        assert_eq!(owner.next_message().await.id(), sent.id(), "the client hears of it too");
    }
}

#[tokio::test]
async fn a_message_sent_twice_is_said_once() {
    let telegram = Telegram::start().await.unwrap();
    let owner = Owner::connect(&telegram).await;
    let first = owner.client.invoke(&request(7)).await.unwrap();
    let again = owner.client.invoke(&request(7)).await.unwrap();
    let id = |updates: &tl::enums::Updates| match updates {
        tl::enums::Updates::Updates(updates) => match &updates.updates[0] {
            tl::enums::Update::MessageId(update) => update.id,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(id(&first), id(&again));
    telegram.configure(|settings| settings.dedupe = Dedupe::Refuse);
    let error = owner.client.invoke(&request(7)).await.unwrap_err();
    assert!(error.is("RANDOM_ID_DUPLICATE"), "{error}");
    telegram.look(|ledger| assert_eq!((ledger.sent().count(), ledger.suppressed()), (1, 2)));
    telegram.configure(|settings| settings.dedupe = Dedupe::Off);
    owner.client.invoke(&request(7)).await.unwrap();
    telegram.look(|ledger| {
        let ids: Vec<_> = ledger.sent().map(|post| post.random_id).collect();
        assert_eq!(ids, [Some(7), Some(7)]);
    });
}

#[tokio::test]
async fn a_caption_is_edited_and_the_recording_stays() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    let id = telegram.send(ANNA, Draft::voice(*b"OggS", 1).own());
    let message = owner.next_message().await;
    assert!(message.outgoing());
    message.edit("its words").await.unwrap();
    let post = telegram.look(|ledger| ledger.post(ANNA, id).cloned()).unwrap();
    assert_eq!((post.text.as_str(), post.edits), ("its words", 1));
    assert_eq!(owner.download(&message).await, b"OggS");
    let error = message.edit("its words").await.unwrap_err();
    assert!(error.is("MESSAGE_NOT_MODIFIED"), "{error}");
    let error = message.edit("й".repeat(1025)).await.unwrap_err();
    assert!(error.is("MEDIA_CAPTION_TOO_LONG"), "{error}");
}

#[tokio::test]
async fn ones_own_message_is_deleted_for_everybody() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    let id = telegram.send(ANNA, Draft::text("of the owner").own());
    let message = owner.next_message().await;
    message.delete().await.unwrap();
    telegram.look(|ledger| {
        assert!(ledger.post(ANNA, id).is_none());
        let texts: Vec<&str> = ledger.deleted().map(|post| post.text.as_str()).collect();
        assert_eq!(texts, ["of the owner"]);
    });
    // What is gone can be deleted again.
    message.delete().await.unwrap();
    assert_eq!(telegram.look(|ledger| ledger.deleted().count()), 1);
}

#[tokio::test]
async fn a_document_is_uploaded_in_parts() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    let id = telegram.send(ANNA, Draft::text("write it down"));
    let message = owner.next_message().await;
    let bytes = vec![b'x'; 600_000];
    let size = bytes.len();
    let uploaded = owner.client.upload_stream(&mut &bytes[..], size, "words.txt".to_owned()).await.unwrap();
    message.reply(InputMessage::new().text("here").document(uploaded)).await.unwrap();
    let reply = telegram.wait_for_reply(ANNA, id, DEADLINE).await.unwrap();
    assert_eq!(reply.text, "here");
    assert_eq!(telegram.file(&reply), Some(bytes));
}

#[tokio::test]
async fn what_telegram_refuses_is_refused() {
    let telegram = Telegram::start().await.unwrap();
    let owner = Owner::connect(&telegram).await;
    let user = |id, hash| PeerRef { id: PeerId::user(id).unwrap(), auth: PeerAuth::from_hash(hash) };
    let channel = |id, hash| PeerRef { id: PeerId::channel(id).unwrap(), auth: PeerAuth::from_hash(hash) };
    let cases = [
        (user(FRIEND, 1), "x".to_owned(), "PEER_ID_INVALID"),
        (user(9999, access_hash(9999)), "x".to_owned(), "PEER_ID_INVALID"),
        (channel(600, access_hash(600)), "x".to_owned(), "CHAT_WRITE_FORBIDDEN"),
        (Owner::friend(), " ".to_owned(), "MESSAGE_EMPTY"),
        (Owner::friend(), "й".repeat(4097), "MESSAGE_TOO_LONG"),
    ];
    for (peer, text, expected) in cases {
        let error = owner.client.send_message(peer, text).await.unwrap_err();
        assert!(error.is(expected), "{error} instead of {expected}");
    }
    let nowhere = InputMessage::new().text("x").reply_to(Some(99));
    let error = owner.client.send_message(Owner::friend(), nowhere).await.unwrap_err();
    assert!(error.is("REPLY_MESSAGE_ID_INVALID"), "{error}");
    telegram.look(|ledger| assert_eq!(ledger.sent().count(), 0));
}
