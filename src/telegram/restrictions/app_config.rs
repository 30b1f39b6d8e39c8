//! Whether the account is frozen, from Telegram's configuration
//! (<https://core.telegram.org/api/config>).

use grammers_client::tl;

use super::super::connection::error::CallError;
use super::super::connection::pool::Pool;
use crate::domain::{Restricted, Restriction};

/// Where the owner of a frozen account appeals, unless Telegram names another address, and where
/// the owner of one that is limited for spam can ask how long that lasts.
pub(crate) const SPAM_BOT: &str = "https://t.me/SpamBot";

/// What Telegram's configuration for the account says about a freeze.
pub(crate) struct AppConfig {
    /// Identifies this configuration.
    pub hash: i32,
    pub freeze: Option<Restricted>,
}

/// Asks Telegram for the configuration; `None` where it still is the one with this `hash`.
pub(crate) async fn fetch(pool: &Pool, home: i32, hash: i32) -> Result<Option<AppConfig>, CallError> {
    let request = tl::functions::help::GetAppConfig { hash };
    match pool.call(home, &request).await? {
        tl::enums::help::AppConfig::Config(answer) => {
            Ok(Some(AppConfig { hash: answer.hash, freeze: freeze(&answer.config) }))
        }
        tl::enums::help::AppConfig::NotModified => Ok(None),
    }
}

fn freeze(config: &tl::enums::Jsonvalue) -> Option<Restricted> {
    let number = |key| match field(config, key) {
        Some(tl::enums::Jsonvalue::JsonNumber(number)) if number.value > 0.0 => Some(number.value as i64),
        _ => None,
    };
    let appeal = match field(config, "freeze_appeal_url") {
        Some(tl::enums::Jsonvalue::JsonString(url)) if url.value.starts_with("https://") => url.value.clone(),
        _ => SPAM_BOT.into(),
    };
    let since = number("freeze_since_date")?;
    let deletion = number("freeze_until_date");
    Some(Restricted { why: Restriction::Frozen, since, deletion, appeal })
}

fn field<'a>(config: &'a tl::enums::Jsonvalue, key: &str) -> Option<&'a tl::enums::Jsonvalue> {
    let tl::enums::Jsonvalue::JsonObject(object) = config else { return None };
    object.value.iter().find_map(|tl::enums::JsonobjectValue::JsonObjectValue(field)| {
        (field.key == key).then_some(&field.value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_the_web_is_shown_as_the_place_to_appeal() {
        let text = |key: &str, value: &str| {
            let value = tl::types::JsonString { value: value.into() }.into();
            tl::types::JsonObjectValue { key: key.into(), value }.into()
        };
        let since = tl::types::JsonNumber { value: 1_764_201_600.0 }.into();
        let since: tl::enums::JsonobjectValue =
            tl::types::JsonObjectValue { key: "freeze_since_date".into(), value: since }.into();
        for (url, shown) in [("https://t.me/SpamBot?x", "https://t.me/SpamBot?x"), ("javascript:x", SPAM_BOT)]
        {
            let object = tl::types::JsonObject { value: vec![text("freeze_appeal_url", url), since.clone()] };
            assert_eq!(freeze(&object.into()).map(|frozen| frozen.appeal).as_deref(), Some(shown));
        }
    }
}
