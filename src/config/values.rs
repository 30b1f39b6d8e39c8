//! Values as they are written: numbers with units, codes of languages, models, switches.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::runtime::deployment::typed;

/// A time of whole seconds: `90`, `90s`, `15m`, `12h`, `30d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    scaled(text, &units).map(Duration::from_secs)
}

/// A time of whole minutes: `15`, `15m`, `2h`; none for `0`.
pub(super) fn minutes_or_never(text: &str) -> Option<Option<Duration>> {
    let units = [('m', 1), ('h', 60), ('d', 24 * 60)];
    let minutes = scaled(text, &units)?;
    let time = Duration::from_secs(minutes.checked_mul(60)?);
    Some((minutes > 0).then_some(time))
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
    // `parse` alone would take a sign too.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// A path; `~` means nothing outside a shell and would become a folder of that name.
pub(super) fn path(text: &str) -> Option<PathBuf> {
    (!text.starts_with('~')).then(|| PathBuf::from(text))
}

/// An `http` or `https` URL without user name and password: it is shown and logged.
pub(super) fn web_url(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let host = rest.split(['/', '?', '#']).next()?;
    let plain = text.chars().all(|c| !c.is_whitespace() && !c.is_control());
    (plain && !host.is_empty() && !rest.contains('@')).then(|| text.to_owned())
}

/// Where the daemon tells how it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthAddress {
    pub at: SocketAddr,
    /// The owner has named it: where it cannot be had, that is a mistake.
    pub chosen: bool,
}

/// An IP address with a port, or `off`, which is none.
pub(super) fn address_or_off(text: &str) -> Option<Option<SocketAddr>> {
    if text == "off" {
        return Some(None);
    }
    text.parse().ok().filter(|address: &SocketAddr| address.port() != 0).map(Some)
}

/// What `LOG_LEVEL` says: `info`, or `info,stenogram::queue=debug`.
pub(super) fn log_filter(text: &str) -> Option<Targets> {
    // Targets would take a misspelt level for the name of a target, with everything logged.
    let is_level = |piece: &str| !piece.is_empty() && piece.parse::<LevelFilter>().is_ok();
    let sound = |piece: &str| piece.contains('=') || is_level(piece);
    let sound = text.split(',').all(sound) && !text.contains(char::is_whitespace);
    sound.then(|| text.parse().ok())?
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

/// How much of its window Whisper is given for a short recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioContext {
    /// What it needs, and all of it, with care, where that does not suffice.
    Auto,
    /// All of it at once.
    Full,
}

pub(super) fn audio_context(text: &str) -> Option<AudioContext> {
    match text {
        "full" => Some(AudioContext::Full),
        "auto" => Some(AudioContext::Auto),
        _ => None,
    }
}

/// None: as suits what recognises.
pub(super) fn flash_attention(text: &str) -> Option<Option<bool>> {
    match text {
        "auto" => Some(None),
        "on" => Some(Some(true)),
        "off" => Some(Some(false)),
        _ => None,
    }
}

/// Which model is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Model {
    /// A name for the catalogue to look up.
    Name(String),
    /// A ggml file of the owner's.
    Path(PathBuf),
}

/// A text that cannot be the name of a model.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{:?} is neither a model's name (see `{}`) nor the path of a .bin file", .0, typed("models list"))]
pub struct ParseModelError(String);

impl FromStr for Model {
    type Err = ParseModelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseModelError(text.to_owned());
        if text.contains('/') || text.ends_with(".bin") {
            return path(text).map(Self::Path).ok_or_else(error);
        }
        let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_name = !text.is_empty() && text.chars().all(in_name);
        is_name.then(|| Self::Name(text.to_owned())).ok_or_else(error)
    }
}

