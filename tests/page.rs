//! The status page in a real browser: in light and dark, English and Russian, wide and narrow.
//!
//! The pictures are in target/tmp/page for whoever wants to look. Where there is no Chromium, or axe, the
//! accessibility checker (<https://github.com/dequelabs/axe-core>), cannot be had, that is said.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use stenogram::health::{HealthState, server};
use support::browser::Browser;
use support::skipped;
use tokio::sync::oneshot;

use crate::in_process::workplace::{Plan, Workplace};

/// It carries axe 4.12; the rest of it is not needed.
const AXE: &str = "axe-playwright-python==0.1.8";

/// axe, fetched once.
fn axe() -> &'static Result<String, String> {
    static FETCHED: OnceLock<Result<String, String>> = OnceLock::new();
    FETCHED.get_or_init(fetch_axe)
}

/// axe from a virtual environment below `target`, which later runs find there.
fn fetch_axe() -> Result<String, String> {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("axe");
    let find = || -> Option<PathBuf> {
        let library = std::fs::read_dir(environment.join("lib")).ok()?.next()?.ok()?.path();
        Some(library.join("site-packages/axe_playwright_python/axe.min.js")).filter(|file| file.exists())
    };
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    };
    if find().is_none() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--retries", "1", AXE];
        run(Command::new(environment.join("bin/python")).args(pip))?;
    }
    let file = find().ok_or("it is not where it was")?;
    std::fs::read_to_string(file).map_err(|error| error.to_string())
}

/// A day of a daemon's life, on a clock that jumps.
async fn live(place: &Workplace) {
    let health = &place.health;
    let pass = async |hours: f64| tokio::time::sleep(Duration::from_secs_f64(hours * 3600.0)).await;
    health.model_loaded("small-q5_1".into());
    health.connected();
    for (hours, losses) in [(2.0, 1), (5.2, 3), (1.0, 1), (9.0, 0), (2.0, 2)] {
        pass(hours).await;
        for _ in 0..losses {
            health.disconnected();
            pass(0.01).await;
            health.connected();
        }
    }
    pass(3.2).await;
    for plan in [
        Plan::Speech(61, 21_300),
        Plan::Silence,
        Plan::Speech(7, 2740),
        Plan::Gone,
        Plan::Noise,
        Plan::Speech(1260, 388_000),
        Plan::Speech(3, 1190),
    ] {
        place.hear(plan).await;
        place.idle().await;
        pass(0.13).await;
    }
    health.text_dropped("known_phrase");
    health.recognition_repeated();
}

/// The page of a daemon that has lived a day, from a thread of its own until `stop` is dropped.
fn serve() -> (SocketAddr, Arc<HealthState>, oneshot::Sender<()>) {
    let (ready, started) = channel();
    let (stop, stopped) = oneshot::channel::<()>();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(async move {
            let place = Workplace::new(|queue| queue).await;
            live(&place).await;
            tokio::time::resume();
            // The port that was free a moment ago is.
            let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let at = free.expect("a free port");
            let listener = server::bind(at).await.expect("the port is still free");
            ready.send((at, Arc::clone(&place.health))).expect("the test waits");
            tokio::select! {
                () = server::serve(listener, Arc::clone(&place.health)) => {}
                _ = stopped => {}
            }
        });
    });
    let (at, health) = started.recv().expect("the page is served");
    (at, health, stop)
}

fn pictures() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&folder).expect("make a folder");
    folder
}

/// What axe finds wrong, one line each.
fn violations(browser: &mut Browser, axe: &str) -> Vec<String> {
    browser.evaluate(&format!("{axe}; true"));
    let found = browser.evaluate("axe.run().then(found => found.violations)");
    let line = |violation: &Value| {
        format!("{} ({}): {}", violation["id"], violation["impact"], violation["nodes"][0]["html"])
    };
    found.as_array().expect("a list").iter().map(line).collect()
}

