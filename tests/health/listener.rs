//! The listener against those who wish it ill.

use std::net::SocketAddr;
use std::sync::Arc;

use stenogram::health::{HealthState, server};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::http::{free_address, get, get_with, send};

async fn listen() -> SocketAddr {
    let at = free_address();
    let listener = server::bind(at).await.expect("a free port");
    tokio::spawn(server::serve(listener, Arc::new(HealthState::new(&[]))));
    at
}

#[tokio::test]
async fn only_reading_is_possible_and_only_what_there_is() {
    let at = listen().await;
    assert_eq!(get(at, "/livez?x=1").await.status, 200);
    assert_eq!(get(at, "/readyz").await.status, 503);
    assert_eq!(get(at, "/other").await.status, 404);
    let post = send(at, b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody").await;
    let post = post.expect("an answer");
    assert_eq!((post.status, post.header("allow")), (405, "GET, HEAD"));
    let head = send(at, b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("an answer");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn a_web_page_that_points_its_own_name_here_reads_nothing() {
    let at = listen().await;
    for path in ["/", "/metrics", "/readyz", "/livez"] {
        let refused = get_with(at, path, &["Host: evil.example:9464"]).await.expect("an answer");
        assert_eq!(refused.status, 421);
        assert!(refused.body.starts_with("stenogram is not served under this name"), "{}", refused.body);
    }
    // Nor may it be framed, or its answers be read by another origin.
    let page = get(at, "/").await;
    assert_eq!(page.header("x-frame-options"), "DENY");
    assert_eq!(page.header("cross-origin-resource-policy"), "same-origin");
    assert_eq!(page.header("access-control-allow-origin"), "");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn the_language_is_the_browsers_unless_the_address_says_another() {
    let at = listen().await;
    let lang = async |path: &str, accepted: &str| {
        let accepted = format!("Accept-Language: {accepted}");
        let page = get_with(at, path, &["Host: localhost", &accepted]).await.expect("an answer");
        assert_eq!(page.header("vary"), "Accept-Language");
        page.body.contains("<html lang=\"ru\">")
    };
    assert!(lang("/", "ru,en;q=0.5").await);
    assert!(!lang("/", "en").await);
    assert!(!lang("/?lang=en", "ru").await);
    assert!(lang("/?lang=ru", "en").await);
}

#[tokio::test]
async fn a_request_without_end_is_ended() {
    let at = listen().await;
    let mut long = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ".to_vec();
    long.resize(1 << 20, b'x');
    // It is answered or cut off, and not read to its end.
    if let Ok(answer) = send(at, &long).await {
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
    let many: String = (0..1000).map(|n| format!("x{n}: y\r\n")).collect();
    if let Ok(answer) = get_with(at, "/livez", &["Host: localhost", many.trim_end()]).await {
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
    for nonsense in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"GET\r\n\r\n", b"\r\n\r\n\0\0\0"]
    {
        if let Ok(answer) = send(at, &[nonsense, &b"\r\n\r\n"[..]].concat()).await {
            assert_eq!(answer.status, 400, "{answer:?}");
        }
    }
    assert_eq!(get(at, "/livez").await.status, 200);
}

/// More than are served at once begin a request and never finish it: each is sent away after its time,
/// and then the others have their turn.
#[tokio::test]
async fn those_who_say_nothing_do_not_keep_the_others_out() {
    let at = listen().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(at).await.expect("connect");
        stream.write_all(b"GET /livez HT").await.expect("write");
        silent.push(stream);
    }
    assert_eq!(get(at, "/livez").await.status, 200);
}
