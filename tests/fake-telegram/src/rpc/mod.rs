//! Requests: from bytes to a handler and back.

mod access;
mod auth;
mod files;
#[cfg(test)]
mod garbage;
mod help;
mod messages;
mod sending;
mod updates;

use std::time::{Duration, Instant};

use grammers_tl_types::{
    Cursor, Deserializable, Identifiable, RemoteCall, Serializable, deserialize, enums, functions as f,
    name_for_id, types,
};

use crate::connection::Link;
use crate::faults::{Action, strike};
use crate::ledger::{Call, ClientInfo};
use crate::protocol::crypto::KeyId;
use crate::protocol::message::constructor;
use crate::world::World;
use crate::world::login::Revocation;

/// What becomes of a request.
pub enum Outcome {
    Answer(Vec<u8>),
    AnswerAfter(Duration, Vec<u8>),
    /// No answer will ever come.
    Nothing,
    /// The connection is cut.
    Drop,
}

/// An error as clients are told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    pub code: i32,
    pub text: String,
}

impl RpcError {
    pub fn new(code: i32, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// The client asked for something that cannot be.
    pub fn bad_request(text: &str) -> Self {
        Self::new(400, text)
    }
}

impl From<RpcError> for enums::RpcError {
    fn from(RpcError { code, text }: RpcError) -> Self {
        types::RpcError { error_code: code, error_message: text }.into()
    }
}

/// A request being handled.
pub struct Context<'a> {
    pub world: &'a mut World,
    /// The datacentre that was asked, and the client's key there.
    pub dc: i32,
    pub key: KeyId,
    /// At its address for files.
    pub media_only: bool,
    pub connection: u64,
    /// What the fault rules want of this request.
    pub action: Option<Action>,
}

/// Requests up to this many bytes cannot nest deep enough to overflow a thread's usual 2 MiB.
const SHALLOW: usize = 1024;
/// No request but a part of an upload is longer, in bytes.
const MAX_REQUEST: usize = 64 * 1024;
/// Enough for the deepest nesting in [`MAX_REQUEST`]; memory is used only as far as it is needed.
const DEEP_STACK: usize = 256 * 1024 * 1024;

/// Handles one request that came in over `connection` to datacentre `dc`.
///
/// The schema's objects may hold each other, and the generated parser recurses without a limit.
pub fn handle(world: &mut World, dc: i32, connection: u64, body: &[u8]) -> Outcome {
    let upload = matches!(
        constructor(body),
        Some(f::upload::SaveFilePart::CONSTRUCTOR_ID | f::upload::SaveBigFilePart::CONSTRUCTOR_ID)
    );
    if upload || body.len() <= SHALLOW {
        return handle_here(world, dc, connection, body);
    }
    let too_long = || Outcome::Answer(error(RpcError::bad_request("INPUT_REQUEST_TOO_LONG")));
    if body.len() > MAX_REQUEST {
        return too_long();
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(DEEP_STACK);
        let handled = thread.spawn_scoped(scope, || handle_here(world, dc, connection, body));
        // Without a thread, or if it panicked, the request is as good as too long.
        handled.ok().and_then(|thread| thread.join().ok()).unwrap_or_else(too_long)
    })
}

fn handle_here(world: &mut World, dc: i32, connection: u64, body: &[u8]) -> Outcome {
    let Some(body) = unwrap(world, body) else {
        return Outcome::Answer(error(RpcError::bad_request("INPUT_FETCH_ERROR")));
    };
    let body = &body[..];
    let method = constructor(body).map_or("", name_for_id);
    tracing::debug!(dc, connection, method, "request");
    let link = world.links.get(&connection);
    let media_only = link.is_some_and(|link| link.media_only);
    let key = link.map(Link::key_id).unwrap_or_default();
    world.calls.push(Call { method, dc, media_only, at: Instant::now() });
    let action = strike(&mut world.faults, method, dc, media_only);
    match &action {
        Some(Action::DropBefore) => return Outcome::Drop,
        Some(Action::Ignore) => return Outcome::Nothing,
        Some(Action::Error { code, text }) => {
            return Outcome::Answer(error(RpcError::new(*code, text.as_str())));
        }
        _ => {}
    }
    let mut context = Context { world, dc, key, media_only, connection, action: action.clone() };
    let answer = dispatch(&mut context, body).unwrap_or_else(error);
    match action {
        Some(Action::DropAfter) => Outcome::Drop,
        Some(Action::LoseAnswer) => Outcome::Nothing,
        Some(Action::DelayMs(delay)) => Outcome::AnswerAfter(Duration::from_millis(delay), answer),
        _ => Outcome::Answer(answer),
    }
}

/// Ends the account's session because it was used over two connections in parallel. The request
/// that showed it is told so; to all that follow the key is tied to nobody.
pub fn end_duplicated(world: &mut World) -> Outcome {
    tracing::warn!("parallel use of a datacentre, the session is ended");
    world.login.authorised.clear();
    let (code, text) = Revocation::KeyDuplicated.error();
    Outcome::Answer(error(RpcError::new(code, text)))
}

fn error(error: RpcError) -> Vec<u8> {
    enums::RpcError::from(error).to_bytes()
}

