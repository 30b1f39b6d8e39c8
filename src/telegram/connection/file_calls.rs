//! Chooses the connection over which a file comes, and asks for its chunks.
//!
//! Telegram ends a session that sends requests to a datacentre over two connections in parallel
//! (<https://core.telegram.org/api/errors#406-not-acceptable>, AUTH_KEY_DUPLICATED), except to the
//! addresses that serve files only (`media_only` in help.getConfig). So the files of the home
//! datacentre come from such an address if there is one, and over the main connection otherwise.
//! Every other datacentre has one connection, which is closed before another takes its place.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use grammers_client::tl;
use grammers_session::types::{DcOption, PeerId, PeerInfo, UpdateState, UpdatesState};
use grammers_session::{BoxFuture, Session};
use tokio::time::Instant;
use tracing::debug;

use super::super::session::error::SessionError;
use super::super::session::grammers::AccountSession;
use super::dialer::Target;
use super::error::CallError;
use super::file_route::FileRoute;
use super::link::Link;
use super::pool::Pool;

impl Link {
    /// Where to ask for the next chunk of a file in datacentre `dc`.
    pub async fn file_route(&self, dc: i32) -> Result<FileRoute<'_>, CallError> {
        let pool = match self.files.pool(dc)? {
            Some(pool) => Some(pool),
            None if dc == self.home => self.open_media_pool().await?,
            None => Some(self.files.add(dc, self.pool_for_files(Arc::clone(&self.context.session)))?),
        };
        Ok(match pool {
            Some(pool) => FileRoute::Own { dc, pool },
            None => FileRoute::Main { _turn: self.files.main_turn.lock().await },
        })
    }

    /// Asks for a chunk of a file. Where another datacentre does not know the account yet, the home
    /// datacentre's authorization is copied there first.
    pub async fn call_for_file<R: tl::RemoteCall>(
        &self,
        route: &FileRoute<'_>,
        request: &R,
    ) -> Result<R::Return, CallError> {
        let (dc, pool) = match route {
            FileRoute::Main { .. } => return self.call(request).await,
            FileRoute::Own { dc, pool } => (*dc, pool),
        };
        let asked = Instant::now();
        let result = self.watch_for_lateness(self.call_over(pool, dc, request)).await;
        match &result {
            Err(error @ CallError::Lost(_))
                if dc == self.home && asked.elapsed() >= self.context.options.call_timeout =>
            {
                self.files.pause_media(error);
                self.files.close_pool(dc, pool);
            }
            // Perhaps only this one file hangs, so the connection is tested first.
            Err(CallError::Lost(_)) if !self.responds(pool, dc, self.context.options.ping_timeout).await => {
                self.files.close_pool(dc, pool);
            }
            // The main connection will show whether the account itself is logged out.
            Err(error) if error.logged_out().is_some() && dc == self.home => {
                self.note_logout(error);
                self.files.pause_media(error);
                self.files.close_pool(dc, pool);
                return Err(CallError::Lost(format!("{error}, at the datacentre's address for files")));
            }
            Err(error) if error.is("AUTH_KEY_DUPLICATED") => self.note_logout(error),
            Err(error) => self.note_restriction(error).await,
            Ok(_) => {}
        }
        result
    }

    async fn call_over<R: tl::RemoteCall>(
        &self,
        pool: &Pool,
        dc: i32,
        request: &R,
    ) -> Result<R::Return, CallError> {
        match pool.call(dc, request).await {
            Err(error)
                if dc != self.home && error.logged_out().is_some() && !error.is("AUTH_KEY_DUPLICATED") =>
            {
                self.copy_authorization(dc, pool).await?;
                pool.call(dc, request).await
            }
            result => result,
        }
    }

    /// <https://core.telegram.org/api/datacenter#authorization-transfer>
    async fn copy_authorization(&self, dc: i32, pool: &Pool) -> Result<(), CallError> {
        let export = tl::functions::auth::ExportAuthorization { dc_id: dc };
        let tl::enums::auth::ExportedAuthorization::Authorization(exported) =
            self.call_for_job(&export).await?;
        let import = tl::functions::auth::ImportAuthorization { id: exported.id, bytes: exported.bytes };
        pool.call_with_retries(dc, &import).await.map(|_| ())
    }

    /// A pool at the home datacentre's address for files; `None` where there is no such address, or
    /// where it does not answer.
    async fn open_media_pool(&self) -> Result<Option<Arc<Pool>>, CallError> {
        // grammers would connect to the ordinary IPv6 address, with which a second connection ends
        // the session.
        if self.files.media_is_paused() || self.context.options.dialer.uses_ipv6() {
            return Ok(None);
        }
        let Some(address) = self.media_address().await else { return Ok(None) };
        let pool = self
            .pool_for_files(Arc::new(MediaSession { session: Arc::clone(&self.context.session), address }));
        if self.responds(&pool, self.home, self.context.options.connect_timeout).await {
            return self.files.add(self.home, pool).map(Some);
        }
        self.files.pause_media(&format_args!("no answer from {address}"));
        Ok(None)
    }

    async fn media_address(&self) -> Option<SocketAddrV4> {
        let asked = self.files.media_address.get_or_try_init(|| async {
            let request = tl::functions::help::GetConfig {};
            let tl::enums::Config::Config(config) = self.call(&request).await?;
            Ok::<_, CallError>(media_address(&config.dc_options, self.home))
        });
        match asked.await {
            Ok(address) => *address,
            Err(error) => {
                debug!(%error, "the datacentre's address for files could not be asked for");
                None
            }
        }
    }

    fn pool_for_files<S>(&self, session: Arc<S>) -> Pool
    where
        S: Session<Error = SessionError> + 'static,
    {
        let options = &self.context.options;
        Pool::open(session, self.context.api_id, options.call_timeout, &options.dialer).0
    }

    /// Whether the connection of `pool` works. A missing connection is made first.
    async fn responds(&self, pool: &Pool, dc: i32, limit: Duration) -> bool {
        pool.call_within(limit, dc, &tl::functions::Ping { ping_id: 0 }).await.is_ok()
    }
}

