//! The schema's objects as literals, which are long: one function each, nothing else.

use std::net::SocketAddr;

use grammers_tl_types::{enums, types};

use crate::protocol::{now, random, srp::Srp};
use crate::world::draft::RecordingKind;
use crate::world::files::{File, FileKind};
use crate::world::login::Freeze;
use crate::world::peers::{
    Chat, Group, GroupKind, Peers, SERVICE, STRANGERS, User, access_hash, phone_number,
};
use crate::world::post::{Post, Reaction};

/// Limit of a caption without Premium, in UTF-16 code units.
pub const CAPTION_LENGTH_MAX: i32 = 1024;
/// Limit of a text, in UTF-16 code units.
pub const MESSAGE_LENGTH_MAX: i32 = 4096;

/// The `seq` of updates that are ordered by their pts alone.
pub const NO_SEQ: i32 = 0;

/// When all groups began: 2020-01-01.
const FOUNDED: i32 = 1_577_836_800;
/// Bytes of a voice message's waveform: 100 bars of five bits.
const WAVEFORM: usize = 63;

/// The hash under which the client may name the peer; that of a "min" object is good for nothing.
fn hash(id: i64, min: bool) -> i64 {
    if min { !access_hash(id) } else { access_hash(id) }
}

pub fn user(user: &User, peers: &Peers, min: bool) -> enums::User {
    let is_self = user.id == peers.owner();
    types::User {
        is_self,
        contact: !is_self && !user.bot && !STRANGERS.contains(&user.id),
        mutual_contact: false,
        deleted: false,
        bot: user.bot,
        bot_chat_history: false,
        bot_nochats: false,
        verified: user.id == SERVICE,
        restricted: false,
        min,
        bot_inline_geo: false,
        support: user.id == SERVICE,
        scam: false,
        apply_min_photo: false,
        fake: false,
        bot_attach_menu: false,
        premium: false,
        attach_menu_enabled: false,
        bot_can_edit: false,
        close_friend: false,
        stories_hidden: false,
        stories_unavailable: false,
        contact_require_premium: false,
        bot_business: false,
        bot_has_main_app: false,
        bot_forum_view: false,
        bot_forum_can_manage_topics: false,
        bot_can_manage_bots: false,
        bot_guestchat: false,
        bot_guard: false,
        id: user.id,
        access_hash: Some(hash(user.id, min)),
        first_name: Some(user.name.clone()),
        last_name: None,
        username: None,
        phone: (!user.bot).then(|| phone_number(user.id)),
        photo: None,
        status: None,
        bot_info_version: user.bot.then_some(1),
        restriction_reason: None,
        bot_inline_placeholder: None,
        lang_code: None,
        emoji_status: None,
        usernames: None,
        stories_max_id: None,
        color: None,
        profile_color: None,
        bot_active_users: None,
        bot_verification_icon: None,
        send_paid_messages_stars: None,
        linked_community_id: None,
    }
    .into()
}

/// `user` with a public name.
pub fn named_user(mut user: enums::User, name: Option<&String>) -> enums::User {
    if let enums::User::User(user) = &mut user {
        user.username = name.cloned();
    }
    user
}

/// `group` with a public name, which basic groups cannot have.
pub fn named_group(mut group: enums::Chat, name: Option<&String>) -> enums::Chat {
    if let enums::Chat::Channel(channel) = &mut group {
        channel.username = name.cloned();
    }
    group
}

/// A basic group, supergroup or broadcast channel.
pub fn group(group: &Group, min: bool) -> enums::Chat {
    match group.kind {
        GroupKind::Basic => basic_group(group),
        GroupKind::Supergroup | GroupKind::Broadcast => channel(group, min),
    }
}

fn basic_group(group: &Group) -> enums::Chat {
    types::Chat {
        creator: false,
        left: false,
        deactivated: false,
        call_active: false,
        call_not_empty: false,
        noforwards: false,
        id: group.id,
        title: group.title.clone(),
        photo: enums::ChatPhoto::Empty,
        participants_count: 3,
        date: FOUNDED,
        version: 1,
        migrated_to: None,
        admin_rights: None,
        default_banned_rights: None,
    }
    .into()
}

