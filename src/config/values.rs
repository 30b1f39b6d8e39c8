//! Parsers of values as the owner writes them: numbers with units, paths, addresses, switches.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::domain::budget::Budget;
use crate::domain::{CommandPrefix, Proxy, ReactionEmoji, RecogniserAddress, Secret, ServerUrl};

/// A duration in whole seconds: `90`, `90s`, `15m`, `12h`, `30d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    scaled(text, &units).map(Duration::from_secs)
}

/// A duration in whole minutes: `15`, `15m`, `2h`. The inner `None` stands for `0`, never.
pub(super) fn minutes_or_never(text: &str) -> Option<Option<Duration>> {
    let units = [('m', 1), ('h', 60), ('d', 24 * 60)];
    let minutes = scaled(text, &units)?;
    let time = Duration::from_secs(minutes.checked_mul(60)?);
    Some((minutes > 0).then_some(time))
}

/// A duration up to an hour; the inner `None` stands for `off`.
pub(super) fn hour_or_off(text: &str) -> Option<Option<Duration>> {
    if text == "off" {
        return Some(None);
    }
    duration(text).filter(|time| time.as_secs() <= 3600).map(Some)
}

/// A number of bytes: `4096`, `64K`, `200M`, `2G`, in powers of 1024.
pub(super) fn bytes(text: &str) -> Option<u64> {
    scaled(text, &[('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30)])
}

fn scaled(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let unit =
        units.iter().find(|(letter, _)| text.to_ascii_lowercase().ends_with(letter.to_ascii_lowercase()));
    let (digits, factor) = match unit {
        Some((_, factor)) => (&text[..text.len() - 1], *factor),
        None => (text, 1),
    };
    // `parse` alone would accept a sign too.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// A path. `~` is refused: only a shell expands it, and here it would be the name of a folder.
pub(super) fn path(text: &str) -> Option<PathBuf> {
    (!text.starts_with('~')).then(|| PathBuf::from(text))
}

/// An `http` or `https` URL. User name and password are refused, because the URL is logged.
pub(super) fn web_url(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let host = rest.split(['/', '?', '#']).next()?;
    let plain = text.chars().all(|c| !c.is_whitespace() && !c.is_control());
    (plain && !host.is_empty() && !rest.contains('@')).then(|| text.to_owned())
}

/// The same, of a URL that may hold a key.
pub(super) fn secret_url(text: &str) -> Option<Secret> {
    web_url(text).map(Secret::new)
}

/// How the owner is told of troubles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// In Saved Messages.
    pub saved: bool,
    /// NOTIFY_URL.
    pub url: Option<Secret>,
    /// HEARTBEAT_URL.
    pub heartbeat: Option<Secret>,
}

/// Who writes summaries of long texts, and of which.
#[derive(Clone, Debug)]
pub struct Summary {
    pub url: ServerUrl,
    /// The model that it is asked for.
    pub model: String,
    pub key: Option<Secret>,
    /// The shortest text that gets one, in UTF-16 code units.
    pub from: u32,
    /// How long it may take.
    pub timeout: Duration,
}

/// Proxies, separated by commas.
pub(super) fn proxies(text: &str) -> Option<Vec<Proxy>> {
    text.split(',').map(|proxy| proxy.trim().parse().ok()).collect()
}

/// Recognisers, separated by commas; none twice.
pub(super) fn recognisers(text: &str) -> Option<Vec<RecogniserAddress>> {
    let list: Vec<_> = text.split(',').map(|address| address.trim().parse().ok()).collect::<Option<_>>()?;
    let is_repeated = |(n, address)| list[..n].contains(address);
    (!list.iter().enumerate().any(is_repeated)).then_some(list)
}

/// The name of a model at a server.
pub(super) fn model_of_server(text: &str) -> Option<String> {
    let is_name = text.chars().count() <= 200 && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    is_name.then(|| text.to_owned())
}

/// A name that is shown.
pub(super) fn name(text: &str) -> Option<String> {
    let is_name = text.chars().count() <= 60 && !text.chars().any(char::is_control) && text.trim() == text;
    is_name.then(|| text.to_owned())
}

/// A key that is sent in a header.
pub(super) fn key(text: &str) -> Option<Secret> {
    text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| Secret::new(text))
}

/// Where the daemon serves its status page and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthAddress {
    pub at: SocketAddr,
    /// Whether the owner set it. The daemon does not start without an address that was set, but
    /// does without the default one.
    pub explicit: bool,
}

/// An IP address with a port, or `off` for none.
pub(super) fn address_or_off(text: &str) -> Option<Option<SocketAddr>> {
    if text == "off" {
        return Some(None);
    }
    address(text).map(Some)
}

/// An IP address with a port.
pub(super) fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok().filter(|address: &SocketAddr| address.port() != 0)
}

/// A budget as `messages,length,size`; the inner `None` stands for `off`.
pub(super) fn budget(text: &str) -> Option<Option<Budget>> {
    if text == "off" {
        return Some(None);
    }
    let mut fields = text.split(',').map(str::trim);
    let messages = fields.next()?.parse().ok()?;
    let seconds = duration(fields.next()?)?.as_secs();
    let bytes = bytes(fields.next()?)?;
    let is_valid = fields.next().is_none() && messages > 0 && seconds > 0 && bytes > 0;
    is_valid.then_some(Some(Budget { messages, seconds, bytes }))
}

