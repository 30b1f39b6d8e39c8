//! Fetching and checking models, against a server that does everything wrong.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use stenogram::speech::models::checksum::{Verdict, verify, verify_as};
use stenogram::speech::models::download::{PullError, PullOptions, pull};
use stenogram::speech::models::{ModelSpec, SILERO_VAD, SPEECH_MODELS, catalogue};
use support::http::{Reply, Request, Server};
use support::skipped;

const ETAG: &str = "\"one\"";

/// A model of 300,000 bytes that no two offsets of have the same neighbourhood.
fn model() -> Vec<u8> {
    (0..75_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn spec(file: &[u8]) -> ModelSpec {
    ModelSpec {
        name: "test",
        file: "ggml-test.bin",
        bytes: file.len() as u64,
        sha256: Sha256::digest(file).into(),
        ..SPEECH_MODELS[0].clone()
    }
}

/// An empty folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("models").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn options(server: &Server) -> PullOptions {
    PullOptions {
        mirror: Some(server.url()),
        attempts: 4,
        backoff: Duration::from_millis(1),
        silence: Duration::from_secs(10),
    }
}

fn go_on(_done: u64, _total: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn fetch(server: &Server, spec: &ModelSpec, folder: &Path) -> Result<PathBuf, PullError> {
    pull(spec, folder, &options(server), &mut go_on)
}

/// Fetches from a server that answers like this, and compares.
#[track_caller]
fn arrives(name: &str, answer: impl Fn(&Request, usize) -> Reply + Send + 'static) -> Vec<Request> {
    let (model, folder) = (model(), folder(name));
    let server = Server::start(answer);
    let path = fetch(&server, &spec(&model), &folder).unwrap();
    assert_eq!(path, folder.join("ggml-test.bin"));
    assert!(fs::read(&path).unwrap() == model);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing but the model is left");
    server.requests()
}

/// Fetches from a server that answers like this; nothing may come of it.
#[track_caller]
fn fails(name: &str, answer: impl Fn(&Request, usize) -> Reply + Send + 'static) -> (PullError, usize) {
    let folder = folder(name);
    let server = Server::start(answer);
    let error = fetch(&server, &spec(&model()), &folder).unwrap_err();
    assert!(!folder.join("ggml-test.bin").exists());
    (error, server.requests().len())
}

#[test]
fn a_model_arrives_with_progress() {
    let (model, folder) = (model(), folder("whole"));
    let file = model.clone();
    let server = Server::start(move |request, _| Reply::file(request, &file, ETAG));
    let mut seen = Vec::new();
    let path = pull(&spec(&model), &folder, &options(&server), &mut |done, total| {
        seen.push((done, total));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(fs::read(&path).unwrap() == model);
    assert!(seen.is_sorted() && seen.iter().all(|&(_, total)| total == 300_000));
    assert_eq!(seen.last(), Some(&(300_000, 300_000)));
    assert_eq!(server.requests()[0].path, "/models/ggml-test.bin");

    // It is there now: nothing is asked again.
    fetch(&server, &spec(&model), &folder).unwrap();
    assert_eq!(server.requests().len(), 1);
    // Torn, it is fetched anew.
    fs::write(&path, &model[..1000]).unwrap();
    fetch(&server, &spec(&model), &folder).unwrap();
    assert!(fs::read(&path).unwrap() == model);
}

#[test]
fn a_broken_connection_is_taken_up_where_it_broke() {
    // More breaks than attempts: each gets further, so none counts against the limit.
    let requests = arrives("broken", |request, n| {
        let reply = Reply::file(request, &model(), ETAG);
        if n < 9 { reply.cut(30_000) } else { reply }
    });
    let from: Vec<_> = requests.iter().map(Request::from).collect();
    assert_eq!(from[..3], [None, Some(30_000), Some(60_000)]);
    assert!(requests[1..].iter().all(|request| request.header("if-range") == Some(ETAG)));
}

#[test]
fn no_progress_is_given_up() {
    let (error, requests) = fails("no-progress", |request, _| Reply::file(request, &model(), ETAG).cut(0));
    assert!(matches!(error, PullError::GivenUp { attempts: 4, .. }), "{error}");
    assert_eq!(requests, 4);
    let (error, _) = fails("always-500", |_, _| Reply::new(500, b"no"));
    assert!(matches!(&error, PullError::GivenUp { why, .. } if why.contains("500")), "{error}");
}

#[test]
fn nobody_there_is_given_up() {
    let server = Server::start(|_, _| Reply::new(200, b""));
    let options = options(&server);
    drop(server);
    let error = pull(&spec(&model()), &folder("nobody"), &options, &mut go_on).unwrap_err();
    assert!(matches!(error, PullError::GivenUp { .. }), "{error}");
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    for status in [500, 503, 429] {
        let requests = arrives(&format!("trouble-{status}"), move |request, n| match n {
            0 | 1 => Reply::new(status, b"later"),
            _ => Reply::file(request, &model(), ETAG),
        });
        assert_eq!(requests.len(), 3);
    }
}

#[test]
fn a_server_without_ranges_gives_all_again() {
    arrives("no-ranges", |_, n| {
        let reply = Reply::new(200, &model());
        if n < 2 { reply.cut(100_000) } else { reply }
    });
}

#[test]
fn a_file_that_changes_meanwhile_is_fetched_from_its_beginning() {
    let old: Vec<u8> = model().iter().map(|byte| byte ^ 1).collect();
    // With If-Range honoured, and by a server that ignores it and tells by the ETag only.
    for honoured in [true, false] {
        let old = old.clone();
        arrives(&format!("changes-{honoured}"), move |request, n| {
            if n == 0 {
                return Reply::file(request, &old, "\"old\"").cut(100_000);
            }
            let etag = if honoured { ETAG } else { "\"old\"" };
            Reply::file(request, &model(), etag).with("etag", ETAG)
        });
    }
}

#[test]
fn another_range_than_asked_for_is_not_spliced_in() {
    arrives("other-range", |request, n| match n {
        0 => Reply::file(request, &model(), ETAG).cut(100_000),
        1 => {
            let range = "bytes 50000-299999/300000";
            Reply::new(206, &model()[50_000..]).with("content-range", range)
        }
        _ => Reply::file(request, &model(), ETAG),
    });
}

#[test]
fn lies_about_the_size_are_refused() {
    for length in ["299999", "300001", "99999999999999"] {
        let (error, requests) = fails(&format!("lie-{length}"), move |_, _| {
            Reply::new(200, &model()).with("content-length", length)
        });
        assert!(matches!(&error, PullError::Refused { why, .. } if why.contains(length)), "{error}");
        assert_eq!(requests, 1);
    }
    // Without a length, more than there should be.
    let (error, _) = fails("endless", |_, _| {
        let mut body = model();
        body.extend([0; 100]);
        Reply::new(200, &body).without("content-length")
    });
    assert!(matches!(error, PullError::Refused { .. }), "{error}");
}

#[test]
fn what_is_no_model_is_refused_at_once() {
    let html = || Reply::new(200, &model()).with("content-type", "text/html; charset=utf-8");
    let (error, requests) = fails("html", move |_, _| html());
    assert!(error.to_string().contains("web page"), "{error}");
    assert_eq!(requests, 1);
    for status in [404, 403, 401] {
        let (error, requests) = fails(&format!("refused-{status}"), move |_, _| Reply::new(status, b"no"));
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        assert_eq!(requests, 1);
    }
}

#[test]
fn other_bytes_of_the_same_size_are_refused() {
    let folder = folder("wrong-hash");
    let server = Server::start(|request, _| Reply::file(request, &[7; 300_000], ETAG));
    let error = fetch(&server, &spec(&model()), &folder).unwrap_err();
    assert!(matches!(error, PullError::Hash { .. }), "{error}");
    assert!(!folder.join("ggml-test.bin").exists());
    assert_eq!(fs::metadata(folder.join("ggml-test.bin.part")).unwrap().len(), 0);
}

#[test]
fn a_part_from_an_earlier_run_is_used_and_a_bad_one_thrown_away() {
    let folder = folder("earlier");
    let part = folder.join("ggml-test.bin.part");
    let server = Server::start(|request, _| Reply::file(request, &model(), ETAG));
    fs::write(&part, &model()[..123_456]).unwrap();
    fetch(&server, &spec(&model()), &folder).unwrap();
    assert_eq!(server.requests().pop().unwrap().from(), Some(123_456));

    for bad in [vec![1; 123_456], vec![1; 300_000], vec![1; 300_001]] {
        fs::remove_file(folder.join("ggml-test.bin")).unwrap();
        fs::write(&part, bad).unwrap();
        let path = fetch(&server, &spec(&model()), &folder).unwrap();
        assert!(fs::read(path).unwrap() == model());
    }
}

#[test]
fn one_at_a_time_and_broken_off_when_told() {
    let folder = folder("busy");
    let server = Server::start(|request, _| Reply::file(request, &model(), ETAG));
    let (started, wait_for_start) = mpsc::channel();
    let (finish, wait_for_finish) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let (folder, server) = (&folder, &server);
        let first = scope.spawn(move || {
            pull(&spec(&model()), folder, &options(server), &mut |_, _| {
                started.send(()).unwrap();
                wait_for_finish.recv().unwrap();
                ControlFlow::Break(())
            })
        });
        wait_for_start.recv_timeout(Duration::from_secs(30)).unwrap();
        let second = fetch(server, &spec(&model()), folder).unwrap_err();
        assert!(matches!(second, PullError::Busy(_)), "{second}");
        finish.send(()).unwrap();
        let first = first.join().unwrap().unwrap_err();
        assert!(matches!(first, PullError::Cancelled), "{first}");
    });
    // What had arrived is used.
    fetch(&server, &spec(&model()), &folder).unwrap();
    assert!(server.requests().last().unwrap().from().unwrap() > 0);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let file = folder("not-a-folder").join("file");
    fs::write(&file, "").unwrap();
    let server = Server::start(|request, _| Reply::file(request, &model(), ETAG));
    let error = fetch(&server, &spec(&model()), &file).unwrap_err();
    assert!(matches!(error, PullError::Disk { .. }), "{error}");
    assert!(error.to_string().contains("not-a-folder"), "{error}");
}

#[test]
fn verify_tells_what_is_wrong() {
    let folder = folder("verify");
    let path = folder.join("ggml-test.bin");
    let mut model = model();
    let spec = spec(&model);
    fs::write(&path, &model).unwrap();
    assert_eq!(verify_as(&spec, &path, &mut go_on).unwrap(), Verdict::Ok);
    model[1000] ^= 1;
    fs::write(&path, &model).unwrap();
    assert!(matches!(verify_as(&spec, &path, &mut go_on).unwrap(), Verdict::WrongHash { .. }));
    fs::write(&path, &model[1..]).unwrap();
    let wrong = Verdict::WrongSize { found: 299_999, expected: 300_000 };
    assert_eq!(verify_as(&spec, &path, &mut go_on).unwrap(), wrong);
    // The catalogue does not know it, and it is no model either.
    let refused = verify(&path, &mut go_on).unwrap();
    assert!(
        matches!(&refused, Verdict::Refused { why } if why.starts_with("is no ggml file")),
        "{refused:?}"
    );
    let micro = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/micro/ggml-micro-q8_0.bin");
    assert!(matches!(verify(&micro, &mut go_on).unwrap(), Verdict::Unknown { .. }));
    let tiny = folder.join("ggml-tiny.bin");
    fs::write(&tiny, b"tiny").unwrap();
    assert!(matches!(verify(&tiny, &mut go_on).unwrap(), Verdict::WrongSize { found: 4, .. }));
    assert!(verify(&folder.join("none.bin"), &mut go_on).is_err());
}

#[test]
fn the_catalogue_is_consistent() {
    for spec in catalogue() {
        assert_eq!(ModelSpec::named(spec.name), Ok(spec));
        assert_eq!(ModelSpec::of_file(&Path::new("/models").join(spec.file)), Some(spec));
        assert!(
            spec.file == format!("ggml-{}.bin", spec.name) || spec.file.ends_with(".gguf"),
            "{}",
            spec.file
        );
        assert_eq!(spec.sha_prefix().len(), 12);
        assert!(spec.url(None).starts_with("https://huggingface.co/"));
        assert_eq!(spec.url(Some("http://nas/m")), format!("http://nas/m/{}", spec.file));
        assert_eq!(catalogue().filter(|other| other.sha256 == spec.sha256).count(), 1);
    }
    let unknown = ModelSpec::named("huge").unwrap_err().to_string();
    assert!(unknown.contains("\"huge\"") && unknown.contains("large-v3-turbo-q5_0"), "{unknown}");
}

#[test]
fn the_catalogue_knows_the_shared_vad_model() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/models/for-tests-silero-v5.1.2-ggml.bin");
    if !path.exists() {
        skipped(format!("no {}", path.display()));
        return;
    }
    assert_eq!(verify_as(&SILERO_VAD, &path, &mut go_on).unwrap(), Verdict::Ok);
}
