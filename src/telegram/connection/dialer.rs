//! Connects to Telegram's addresses: directly, or through proxies and by no other way.
//!
//! grammers has no seam for a proxy other than its own SOCKS5, so it is given addresses on
//! loopback: what it sends there is passed on over a connection that was made through a proxy.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use std::{fmt, io};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::{debug, info};

use super::super::session::contents::DcAddresses;
use super::proxy::{http_connect, socks5};
use crate::domain::Proxy;
use crate::runtime::lock;

/// How long one proxy may take to make a connection, before the next one is tried.
const PROXY_LIMIT: Duration = Duration::from_secs(8);

/// How long an attempt over IPv4 goes on alone before IPv6 is tried too
/// (<https://www.rfc-editor.org/rfc/rfc8305#section-5>).
const HEAD_START: Duration = Duration::from_millis(250);

/// The ways to Telegram, the same for everything that connects to it.
#[derive(Clone, Default)]
pub struct Dialer {
    /// `None` without a proxy.
    ways: Option<Arc<Ways>>,
    /// Whether the last direct connection was made over IPv6.
    uses_ipv6: Arc<AtomicBool>,
}

struct Ways {
    /// In the order in which they are tried; never empty.
    proxies: Vec<Proxy>,
    /// Which of them made the last connection. It is tried first.
    preferred: AtomicUsize,
    /// The addresses on loopback that lead to Telegram's.
    bridges: Mutex<HashMap<SocketAddrV4, Bridge>>,
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

    pub(super) fn has_proxies(&self) -> bool {
        self.ways.is_some()
    }

    /// Whether grammers has to connect over IPv6, because the last connection was made so.
    pub fn uses_ipv6(&self) -> bool {
        self.uses_ipv6.load(Ordering::Relaxed)
    }

    /// Connects to a datacentre: directly over IPv4 or, where that fails or is slow, over IPv6; or
    /// through the proxies to the IPv4 address. The error says what became of each way.
    pub(super) async fn dial_either(&self, addresses: DcAddresses) -> io::Result<TcpStream> {
        if let Some(ways) = &self.ways {
            return ways.dial(addresses.ipv4).await;
        }
        let Some(ipv6) = addresses.ipv6 else { return TcpStream::connect(addresses.ipv4).await };
        let (stream, is_ipv6) = first_of(addresses.ipv4, ipv6).await?;
        if self.uses_ipv6.swap(is_ipv6, Ordering::Relaxed) != is_ipv6 {
            debug!(is_ipv6, "Telegram is reached over another version of IP");
        }
        Ok(stream)
    }

    /// Has the next way tried first, because what the last one led to gave no answer.
    pub(super) fn prefer_another(&self) {
        if let Some(ways) = &self.ways {
            let next = (ways.preferred.load(Ordering::Relaxed) + 1) % ways.proxies.len();
            ways.preferred.store(next, Ordering::Relaxed);
        }
    }

    /// An address that grammers can connect to and that leads to `target`.
    pub(crate) fn bridge_to(&self, target: SocketAddrV4) -> io::Result<SocketAddrV4> {
        self.ways.as_ref().map_or(Ok(target), |ways| ways.bridge_to(target))
    }

    /// The address to which `address` leads, if it is one that [`Dialer::bridge_to`] returned.
    pub(crate) fn behind_bridge(&self, address: SocketAddrV4) -> Option<SocketAddrV4> {
        let bridges = lock(&self.ways.as_ref()?.bridges);
        bridges.iter().find(|(_, bridge)| bridge.address == address).map(|(target, _)| *target)
    }
}

impl Ways {
    async fn dial(&self, target: SocketAddr) -> io::Result<TcpStream> {
        let count = self.proxies.len();
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for number in (0..count).map(|step| (first + step) % count) {
            let proxy = &self.proxies[number];
            let error = match timeout(PROXY_LIMIT, connect_through(proxy, target)).await {
                Ok(Ok(stream)) => {
                    if self.preferred.swap(number, Ordering::Relaxed) != number {
                        info!(event = "proxy_changed", %proxy, "Telegram is reached by another way");
                    }
                    return Ok(stream);
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {} s", PROXY_LIMIT.as_secs()),
            };
            debug!(%proxy, %target, error, "no connection by this way");
            failures.push(format!("{proxy}: {error}"));
        }
        Err(io::Error::other(failures.join("; ")))
    }

    fn bridge_to(self: &Arc<Self>, target: SocketAddrV4) -> io::Result<SocketAddrV4> {
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
        let task = tokio::spawn(serve(listener, Arc::downgrade(self), target.into())).abort_handle();
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
async fn serve(listener: TcpListener, ways: Weak<Ways>, target: SocketAddr) {
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
async fn pass_on(mut client: TcpStream, ways: &Ways, target: SocketAddr) -> io::Result<()> {
    let mut server = ways.dial(target).await?;
    client.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
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

async fn connect_through(proxy: &Proxy, target: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = match proxy {
        Proxy::Direct => TcpStream::connect(target).await?,
        Proxy::Socks5(server) | Proxy::Http(server) => {
            TcpStream::connect((server.host.as_str(), server.port)).await?
        }
    };
    stream.set_nodelay(true)?;
    match proxy {
        Proxy::Direct => {}
        Proxy::Socks5(server) => socks5(&mut stream, server.login.as_ref(), target).await?,
        Proxy::Http(server) => http_connect(&mut stream, server.login.as_ref(), target).await?,
    }
    Ok(stream)
}
