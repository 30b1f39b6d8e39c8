//! What Telegram's errors mean. Every caller uses this table, and none looks at codes itself.
//!
//! An error has a code and a name (<https://core.telegram.org/api/errors>). Where the name is in
//! the table, it decides: Telegram gives some names with several codes. Otherwise the code decides.
//!
//! How to use it: match on [`CallError::meaning`](super::error::CallError::meaning). The caller
//! only decides what the meaning implies for its own request.

use std::time::Duration;

use self::Meaning::{
    AlreadySent, BadRequest, Deactivated, FileReference, Gone, InvalidApplication, InvalidPeer,
    InvalidPosition, LoggedOut, MayNotEdit, MayNotSendFiles, MayNotWrite, Migrate, NotModified,
    PremiumRequired, Reconnect, Restricted, ServerTrouble,
};
use crate::domain::Restriction;

/// What an error means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Telegram has trouble of its own. The same request will succeed later.
    ServerTrouble,
    /// Telegram demands a pause before the next request of this kind.
    Wait { scope: WaitScope, time: Duration },
    /// Telegram does not accept this session, or not yet. A login is needed.
    LoggedOut,
    /// The account itself is deleted or banned.
    Deactivated,
    /// The account is logged in, but may not do this for an unknown time, in any chat.
    Restricted(Restriction),
    /// This chat accepts messages only from accounts with Telegram Premium.
    PremiumRequired,
    /// The account may not write in this chat, or not in this forum topic.
    MayNotWrite,
    /// The account may write in this chat, but send no files there.
    MayNotSendFiles,
    /// The message cannot be edited, or not any more.
    MayNotEdit,
    /// The message is already what the edit would make of it.
    NotModified,
    /// The message or the chat is gone, or the account may not read there.
    Gone,
    /// There is no such chat, or its access hash is wrong.
    InvalidPeer,
    /// The file's reference or location is out of date. Its message has to be read again.
    FileReference,
    /// The request has to go to this datacentre; `None` where the error does not say which.
    Migrate(Option<i32>),
    /// The position in the stream of updates is not accepted.
    InvalidPosition,
    /// The message was sent before, under the same `random_id`.
    AlreadySent,
    /// API_ID and API_HASH are not accepted.
    InvalidApplication,
    /// The server has lost what it was told when the connection was made. A new connection is
    /// needed.
    Reconnect,
    /// Telegram refuses the request, and would refuse it again.
    BadRequest,
}

/// What a pause that Telegram demands applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitScope {
    /// All requests of the account with the same method.
    Account,
    /// The account's transfers of files, where it has no Telegram Premium.
    Files,
    /// Messages to this chat.
    Chat,
}

/// Seconds to wait where Telegram does not say how long.
const DEFAULT_WAIT: u32 = 60;

