//! What grammers leaves to us: nothing is lost, nothing hangs, nothing loops.
//!
//! Each item of the list in `src/telegram/mod.rs` has its test here, against the loopback Telegram.

mod chats;
mod downloads;

use std::time::Duration;

use fake_telegram::{
    Action, Chat, Dedupe, Draft, FRIEND, Fault, Packing, PeersInUpdates, Revocation, SAVED_MESSAGES,
    SUPERGROUP, SentAnswer, Settings, Telegram, access_hash,
};
use stenogram::domain::{Credentials, Fault as JobFault, Restriction, Secret, random_id};
use stenogram::telegram::{Account, AccountOptions, LoginError, Prompt};

use crate::in_process::account::{API_ID, DEADLINE, Listener, Wants, answer, lock, open, options, session};

const FRIENDS_CHAT: Chat = Chat::User(FRIEND);

fn voice() -> Draft {
    Draft::voice(vec![7; 1000], 1)
}

/// Looks at the server's state more often than a test takes.
fn watchful() -> AccountOptions {
    AccountOptions { ping_every: Duration::from_millis(100), ..options() }
}

async fn start() -> (Telegram, tempfile::TempDir, Listener) {
    start_with(options()).await
}

async fn start_with(options: AccountOptions) -> (Telegram, tempfile::TempDir, Listener) {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let folder = session(&telegram);
    let listener = Listener::start(open(&folder, options).await);
    listener.connected().await;
    (telegram, folder, listener)
}

/// Nothing is lost.
mod losing {
    use super::*;

