//! Proxies on loopback: SOCKS5 (<https://www.rfc-editor.org/rfc/rfc1928>,
//! <https://www.rfc-editor.org/rfc/rfc1929>), HTTP with CONNECT, and MTProxies. Blocking, a thread
//! for each direction of each connection.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use crate::mtproxy::{self, Disguise};

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Socks5,
    Http,
    /// Its targets are `dc` and the number of a datacentre. Nobody logs in, but clients know a
    /// secret.
    MtProxy(Disguise),
}

/// A proxy that lets in one user, or everybody.
pub struct ProxyServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    kind: Kind,
    /// User and password.
    login: Option<(String, String)>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Where connections to a target lead instead.
    ways: HashMap<String, SocketAddr>,
    /// The targets that were asked for.
    asked: Vec<String>,
    /// Both sides of each connection, under its number.
    open: HashMap<u64, [TcpStream; 2]>,
    connections: u64,
    /// The addresses from which the proxy has connected to its targets.
    sources: Vec<SocketAddr>,
    is_dead: bool,
}

impl ProxyServer {
    pub fn start(kind: Kind, login: Option<(&str, &str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port for the proxy");
        let address = listener.local_addr().expect("its address");
        let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
        let shared = Arc::new(Shared { kind, login, state: Mutex::default() });
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&served);
                // A client that goes away is none of the proxy's business.
                thread::spawn(move || shared.serve(client));
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, with a login.
    pub fn url(&self) -> String {
        let scheme = match self.shared.kind {
            Kind::Socks5 => "socks5",
            Kind::Http => "http",
            Kind::MtProxy(disguise) => {
                let (ip, port) = (self.address.ip(), self.address.port());
                return format!("tg://proxy?server={ip}&port={port}&secret={}", disguise.secret());
            }
        };
        let login = self.shared.login.as_ref().map(|(user, password)| format!("{user}:{password}@"));
        format!("{scheme}://{}{}", login.unwrap_or_default(), self.address)
    }

    /// Has connections to `target` (`host:port`) lead to `address`.
    pub fn lead(&self, target: impl ToString, address: SocketAddr) {
        self.shared.state().ways.insert(target.to_string(), address);
    }

    /// The targets that were asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.shared.state().asked.clone()
    }

    /// The addresses from which it has connected to targets.
    pub fn sources(&self) -> Vec<SocketAddr> {
        self.shared.state().sources.clone()
    }

    /// Ends all connections, and every new one at once.
    pub fn kill(&self) {
        let mut state = self.shared.state();
        state.is_dead = true;
        for stream in state.open.drain().flat_map(|(_, streams)| streams) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn revive(&self) {
        self.shared.state().is_dead = false;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the proxy panics")
    }

    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let (target, granted, refused): (_, &[u8], &[u8]) = match self.kind {
            // The address is that of the standard's server, which may be left at zero.
            Kind::Socks5 => (
                self.socks5_target(&mut client)?,
                &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0],
                &[5, 5, 0, 1, 0, 0, 0, 0, 0, 0],
            ),
            Kind::Http => (
                self.http_target(&mut client)?,
                b"HTTP/1.1 200 OK\r\n\r\n",
                b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
            ),
            Kind::MtProxy(disguise) => {
                let accepted = mtproxy::accept(&client, disguise)?;
                let (number, datacentre) = self.connect(&client, &format!("dc {}", accepted.dc))?;
                let ended = accepted.pass_on(datacentre);
                self.state().open.remove(&number);
                return ended;
            }
        };
        let server = self.connect(&client, &target);
        client.write_all(if server.is_ok() { granted } else { refused })?;
        let (number, server) = server?;
        let (from, to) = (client.try_clone()?, server.try_clone()?);
        thread::spawn(move || pass_on(from, to));
        pass_on(server, client);
        self.state().open.remove(&number);
        Ok(())
    }

    /// Connects to where `target` leads, and remembers both sides under the number that it gives, to
    /// end them on request.
    fn connect(&self, client: &TcpStream, target: &str) -> io::Result<(u64, TcpStream)> {
        let way = {
            let mut state = self.state();
            state.asked.push(target.to_owned());
            if state.is_dead {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            state.ways.get(target).copied()
        };
        let server = match way {
            Some(address) => TcpStream::connect(address)?,
            None => TcpStream::connect(target)?,
        };
        let mut state = self.state();
        state.sources.push(server.local_addr()?);
        if state.is_dead {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let streams = [client.try_clone()?, server.try_clone()?];
        state.connections += 1;
        let number = state.connections;
        state.open.insert(number, streams);
        Ok((number, server))
    }

    fn socks5_target(&self, client: &mut TcpStream) -> io::Result<String> {
        let [version, methods] = read(client)?;
        let mut offered = vec![0; usize::from(methods)];
        client.read_exact(&mut offered)?;
        let wanted = if self.login.is_some() { 2 } else { 0 };
        if version != 5 || !offered.contains(&wanted) {
            client.write_all(&[5, 0xff])?;
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        client.write_all(&[5, wanted])?;
        if let Some((user, password)) = &self.login {
            let [_version] = read(client)?;
            let given = (short_text(client)?, short_text(client)?);
            let is_right = given == (user.clone(), password.clone());
            client.write_all(&[1, u8::from(!is_right)])?;
            if !is_right {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
        }
        let [_version, _connect, _reserved, kind] = read(client)?;
        let host = match kind {
            1 => Ipv4Addr::from(read::<4>(client)?).to_string(),
            4 => format!("[{}]", Ipv6Addr::from(read::<16>(client)?)),
            _ => short_text(client)?,
        };
        Ok(format!("{host}:{}", u16::from_be_bytes(read(client)?)))
    }

    fn http_target(&self, client: &mut TcpStream) -> io::Result<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(read::<1>(client)?[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        if let Some((user, password)) = &self.login {
            let encoded = base64::Engine::encode(
                &base64::engine::general_purpose::STANDARD,
                format!("{user}:{password}"),
            );
            if !head.contains(&format!("\r\nProxy-Authorization: Basic {encoded}\r\n")) {
                client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")?;
                return Err(io::ErrorKind::PermissionDenied.into());
            }
        }
        let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
        target.map(str::to_owned).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// Passes on every connection of `listener` to `target`.
pub fn forward(listener: TcpListener, target: SocketAddr) {
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(target) else { continue };
            let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { continue };
            thread::spawn(move || pass_on(from, to));
            thread::spawn(move || pass_on(server, client));
        }
    });
}

/// Ends both connections when one of them ends.
fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A text with its length before it, in a byte.
fn short_text(stream: &mut TcpStream) -> io::Result<String> {
    let [length] = read(stream)?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
