//! How a proxy is asked for a connection to an address.

use std::io;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::domain::ProxyLogin;

/// The head of an HTTP proxy's answer has this many bytes at most.
const MAX_HEAD: usize = 8192;

/// Asks a SOCKS5 proxy for a connection to `target`; afterwards `stream` is that connection. The
/// names are those of <https://www.rfc-editor.org/rfc/rfc1928>.
pub(super) async fn socks5<S>(
    stream: &mut S,
    login: Option<&ProxyLogin>,
    target: SocketAddr,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    const VERSION: u8 = 5;
    const NO_AUTHENTICATION: u8 = 0;
    const USERNAME_PASSWORD: u8 = 2;
    const CONNECT: u8 = 1;

    let methods: &[u8] =
        if login.is_some() { &[NO_AUTHENTICATION, USERNAME_PASSWORD] } else { &[NO_AUTHENTICATION] };
    stream.write_all(&[&[VERSION, methods.len() as u8], methods].concat()).await?;
    let [version, method] = read(stream).await?;
    if version != VERSION {
        return Err(wrong("what answers there is no SOCKS5 proxy"));
    }
    match (method, login) {
        (NO_AUTHENTICATION, _) => {}
        (USERNAME_PASSWORD, Some(login)) => log_in(stream, login).await?,
        (_, None) => return Err(wrong("it wants a user and a password")),
        (_, Some(_)) => return Err(wrong("it wants another kind of login than a user and a password")),
    }
    let mut request = vec![VERSION, CONNECT, 0];
    request.extend(address(target));
    stream.write_all(&request).await?;
    let [version, reply, _, kind] = read(stream).await?;
    if version != VERSION {
        return Err(wrong("what answers there is no SOCKS5 proxy"));
    }
    if reply != 0 {
        return Err(wrong(&format!("it cannot connect to {target}: {}", meaning_of(reply))));
    }
    // The address from which the proxy connects, which nobody needs.
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await?),
        _ => return Err(wrong("its answer makes no sense")),
    };
    stream.read_exact(&mut vec![0; length + 2]).await.map(drop)
}

/// <https://www.rfc-editor.org/rfc/rfc1929>
async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, login: &ProxyLogin) -> io::Result<()> {
    const VERSION: u8 = 1;
    let (user, password) = (login.user.as_bytes(), login.password.expose().as_bytes());
    let length =
        |text: &[u8]| u8::try_from(text.len()).map_err(|_| wrong("the user or the password is too long"));
    let mut message = vec![VERSION, length(user)?];
    message.extend(user);
    message.push(length(password)?);
    message.extend(password);
    stream.write_all(&message).await?;
    match read(stream).await? {
        [_, 0] => Ok(()),
        _ => Err(wrong("it refuses the user or the password")),
    }
}

/// ATYP, DST.ADDR and DST.PORT.
fn address(target: SocketAddr) -> Vec<u8> {
    let mut bytes = match target {
        SocketAddr::V4(target) => [&[1][..], &target.ip().octets()].concat(),
        SocketAddr::V6(target) => [&[4][..], &target.ip().octets()].concat(),
    };
    bytes.extend(target.port().to_be_bytes());
    bytes
}

/// What the reply of a proxy means (RFC 1928, section 6).
fn meaning_of(reply: u8) -> &'static str {
    match reply {
        1 => "it has trouble of its own",
        2 => "its rules do not allow it",
        3 => "the network is unreachable",
        4 => "the host is unreachable",
        5 => "connection refused",
        6 => "the connection took too long",
        7 => "it does not know the command",
        8 => "it does not know this kind of address",
        _ => "for a reason that is not in the standard",
    }
}

/// Asks an HTTP proxy for a connection to `target`; afterwards `stream` is that connection.
pub(super) async fn http_connect<S>(
    stream: &mut S,
    login: Option<&ProxyLogin>,
    target: SocketAddr,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(ProxyLogin { user, password }) = login {
        let encoded = BASE64.encode(format!("{user}:{}", password.expose()));
        request += &format!("Proxy-Authorization: Basic {encoded}\r\n");
    }
    request += "\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    // Byte by byte: what follows the head belongs to the connection.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(wrong("what answers there is no HTTP proxy"));
        }
        head.push(stream.read_u8().await?);
    }
    let status = std::str::from_utf8(&head).ok().and_then(|head| head.strip_prefix("HTTP/1."));
    let status = status.and_then(|head| head.get(2..5)).and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(200..300) => Ok(()),
        Some(407) => Err(wrong("it wants another user or password (407)")),
        Some(403) => Err(wrong(&format!("it does not allow a connection to {target} (403)"))),
        Some(status) => Err(wrong(&format!("it cannot connect to {target}: it answers {status}"))),
        None => Err(wrong("what answers there is no HTTP proxy")),
    }
}