/// Errors whose name says more than their code. Digits are taken out of the names.
const BY_NAME: &[(Meaning, &[&str])] = &[
    (
        LoggedOut,
        &[
            "AUTH_KEY_UNREGISTERED",
            "AUTH_KEY_INVALID",
            "AUTH_KEY_DUPLICATED",
            "AUTH_KEY_PERM_EMPTY",
            "SESSION_REVOKED",
            "SESSION_EXPIRED",
            "SESSION_PASSWORD_NEEDED",
            "ACTIVE_USER_REQUIRED",
        ],
    ),
    (Deactivated, &["USER_DEACTIVATED", "USER_DEACTIVATED_BAN", "PHONE_NUMBER_BANNED"]),
    (Restricted(Restriction::Frozen), &["FROZEN_METHOD_INVALID", "FROZEN_PARTICIPANT_MISSING"]),
    (Restricted(Restriction::SpamLimited), &["PEER_FLOOD", "USER_RESTRICTED"]),
    (PremiumRequired, &["PREMIUM_ACCOUNT_REQUIRED", "PRIVACY_PREMIUM_REQUIRED"]),
    (
        MayNotEdit,
        &[
            "MESSAGE_AUTHOR_REQUIRED",
            "MESSAGE_EDIT_TIME_EXPIRED",
            "MEDIA_CAPTION_TOO_LONG",
            "INLINE_BOT_REQUIRED",
        ],
    ),
    (NotModified, &["MESSAGE_NOT_MODIFIED"]),
    (
        MayNotWrite,
        &[
            "CHAT_RESTRICTED",
            "CHAT_GUEST_SEND_FORBIDDEN",
            "CHAT_SEND_PLAIN_FORBIDDEN",
            "CHAT_WRITE_FORBIDDEN",
            "USER_BANNED_IN_CHANNEL",
            "TOPIC_CLOSED",
            "ALLOW_PAYMENT_REQUIRED",
        ],
    ),
    (MayNotSendFiles, &["CHAT_SEND_DOCS_FORBIDDEN", "CHAT_SEND_MEDIA_FORBIDDEN"]),
    (
        Gone,
        &[
            "MESSAGE_ID_INVALID",
            "MSG_ID_INVALID",
            "REPLY_MESSAGE_ID_INVALID",
            "REPLY_TO_INVALID",
            "CHANNEL_PRIVATE",
            "CHANNEL_PUBLIC_GROUP_NA",
            "CHAT_ADMIN_REQUIRED",
            "CHAT_FORBIDDEN",
            "USER_IS_BLOCKED",
            "YOU_BLOCKED_USER",
            "INPUT_USER_DEACTIVATED",
            "USER_DELETED",
            "TOPIC_DELETED",
        ],
    ),
    (
        InvalidPeer,
        &[
            "PEER_ID_INVALID",
            "USER_ID_INVALID",
            "CHANNEL_INVALID",
            "CHAT_ID_INVALID",
            "PEER_ID_NOT_SUPPORTED",
        ],
    ),
    (
        FileReference,
        &[
            "FILE_REFERENCE_EXPIRED",
            "FILE_REFERENCE_INVALID",
            "FILE_REFERENCE_EMPTY",
            "FILEREF_UPGRADE_NEEDED",
            "FILE_ID_INVALID",
            "LOCATION_INVALID",
        ],
    ),
    (InvalidPosition, &["PERSISTENT_TIMESTAMP_EMPTY", "PERSISTENT_TIMESTAMP_INVALID"]),
    (AlreadySent, &["RANDOM_ID_DUPLICATE"]),
    (InvalidApplication, &["API_ID_INVALID", "CONNECTION_API_ID_INVALID", "API_ID_PUBLISHED_FLOOD"]),
    (Reconnect, &["CONNECTION_NOT_INITED", "CONNECTION_LAYER_INVALID"]),
    // Telegram reports these with code 400 as well.
    (ServerTrouble, &["MSG_WAIT_FAILED", "MSG_WAIT_TIMEOUT", "RPC_CALL_FAIL", "RPC_MCGET_FAIL", "TIMEOUT"]),
];

/// What the error `name` with this code means. `value` is the number that was in the name.
pub(crate) fn meaning(code: i32, name: &str, value: Option<u32>) -> Meaning {
    // One second is added because Telegram's clock and ours differ.
    let wait = |scope| {
        let seconds = u64::from(value.unwrap_or(DEFAULT_WAIT)) + 1;
        Meaning::Wait { scope, time: Duration::from_secs(seconds) }
    };
    if let Some((meaning, _)) = BY_NAME.iter().find(|(_, names)| names.contains(&name)) {
        return *meaning;
    }
    match (code, name) {
        (_, "FLOOD_WAIT") => wait(WaitScope::Account),
        (_, "FLOOD_PREMIUM_WAIT") => wait(WaitScope::Files),
        (_, "SLOWMODE_WAIT") => wait(WaitScope::Chat),
        (420 | 429, _) => wait(WaitScope::Account),
        (303, _) => Migrate(value.and_then(|dc| i32::try_from(dc).ok())),
        (401, _) => LoggedOut,
        (403, _) => Gone,
        (..0 | 500.., _) => ServerTrouble,
        _ => BadRequest,
    }
}

#[cfg(test)]
mod tests {
    use grammers_client::tl;

    use super::*;

    const FROZEN: Meaning = Restricted(Restriction::Frozen);
    const SPAM_LIMITED: Meaning = Restricted(Restriction::SpamLimited);
    const ACCOUNT_WAIT: Meaning = Meaning::Wait { scope: WaitScope::Account, time: Duration::from_secs(31) };
    const FILES_WAIT: Meaning = Meaning::Wait { scope: WaitScope::Files, time: Duration::from_secs(31) };
    const CHAT_WAIT: Meaning = Meaning::Wait { scope: WaitScope::Chat, time: Duration::from_secs(31) };

