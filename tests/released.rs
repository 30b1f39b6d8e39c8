//! What tests/chaos needs inside the daemon is without effect in the program that is released.

use std::time::Duration;

use fake_telegram::{Chat, Draft, FRIEND, Telegram};
use support::daemon::Home;
use support::speech;

const DEADLINE: Duration = Duration::from_secs(90);

/// `cargo test --workspace` builds the program with the feature `chaos`, for a workspace is built with
/// the features that any member asks for. It must not matter.
#[tokio::test]
async fn the_program_neither_crashes_on_order_nor_makes_texts_up() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let mut home = Home::new(&telegram);
    home.set("CHAOS_CRASH", "before-C1@1");
    home.set("CHAOS_RECOGNISER", "stub");
    let mut daemon = home.start();
    daemon.says("Connection established", DEADLINE).await;
    // Short enough for the stand-in, which would answer it.
    telegram.send(Chat::User(FRIEND), Draft::voice(speech::silence(0.5), 1));
    daemon.says("Nothing was said, no reply", DEADLINE).await;
    daemon.stop().await;
}
