//! Over which connection a file comes, and what is kept of it when something comes between.

use std::time::Duration;

use fake_telegram::{Action, Draft, Fault, Revocation, SAVED_MESSAGES, Telegram};
use stenogram::domain::{Fault as JobFault, Job};
use stenogram::telegram::AccountOptions;

use super::{FRIENDS_CHAT, start, start_with, voice};
use crate::in_process::account::{DEADLINE, Listener, answer, options};

const GET_FILE: &str = "upload.getFile";
/// Bytes of a part over a connection for files, and the most over the main connection.
const PART: usize = 512 << 10;
const MAIN_PART: usize = 64 << 10;

pub fn large() -> Vec<u8> {
    noise(1_300_000)
}

/// Bytes that cannot be compressed, as Telegram compresses its answers.
fn noise(length: u32) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        // Knuth's MMIX generator; its upper bits are the random ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// The job of a recording with these bytes in datacentre `dc`.
async fn job(telegram: &Telegram, listener: &Listener, bytes: Vec<u8>, dc: i32) -> Job {
    listener.job(telegram.send(FRIENDS_CHAT, Draft::voice(bytes, 9).in_dc(dc))).await
}

/// Logs in to the datacentre for files, so that the request that is refused before does not count.
async fn log_in_for_files(telegram: &Telegram, listener: &Listener) {
    let job = job(telegram, listener, vec![7; 1000], 4).await;
    listener.account.fetch(&job).await.unwrap();
}

fn parts_asked_for(telegram: &Telegram) -> usize {
    telegram.look(|ledger| ledger.count(GET_FILE))
}

/// Where the parts of files were asked for: at an address for files or not.
fn addresses(telegram: &Telegram) -> Vec<bool> {
    telegram.look(|ledger| {
        ledger.calls().iter().filter(|call| call.method == GET_FILE).map(|call| call.media_only).collect()
    })
}

/// The loopback Telegram ends a session that uses its ordinary address in parallel.
mod routes {
    use super::*;

    /// Answers are sent before, while and after a file of the home datacentre comes.
    async fn answers_beside_a_file(telegram: &Telegram, listener: &Listener) {
        let with_file = job(telegram, listener, large(), 2).await;
        let other = listener.job(telegram.send(SAVED_MESSAGES, voice().own())).await;
        let connection = listener.account.connection();
        for index in 0..3 {
            let answer = answer(["answer 0", "answer 1", "answer 2"]);
            let (file, sent) = tokio::join!(
                listener.account.fetch(&with_file),
                listener.account.deliver(&other, &answer, index)
            );
            assert!(file.unwrap() == large());
            sent.unwrap();
        }
        assert_eq!(listener.account.connection(), connection, "it was lost");
    }

    #[tokio::test]
    async fn a_home_file_comes_over_the_main_connection_where_there_is_no_address_for_files() {
        let (telegram, _folder, listener) = start().await;
        answers_beside_a_file(&telegram, &listener).await;
        assert_eq!(telegram.look(|ledger| ledger.connections()), 1);
        assert!(parts_asked_for(&telegram) >= 3 * large().len() / MAIN_PART);
    }

    #[tokio::test]
    async fn a_home_file_comes_from_the_address_for_files_in_large_parts() {
        let (telegram, _folder, listener) = start().await;
        telegram.configure(|settings| settings.media_addresses = true);
        answers_beside_a_file(&telegram, &listener).await;
        assert_eq!(addresses(&telegram), [true; 9]);
        assert_eq!(
            telegram.look(|ledger| ledger.count("help.getConfig")),
            3,
            "one for each connection, and one"
        );
    }

    #[tokio::test]
    async fn an_address_for_files_that_does_not_answer_is_done_without() {
        let (telegram, _folder, listener) = start().await;
        telegram.configure(|settings| settings.media_addresses = true);
        telegram.fault(Fault::on("*", Action::Ignore).at_media());
        answers_beside_a_file(&telegram, &listener).await;
        assert!(addresses(&telegram).iter().all(|media_only| !media_only));
    }

    #[tokio::test]
    async fn an_address_for_files_that_refuses_the_session_is_done_without() {
        for (code, error) in [(401, "AUTH_KEY_UNREGISTERED"), (406, "AUTH_KEY_DUPLICATED")] {
            let (telegram, _folder, listener) = start().await;
            telegram.configure(|settings| settings.media_addresses = true);
            telegram.fault(Fault::on(GET_FILE, Action::error(code, error)).at_media());
            answers_beside_a_file(&telegram, &listener).await;
            assert_eq!(addresses(&telegram).iter().filter(|media_only| **media_only).count(), 1, "{error}");
        }
    }

