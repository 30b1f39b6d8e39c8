//! Several recognisers: which of them is asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use stenogram::domain::{Fault, Languages};
use stenogram::speech::{EngineOptions, Observer, RecogniseOptions, RecogniserOptions};
use support::http::{Reply, Server};
use support::speech::{MODEL, VAD};

use super::{PATIENCE, asked, asking, recognise, recognisers, says, server};

fn local() -> RecogniserOptions {
    let listed = vec!["en".parse().unwrap()];
    let engine = EngineOptions {
        model: MODEL.into(),
        languages: Languages { listed, others: false },
        vad: Some(VAD.into()),
        ..EngineOptions::default()
    };
    RecogniserOptions::Local(engine.into())
}

async fn by(recognisers: &stenogram::speech::Recognisers) -> String {
    let recognised = recognise(recognisers, RecogniseOptions::default()).await.expect("a transcript");
    recognised.by.expect("somebody").to_string()
}

/// The clock is paused; it goes on while nothing but a timer is waited for.
#[tokio::test(start_paused = true)]
async fn the_first_that_is_well_is_asked_and_one_that_failed_again_when_it_is_back() {
    let is_broken = Arc::new(AtomicBool::new(true));
    let broken = Arc::clone(&is_broken);
    let first = Server::start(move |_, _| match broken.load(Ordering::Relaxed) {
        true => Reply::new(500, b""),
        false => says("first"),
    });
    let second = Server::start(|_, _| says("second"));
    let recognisers = asking(&[&first, &second]).await;
    let names: Vec<_> = recognisers.names().iter().map(ToString::to_string).collect();
    let well = recognisers.well();
    assert_eq!(*well.borrow(), [true, true]);

    for _ in 0..3 {
        assert_eq!(by(&recognisers).await, names[1]);
    }
    assert_eq!(asked(&first), 1, "it is left alone after a failure");
    assert_eq!(*well.borrow(), [false, true]);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(by(&recognisers).await, names[1]);
    assert_eq!(asked(&first), 2, "after two seconds it is asked again");
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(by(&recognisers).await, names[1]);
    assert_eq!(asked(&first), 2, "the pause doubles");

    is_broken.store(false, Ordering::Relaxed);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(by(&recognisers).await, names[0]);
    assert_eq!(*well.borrow(), [true, true]);
}

#[tokio::test]
async fn what_one_will_not_have_goes_to_the_next_and_nothing_is_held_against_it() {
    let picky = Server::start(|_, _| Reply::new(413, b""));
    let second = Server::start(|_, _| says("second"));
    let recognisers = asking(&[&picky, &second]).await;
    for times in 1..3 {
        assert_eq!(Some(by(&recognisers).await.as_str()), second.base().strip_prefix("http://"));
        assert_eq!(asked(&picky), 2 * times);
    }
    assert_eq!(*recognisers.well().borrow(), [true, true]);
}

#[tokio::test]
async fn a_stretch_that_waited_too_long_goes_to_the_next() {
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let slow = Server::start(move |_, _| {
        let _ = wait.lock().unwrap().recv();
        says("late")
    });
    let second = Server::start(|_, _| says("in time"));
    let recognisers = asking(&[&slow, &second]).await;
    let start = Instant::now();
    assert_eq!(Some(by(&recognisers).await.as_str()), second.base().strip_prefix("http://"));
    let took = start.elapsed();
    assert!((PATIENCE..PATIENCE * 3).contains(&took), "{took:?}");
    drop(release);
}

/// Where no other can hear it, one that is only slow is waited for.
#[tokio::test]
async fn one_that_is_slow_is_better_than_none() {
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let slow = Server::start(move |_, number| {
        if number == 0 {
            let _ = wait.lock().unwrap().recv();
        }
        says("late")
    });
    let broken = Server::start(move |_, _| {
        let _ = release.send(());
        Reply::new(502, b"")
    });
    let recognisers = asking(&[&slow, &broken]).await;
    assert_eq!(Some(by(&recognisers).await.as_str()), slow.base().strip_prefix("http://"));
    assert_eq!((asked(&slow), asked(&broken)), (2, 1));
}