#[test]
fn it_is_legible_for_all_and_needs_nobody_else() {
    let Some(mut browser) = Browser::start() else {
        return skipped("the status page in a browser, as there is no Chromium here");
    };
    let axe = axe();
    if let Err(why) = axe {
        skipped(format!("the check of its accessibility, as axe cannot be had: {why}"));
    }
    let (at, _health, _stop) = serve();
    let pictures = pictures();
    for (lang, title) in [("en", "Ready · stenogram"), ("ru", "Работает · stenogram")] {
        let mut backgrounds = Vec::new();
        for (scheme, width) in [("light", 1100), ("dark", 1100), ("dark", 360)] {
            let what = format!("{lang}-{scheme}-{width}");
            browser.show(width, 800, scheme);
            browser.open(&format!("http://{at}/?lang={lang}"));
            assert_eq!(browser.evaluate("document.title"), title);
            assert_eq!(browser.evaluate("document.documentElement.lang"), lang);
            let room = browser.evaluate("innerWidth - document.documentElement.scrollWidth");
            assert!(room.as_i64().is_some_and(|room| room >= 0), "{what} is too wide by {room}");
            backgrounds.push(browser.evaluate("getComputedStyle(document.body).backgroundColor"));
            assert_eq!(browser.evaluate("document.querySelectorAll('tbody tr').length"), 7, "{what}");
            assert!(
                browser.evaluate("document.querySelectorAll('svg .bar').length").as_i64() > Some(2),
                "{what}"
            );
            browser.picture(&pictures.join(format!("{what}.png")));
            if let Ok(axe) = axe {
                assert_eq!(violations(&mut browser, axe), [] as [String; 0], "{what}");
            }
        }
        assert_ne!(backgrounds[0], backgrounds[1], "dark is as light");
    }
    let own = format!("http://{at}/");
    for request in browser.told("Network.requestWillBeSent") {
        let url = request["request"]["url"].as_str().expect("an address");
        assert!(
            url.starts_with(&own) || url.starts_with("data:") || url == "about:blank",
            "it asks for {url}"
        );
    }
    // A style or script that the page's own policy refuses would be told of here.
    for kind in ["Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"] {
        assert_eq!(browser.told(kind), [] as [&Value; 0], "{kind}");
    }
}

#[test]
fn it_follows_what_happens_and_says_when_nobody_answers() {
    let Some(mut browser) = Browser::start() else {
        return skipped("the status page in a browser, as there is no Chromium here");
    };
    let (at, health, stop) = serve();
    browser.open(&format!("http://{at}/?lang=en"));
    assert_eq!(browser.evaluate("document.querySelector('#state').textContent"), "Ready");
    assert_eq!(browser.evaluate("document.querySelector('#away').hidden"), true);

    health.disconnected();
    // It looks by itself every ten seconds, and whenever it is looked at again.
    browser.evaluate("document.dispatchEvent(new Event('visibilitychange')); true");
    browser.wait_for("document.querySelector('#state').textContent == 'Not ready'");
    browser.wait_for("document.querySelector('.state').textContent.includes('Not connected to Telegram')");
    assert_eq!(browser.evaluate("document.title"), "Not ready · stenogram");
    if let Ok(axe) = axe() {
        assert_eq!(violations(&mut browser, axe), [] as [String; 0], "not ready");
    }
    browser.picture(&pictures().join("en-not-ready.png"));

    browser.evaluate("[...document.querySelectorAll('nav a')].find(link => link.lang == 'ru').click(); true");
    browser.wait_for("document.documentElement.lang == 'ru' && document.readyState == 'complete'");
    browser.wait_for("document.querySelector('#state').textContent == 'Не работает'");

    drop(stop);
    browser.evaluate("document.dispatchEvent(new Event('visibilitychange')); true");
    browser.wait_for("!document.querySelector('#away').hidden");
    let text = browser.evaluate("document.querySelector('#away').textContent");
    assert!(text.as_str().is_some_and(|text| text.starts_with("stenogram не отвечает")), "{text}");
}
