//! The address of a Redis server, as a URL or in parts.
//!
//! The queue's backend connects to it. Here errors are found before anything is started.

use std::fmt::Write as _;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use crate::domain::Secret;

/// A Redis to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// In the form that the redis crate accepts. It may contain a password. With Sentinel its host
    /// and port are those of the first one, and the master has the rest.
    pub url: Secret,
    /// Host and port, or the socket, and the database, for log lines.
    pub address: String,
    pub sentinel: Option<Sentinel>,
    /// `None` for a connection without TLS.
    pub tls: Option<RedisTls>,
    /// Whether the owner set REDIS_HOST and what goes with it, and not REDIS_URL.
    pub is_in_parts: bool,
}

/// The Sentinels that know which server is the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinel {
    /// Hosts, IPv6 addresses without brackets, and ports. Never empty.
    pub addresses: Vec<(String, u16)>,
    /// The name under which they know the master.
    pub master: String,
}

/// Files in PEM form for a connection with TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// The certificates of the authorities to trust; without it those of the system.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key, where the server wants one.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Accepts a URL of Redis: of a server, with or without TLS, of a socket, or of Sentinels.
pub(super) fn from_url(url: &str) -> Option<Redis> {
    let (scheme, rest) = url.split_once("://")?;
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return None;
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, below) = path.split_once('/').unwrap_or((path, ""));
    let redis = Redis {
        url: Secret::new(url),
        address: String::new(),
        sentinel: None,
        tls: scheme.starts_with("rediss").then(RedisTls::default),
        is_in_parts: false,
    };
    match scheme {
        "redis" | "rediss" => {
            let (_, server) = user_info(authority)?;
            let (host, port) = server_address(server, 6379)?;
            let database = database(if below.is_empty() { "0" } else { below })?;
            Some(Redis { address: address(&host, port, database), ..redis })
        }
        "redis-sentinel" | "rediss-sentinel" if query.is_empty() => {
            let (user_info, servers) = user_info(authority)?;
            let (master, database) = below.split_once('/').unwrap_or((below, "0"));
            let database = self::database(database)?;
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            if master.is_empty() || !master.chars().all(is_name) {
                return None;
            }
            let servers: Vec<_> =
                servers.split(',').map(|server| server_address(server, 26379)).collect::<Option<_>>()?;
            let (host, port) = servers.first()?;
            let scheme = scheme.trim_end_matches("-sentinel");
            let bare = |host: &str| host.trim_matches(['[', ']']).to_owned();
            Some(Redis {
                url: Secret::new(format!("{scheme}://{user_info}{host}:{port}/{database}")),
                address: format!("the master {master} of Sentinel at {host}:{port}, database {database}"),
                sentinel: Some(Sentinel {
                    addresses: servers.iter().map(|(host, port)| (bare(host), *port)).collect(),
                    master: master.to_owned(),
                }),
                ..redis
            })
        }
        "redis+unix" | "unix" => {
            let database = query.split('&').find_map(|pair| pair.strip_prefix("db=")).unwrap_or("0");
            let socket = path.starts_with('/').then_some(path)?;
            let address = format!("{socket}, database {}", self::database(database)?);
            Some(Redis { address, ..redis })
        }
        _ => None,
    }
}

/// Splits user and password, with the `@` behind them, from the servers. A user without a password
/// is refused, because the redis crate would log nobody in.
fn user_info(authority: &str) -> Option<(&str, &str)> {
    let at = authority.rfind('@').map_or(0, |at| at + 1);
    let (user_info, servers) = authority.split_at(at);
    (user_info.is_empty() || user_info.contains(':')).then_some((user_info, servers))
}

/// Host, as [`host`] gives it, and port of a server.
fn server_address(server: &str, default_port: u16) -> Option<(String, u16)> {
    match server.rfind(':').filter(|&at| !server[at..].contains(']')) {
        Some(at) => Some((host(&server[..at])?, port(&server[at + 1..])?)),
        None => Some((host(server)?, default_port)),
    }
}

/// The parts of an address as separate variables have them. `host` is a result of [`host`].
pub(super) struct Parts {
    pub host: String,
    pub port: u16,
    pub database: u16,
    pub user: Option<String>,
    pub password: Option<String>,
    pub has_tls: bool,
}

pub(super) fn from_parts(parts: &Parts) -> Redis {
    let Parts { host, port, database, .. } = parts;
    let user = parts.user.as_deref().map(percent_encoded).unwrap_or_default();
    let password = parts.password.as_deref();
    let user_info = password.map(|password| format!("{user}:{}@", percent_encoded(password)));
    let scheme = if parts.has_tls { "rediss" } else { "redis" };
    Redis {
        url: Secret::new(format!("{scheme}://{}{host}:{port}/{database}", user_info.unwrap_or_default())),
        address: address(host, *port, *database),
        sentinel: None,
        tls: parts.has_tls.then(RedisTls::default),
        is_in_parts: true,
    }
}

