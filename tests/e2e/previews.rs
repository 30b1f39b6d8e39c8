//! The text of a long recording grows in one message, whatever kills the daemon meanwhile.

use super::*;

with_either_queue! {
    a_text_that_grows_survives_kills_and_is_one_answer,
}

async fn a_text_that_grows_survives_kills_and_is_one_answer(backend: Backend) {
    let mut world = World::new(backend).await;
    world.home.set("PREVIEW_AFTER", "0");
    let fixtures = speech::fixtures("en");
    let texts: Vec<_> = fixtures.iter().take(6).map(|fixture| (fixture.text, fixture.voice)).collect();
    let ogg = speech::say_now_and_then(&texts, 100);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let long = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 510));
    daemon.event("preview_sent", DEADLINE).await;
    let preview = world.telegram.wait_for_reply(FRIENDS_CHAT, long, DEADLINE).await.unwrap();
    let first = preview.text.strip_suffix(" …").expect("there is more to come");
    assert!(first.starts_with(texts[0].0), "{first}");
    daemon.kill();

    let mut daemon = world.home.start();
    daemon.event("preview_edited", DEADLINE).await;
    daemon.kill();

    // Telegram wants edits to pause when the answer is to take its place.
    world.telegram.fault(Fault::on("messages.editMessage", Action::flood_wait(1)).after(1).once());
    let mut daemon = world.home.start();
    daemon.event("resumed", DEADLINE).await;
    let said: Vec<_> = texts.iter().map(|(text, _)| *text).collect();
    let is_whole = |post: &fake_telegram::Post| !post.text.ends_with('…');
    let answer = world
        .telegram
        .wait_for(DEADLINE, |ledger| ledger.replies(FRIENDS_CHAT, long).find(|post| is_whole(post)).cloned());
    let answer = answer.await.unwrap();
    daemon.event("answered", DEADLINE).await;
    recognised(&answer.text, &said.join(" "));
    assert_eq!(answer.id, preview.id);
    daemon.stop().await;
    assert_eq!(world.replies(FRIENDS_CHAT, long), 1);
    world.telegram.look(|ledger| assert_eq!(ledger.deleted().count(), 0));
}
