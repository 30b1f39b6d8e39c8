//! An unmodified grammers client, connected to the loopback Telegram.

use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use fake_telegram::{FILE_DC, FRIEND, OWNER, Telegram, access_hash};
use grammers_client::Client;
use grammers_client::client::UpdateStream;
use grammers_client::tl;
use grammers_client::update::Update;
use grammers_mtsender::{SenderPool, UpdatesConfiguration};
use grammers_session::Session;
use grammers_session::storages::MemorySession;
use grammers_session::types::{DcOption, PeerAuth, PeerId, PeerInfo, PeerRef, UpdateState};
use tokio::task::JoinHandle;

/// Longer than anything here takes on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub struct Owner {
    pub client: Client,
    pub session: Arc<MemorySession>,
    pub stream: UpdateStream,
    runner: JoinHandle<()>,
}

impl Owner {
    /// Connects with the server's keys, as the owner unless the server wants a login.
    pub async fn connect(telegram: &Telegram) -> Self {
        let session = Arc::new(MemorySession::default());
        let params = telegram.session();
        for id in [2, FILE_DC] {
            let (address, key) = telegram.datacentre(id).unwrap();
            let SocketAddr::V4(ipv4) = address else { panic!("{address}") };
            let ipv6 = SocketAddrV6::new(ipv4.ip().to_ipv6_mapped(), ipv4.port(), 0, 0);
            let option = DcOption { id, ipv4, ipv6, auth_key: Some(key) };
            session.set_dc_option(&option).await.unwrap();
        }
        session.set_home_dc_id(params.home_dc).await.unwrap();
        if params.user.is_some() {
            let auth = Some(PeerAuth::from_hash(access_hash(OWNER)));
            let owner = PeerInfo::User { id: OWNER, auth, bot: Some(false), is_self: Some(true) };
            session.cache_peer(owner).await.unwrap();
        }
        Self::reconnect(session).await
    }

    /// The friend, with the access hash.
    pub fn friend() -> PeerRef {
        PeerRef { id: PeerId::user(FRIEND).unwrap(), auth: PeerAuth::from_hash(access_hash(FRIEND)) }
    }

    /// A new client for the same session, as after a restart.
    pub async fn reconnect(session: Arc<MemorySession>) -> Self {
        let SenderPool { runner, handle, mut updates } = SenderPool::new(session.clone(), 12345);
        let runner = tokio::spawn(runner.run());
        // The pool's own channel holds 100 updates and drops the rest; this one holds them all.
        let (sender, receiver) = tokio::sync::mpsc::channel(100_000);
        tokio::spawn(async move {
            while let Some(update) = updates.recv().await {
                if sender.send(update).await.is_err() {
                    break;
                }
            }
        });
        let client = Client::new(handle);
        if session.updates_state().await.unwrap().pts == 0 {
            // As after a login: without a state to begin with, grammers asks for no difference. A
            // client that is to log in first is refused.
            if let Ok(state) = client.invoke(&tl::functions::updates::GetState {}).await {
                let tl::enums::updates::State::State(state) = state;
                let (pts, date, seq) = (state.pts, state.date, state.seq);
                session.set_update_state(UpdateState::Primary { pts, date, seq }).await.unwrap();
            }
        }
        let configuration = UpdatesConfiguration { catch_up: true };
        let stream = client.stream_updates(receiver, configuration).await.unwrap();
        Self { client, session, stream, runner }
    }

    /// The next new message, errors of a broken connection left aside.
    pub async fn next_message(&mut self) -> grammers_client::update::Message {
        let next = async {
            loop {
                match self.stream.next().await {
                    Ok(Update::NewMessage(message)) => return message,
                    Ok(_) => {}
                    // The client connects anew when asked again.
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(DEADLINE, next).await.expect("a message in time")
    }

    pub async fn next_texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(self.next_message().await.text().to_owned());
        }
        texts
    }

    pub async fn download(&self, message: &grammers_client::message::Message) -> Vec<u8> {
        let media = message.media().expect("media");
        let mut parts = self.client.iter_download(&media);
        let mut bytes = Vec::new();
        while let Some(part) = parts.next().await.unwrap() {
            bytes.extend(part);
        }
        bytes
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.runner.abort();
    }
}