    /// What the documentation lists for any method, and for those that are called here:
    /// upload.getFile, saveFilePart, messages.sendMessage, sendMedia, getHistory, getMessages,
    /// getDialogs, channels.getMessages, updates.getState, getDifference, getChannelDifference,
    /// help.getConfig, getAppConfig, auth.*, account.getPassword. Errors of options that are never
    /// set, buttons and schedules for example, are left out. A number stands for %d. Source: the
    /// tables of errors under <https://core.telegram.org/methods>, as copies of those pages and the
    /// lists of Telethon and Pyrogram had them in November 2026.
    const DOCUMENTED: &[(i32, &str, Meaning)] = &[
        // Any method.
        (303, "FILE_MIGRATE_30", Migrate(Some(30))),
        (303, "NETWORK_MIGRATE_30", Migrate(Some(30))),
        (303, "PHONE_MIGRATE_30", Migrate(Some(30))),
        (303, "USER_MIGRATE_30", Migrate(Some(30))),
        (401, "ACTIVE_USER_REQUIRED", LoggedOut),
        (401, "AUTH_KEY_INVALID", LoggedOut),
        (401, "AUTH_KEY_PERM_EMPTY", LoggedOut),
        (401, "AUTH_KEY_UNREGISTERED", LoggedOut),
        (401, "SESSION_EXPIRED", LoggedOut),
        (401, "SESSION_PASSWORD_NEEDED", LoggedOut),
        (401, "SESSION_REVOKED", LoggedOut),
        (401, "USER_DEACTIVATED", Deactivated),
        (401, "USER_DEACTIVATED_BAN", Deactivated),
        (406, "AUTH_KEY_DUPLICATED", LoggedOut),
        (420, "FLOOD_WAIT_30", ACCOUNT_WAIT),
        (420, "FLOOD_PREMIUM_WAIT_30", FILES_WAIT),
        (420, "FROZEN_METHOD_INVALID", FROZEN),
        (400, "PEER_FLOOD", SPAM_LIMITED),
        (403, "USER_RESTRICTED", SPAM_LIMITED),
        (500, "INTERNAL", ServerTrouble),
        (500, "AUTH_KEY_UNSYNCHRONIZED", ServerTrouble),
        (500, "API_CALL_ERROR", ServerTrouble),
        (500, "INTERDC_30_CALL_ERROR", ServerTrouble),
        (500, "INTERDC_30_CALL_RICH_ERROR", ServerTrouble),
        (500, "MEMBER_NO_LOCATION", ServerTrouble),
        (500, "MT_SEND_QUEUE_TOO_LONG", ServerTrouble),
        (500, "NEED_MEMBER_INVALID", ServerTrouble),
        (500, "No workers running", ServerTrouble),
        (500, "POSTPONED_TIMEOUT", ServerTrouble),
        (500, "RPC_CALL_FAIL", ServerTrouble),
        (500, "RPC_CONNECT_FAILED", ServerTrouble),
        (500, "RPC_MCGET_FAIL", ServerTrouble),
        (500, "RPC_SEND_FAIL", ServerTrouble),
        (500, "WORKER_BUSY_TOO_LONG_RETRY", ServerTrouble),
        (400, "RPC_CALL_FAIL", ServerTrouble),
        (400, "RPC_MCGET_FAIL", ServerTrouble),
        (-500, "No workers running", ServerTrouble),
        (-503, "Timeout", ServerTrouble),
        (-504, "Timeout", ServerTrouble),
        (400, "CONNECTION_API_ID_INVALID", InvalidApplication),
        (400, "CONNECTION_LAYER_INVALID", Reconnect),
        (400, "CONNECTION_NOT_INITED", Reconnect),
        (400, "INPUT_FETCH_ERROR", BadRequest),
        (400, "INPUT_METHOD_INVALID_30", BadRequest),
        (400, "INPUT_REQUEST_TOO_LONG", BadRequest),
        (404, "METHOD_INVALID", BadRequest),
        // messages.sendMessage.
        (400, "CHANNEL_INVALID", InvalidPeer),
        (400, "CHANNEL_PRIVATE", Gone),
        (406, "CHANNEL_PRIVATE", Gone),
        (400, "CHAT_ADMIN_REQUIRED", Gone),
        (403, "CHAT_ADMIN_REQUIRED", Gone),
        (400, "CHAT_FORBIDDEN", Gone),
        (403, "CHAT_GUEST_SEND_FORBIDDEN", MayNotWrite),
        (400, "CHAT_ID_INVALID", InvalidPeer),
        (400, "CHAT_RESTRICTED", MayNotWrite),
        (403, "CHAT_SEND_PLAIN_FORBIDDEN", MayNotWrite),
        (403, "CHAT_WRITE_FORBIDDEN", MayNotWrite),
        (403, "ALLOW_PAYMENT_REQUIRED_30", MayNotWrite),
        (406, "ALLOW_PAYMENT_REQUIRED", MayNotWrite),
        (400, "ENTITIES_TOO_LONG", BadRequest),
        (400, "ENTITY_BOUNDS_INVALID", BadRequest),
        (400, "INPUT_USER_DEACTIVATED", Gone),
        (400, "MESSAGE_EMPTY", BadRequest),
        (400, "MESSAGE_TOO_LONG", BadRequest),
        (400, "MSG_ID_INVALID", Gone),
        (500, "MSG_WAIT_FAILED", ServerTrouble),
        (400, "MSG_WAIT_FAILED", ServerTrouble),
        (406, "PAYMENT_UNSUPPORTED", BadRequest),
        (400, "PEER_ID_INVALID", InvalidPeer),
        (403, "PEER_ID_INVALID", InvalidPeer),
        (404, "PEER_ID_INVALID", InvalidPeer),
        (400, "PINNED_DIALOGS_TOO_MUCH", BadRequest),
        (403, "PREMIUM_ACCOUNT_REQUIRED", PremiumRequired),
        (403, "PRIVACY_PREMIUM_REQUIRED", PremiumRequired),
        (406, "PRIVACY_PREMIUM_REQUIRED", PremiumRequired),
        (400, "QUOTE_TEXT_INVALID", BadRequest),
        (500, "RANDOM_ID_DUPLICATE", AlreadySent),
        (400, "REPLY_MESSAGE_ID_INVALID", Gone),
        (400, "REPLY_TO_INVALID", Gone),
        (400, "SEND_AS_PEER_INVALID", BadRequest),
        (420, "SLOWMODE_WAIT_30", CHAT_WAIT),
        (400, "TOPIC_CLOSED", MayNotWrite),
        (406, "TOPIC_CLOSED", MayNotWrite),
        (400, "TOPIC_DELETED", Gone),
        (406, "TOPIC_DELETED", Gone),
        (400, "USER_BANNED_IN_CHANNEL", MayNotWrite),
        (403, "USER_BANNED_IN_CHANNEL", MayNotWrite),
        (403, "USER_DELETED", Gone),
        (400, "USER_IS_BLOCKED", Gone),
        (403, "USER_IS_BLOCKED", Gone),
        (400, "USER_IS_BOT", BadRequest),
        (403, "USER_PRIVACY_RESTRICTED", Gone),
        (400, "YOU_BLOCKED_USER", Gone),
        // messages.sendMedia, upload.saveFilePart.
        (403, "CHAT_SEND_DOCS_FORBIDDEN", MayNotSendFiles),
        (403, "CHAT_SEND_MEDIA_FORBIDDEN", MayNotSendFiles),
        (400, "FILE_PARTS_INVALID", BadRequest),
        (400, "FILE_PART_3_MISSING", BadRequest),
        (400, "FILE_PART_EMPTY", BadRequest),
        (400, "FILE_PART_INVALID", BadRequest),
        (400, "FILE_PART_SIZE_INVALID", BadRequest),
        (400, "FILE_PART_TOO_BIG", BadRequest),
        (400, "MEDIA_EMPTY", BadRequest),
        (400, "MEDIA_INVALID", BadRequest),
        (406, "UPLOAD_NO_VOLUME", BadRequest),
        // messages.editMessage.
        (400, "INLINE_BOT_REQUIRED", MayNotEdit),
        (403, "INLINE_BOT_REQUIRED", MayNotEdit),
        (400, "MEDIA_CAPTION_TOO_LONG", MayNotEdit),
        (403, "MESSAGE_AUTHOR_REQUIRED", MayNotEdit),
        (400, "MESSAGE_EDIT_TIME_EXPIRED", MayNotEdit),
        (400, "MESSAGE_ID_INVALID", Gone),
        (400, "MESSAGE_NOT_MODIFIED", NotModified),
        // messages.getHistory, messages.getMessages, channels.getMessages, messages.getDialogs.
        (400, "CHAT_NOT_MODIFIED", BadRequest),
        (400, "FROZEN_PARTICIPANT_MISSING", FROZEN),
        (500, "HISTORY_GET_FAILED", ServerTrouble),
        (400, "MESSAGE_IDS_EMPTY", BadRequest),
        (500, "NEED_DOC_INVALID", ServerTrouble),
        (400, "OFFSET_PEER_ID_INVALID", BadRequest),
        (400, "TAKEOUT_INVALID", BadRequest),
        (500, "VOLUME_MOVE_INVALID", ServerTrouble),
        (400, "FOLDER_ID_INVALID", BadRequest),
        // updates.getState, updates.getDifference, updates.getChannelDifference.
        (403, "CHANNEL_PUBLIC_GROUP_NA", Gone),
        (400, "DATE_EMPTY", BadRequest),
        (500, "MSGID_DECREASE_RETRY", ServerTrouble),
        (400, "PERSISTENT_TIMESTAMP_EMPTY", InvalidPosition),
        (400, "PERSISTENT_TIMESTAMP_INVALID", InvalidPosition),
        (500, "PERSISTENT_TIMESTAMP_OUTDATED", ServerTrouble),
        (400, "RANGES_INVALID", BadRequest),
        (500, "STORE_INVALID_SCALAR_TYPE", ServerTrouble),
        // upload.getFile.
        (400, "CDN_METHOD_INVALID", BadRequest),
        (400, "FILE_ID_INVALID", FileReference),
        (400, "FILE_REFERENCE_EMPTY", FileReference),
        (400, "FILE_REFERENCE_EXPIRED", FileReference),
        (400, "FILE_REFERENCE_INVALID", FileReference),
        (400, "FILE_REFERENCE_30_EXPIRED", FileReference),
        (400, "FILE_REFERENCE_30_INVALID", FileReference),
        (406, "FILEREF_UPGRADE_NEEDED", FileReference),
        (400, "LIMIT_INVALID", BadRequest),
        (400, "LOCATION_INVALID", FileReference),
        (400, "OFFSET_INVALID", BadRequest),
        // auth.*, account.getPassword.
        (400, "API_ID_INVALID", InvalidApplication),
        (400, "API_ID_PUBLISHED_FLOOD", InvalidApplication),
        (400, "AUTH_BYTES_INVALID", BadRequest),
        (500, "AUTH_RESTART", ServerTrouble),
        (500, "AUTH_RESTART_30", ServerTrouble),
        (400, "DC_ID_INVALID", BadRequest),
        (400, "PASSWORD_HASH_INVALID", BadRequest),
        (400, "PHONE_CODE_EMPTY", BadRequest),
        (400, "PHONE_CODE_EXPIRED", BadRequest),
        (400, "PHONE_CODE_INVALID", BadRequest),
        (400, "PHONE_NUMBER_BANNED", Deactivated),
        (400, "PHONE_NUMBER_FLOOD", BadRequest),
        (400, "PHONE_NUMBER_INVALID", BadRequest),
        (406, "PHONE_NUMBER_INVALID", BadRequest),
        (400, "PHONE_NUMBER_UNOCCUPIED", BadRequest),
        (406, "PHONE_PASSWORD_FLOOD", BadRequest),
        (400, "PHONE_PASSWORD_PROTECTED", BadRequest),
        (406, "SEND_CODE_UNAVAILABLE", BadRequest),
        (500, "SIGN_IN_FAILED", ServerTrouble),
        (400, "SRP_ID_INVALID", BadRequest),
        (406, "UPDATE_APP_TO_LOGIN", BadRequest),
        (400, "USER_ID_INVALID", InvalidPeer),
    ];

