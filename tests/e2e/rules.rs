//! The owner's rules, in the daemon as it ships.

use super::*;

with_either_queue! {
    groups_are_answered_once_the_owner_asks_for_it,
    an_answer_in_saved_messages_is_seen_by_nobody_else,
    ones_own_voice_message_gets_a_caption_also_after_a_kill,
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
