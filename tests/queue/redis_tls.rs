//! The queue in a Redis that is reached with TLS.

use stenogram::queue::QueueError;
use stenogram::queue::redis::{RedisOptions, RedisQueue, ServerOptions, TlsFiles};
use support::certificates::Certificates;
use support::redis::RedisServer;

use super::backend::{claim_id, id, job, options};

/// A server with a port for TLS, which is returned, beside the one without.
fn start(certificates: &Certificates, clients: &str) -> (RedisServer, u16) {
    let path = |name: &str| certificates.path(name).display().to_string();
    let (port, certificate, key, ca) =
        (RedisServer::free_port(), path("server.pem"), path("server.key"), path("ca.pem"));
    let files = ["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let settings = ["--tls-port", &port.to_string(), "--tls-auth-clients", clients];
    (RedisServer::start(&[&files[..], &settings].concat()), port)
}

async fn connect(url: String, tls: TlsFiles) -> Result<RedisQueue, QueueError> {
    let server = ServerOptions { tls: Some(tls), ..ServerOptions::of_url(url) };
    RedisQueue::connect(RedisOptions { server, ..options(String::new()) }).await
}

async fn refusal(url: String, tls: TlsFiles) -> String {
    match connect(url, tls).await {
        Err(QueueError::Configuration(why)) => why.to_string(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("connected"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let certificates = Certificates::new();
    let (_server, port) = start(&certificates, "no");
    let ca = Some(certificates.path("ca.pem"));
    let tls = TlsFiles { ca, client: None };
    for host in ["localhost", "127.0.0.1"] {
        let queue = connect(format!("rediss://{host}:{port}/0"), tls.clone()).await.unwrap();
        queue_works(&queue).await;
    }
    let why = refusal(format!("rediss://localhost:{port}/0"), TlsFiles::default()).await;
    assert!(why.contains("authority that is not trusted here") && why.contains("set REDIS_CA"), "{why}");
}

async fn queue_works(queue: &RedisQueue) {
    use stenogram::queue::JobQueue as _;
    queue.add(&job(1, 1)).await.unwrap();
    if queue.counts().await.unwrap().waiting > 0 {
        assert_eq!(claim_id(queue).await, id(1, 1));
        queue.done(id(1, 1), &[1]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_demands_a_certificate_gets_ours() {
    let certificates = Certificates::new();
    let (_server, port) = start(&certificates, "yes");
    let url = format!("rediss://localhost:{port}/0");
    let ca = Some(certificates.path("ca.pem"));
    let client = Some((certificates.path("client.pem"), certificates.path("client.key")));
    let queue = connect(url.clone(), TlsFiles { ca: ca.clone(), client }).await.unwrap();
    queue_works(&queue).await;

    let why = refusal(url.clone(), TlsFiles { ca: ca.clone(), client: None }).await;
    assert!(why.contains("REDIS_CERT and REDIS_KEY"), "{why}");
    let nowhere = Some((certificates.path("nowhere.pem"), certificates.path("client.key")));
    let why = refusal(url.clone(), TlsFiles { ca: ca.clone(), client: nowhere }).await;
    assert!(why.contains("nowhere.pem of REDIS_CERT cannot be read"), "{why}");
    let no_key = Some((certificates.path("client.pem"), certificates.path("client.pem")));
    let why = refusal(url, TlsFiles { ca, client: no_key }).await;
    assert!(why.contains("is not what it should be"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_no_tls_are_told_apart() {
    let certificates = Certificates::new();
    let (server, port) = start(&certificates, "no");
    let tls = TlsFiles { ca: Some(certificates.path("ca.pem")), client: None };
    let with_tls = connect(format!("rediss://localhost:{}/0", server.port()), tls).await;
    let without = RedisQueue::connect(options(format!("redis://127.0.0.1:{port}/"))).await;
    // The one is silent and the other ends the connection, as a server may that is in trouble.
    for (result, hint) in
        [(with_tls, "write redis:// in REDIS_URL"), (without, "write rediss:// in REDIS_URL")]
    {
        match result {
            Err(QueueError::Unavailable(why)) => assert!(why.what.contains(hint), "{why}"),
            other => panic!("{:?}", other.err()),
        }
    }
}
