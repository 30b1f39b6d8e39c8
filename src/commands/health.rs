//! `stenogram health`: asks the running daemon whether it works.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ureq::Agent;

use super::{CommandError, report_error};
use crate::cli::Health;
use crate::config::Config;
use crate::doctor::problems::DAEMON_STOPPED;
use crate::health::readiness::Report;

/// The daemon itself waits up to four seconds for its queue.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Prints what is wrong, or that the daemon is alive or ready. Returns 1 if something is wrong.
pub fn run(config: &Config, args: &Health, out: &mut impl Write) -> Result<usize, CommandError> {
    let Some(health) = &config.health else {
        report_error("HEALTH_ADDRESS is off, so the daemon cannot be asked; set an address and restart it");
        return Ok(1);
    };
    let path = if args.live { "livez" } else { "readyz" };
    let report = match ask(health.at, path) {
        Ok(report) => report,
        Err(why) => {
            let what = format!("the daemon does not answer at {} ({why})", health.at);
            report_error(DAEMON_STOPPED.with(what));
            return Ok(1);
        }
    };
    for reason in &report.reasons {
        writeln!(out, "{}: {}", reason.part, reason.reason)?;
    }
    if report.ok {
        writeln!(out, "{}", if args.live { "alive" } else { "ready" })?;
    }
    Ok(usize::from(!report.ok))
}

fn ask(at: SocketAddr, path: &str) -> Result<Report, String> {
    // A daemon that is not ready answers with status 503 and the reasons.
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .build()
        .into();
    let mut answer = Err("no address".to_owned());
    for address in reachable(at) {
        answer = agent.get(format!("http://{address}/{path}")).call().map_err(|error| error.to_string());
        if answer.is_ok() {
            break;
        }
    }
    let text = answer?.body_mut().read_to_string().map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|_| "something else than stenogram answers there".to_owned())
}

/// The addresses at which a daemon that listens at `at` can be reached from this host. One that
/// listens on all addresses is reached on loopback.
fn reachable(at: SocketAddr) -> Vec<SocketAddr> {
    let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
    let hosts = match at.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => vec![v4],
        // It accepts IPv4 too, and the host may have no IPv6.
        IpAddr::V6(ip) if ip.is_unspecified() => vec![v6, v4],
        ip => vec![ip],
    };
    hosts.into_iter().map(|host| SocketAddr::new(host, at.port())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_listens_everywhere_is_asked_on_loopback() {
        let reached =
            |at: &str| reachable(at.parse().unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(reached("0.0.0.0:9464"), ["127.0.0.1:9464"]);
        assert_eq!(reached("[::]:9464"), ["[::1]:9464", "127.0.0.1:9464"]);
        assert_eq!(reached("192.0.2.7:80"), ["192.0.2.7:80"]);
    }
}