    #[tokio::test]
    async fn messages_of_an_outage_are_heard_after_it() {
        let (telegram, _folder, listener) = start().await;
        let first = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [first]).await;
        telegram.go_down().await;
        let missed = telegram.send_silently(FRIENDS_CHAT, voice());
        telegram.come_back().await.unwrap();
        listener.heard(|heard| heard == [first, missed]).await;
    }

    #[tokio::test]
    async fn messages_sent_while_the_daemon_is_down_are_heard_after_its_start() {
        let (telegram, folder, listener) = start().await;
        let first = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [first]).await;
        listener.stop().await;
        telegram.configure(|settings| settings.slice = 3);
        let missed: Vec<i32> = (0..10).map(|_| telegram.send_silently(FRIENDS_CHAT, voice())).collect();
        let listener = Listener::start(open(&folder, options()).await);
        assert_eq!(listener.heard(|heard| heard.len() >= 10).await, missed);
    }

    #[tokio::test]
    async fn a_burst_larger_than_grammers_channel_is_heard_whole() {
        let (telegram, _folder, listener) = start().await;
        listener.open.send_replace(false);
        let sent: Vec<i32> = (0..400).map(|_| telegram.send(FRIENDS_CHAT, voice())).collect();
        listener.open.send_replace(true);
        assert_eq!(listener.heard(|heard| heard.len() >= 400).await, sent);
        assert_eq!(telegram.look(|ledger| ledger.count("updates.getDifference")), 0);
    }

    #[tokio::test]
    async fn a_batch_not_taken_comes_again_after_a_restart() {
        let (telegram, folder, listener) = start().await;
        let first = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [first]).await;
        listener.open.send_replace(false);
        let second = telegram.send(FRIENDS_CHAT, voice());
        // The text behind it shows that the second was seen, and not taken.
        telegram.send(FRIENDS_CHAT, Draft::text("x"));
        listener.stop().await;
        let listener = Listener::start(open(&folder, options()).await);
        assert_eq!(listener.heard(|heard| !heard.is_empty()).await, [second]);
    }

    #[tokio::test]
    async fn lost_and_reordered_updates_are_made_up_for() {
        let (telegram, _folder, listener) = start().await;
        let lost = telegram.send_silently(FRIENDS_CHAT, voice());
        let (late, early) =
            (telegram.send_silently(FRIENDS_CHAT, voice()), telegram.send_silently(FRIENDS_CHAT, voice()));
        telegram.push(&[(FRIENDS_CHAT, early), (FRIENDS_CHAT, late)], Packing::Separate);
        let mut heard = listener.heard(|heard| heard.len() >= 3).await;
        heard.sort_unstable();
        assert_eq!(heard, [lost, late, early]);
    }

    #[tokio::test]
    async fn a_push_lost_before_a_silence_is_made_up_for() {
        let (telegram, _folder, listener) = start_with(watchful()).await;
        let pushed = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [pushed]).await;
        let lost = telegram.send_silently(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [pushed, lost]).await;
        telegram.look(|ledger| assert_eq!(ledger.clients().len(), 1, "one connection"));
    }

    #[tokio::test]
    async fn a_state_that_no_difference_leads_to_is_asked_about_once() {
        let (telegram, _folder, listener) = start_with(watchful()).await;
        telegram.fault(Fault::on("updates.getDifference", Action::Hide));
        telegram.send_silently(FRIENDS_CHAT, voice());
        let differences = |telegram: &Telegram| telegram.look(|ledger| ledger.count("updates.getDifference"));
        telegram.wait_until(DEADLINE, |ledger| ledger.count("updates.getDifference") >= 1).await.unwrap();
        let states = telegram.look(|ledger| ledger.count("updates.getState"));
        telegram
            .wait_until(DEADLINE, |ledger| ledger.count("updates.getState") >= states + 10)
            .await
            .unwrap();
        assert_eq!(differences(&telegram), 1);
        telegram.clear_faults();
        let next = telegram.send_silently(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard.contains(&next)).await;
    }

    #[tokio::test]
    async fn the_first_message_of_a_new_account_is_heard_after_a_restart() {
        let settings = Settings { first_pts: 0, ..Settings::default() };
        let telegram = Telegram::builder().settings(settings).start().await.unwrap();
        let folder = session(&telegram);
        let listener = Listener::start(open(&folder, options()).await);
        // The chats are walked once the position is stored.
        telegram.wait_until(DEADLINE, |ledger| ledger.count("messages.getDialogs") >= 1).await.unwrap();
        listener.stop().await;
        let missed = telegram.send_silently(FRIENDS_CHAT, voice());
        let listener = Listener::start(open(&folder, options()).await);
        listener.heard(|heard| heard == [missed]).await;
    }

    /// A start that ended before the chats were listed leaves that to the next one.
    #[tokio::test]
    async fn what_was_missed_comes_before_what_is_pushed_while_the_chats_are_listed() {
        let telegram = Telegram::start().await.unwrap();
        let folder = session(&telegram);
        telegram.fault(Fault::on("messages.getDialogs", Action::LoseAnswer).once());
        let listener = Listener::start(open(&folder, options()).await);
        telegram.wait_until(DEADLINE, |ledger| ledger.count("messages.getDialogs") >= 1).await.unwrap();
        listener.stop().await;

        let missed = telegram.send_silently(FRIENDS_CHAT, voice());
        let late = Action::delay(Duration::from_millis(500));
        telegram.fault(Fault::on("messages.getDialogs", late).once());
        let listener = Listener::start(open(&folder, options()).await);
        telegram.wait_until(DEADLINE, |ledger| ledger.count("messages.getDialogs") >= 2).await.unwrap();
        let pushed = telegram.send(FRIENDS_CHAT, voice());
        assert_eq!(listener.heard(|heard| heard.len() >= 2).await, [missed, pushed]);
    }

    #[tokio::test]
    async fn a_session_that_the_server_forgot_loses_nothing() {
        let (telegram, _folder, listener) = start_with(watchful()).await;
        let first = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [first]).await;
        telegram.forget_sessions();
        let unheard = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [first, unheard]).await;
        let pushed = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [first, unheard, pushed]).await;
        telegram.look(|ledger| assert_eq!(ledger.clients().len(), 1, "one connection"));
    }

    #[tokio::test]
    async fn salts_that_expire_cost_nothing() {
        let settings = Settings { salt_lifetime: 1, ..Settings::default() };
        let telegram = Telegram::builder().settings(settings).start().await.unwrap();
        let folder = session(&telegram);
        let listener = Listener::start(open(&folder, watchful()).await);
        listener.connected().await;
        // The first is that of a client which knows no salt yet.
        for times in 2..=4 {
            telegram.wait_until(DEADLINE, |ledger| ledger.count("bad salt") >= times).await.unwrap();
            let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
            listener.account.deliver(&job, &answer(["one"]), 0).await.unwrap();
            telegram.look(|ledger| assert_eq!(ledger.replies(FRIENDS_CHAT, job.id.message).count(), 1));
        }
        telegram.look(|ledger| assert_eq!(ledger.clients().len(), 1, "one connection"));
    }

    #[tokio::test]
    async fn updates_of_every_form_are_heard() {
        use Packing::{Combined, Numbered, Short, ShortMessage, TooLong};
        for packing in [Numbered, Combined, Short, ShortMessage, TooLong, Numbered, Combined] {
            let (telegram, _folder, listener) = start().await;
            for round in 1..=2 {
                let before = listener.heard(|_| true).await;
                let sent = telegram.send_all((0..5).map(|_| (FRIENDS_CHAT, voice())), packing);
                let heard = listener.heard(|heard| heard.len() >= round * 5).await;
                assert_eq!(heard, [before, sent].concat(), "{packing:?}");
            }
            let differences = telegram.look(|ledger| ledger.count("updates.getDifference"));
            assert_eq!(differences > 0, packing == TooLong, "{packing:?}: {differences}");
        }
    }

    #[tokio::test]
    async fn a_text_in_short_form_counts() {
        let (telegram, _folder, listener) = start().await;
        let text = || (FRIENDS_CHAT, Draft::text("x"));
        telegram.send_all([text(), (FRIENDS_CHAT, Draft::text("y").own()), text()], Packing::ShortMessage);
        let after = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [after]).await;
        assert_eq!(telegram.look(|ledger| ledger.count("updates.getDifference")), 0);
    }

    #[tokio::test]
    async fn a_number_left_out_of_the_sequence_is_a_gap() {
        let (telegram, _folder, listener) = start().await;
        let first = telegram.send_all([(FRIENDS_CHAT, voice())], Packing::Numbered)[0];
        listener.heard(|heard| heard == [first]).await;
        telegram.lose_pushes(true);
        let lost = telegram.send_all([(FRIENDS_CHAT, voice())], Packing::Numbered)[0];
        telegram.lose_pushes(false);
        let second = telegram.send_all([(FRIENDS_CHAT, voice())], Packing::Numbered)[0];
        listener.heard(|heard| heard == [first, lost, second]).await;
        assert!(telegram.look(|ledger| ledger.count("updates.getDifference")) > 0);
    }

    #[tokio::test]
    async fn several_updates_in_one_container_are_all_heard() {
        let (telegram, _folder, listener) = start().await;
        for packing in [Packing::OneContainer, Packing::OneUpdates] {
            let before = listener.recordings().len();
            telegram.send_all((0..5).map(|_| (FRIENDS_CHAT, voice())), packing);
            listener.heard(|heard| heard.len() == before + 5).await;
        }
    }

    #[tokio::test]
    async fn supergroups_recover_what_was_missed() {
        let (telegram, _folder, listener) = start().await;
        let first = telegram.send(SUPERGROUP, voice());
        listener.heard(|heard| heard == [first]).await;
        telegram.go_down().await;
        let missed = telegram.send_silently(SUPERGROUP, voice());
        telegram.come_back().await.unwrap();
        listener.heard(|heard| heard == [first, missed]).await;
    }

    #[tokio::test]
    async fn the_chats_access_hash_is_found_out_when_updates_do_not_tell_it() {
        for peers in [PeersInUpdates::Min, PeersInUpdates::None] {
            let (telegram, _folder, listener) = start().await;
            let stranger = telegram.add_user(fake_telegram::User { id: 2500, name: "S".into(), bot: false });
            telegram.configure(|settings| settings.peers_in_updates = peers);
            let message = telegram.send(stranger, voice());
            let job = listener.job(message).await;
            assert_eq!(job.recording.chat.access_hash, access_hash(2500), "{peers:?}");
        }
    }

    #[tokio::test]
    async fn a_404_of_the_server_does_not_cost_the_key() {
        let (telegram, folder, listener) = start().await;
        let path = folder.path().join("account.session");
        let before = std::fs::read(&path).unwrap();
        telegram.forget_key(2);
        telegram.cut();
        telegram.wait_until(DEADLINE, |ledger| ledger.count("unknown key") >= 2).await.unwrap();
        telegram.remember_keys();
        let message = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [message]).await;
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

/// What Telegram does not list after a long outage.
mod catching_up {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    fn too_long() -> Fault {
        Fault::on("updates.getDifference", Action::TooLong).once()
    }