async fn read<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn wrong(why: &str) -> io::Error {
    io::Error::other(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;

    fn login() -> ProxyLogin {
        ProxyLogin { user: "me".to_owned(), password: Secret::new("pw") }
    }

    /// Lets `ask` talk to a proxy that answers with `answers`; returns what it said, and how it
    /// ended.
    async fn talk(
        answers: &[&[u8]],
        ask: impl AsyncFnOnce(&mut tokio::io::DuplexStream) -> io::Result<()>,
    ) -> (Vec<u8>, Result<(), String>) {
        let (mut ours, mut theirs) = tokio::io::duplex(4096);
        theirs.write_all(&answers.concat()).await.unwrap();
        let result = ask(&mut ours).await.map_err(|error| error.to_string());
        drop(ours);
        let mut said = Vec::new();
        theirs.read_to_end(&mut said).await.unwrap();
        (said, result)
    }

    #[tokio::test]
    async fn the_bytes_of_socks5_are_those_of_the_standard() {
        let target = "149.154.167.50:443".parse().unwrap();
        let granted: &[u8] = &[5, 0, 0, 1, 10, 0, 0, 1, 0x1f, 0x90];
        let (said, result) = talk(&[&[5, 0], granted], async |s| socks5(s, None, target).await).await;
        assert_eq!(result, Ok(()));
        assert_eq!(said, [&[5, 1, 0][..], &[5, 1, 0, 1, 149, 154, 167, 50, 1, 0xbb]].concat());

        let me = login();
        let answers: [&[u8]; 3] = [&[5, 2], &[1, 0], granted];
        let (said, result) = talk(&answers, async |s| socks5(s, Some(&me), target).await).await;
        assert_eq!(result, Ok(()));
        let expected = [&[5, 2, 0, 2][..], b"\x01\x02me\x02pw", &[5, 1, 0, 1, 149, 154, 167, 50, 1, 0xbb]];
        assert_eq!(said, expected.concat());

        // An IPv6 address, and a proxy that answers with a name.
        let target = "[2001:db8::1]:443".parse().unwrap();
        let answers: [&[u8]; 2] = [&[5, 0], b"\x05\x00\x00\x03\x03abc\x00\x50"];
        let (said, result) = talk(&answers, async |s| socks5(s, None, target).await).await;
        assert_eq!(result, Ok(()));
        assert_eq!(said[3..], [&[5, 1, 0, 4, 0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1, 1, 0xbb]].concat());
    }

    #[tokio::test]
    async fn a_socks5_proxy_that_refuses_is_understood() {
        let me = login();
        for (answers, login, expected) in [
            (&[&[5, 0xff][..]][..], None, "wants a user and a password"),
            (&[&[5, 0xff]], Some(&me), "another kind of login"),
            (&[&[5, 2], &[1, 1]], Some(&me), "refuses the user or the password"),
            (&[&[5, 0], &[5, 5, 0, 1]], None, "149.154.167.50:443: connection refused"),
            (&[&[5, 0], &[5, 99, 0, 1]], None, "not in the standard"),
            (&[b"HTTP/1.1 400"], None, "no SOCKS5 proxy"),
        ] {
            let target = "149.154.167.50:443".parse().unwrap();
            let (_, result) = talk(answers, async |s| socks5(s, login, target).await).await;
            let error = result.unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[tokio::test]
    async fn an_http_proxy_is_asked_to_connect() {
        let target = "149.154.167.50:443".parse().unwrap();
        let me = login();
        let answer = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nof the connection";
        let (mut ours, mut theirs) = tokio::io::duplex(4096);
        theirs.write_all(answer).await.unwrap();
        http_connect(&mut ours, Some(&me), target).await.unwrap();
        let mut rest = [0; 17];
        ours.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"of the connection");
        drop(ours);
        let mut said = String::new();
        theirs.read_to_string(&mut said).await.unwrap();
        assert_eq!(
            said,
            "CONNECT 149.154.167.50:443 HTTP/1.1\r\nHost: 149.154.167.50:443\r\n\
             Proxy-Authorization: Basic bWU6cHc=\r\n\r\n"
        );
        for (answer, expected) in [
            (&b"HTTP/1.0 407 Proxy Authentication Required\r\n\r\n"[..], "user or password (407)"),
            (b"HTTP/1.1 403 Forbidden\r\n\r\n", "does not allow"),
            (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "answers 502"),
            (b"SSH-2.0-OpenSSH\r\n\r\n", "no HTTP proxy"),
        ] {
            let (_, result) = talk(&[answer], async |s| http_connect(s, None, target).await).await;
            let error = result.unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