fn channel(group: &Group, min: bool) -> enums::Chat {
    types::Channel {
        creator: false,
        left: false,
        broadcast: group.kind == GroupKind::Broadcast,
        verified: false,
        megagroup: group.kind == GroupKind::Supergroup,
        restricted: false,
        signatures: false,
        min,
        scam: false,
        has_link: false,
        has_geo: false,
        slowmode_enabled: false,
        call_active: false,
        call_not_empty: false,
        fake: false,
        gigagroup: false,
        noforwards: false,
        join_to_send: false,
        join_request: false,
        forum: false,
        stories_hidden: false,
        stories_hidden_min: false,
        stories_unavailable: false,
        signature_profiles: false,
        autotranslation: false,
        broadcast_messages_allowed: false,
        monoforum: false,
        forum_tabs: false,
        id: group.id,
        access_hash: Some(hash(group.id, min)),
        title: group.title.clone(),
        username: None,
        photo: enums::ChatPhoto::Empty,
        date: FOUNDED,
        restriction_reason: None,
        admin_rights: None,
        banned_rights: None,
        default_banned_rights: None,
        participants_count: None,
        usernames: None,
        stories_max_id: None,
        color: None,
        profile_color: None,
        emoji_status: None,
        level: None,
        subscription_until_date: None,
        bot_verification_icon: None,
        send_paid_messages_stars: None,
        linked_monoforum_id: None,
        linked_community_id: None,
    }
    .into()
}

pub fn peer(chat: Chat) -> enums::Peer {
    match chat {
        Chat::User(user_id) => types::PeerUser { user_id }.into(),
        Chat::Group(chat_id) => types::PeerChat { chat_id }.into(),
        Chat::Channel(channel_id) => types::PeerChannel { channel_id }.into(),
    }
}

/// `post` as the owner's client is shown it; `file` is what it holds, with its current reference.
pub fn message(post: &Post, file: Option<(&File, Vec<u8>)>) -> enums::Message {
    let media = file.map(|(file, reference)| media(post, file, reference));
    // Telegram leaves out the sender where the chat says it.
    let from_id = post.from.filter(|from| Chat::User(*from) != post.chat || post.in_saved_messages());
    // Nor does it say who an anonymous administrator is.
    let from_id = match post.sent_as {
        Some(chat) => (chat != post.chat).then(|| peer(chat)),
        None => from_id.map(|from| peer(Chat::User(from))),
    };
    types::Message {
        out: post.outgoing(),
        mentioned: false,
        media_unread: media.is_some() && !post.outgoing(),
        silent: post.silent,
        post: post.from.is_none(),
        from_scheduled: false,
        legacy: false,
        edit_hide: post.edit_date.is_none() && !post.reactions.is_empty(),
        pinned: false,
        noforwards: false,
        invert_media: false,
        offline: false,
        video_processing_pending: false,
        paid_suggested_post_stars: false,
        paid_suggested_post_ton: false,
        id: post.id,
        from_id,
        from_boosts_applied: None,
        from_rank: None,
        peer_id: peer(post.chat),
        saved_peer_id: post.in_saved_messages().then(|| peer(post.chat)),
        fwd_from: post.forwarded_from.map(|user| forward_header(user, post.date)),
        via_bot_id: None,
        via_business_bot_id: None,
        guestchat_via_from: None,
        reply_to: reply_header(post),
        date: post.date,
        message: post.text.clone(),
        media,
        reply_markup: None,
        entities: (!post.raw_entities.is_empty()).then(|| post.raw_entities.clone()),
        views: None,
        forwards: None,
        replies: None,
        edit_date: post.edit_date,
        post_author: None,
        grouped_id: None,
        reactions: (!post.reactions.is_empty()).then(|| reactions(&post.reactions, post.owner)),
        restriction_reason: None,
        ttl_period: post.lifetime,
        quick_reply_shortcut_id: None,
        effect: None,
        factcheck: None,
        report_delivery_until_date: None,
        paid_message_stars: None,
        suggested_post: None,
        schedule_repeat_period: None,
        summary_from_language: None,
        rich_message: None,
    }
    .into()
}

