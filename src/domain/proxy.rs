//! The ways to Telegram: directly, or through a proxy.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::{MtProxy, Secret};

/// A way to Telegram. It prints as its URL without user, password and secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// Without a proxy.
    Direct,
    /// SOCKS version 5 (<https://www.rfc-editor.org/rfc/rfc1928>).
    Socks5(ProxyServer),
    /// An HTTP proxy with the method CONNECT
    /// (<https://www.rfc-editor.org/rfc/rfc9110#name-connect>).
    Http(ProxyServer),
    /// Telegram's own kind of proxy
    /// (<https://core.telegram.org/mtproto/mtproto-transports#transport-obfuscation>).
    MtProxy(MtProxy),
}

/// Where a proxy is, and who we are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyServer {
    /// A name or an address; an IPv6 address has no brackets.
    pub host: String,
    pub port: u16,
    pub login: Option<ProxyLogin>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyLogin {
    pub user: String,
    pub password: Secret,
}

/// Why a text is no [`Proxy`]. It does not repeat the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the URL of a proxy")]
pub struct ParseProxyError;

impl FromStr for Proxy {
    type Err = ParseProxyError;

    /// Reads `direct`, `socks5://[user:password@]host[:port]`, `socks5h://…`, `http://…`, or a link
    /// to an MTProxy. Our target is always an address, so `socks5h`, by which the proxy looks up
    /// its name, is the same.
    fn from_str(text: &str) -> Result<Self, ParseProxyError> {
        if text == "direct" {
            return Ok(Self::Direct);
        }
        if let Some(proxy) = MtProxy::parse(text) {
            return Ok(Self::MtProxy(proxy));
        }
        let (scheme, rest) = text.split_once("://").ok_or(ParseProxyError)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        match scheme {
            "socks5" | "socks5h" => ProxyServer::parse(rest, 1080).map(Self::Socks5),
            "http" => ProxyServer::parse(rest, 8080).map(Self::Http),
            _ => None,
        }
        .ok_or(ParseProxyError)
    }
}

impl ProxyServer {
    fn parse(authority: &str, default_port: u16) -> Option<Self> {
        let (login, server) = match authority.rsplit_once('@') {
            Some((user_info, server)) => (Some(ProxyLogin::parse(user_info)?), server),
            None => (None, authority),
        };
        let (host, port) = match server.rfind(':').filter(|&at| !server[at..].contains(']')) {
            Some(at) => (&server[..at], server[at + 1..].parse().ok().filter(|&port| port > 0)?),
            None => (server, default_port),
        };
        let host = match host.strip_prefix('[') {
            Some(host) => host.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.to_string(),
            None => host.to_owned(),
        };
        is_host(&host).then_some(Self { host, port, login })
    }
}

impl ProxyLogin {
    fn parse(user_info: &str) -> Option<Self> {
        // RFC 1929 gives the length of each in one byte; an empty user is none.
        const MAX_LENGTH: usize = 255;
        let (user, password) = user_info.split_once(':')?;
        let (user, password) = (percent_decoded(user)?, percent_decoded(password)?);
        let fits = (1..=MAX_LENGTH).contains(&user.len()) && password.len() <= MAX_LENGTH;
        fits.then(|| Self { user, password: Secret::new(password) })
    }
}

/// Whether `text` has the form of a name or an address.
pub(super) fn is_host(text: &str) -> bool {
    let in_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    !text.is_empty() && text.chars().all(in_host)
}

pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            bytes.push(is_hex.then(|| u8::from_str_radix(digits, 16).ok())??);
            rest = &rest[2..];
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, ProxyServer { host, port, .. }) = match self {
            Self::Direct => return f.write_str("direct"),
            Self::Socks5(server) => ("socks5", server),
            Self::Http(server) => ("http", server),
            Self::MtProxy(MtProxy { host, port, .. }) => {
                return write!(f, "tg://proxy?server={host}&port={port}");
            }
        };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_show_the_server_and_not_the_password() {
        for (url, shown) in [
            ("direct", "direct"),
            ("socks5://proxy.lan", "socks5://proxy.lan:1080"),
            ("socks5h://me:hunter2@10.0.0.1:9050", "socks5://10.0.0.1:9050"),
            ("http://me:hunter2@proxy.lan/", "http://proxy.lan:8080"),
            ("http://[2001:db8::1]:3128", "http://[2001:db8::1]:3128"),
            (
                "https://t.me/proxy?server=proxy.lan&port=443&secret=hunter2hunter2hunter2h",
                "tg://proxy?server=proxy.lan&port=443",
            ),
        ] {
            let proxy: Proxy = url.parse().unwrap_or_else(|_| panic!("{url}"));
            assert_eq!(proxy.to_string(), shown);
            assert!(!format!("{proxy:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_login_is_decoded() {
        let Ok(Proxy::Socks5(server)) = "socks5://a%40b:p%3A%D0%B9:@h".parse() else { panic!("not parsed") };
        let login = server.login.unwrap();
        assert_eq!((login.user.as_str(), login.password.expose()), ("a@b", "p:й:"));
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        for text in [
            "",
            "Direct",
            "10.0.0.1:1080",
            "https://proxy.lan",
            "socks4://proxy.lan",
            "socks5://",
            "socks5://me@proxy.lan",
            "socks5://:hunter2@proxy.lan",
            "socks5://me:%zz@proxy.lan",
            "socks5://me:%+1@proxy.lan",
            "socks5://me:%ff@proxy.lan",
            "socks5://proxy.lan:0",
            "socks5://proxy.lan:port",
            "socks5://[proxy.lan]",
            "http://proxy.lan/path",
            "http://proxy lan",
            "tg://proxy?server=proxy.lan&port=443&secret=hunter2",
        ] {
            assert_eq!(text.parse::<Proxy>(), Err(ParseProxyError), "{text}");
        }
    }
}
