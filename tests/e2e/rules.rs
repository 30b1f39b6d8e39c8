//! The owner's rules, in the daemon as it ships.

use super::*;

with_either_queue! {
    groups_are_answered_once_the_owner_asks_for_it,
    an_answer_in_saved_messages_is_seen_by_nobody_else,
    ones_own_voice_message_gets_a_caption_also_after_a_kill,
    a_text_that_is_only_kept_is_printed_beside_the_daemon,
    a_document_is_sent_once_also_after_a_kill,
}

async fn groups_are_answered_once_the_owner_asks_for_it(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("en", "en-us", 3);
    let env = world.home.path().join(".env");
    std::fs::write(&env, "ANSWER_GROUPS=off\n").expect("write .env");
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let before = world.telegram.send(GROUP, Draft::voice(ogg.clone(), 2).own());
    daemon.event("ignored", DEADLINE).await;
    std::fs::write(&env, "ANSWER_GROUPS=mine\n").expect("write .env");
    daemon.signal(1);
    daemon.event("reloaded", DEADLINE).await;
    let theirs = world.telegram.send(GROUP, Draft::voice(ogg.clone(), 2));
    daemon.event("ignored", DEADLINE).await;
    for chat in [GROUP, SUPERGROUP] {
        let mine = world.telegram.send(chat, Draft::voice(ogg.clone(), 2).own());
        world.answers(chat, mine, &text).await;
    }
    daemon.stop().await;
    assert_eq!([before, theirs].map(|message| world.replies(GROUP, message)), [0, 0]);
}

async fn an_answer_in_saved_messages_is_seen_by_nobody_else(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("ru", "ru", 4);
    world.home.set("ANSWER_IN", "saved");
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let message = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 3));
    daemon.event("answered", DEADLINE).await;
    daemon.stop().await;
    let sent: Vec<Post> = world.telegram.look(|ledger| ledger.sent().cloned().collect());
    let [post] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(post.chat, SAVED_MESSAGES);
    assert_eq!(post.links(), [format!("tg://openmessage?user_id={FRIEND}&message_id={message}")]);
    let (header, said) = post.text.split_once('\n').expect("a header");
    assert!(header.starts_with("Friend"), "{header}");
    recognised(said, &text);
}

async fn ones_own_voice_message_gets_a_caption_also_after_a_kill(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("en", "en-us", 4);
    world.home.set("ANSWER_IN", "caption");
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    world.telegram.fault(Fault::on("messages.editMessage", Action::LoseAnswer).once());
    let message = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 3).own());
    let edited = |ledger: fake_telegram::Ledger| {
        ledger.post(FRIENDS_CHAT, message).filter(|post| post.edits > 0).cloned()
    };
    world.telegram.wait_for(DEADLINE, edited).await.expect("a caption");
    daemon.kill();
    let mut daemon = world.home.start();
    daemon.event("found_sent", DEADLINE).await;
    daemon.event("answered", DEADLINE).await;
    daemon.stop().await;
    let post = world.telegram.look(edited).expect("it is still there");
    assert_eq!(post.edits, 1);
    recognised(&post.text, &text);
    assert_eq!(world.telegram.look(|ledger| ledger.sent().count()), 0);
}

async fn a_text_that_is_only_kept_is_printed_beside_the_daemon(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("en", "en-us", 4);
    world.home.set("ANSWER_IN", "nowhere");
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let message = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 3));
    daemon.event("kept", DEADLINE).await;
    let print = |arguments: &[&str]| {
        let output = world.home.command().arg("transcripts").args(arguments).output().expect("run it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it is text")
    };
    let printed = print(&[]);
    let (head, said) = printed.split_once('\n').expect("two lines");
    assert!(head.ends_with(&format!(" UTC, chat {FRIEND}, message {message}")), "{head}");
    recognised(said.trim(), &text);
    let json: serde_json::Value = serde_json::from_str(&print(&["--last", "1", "--json"])).expect("JSON");
    assert_eq!(json["job"], format!("{}:{FRIEND}:{message}", fake_telegram::OWNER));
    assert_eq!(json["text"], said.trim());
    assert_eq!(print(&["--last", "0"]), "No transcript is kept.\n");
    daemon.stop().await;
    assert_eq!(world.telegram.look(|ledger| ledger.sent().count()), 0);
}

async fn a_document_is_sent_once_also_after_a_kill(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("ru", "ru", 4);
    for (name, value) in [("DOCUMENT_FROM", "1"), ("DOCUMENT_FORM", "both")] {
        world.home.set(name, value);
    }
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    world.telegram.fault(Fault::on("messages.sendMedia", Action::LoseAnswer).once());
    let message = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 3));
    world.telegram.wait_for_reply(FRIENDS_CHAT, message, DEADLINE).await.expect("a document");
    daemon.kill();
    let mut daemon = world.home.start();
    daemon.event("found_sent", DEADLINE).await;
    daemon.event("answered", DEADLINE).await;
    daemon.stop().await;
    world.telegram.look(|ledger| {
        let replies: Vec<&Post> = ledger.replies(FRIENDS_CHAT, message).collect();
        let files = replies.iter().map(|post| ledger.document(post).expect("a document"));
        let files: Vec<(&str, &str)> =
            files.map(|(name, bytes)| (name, std::str::from_utf8(bytes).expect("it is text"))).collect();
        let [(txt, said), (srt, cues)] = files[..] else { panic!("{files:?}") };
        assert!(txt.ends_with("_UTC.txt") && srt.ends_with("_UTC.srt"), "{txt} {srt}");
        recognised(said.trim(), &text);
        assert!(
            cues.starts_with("1\n00:00:0") && cues.contains(" --> ") && cues.contains(said.trim()),
            "{cues}"
        );
        assert_eq!(ledger.sent().count(), 2);
    });
}
