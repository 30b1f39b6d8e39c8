//! Connects to Telegram's addresses: directly, or through proxies and by no other way.
//!
//! grammers has no seam for a proxy other than its own SOCKS5, so it is given addresses on
//! loopback: what it sends there is passed on over a connection that was made through a proxy.
//! Everything speaks the "full" transport here.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use std::{fmt, io};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::{debug, info};

use super::super::session::contents::DcAddresses;
use super::mtproxy;
use super::proxy::{http_connect, socks5};
use crate::domain::{MtProxy, Proxy, ProxyServer};
use crate::runtime::lock;

/// How long one proxy may take to make a connection, before the next one is tried.
const PROXY_LIMIT: Duration = Duration::from_secs(8);

/// How long an attempt over IPv4 goes on alone before IPv6 is tried too
/// (<https://www.rfc-editor.org/rfc/rfc8305#section-5>).
const HEAD_START: Duration = Duration::from_millis(250);

/// A connection to Telegram, by whatever way.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A datacentre, at one of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    /// An MTProxy is asked for a datacentre by its number.
    pub dc: i32,
    /// Other proxies are asked for its address.
    pub address: SocketAddrV4,
    /// Whether this address serves files only.
    pub files_only: bool,
}

/// The ways to Telegram, the same for everything that connects to it.
#[derive(Clone, Default)]
pub struct Dialer {
    /// `None` without a proxy.
    ways: Option<Arc<Ways>>,
    /// Whether the last direct connection was made over IPv6.
    uses_ipv6: Arc<AtomicBool>,
}

pub(super) struct Ways {
    /// In the order in which they are tried; never empty.
    proxies: Vec<Proxy>,
    /// Which of them made the last connection. It is tried first.
    preferred: AtomicUsize,
    /// The addresses on loopback that lead to Telegram's.
    bridges: Mutex<HashMap<Target, Bridge>>,
}

struct Bridge {
    address: SocketAddrV4,
    task: AbortHandle,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ways.iter().flat_map(|ways| &ways.proxies)).finish()
    }
}

impl Dialer {
    /// Through these proxies, of which the next is tried when one fails; directly if there are
    /// none.
    pub fn new(proxies: &[Proxy]) -> Self {
        let is_direct = proxies.iter().all(|proxy| *proxy == Proxy::Direct);
        let ways = || {
            let (proxies, preferred) = (proxies.to_vec(), AtomicUsize::new(0));
            Arc::new(Ways { proxies, preferred, bridges: Mutex::default() })
        };
        Self { ways: (!is_direct).then(ways), uses_ipv6: Arc::default() }
    }

    /// The ways to choose from; `None` without a proxy.
    pub(super) fn ways(&self) -> Option<&Ways> {
        self.ways.as_deref()
    }

    /// Whether grammers has to connect over IPv6, because the last connection was made so.
    pub fn uses_ipv6(&self) -> bool {
        self.uses_ipv6.load(Ordering::Relaxed)
    }

    /// Connects to a datacentre directly: over IPv4 or, where that fails or is slow, over IPv6.
    pub(super) async fn dial_directly(&self, addresses: DcAddresses) -> io::Result<TcpStream> {
        let ipv4 = addresses.ipv4.into();
        let Some(ipv6) = addresses.ipv6 else { return TcpStream::connect(ipv4).await };
        let (stream, is_ipv6) = first_of(ipv4, ipv6).await?;
        if self.uses_ipv6.swap(is_ipv6, Ordering::Relaxed) != is_ipv6 {
            debug!(is_ipv6, "Telegram is reached over another version of IP");
        }
        Ok(stream)
    }

    /// An address that grammers can connect to and that leads to `target`.
    pub(crate) fn bridge_to(&self, target: Target) -> io::Result<SocketAddrV4> {
        self.ways.as_ref().map_or(Ok(target.address), |ways| ways.bridge_to(target))
    }

    /// The address to which `address` leads, if it is one that [`Dialer::bridge_to`] returned.
    pub(crate) fn behind_bridge(&self, address: SocketAddrV4) -> Option<SocketAddrV4> {
        let bridges = lock(&self.ways.as_ref()?.bridges);
        bridges.iter().find(|(_, bridge)| bridge.address == address).map(|(target, _)| target.address)
    }
}

impl Ways {
    /// The numbers of all ways, the preferred one first.
    pub fn in_order(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.proxies.len();
        let first = self.preferred.load(Ordering::Relaxed);
        (0..count).map(move |step| (first + step) % count)
    }

    pub fn proxy(&self, number: usize) -> &Proxy {
        &self.proxies[number]
    }

    /// Has this way tried first from now on, because it leads to Telegram.
    pub fn prefer(&self, number: usize) {
        if self.preferred.swap(number, Ordering::Relaxed) != number {
            let proxy = self.proxy(number);
            info!(event = "proxy_changed", %proxy, "Telegram is reached by another way");
        }
    }