#[tokio::test]
async fn a_busy_server_is_waited_for_within_the_patience_and_not_beyond() {
    let second = Server::start(|_, _| says("second"));
    for (retry_after, is_waited_for) in [("1", true), ("600", false)] {
        let busy = Server::start(move |_, number| match number {
            0 => Reply::new(429, b"").with("retry-after", retry_after),
            _ => says("first"),
        });
        let recognisers = asking(&[&busy, &second]).await;
        let expected = if is_waited_for { &busy } else { &second };
        assert_eq!(Some(by(&recognisers).await.as_str()), expected.base().strip_prefix("http://"));
    }
}

/// The clock is paused; it goes on while nothing but a timer is waited for.
#[tokio::test(start_paused = true)]
async fn a_server_that_is_always_busy_is_reported_and_left_alone_like_one_that_is_away() {
    let is_full = Arc::new(AtomicBool::new(true));
    let full = Arc::clone(&is_full);
    let busy = Server::start(move |_, _| match full.load(Ordering::Relaxed) {
        true => Reply::new(429, b"").with("retry-after", "1"),
        false => says("first"),
    });
    let second = Server::start(|_, _| says("second"));
    let recognisers = asking(&[&busy, &second]).await;
    let names = recognisers.names();
    assert_eq!(by(&recognisers).await, *names[1]);
    assert_eq!(*recognisers.well().borrow(), [false, true]);
    for expected in [3, 3, 4, 4] {
        assert_eq!(by(&recognisers).await, *names[1]);
        assert_eq!(asked(&busy), expected, "no other stretch waits for it, and the pause doubles");
        tokio::time::advance(Duration::from_millis(1900)).await;
    }
    is_full.store(false, Ordering::Relaxed);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(by(&recognisers).await, *names[0]);
    assert_eq!(*recognisers.well().borrow(), [true, true]);
}

struct Panics;

impl Observer for Panics {
    fn on_finished(&self, _: Duration) {
        panic!("as a fault of the recognition thread would");
    }
}

#[tokio::test]
async fn a_local_recogniser_whose_thread_is_gone_ends_the_process_whoever_else_there_is() {
    let away = Server::start(|_, _| Reply::new(502, b""));
    let recognisers = recognisers(vec![local(), RecogniserOptions::Server(server(&away.base()))]).await;
    let options = RecogniseOptions { observer: Some(Arc::new(Panics)), ..Default::default() };
    let error = recognise(&recognisers, options).await.unwrap_err();
    assert!(matches!(Fault::from(error), Fault::Fatal(_)), "a restart mends it");
    assert_eq!(asked(&away), 0);
}

#[tokio::test]
async fn this_machine_takes_over_when_the_server_is_off() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let off = server(&format!("http://{closed}/v1"));
    let recognisers = recognisers(vec![RecogniserOptions::Server(off), local()]).await;
    let recognised = recognise(&recognisers, RecogniseOptions::default()).await.unwrap();
    assert_eq!(recognised.by.as_deref(), Some("local"));
    assert_eq!(recognised.transcript.text(), "one two three");
}

#[tokio::test]
async fn of_all_failures_the_mildest_decides_what_becomes_of_the_job() {
    let broken = Server::start(|_, _| Reply::new(500, b""));
    let away = Server::start(|_, _| Reply::new(502, b""));
    for servers in [[&broken, &away], [&away, &broken]] {
        let recognisers = asking(&servers).await;
        let error = recognise(&recognisers, RecogniseOptions::default()).await.unwrap_err();
        assert!(matches!(Fault::from(error), Fault::Later { .. }), "the one that is away may yet hear it");
    }
}
