//! Questions about the server, and about people.

use grammers_tl_types::{enums, functions as f, types};

use super::{Answer, Context, access};
use crate::tl_build;
use crate::world::World;

pub fn get_config(context: &mut Context, _: f::help::GetConfig) -> Answer<f::help::GetConfig> {
    let World { addresses, media_addresses, settings, .. } = &*context.world;
    let media_addresses = if settings.media_addresses { &media_addresses[..] } else { &[] };
    Ok(tl_build::config(context.dc, addresses, media_addresses))
}

pub fn get_app_config(
    context: &mut Context,
    request: f::help::GetAppConfig,
) -> Answer<f::help::GetAppConfig> {
    let login = &context.world.login;
    let hash = 1 + login.freezes;
    if request.hash == hash {
        return Ok(enums::help::AppConfig::NotModified);
    }
    let frozen = login.frozen.as_ref().filter(|freeze| freeze.in_config);
    Ok(tl_build::app_config(frozen, hash))
}

pub fn get_nearest_dc(context: &mut Context, _: f::help::GetNearestDc) -> Answer<f::help::GetNearestDc> {
    let nearest_dc = context.world.login.home;
    Ok(types::NearestDc { country: "XX".to_owned(), this_dc: context.dc, nearest_dc }.into())
}

pub fn update_status(_: &mut Context, _: f::account::UpdateStatus) -> Answer<f::account::UpdateStatus> {
    Ok(true)
}

pub fn get_users(context: &mut Context, request: f::users::GetUsers) -> Answer<f::users::GetUsers> {
    let context = &*context;
    let describe = |input: &enums::InputUser| {
        let peers = &context.world.peers;
        let user = access::user(context, input).and_then(|id| peers.user(id));
        user.map_or(types::UserEmpty { id: 0 }.into(), |user| tl_build::user(user, peers, false))
    };
    Ok(request.id.iter().map(describe).collect())
}