    /// An account that has heard one message and is away now.
    async fn away() -> (Telegram, tempfile::TempDir, i32) {
        let (telegram, folder, listener) = start().await;
        let seen = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [seen]).await;
        // What comes after it shows that its position was stored.
        telegram.send(FRIENDS_CHAT, Draft::text("x"));
        let last = telegram.send(SAVED_MESSAGES, voice().own());
        listener.heard(|heard| heard == [seen, last]).await;
        listener.stop().await;
        (telegram, folder, last)
    }

    async fn back(folder: &tempfile::TempDir) -> Listener {
        Listener::start(open(folder, options()).await)
    }

    fn stranger(telegram: &Telegram, id: i64) -> Chat {
        telegram.add_user(fake_telegram::User { id, name: format!("Stranger {id}"), bot: false })
    }

    fn days_ago(days: u64) -> i32 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        i32::try_from(now - days * 86_400).unwrap()
    }

    #[tokio::test]
    async fn many_chats_and_long_ones_are_read_oldest_first() {
        let (telegram, folder, _) = away().await;
        let mut missed = Vec::new();
        // More than a page of chats, and in one of them more than two pages of messages.
        for id in 4000..4130 {
            missed.push(telegram.send_silently(stranger(&telegram, id), voice()));
        }
        for n in 0..250 {
            if n % 10 == 0 {
                let own = n % 20 == 0;
                missed.push(telegram.send_silently(FRIENDS_CHAT, if own { voice().own() } else { voice() }));
            } else {
                telegram.send_silently(FRIENDS_CHAT, Draft::text("x"));
            }
        }
        missed.push(telegram.send_silently(SAVED_MESSAGES, voice().own()));
        telegram.send_silently(fake_telegram::GROUP, voice());
        telegram.send_silently(Chat::User(fake_telegram::BOT), voice());
        telegram.fault(too_long());
        let listener = back(&folder).await;
        let mut heard = listener.heard(|heard| heard.len() >= missed.len()).await;
        let of_friend: Vec<i32> = listener
            .recordings()
            .iter()
            .filter(|incoming| incoming.recording.chat.id == FRIEND)
            .map(|incoming| incoming.id.message)
            .collect();
        assert_eq!(of_friend.len(), 25);
        assert!(of_friend.is_sorted());
        assert!(
            listener.recordings().iter().all(
                |incoming| incoming.recording.chat.access_hash == access_hash(incoming.recording.chat.id)
            )
        );
        heard.sort_unstable();
        assert_eq!(heard, missed);
        assert!(telegram.look(|ledger| ledger.count("messages.getDialogs")) >= 3);

        // And the stream goes on, now and after the next start.
        let next = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard.last() == Some(&next)).await;
        listener.stop().await;
        let later = telegram.send_silently(FRIENDS_CHAT, voice());
        let listener = back(&folder).await;
        assert_eq!(listener.heard(|heard| !heard.is_empty()).await, [later]);
    }

    #[tokio::test]
    async fn a_crash_in_the_middle_repeats_it() {
        let (telegram, folder, _) = away().await;
        let mut missed: Vec<i32> =
            (4000..4010).map(|id| telegram.send_silently(stranger(&telegram, id), voice())).collect();
        telegram.fault(too_long().times(2));
        let listener = back(&folder).await;
        listener.open.send_replace(false);
        telegram.wait_until(DEADLINE, |ledger| ledger.count("messages.getHistory") >= 1).await.unwrap();
        listener.stop().await;
        let listener = back(&folder).await;
        let mut heard = listener.heard(|heard| heard.len() >= 10).await;
        heard.sort_unstable();
        missed.sort_unstable();
        assert_eq!(heard, missed);
    }

    #[tokio::test]
    async fn a_lost_connection_in_the_middle_repeats_it() {
        let (telegram, folder, _) = away().await;
        let missed: Vec<i32> =
            (4000..4010).map(|id| telegram.send_silently(stranger(&telegram, id), voice())).collect();
        telegram.fault(too_long().times(2));
        telegram.fault(Fault::on("messages.getHistory", Action::DropBefore).after(5).once());
        let listener = back(&folder).await;
        listener.heard(|heard| missed.iter().all(|message| heard.contains(message))).await;
    }

    #[tokio::test]
    async fn flood_waits_and_server_errors_are_waited_out() {
        let (telegram, folder, _) = away().await;
        let missed: Vec<i32> =
            (4000..4005).map(|id| telegram.send_silently(stranger(&telegram, id), voice())).collect();
        telegram.fault(too_long());
        for method in ["messages.getDialogs", "messages.getHistory", "updates.getDifference"] {
            telegram.fault(Fault::on(method, Action::flood_wait(1)).after(1).once());
        }
        telegram.fault(Fault::on("messages.getHistory", Action::error(500, "INTERNAL")).after(2).once());
        let before = telegram.look(|ledger| ledger.clients().len());
        let listener = back(&folder).await;
        listener.heard(|heard| missed.iter().all(|message| heard.contains(message))).await;
        assert_eq!(telegram.look(|ledger| ledger.clients().len()), before + 1, "one connection");
    }

    #[tokio::test]
    async fn what_is_too_old_is_passed_over() {
        let (telegram, folder, _) = away().await;
        let old = stranger(&telegram, 4000);
        telegram.send_silently(old, voice().dated(days_ago(3)));
        telegram.send_silently(FRIENDS_CHAT, voice().dated(days_ago(2)));
        let young = telegram.send_silently(FRIENDS_CHAT, voice());
        telegram.fault(too_long());
        let listener = back(&folder).await;
        assert_eq!(listener.heard(|heard| !heard.is_empty()).await, [young]);
        let next = telegram.send(FRIENDS_CHAT, voice());
        assert_eq!(listener.heard(|heard| heard.contains(&next)).await, [young, next]);
    }

    #[tokio::test]
    async fn what_was_said_before_the_first_start_is_left_alone() {
        let telegram = Telegram::start().await.unwrap();
        let folder = session(&telegram);
        telegram.send_silently(FRIENDS_CHAT, voice());
        let listener = back(&folder).await;
        listener.connected().await;
        telegram.wait_until(DEADLINE, |ledger| ledger.count("messages.getDialogs") >= 1).await.unwrap();
        let first = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [first]).await;
        listener.stop().await;
        telegram.fault(too_long());
        let missed = telegram.send_silently(FRIENDS_CHAT, voice());
        let listener = back(&folder).await;
        // The first may come again: whether its position was stored before the stop is a race.
        let heard = listener.heard(|heard| heard.contains(&missed)).await;
        assert!(heard == [missed] || heard == [first, missed], "{heard:?}");
    }

    #[tokio::test]
    async fn a_position_that_is_not_accepted_any_more_is_replaced() {
        let (telegram, folder, _) = away().await;
        let error = Action::error(400, "PERSISTENT_TIMESTAMP_INVALID");
        telegram.fault(Fault::on("updates.getDifference", error).once());
        let missed = telegram.send_silently(FRIENDS_CHAT, voice());
        let listener = back(&folder).await;
        assert_eq!(listener.heard(|heard| !heard.is_empty()).await, [missed]);
        let next = telegram.send(FRIENDS_CHAT, voice());
        assert_eq!(listener.heard(|heard| heard.len() >= 2).await, [missed, next]);
    }

    #[tokio::test]
    async fn a_channels_history_is_read_where_it_is_wanted() {
        let telegram = Telegram::start().await.unwrap();
        let folder = session(&telegram);
        let wants = Wants { groups: true, ..Wants::default() };
        let listener = Listener::start_wanting(open(&folder, options()).await, wants);
        listener.connected().await;
        let seen = telegram.send(SUPERGROUP, voice());
        let seen_too = telegram.send(SUPERGROUP, voice());
        listener.heard(|heard| heard == [seen, seen_too]).await;
        // Something after it, so that the channel's last message is stored.
        let other = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [seen, seen_too, other]).await;
        listener.stop().await;
        let missed: Vec<i32> = (0..150).map(|_| telegram.send_silently(SUPERGROUP, voice())).collect();
        telegram.fault(Fault::on("updates.getChannelDifference", Action::TooLong).once());
        let listener = Listener::start_wanting(open(&folder, options()).await, wants);
        let heard = listener.heard(|heard| heard.contains(&missed[149])).await;
        let of_channel: Vec<i32> = heard.into_iter().filter(|message| *message > seen_too).collect();
        assert_eq!(of_channel, missed);
    }

    #[tokio::test]
    async fn what_a_channel_missed_while_connected_is_made_up_for() {
        let (telegram, _folder, listener) = start().await;
        let first = telegram.send(SUPERGROUP, voice());
        listener.heard(|heard| heard == [first]).await;
        let missed = telegram.send_silently(SUPERGROUP, voice());
        // A gap in the account's own sequence; its difference tells that something was in the channel.
        telegram.send_silently(FRIENDS_CHAT, Draft::text("x"));
        telegram.send(FRIENDS_CHAT, Draft::text("y"));
        listener.heard(|heard| heard == [first, missed]).await;
    }

    #[tokio::test]
    async fn a_flood_wait_does_not_cost_a_messages_access_hash() {
        let (telegram, _folder, listener) = start().await;
        let chat = stranger(&telegram, 2500);
        telegram.configure(|settings| settings.peers_in_updates = PeersInUpdates::None);
        telegram.fault(Fault::on("messages.getMessages", Action::flood_wait(1)).once());
        let job = listener.job(telegram.send(chat, voice())).await;
        assert_eq!(job.recording.chat.access_hash, access_hash(2500));
    }

    #[tokio::test]
    async fn an_access_hash_not_known_then_is_found_later() {
        let (telegram, folder, _) = away().await;
        let listener = back(&folder).await;
        // From here on it is told by pushes only.
        let message = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard.contains(&message)).await;
        let chat = stranger(&telegram, 2500);
        telegram.configure(|settings| settings.peers_in_updates = PeersInUpdates::None);
        telegram.fault(Fault::on("messages.getMessages", Action::error(400, "MSG_ID_INVALID")).once());
        let job = listener.job(telegram.send(chat, voice())).await;
        assert_eq!(job.recording.chat.access_hash, 0);
        // A recording known from elsewhere is not fetched before.
        assert_eq!(listener.account.sent(&job, &answer(["one"])).await.unwrap(), [None]);
        listener.account.fetch(&job).await.unwrap();
        listener.account.deliver(&job, &answer(["one"]), 0).await.unwrap();
        telegram.look(|ledger| assert_eq!(ledger.replies(chat, job.id.message).count(), 1));
    }
}

