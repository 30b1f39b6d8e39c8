//! Which chat, which sender and which topic a recording is of; channels, whose messages have numbers of
//! their own.

use fake_telegram::{
    BOT, BROADCAST, Draft, GROUP, Group, GroupKind, OWNER, PeersInUpdates, SECOND_FRIEND, STRANGERS,
    SUPERGROUP, User,
};
use stenogram::domain::{ChatKind, Incoming, Job, PeerKind, Sender};

use super::*;

fn by(id: i64) -> Sender {
    Sender { id, is_owner: id == OWNER, is_bot: id == BOT, is_contact: None, names: Vec::new() }
}

fn seen_as(chat: Chat) -> ChatKind {
    match chat {
        SAVED_MESSAGES => ChatKind::SavedMessages,
        GROUP | SUPERGROUP => ChatKind::Group,
        BROADCAST => ChatKind::Channel,
        Chat::User(BOT) => ChatKind::Bot,
        _ => ChatKind::Private,
    }
}

/// The job that a message would become, once it is heard.
async fn job_in(listener: &Listener, chat: Chat, message: i32) -> Job {
    let Incoming { id, recording, .. } = listener.recording_in(chat.into(), message).await;
    Job { id, recording, settings: None, stranger: false, asked: None }
}

/// Waits until the list of chats was read, so that what is new from now on is told by updates only.
async fn start_and_read_the_chats() -> (Telegram, tempfile::TempDir, Listener) {
    let (telegram, folder, listener) = start().await;
    telegram.wait_until(DEADLINE, |ledger| ledger.count("messages.getDialogs") >= 1).await.unwrap();
    (telegram, folder, listener)
}

#[tokio::test]
async fn a_recording_has_its_chat_and_its_sender() {
    let (telegram, _folder, listener) = start().await;
    let bots_chat = Chat::User(BOT);
    for (chat, draft, sender) in [
        (FRIENDS_CHAT, voice(), by(FRIEND)),
        (FRIENDS_CHAT, voice().own(), by(OWNER)),
        (SAVED_MESSAGES, voice().own(), by(OWNER)),
        (bots_chat, voice(), by(BOT)),
        (bots_chat, voice().own(), by(OWNER)),
        (GROUP, voice().from(SECOND_FRIEND), by(SECOND_FRIEND)),
        (GROUP, voice().own(), by(OWNER)),
        (SUPERGROUP, voice().from(BOT), by(BOT)),
        // In the name of the channel.
        (BROADCAST, voice(), by(BROADCAST.into())),
    ] {
        let sent = telegram.send(chat, draft);
        let heard = listener.recording_in(chat.into(), sent).await;
        let kind = match chat {
            Chat::User(_) => PeerKind::User,
            Chat::Group(_) => PeerKind::Group,
            Chat::Channel(_) => PeerKind::Channel,
        };
        assert_eq!((heard.recording.chat.kind, heard.recording.chat.chat()), (kind, chat.into()), "{chat:?}");
        assert_eq!(
            heard.sender.is_contact == Some(true),
            [FRIEND, SECOND_FRIEND].contains(&sender.id),
            "{chat:?}"
        );
        let heard_by = Sender { is_contact: None, ..heard.sender };
        assert_eq!((heard_by, heard.chat.kind), (sender, seen_as(chat)), "{chat:?}");
        assert_eq!(heard.recording.thread, None, "{chat:?}");
    }
}

#[tokio::test]
async fn whether_a_sender_is_a_contact_is_found_out_when_updates_do_not_tell_it() {
    for peers in [PeersInUpdates::Min, PeersInUpdates::None] {
        let (telegram, _folder, listener) = start().await;
        telegram.add_user(User { id: STRANGERS.start, name: "Stranger".into(), bot: false });
        telegram.configure(|settings| settings.peers_in_updates = peers);
        for (id, is_contact) in [(FRIEND, true), (STRANGERS.start, false)] {
            let chat = Chat::User(id);
            let sent = telegram.send(chat, voice());
            let heard = listener.recording_in(chat.into(), sent).await;
            assert_eq!(heard.sender.is_contact == Some(true), is_contact, "{peers:?} {id}");
        }
    }
}

#[tokio::test]
async fn an_answer_goes_to_the_topic_of_its_message() {
    let (telegram, _folder, listener) = start().await;
    let topic = telegram.send(SUPERGROUP, Draft::text("a topic"));
    let other = telegram.send(SUPERGROUP, Draft::text("something in it").in_topic(topic));
    for draft in [voice().in_topic(topic), voice().in_topic(topic).reply_to(other)] {
        let job = job_in(&listener, SUPERGROUP, telegram.send(SUPERGROUP, draft)).await;
        assert_eq!(job.recording.thread, Some(topic));
        listener.account.deliver(&job, &answer(["one"]), 0).await.unwrap();
        telegram.look(|ledger| {
            let reply = ledger.replies(SUPERGROUP, job.id.message).next().expect("a reply");
            assert_eq!(reply.topic, Some(topic));
        });
    }
    // A reply outside of topics is in none.
    let job = job_in(&listener, SUPERGROUP, telegram.send(SUPERGROUP, voice().reply_to(topic))).await;
    assert_eq!(job.recording.thread, None);
}

/// messages.getMessages, which takes nothing but a number, would answer with a message of another chat.
#[tokio::test]
async fn a_channels_message_is_asked_for_in_its_channel_only() {
    let (telegram, _folder, listener) = start_and_read_the_chats().await;
    let group = Group { id: 501, title: "New".into(), kind: GroupKind::Supergroup };
    let chat = telegram.add_group(group);
    telegram.configure(|settings| settings.peers_in_updates = PeersInUpdates::None);
    let job = job_in(&listener, chat, telegram.send(chat, voice())).await;
    assert_eq!(job.recording.chat.access_hash, 0);
    // Until the hash is known, the job waits.
    for result in [
        listener.account.fetch(&job).await.map(drop),
        listener.account.deliver(&job, &answer(["one"]), 0).await.map(drop),
        listener.account.sent(&job, &answer(["one"])).await.map(drop),
    ] {
        assert!(matches!(result, Err(JobFault::Retry { .. })), "{result:?}");
    }
    telegram.configure(|settings| settings.peers_in_updates = PeersInUpdates::Full);
    let next = telegram.send(chat, voice());
    listener.recording_in(chat.into(), next).await;
    listener.account.fetch(&job).await.unwrap();
    assert_eq!(listener.account.sent(&job, &answer(["one"])).await.unwrap(), [None]);
    listener.account.deliver(&job, &answer(["one"]), 0).await.unwrap();
    telegram.look(|ledger| {
        assert_eq!(ledger.replies(chat, job.id.message).count(), 1);
        assert_eq!(ledger.count("messages.getMessages"), 0, "{ledger:?}");
    });
}

#[tokio::test]
async fn an_access_hash_that_is_known_by_now_is_used_to_fetch() {
    let (telegram, _folder, listener) = start_and_read_the_chats().await;
    let stranger = telegram.add_user(User { id: 2500, name: "Stranger".into(), bot: false });
    for chat in [SUPERGROUP, stranger] {
        let mut job = job_in(&listener, chat, telegram.send(chat, voice())).await;
        job.recording.chat.access_hash = 0;
        assert_eq!(listener.account.fetch(&job).await.unwrap(), [7; 1000], "{chat:?}");
    }
}