/// Reactions as the owner is shown them.
pub fn reactions(given: &[Reaction], owner: i64) -> enums::MessageReactions {
    let emoji = |emoji: &str| types::ReactionEmoji { emoticon: emoji.to_owned() }.into();
    let mut results: Vec<types::ReactionCount> = Vec::new();
    for reaction in given {
        let is_owners = reaction.user == owner;
        match results.iter_mut().find(|result| result.reaction == emoji(&reaction.emoji)) {
            Some(result) => {
                result.count += 1;
                result.chosen_order = result.chosen_order.or(is_owners.then_some(0));
            }
            None => results.push(types::ReactionCount {
                chosen_order: is_owners.then_some(0),
                reaction: emoji(&reaction.emoji),
                count: 1,
            }),
        }
    }
    // Telegram lists the last three (Telethon #4377).
    let recent = given.iter().rev().take(3).map(|reaction| {
        types::MessagePeerReaction {
            big: false,
            unread: false,
            my: reaction.user == owner,
            peer_id: peer(Chat::User(reaction.user)),
            date: reaction.date,
            reaction: emoji(&reaction.emoji),
        }
        .into()
    });
    types::MessageReactions {
        min: false,
        can_see_list: true,
        reactions_as_tags: false,
        results: results.into_iter().map(Into::into).collect(),
        recent_reactions: (!given.is_empty()).then(|| recent.collect()),
        top_reactors: None,
    }
    .into()
}

pub fn deleted_message(post: &Post) -> enums::Message {
    missing_message(post.id)
}

pub fn missing_message(id: i32) -> enums::Message {
    types::MessageEmpty { id, peer_id: None }.into()
}

fn forward_header(user: i64, date: i32) -> enums::MessageFwdHeader {
    types::MessageFwdHeader {
        imported: false,
        saved_out: false,
        from_id: Some(peer(Chat::User(user))),
        from_name: None,
        date,
        channel_post: None,
        post_author: None,
        saved_from_peer: None,
        saved_from_msg_id: None,
        saved_from_id: None,
        saved_from_name: None,
        saved_date: None,
        psa_type: None,
    }
    .into()
}

fn reply_header(post: &Post) -> Option<enums::MessageReplyHeader> {
    let answered = post.reply_to.or(post.topic)?;
    let header = types::MessageReplyHeader {
        reply_to_scheduled: false,
        forum_topic: post.topic.is_some(),
        quote: false,
        reply_to_ephemeral: false,
        reply_to_msg_id: Some(answered),
        reply_to_peer_id: None,
        reply_from: None,
        reply_media: None,
        reply_to_top_id: post.topic.filter(|topic| *topic != answered),
        quote_text: None,
        quote_entities: None,
        quote_offset: None,
        todo_item_id: None,
        poll_option: None,
    };
    Some(header.into())
}

fn media(post: &Post, file: &File, reference: Vec<u8>) -> enums::MessageMedia {
    let kind = match file.what {
        FileKind::Recording { kind, .. } => Some(kind),
        FileKind::Document(_) => None,
    };
    let round = kind == Some(RecordingKind::Round);
    let voice = kind == Some(RecordingKind::Voice);
    let document = document(file, reference);
    types::MessageMediaDocument {
        nopremium: false,
        spoiler: false,
        video: round,
        round,
        voice,
        document: Some(document),
        alt_documents: None,
        video_cover: None,
        video_timestamp: None,
        ttl_seconds: post.ttl,
    }
    .into()
}

fn document(file: &File, reference: Vec<u8>) -> enums::Document {
    let attribute = match &file.what {
        FileKind::Recording { kind: RecordingKind::Round, seconds } => round_video(*seconds),
        FileKind::Recording { kind, seconds } => audio(*kind, *seconds),
        FileKind::Document(name) => types::DocumentAttributeFilename { file_name: name.clone() }.into(),
    };
    types::Document {
        id: file.id,
        access_hash: access_hash(file.id),
        file_reference: reference,
        date: file.date,
        mime_type: file.mime.clone(),
        size: file.claimed_size,
        thumbs: None,
        video_thumbs: None,
        dc_id: file.dc,
        attributes: vec![attribute],
    }
    .into()
}

fn audio(kind: RecordingKind, seconds: u32) -> enums::DocumentAttribute {
    types::DocumentAttributeAudio {
        voice: kind == RecordingKind::Voice,
        duration: i32::try_from(seconds).unwrap_or(i32::MAX),
        title: None,
        performer: None,
        waveform: (kind == RecordingKind::Voice).then(|| vec![0; WAVEFORM]),
    }
    .into()
}