/// Nothing hangs.
mod hanging {
    use super::*;

    #[tokio::test]
    async fn a_server_that_accepts_and_stays_mute_is_given_up() {
        let telegram = Telegram::start().await.unwrap();
        let folder = session(&telegram);
        telegram.mute();
        let listener = Listener::start(open(&folder, options()).await);
        // The second connection shows that the first was given up.
        telegram.wait_until(DEADLINE, |ledger| ledger.connections() >= 1).await.unwrap();
        telegram.wait_until(DEADLINE, |ledger| ledger.connections() >= 2).await.unwrap();
        telegram.cut();
        telegram.unmute();
        listener.connected().await;
    }

    #[tokio::test]
    async fn a_connection_that_died_silently_is_noticed() {
        let (telegram, _folder, listener) = start().await;
        let before = telegram.look(|ledger| ledger.clients().len());
        telegram.mute();
        tokio::time::timeout(DEADLINE, listener.account.disconnected()).await.expect("noticed");
        telegram.cut();
        telegram.unmute();
        let message = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [message]).await;
        assert!(telegram.look(|ledger| ledger.clients().len()) > before);
    }

    #[tokio::test]
    async fn whoever_waits_for_an_answer_learns_that_the_connection_is_lost() {
        let patient = AccountOptions { call_timeout: DEADLINE * 2, ..options() };
        let (telegram, _folder, listener) = start_with(patient).await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
        telegram.mute();
        let delivered =
            tokio::time::timeout(DEADLINE, listener.account.deliver(&job, &answer(["one"]), 0)).await;
        assert!(matches!(delivered.expect("in time"), Err(JobFault::Unavailable(_))));
        telegram.cut();
        telegram.unmute();
    }

    #[tokio::test]
    async fn a_flood_wait_while_connecting_is_waited_out() {
        let telegram = Telegram::start().await.unwrap();
        telegram.fault(Fault::on("updates.getState", Action::flood_wait(1)).once());
        let folder = session(&telegram);
        let start = std::time::Instant::now();
        let listener = Listener::start(open(&folder, options()).await);
        listener.connected().await;
        assert!(start.elapsed() >= Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_panic_of_grammers_connection_is_noticed() {
        let (telegram, _folder, listener) = start().await;
        let before = telegram.look(|ledger| ledger.clients().len());
        telegram.confuse();
        telegram.wait_until(DEADLINE, |ledger| ledger.clients().len() > before).await.unwrap();
        let message = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [message]).await;
    }

    #[tokio::test]
    async fn a_first_request_that_fails_is_tried_again() {
        let telegram = Telegram::start().await.unwrap();
        telegram.fault(Fault::on("updates.getState", Action::error(500, "INTERNAL")).times(2));
        let folder = session(&telegram);
        let listener = Listener::start(open(&folder, options()).await);
        listener.connected().await;
        let message = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [message]).await;
    }

    #[tokio::test]
    async fn a_quiet_stream_is_asked_after() {
        let (telegram, _folder, _listener) = start_with(watchful()).await;
        let before = telegram.look(|ledger| ledger.count("updates.getState"));
        telegram.wait_until(DEADLINE, |ledger| ledger.count("updates.getState") >= before + 3).await.unwrap();
    }

    #[tokio::test]
    async fn while_telegram_forbids_to_ask_for_the_state_it_is_pinged() {
        let (telegram, _folder, _listener) = start_with(watchful()).await;
        telegram.fault(Fault::on("updates.getState", Action::flood_wait(600)));
        telegram.wait_until(DEADLINE, |ledger| ledger.count("ping") >= 3).await.unwrap();
        // The one that connected, and at most a few before the rule was there.
        let asked = telegram.look(|ledger| ledger.count("updates.getState"));
        telegram.wait_until(DEADLINE, |ledger| ledger.count("ping") >= 6).await.unwrap();
        assert_eq!(telegram.look(|ledger| ledger.count("updates.getState")), asked);
    }

    #[tokio::test]
    async fn a_datacentre_of_files_that_hangs_holds_up_nothing_else() {
        let (telegram, _folder, listener) = start().await;
        telegram.fault(Fault::on("*", Action::Ignore).in_dc(4));
        let there = listener.job(telegram.send(FRIENDS_CHAT, voice().in_dc(4))).await;
        let here = listener.job(telegram.send(FRIENDS_CHAT, voice().in_dc(2))).await;
        let account = listener.account.clone();
        let stuck = tokio::spawn(async move { account.fetch(&there).await });
        assert_eq!(listener.account.fetch(&here).await.unwrap(), vec![7; 1000]);
        // Whose fault it is the worker judges by the connection, which is well.
        assert!(matches!(stuck.await.unwrap(), Err(JobFault::Unavailable(_))));
        assert!(listener.account.is_connected());
    }

    #[tokio::test]
    async fn an_answer_that_never_comes_ends_in_time() {
        let (telegram, _folder, listener) = start().await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
        telegram.fault(Fault::on("messages.sendMessage", Action::LoseAnswer).once());
        let result = listener.account.deliver(&job, &answer(["one"]), 0).await;
        assert!(matches!(result, Err(JobFault::Unavailable(_))), "{result:?}");
        // It was carried out all the same; sending it again changes nothing.
        listener.connected().await;
        listener.account.deliver(&job, &answer(["one"]), 0).await.unwrap();
        telegram.look(|ledger| assert_eq!(ledger.replies(FRIENDS_CHAT, job.id.message).count(), 1));
    }
}

