//! What goes wrong goes wrong as the rules say.

use std::time::{Duration, Instant};

use fake_telegram::*;
use grammers_client::InvocationError;

use crate::support::*;

const ANNA: Chat = Chat::User(FRIEND);

#[tokio::test]
async fn a_lost_answer_means_the_message_was_sent() {
    let telegram = Telegram::start().await.unwrap();
    let owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    // The client sends the same bytes once more after a lost connection.
    telegram.fault(Fault::on("messages.sendMessage", Action::DropAfter).times(2));
    let error = owner.client.send_message(Owner::friend(), "hello").await.unwrap_err();
    assert!(matches!(error, InvocationError::Io(_)), "{error}");
    telegram.look(|ledger| {
        assert_eq!((ledger.sent().count(), ledger.count("messages.sendMessage")), (1, 2), "{ledger:?}");
        assert_eq!(ledger.suppressed(), 1);
    });
}

#[tokio::test]
async fn a_request_cut_off_before_it_was_executed_left_nothing() {
    let telegram = Telegram::start().await.unwrap();
    let owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    telegram.fault(Fault::on("messages.sendMessage", Action::DropBefore).once());
    owner.client.send_message(Owner::friend(), "hello").await.unwrap();
    telegram.look(|ledger| {
        assert_eq!((ledger.sent().count(), ledger.suppressed()), (1, 0));
        assert_eq!(ledger.count("messages.sendMessage"), 2);
    });
}

#[tokio::test]
async fn errors_come_when_and_as_often_as_told() {
    let telegram = Telegram::start().await.unwrap();
    let owner = Owner::connect(&telegram).await;
    telegram.fault(Fault::on("users.getUsers", Action::error(500, "INTERNAL")).after(1).times(1));
    owner.client.get_me().await.unwrap();
    let error = owner.client.get_me().await.unwrap_err();
    assert!(error.is("INTERNAL"), "{error}");
    owner.client.get_me().await.unwrap();
    telegram.fault(Fault::on("users.getUsers", Action::flood_wait(61)));
    match owner.client.get_me().await {
        Err(InvocationError::Rpc(error)) => {
            assert_eq!((error.name.as_str(), error.value), ("FLOOD_WAIT", Some(61)));
        }
        other => panic!("{:?}", other.map(|me| me.id())),
    }
    telegram.clear_faults();
    owner.client.get_me().await.unwrap();
}

#[tokio::test]
async fn an_answer_can_be_late_or_never_come() {
    let telegram = Telegram::start().await.unwrap();
    let owner = Owner::connect(&telegram).await;
    let delay = Duration::from_millis(200);
    telegram.fault(Fault::on("users.getUsers", Action::delay(delay)).once());
    let begin = Instant::now();
    owner.client.get_me().await.unwrap();
    assert!(begin.elapsed() >= delay);
    for action in [Action::Ignore, Action::LoseAnswer] {
        telegram.fault(Fault::on("messages.sendMessage", action).once());
    }
    // Both requests are out before a later one is answered, and neither ever is.
    let send = || {
        let client = owner.client.clone();
        tokio::spawn(async move { client.send_message(Owner::friend(), "hello").await.map(drop) })
    };
    let requests = [send(), send()];
    let arrived = |ledger: Ledger| ledger.count("messages.sendMessage") == 2;
    telegram.wait_until(DEADLINE, arrived).await.unwrap();
    owner.client.get_me().await.unwrap();
    assert!(requests.iter().all(|request| !request.is_finished()));
    telegram.look(|ledger| assert_eq!(ledger.sent().count(), 1, "the second was executed"));
    requests.into_iter().for_each(|request| request.abort());
}

#[tokio::test]
async fn too_much_was_missed() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    telegram.send(ANNA, Draft::text("one"));
    owner.next_message().await;
    let asked = |ledger: Ledger| ledger.count("updates.getDifference");
    let before = telegram.look(asked);
    telegram.fault(Fault::on("updates.getDifference", Action::TooLong).once());
    telegram.send_silently(ANNA, Draft::text("never told"));
    telegram.cut();
    let mut next = Box::pin(owner.next_message());
    tokio::select! {
        result = telegram.wait_until(DEADLINE, |ledger| asked(ledger) > before) => result.unwrap(),
        _ = &mut next => panic!("the message was in no answer"),
    }
    // The client goes on from the state it was given.
    telegram.send_silently(ANNA, Draft::text("two"));
    telegram.cut();
    assert_eq!(next.await.text(), "two");
}

#[tokio::test]
async fn too_much_was_missed_in_a_supergroup() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    telegram.send(SUPERGROUP, Draft::text("one"));
    owner.next_message().await;
    telegram.fault(Fault::on("updates.getChannelDifference", Action::TooLong).once());
    telegram.send_silently(SUPERGROUP, Draft::text("never told"));
    // The gap before this one makes the client ask; it then leaves both out.
    telegram.send(SUPERGROUP, Draft::text("nor this"));
    let mut next = Box::pin(owner.next_message());
    let asked = |ledger: Ledger| ledger.count("updates.getChannelDifference") > 0;
    tokio::select! {
        result = telegram.wait_until(DEADLINE, asked) => result.unwrap(),
        _ = &mut next => panic!("the message was in no answer"),
    }
    telegram.send(SUPERGROUP, Draft::text("two"));
    assert_eq!(next.await.text(), "two");
}

#[tokio::test]
async fn waiting_has_an_end_that_tells_what_happened() {
    let telegram = Telegram::start().await.unwrap();
    let id = telegram.send(ANNA, Draft::text("hello?"));
    let error = telegram.wait_for_reply(ANNA, id, Duration::ZERO).await.unwrap_err();
    assert!(error.to_string().contains("hello?"), "{error}");
}
