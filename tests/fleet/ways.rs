//! Ways to the Redis that gateways and workers share: TLS, a user with an access list, a unix
//! socket, and a Sentinel that replaces the master.

use std::time::Duration;

use stenogram::queue::fleet::{
    ANY_MODEL, Assignments, Feed, Leases, LeasesOptions, Line, Outcome, State, Stretch,
};
use stenogram::queue::redis::{RedisOptions, RedisQueue, ServerOptions, TlsFiles};
use stenogram::queue::{Candidates, CrashRules, JobQueue as _};
use support::certificates::Certificates;
use support::redis::{Folder, RedisServer};

use super::store::order;
use crate::queue::backend::{ACCOUNT, LONG, claim_id, job, options, until};
use crate::queue::redis_sentinel::{patiently, sentinel_options, start};

/// The two sides over the same way.
struct Sides {
    queue: RedisQueue,
    gateway: Assignments,
    worker: Leases,
}

impl Sides {
    async fn over(server: ServerOptions) -> Self {
        let options = RedisOptions { server: server.clone(), ..options(String::new()) };
        let gateway = Assignments::new(&options).expect("an address");
        let queue = RedisQueue::connect(options).await.expect("connect to Redis");
        let options = LeasesOptions {
            server,
            timeout: Duration::from_secs(5),
            lease: LONG,
            takes: vec![ANY_MODEL.to_owned()],
            dedupe_ttl: LONG,
            crashes: CrashRules::STRICT,
        };
        let worker = Leases::new(&options, "a".to_owned()).expect("an address");
        Self { queue, gateway, worker }
    }

    /// Hands a recording over and has it recognised.
    async fn work(&self) {
        self.queue.add(&job(2000, 1)).await.unwrap();
        let id = claim_id(&self.queue).await;
        let order = order();
        let feed = Feed { job: id, order: &order, version: "1", line: Line::Others, model: ANY_MODEL };
        assert!(self.gateway.assign(&feed, b"recording").await.unwrap());
        self.gateway.announce(true).await.unwrap();
        self.worker.check().await.unwrap();
        self.worker.wait(LONG).await.unwrap();
        assert_eq!(self.worker.accounts().await.unwrap(), [ACCOUNT]);
        let lease = self.worker.take(ACCOUNT, Candidates::All, &[]).await.unwrap().expect("it waits");
        assert_eq!(self.worker.recording(&lease).await.unwrap().as_deref(), Some(&b"recording"[..]));
        let (worker, stretch) = (&self.worker, Stretch::default());
        assert!(worker.begin(&lease).await.unwrap() && worker.renew(&lease).await.unwrap());
        assert!(worker.publish(&lease, &stretch, true).await.unwrap());
        worker.beat(&Default::default()).await.unwrap();
        assert_eq!(self.gateway.news().await.unwrap(), [id]);
        let outcome = self.gateway.read(id, 0).await.unwrap().and_then(|it| it.outcome);
        assert_eq!(outcome, Some(Outcome::Recognised { length: 0 }));
        assert_eq!(self.gateway.workers().await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_meets_over_tls_by_an_access_list_and_through_a_socket() {
    let certificates = Certificates::new();
    let path = |name: &str| certificates.path(name).display().to_string();
    let (port, certificate, key, ca) =
        (RedisServer::free_port().to_string(), path("server.pem"), path("server.key"), path("ca.pem"));
    let folder = Folder::new("socket");
    let socket = folder.path().join("redis.sock").display().to_string();
    let files = ["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let more = ["--tls-port", &port, "--tls-auth-clients", "no", "--unixsocket", &socket];
    let redis = RedisServer::start(&[&files[..], &more].concat());
    // What OPERATING says.
    let grant = "ACL SETUSER stenogram on >hunter2 ~{stenogram:*}* +@all";
    redis.command::<()>(&grant.split(' ').collect::<Vec<_>>());
    let tls = TlsFiles { ca: Some(certificates.path("ca.pem")), client: None };
    for (url, tls) in [
        (format!("rediss://localhost:{port}/0"), Some(tls)),
        (format!("redis://stenogram:hunter2@127.0.0.1:{}/0", redis.port()), None),
        (format!("redis+unix://{socket}"), None),
    ] {
        Sides::over(ServerOptions { tls, ..ServerOptions::of_url(url) }).await.work().await;
        redis.command::<()>(&["FLUSHALL"]);
    }
}

/// The recording is in the memory of the old master alone, so it is handed over again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_outlives_a_failover_and_the_recording_is_sent_again() {
    let (_master, replica, sentinel) = start(Duration::from_secs(60)).await;
    let sides = Sides::over(sentinel_options(&[sentinel.port()], "mymaster").server).await;
    let Sides { queue, gateway, worker } = &sides;
    queue.add(&job(2000, 1)).await.unwrap();
    let id = claim_id(queue).await;
    let order = order();
    let feed = Feed { job: id, order: &order, version: "1", line: Line::Others, model: ANY_MODEL };
    assert!(gateway.assign(&feed, b"recording").await.unwrap());
    let lease = worker.take(ACCOUNT, Candidates::All, &[]).await.unwrap().expect("it waits");
    let key = format!("{{stenogram:{ACCOUNT}}}:assignment:{id}");
    until(async || {
        let state: Option<String> = replica.command(&["HGET", &key, "state"]);
        (state.as_deref() == Some("leased")).then_some(())
    })
    .await;
    // A Sentinel promotes no replica whose link to the master it has not seen yet.
    until(async || {
        let known: Vec<Vec<String>> = sentinel.command(&["SENTINEL", "REPLICAS", "mymaster"]);
        let mut fields = known.iter().flat_map(|fields| fields.chunks(2));
        fields.any(|field| field == ["master-link-status", "ok"]).then_some(())
    })
    .await;
    sentinel.command::<()>(&["SENTINEL", "FAILOVER", "mymaster"]);
    // The replica ends all connections when it becomes the master, so the Sentinel is asked.
    until(async || {
        let named: (String, u16) = sentinel.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"]);
        (named.1 == replica.port()).then_some(())
    })
    .await;
    // The old master answers until the Sentinel has made it a replica.
    until(async || matches!(worker.recording(&lease).await, Ok(None)).then_some(())).await;
    assert!(patiently(async || worker.renew(&lease).await).await, "the lease holds");
    assert!(patiently(async || worker.miss(&lease).await).await);
    let standing = patiently(async || gateway.read(id, 0).await).await;
    assert_eq!(standing.map(|it| it.state), Some(State::Unfed));
    assert!(patiently(async || gateway.assign(&feed, b"once more").await).await);
    let lease = patiently(async || worker.take(ACCOUNT, Candidates::All, &[]).await).await.expect("it waits");
    assert_eq!(worker.recording(&lease).await.unwrap().as_deref(), Some(&b"once more"[..]));
}