/// The codes that Whisper knows, as whisper.cpp 1.8 spells them; `tests/config.rs` compares.
pub const WHISPER_LANGUAGES: [&str; 100] = [
    "en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt", "tr", "pl", "ca", "nl", "ar", "sv", "it", "id",
    "hi", "fi", "vi", "he", "uk", "el", "ms", "cs", "ro", "da", "hu", "ta", "no", "th", "ur", "hr", "bg",
    "lt", "la", "mi", "ml", "cy", "sk", "te", "fa", "lv", "bn", "sr", "az", "sl", "kn", "et", "mk", "br",
    "eu", "is", "hy", "ne", "mn", "bs", "kk", "sq", "sw", "gl", "mr", "pa", "si", "km", "sn", "yo", "so",
    "af", "oc", "ka", "be", "tg", "sd", "gu", "am", "yi", "lo", "uz", "fo", "ht", "ps", "tk", "nn", "mt",
    "sa", "lb", "my", "bo", "tl", "mg", "as", "tt", "haw", "ln", "ha", "ba", "jw", "su", "yue",
];

/// The code of a language that Whisper knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LanguageCode(&'static str);

impl LanguageCode {
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for LanguageCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A language of one's choice, or whichever is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Auto,
    Fixed(LanguageCode),
}

/// A text that names no language of Whisper's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither auto nor the code of a language that Whisper knows, such as en, ru or uk")]
pub struct ParseLanguageError(String);

impl FromStr for Language {
    type Err = ParseLanguageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        language_code(text).map(Self::Fixed).ok_or_else(|| ParseLanguageError(text.to_owned()))
    }
}

fn language_code(text: &str) -> Option<LanguageCode> {
    WHISPER_LANGUAGES.iter().find(|code| code.eq_ignore_ascii_case(text)).map(|code| LanguageCode(code))
}

/// The languages that are spoken here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Languages {
    /// The likely ones, each once; none: all that Whisper knows.
    pub listed: Vec<LanguageCode>,
    /// Whether there are no others.
    pub only: bool,
}

/// Codes separated by commas, with `!` after the last where there are no other languages; an empty
/// text for all.
pub(super) fn languages(text: &str) -> Option<Languages> {
    let mut listed = Vec::new();
    if text.trim().is_empty() {
        return Some(Languages { listed, only: false });
    }
    let (codes, only) = text.trim().strip_suffix('!').map_or((text, false), |codes| (codes, true));
    for piece in codes.split(',') {
        let code = language_code(piece.trim())?;
        if !listed.contains(&code) {
            listed.push(code);
        }
    }
    Some(Languages { listed, only })
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

    #[test]
    fn a_model_is_a_name_or_a_path() {
        assert_eq!("large-v3-turbo-q5_0".parse(), Ok(Model::Name("large-v3-turbo-q5_0".into())));
        assert_eq!("own.bin".parse(), Ok(Model::Path("own.bin".into())));
        assert_eq!("/m/own.ggml".parse(), Ok(Model::Path("/m/own.ggml".into())));
        for bad in ["", "large v3", "~/own.bin"] {
            assert!(bad.parse::<Model>().is_err(), "{bad}");
        }
    }

    #[test]
    fn languages_are_those_of_whisper() {
        assert_eq!("auto".parse(), Ok(Language::Auto));
        assert_eq!("RU".parse(), Ok(Language::Fixed(LanguageCode("ru"))));
        assert!("ua".parse::<Language>().is_err(), "Ukrainian is uk");
        let listed = vec![LanguageCode("ru"), LanguageCode("en")];
        for (text, only) in [("ru, en,ru", false), ("ru,en!", true), (" ru, en ! ", true)] {
            assert_eq!(languages(text), Some(Languages { listed: listed.clone(), only }), "{text}");
        }
        assert_eq!(languages(""), Some(Languages { listed: vec![], only: false }));
        for bad in ["ru,", "ru;en", "auto", "ru,xx", "!", "ru!,en", "ru,en!!", "ru,!", "!ru"] {
            assert_eq!(languages(bad), None, "{bad}");
        }
    }
}
