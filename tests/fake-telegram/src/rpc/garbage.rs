//! No bytes that a client sends may make the server panic.

use grammers_tl_types::{Identifiable, Serializable, enums, functions as f, types};

use super::{MAX_REQUEST, Outcome, SHALLOW, handle};
use crate::protocol::crypto::KeyId;
use crate::protocol::message::{Envelope, flatten};
use crate::settings::Settings;
use crate::world::World;
use crate::world::draft::Draft;
use crate::world::peers::{Chat, FRIEND, GROUP, OWNER, SUPERGROUP, access_hash};

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
    let mut world = World::new(Settings::default(), HOME, OWNER);
    // A request without a connection has no key.
    world.login.authorised.insert((HOME, KeyId::default()));
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

/// `messages.setTyping` in the chat that was seen in the chat that was seen in …
fn nested_peers(levels: usize) -> Vec<u8> {
    let innermost = types::InputPeerChat { chat_id: 1 };
    let mut request = f::messages::SetTyping {
        peer: enums::InputPeer::Empty,
        top_msg_id: None,
        action: enums::SendMessageAction::SendMessageTypingAction,
    }
    .to_bytes();
    request.truncate(8);
    (0..levels).for_each(|_| types::InputPeerUserFromMessage::CONSTRUCTOR_ID.serialize(&mut request));
    enums::InputPeer::from(innermost).serialize(&mut request);
    request
}

/// A list in a list in …, as a parameter of initConnection.
fn nested_lists(levels: usize) -> Vec<u8> {
    let mut request = f::InitConnection::<Vec<u8>>::CONSTRUCTOR_ID.to_bytes();
    // The flag of `params`, the number of the application, and six empty strings.
    [2, 1, 0, 0, 0, 0, 0, 0].iter().for_each(|word: &i32| word.serialize(&mut request));
    for _ in 0..levels {
        types::JsonArray::CONSTRUCTOR_ID.serialize(&mut request);
        VECTOR.serialize(&mut request);
        1.serialize(&mut request);
    }
    request
}

/// Text set bold, set bold, set …, in a rich message.
fn nested_text(levels: usize) -> Vec<u8> {
    let mut request = f::messages::SendMessage::CONSTRUCTOR_ID.to_bytes();
    RICH_MESSAGE_FLAG.serialize(&mut request);
    enums::InputPeer::PeerSelf.serialize(&mut request);
    "x".to_owned().serialize(&mut request);
    1i64.serialize(&mut request);
    types::InputRichMessage::CONSTRUCTOR_ID.serialize(&mut request);
    0.serialize(&mut request);
    VECTOR.serialize(&mut request);
    1.serialize(&mut request);
    types::PageBlockTitle::CONSTRUCTOR_ID.serialize(&mut request);
    (0..levels).for_each(|_| types::TextBold::CONSTRUCTOR_ID.serialize(&mut request));
    request
}

/// Blocks in blocks in …, in a rich message.
fn nested_blocks(levels: usize) -> Vec<u8> {
    let mut request = nested_text(0);
    request.truncate(request.len() - 4);
    for _ in 0..levels {
        types::PageBlockDetails::CONSTRUCTOR_ID.serialize(&mut request);
        0.serialize(&mut request);
        VECTOR.serialize(&mut request);
        1.serialize(&mut request);
    }
    request
}

const VECTOR: u32 = 0x1cb5_c415;
const RICH_MESSAGE_FLAG: i32 = 1 << 23;

#[test]
fn no_nesting_overflows_the_stack() {
    let mut world = World::new(Settings::default(), HOME, OWNER);
    // A request without a connection has no key.
    world.login.authorised.insert((HOME, KeyId::default()));
    for (nested, bytes_a_level) in
        [(nested_peers as fn(usize) -> Vec<u8>, 4), (nested_lists, 12), (nested_text, 4), (nested_blocks, 16)]
    {
        let overhead = nested(0).len();
        for size in [SHALLOW, MAX_REQUEST, MAX_REQUEST + 4096] {
            let request = nested((size - overhead) / bytes_a_level);
            let Outcome::Answer(_) = handle(&mut world, HOME, 0, &request) else { panic!("no answer") };
        }
    }
}