    #[tokio::test]
    async fn an_address_for_files_that_hangs_later_is_done_without() {
        let (telegram, _folder, listener) = start().await;
        telegram.configure(|settings| settings.media_addresses = true);
        let job = job(&telegram, &listener, large(), 2).await;
        telegram.fault(Fault::on(GET_FILE, Action::Ignore).at_media().after(1));
        assert!(listener.account.fetch(&job).await.unwrap() == large());
        assert_eq!(addresses(&telegram)[..3], [true, true, false]);
    }

    #[tokio::test]
    async fn four_jobs_share_one_connection_to_a_datacentre() {
        let (telegram, _folder, listener) = start().await;
        for dc in [2, 4] {
            let before = telegram.look(|ledger| ledger.clients().len());
            let job = job(&telegram, &listener, large(), dc).await;
            // One of the parts never comes, while those of the others do.
            telegram.fault(Fault::on(GET_FILE, Action::Ignore).in_dc(dc).after(2).once());
            let fetch = || listener.account.fetch(&job);
            let files = tokio::join!(fetch(), fetch(), fetch(), fetch());
            for file in [files.0, files.1, files.2, files.3] {
                assert!(file.unwrap() == large(), "datacentre {dc}");
            }
            let connections = telegram.look(|ledger| ledger.clients().len()) - before;
            assert_eq!(connections, usize::from(dc == 4), "datacentre {dc}");
        }
    }

    #[tokio::test]
    async fn a_ping_does_not_wait_behind_a_file_on_a_slow_line() {
        // As a line of 20 kbit/s is to the 15 s that a ping has, so is this one to 3 s.
        let slow = AccountOptions {
            call_timeout: Duration::from_secs(6),
            ping_every: Duration::from_millis(100),
            ping_timeout: Duration::from_secs(3),
            ..options()
        };
        let (telegram, _folder, listener) = start_with(slow.clone()).await;
        let job = job(&telegram, &listener, noise(60_000), 2).await;
        let connection = listener.account.connection();
        telegram.configure(|settings| settings.bytes_per_second = Some(12_500));
        let asked = std::time::Instant::now();
        assert!(listener.account.fetch(&job).await.unwrap() == noise(60_000));
        assert!(asked.elapsed() > slow.ping_timeout, "it was not slow");
        assert_eq!(listener.account.connection(), connection, "it was taken for lost");
    }

    #[tokio::test]
    async fn a_part_that_hangs_on_the_main_connection_does_not_end_it() {
        let (telegram, _folder, listener) =
            start_with(AccountOptions { call_timeout: Duration::from_secs(5), ..options() }).await;
        let hangs = job(&telegram, &listener, large(), 2).await;
        let other = listener.job(telegram.send(SAVED_MESSAGES, voice().own().in_dc(4))).await;
        let connection = listener.account.connection();
        telegram.fault(Fault::on(GET_FILE, Action::Ignore).in_dc(2));
        let account = listener.account.clone();
        let stuck = tokio::spawn(async move { account.fetch(&hangs).await });
        telegram.wait_until(DEADLINE, |ledger| ledger.count(GET_FILE) == 1).await.unwrap();
        listener.account.fetch(&other).await.unwrap();
        listener.account.deliver(&other, &answer(["one"]), 0).await.unwrap();
        assert_eq!(
            telegram.look(|ledger| ledger
                .calls()
                .iter()
                .filter(|call| call.dc == 2 && call.method == GET_FILE)
                .count()),
            1
        );
        assert!(matches!(stuck.await.unwrap(), Err(JobFault::Unavailable(_))));
        assert_eq!(listener.account.connection(), connection, "it was taken for lost");
    }

    #[tokio::test]
    async fn the_owner_is_told_the_first_error_that_ended_the_session() {
        let patient = AccountOptions { ping_every: DEADLINE, ..options() };
        for cut in [false, true] {
            let (telegram, _folder, listener) = start_with(patient.clone()).await;
            let job = listener.job(telegram.send(FRIENDS_CHAT, voice())).await;
            let duplicated = Action::error(406, "AUTH_KEY_DUPLICATED");
            telegram.fault(Fault::on("messages.sendMessage", duplicated).once());
            telegram.revoke(Revocation::KeyUnregistered);
            if cut {
                telegram.fault(Fault::on("updates.getState", Action::DropBefore).once());
            }
            assert!(listener.account.deliver(&job, &answer(["one"]), 0).await.is_err());
            let told = listener.logged_out().await.to_string();
            assert!(told.contains("AUTH_KEY_DUPLICATED") && told.contains("two places"), "{told}");
        }
    }
}

/// What has come of a file is not asked for again.
mod kept {
    use super::*;

