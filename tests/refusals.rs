//! What becomes of the daemon's work when Telegram answers with an error: trouble inside Telegram,
//! bad requests, and an account that may not send.

use std::time::{Duration, Instant, SystemTime};

use fake_telegram::{
    Action, Chat, Draft, FRIEND, Fault, Freeze, Ledger, Revocation, SAVED_MESSAGES, SECOND_FRIEND, Telegram,
};
use stenogram::domain::{Fault as JobFault, Restricted, Restriction};
use stenogram::telegram::ReconnectDelays;
use support::daemon::{Daemon, Home, events};
use support::doctor::Report;

use crate::health::http;
use crate::in_process::account::{DEADLINE, Listener, answer, open, options, session};

const FRIENDS_CHAT: Chat = Chat::User(FRIEND);
const OTHER_CHAT: Chat = Chat::User(SECOND_FRIEND);
const SEND: &str = "messages.sendMessage";
/// For what the real program does on a busy machine, with a recognition or two.
const PATIENCE: Duration = Duration::from_secs(180);

fn voice() -> Draft {
    Draft::voice(vec![7; 1000], 1)
}

/// What the test model recognises.
fn spoken() -> Draft {
    Draft::voice(std::fs::read("tests/fixtures/voices/en-1.ogg").expect("a voice message"), 2)
}

fn timeout() -> Action {
    Action::error(-503, "Timeout")
}

fn freeze(in_config: bool) -> Freeze {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let since = i64::try_from(now).expect("not so late");
    Freeze {
        since,
        until: since + 30 * 86_400 + 3600,
        appeal: "https://t.me/SpamBot?start=1".into(),
        in_config,
    }
}

async fn start() -> (Telegram, tempfile::TempDir, Listener) {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let folder = session(&telegram);
    let listener = Listener::start(open(&folder, options()).await);
    listener.connected().await;
    (telegram, folder, listener)
}

fn sends(telegram: &Telegram) -> usize {
    telegram.look(|ledger| ledger.count(SEND))
}

/// Waits until the account is restricted for this reason, or is not.
async fn restricted(listener: &Listener, why: Option<Restriction>) -> Option<Restricted> {
    let mut state = listener.account.restriction();
    let holds = |now: &Option<Restricted>| now.as_ref().map(|restricted| restricted.why) == why;
    let waited = tokio::time::timeout(DEADLINE, state.wait_for(holds)).await;
    waited.expect("in time").expect("the account lives").clone()
}

/// Negative codes are Telegram's own timeouts.
mod trouble {
    use super::*;

    #[tokio::test]
    async fn it_interrupts_neither_a_download_nor_sending() {
        let (telegram, _folder, listener) = start().await;
        let bytes = vec![7; (512 << 10) * 2 + 1000];
        let job = listener.job(telegram.send(FRIENDS_CHAT, Draft::voice(bytes.clone(), 1).in_dc(4))).await;
        telegram.fault(Fault::on("messages.getMessages", timeout()).once());
        telegram.fault(Fault::on("upload.getFile", timeout()).after(1).once());
        telegram.fault(Fault::on(SEND, timeout()).once());
        assert_eq!(listener.account.fetch(&job).await.expect("fetched"), bytes);
        // Three parts: one was asked for before the login to that datacentre, one is asked for twice.
        assert_eq!(telegram.look(|ledger| ledger.count("upload.getFile")), 5);
        listener.account.deliver(&job, &answer(["one"]), 0).await.expect("sent");
        assert_eq!(sends(&telegram), 2);
        assert_eq!(telegram.look(|ledger| ledger.replies(FRIENDS_CHAT, job.id.message).count()), 1);
    }

    fn moments(ledger: &Ledger, method: &str) -> Vec<Instant> {
        ledger.calls().iter().filter(|call| call.method == method).map(|call| call.at).collect()
    }

