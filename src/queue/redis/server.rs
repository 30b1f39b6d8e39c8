//! Where Redis is, and how a connection to it is made: directly, with TLS, or to the master that
//! Sentinel names.

use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, ErrorKind,
    FromRedisValue, IntoConnectionInfo as _, RedisConnectionInfo, RedisError, TlsCertificates,
};

use crate::queue::QueueError::Configuration;
use crate::queue::{QueueError, problems};

/// Where Redis is. Not `Debug`: the URL holds the password.
#[derive(Clone)]
pub struct ServerOptions {
    /// `redis://[user][:password@]host[:port][/database]`, or `rediss://…` for TLS. With Sentinel
    /// the master's host and port are taken instead of those in it.
    pub url: String,
    pub sentinel: Option<SentinelOptions>,
    /// For TLS.
    pub tls: Option<TlsFiles>,
    /// Whether the owner gave the address in parts, so that errors name REDIS_PASSWORD and not
    /// REDIS_URL.
    pub is_in_parts: bool,
}

impl ServerOptions {
    /// A server that the URL says everything about.
    pub fn of_url(url: impl Into<String>) -> Self {
        Self { url: url.into(), sentinel: None, tls: None, is_in_parts: false }
    }
}

/// The Sentinels that know which server is the master.
#[derive(Clone, Debug)]
pub struct SentinelOptions {
    /// Hosts and ports.
    pub addresses: Vec<(String, u16)>,
    /// The name under which they know the master.
    pub master: String,
}

/// Files in PEM form.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// The authorities to trust, instead of those that the system trusts.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// A server that can be connected to.
pub(super) struct Server {
    info: ConnectionInfo,
    config: AsyncConnectionConfig,
    sentinel: Option<SentinelOptions>,
}

/// A server's host and port.
pub(super) type Node = (String, u16);

impl Server {
    /// Checks the URL and reads the files; connects to nothing yet.
    pub fn new(options: &ServerOptions, timeout: Duration) -> Result<Self, QueueError> {
        let wrong = |error| {
            let what = format!("the address of Redis is wrong: {error}");
            Configuration(problems::REDIS_ADDRESS.with(what))
        };
        let mut info = options.url.as_str().into_connection_info().map_err(wrong)?;
        if let Some(files) = &options.tls {
            let client = Client::build_with_tls(info, certificates(files)?).map_err(|error| {
                Configuration(problems::REDIS_TLS.with(format!(
                    "a file in REDIS_CA, REDIS_CERT or REDIS_KEY is not what it should be: {error}"
                )))
            })?;
            info = client.get_connection_info().clone();
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        Ok(Self { info, config, sentinel: options.sentinel.clone() })
    }

    /// What messages call it.
    pub fn name(&self) -> String {
        match &self.sentinel {
            Some(sentinel) => format!("the master {} of Sentinel", sentinel.master),
            None => self.info.addr().to_string(),
        }
    }

    pub fn has_tls(&self) -> bool {
        matches!(self.info.addr(), ConnectionAddr::TcpTls { .. })
    }

    pub fn has_sentinel(&self) -> bool {
        self.sentinel.is_some()
    }

    /// Connects, and returns the master's address if a Sentinel was asked for it.
    pub async fn connect(&self) -> Result<(MultiplexedConnection, Option<Node>), RedisError> {
        let Some(sentinel) = &self.sentinel else {
            return Ok((self.open(self.info.clone()).await?, None));
        };
        let mut failures = Vec::new();
        for address in &sentinel.addresses {
            let mut question = redis::cmd("SENTINEL");
            question.arg("GET-MASTER-ADDR-BY-NAME").arg(&sentinel.master);
            let why = match self.ask_sentinel::<Option<Node>>(address, &question).await {
                Ok(Some(master)) => {
                    let info = self.info.clone().set_addr(self.address_of(&master));
                    return Ok((self.open(info).await?, Some(master)));
                }
                Ok(None) => format!("knows no master {}", sentinel.master),
                Err(error) => error.to_string(),
            };
            failures.push(format!("{}:{}: {why}", address.0, address.1));
        }
        let why = failures.join("; ");
        Err((ErrorKind::MasterNameNotFoundBySentinel, "no Sentinel names a master", why).into())
    }

    /// Whether a Sentinel says that `master` is being replaced, or is the master no more.
    pub async fn is_failing_over(&self, master: &Node) -> bool {
        let Some(sentinel) = &self.sentinel else { return false };
        for address in &sentinel.addresses {
            let mut question = redis::cmd("SENTINEL");
            question.arg("MASTER").arg(&sentinel.master);
            let answer: Result<Vec<String>, _> = self.ask_sentinel(address, &question).await;
            // Names and values in turn. A Sentinel that does not answer says nothing.
            let fields = answer.unwrap_or_default();
            let field = |name: &str| {
                fields.chunks_exact(2).find(|pair| pair[0] == name).map_or("", |pair| pair[1].as_str())
            };
            let flags = field("flags");
            let is_other = field("ip") != master.0 || field("port") != master.1.to_string();
            let in_trouble = ["failover", "force_failover", "s_down", "o_down"];
            if !fields.is_empty()
                && (is_other
                    || flags.split(',').any(|flag| in_trouble.iter().any(|bad| flag.starts_with(bad))))
            {
                return true;
            }
        }
        false
    }

    async fn open(&self, info: ConnectionInfo) -> Result<MultiplexedConnection, RedisError> {
        Client::open(info)?.get_multiplexed_async_connection_with_config(&self.config).await
    }

    /// Sends a command to a Sentinel: without a login, and with that of the server if the Sentinel
    /// wants one.
    async fn ask_sentinel<T: FromRedisValue>(
        &self,
        address: &Node,
        question: &redis::Cmd,
    ) -> Result<T, RedisError> {
        let without_login = RedisConnectionInfo::default();
        let info = self.info.clone().set_addr(self.address_of(address));
        let ask = async |info| question.query_async(&mut self.open(info).await?).await;
        match ask(info.clone().set_redis_settings(without_login)).await {
            Err(error) if error.to_string().contains("NOAUTH") => {
                ask(info.clone().set_redis_settings(info.redis_settings().clone().set_db(0))).await
            }
            answer => answer,
        }
    }

    /// This address, to be spoken to as the URL says: with TLS or without.
    fn address_of(&self, (host, port): &Node) -> ConnectionAddr {
        match self.info.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                host: host.clone(),
                port: *port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host.clone(), *port),
        }
    }
}

fn certificates(files: &TlsFiles) -> Result<TlsCertificates, QueueError> {
    let read = |variable: &str, path: &Path| {
        std::fs::read(path).map_err(|error| {
            let what = format!("the file {} of {variable} cannot be read: {error}", path.display());
            Configuration(problems::REDIS_TLS.with(what))
        })
    };
    let root_cert = files.ca.as_deref().map(|path| read("REDIS_CA", path)).transpose()?;
    let client_tls = match &files.client {
        Some((certificate, key)) => Some(ClientTlsConfig {
            client_cert: read("REDIS_CERT", certificate)?,
            client_key: read("REDIS_KEY", key)?,
        }),
        None => None,
    };
    Ok(TlsCertificates { client_tls, root_cert })
}