fn address(host: &str, port: u16, database: u16) -> String {
    format!("{host}:{port}, database {database}")
}

/// A host as it is written in a URL: a name, an IPv4 address, or an IPv6 address, for which the
/// brackets are added.
pub(super) fn host(text: &str) -> Option<String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<Ipv6Addr>() {
        return Some(format!("[{address}]"));
    }
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (!text.is_empty() && text.chars().all(in_name)).then(|| text.to_owned())
}

pub(super) fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|&port| port > 0)
}

/// Redis has 16 databases by default; its configuration may allow more.
pub(super) fn database(text: &str) -> Option<u16> {
    text.parse().ok()
}

/// Encodes all but the unreserved characters (RFC 3986, section 2.1).
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}"); // writing to a String cannot fail
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_show_the_address_and_not_the_password() {
        for (url, address, has_tls) in [
            ("redis://localhost", "localhost:6379, database 0", false),
            ("redis://localhost/", "localhost:6379, database 0", false),
            ("redis://user:pa%40ss@redis.lan:6380/2", "redis.lan:6380, database 2", false),
            ("redis://:pass@[::1]:6380/2?protocol=resp3", "[::1]:6380, database 2", false),
            ("redis://[::1]", "[::1]:6379, database 0", false),
            ("rediss://:pass@redis.lan/1", "redis.lan:6379, database 1", true),
            ("redis+unix:///run/redis.sock?db=3&pass=pass", "/run/redis.sock, database 3", false),
            ("unix:///run/redis.sock", "/run/redis.sock, database 0", false),
        ] {
            let redis = from_url(url).unwrap_or_else(|| panic!("{url}"));
            assert_eq!(redis.address, address);
            assert_eq!(redis.url.expose(), url);
            assert_eq!((redis.tls.is_some(), &redis.sentinel), (has_tls, &None), "{url}");
            assert!(!format!("{redis:?}").contains("pass"));
        }
    }

    #[test]
    fn urls_of_sentinels_give_the_url_of_the_master_and_where_to_ask() {
        let redis = from_url("rediss-sentinel://me:pass@a,[::1]:26380/mymaster/3").unwrap();
        assert_eq!(redis.url.expose(), "rediss://me:pass@a:26379/3");
        assert_eq!(redis.tls, Some(RedisTls::default()));
        let addresses = vec![("a".to_owned(), 26379), ("::1".to_owned(), 26380)];
        assert_eq!(redis.sentinel, Some(Sentinel { addresses, master: "mymaster".to_owned() }));
        assert!(!format!("{redis:?}").contains("pass"));
        let redis = from_url("redis-sentinel://a:1/m").unwrap();
        assert_eq!((redis.url.expose(), redis.tls), ("redis://a:1/0", None));
    }

    #[test]
    fn urls_that_redis_could_not_use_are_refused() {
        for url in [
            "",
            "localhost:6379",
            "rediss://localhost/#insecure",
            "http://localhost",
            "redis://",
            "redis://:pass@",
            "redis://pass@localhost",
            "redis://localhost:0",
            "redis://localhost:99999",
            "redis://localhost:6379/first",
            "redis://a,b/0",
            "redis://local host",
            "redis+unix://run/redis.sock",
            "redis+unix:///run/redis.sock?db=x",
            "redis-sentinel://a:26379",
            "redis-sentinel://a:26379/",
            "redis-sentinel://a,,b/mymaster",
            "redis-sentinel://a/my master",
            "redis-sentinel://a/mymaster/x",
            "redis-sentinel://a/mymaster?db=1",
        ] {
            assert_eq!(from_url(url), None, "{url}");
        }
    }

    #[test]
    fn parts_make_a_url_whatever_the_password() {
        let parts = |user: Option<&str>, password: Option<&str>, has_tls| Parts {
            host: "redis".to_owned(),
            port: 6379,
            database: 1,
            user: user.map(str::to_owned),
            password: password.map(str::to_owned),
            has_tls,
        };
        for (parts, url) in [
            (parts(None, None, false), "redis://redis:6379/1"),
            (parts(None, Some("p@ss/wörd"), false), "redis://:p%40ss%2Fw%C3%B6rd@redis:6379/1"),
            (parts(Some("a:b"), Some("pass"), true), "rediss://a%3Ab:pass@redis:6379/1"),
        ] {
            let redis = from_parts(&parts);
            assert_eq!(redis.url.expose(), url);
            assert_eq!(from_url(url), Some(Redis { is_in_parts: false, ..redis }));
        }
    }

    #[test]
    fn a_host_is_a_host_alone() {
        assert_eq!(host("redis").as_deref(), Some("redis"));
        assert_eq!(host("::1").as_deref(), Some("[::1]"));
        assert_eq!(host("[::1]").as_deref(), Some("[::1]"));
        for bad in ["", "redis:6379", "redis://redis", "a b", "user@redis"] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }
}
