//! Servers with a certificate of a private authority.

use std::net::SocketAddr;

use fake_telegram::Telegram;
use stenogram::speech::{RecogniseOptions, RecogniserOptions};
use support::certificates::Certificates;
use support::daemon::Home;
use support::doctor::Report;
use support::http::{Reply, Server};
use support::tls;

use super::{SpeechServerOptions, recognise, recognisers, says, server};

async fn encrypted(stub: &Server, certificates: &Certificates) -> String {
    let base = stub.base();
    let address: SocketAddr =
        base["http://".len()..].split('/').next().and_then(|it| it.parse().ok()).expect("its address");
    format!("https://{}/v1", tls::in_front_of(address, certificates).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_trusted_by_the_authority_that_its_owner_names_and_by_no_other() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let stub = Server::start(|_, _| says("One two three."));
    let url = encrypted(&stub, &certificates).await;
    for (ca, is_trusted) in
        [(Some(certificates.path("ca.pem")), true), (Some(others.path("ca.pem")), false), (None, false)]
    {
        let options = SpeechServerOptions { ca, ..server(&url) };
        let recognisers = recognisers(vec![RecogniserOptions::Server(options)]).await;
        let heard = recognise(&recognisers, RecogniseOptions::default()).await;
        match heard {
            Ok(heard) => assert!(is_trusted && heard.transcript.text() == "One two three.", "{heard:?}"),
            Err(error) => {
                let error = error.to_string();
                assert!(!is_trusted && error.contains("has no valid certificate"), "{error}");
                assert!(error.ends_with("[recogniser-refuses]"), "{error}");
            }
        }
    }
    assert_eq!(stub.requests().len(), 1, "who is not trusted gets nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_names_a_file_that_holds_no_authority_and_the_daemon_does_not_start_with_it() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let certificates = Certificates::new();
    let stub = Server::start(|_, _| Reply::new(200, br#"{"data":[{"id":"whisper-1"}]}"#));
    let url = encrypted(&stub, &certificates).await;
    let home = |ca: &str| {
        let mut home = Home::new(&telegram);
        home.set("RECOGNISER", &url);
        home.set("RECOGNISER_CA", &certificates.path(ca).display().to_string());
        home
    };
    Report::by(home("ca.pem").command()).has("recogniser", "ok", "answers and has whisper-1", "");
    for (file, why) in [("missing.pem", "cannot be read: No such file"), ("ca.key", "holds no certificate")] {
        let home = home(file);
        let says = format!("{} of RECOGNISER_CA {why}", certificates.path(file).display());
        Report::by(home.command()).has("recogniser", "fail", &says, "name the PEM file of your authority");
        let output = home.command().arg("run").output().expect("run the daemon");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{complaint}");
        assert!(complaint.contains(&says) && complaint.contains("[recogniser-ca]"), "{complaint}");
    }
}