    /// As patient as the daemon, so that no part is slow, however busy the machine is.
    async fn start_patiently() -> (Telegram, tempfile::TempDir, Listener) {
        let AccountOptions { call_timeout, ping_timeout, .. } = AccountOptions::default();
        start_with(AccountOptions { call_timeout, ping_timeout, ..options() }).await
    }

    #[tokio::test]
    async fn nothing_that_comes_between_costs_more_than_one_request() {
        let (telegram, _folder, listener) = start_patiently().await;
        log_in_for_files(&telegram, &listener).await;
        let premium_wait = Action::error(420, "FLOOD_PREMIUM_WAIT_1");
        let between = [
            Action::error(500, "INTERNAL"),
            Action::error(-503, "Timeout"),
            Action::error(303, "FILE_MIGRATE_4"),
            Action::error(400, "FILE_REFERENCE_EXPIRED"),
            Action::flood_wait(1),
            premium_wait,
        ];
        let job = job(&telegram, &listener, large(), 4).await;
        for action in between {
            let before = parts_asked_for(&telegram);
            telegram.fault(Fault::on(GET_FILE, action.clone()).after(2).once());
            assert!(listener.account.fetch(&job).await.unwrap() == large(), "{action:?}");
            assert_eq!(parts_asked_for(&telegram) - before, large().len().div_ceil(PART) + 1, "{action:?}");
        }
    }

    #[tokio::test]
    async fn a_wait_again_and_again_does_not_keep_a_file_from_coming() {
        let (telegram, _folder, listener) = start_patiently().await;
        log_in_for_files(&telegram, &listener).await;
        for dc in [2, 4] {
            let job = job(&telegram, &listener, noise(4_000_000), dc).await;
            let least = if dc == 2 { 4_000_000_usize.div_ceil(MAIN_PART) + 2 } else { 8 };
            let every = if dc == 2 { 21 } else { 4 };
            let before = parts_asked_for(&telegram);
            telegram.fault(Fault::on(GET_FILE, Action::flood_wait(0)).in_dc(dc).every(every));
            assert!(listener.account.fetch(&job).await.unwrap() == noise(4_000_000));
            let asked = parts_asked_for(&telegram) - before;
            let waits = least / (every as usize - 1) + 1;
            assert!((least..=least + waits).contains(&asked), "{asked} for {least} in datacentre {dc}");
        }
    }

    #[tokio::test]
    async fn a_lost_connection_does_not_cost_what_has_come() {
        let (telegram, _folder, listener) = start_patiently().await;
        log_in_for_files(&telegram, &listener).await;
        let job = job(&telegram, &listener, large(), 4).await;
        for action in [Action::DropBefore, Action::DropAfter] {
            let before = parts_asked_for(&telegram);
            telegram.fault(Fault::on(GET_FILE, action.clone()).after(2).once());
            assert!(listener.account.fetch(&job).await.unwrap() == large());
            assert_eq!(parts_asked_for(&telegram) - before, large().len().div_ceil(PART) + 1, "{action:?}");
        }
    }

    #[tokio::test]
    async fn the_next_attempt_goes_on_where_the_last_one_ended() {
        let (telegram, _folder, listener) = start_patiently().await;
        log_in_for_files(&telegram, &listener).await;
        for dc in [2, 4] {
            let job = job(&telegram, &listener, noise(4_000_000), dc).await;
            let whole = {
                let before = parts_asked_for(&telegram);
                listener.account.fetch(&job).await.unwrap();
                parts_asked_for(&telegram) - before
            };
            let before = parts_asked_for(&telegram);
            let trouble = Fault::on(GET_FILE, Action::error(500, "INTERNAL")).in_dc(dc);
            telegram.fault(trouble.after(6).times(4));
            let result = listener.account.fetch(&job).await;
            assert!(matches!(result, Err(JobFault::Retry { .. })), "{result:?}");
            assert!(listener.account.fetch(&job).await.unwrap() == noise(4_000_000));
            // The sizes of parts begin anew with an attempt, two of them at most.
            let more = parts_asked_for(&telegram) - before - whole;
            assert!((4..=6).contains(&more), "{more} more in datacentre {dc}");
        }
    }

    #[tokio::test]
    async fn a_lost_main_connection_does_not_cost_what_has_come() {
        let (telegram, _folder, listener) = start_patiently().await;
        let job = job(&telegram, &listener, large(), 2).await;
        telegram.fault(Fault::on(GET_FILE, Action::DropBefore).after(15).once());
        let connection = listener.account.connection();
        let reconnected = async {
            while [None, connection].contains(&listener.account.connection()) {
                tokio::task::yield_now().await;
            }
        };
        let file = match listener.account.fetch(&job).await {
            // grammers had connected again before the supervisor noticed.
            Ok(file) => file,
            Err(_) => {
                tokio::time::timeout(DEADLINE, reconnected).await.expect("connected again in time");
                listener.account.fetch(&job).await.unwrap()
            }
        };
        assert!(file == large());
        let parts = large().len().div_ceil(MAIN_PART) + 2;
        let asked = parts_asked_for(&telegram);
        // An attempt begins with two parts that are smaller, and one may be on its way when it
        // ends.
        assert!((parts + 1..=parts + 4).contains(&asked), "{asked} for {parts}");
    }

