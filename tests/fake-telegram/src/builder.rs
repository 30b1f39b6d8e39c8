//! What may be said of a server before it starts.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::protocol::crypto::AuthKey;
use crate::protocol::key_exchange::KeyExchange;
use crate::protocol::random;
use crate::protocol::srp::Srp;
use crate::server::{Datacentre, Shared};
use crate::settings::Settings;
use crate::telegram::Telegram;
use crate::world::peers::OWNER;
use crate::world::{FILE_DC, World};

/// The datacentre of the account unless told otherwise.
pub(crate) const HOME_DC: i32 = 2;

/// Describes a server to be started.
pub struct Builder {
    home: i32,
    owner: i64,
    logged_in: bool,
    api_hash: Option<String>,
    code: Option<String>,
    password: Option<(String, String)>,
    settings: Settings,
    listen: [SocketAddr; 2],
    advertise: Option<IpAddr>,
    keys: [Option<[u8; 256]>; 2],
    key_exchange: KeyExchange,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            home: HOME_DC,
            owner: OWNER,
            logged_in: true,
            api_hash: None,
            code: None,
            password: None,
            settings: Settings::default(),
            listen: [(Ipv4Addr::LOCALHOST, 0).into(); 2],
            advertise: None,
            keys: [None; 2],
            key_exchange: KeyExchange::default(),
        }
    }
}

impl Builder {
    /// The account lives in datacentre `dc` (2 or 4): a client that logs in elsewhere is sent
    /// there with PHONE_MIGRATE.
    pub fn home_dc(mut self, dc: i32) -> Self {
        self.home = dc;
        self
    }

    /// Whose account it is, by the user's id: one that nobody else here has ([`OWNER`] unless told).
    pub fn owner(mut self, id: i64) -> Self {
        self.owner = id;
        self
    }

    /// The keys are known, but not tied to the account: the client has to log in.
    pub fn logged_out(mut self) -> Self {
        self.logged_in = false;
        self
    }

    /// Any other api_hash than this one is refused with API_ID_INVALID.
    pub fn api_hash(mut self, hash: &str) -> Self {
        self.api_hash = Some(hash.to_owned());
        self
    }

    /// The login code (12345 unless told).
    pub fn login_code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    /// The account's second password, and its hint.
    pub fn password(mut self, password: &str, hint: &str) -> Self {
        self.password = Some((password.to_owned(), hint.to_owned()));
        self
    }

    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Where datacentres 2 and 4 listen; port 0 chooses a free one.
    pub fn listen(mut self, dc2: SocketAddr, dc4: SocketAddr) -> Self {
        self.listen = [dc2, dc4];
        self
    }

    /// The address at which clients reach this machine, if it is not the one listened on.
    pub fn advertise(mut self, address: IpAddr) -> Self {
        self.advertise = Some(address);
        self
    }

    /// The keys of datacentres 2 and 4, instead of random ones.
    pub fn keys(mut self, dc2: [u8; 256], dc4: [u8; 256]) -> Self {
        self.keys = [Some(dc2), Some(dc4)];
        self
    }

    /// How keys are exchanged with clients that have none.
    pub fn key_exchange(mut self, kind: KeyExchange) -> Self {
        self.key_exchange = kind;
        self
    }

    /// Starts the server on the current tokio runtime.
    pub async fn start(self) -> io::Result<Telegram> {
        let mut world = World::new(self.settings, self.home, self.owner);
        world.key_exchange = self.key_exchange;
        if !self.logged_in {
            world.login.authorised.clear();
        }
        world.login.api_hash = self.api_hash;
        if let Some(code) = self.code {
            world.login.code = code;
        }
        world.login.password = self.password.map(|(password, hint)| Srp::new(&password, &hint));

        let shared = Arc::new(Shared::new(world));
        let (mut ordinary, mut media) = (Vec::new(), Vec::new());
        for ((id, address), key) in [HOME_DC, FILE_DC].into_iter().zip(self.listen).zip(self.keys) {
            let key = key.unwrap_or_else(random);
            shared.world().add_key(id, key, None);
            if self.logged_in && id == self.home {
                shared.world().login.authorised.insert((id, AuthKey::new(key).id()));
            }
            ordinary.push(Datacentre::start(&shared, id, key, address, false).await?);
            let any_port = SocketAddr::new(address.ip(), 0);
            media.push(Datacentre::start(&shared, id, key, any_port, true).await?);
        }
        let reachable = |dc: &Arc<Datacentre>| {
            let ip = self.advertise.unwrap_or(dc.address.ip());
            (dc.id, SocketAddr::new(ip, dc.address.port()))
        };
        shared.world().addresses = ordinary.iter().map(reachable).collect();
        shared.world().media_addresses = media.iter().map(reachable).collect();
        let datacentres: Vec<_> = ordinary.into_iter().chain(media).collect();
        Ok(Telegram { shared, datacentres: datacentres.into() })
    }
}