    /// What it may mean that a proxy takes a connection and then says nothing, for the end of a
    /// message.
    pub fn hint(&self, number: usize) -> &'static str {
        match self.proxy(number) {
            Proxy::MtProxy(_) => "; an MTProxy that does not know the secret does not answer either",
            Proxy::Direct | Proxy::Socks5(_) | Proxy::Http(_) => "",
        }
    }

    /// Connects by one of the ways. The error says why there is no connection.
    pub async fn connect(&self, number: usize, target: Target) -> io::Result<Box<dyn Stream>> {
        let too_late = |_| {
            let why = format!("no answer within {} s{}", PROXY_LIMIT.as_secs(), self.hint(number));
            io::Error::new(io::ErrorKind::TimedOut, why)
        };
        let connected = timeout(PROXY_LIMIT, connect_through(self.proxy(number), target)).await;
        let connected = connected.map_err(too_late).flatten();
        if let Err(error) = &connected {
            debug!(proxy = %self.proxy(number), ?target, %error, "no connection by this way");
        }
        connected
    }

    /// Connects by the first way that makes a connection. The error says what became of each.
    async fn dial(&self, target: Target) -> io::Result<Box<dyn Stream>> {
        let mut failures = Vec::new();
        for number in self.in_order() {
            match self.connect(number, target).await {
                Ok(stream) => {
                    if !target.files_only {
                        self.prefer(number);
                    }
                    return Ok(stream);
                }
                Err(error) => failures.push(format!("{}: {error}", self.proxy(number))),
            }
        }
        Err(io::Error::other(failures.join("; ")))
    }

    fn bridge_to(self: &Arc<Self>, target: Target) -> io::Result<SocketAddrV4> {
        let mut bridges = lock(&self.bridges);
        if let Some(bridge) = bridges.get(&target) {
            return Ok(bridge.address);
        }
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let SocketAddr::V4(address) = listener.local_addr()? else {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        };
        let listener = TcpListener::from_std(listener)?;
        let task = tokio::spawn(serve(listener, Arc::downgrade(self), target)).abort_handle();
        bridges.insert(target, Bridge { address, task });
        Ok(address)
    }
}

impl Drop for Ways {
    fn drop(&mut self) {
        lock(&self.bridges).values().for_each(|bridge| bridge.task.abort());
    }
}

/// Passes on every connection of `listener` to `target`.
async fn serve(listener: TcpListener, ways: Weak<Ways>, target: Target) {
    loop {
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                // Such as too many open files, which may pass.
                debug!(%error, "a connection on loopback was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(ways) = ways.upgrade() else { return };
        tokio::spawn(async move {
            if let Err(error) = pass_on(client, &ways, target).await {
                debug!(%error, "a connection to Telegram ended");
            }
        });
    }
}

/// Ends when either side does: nobody here closes only half of a connection.
async fn pass_on(mut client: TcpStream, ways: &Ways, target: Target) -> io::Result<()> {
    let server = ways.dial(target).await?;
    client.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    tokio::select! {
        sent = tokio::io::copy(&mut from_client, &mut to_server) => sent.map(drop),
        received = tokio::io::copy(&mut from_server, &mut to_client) => received.map(drop),
    }
}

/// Connects to whichever answers first, and returns whether that was `ipv6`.
async fn first_of(ipv4: SocketAddr, ipv6: SocketAddr) -> io::Result<(TcpStream, bool)> {
    let mut over_ipv4 = std::pin::pin!(TcpStream::connect(ipv4));
    let early = timeout(HEAD_START, &mut over_ipv4).await;
    let ipv4_error = match early {
        Ok(Ok(stream)) => return Ok((stream, false)),
        Ok(Err(error)) => error,
        Err(_) => {
            let mut over_ipv6 = std::pin::pin!(TcpStream::connect(ipv6));
            tokio::select! {
                connected = &mut over_ipv4 => match connected {
                    Ok(stream) => return Ok((stream, false)),
                    Err(error) => return match over_ipv6.await {
                        Ok(stream) => Ok((stream, true)),
                        Err(_) => Err(error),
                    },
                },
                connected = &mut over_ipv6 => match connected {
                    Ok(stream) => return Ok((stream, true)),
                    Err(_) => return over_ipv4.await.map(|stream| (stream, false)),
                },
            }
        }
    };
    // Without IPv6 either, the error of IPv4 is the one that means something.
    TcpStream::connect(ipv6).await.map(|stream| (stream, true)).map_err(|_| ipv4_error)
}

async fn connect_through(proxy: &Proxy, target: Target) -> io::Result<Box<dyn Stream>> {
    if target.files_only && matches!(proxy, Proxy::MtProxy(_)) {
        // Some MTProxies lead to the ordinary address instead, where a second connection with the
        // same key ends the session.
        return Err(io::Error::other("an MTProxy is not asked for an address that serves files only"));
    }
    let address = SocketAddr::from(target.address);
    let mut stream = match proxy {
        Proxy::Direct => TcpStream::connect(address).await?,
        Proxy::Socks5(ProxyServer { host, port, .. })
        | Proxy::Http(ProxyServer { host, port, .. })
        | Proxy::MtProxy(MtProxy { host, port, .. }) => TcpStream::connect((host.as_str(), *port)).await?,
    };
    stream.set_nodelay(true)?;
    match proxy {
        Proxy::Direct => {}
        Proxy::Socks5(server) => socks5(&mut stream, server.login.as_ref(), address).await?,
        Proxy::Http(server) => http_connect(&mut stream, server.login.as_ref(), address).await?,
        Proxy::MtProxy(proxy) => return Ok(Box::new(mtproxy::connect(stream, proxy, target.dc).await?)),
    }
    Ok(Box::new(stream))
}
