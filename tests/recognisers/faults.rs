//! What a server may do wrong, and what becomes of the job.

use std::io::Read as _;
use std::net::TcpListener;
use std::time::Duration;

use stenogram::domain::Fault;
use stenogram::speech::{RecogniseOptions, Recogniser as _, RecogniserOptions};
use support::certificates::Certificates;
use support::http::{Reply, Server};
use support::redis::RedisServer;

use super::{asked, asking, recognise, recognisers, server};

/// The fault of a server that answers like this, which is asked once or, if it will not have the
/// recording, for the text alone as well.
async fn fault(reply: Reply) -> (Fault, usize) {
    let stub = Server::start(move |_, _| reply.clone());
    let recognisers = asking(&[&stub]).await;
    let error = recognise(&recognisers, RecogniseOptions::default()).await.expect_err("it fails");
    let message = error.to_string();
    assert!(!message.contains("sk-secret"), "{message}");
    (error.into(), asked(&stub))
}

/// The job waits, and that is no failed attempt.
#[track_caller]
fn waits(fault: &Fault, seconds: std::ops::Range<u64>, says: &str) {
    let Fault::Later { after, why } = fault else { panic!("{says}: {fault:?}") };
    assert!(seconds.contains(&after.as_secs()) && why.contains(says), "{says}: {fault:?}");
}

/// A failed attempt, of which there are ten until the job is a dead letter with this reason.
#[track_caller]
fn fails(fault: &Fault, says: &str) {
    let Fault::Retry { after, why } = fault else { panic!("{says}: {fault:?}") };
    assert!(*after == Duration::from_secs(30) && why.contains(says), "{says}: {fault:?}");
    assert!(why.ends_with("[recogniser-failed]"), "{why}");
}

#[tokio::test]
async fn a_refusal_or_a_busy_server_lets_the_job_wait() {
    let error = br#"{"error":{"message":"Incorrect API key"}}"#;
    for (status, says) in [
        (401, "refuses the key, or wants one (401 Unauthorized): Incorrect API key"),
        (403, "refuses the key"),
        (404, "has no such address or model"),
        (308, "sends us to another address"),
    ] {
        let (fault, asked) = fault(Reply::new(status, error)).await;
        waits(&fault, 59..61, says);
        assert!(fault.to_string().ends_with("[recogniser-refuses]"), "{fault}");
        assert_eq!(asked, 1);
    }
    for error in [
        r#"{"error":{"message":"Check your plan","type":"insufficient_quota","code":null}}"#,
        r#"{"error":{"message":"Check your plan","type":"x","code":"insufficient_quota"}}"#,
    ] {
        let (fault, _) = fault(Reply::new(429, error.as_bytes())).await;
        waits(&fault, 59..61, "wants to be paid (429 Too Many Requests): Check your plan");
        assert!(fault.to_string().ends_with("[recogniser-refuses]"), "{fault}");
    }
    waits(&fault(Reply::new(429, error)).await.0, 10..11, "is asked too much");
    waits(&fault(Reply::new(429, error).with("retry-after", "90")).await.0, 90..91, "is asked too much");
    waits(&fault(Reply::new(503, error).with("retry-after", "999999")).await.0, 3600..3601, "asked too much");
    for status in [502, 503, 504] {
        let (fault, _) = fault(Reply::new(status, b"<html>nginx</html>")).await;
        waits(&fault, 1..4, &format!("({status} "));
        assert!(!fault.to_string().contains("nginx"), "{fault}");
    }
}