/// A clock that Telegram does not accept.
mod clocks {
    use super::*;
    use std::time::Instant;

    /// A Telegram whose clock is ahead of ours by so many seconds, over a line as it is.
    async fn telegram(clock_ahead: i64) -> Telegram {
        let settings = Settings { clock_ahead, round_trip: Duration::from_millis(50), ..Settings::default() };
        Telegram::builder().settings(settings).start().await.expect("start the loopback Telegram")
    }

    fn packets(telegram: &Telegram) -> usize {
        telegram.look(|ledger| ledger.packets().len())
    }

    async fn is_refused(listener: &Listener) -> u64 {
        let mut clock = listener.account.clock();
        let refused = tokio::time::timeout(DEADLINE, clock.wait_for(Option::is_some)).await;
        refused.expect("in time").expect("the account lives").expect("some").seconds
    }

    #[tokio::test]
    async fn one_that_is_ahead_is_named_and_nothing_but_the_time_is_asked_for() {
        for ahead in [60, 600, 2 * 86_400] {
            let telegram = telegram(-ahead).await;
            let folder = session(&telegram);
            let listener = Listener::start(open(&folder, options()).await);
            assert!(is_refused(&listener).await.abs_diff(ahead.unsigned_abs()) <= 1);
            telegram.wait_until(DEADLINE, |ledger| ledger.count("req_pq_multi") >= 3).await.unwrap();
            telegram.look(|ledger| assert_eq!(ledger.packets().len(), ledger.count("req_pq_multi")));
            assert!(!listener.account.is_connected());

            telegram.configure(|settings| settings.clock_ahead = 0);
            listener.connected().await;
            let message = telegram.send(FRIENDS_CHAT, voice());
            listener.heard(|heard| heard == [message]).await;
        }
    }

    #[tokio::test]
    async fn one_that_is_behind_does_no_harm() {
        for behind in [60, 600, 2 * 86_400] {
            let telegram = telegram(behind).await;
            let folder = session(&telegram);
            let listener = Listener::start(open(&folder, options()).await);
            listener.connected().await;
            let message = telegram.send(FRIENDS_CHAT, voice());
            let job = listener.job(message).await;
            listener.account.deliver(&job, &answer(["one"]), 0).await.unwrap();
            // The time, the first salt, the right time, the salts, the connection, the state and the first
            // updates: each once or twice.
            assert!(packets(&telegram) < 30, "{}", packets(&telegram));
        }
    }

    #[tokio::test]
    async fn one_that_comes_to_be_ahead_ends_the_connection_and_is_named() {
        let telegram = telegram(0).await;
        let folder = session(&telegram);
        let listener = Listener::start(open(&folder, options()).await);
        listener.connected().await;
        let before = packets(&telegram);
        let start = Instant::now();
        telegram.configure(|settings| settings.clock_ahead = -600);
        assert!(is_refused(&listener).await.abs_diff(600) <= 1);
        tokio::time::timeout(DEADLINE, listener.account.disconnected()).await.expect("disconnected");
        // A refused request is repeated with each round trip, for a second. Then only the time is asked for.
        let most = 40 + 5 * start.elapsed().as_secs() as usize;
        assert!(packets(&telegram) - before <= most, "{} packets", packets(&telegram) - before);
        telegram.configure(|settings| settings.clock_ahead = 0);
        listener.connected().await;
    }

    #[tokio::test]
    async fn one_that_comes_to_be_ahead_is_noticed_with_any_request() {
        let telegram = telegram(0).await;
        let folder = session(&telegram);
        let patient =
            AccountOptions { ping_every: Duration::from_secs(3600), call_timeout: DEADLINE, ..options() };
        let listener = Listener::start(open(&folder, patient).await);
        listener.connected().await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
        telegram.configure(|settings| settings.clock_ahead = -60);
        let delivered = listener.account.deliver(&job, &answer(["one"]), 0).await;
        assert!(matches!(delivered, Err(JobFault::Unavailable(_))), "{delivered:?}");
        is_refused(&listener).await;
    }