/// The address of datacentre `dc` that serves files only. grammers connects over IPv4, without
/// obfuscation.
fn media_address(options: &[tl::enums::DcOption], dc: i32) -> Option<SocketAddrV4> {
    options.iter().find_map(|tl::enums::DcOption::Option(option)| {
        let is_for_files = option.id == dc && option.media_only && !option.cdn;
        let is_plain = !option.ipv6 && !option.tcpo_only && option.secret.is_none();
        if !is_for_files || !is_plain {
            return None;
        }
        let ip = option.ip_address.parse().ok()?;
        Some(SocketAddrV4::new(ip, u16::try_from(option.port).ok()?))
    })
}

/// The account's session for a pool at the home datacentre's address for files. Both have the same
/// key.
struct MediaSession {
    session: Arc<AccountSession>,
    address: SocketAddrV4,
}

impl Session for MediaSession {
    type Error = SessionError;

    fn home_dc_id(&self) -> Result<i32, SessionError> {
        self.session.home_dc_id()
    }

    fn set_home_dc_id(&self, dc_id: i32) -> BoxFuture<'_, Result<(), SessionError>> {
        self.session.set_home_dc_id(dc_id)
    }

    fn dc_option(&self, dc_id: i32) -> Result<Option<DcOption>, SessionError> {
        let option = self.session.dc_option(dc_id)?;
        let target = Target { dc: dc_id, address: self.address, files_only: true };
        option.map(|option| self.session.reachable_at(target, option)).transpose()
    }

    /// Passes on a key but no address: the account's session learns addresses over the main
    /// connection. It refuses a new key.
    fn set_dc_option(&self, dc_option: &DcOption) -> BoxFuture<'_, Result<(), SessionError>> {
        let (id, auth_key) = (dc_option.id, dc_option.auth_key);
        Box::pin(async move {
            match self.session.dc_option(id)? {
                Some(known) => self.session.set_dc_option(&DcOption { auth_key, ..known }).await,
                None => Ok(()),
            }
        })
    }

    fn peer(&self, peer: PeerId) -> BoxFuture<'_, Result<Option<PeerInfo>, SessionError>> {
        self.session.peer(peer)
    }

    fn cache_peer(&self, peer: PeerInfo) -> BoxFuture<'_, Result<(), SessionError>> {
        self.session.cache_peer(peer)
    }

    fn updates_state(&self) -> BoxFuture<'_, Result<UpdatesState, SessionError>> {
        self.session.updates_state()
    }

    fn set_update_state(&self, state: UpdateState) -> BoxFuture<'_, Result<(), SessionError>> {
        self.session.set_update_state(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(id: i32, port: i32) -> tl::types::DcOption {
        tl::types::DcOption {
            ipv6: false,
            media_only: true,
            tcpo_only: false,
            cdn: false,
            r#static: false,
            this_port_only: false,
            id,
            ip_address: "149.154.167.151".into(),
            port,
            secret: None,
        }
    }

    #[test]
    fn only_an_address_that_can_be_used_is_taken() {
        let options = [
            tl::types::DcOption { media_only: false, ..option(2, 1) },
            tl::types::DcOption { ipv6: true, ..option(2, 2) },
            tl::types::DcOption { tcpo_only: true, ..option(2, 3) },
            tl::types::DcOption { cdn: true, ..option(2, 4) },
            tl::types::DcOption { secret: Some(vec![1]), ..option(2, 5) },
            option(4, 5),
            tl::types::DcOption { ip_address: "nonsense".into(), ..option(2, 6) },
            option(2, 70_000),
            option(2, 443),
        ];
        let options = options.map(tl::enums::DcOption::Option);
        assert_eq!(media_address(&options, 2), Some("149.154.167.151:443".parse().unwrap()));
        assert_eq!(media_address(&options, 5), None);
    }
}