    #[tokio::test]
    async fn the_difference_is_asked_for_again_under_growing_pauses_over_the_same_connection() {
        let (telegram, folder, listener) = start().await;
        let seen = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [seen]).await;
        listener.stop().await;
        let missed = telegram.send_silently(FRIENDS_CHAT, voice());
        telegram.fault(Fault::on("updates.getDifference", timeout()).times(3));
        let before = telegram.look(|ledger| ledger.clients().len());
        let listener = Listener::start(open(&folder, options()).await);
        listener.heard(|heard| heard.contains(&missed)).await;
        let asked = telegram.look(|ledger| moments(&ledger, "updates.getDifference"));
        let asked = &asked[asked.len() - 4..];
        for (n, pause) in [1, 2, 4].into_iter().enumerate() {
            let waited = asked[n + 1] - asked[n];
            assert!(waited >= Duration::from_secs(pause), "{waited:?} after failure {}", n + 1);
        }
        assert_eq!(telegram.look(|ledger| ledger.clients().len()), before + 1, "one connection");
    }

    #[tokio::test]
    async fn a_difference_that_is_refused_costs_connections_under_growing_pauses() {
        let (telegram, folder, listener) = start().await;
        let seen = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [seen]).await;
        listener.stop().await;
        telegram.send_silently(FRIENDS_CHAT, voice());
        telegram.fault(Fault::on("updates.getDifference", Action::error(400, "NEVER_SEEN")));
        let before = telegram.look(|ledger| moments(&ledger, "updates.getDifference").len());
        let mut patient = options();
        patient.reconnect =
            ReconnectDelays { first: Duration::from_millis(300), max: Duration::from_secs(60) };
        let _listener = Listener::start(open(&folder, patient).await);
        let enough = |ledger: Ledger| {
            let asked = moments(&ledger, "updates.getDifference");
            (asked.len() >= before + 4).then(|| asked[before..].to_vec())
        };
        let asked = telegram.wait_for(DEADLINE, enough).await.expect("it tries again");
        // 300, 600 and 1,200 ms, with a tenth of jitter.
        for (n, pause) in [270, 540, 1080].into_iter().enumerate() {
            let waited = asked[n + 1] - asked[n];
            assert!(waited >= Duration::from_millis(pause), "{waited:?} after refusal {}", n + 1);
        }
    }

    #[tokio::test]
    async fn it_is_not_taken_for_a_chat_that_cannot_be_read() {
        let (telegram, folder, listener) = start().await;
        let seen = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [seen]).await;
        listener.stop().await;
        let missed = telegram.send_silently(FRIENDS_CHAT, voice());
        telegram.fault(Fault::on("updates.getDifference", Action::TooLong).once());
        for method in ["messages.getHistory", "messages.getDialogs"] {
            telegram.fault(Fault::on(method, timeout()).once());
        }
        let listener = Listener::start(open(&folder, options()).await);
        listener.heard(|heard| heard.contains(&missed)).await;
    }

    #[tokio::test]
    async fn the_daemon_answers_through_it_without_a_failed_attempt() {
        let telegram = Telegram::start().await.expect("start the loopback Telegram");
        let home = Home::new(&telegram);
        for method in ["upload.getFile", "messages.getMessages", SEND] {
            telegram.fault(Fault::on(method, timeout()).once());
        }
        let mut daemon = home.start();
        daemon.event("connected", PATIENCE).await;
        telegram.fault(Fault::on("updates.getDifference", timeout()).times(2));
        let message = telegram.send(FRIENDS_CHAT, spoken());
        telegram.wait_for_reply(FRIENDS_CHAT, message, PATIENCE).await.expect("answered");
        daemon.event("answered", PATIENCE).await;
        let log = daemon.log();
        assert_eq!((daemon.count("retry"), daemon.count("disconnected")), (0, 0), "{log}");
        daemon.stop().await;
    }
}

/// What would be no better tomorrow.
mod bad_requests {
    use super::*;

    const REFUSALS: [(i32, &str); 4] = [
        (400, "MESSAGE_EMPTY"),
        (400, "MESSAGE_TOO_LONG"),
        (404, "NEVER_SEEN"),
        (406, "PAYMENT_UNSUPPORTED"),
    ];

    #[tokio::test]
    async fn they_are_final_after_a_second_try() {
        let (telegram, _folder, listener) = start().await;
        for (code, error) in REFUSALS {
            let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
            telegram.clear_faults();
            telegram.fault(Fault::on(SEND, Action::error(code, error)).once());
            listener.account.deliver(&job, &answer(["one"]), 0).await.expect("sent at the second try");
            telegram.clear_faults();
            telegram.fault(Fault::on(SEND, Action::error(code, error)));
            let before = sends(&telegram);
            let result = listener.account.deliver(&job, &answer(["one", "two"]), 1).await;
            let Err(JobFault::Reject(why)) = result else { panic!("{error}: {result:?}") };
            assert!(why.contains(error), "{why}");
            assert_eq!(sends(&telegram), before + 2);
        }
    }

