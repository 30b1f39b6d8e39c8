//! The owner's commands, in the daemon as it ships.

use support::ffmpeg::Studio;

use super::*;

with_either_queue! {
    what_the_owner_asks_for_is_answered_once_also_after_a_kill,
    what_was_said_in_a_chat_outlives_a_kill,
    a_file_in_any_container_is_transcribed_on_demand,
}

async fn what_the_owner_asks_for_is_answered_once_also_after_a_kill(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("en", "en-us", 4);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let left_alone = world.telegram.send(GROUP, Draft::voice(ogg, 3));
    daemon.event("ignored", DEADLINE).await;
    // The answer arrives, and the daemon dies before it knows.
    world.telegram.fault(Fault::on("messages.sendMessage", Action::LoseAnswer).once());
    let command = world.telegram.send(GROUP, Draft::text(".t").own().reply_to(left_alone));
    world.answers(GROUP, left_alone, &text).await;
    daemon.kill();
    let mut daemon = world.home.start();
    daemon.event("found_sent", DEADLINE).await;
    daemon.event("answered", DEADLINE).await;
    // The command itself is gone, whichever of the two has deleted it.
    world.telegram.wait_until(DEADLINE, |ledger| ledger.post(GROUP, command).is_none()).await.expect("gone");
    daemon.stop().await;
    assert_eq!(world.replies(GROUP, left_alone), 1);
}

async fn what_was_said_in_a_chat_outlives_a_kill(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("ru", "ru", 3);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    world.telegram.send(FRIENDS_CHAT, Draft::text(".выкл").own());
    daemon.event("command", DEADLINE).await;
    daemon.kill();
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let off = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg.clone(), 2));
    daemon.event("ignored", DEADLINE).await;
    world.telegram.send(FRIENDS_CHAT, Draft::text(".вкл").own());
    daemon.event("command", DEADLINE).await;
    let on = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 2));
    world.answers(FRIENDS_CHAT, on, &text).await;
    daemon.stop().await;
    assert_eq!(world.replies(FRIENDS_CHAT, off), 0);
    let file = world.home.data().join("chats.json");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).expect("the file").permissions());
    assert_eq!(mode & 0o777, 0o600);
}

/// By itself the daemon opens no FLAC.
async fn a_file_in_any_container_is_transcribed_on_demand(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("en", "en-us", 4);
    let studio = Studio::new();
    let spoken = studio.path("spoken.ogg");
    std::fs::write(&spoken, ogg).expect("write the recording");
    let flac = studio.encode(&spoken, "-c:a flac", "spoken.flac");
    let flac = std::fs::read(flac).expect("read the file");
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let file = world.telegram.send(FRIENDS_CHAT, Draft::music(flac, 3).mime("audio/flac"));
    world.telegram.send(FRIENDS_CHAT, Draft::text(".t").own().reply_to(file));
    world.answers(FRIENDS_CHAT, file, &text).await;
    daemon.stop().await;
    assert_eq!(world.replies(FRIENDS_CHAT, file), 1);
}
