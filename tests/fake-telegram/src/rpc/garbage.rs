//! No bytes that a client sends may make the server panic.

use grammers_tl_types::{Serializable, enums, functions as f, types};

use super::{Outcome, handle};
use crate::protocol::message::{Envelope, flatten};
use crate::settings::Settings;
use crate::world::World;
use crate::world::draft::Draft;
use crate::world::peers::{Chat, FRIEND, GROUP, SUPERGROUP, access_hash};

const HOME: i32 = 2;

/// Honest requests, to be mangled.
fn requests() -> Vec<Vec<u8>> {
    let friend = types::InputPeerUser { user_id: FRIEND, access_hash: access_hash(FRIEND) };
    let channel = types::InputChannel { channel_id: 500, access_hash: access_hash(500) };
    let location = types::InputDocumentFileLocation {
        id: 9000,
        access_hash: access_hash(9000),
        file_reference: b"9000/0".to_vec(),
        thumb_size: String::new(),
    };
    let id = vec![types::InputMessageId { id: 1 }.into()];
    vec![
        f::help::GetConfig {}.to_bytes(),
        f::InvokeWithLayer { layer: 1, query: f::updates::GetState {} }.to_bytes(),
        f::users::GetUsers { id: vec![enums::InputUser::UserSelf] }.to_bytes(),
        f::messages::GetMessages { id: id.clone() }.to_bytes(),
        f::channels::GetMessages { channel: channel.clone().into(), id }.to_bytes(),
        f::updates::GetDifference {
            pts: 1,
            pts_limit: None,
            pts_total_limit: None,
            date: 1,
            qts: 0,
            qts_limit: None,
        }
        .to_bytes(),
        f::updates::GetChannelDifference {
            force: false,
            channel: channel.into(),
            filter: enums::ChannelMessagesFilter::Empty,
            pts: 1,
            limit: 10,
        }
        .to_bytes(),
        f::upload::GetFile {
            precise: false,
            cdn_supported: false,
            location: location.into(),
            offset: 0,
            limit: 4096,
        }
        .to_bytes(),
        f::upload::SaveFilePart { file_id: 1, file_part: 0, bytes: vec![1; 9] }.to_bytes(),
        f::messages::GetHistory {
            peer: friend.clone().into(),
            offset_id: 0,
            offset_date: 0,
            add_offset: 0,
            limit: 10,
            max_id: 0,
            min_id: 0,
            hash: 0,
        }
        .to_bytes(),
        f::messages::GetDialogs {
            exclude_pinned: false,
            folder_id: None,
            offset_date: 0,
            offset_id: 0,
            offset_peer: friend.into(),
            limit: 10,
            hash: 0,
        }
        .to_bytes(),
        f::auth::ImportAuthorization { id: 1, bytes: vec![1; 32] }.to_bytes(),
        f::auth::SignIn {
            phone_number: "1".to_owned(),
            phone_code_hash: "2".to_owned(),
            phone_code: None,
            email_verification: None,
        }
        .to_bytes(),
    ]
}

/// A small generator, so that a failure can be repeated (Marsaglia's xorshift).
fn random_numbers(mut state: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % below.max(1)
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let mut world = World::new(Settings::default(), HOME);
    world.add_draft(Chat::User(FRIEND), Draft::voice(*b"OggS", 1).in_dc(HOME));
    world.add_draft(SUPERGROUP, Draft::text("hi"));
    world.add_draft(GROUP, Draft::text("hi").reply_to(1));
    let mut random = random_numbers(0x5eed);
    let requests = requests();
    for request in &requests {
        let Outcome::Answer(_) = handle(&mut world, HOME, 0, request) else { panic!("no answer") };
    }
    for _ in 0..20_000 {
        let mut bytes = requests[random(requests.len())].clone();
        for _ in 0..=random(6) {
            let place = random(bytes.len());
            bytes[place] = [0, 0xff, 0x7f, 0x80, random(256) as u8][random(5)];
        }
        bytes.truncate(bytes.len() - random(4) * random(bytes.len()) / 4);
        handle(&mut world, HOME, 0, &bytes);
        world.calls.clear();
        // The same bytes where a whole packet is due.
        if let Ok(envelope) = Envelope::parse(&bytes) {
            // Either is fine, as long as it comes back.
            let _ = flatten(envelope.message);
        }
    }
}