    #[tokio::test]
    async fn a_chat_that_wants_premium_is_said_and_others_are_answered() {
        let (telegram, _folder, listener) = start().await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
        let other = listener.job(telegram.send(SAVED_MESSAGES, voice().own())).await;
        telegram.fault(Fault::on(SEND, Action::error(403, "PREMIUM_ACCOUNT_REQUIRED")).once());
        let result = listener.account.deliver(&job, &answer(["one"]), 0).await;
        let Err(JobFault::Reject(why)) = result else { panic!("{result:?}") };
        assert!(why.contains("Telegram Premium"), "{why}");
        listener.account.deliver(&other, &answer(["one"]), 0).await.expect("sent");
    }

    #[tokio::test]
    async fn the_daemon_says_so_and_goes_on_with_the_chat() {
        let telegram = Telegram::start().await.expect("start the loopback Telegram");
        let home = Home::new(&telegram);
        telegram.fault(Fault::on(SEND, Action::error(400, "MESSAGE_TOO_LONG")).times(2));
        let mut daemon = home.start();
        daemon.event("connected", PATIENCE).await;
        let refused = telegram.send(FRIENDS_CHAT, spoken());
        let next = telegram.send(FRIENDS_CHAT, spoken());
        telegram.wait_for_reply(FRIENDS_CHAT, next, PATIENCE).await.expect("answered");
        let log = daemon.log();
        let [line] = events(&log, "rejected")[..] else { panic!("{log}") };
        let job = format!("1000:{FRIEND}:{refused}");
        for what in ["WARN", "MESSAGE_TOO_LONG", &job] {
            assert!(line.contains(what), "{what} in {line}");
        }
        assert_eq!(sends(&telegram), 3);
        daemon.stop().await;
    }
}

/// Logged in, and not allowed to send.
mod restrictions {
    use super::*;

    #[tokio::test]
    async fn a_frozen_account_sends_nothing_reads_on_and_is_told_when_it_is_thawed() {
        let (telegram, folder, listener) = start().await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
        let other = listener.job(telegram.send(SAVED_MESSAGES, voice().own())).await;
        let frozen = freeze(true);
        telegram.freeze(frozen.clone());
        let known = restricted(&listener, Some(Restriction::Frozen)).await.expect("it is");
        assert_eq!((known.since, known.deletion), (frozen.since, Some(frozen.until)));
        assert_eq!(known.appeal, frozen.appeal);
        for job in [&job, &other] {
            let result = listener.account.deliver(job, &answer(["one"]), 0).await;
            assert!(matches!(result, Err(JobFault::Held { .. })), "{result:?}");
        }
        assert_eq!(sends(&telegram), 0, "Telegram had said so before anything was sent");
        listener.account.fetch(&job).await.expect("it can read");
        listener.stop().await;

        let listener = Listener::start(open(&folder, options()).await);
        assert!(listener.account.restriction().borrow().is_some(), "known before it is connected");
        listener.connected().await;
        telegram.thaw();
        restricted(&listener, None).await;
        listener.account.deliver(&job, &answer(["one"]), 0).await.expect("sent");
        assert_eq!(sends(&telegram), 1);
    }