#[tokio::test]
async fn a_failure_is_a_failed_attempt() {
    let whole = super::says("words");
    for (reply, says) in [
        (Reply::new(500, b"CUDA out of\nmemory"), "failed (500 Internal Server Error): CUDA out of memory"),
        (Reply::new(200, b"<html>Log in</html>"), "an answer that makes no sense"),
        (Reply::new(200, b"{\"task\":\"transcribe\"}"), "there is no text in it"),
        (whole.clone().cut(20), "broke off the connection"),
        (Reply::new(200, b"{").with("content-length", "9999"), "broke off the connection"),
        (Reply::new(200, &vec![b' '; 2 << 20]), "more than 1 MiB"),
        (Reply::new(200, format!("{{\"text\":\"{}\"}}", "a".repeat(70_000)).as_bytes()), "anybody can say"),
    ] {
        let (fault, asked) = fault(reply).await;
        fails(&fault, says);
        assert_eq!(asked, 1, "{says}");
    }
    for status in [400, 413, 415, 422] {
        let (fault, asked) = fault(Reply::new(status, br#"{"detail":"too short"}"#)).await;
        fails(&fault, "will not have this recording");
        assert!(fault.to_string().contains("too short"), "{fault}");
        assert_eq!(asked, 2, "with times, then the text alone");
    }
}

/// The recording is not to blame for it. The text makes the request larger than what the kernel
/// buffers.
#[tokio::test]
async fn a_server_that_closes_before_it_has_the_request_lets_the_job_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let closing = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 100]).unwrap();
    });
    let recognisers = recognisers(vec![RecogniserOptions::Server(server(&url))]).await;
    let options = RecogniseOptions { previous_text: "a".repeat(16 << 20), ..Default::default() };
    let error = recognise(&recognisers, options).await.unwrap_err();
    waits(&error.into(), 1..4, "did not take the whole recording");
    closing.join().unwrap();
}

#[tokio::test]
async fn a_server_that_gives_no_answer_is_not_waited_for_forever() {
    // The kernel accepts connections, and nobody reads them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", silent.local_addr().unwrap());
    let mut options = server(&url);
    options.timeout = Duration::from_secs(1);
    let recognisers = recognisers(vec![RecogniserOptions::Server(options)]).await;
    let error = recognise(&recognisers, RecogniseOptions::default()).await.unwrap_err();
    fails(&error.into(), "gave no answer within 1 s");
    // Others wait until it is asked again, and are not even fetched.
    let unheard = recognise(&recognisers, RecogniseOptions::default()).await.unwrap_err();
    for error in [unheard, recognisers.wake().await.unwrap_err()] {
        let Fault::Held { after, why } = error.into() else { panic!("it would count, or be logged") };
        assert!((1..3).contains(&after.as_secs()) && why.contains("gave no answer within 1 s"), "{why}");
    }
    // Silence needs no server.
    let silence = recognisers.detector().detect(vec![0.0; 80_000], &|| false).unwrap();
    assert!(recognisers.recognise_stretch(silence, RecogniseOptions::default()).await.is_ok());
    assert!(recognisers.wake().await.is_err(), "which says nothing about the server");
}

#[tokio::test]
async fn a_server_that_is_off_or_has_no_valid_certificate_lets_the_job_wait() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let certificates = Certificates::new();
    let path = |name: &str| certificates.path(name).display().to_string();
    let port = RedisServer::free_port().to_string();
    let tls = RedisServer::start(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &path("server.pem"),
        "--tls-key-file",
        &path("server.key"),
        "--tls-ca-cert-file",
        &path("ca.pem"),
        "--tls-auth-clients",
        "no",
    ]);
    for (url, says) in [
        (format!("http://{closed}/v1"), "cannot be reached"),
        ("http://no-such-host.invalid/v1".to_owned(), "cannot be reached"),
        (format!("https://127.0.0.1:{port}/v1"), "has no valid certificate"),
    ] {
        let recognisers = recognisers(vec![RecogniserOptions::Server(server(&url))]).await;
        let error = recognise(&recognisers, RecogniseOptions::default()).await.unwrap_err();
        waits(&error.into(), 1..61, says);
    }
    drop(tls);
}

#[tokio::test]
async fn the_key_and_the_recording_do_not_follow_a_redirect() {
    let other = Server::start(|_, _| super::says("stolen"));
    let location = format!("{}/audio/transcriptions", other.base());
    for status in [301, 302, 307, 308] {
        let location = location.clone();
        let stub = Server::start(move |_, _| Reply::new(status, b"").with("location", location.clone()));
        let recognisers = asking(&[&stub]).await;
        let error = recognise(&recognisers, RecogniseOptions::default()).await.unwrap_err();
        waits(&error.into(), 59..61, "sends us to another address, which is not followed");
    }
    assert!(other.requests().is_empty());
}
