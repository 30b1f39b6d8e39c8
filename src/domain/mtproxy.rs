//! MTProxy, Telegram's own kind of proxy, and the links in which people share one.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::proxy::{is_host, percent_decoded};

/// What a link to an MTProxy begins with
/// (<https://core.telegram.org/api/links#mtproxy-links>).
const LINKS: [&str; 4] =
    ["tg://proxy?", "https://t.me/proxy?", "https://telegram.me/proxy?", "https://telegram.dog/proxy?"];

/// Bytes of the key in a secret.
const KEY: usize = 16;
/// The longest name that a secret may give, as in Telegram's own apps.
const MAX_DOMAIN: usize = 182;

/// An MTProxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MtProxy {
    /// A name or an address; an IPv6 address has no brackets.
    pub host: String,
    pub port: u16,
    pub key: MtProxyKey,
    pub disguise: Disguise,
}

/// What a client and an MTProxy both know. Prints as `(hidden)`.
#[derive(Clone, PartialEq, Eq)]
pub struct MtProxyKey([u8; KEY]);

impl MtProxyKey {
    /// The bytes, for the one place that needs them.
    pub fn expose(&self) -> &[u8; KEY] {
        &self.0
    }
}

impl fmt::Debug for MtProxyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// As what a connection to an MTProxy is disguised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disguise {
    /// As random bytes. The lengths of the packets are as they are.
    None,
    /// As random bytes, with random lengths (secrets that begin with `dd`).
    Padding,
    /// As TLS with this host (secrets that begin with `ee`).
    Tls { domain: String },
}

impl MtProxy {
    /// Reads a link. `None` if `text` is none, or a link without a server, a port or a secret.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let query = LINKS.iter().find_map(|link| text.strip_prefix(link))?;
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).and_then(|(_, value)| percent_decoded(value))
        };
        let host = value("server").filter(|host| is_host(host))?;
        let port = value("port")?.parse().ok().filter(|&port| port > 0)?;
        let (key, disguise) = parse_secret(&value("secret")?)?;
        Some(Self { host, port, key, disguise })
    }
}

/// Reads a secret, which is hexadecimal or base64.
fn parse_secret(text: &str) -> Option<(MtProxyKey, Disguise)> {
    let forms = [from_hex(text), from_base64(text)];
    forms.into_iter().flatten().find_map(|bytes| secret(&bytes))
}

fn secret(bytes: &[u8]) -> Option<(MtProxyKey, Disguise)> {
    let (disguise, key) = match bytes {
        [0xdd, rest @ ..] if rest.len() == KEY => (Disguise::Padding, rest),
        [0xee, rest @ ..] if rest.len() > KEY => {
            let domain = std::str::from_utf8(&rest[KEY..]).ok()?;
            if domain.len() > MAX_DOMAIN || !is_host(domain) {
                return None;
            }
            (Disguise::Tls { domain: domain.to_owned() }, &rest[..KEY])
        }
        all => (Disguise::None, all),
    };
    Some((MtProxyKey(key.try_into().ok()?), disguise))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// Either alphabet, and with `=` at the end or without: links have been copied by many programs.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    [URL_SAFE, STANDARD].iter().find_map(|it| GeneralPurpose::new(it, config).decode(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY_HEX: &str = "000102030405060708090a0b0c0d0eff";

    fn parsed(secret: &str) -> Option<Disguise> {
        let proxy = MtProxy::parse(&format!("tg://proxy?server=proxy.lan&port=443&secret={secret}"))?;
        assert_eq!(proxy.key.expose()[..3], [0, 1, 2], "{secret}");
        assert_eq!(proxy.key.expose()[15], 0xff, "{secret}");
        Some(proxy.disguise)
    }

    #[test]
    fn secrets_are_read_in_each_form_that_people_share() {
        let tls = || Disguise::Tls { domain: "example.com".to_owned() };
        for (secret, disguise) in [
            (KEY_HEX.to_owned(), Disguise::None),
            (KEY_HEX.to_uppercase(), Disguise::None),
            ("AAECAwQFBgcICQoLDA0O_w".to_owned(), Disguise::None),
            ("AAECAwQFBgcICQoLDA0O/w==".to_owned(), Disguise::None),
            ("AAECAwQFBgcICQoLDA0O%2Fw%3D%3D".to_owned(), Disguise::None),
            (format!("dd{KEY_HEX}"), Disguise::Padding),
            ("3QABAgMEBQYHCAkKCwwNDv8".to_owned(), Disguise::Padding),
            (format!("ee{KEY_HEX}6578616d706c652e636f6d"), tls()),
            ("7gABAgMEBQYHCAkKCwwNDv9leGFtcGxlLmNvbQ".to_owned(), tls()),
        ] {
            assert_eq!(parsed(&secret), Some(disguise), "{secret}");
        }
    }

    #[test]
    fn secrets_of_no_known_kind_are_refused() {
        let long_name = "61".repeat(MAX_DOMAIN + 1);
        for secret in [
            String::new(),
            KEY_HEX[2..].to_owned(),
            format!("{KEY_HEX}00"),
            format!("ff{KEY_HEX}"),
            format!("dd{KEY_HEX}00"),
            format!("ee{KEY_HEX}"),
            format!("ee{KEY_HEX}ff"),
            format!("ee{KEY_HEX}0d0a"),
            format!("ee{KEY_HEX}{long_name}"),
            "not a secret!".to_owned(),
        ] {
            assert_eq!(parsed(&secret), None, "{secret}");
        }
    }

    #[test]
    fn every_kind_of_link_is_read() {
        for link in LINKS {
            let proxy = MtProxy::parse(&format!("{link}server=2001:db8::1&port=8443&secret={KEY_HEX}&x=y"));
            let MtProxy { host, port, .. } = proxy.unwrap_or_else(|| panic!("{link}"));
            assert_eq!((host.as_str(), port), ("2001:db8::1", 8443));
        }
        for link in [
            format!("tg://proxy?server=a&secret={KEY_HEX}"),
            format!("tg://proxy?port=1&secret={KEY_HEX}"),
            format!("tg://proxy?server=a&port=0&secret={KEY_HEX}"),
            format!("tg://proxy?server=a&port=65536&secret={KEY_HEX}"),
            format!("tg://proxy?server=a%2Fb&port=1&secret={KEY_HEX}"),
            "tg://proxy?server=a&port=1".to_owned(),
            format!("tg://socks?server=a&port=1&secret={KEY_HEX}"),
            format!("https://example.com/proxy?server=a&port=1&secret={KEY_HEX}"),
        ] {
            assert_eq!(MtProxy::parse(&link), None, "{link}");
        }
    }

    #[test]
    fn the_key_is_not_shown() {
        let proxy = MtProxy::parse(&format!("tg://proxy?server=a&port=1&secret={KEY_HEX}")).unwrap();
        assert!(format!("{proxy:?}").contains("key: (hidden)"), "{proxy:?}");
    }
}