    #[tokio::test]
    async fn one_that_comes_to_be_behind_does_no_harm() {
        let telegram = telegram(0).await;
        let folder = session(&telegram);
        let listener = Listener::start(open(&folder, options()).await);
        listener.connected().await;
        let states = telegram.look(|ledger| ledger.count("updates.getState"));
        telegram.configure(|settings| settings.clock_ahead = 600);
        telegram.wait_until(DEADLINE, |ledger| ledger.count("updates.getState") >= states + 2).await.unwrap();
        let message = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [message]).await;
        telegram.look(|ledger| assert_eq!(ledger.clients().len(), 1, "one connection"));
    }
}

/// Nothing loops, and logged out is logged out.
mod ending {
    use super::*;

    #[tokio::test]
    async fn a_session_revoked_without_a_cut_connection_is_noticed() {
        let (telegram, _folder, listener) = start().await;
        // Nothing more is to be asked for after this one but the state.
        let message = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [message]).await;
        telegram.wait_until(DEADLINE, |ledger| ledger.count("messages.getDialogs") >= 1).await.unwrap();
        telegram.revoke(Revocation::SessionRevoked);
        let error = listener.logged_out().await.to_string();
        assert!(error.contains("SESSION_REVOKED"), "{error}");
    }

    #[tokio::test]
    async fn a_revoked_session_ends_the_account_with_what_to_do() {
        let cases = [
            (Revocation::SessionRevoked, "SESSION_REVOKED"),
            (Revocation::KeyUnregistered, "AUTH_KEY_UNREGISTERED"),
            (Revocation::KeyDuplicated, "AUTH_KEY_DUPLICATED"),
            (Revocation::UserDeactivated, "USER_DEACTIVATED"),
        ];
        for (revocation, name) in cases {
            let (telegram, _folder, listener) = start().await;
            telegram.revoke(revocation);
            telegram.cut();
            let error = listener.logged_out().await.to_string();
            assert!(error.contains(name) && error.contains("stenogram login"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_revocation_is_noticed_on_a_living_connection() {
        let (telegram, _folder, listener) = start().await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
        telegram.revoke(Revocation::SessionRevoked);
        let result = listener.account.deliver(&job, &answer(["one"]), 0).await;
        assert!(matches!(result, Err(JobFault::Unavailable(_))), "{result:?}");
        listener.logged_out().await;
    }

    #[tokio::test]
    async fn a_401_during_a_download_does_not_loop() {
        let (telegram, _folder, listener) = start().await;
        for dc in [2, 4] {
            let job = listener.job(telegram.send(FRIENDS_CHAT, voice().in_dc(dc))).await;
            telegram.fault(Fault::on("upload.getFile", Action::error(401, "AUTH_KEY_UNREGISTERED")));
            assert!(listener.account.fetch(&job).await.is_err());
            telegram.clear_faults();
        }
        assert!(telegram.look(|ledger| ledger.count("upload.getFile")) <= 4);
    }
}

/// Files.
mod media {
    use super::*;
    use downloads::large;

    #[tokio::test]
    async fn files_come_whole_from_either_datacentre() {
        let (telegram, _folder, listener) = start().await;
        for dc in [2, 4] {
            let job = listener.job(telegram.send(FRIENDS_CHAT, Draft::voice(large(), 9).in_dc(dc))).await;
            assert_eq!(listener.account.fetch(&job).await.unwrap(), large(), "datacentre {dc}");
        }
    }

    #[tokio::test]
    async fn a_server_error_in_the_middle_is_passed_over() {
        let (telegram, _folder, listener) = start().await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, Draft::voice(large(), 9))).await;
        telegram.fault(Fault::on("upload.getFile", Action::error(500, "TEMP")).after(1).once());
        assert_eq!(listener.account.fetch(&job).await.unwrap(), large());
    }

    #[tokio::test]
    async fn a_truncated_file_is_not_taken_for_whole() {
        let (telegram, _folder, listener) = start().await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, Draft::voice(large(), 9))).await;
        telegram.fault(Fault::on("upload.getFile", Action::TruncateFile(600_000)));
        let result = listener.account.fetch(&job).await;
        assert!(matches!(result, Err(JobFault::Retry { .. })), "{result:?}");
    }

    #[tokio::test]
    async fn an_expired_reference_is_renewed() {
        let (telegram, _folder, listener) = start().await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, Draft::voice(large(), 9))).await;
        let error = Action::error(400, "FILE_REFERENCE_EXPIRED");
        telegram.fault(Fault::on("upload.getFile", error).after(1).once());
        assert_eq!(listener.account.fetch(&job).await.unwrap(), large());
        assert_eq!(telegram.look(|ledger| ledger.count("messages.getMessages")), 2);
    }

    #[tokio::test]
    async fn a_slow_download_is_not_cut_while_it_goes_on() {
        let (telegram, _folder, listener) = start().await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, Draft::voice(large(), 9))).await;
        let delay = options().call_timeout * 2 / 3;
        telegram.fault(Fault::on("upload.getFile", Action::delay(delay)));
        let start = std::time::Instant::now();
        assert_eq!(listener.account.fetch(&job).await.unwrap(), large());
        assert!(start.elapsed() > options().call_timeout, "it was not slow");
    }

    #[tokio::test]
    async fn a_part_that_does_not_come_is_asked_for_in_smaller_ones() {
        let (telegram, _folder, listener) = start().await;
        for dc in [2, 4] {
            let job = listener.job(telegram.send(FRIENDS_CHAT, Draft::voice(large(), 9).in_dc(dc))).await;
            let before = telegram.look(|ledger| ledger.count("upload.getFile"));
            telegram.fault(Fault::on("upload.getFile", Action::Ignore).after(1).once());
            assert_eq!(listener.account.fetch(&job).await.unwrap(), large());
            assert!(telegram.look(|ledger| ledger.count("upload.getFile")) - before > 10);
        }
    }

    #[tokio::test]
    async fn a_download_that_is_stuck_is_given_up() {
        let (telegram, _folder, listener) = start().await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, voice().in_dc(2))).await;
        telegram.fault(Fault::on("upload.getFile", Action::Ignore));
        let fetched = tokio::time::timeout(DEADLINE, listener.account.fetch(&job)).await;
        assert!(matches!(fetched.expect("in time"), Err(JobFault::Unavailable(_))));
        assert_eq!(telegram.look(|ledger| ledger.count("upload.getFile")), 2);
    }

    #[tokio::test]
    async fn a_deleted_message_ends_its_job() {
        let (telegram, _folder, listener) = start().await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
        telegram.delete(FRIENDS_CHAT, job.id.message);
        assert!(matches!(listener.account.fetch(&job).await, Err(JobFault::Gone(_))));
    }

    #[tokio::test]
    async fn a_file_over_the_limit_is_not_fetched() {
        let (telegram, _folder, listener) =
            start_with(AccountOptions { max_file_size: 999, ..options() }).await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
        assert!(matches!(listener.account.fetch(&job).await, Err(JobFault::Reject(_))));
        assert_eq!(telegram.look(|ledger| ledger.count("upload.getFile")), 0);
    }
}