    #[tokio::test]
    async fn what_was_kept_goes_with_the_job() {
        let (telegram, _folder, listener) = start_patiently().await;
        log_in_for_files(&telegram, &listener).await;
        let job = job(&telegram, &listener, large(), 4).await;
        telegram.fault(Fault::on(GET_FILE, Action::error(500, "INTERNAL")).after(2).times(4));
        listener.account.fetch(&job).await.unwrap_err();
        listener.account.forget_job(job.id);
        let before = parts_asked_for(&telegram);
        listener.account.fetch(&job).await.unwrap();
        assert_eq!(parts_asked_for(&telegram) - before, large().len().div_ceil(PART));
    }
}

/// A wait that Telegram demands for downloads.
mod waits {
    use super::*;

    #[tokio::test]
    async fn one_job_runs_into_it_and_sending_goes_on() {
        let (telegram, _folder, listener) = start().await;
        log_in_for_files(&telegram, &listener).await;
        let first = job(&telegram, &listener, large(), 4).await;
        let second = job(&telegram, &listener, large(), 2).await;
        let other = listener.job(telegram.send(SAVED_MESSAGES, voice().own())).await;
        let before = parts_asked_for(&telegram);
        telegram.fault(Fault::on(GET_FILE, Action::error(420, "FLOOD_PREMIUM_WAIT_4")).after(1).once());
        let account = listener.account.clone();
        let waiting = tokio::spawn(async move { account.fetch(&first).await });
        telegram.wait_until(DEADLINE, |ledger| ledger.count(GET_FILE) == before + 2).await.unwrap();
        let refused = std::time::Instant::now();
        let account = listener.account.clone();
        let behind = tokio::spawn(async move { account.fetch(&second).await });
        telegram.wait_until(DEADLINE, |ledger| ledger.count("messages.getMessages") == 3).await.unwrap();
        listener.account.deliver(&other, &answer(["one"]), 0).await.unwrap();
        assert_eq!(parts_asked_for(&telegram), before + 2, "sent after {:?}", refused.elapsed());
        assert!(waiting.await.unwrap().unwrap() == large());
        assert!(behind.await.unwrap().unwrap() == large());
        let third = telegram.look(|ledger| {
            ledger.calls().iter().filter(|call| call.method == GET_FILE).nth(before + 2).map(|call| call.at)
        });
        assert!(third.unwrap().duration_since(refused) >= Duration::from_secs(4));
    }

    #[tokio::test]
    async fn jobs_that_wait_for_their_turn_do_not_run_into_it_too() {
        let (telegram, _folder, listener) = start().await;
        let job = job(&telegram, &listener, large(), 2).await;
        telegram.fault(Fault::on(GET_FILE, Action::flood_wait(1)).after(5).once());
        let fetch = || listener.account.fetch(&job);
        let files = tokio::join!(fetch(), fetch(), fetch(), fetch());
        for file in [files.0, files.1, files.2, files.3] {
            assert!(file.unwrap() == large());
        }
        let asked: Vec<_> = telegram.look(|ledger| {
            let calls = ledger.calls().iter().filter(|call| call.method == GET_FILE);
            calls.map(|call| call.at).collect()
        });
        assert!(asked[6].duration_since(asked[5]) >= Duration::from_secs(1), "the sixth was refused");
    }

    #[tokio::test]
    async fn a_long_one_puts_the_jobs_back() {
        let (telegram, _folder, listener) = start().await;
        log_in_for_files(&telegram, &listener).await;
        let first = job(&telegram, &listener, large(), 4).await;
        let second = job(&telegram, &listener, large(), 2).await;
        let before = parts_asked_for(&telegram);
        telegram.fault(Fault::on(GET_FILE, Action::error(420, "FLOOD_PREMIUM_WAIT_300")).after(1).once());
        for job in [&first, &second, &first] {
            let result = listener.account.fetch(job).await;
            let Err(JobFault::Wait { after, why }) = result else { panic!("{result:?}") };
            assert!(
                after > Duration::from_secs(250) && why.contains("FLOOD_PREMIUM_WAIT"),
                "{after:?} {why}"
            );
        }
        assert_eq!(parts_asked_for(&telegram), before + 2);
    }
}