fn round_video(seconds: u32) -> enums::DocumentAttribute {
    types::DocumentAttributeVideo {
        round_message: true,
        supports_streaming: false,
        nosound: false,
        duration: f64::from(seconds),
        w: 384,
        h: 384,
        preload_prefix_size: None,
        video_start_ts: None,
        video_codec: None,
    }
    .into()
}

/// `datacentres`: ids and the addresses at which clients reach them; `media`: those for files only.
pub fn config(this_dc: i32, datacentres: &[(i32, SocketAddr)], media: &[(i32, SocketAddr)]) -> enums::Config {
    let ordinary = datacentres.iter().map(|(id, address)| dc_option(*id, *address, false));
    let media = media.iter().map(|(id, address)| dc_option(*id, *address, true));
    let dc_options = ordinary.chain(media).collect();
    types::Config {
        default_p2p_contacts: false,
        preload_featured_stickers: false,
        revoke_pm_inbox: false,
        blocked_mode: false,
        force_try_ipv6: false,
        date: now(),
        expires: now() + 3600,
        test_mode: false,
        this_dc,
        dc_options,
        dc_txt_domain_name: String::new(),
        chat_size_max: 200,
        megagroup_size_max: 200_000,
        forwarded_count_max: 100,
        online_update_period_ms: 210_000,
        offline_blur_timeout_ms: 5_000,
        offline_idle_timeout_ms: 30_000,
        online_cloud_timeout_ms: 300_000,
        notify_cloud_delay_ms: 30_000,
        notify_default_delay_ms: 1_500,
        push_chat_period_ms: 60_000,
        push_chat_limit: 2,
        edit_time_limit: 172_800,
        revoke_time_limit: i32::MAX,
        revoke_pm_time_limit: i32::MAX,
        rating_e_decay: 2_419_200,
        stickers_recent_limit: 200,
        channels_read_media_period: 604_800,
        tmp_sessions: None,
        call_receive_timeout_ms: 20_000,
        call_ring_timeout_ms: 90_000,
        call_connect_timeout_ms: 30_000,
        call_packet_timeout_ms: 10_000,
        me_url_prefix: "https://t.me/".to_owned(),
        autoupdate_url_prefix: None,
        gif_search_username: None,
        venue_search_username: None,
        img_search_username: None,
        static_maps_provider: None,
        caption_length_max: CAPTION_LENGTH_MAX,
        message_length_max: MESSAGE_LENGTH_MAX,
        webfile_dc_id: 4,
        suggested_lang_code: None,
        lang_pack_version: None,
        base_lang_pack_version: None,
        reactions_default: None,
        autologin_token: None,
    }
    .into()
}

fn dc_option(id: i32, address: SocketAddr, media_only: bool) -> enums::DcOption {
    types::DcOption {
        ipv6: address.is_ipv6(),
        media_only,
        tcpo_only: false,
        cdn: false,
        r#static: true,
        this_port_only: true,
        id,
        ip_address: address.ip().to_string(),
        port: i32::from(address.port()),
        secret: None,
    }
    .into()
}

/// What Telegram tells clients besides the configuration, as far as it concerns one that writes.
/// `hash` stands for this content, and no other.
pub fn app_config(frozen: Option<&Freeze>, hash: i32) -> enums::help::AppConfig {
    let number = |value: i64| types::JsonNumber { value: value as f64 }.into();
    let mut fields: Vec<(&str, enums::Jsonvalue)> = vec![
        ("caption_length_limit_default", number(CAPTION_LENGTH_MAX.into())),
        ("caption_length_limit_premium", number(MESSAGE_LENGTH_MAX.into())),
    ];
    if let Some(freeze) = frozen {
        fields.extend([
            ("freeze_since_date", number(freeze.since)),
            ("freeze_until_date", number(freeze.until)),
            ("freeze_appeal_url", types::JsonString { value: freeze.appeal.clone() }.into()),
        ]);
    }
    let entry =
        |(key, value): (&str, enums::Jsonvalue)| types::JsonObjectValue { key: key.to_owned(), value }.into();
    let config = types::JsonObject { value: fields.into_iter().map(entry).collect() }.into();
    types::help::AppConfig { hash, config }.into()
}