/// Answers.
mod replies {
    use super::*;

    #[tokio::test]
    async fn a_reply_is_silent_and_sent_once_under_its_own_number() {
        for dedupe in [Dedupe::GiveFirst, Dedupe::Refuse] {
            for sent_answer in [SentAnswer::Updates, SentAnswer::Short] {
                let (telegram, _folder, listener) = start().await;
                telegram
                    .configure(|settings| (settings.dedupe, settings.sent_answer) = (dedupe, sent_answer));
                let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
                let sent = listener.account.deliver(&job, &answer(["one"]), 0).await.unwrap();
                listener.account.deliver(&job, &answer(["one"]), 0).await.unwrap();
                telegram.look(|ledger| {
                    let replies: Vec<_> = ledger.replies(FRIENDS_CHAT, job.id.message).collect();
                    assert_eq!(replies.len(), 1, "{dedupe:?} {sent_answer:?}");
                    assert_eq!((replies[0].text.as_str(), replies[0].silent), ("one", true));
                    assert_eq!(replies[0].random_id, Some(random_id(job.id, 0)));
                    assert_eq!(sent, Some(replies[0].id));
                    assert_eq!(ledger.suppressed(), 1);
                });
            }
        }
    }

    #[tokio::test]
    async fn text_is_never_markup_and_long_text_folds() {
        let (telegram, _folder, listener) = start().await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
        let text = "**no** @markup https://example.org ".repeat(40);
        let mut folded = answer([&text]);
        folded.parts[0].folded = true;
        listener.account.deliver(&job, &folded, 0).await.unwrap();
        telegram.look(|ledger| {
            let reply = ledger.replies(FRIENDS_CHAT, job.id.message).next().unwrap();
            assert_eq!(reply.text, text);
            let entities = reply.entities();
            assert_eq!(entities.len(), 1);
            assert_eq!((entities[0].kind, entities[0].collapsed), ("messageEntityBlockquote", true));
            assert_eq!(entities[0].length as usize, text.encode_utf16().count());
        });
    }

    #[tokio::test]
    async fn own_messages_and_notes_to_oneself_are_answered_too() {
        let (telegram, _folder, listener) = start().await;
        for sent_answer in [SentAnswer::Updates, SentAnswer::Short] {
            telegram.configure(|settings| settings.sent_answer = sent_answer);
            for chat in [FRIENDS_CHAT, SAVED_MESSAGES] {
                let job = listener.job(telegram.send(chat, voice().own())).await;
                listener.account.deliver(&job, &answer(["one"]), 0).await.unwrap();
                telegram.look(|ledger| assert_eq!(ledger.replies(chat, job.id.message).count(), 1));
            }
        }
        // What the answer told of is heard without a panic.
        let message = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard.contains(&message)).await;
    }

    #[tokio::test]
    async fn a_flood_wait_is_told_and_not_slept() {
        let (telegram, _folder, listener) = start().await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
        telegram.fault(Fault::on("messages.sendMessage", Action::flood_wait(40)).once());
        let result = listener.account.deliver(&job, &answer(["one"]), 0).await;
        let Err(JobFault::Wait { after, .. }) = result else { panic!("{result:?}") };
        assert!(after >= Duration::from_secs(40));
        assert_eq!(telegram.look(|ledger| ledger.count("messages.sendMessage")), 1);
    }

    #[tokio::test]
    async fn a_flood_wait_holds_up_all_sending_and_nothing_else_also_after_a_restart() {
        let (telegram, folder, listener) = start().await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
        let other = listener.job(telegram.send(SAVED_MESSAGES, voice().own())).await;
        telegram.fault(Fault::on("messages.sendMessage", Action::flood_wait(40)).once());
        listener.account.deliver(&job, &answer(["one"]), 0).await.unwrap_err();
        for job in [&job, &other] {
            let result = listener.account.deliver(job, &answer(["one"]), 0).await;
            assert!(matches!(result, Err(JobFault::Wait { .. })), "{result:?}");
        }
        listener.account.fetch(&other).await.unwrap();
        listener.stop().await;
        let listener = Listener::start(open(&folder, options()).await);
        listener.connected().await;
        let Err(JobFault::Wait { after, why }) = listener.account.deliver(&other, &answer(["one"]), 0).await
        else {
            panic!("sent")
        };
        assert!(after > Duration::from_secs(5) && why.contains("FLOOD_WAIT"), "{after:?} {why}");
        assert_eq!(telegram.look(|ledger| ledger.count("messages.sendMessage")), 1);
    }

    #[tokio::test]
    async fn peer_flood_stops_sending_for_hours() {
        let (telegram, _folder, listener) = start().await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
        telegram.fault(Fault::on("messages.sendMessage", Action::error(400, "PEER_FLOOD")).once());
        for _ in 0..2 {
            let result = listener.account.deliver(&job, &answer(["one"]), 0).await;
            assert!(matches!(result, Err(JobFault::Held { .. })), "{result:?}");
        }
        assert_eq!(telegram.look(|ledger| ledger.count("messages.sendMessage")), 1);
        let restricted = listener.account.restriction().borrow().clone();
        assert_eq!(restricted.map(|restricted| restricted.why), Some(Restriction::SpamLimited));
    }

    #[tokio::test]
    async fn slow_mode_holds_up_its_own_chat_only() {
        let (telegram, _folder, listener) = start().await;
        let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
        let other = listener.job(telegram.send(SAVED_MESSAGES, voice().own())).await;
        telegram.fault(Fault::on("messages.sendMessage", Action::error(420, "SLOWMODE_WAIT_40")).once());
        let result = listener.account.deliver(&job, &answer(["one"]), 0).await;
        assert!(matches!(result, Err(JobFault::Wait { .. })), "{result:?}");
        listener.account.deliver(&other, &answer(["one"]), 0).await.unwrap();
    }

    #[tokio::test]
    async fn parts_that_were_sent_are_found_in_the_chat() {
        let (telegram, _folder, listener) = start().await;
        telegram.configure(|settings| settings.dedupe = Dedupe::Off);
        for chat in [FRIENDS_CHAT, SAVED_MESSAGES] {
            let job = listener.job(telegram.send(chat, voice().own())).await;
            let other = listener.job(telegram.send(chat, voice().own())).await;
            let texts = answer(["one", "two", "one"]);
            assert_eq!(listener.account.sent(&job, &texts).await.unwrap(), [None; 3]);
            let first = listener.account.deliver(&job, &texts, 0).await.unwrap();
            // The same words in answer to another message, by somebody else, and more than two pages of talk.
            listener.account.deliver(&other, &answer(["two"]), 0).await.unwrap();
            if chat == FRIENDS_CHAT {
                telegram.send(chat, Draft::text("two").reply_to(job.id.message));
            }
            for _ in 0..230 {
                telegram.send_silently(chat, Draft::text("two"));
            }
            let second = listener.account.deliver(&job, &texts, 1).await.unwrap();
            assert_eq!(listener.account.sent(&job, &texts).await.unwrap(), [first, second, None]);
        }
    }

    #[tokio::test]
    async fn telegram_sees_the_same_device_in_every_release() {
        let (telegram, _folder, _listener) = start().await;
        let client = telegram.look(|ledger| ledger.clients()[0].clone());
        assert_eq!((client.device_model.as_str(), client.system_version.as_str()), ("stenogram", "Linux"));
        assert_eq!(client.api_id, API_ID);
    }
}

