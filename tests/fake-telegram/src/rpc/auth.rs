//! Logging in and out.

use grammers_tl_types::{enums, functions as f, types};

use super::{Answer, Context, RpcError};
use crate::protocol::{now, random};
use crate::tl_build;

pub fn send_code(context: &mut Context, request: f::auth::SendCode) -> Answer<f::auth::SendCode> {
    check_application(context, &request.api_hash)?;
    let login = &mut context.world.login;
    if context.dc != login.home {
        return Err(RpcError::new(303, format!("PHONE_MIGRATE_{}", login.home)));
    }
    let digits: String = request.phone_number.chars().filter(char::is_ascii_digit).collect();
    if digits.len() < 5 {
        return Err(RpcError::new(406, "PHONE_NUMBER_INVALID"));
    }
    let hash = format!("{:016x}", u64::from_le_bytes(random()));
    login.sent_codes.insert(hash.clone(), digits);
    let length = login.code.len();
    Ok(tl_build::sent_code(hash, length))
}

fn check_application(context: &Context, api_hash: &str) -> Result<(), RpcError> {
    match &context.world.login.api_hash {
        Some(known) if known != api_hash => Err(RpcError::bad_request("API_ID_INVALID")),
        _ => Ok(()),
    }
}

/// The first step of a login by QR code; nobody here can take the others.
pub fn export_login_token(
    context: &mut Context,
    request: f::auth::ExportLoginToken,
) -> Answer<f::auth::ExportLoginToken> {
    check_application(context, &request.api_hash)?;
    Ok(types::auth::LoginToken { expires: now() + 30, token: random::<16>().to_vec() }.into())
}

pub fn sign_in(context: &mut Context, request: f::auth::SignIn) -> Answer<f::auth::SignIn> {
    let login = &mut context.world.login;
    let digits: String = request.phone_number.chars().filter(char::is_ascii_digit).collect();
    if login.sent_codes.get(&request.phone_code_hash) != Some(&digits) {
        return Err(RpcError::bad_request("PHONE_CODE_EXPIRED"));
    }
    match request.phone_code.as_deref() {
        None | Some("") => return Err(RpcError::bad_request("PHONE_CODE_EMPTY")),
        Some(code) if code != login.code => return Err(RpcError::bad_request("PHONE_CODE_INVALID")),
        Some(_) => {}
    }
    if login.password.is_some() {
        login.password_due = true;
        return Err(RpcError::new(401, "SESSION_PASSWORD_NEEDED"));
    }
    login.sent_codes.clear();
    Ok(enter(context))
}

pub fn get_password(context: &mut Context, _: f::account::GetPassword) -> Answer<f::account::GetPassword> {
    Ok(tl_build::password(context.world.login.password.as_ref()))
}

pub fn check_password(
    context: &mut Context,
    request: f::auth::CheckPassword,
) -> Answer<f::auth::CheckPassword> {
    let login = &mut context.world.login;
    if !login.password_due {
        return Err(RpcError::new(401, "AUTH_KEY_UNREGISTERED"));
    }
    let enums::InputCheckPasswordSrp::Srp(proof) = request.password else {
        return Err(RpcError::bad_request("PASSWORD_HASH_INVALID"));
    };
    match &login.password {
        Some(srp) if srp.id != proof.srp_id => return Err(RpcError::bad_request("SRP_ID_INVALID")),
        Some(srp) if !srp.verify(&proof.a, &proof.m1) => {
            return Err(RpcError::bad_request("PASSWORD_HASH_INVALID"));
        }
        _ => {}
    }
    login.password_due = false;
    login.sent_codes.clear();
    Ok(enter(context))
}

/// Ties the key to the account.
fn enter(context: &mut Context) -> enums::auth::Authorization {
    context.world.login.authorised.insert((context.dc, context.key));
    authorization(context)
}

fn authorization(context: &Context) -> enums::auth::Authorization {
    let peers = &context.world.peers;
    let nobody = types::UserEmpty { id: peers.owner() }.into();
    let user = peers.user(peers.owner()).map_or(nobody, |owner| tl_build::user(owner, peers, false));
    tl_build::authorization(user)
}

pub fn export_authorization(
    context: &mut Context,
    request: f::auth::ExportAuthorization,
) -> Answer<f::auth::ExportAuthorization> {
    if !context.world.addresses.iter().any(|(id, _)| *id == request.dc_id) || request.dc_id == context.dc {
        return Err(RpcError::bad_request("DC_ID_INVALID"));
    }
    let ticket = random::<32>().to_vec();
    context.world.login.tickets.insert(ticket.clone(), request.dc_id);
    Ok(types::auth::ExportedAuthorization { id: context.world.peers.owner(), bytes: ticket }.into())
}

pub fn import_authorization(
    context: &mut Context,
    request: f::auth::ImportAuthorization,
) -> Answer<f::auth::ImportAuthorization> {
    let owner = context.world.peers.owner();
    let login = &mut context.world.login;
    if request.id != owner || login.tickets.get(&request.bytes) != Some(&context.dc) {
        return Err(RpcError::bad_request("AUTH_BYTES_INVALID"));
    }
    login.tickets.remove(&request.bytes);
    Ok(enter(context))
}

pub fn log_out(context: &mut Context, _: f::auth::LogOut) -> Answer<f::auth::LogOut> {
    context.world.login.authorised.clear();
    Ok(types::auth::LoggedOut { future_auth_token: None }.into())
}