/// `pts` for channels only.
pub fn dialog(chat: Chat, top_message: i32, pts: Option<i32>) -> enums::Dialog {
    let notify_settings = types::PeerNotifySettings {
        show_previews: None,
        silent: None,
        mute_until: None,
        ios_sound: None,
        android_sound: None,
        other_sound: None,
        stories_muted: None,
        stories_hide_sender: None,
        stories_ios_sound: None,
        stories_android_sound: None,
        stories_other_sound: None,
    };
    types::Dialog {
        pinned: false,
        unread_mark: false,
        view_forum_as_messages: false,
        peer: peer(chat),
        top_message,
        read_inbox_max_id: 0,
        read_outbox_max_id: top_message,
        unread_count: 0,
        unread_mentions_count: 0,
        unread_reactions_count: 0,
        unread_poll_votes_count: 0,
        notify_settings: notify_settings.into(),
        pts,
        draft: None,
        folder_id: None,
        ttl_period: None,
    }
    .into()
}

pub fn sent_code(hash: String, length: usize) -> enums::auth::SentCode {
    types::auth::SentCode {
        r#type: types::auth::SentCodeTypeApp { length: i32::try_from(length).unwrap_or(i32::MAX) }.into(),
        phone_code_hash: hash,
        next_type: None,
        timeout: None,
    }
    .into()
}

pub fn authorization(user: enums::User) -> enums::auth::Authorization {
    types::auth::Authorization {
        setup_password_required: false,
        otherwise_relogin_days: None,
        tmp_sessions: None,
        future_auth_token: None,
        user,
    }
    .into()
}

pub fn password(password: Option<&Srp>) -> enums::account::Password {
    // What a new password is to be hashed with; nobody sets one here.
    let new_algo = enums::PasswordKdfAlgo::Unknown;
    types::account::Password {
        has_recovery: false,
        has_secure_values: false,
        has_password: password.is_some(),
        current_algo: password.map(password_algorithm),
        srp_b: password.map(|srp| srp.b_public.clone()),
        srp_id: password.map(|srp| srp.id),
        hint: password.map(|srp| srp.hint.clone()),
        email_unconfirmed_pattern: None,
        new_algo,
        new_secure_algo: enums::SecurePasswordKdfAlgo::Unknown,
        secure_random: random::<256>().to_vec(),
        pending_reset_date: None,
        login_email_pattern: None,
    }
    .into()
}

fn password_algorithm(srp: &Srp) -> enums::PasswordKdfAlgo {
    types::PasswordKdfAlgoSha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow {
        salt1: srp.salt1.clone(),
        salt2: srp.salt2.clone(),
        g: srp.generator(),
        p: srp.prime(),
    }
    .into()
}

pub fn updates(
    updates: Vec<enums::Update>,
    users: Vec<enums::User>,
    chats: Vec<enums::Chat>,
    seq: i32,
) -> enums::Updates {
    types::Updates { updates, users, chats, date: now(), seq }.into()
}

/// `updates` with numbers of the sequence of updates, the last of which is `seq`.
pub fn updates_combined(
    updates: Vec<enums::Update>,
    users: Vec<enums::User>,
    chats: Vec<enums::Chat>,
    seq_start: i32,
    seq: i32,
) -> enums::Updates {
    types::UpdatesCombined { updates, users, chats, date: now(), seq_start, seq }.into()
}

pub fn update_short(update: enums::Update) -> enums::Updates {
    types::UpdateShort { update, date: now() }.into()
}

/// A text in the private chat with `user`.
pub fn update_short_message(post: &Post, user: i64, pts: i32) -> enums::Updates {
    types::UpdateShortMessage {
        out: post.outgoing(),
        mentioned: false,
        media_unread: false,
        silent: post.silent,
        id: post.id,
        user_id: user,
        message: post.text.clone(),
        pts,
        pts_count: 1,
        date: post.date,
        fwd_from: None,
        via_bot_id: None,
        reply_to: reply_header(post),
        entities: None,
        ttl_period: None,
    }
    .into()
}

/// What the owner's client is told of its own message when it holds nothing that was not asked for.
pub fn short_sent_message(post: &Post, pts: i32, pts_count: i32) -> enums::Updates {
    types::UpdateShortSentMessage {
        out: post.outgoing(),
        id: post.id,
        pts,
        pts_count,
        date: post.date,
        media: None,
        entities: (!post.raw_entities.is_empty()).then(|| post.raw_entities.clone()),
        ttl_period: None,
    }
    .into()
}
