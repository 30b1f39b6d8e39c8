//! Which recogniser turns speech into text: whisper.cpp in this process, or a server.

use std::fmt;
use std::str::FromStr;

use super::host;

/// A recogniser as its owner names it. It prints as it is written in RECOGNISER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecogniserAddress {
    /// whisper.cpp in this process.
    Local,
    /// A server with OpenAI's interface for speech.
    Server(ServerUrl),
}

/// The base of a server's addresses, such as `http://gpu:8000/v1`: without user name, query and the
/// slash at the end, because it is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl(String);

/// A text that names no [`RecogniserAddress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither local nor the http:// or https:// address of a server")]
pub struct ParseRecogniserError;

impl FromStr for RecogniserAddress {
    type Err = ParseRecogniserError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "local" { Ok(Self::Local) } else { text.parse().map(Self::Server) }
    }
}

impl fmt::Display for RecogniserAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Server(url) => url.fmt(f),
        }
    }
}

impl FromStr for ServerUrl {
    type Err = ParseRecogniserError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Self(text.trim_end_matches('/').to_owned());
        let is_known = text.starts_with("http://") || text.starts_with("https://");
        let in_url = |c: char| c.is_ascii_alphanumeric() || "-._~%:/[]".contains(c);
        let rest = url.name();
        let has_host =
            is_known && !rest.starts_with('/') && rest.chars().all(in_url) && !url.host().is_empty();
        (has_host && url.has_valid_port()).then_some(url).ok_or(ParseRecogniserError)
    }
}

impl ServerUrl {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address without its scheme, by which logs and metrics call the server.
    pub fn name(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, rest)| rest)
    }

    /// The name or address of the host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        match self.authority().strip_prefix('[') {
            Some(address) => address.split(']').next().unwrap_or_default(),
            None => self.authority().split(':').next().unwrap_or_default(),
        }
    }

    pub fn is_encrypted(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Whether what is sent there stays on this machine or a private network, by the looks of it.
    pub fn is_private(&self) -> bool {
        host::is_private(self.host())
    }

    fn authority(&self) -> &str {
        self.name().split('/').next().unwrap_or_default()
    }

    fn has_valid_port(&self) -> bool {
        let rest = match self.authority().strip_prefix('[') {
            Some(address) => match address.split_once(']') {
                Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => rest,
                _ => return false,
            },
            None => &self.authority()[self.host().len()..],
        };
        let port = rest.strip_prefix(':');
        rest.is_empty() || port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_local_or_a_url_that_holds_no_secret() {
        assert_eq!("local".parse(), Ok(RecogniserAddress::Local));
        for (text, name, host) in [
            ("http://gpu:8000/v1", "gpu:8000/v1", "gpu"),
            ("https://api.openai.com/v1/", "api.openai.com/v1", "api.openai.com"),
            ("http://[fd00::7]:8000", "[fd00::7]:8000", "fd00::7"),
            ("http://192.168.1.7", "192.168.1.7", "192.168.1.7"),
        ] {
            let url: ServerUrl = text.parse().unwrap_or_else(|_| panic!("{text}"));
            assert_eq!((url.name(), url.host()), (name, host));
            assert_eq!(url.is_encrypted(), text.starts_with("https"));
            assert_eq!(RecogniserAddress::Server(url).to_string(), text.trim_end_matches('/'));
        }
        for bad in [
            "",
            "Local",
            "gpu:8000",
            "ftp://gpu",
            "http://",
            "http:///v1",
            "http://:8000",
            "http://gpu:0",
            "http://gpu:x/v1",
            "http://me:secret@gpu/v1",
            "http://gpu/v1?key=secret",
            "http://gpu/v1#x",
            "http://gp u",
            "http://[fd00::7",
            "http://[gpu]/v1",
            "http://gpu\"/v1",
        ] {
            assert!(bad.parse::<RecogniserAddress>().is_err(), "{bad}");
        }
    }
}