/// Logging in and out.
mod login {
    use super::*;
    use std::io;
    use std::sync::Mutex;

    /// Types what it was given, one after the other.
    struct Typist(Mutex<Vec<&'static str>>);

    impl Typist {
        fn new(lines: &[&'static str]) -> Self {
            Self(Mutex::new(lines.iter().rev().copied().collect()))
        }

        fn line(&self) -> io::Result<String> {
            let line = self.0.lock().unwrap().pop();
            line.map(str::to_owned).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        }
    }

    impl Prompt for Typist {
        fn phone(&self) -> io::Result<String> {
            self.line()
        }
        fn code(&self) -> io::Result<String> {
            self.line()
        }
        fn password(&self, hint: Option<&str>) -> io::Result<String> {
            assert_eq!(hint, Some("a cat"));
            self.line()
        }
        fn say(&self, _: &str) {}
    }

    async fn login(folder: &tempfile::TempDir, lines: &[&'static str]) -> Result<i64, LoginError> {
        let credentials = Credentials { api_id: API_ID, api_hash: Secret::new("0".repeat(32)) };
        let file = lock(folder).await;
        let typist = Typist::new(lines);
        // Deriving the key of the password takes its time.
        let patient = AccountOptions { call_timeout: DEADLINE, ..options() };
        Account::login(file, &credentials, patient, &typist).await
    }

    #[tokio::test]
    async fn phone_and_code_make_a_session_that_works() {
        let telegram = Telegram::builder().logged_out().start().await.unwrap();
        let folder = session(&telegram);
        assert_eq!(login(&folder, &["+4915100000", "00000", "12345"]).await.unwrap(), 1000);
        let listener = Listener::start(open(&folder, options()).await);
        listener.connected().await;
        let message = telegram.send(FRIENDS_CHAT, voice());
        listener.heard(|heard| heard == [message]).await;
        listener.stop().await;
        assert!(matches!(login(&folder, &[]).await, Err(LoginError::AlreadyLoggedIn(1000))));
    }

    #[tokio::test]
    async fn the_password_is_asked_for_and_a_wrong_one_can_be_corrected() {
        let telegram = Telegram::builder().logged_out().password("hunter2", "a cat").start().await.unwrap();
        let folder = session(&telegram);
        let lines = ["+4915100000", "12345", "wrong", "hunter2"];
        assert_eq!(login(&folder, &lines).await.unwrap(), 1000);
    }

    #[tokio::test]
    async fn an_account_of_another_datacentre_is_found_there() {
        let telegram = Telegram::builder().logged_out().home_dc(4).start().await.unwrap();
        let folder = session(&telegram);
        assert_eq!(login(&folder, &["+4915100000", "12345"]).await.unwrap(), 1000);
        let listener = Listener::start(open(&folder, options()).await);
        listener.connected().await;
    }

    #[tokio::test]
    async fn three_wrong_codes_end_the_dialogue_without_a_session() {
        let telegram = Telegram::builder().logged_out().start().await.unwrap();
        let folder = session(&telegram);
        let result = login(&folder, &["+4915100000", "1", "2", "3", "12345"]).await;
        assert!(matches!(result, Err(LoginError::TooManyTries)), "{result:?}");
        let file = lock(&folder).await;
        assert!(Account::open(file, API_ID, options()).await.is_err());
    }

    #[tokio::test]
    async fn an_unreachable_telegram_is_said_before_anything_is_asked() {
        let telegram = Telegram::builder().logged_out().start().await.unwrap();
        let folder = session(&telegram);
        telegram.go_down().await;
        let result = login(&folder, &[]).await;
        assert!(matches!(result, Err(LoginError::Unreachable(_))), "{result:?}");
    }

    #[tokio::test]
    async fn a_clock_that_is_ahead_is_said_before_anything_is_asked() {
        let settings = Settings { clock_ahead: -60, ..Settings::default() };
        let telegram = Telegram::builder().logged_out().settings(settings).start().await.unwrap();
        let folder = session(&telegram);
        let error = login(&folder, &[]).await.unwrap_err().to_string();
        assert!(error.contains("clock is 60 s ahead") || error.contains("clock is 61 s ahead"), "{error}");
        telegram.look(|ledger| assert_eq!(ledger.packets().len(), 1));
    }

    #[tokio::test]
    async fn a_session_that_telegram_ended_can_be_logged_in_again() {
        let telegram = Telegram::start().await.unwrap();
        let logged_in = telegram.session();
        let (dc2, dc4) = (telegram.datacentre(2).unwrap().1, telegram.datacentre(4).unwrap().1);
        telegram.go_down().await;
        // The same keys, which are tied to no account any more.
        let telegram = Telegram::builder().logged_out().keys(dc2, dc4).start().await.unwrap();
        let folder = session(&telegram);
        let path = folder.path().join("account.session");
        let revoked = fake_telegram::SessionParams { user: logged_in.user, ..telegram.session() };
        fake_telegram::write_session(&path, &revoked).unwrap();
        Listener::start(open(&folder, options()).await).logged_out().await;
        assert_eq!(login(&folder, &["+4915100000", "12345"]).await.unwrap(), 1000);
        Listener::start(open(&folder, options()).await).connected().await;
    }

    #[tokio::test]
    async fn logout_ends_the_session_at_telegram_and_here() {
        let telegram = Telegram::start().await.unwrap();
        let folder = session(&telegram);
        let file = lock(&folder).await;
        Account::open(file, API_ID, options()).await.unwrap().logout().await.unwrap();
        assert_eq!(telegram.look(|ledger| ledger.count("auth.logOut")), 1);
        assert!(!folder.path().join("account.session").exists());
    }
}
