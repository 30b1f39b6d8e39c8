//! The ten commonest flows, in the daemon as it ships. Five of them are elsewhere:
//!
//! 1. somebody's voice message is answered: `e2e::english_and_russian_are_answered_with_their_words`
//! 2. one's own in a group is: `rules::groups_are_answered_once_the_owner_asks_for_it`
//! 3. the text goes to Saved Messages: `rules::an_answer_in_saved_messages_is_seen_by_nobody_else`
//! 4. or into a caption: `rules::ones_own_voice_message_gets_a_caption_also_after_a_kill`
//! 5. a text on demand: `commands::what_the_owner_asks_for_is_answered_once_also_after_a_kill`
//! 6. and by a reaction,
//! 7. a long text is folded,
//! 8. a text is made again,
//! 9. a pause,
//! 10. a recording is deleted, and its answer with it: below.

use super::*;

with_either_queue! {
    a_reaction_brings_the_text_once_also_after_a_kill,
    a_long_text_is_folded,
    a_text_is_made_again_in_its_place,
    a_pause_outlives_a_kill_and_ends,
    a_deleted_recording_takes_its_answer_with_it,
}

async fn a_reaction_brings_the_text_once_also_after_a_kill(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("en", "en-us", 4);
    world.home.set("REACTION", "✍️");
    // Without commands too.
    world.home.set("COMMAND_PREFIX", "off");
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    for chat in [GROUP, SUPERGROUP] {
        let left_alone = world.telegram.send(chat, Draft::voice(ogg.clone(), 3));
        daemon.event("ignored", DEADLINE).await;
        world.telegram.fault(Fault::on("messages.sendMessage", Action::LoseAnswer).once());
        world.telegram.react(chat, left_alone, fake_telegram::OWNER, Some("✍"));
        world.answers(chat, left_alone, &text).await;
        daemon.kill();
        daemon = world.home.start();
        daemon.event("found_sent", DEADLINE).await;
        daemon.event("answered", DEADLINE).await;
        world.telegram.react(chat, left_alone, fake_telegram::OWNER, None);
        world.telegram.react(chat, left_alone, fake_telegram::OWNER, Some("✍"));
        let last = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg.clone(), 3));
        world.answers(FRIENDS_CHAT, last, &text).await;
        assert_eq!(world.replies(chat, left_alone), 1, "{chat:?}");
    }
    daemon.stop().await;
}

async fn a_long_text_is_folded(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("ru", "ru", 4);
    world.home.set("FOLD_FROM", "5");
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let message = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 3));
    let reply = world.answers(FRIENDS_CHAT, message, &text).await;
    let [quote] = &reply.entities()[..] else { panic!("{reply:?}") };
    assert!(quote.collapsed && (quote.offset, quote.length) == (0, reply.text.encode_utf16().count() as i32));
    daemon.stop().await;
}

async fn a_text_is_made_again_in_its_place(backend: Backend) {
    let mut world = World::new(backend).await;
    let (first, ogg) = world.spoken("en", "en-us", 3);
    let (second, other) = world.spoken("en", "en-us", 4);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let message = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 3));
    let reply = world.answers(FRIENDS_CHAT, message, &first).await;
    // The next one of the chat is answered when this one is done with.
    let next = world.telegram.send(FRIENDS_CHAT, Draft::voice(other.clone(), 3));
    world.answers(FRIENDS_CHAT, next, &second).await;
    // What is recognised anew may be another text.
    world.telegram.replace_file(FRIENDS_CHAT, message, other);
    world.telegram.send(FRIENDS_CHAT, Draft::text(".again").own().reply_to(message));
    let edited = |ledger: fake_telegram::Ledger| {
        ledger.post(FRIENDS_CHAT, reply.id).filter(|post| post.edits > 0).cloned()
    };
    let edited = world.telegram.wait_for(DEADLINE, edited).await.expect("it is edited");
    recognised(&edited.text, &second);
    daemon.stop().await;
    assert_eq!(world.replies(FRIENDS_CHAT, message), 1);
}

async fn a_pause_outlives_a_kill_and_ends(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("en", "en-us", 3);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    world.telegram.send(SAVED_MESSAGES, Draft::text("pause 2h").own());
    daemon.event("command", DEADLINE).await;
    daemon.kill();
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let paused = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg.clone(), 3));
    daemon.event("ignored", DEADLINE).await;
    world.telegram.send(SAVED_MESSAGES, Draft::text("resume").own());
    daemon.event("command", DEADLINE).await;
    let resumed = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 3));
    world.answers(FRIENDS_CHAT, resumed, &text).await;
    daemon.stop().await;
    assert_eq!(world.replies(FRIENDS_CHAT, paused), 0);
}

async fn a_deleted_recording_takes_its_answer_with_it(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("en", "en-us", 3);
    let (other, next) = world.spoken("en", "en-us", 4);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let message = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 3).own());
    let reply = world.answers(FRIENDS_CHAT, message, &text).await;
    // The next one of the chat is answered when this one is done with.
    let next = world.telegram.send(FRIENDS_CHAT, Draft::voice(next, 3));
    world.answers(FRIENDS_CHAT, next, &other).await;
    world.telegram.delete(FRIENDS_CHAT, message);
    let gone = |ledger: fake_telegram::Ledger| ledger.post(FRIENDS_CHAT, reply.id).is_none();
    world.telegram.wait_until(DEADLINE, gone).await.expect("the answer goes too");
    daemon.stop().await;
}