    #[tokio::test]
    async fn a_freeze_that_only_refusals_tell_of_is_tried_by_one_send_after_each_pause() {
        let (telegram, _folder, listener) = start().await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
        let other = listener.job(telegram.send(SAVED_MESSAGES, voice().own())).await;
        telegram.freeze(freeze(false));
        let (one, two) = (answer(["one"]), answer(["two"]));
        let send = |job| listener.account.deliver(job, &one, 0);
        let Err(JobFault::Held { after, .. }) = send(&job).await else { panic!("sent") };
        assert!(after <= options().trials.first);
        restricted(&listener, Some(Restriction::Frozen)).await;
        let tried = async {
            while sends(&telegram) < 2 {
                let both = tokio::join!(send(&job), listener.account.deliver(&other, &two, 0));
                assert!(matches!(both, (Err(JobFault::Held { .. }), Err(JobFault::Held { .. }))), "{both:?}");
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, tried).await.expect("it is tried after the pause");
        assert_eq!(sends(&telegram), 2, "one to find out, one to see whether it is over");

        telegram.thaw();
        let sent = async {
            while let Err(JobFault::Held { .. }) = send(&job).await {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, sent).await.expect("it is tried again");
        restricted(&listener, None).await;
        listener.account.deliver(&other, &two, 0).await.expect("nothing holds it up any more");
    }

    #[tokio::test]
    async fn the_owner_of_an_account_that_is_gone_reads_what_can_be_done() {
        for (reason, says) in [
            (Revocation::UserBanned, "has banned the account for breaking its rules (USER_DEACTIVATED_BAN)"),
            (Revocation::UserDeactivated, "the account was deleted (USER_DEACTIVATED)"),
        ] {
            let (telegram, _folder, listener) = start().await;
            telegram.revoke(reason);
            telegram.cut();
            let error = listener.logged_out().await.to_string();
            assert!(error.contains(says) && error.contains("recover@telegram.org"), "{error}");
        }
    }

    /// `stenogram health` says this of the part `telegram`.
    async fn unready(daemon: &Daemon, at: std::net::SocketAddr, what: &str) {
        let answer = http::get_until(at, "/readyz", |answer| answer.body.contains(what)).await;
        assert_eq!(answer.status, 503, "{}\n{}", answer.body, daemon.log());
        assert!(answer.body.contains("\"part\":\"telegram\""), "{}", answer.body);
    }

    // The loopback Telegram answers while the doctor is waited for.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_daemon_says_that_it_is_frozen_everywhere_and_answers_when_it_is_thawed() {
        let telegram = Telegram::start().await.expect("start the loopback Telegram");
        let mut home = Home::new(&telegram);
        let at = http::free_address();
        home.unset("HEALTH_ADDRESS");
        home.set("HEALTH_ADDRESS", &at.to_string());
        let mut daemon = home.start();
        daemon.event("connected", PATIENCE).await;
        // Refusals only, first.
        telegram.freeze(freeze(false));
        let messages = [FRIENDS_CHAT, OTHER_CHAT].map(|chat| (chat, telegram.send(chat, spoken())));
        daemon.event("account_restricted", PATIENCE).await;
        // Of both jobs.
        daemon.events("held", 2, PATIENCE).await;
        let log = daemon.log();
        assert_eq!((daemon.count("account_restricted"), daemon.count("flood_wait")), (1, 0), "{log}");
        // Two, where both were on their way.
        assert!(sends(&telegram) <= 2);
        unready(&daemon, at, "Telegram has frozen the account").await;
        let metrics = http::get(at, "/metrics").await.body;
        for line in [
            "stenogram_account_restricted{reason=\"frozen\"} 1",
            "stenogram_account_restricted{reason=\"spam_limited\"} 0",
            "stenogram_ready{part=\"telegram\"} 0",
        ] {
            assert!(metrics.lines().any(|known| known == line), "{line} in {metrics}");
        }
        let page = http::get(at, "/?lang=ru").await.body;
        assert!(page.contains("Telegram заморозил аккаунт"), "{page}");
        let report = Report::by(home.command());
        report.has("account", "fail", "Telegram has frozen this account", "appeal in the Telegram app");

        // The state and the answers survive.
        daemon.kill();
        let before = sends(&telegram);
        let report = Report::by(home.command());
        report.has("account", "fail", "Telegram has frozen this account", "https://t.me/SpamBot");
        let frozen = freeze(true);
        telegram.freeze(frozen.clone());
        let report = Report::by(home.command());
        report.has("account", "fail", "will be deleted in 30", &frozen.appeal);
        let mut daemon = home.start();
        daemon.event("connected", PATIENCE).await;
        unready(&daemon, at, &frozen.appeal).await;
        assert_eq!(sends(&telegram), before, "nothing is tried after a restart");
        assert!(!daemon.log().contains("ERROR"), "said before: {}", daemon.log());
        telegram.thaw();
        daemon.event("account_unrestricted", PATIENCE).await;
        for (chat, message) in messages {
            telegram.wait_for_reply(chat, message, PATIENCE).await.expect("answered");
        }
        http::get_until(at, "/readyz", |answer| answer.status == 200).await;
        daemon.stop().await;
        for (chat, message) in messages {
            assert_eq!(telegram.look(|ledger| ledger.replies(chat, message).count()), 1);
        }
        assert!(!home.data().join("account.restriction").exists());
    }
}