    /// As grammers hands an error over.
    fn of(code: i32, text: &str) -> Meaning {
        let error = tl::types::RpcError { error_code: code, error_message: text.into() };
        let error = grammers_client::sender::RpcError::from(error);
        meaning(error.code, &error.name, error.value)
    }

    #[test]
    fn every_documented_error_of_the_methods_called_has_its_meaning() {
        for &(code, text, expected) in DOCUMENTED {
            assert_eq!(of(code, text), expected, "{code} {text}");
        }
    }

    #[test]
    fn what_nobody_has_documented_is_judged_by_its_code() {
        for (code, expected) in [
            (-1, ServerTrouble),
            (303, Migrate(None)),
            (400, BadRequest),
            (401, LoggedOut),
            (403, Gone),
            (404, BadRequest),
            (406, BadRequest),
            (500, ServerTrouble),
            (599, ServerTrouble),
        ] {
            assert_eq!(of(code, "NEVER_SEEN"), expected, "{code}");
        }
        let Meaning::Wait { scope: WaitScope::Account, time } = of(420, "NEVER_SEEN") else {
            panic!("no wait")
        };
        assert!(time >= Duration::from_secs(60), "{time:?}");
        assert_eq!(of(420, "NEVER_SEEN_30"), ACCOUNT_WAIT);
        assert_eq!(of(429, "NEVER_SEEN_30"), ACCOUNT_WAIT);
    }

    #[test]
    fn no_name_has_two_meanings() {
        let mut names: Vec<_> = BY_NAME.iter().flat_map(|(_, names)| *names).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
