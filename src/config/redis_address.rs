//! The address of a Redis server, as a URL or in parts.
//!
//! The queue's backend connects to it. Here errors are found before anything is started.

use std::fmt::Write as _;
use std::net::Ipv6Addr;

use crate::domain::Secret;

/// A Redis to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// In the form that the redis crate accepts. It may contain a password.
    pub url: Secret,
    /// Host and port, or the socket, and the database, for log lines.
    pub address: String,
}

/// Accepts a URL of Redis without TLS, which our build of the client does not support.
pub(super) fn from_url(url: &str) -> Option<Redis> {
    let (scheme, rest) = url.split_once("://")?;
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return None;
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let address = match scheme {
        "redis" => {
            let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
            let (_, server) = authority.rsplit_once('@').unwrap_or(("", authority));
            let (name, port) = match server.rfind(':').filter(|&at| !server[at..].contains(']')) {
                Some(at) => (&server[..at], port(&server[at + 1..])?),
                None => (server, 6379),
            };
            address(&host(name)?, port, self::database(if database.is_empty() { "0" } else { database })?)
        }
        "redis+unix" | "unix" => {
            let database = query.split('&').find_map(|pair| pair.strip_prefix("db=")).unwrap_or("0");
            let socket = rest.starts_with('/').then_some(rest)?;
            format!("{socket}, database {}", self::database(database)?)
        }
        _ => return None,
    };
    Some(Redis { url: Secret::new(url), address })
}

/// `host` is a result of [`host`].
pub(super) fn from_parts(host: &str, port: u16, database: u16, password: Option<&str>) -> Redis {
    let user_info = password.map(|password| format!(":{}@", percent_encoded(password))).unwrap_or_default();
    Redis {
        url: Secret::new(format!("redis://{user_info}{host}:{port}/{database}")),
        address: address(host, port, database),
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
        for (url, address) in [
            ("redis://localhost", "localhost:6379, database 0"),
            ("redis://localhost/", "localhost:6379, database 0"),
            ("redis://user:pa%40ss@redis.lan:6380/2", "redis.lan:6380, database 2"),
            ("redis://:pass@[::1]:6380/2?protocol=resp3", "[::1]:6380, database 2"),
            ("redis://[::1]", "[::1]:6379, database 0"),
            ("redis+unix:///run/redis.sock?db=3&pass=pass", "/run/redis.sock, database 3"),
            ("unix:///run/redis.sock", "/run/redis.sock, database 0"),
        ] {
            let redis = from_url(url).unwrap_or_else(|| panic!("{url}"));
            assert_eq!(redis.address, address);
            assert_eq!(redis.url.expose(), url);
            assert!(!format!("{redis:?}").contains("pass"));
        }
    }

    #[test]
    fn urls_that_redis_could_not_use_are_refused() {
        for url in [
            "",
            "localhost:6379",
            "rediss://localhost",
            "http://localhost",
            "redis://",
            "redis://:pass@",
            "redis://localhost:0",
            "redis://localhost:99999",
            "redis://localhost:6379/first",
            "redis://local host",
            "redis+unix://run/redis.sock",
            "redis+unix:///run/redis.sock?db=x",
        ] {
            assert_eq!(from_url(url), None, "{url}");
        }
    }

    #[test]
    fn parts_make_a_url_whatever_the_password() {
        let redis = from_parts("redis", 6379, 0, Some("p@ss/wörd"));
        assert_eq!(redis.url.expose(), "redis://:p%40ss%2Fw%C3%B6rd@redis:6379/0");
        assert_eq!(from_url(redis.url.expose()), Some(redis));
        assert_eq!(from_parts("redis", 6379, 1, None).url.expose(), "redis://redis:6379/1");
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
