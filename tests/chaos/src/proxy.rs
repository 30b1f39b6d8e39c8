//! The wire between the daemon and one datacentre, with somebody's hands on it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What is being done to the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Hands {
    /// Connections made while this was smaller are cut.
    cuts: u32,
    /// Connections made while this was smaller carry nothing any more, and nobody is told.
    holes: u32,
    /// New connections are closed at once.
    closed: bool,
    /// Nothing is carried for now.
    stalled: bool,
    /// Everything comes so much later.
    delay: Duration,
}

/// Listens for the daemon and passes on to the server. Runs as long as its tokio runtime.
#[derive(Clone)]
pub struct Proxy {
    hands: watch::Sender<Hands>,
    births: Births,
}

/// When the connections were made that there are.
#[derive(Clone, Default)]
struct Births(Arc<Mutex<Vec<Instant>>>);

impl Births {
    fn lock(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes its connection off the list when it goes.
struct Listed(Births, Instant);

impl Listed {
    fn now(births: Births) -> Self {
        let birth = Instant::now();
        births.lock().push(birth);
        Self(births, birth)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut births = self.0.lock();
        if let Some(at) = births.iter().position(|birth| *birth == self.1) {
            births.swap_remove(at);
        }
    }
}

impl Proxy {
    pub async fn start(listen: SocketAddr, server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let hands = watch::Sender::new(Hands::default());
        let births = Births::default();
        let (watched, list) = (hands.clone(), births.clone());
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                let hands = watched.subscribe();
                if !hands.borrow().closed {
                    let listed = Listed::now(list.clone());
                    tokio::spawn(carry(client, server, hands, listed));
                }
            }
        });
        Ok(Self { hands, births })
    }

    /// When the newest of the connections was made that there are.
    pub fn newest(&self) -> Option<Instant> {
        self.births.lock().iter().max().copied()
    }

    /// Cuts every connection and admits none until [`open`](Self::open).
    pub fn close(&self) {
        self.hands.send_modify(|hands| (hands.cuts, hands.closed) = (hands.cuts + 1, true));
    }

    pub fn open(&self) {
        self.hands.send_modify(|hands| hands.closed = false);
    }

    /// Whether anything sent now goes nowhere, for now.
    pub fn stall(&self, stalled: bool) {
        self.hands.send_modify(|hands| hands.stalled = stalled);
    }

    /// From now on the connections that there are lead nowhere. New ones are well.
    pub fn half_open(&self) {
        self.hands.send_modify(|hands| hands.holes += 1);
    }

    pub fn delay(&self, delay: Duration) {
        self.hands.send_modify(|hands| hands.delay = delay);
    }
}

async fn carry(client: TcpStream, server: SocketAddr, hands: watch::Receiver<Hands>, _listed: Listed) {
    let born = *hands.borrow();
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // The first direction that ends takes the other with it, sockets and all.
    tokio::select! {
        () = pump(from_client, to_server, born, hands.clone()) => {}
        () = pump(from_server, to_client, born, hands) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    born: Hands,
    mut hands: watch::Receiver<Hands>,
) {
    let mut buffer = vec![0; 64 << 10];
    let mut held = 0;
    loop {
        let now = *hands.borrow_and_update();
        if now.cuts != born.cuts {
            return;
        }
        let blocked = now.stalled || now.holes != born.holes;
        if blocked {
            if hands.changed().await.is_err() {
                return;
            }
        } else if held > 0 {
            tokio::time::sleep(now.delay).await;
            if to.write_all(&buffer[..held]).await.is_err() {
                return;
            }
            held = 0;
        } else {
            tokio::select! {
                _ = hands.changed() => {}
                read = from.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(read) => held = read,
                },
            }
        }
    }
}