/// The rest of a request, not yet parsed.
struct Rest(Vec<u8>);

impl Deserializable for Rest {
    fn deserialize(cursor: &mut Cursor) -> deserialize::Result<Self> {
        let mut rest = Vec::new();
        cursor.read_to_end(&mut rest)?;
        Ok(Self(rest))
    }
}

/// How deep requests may be wrapped.
const MAX_WRAPPERS: usize = 8;

/// Takes a request out of invokeWithLayer, initConnection and their like.
///
/// Every layer is served alike: the constructors used here have not changed between layers 229
/// and 230, and a client of another layer gets along as far as it shares them.
fn unwrap(world: &mut World, body: &[u8]) -> Option<Vec<u8>> {
    let mut body = body.to_vec();
    let mut spoken_layer = 0;
    for _ in 0..MAX_WRAPPERS {
        body = match constructor(&body)? {
            f::InvokeWithLayer::<Rest>::CONSTRUCTOR_ID => {
                let wrapper = parse::<f::InvokeWithLayer<Rest>>(&body)?;
                spoken_layer = wrapper.layer;
                wrapper.query.0
            }
            f::InitConnection::<Rest>::CONSTRUCTOR_ID => {
                let wrapper = parse::<f::InitConnection<Rest>>(&body)?;
                world.clients.push(ClientInfo {
                    layer: spoken_layer,
                    api_id: wrapper.api_id,
                    device_model: wrapper.device_model,
                    system_version: wrapper.system_version,
                    app_version: wrapper.app_version,
                });
                wrapper.query.0
            }
            f::InvokeWithoutUpdates::<Rest>::CONSTRUCTOR_ID => {
                parse::<f::InvokeWithoutUpdates<Rest>>(&body)?.query.0
            }
            f::InvokeAfterMsg::<Rest>::CONSTRUCTOR_ID => parse::<f::InvokeAfterMsg<Rest>>(&body)?.query.0,
            _ => return Some(body),
        };
    }
    None
}

/// The fields of a request, after its constructor id.
fn parse<R: Deserializable>(body: &[u8]) -> Option<R> {
    R::from_bytes(body.get(4..)?).ok()
}

/// What a handler answers: the object that the schema says, or an error.
type Answer<R> = Result<<R as RemoteCall>::Return, RpcError>;

fn dispatch(context: &mut Context, body: &[u8]) -> Result<Vec<u8>, RpcError> {
    fn call<R: RemoteCall + Deserializable>(
        context: &mut Context,
        body: &[u8],
        handler: fn(&mut Context, R) -> Answer<R>,
    ) -> Result<Vec<u8>, RpcError>
    where
        R::Return: Serializable,
    {
        let request = parse(body).ok_or_else(|| RpcError::bad_request("INPUT_REQUEST_INVALID"))?;
        handler(context, request).map(|answer| answer.to_bytes())
    }

    macro_rules! methods {
        ($check:path: $($method:ty => $handler:path),+ $(,)?) => {
            match constructor(body) {
                $(Some(<$method>::CONSTRUCTOR_ID) => {
                    $check(context)?;
                    return call::<$method>(context, body, $handler);
                })+
                _ => {}
            }
        };
    }

    methods! { access::anybody:
        f::help::GetConfig => help::get_config,
        f::help::GetAppConfig => help::get_app_config,
        f::help::GetNearestDc => help::get_nearest_dc,
        f::auth::SendCode => auth::send_code,
        f::auth::ExportLoginToken => auth::export_login_token,
        f::auth::SignIn => auth::sign_in,
        f::auth::CheckPassword => auth::check_password,
        f::auth::ImportAuthorization => auth::import_authorization,
        f::account::GetPassword => auth::get_password,
    }
    methods! { access::authorised:
        f::upload::GetFile => files::get_file,
        f::upload::SaveFilePart => files::save_file_part,
        f::upload::SaveBigFilePart => files::save_big_file_part,
    }
    methods! { access::at_home:
        f::auth::ExportAuthorization => auth::export_authorization,
        f::auth::LogOut => auth::log_out,
        f::users::GetUsers => help::get_users,
        f::updates::GetState => updates::get_state,
        f::updates::GetDifference => updates::get_difference,
        f::updates::GetChannelDifference => updates::get_channel_difference,
        f::messages::GetMessages => messages::get_messages,
        f::channels::GetMessages => messages::get_channel_messages,
        f::messages::GetDialogs => messages::get_dialogs,
        f::messages::GetHistory => messages::get_history,
    }
    methods! { access::may_write:
        f::account::UpdateStatus => help::update_status,
        f::messages::SetTyping => messages::set_typing,
        f::messages::SendReaction => sending::send_reaction,
        f::messages::SendMessage => sending::send_message,
        f::messages::SendMedia => sending::send_media,
        f::messages::EditMessage => sending::edit_message,
        f::messages::DeleteMessages => sending::delete_messages,
        f::channels::DeleteMessages => sending::delete_channel_messages,
    }
    tracing::warn!(method = constructor(body).map_or("", name_for_id), "method not served");
    Err(RpcError::bad_request("METHOD_INVALID"))
}