/// A value of LOG_LEVEL: `info`, or `info,stenogram::queue=debug`.
pub(super) fn log_filter(text: &str) -> Option<Targets> {
    // `Targets` takes a misspelt level for the name of a target and logs everything of it.
    let is_level = |piece: &str| !piece.is_empty() && piece.parse::<LevelFilter>().is_ok();
    let is_valid = |piece: &str| piece.contains('=') || is_level(piece);
    let all_valid = text.split(',').all(is_valid) && !text.contains(char::is_whitespace);
    all_valid.then(|| text.parse().ok())?
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

pub(super) fn log_format(text: &str) -> Option<LogFormat> {
    match text {
        "auto" | "human" => Some(LogFormat::Human),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}

/// A number of characters, or `off` for never, which is `u32::MAX`. No message is longer.
pub(super) fn length_or_never(text: &str) -> Option<u32> {
    match text {
        "off" => Some(u32::MAX),
        _ => text.parse().ok().filter(|length| (1..=4096).contains(length)),
    }
}

/// A number of messages, or `off` for never, which is `u32::MAX`.
pub(super) fn messages_or_never(text: &str) -> Option<u32> {
    match text {
        "off" => Some(u32::MAX),
        _ => text.parse().ok().filter(|messages| (1..=100).contains(messages)),
    }
}

pub(super) fn prefix_or_off(text: &str) -> Option<Option<CommandPrefix>> {
    match text {
        "off" => Some(None),
        _ => text.parse().ok().map(Some),
    }
}

pub(super) fn reaction_or_off(text: &str) -> Option<Option<ReactionEmoji>> {
    match text {
        "off" => Some(None),
        _ => text.parse().ok().map(Some),
    }
}

pub(super) fn on_or_off(text: &str) -> Option<bool> {
    match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// The inner `None` stands for `auto`: on for a GPU, off for a CPU.
pub(super) fn flash_attention(text: &str) -> Option<Option<bool>> {
    match text {
        "auto" => Some(None),
        _ => on_or_off(text).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_units_and_plain_seconds() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000)] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "m", "-1", "+1", "1.5h", "1 h", "1w", "99999999999999999999", "99999999999999999d", "٣m"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn idle_times_are_in_minutes() {
        for (text, minutes) in [("15", 15), ("15m", 15), ("2h", 120), ("1d", 1440)] {
            assert_eq!(minutes_or_never(text), Some(Some(Duration::from_secs(minutes * 60))), "{text}");
        }
        assert_eq!(minutes_or_never("0"), Some(None));
        for text in ["", "90s", "never", "-1", "99999999999999999999"] {
            assert_eq!(minutes_or_never(text), None, "{text}");
        }
    }

    #[test]
    fn recognisers_are_a_list_without_repetitions() {
        let list = recognisers("http://gpu:8000/v1, local").map(|list| list.len());
        assert_eq!(list, Some(2));
        for bad in ["", "local,", "local,local", "http://gpu/v1,http://gpu/v1/", "gpu"] {
            assert_eq!(recognisers(bad), None, "{bad}");
        }
        assert_eq!(
            model_of_server("Systran/faster-whisper-small").as_deref(),
            Some("Systran/faster-whisper-small")
        );
        assert!(model_of_server("a b").is_none() && model_of_server(&"x".repeat(201)).is_none());
        assert!(key("sk-1234_~").is_some() && key("two words").is_none() && key("ключ").is_none());
    }

    #[test]
    fn sizes_are_in_powers_of_1024() {
        assert_eq!(bytes("4096"), Some(4096));
        assert_eq!(bytes("64k"), Some(65_536));
        assert_eq!(bytes("200M"), Some(209_715_200));
        assert_eq!(bytes("2G"), Some(2 << 30));
        for text in ["", "K", "1T", "1KB", "-1K", "20000000000G"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn a_budget_has_three_limits() {
        let budget_of = |messages, seconds, bytes| Some(Some(Budget { messages, seconds, bytes }));
        assert_eq!(budget("30,30m,64M"), budget_of(30, 1800, 64 << 20));
        assert_eq!(budget("1, 90, 2048"), budget_of(1, 90, 2048));
        assert_eq!(budget("off"), Some(None));
        for text in
            ["", "30", "30,30m", "30,30m,64M,1", "0,30m,64M", "30,0,64M", "30,30m,0", "a,b,c", "-1,1,1"]
        {
            assert_eq!(budget(text), None, "{text}");
        }
    }

    #[test]
    fn a_tilde_is_no_path() {
        assert_eq!(path("~/data"), None);
        assert_eq!(path("./data~"), Some("./data~".into()));
    }

    #[test]
    fn mirrors_are_plain_web_urls() {
        for good in ["http://10.0.0.1:8000", "https://mirror.example/models/"] {
            assert_eq!(web_url(good).as_deref(), Some(good));
        }
        for bad in ["ftp://x", "https://", "https:///x", "mirror.example", "https://u:p@x", "https://x y"] {
            assert_eq!(web_url(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_address_has_a_port() {
        for good in ["127.0.0.1:9464", "0.0.0.0:80", "[::]:9464"] {
            assert_eq!(address_or_off(good), Some(good.parse().ok()), "{good}");
        }
        assert_eq!(address_or_off("off"), Some(None));
        for bad in ["", "9464", ":9464", "127.0.0.1", "127.0.0.1:0", "localhost:9464", "::1:9464", "no"] {
            assert_eq!(address_or_off(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_misspelt_log_level_is_no_filter() {
        for good in ["info", "WARN", "off", "info,stenogram::queue=debug", "stenogram=trace"] {
            assert!(log_filter(good).is_some(), "{good}");
        }
        for bad in ["inof", "info,stenogram", "stenogram=loud", "info,,", "info, redis=debug"] {
            assert!(log_filter(bad).is_none(), "{bad}");
        }
    }
}
