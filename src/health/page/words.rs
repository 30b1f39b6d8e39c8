//! What the page says, in the languages that it knows.

use std::time::Duration;

use crate::domain::{Restricted, Restriction, unix_time};
use crate::health::facts::Outcome;
use crate::health::readiness::Trouble;

/// A language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    English,
    Russian,
}

impl Language {
    pub const ALL: [Self; 2] = [Self::English, Self::Russian];

    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Russian => "ru",
        }
    }

    /// Its own name for itself.
    pub fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Russian => "Русский",
        }
    }

    /// What the address asks for (`lang=ru`), else what the browser likes best
    /// (<https://www.rfc-editor.org/rfc/rfc9110#field.accept-language>), else English.
    pub fn wanted(query: Option<&str>, accepted: Option<&str>) -> Self {
        let of_code = |code: &str| Self::ALL.into_iter().find(|language| language.code() == code);
        let asked = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("lang="));
        asked.and_then(of_code).unwrap_or_else(|| {
            let mut best = (0.0, Self::English);
            for range in accepted.unwrap_or_default().split(',') {
                let mut fields = range.split(';').map(str::trim);
                let tag = fields.next().unwrap_or_default();
                let primary = tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
                let weight = fields.find_map(|field| field.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
                if let Some(language) = of_code(&primary)
                    && weight > best.0
                {
                    best = (weight, language);
                }
            }
            best.1
        })
    }

    /// One of two texts.
    pub fn pick<T>(self, english: T, russian: T) -> T {
        match self {
            Self::English => english,
            Self::Russian => russian,
        }
    }
}

/// A length of time in its two largest units.
pub fn duration(language: Language, time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    // No-break spaces: a number stays with its unit.
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}\u{a0}{}", language.pick("s", "с")),
        (0, 0, _) => format!("{minutes}\u{a0}{}", language.pick("min", "мин")),
        (0, ..) => format!(
            "{hours}\u{a0}{} {}\u{a0}{}",
            language.pick("h", "ч"),
            minutes % 60,
            language.pick("min", "мин")
        ),
        _ => {
            format!("{days}\u{a0}{} {}\u{a0}{}", language.pick("d", "д"), hours % 24, language.pick("h", "ч"))
        }
    }
}

/// A number with so many places after the point or comma.
pub fn number(language: Language, value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    language.pick(text.clone(), text.replace('.', ","))
}

/// Seconds as exact as they are worth reading.
pub fn seconds(language: Language, time: Duration) -> String {
    let value = time.as_secs_f64();
    let places = match value {
        _ if value >= 600.0 => return duration(language, time),
        _ if value >= 100.0 => 0,
        _ if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{}\u{a0}{}", number(language, value, places), language.pick("s", "с"))
}

/// The length of a recording.
pub fn length(language: Language, time: Duration) -> String {
    let value = time.as_secs_f64();
    if value >= 100.0 {
        return duration(language, time);
    }
    format!("{}\u{a0}{}", number(language, value, 1), language.pick("s", "с"))
}

pub fn outcome(language: Language, outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Answered => language.pick("answered", "отвечено"),
        Outcome::Silent => language.pick("nothing said", "тишина"),
        Outcome::Gone => language.pick("message gone", "сообщения нет"),
        Outcome::Rejected => language.pick("cannot be answered", "ответить нельзя"),
        Outcome::Dead => language.pick("given up", "не удалось"),
        Outcome::Retried => language.pick("failed, will try again", "сбой, будет повтор"),
    }
}

pub fn trouble(language: Language, trouble: &Trouble) -> String {
    let time = |time| duration(language, time);
    match trouble {
        Trouble::ModelLoading => {
            language.pick("The model is not loaded yet.", "Модель ещё не загружена.").into()
        }
        Trouble::ModelMissing => language
            .pick(
                "The model was freed for want of work and cannot be loaded again; the log says why.",
                "Модель выгружена за ненадобностью и не загружается снова; причина — в журнале.",
            )
            .into(),
        Trouble::QueueOpening => language
            .pick(
                "The queue is not open yet; its Redis may be away. The log has the reason.",
                "Очередь ещё не открыта; возможно, Redis недоступен. Причина — в журнале.",
            )
            .into(),
        Trouble::QueueAway(since) => language.pick(
            format!("The queue has taken no writes for {}. The log has the reason.", time(*since)),
            format!("Очередь не принимает записи уже {}. Причина — в журнале.", time(*since)),
        ),
        Trouble::NotConnected(since) => language.pick(
            format!("Not connected to Telegram for {}. The log has the reason.", time(*since)),
            format!("Нет связи с Telegram уже {}. Причина — в журнале.", time(*since)),
        ),
        Trouble::ClockAhead(by) => language.pick(
            format!(
                "Not connected: this machine's clock is {} ahead of Telegram's, which refuses it. Set the clock, and keep \
                 it right with NTP.",
                time(*by)
            ),
            format!(
                "Нет связи: часы этого компьютера спешат на {}, и Telegram не принимает его сообщения. Установите \
                 точное время и включите синхронизацию по NTP.",
                time(*by)
            ),
        ),
        Trouble::Restricted(restricted) => restriction(language, restricted),
        Trouble::Stuck(what, late) => language.pick(
            format!("The {what} is stuck, overdue by {}. Restart stenogram and report this.", time(*late)),
            format!(
                "Зависло: {}, опоздание {}. Перезапустите stenogram и сообщите об этом.",
                loop_in_russian(what),
                time(*late)
            ),
        ),
        Trouble::Stopping => language.pick("The daemon is stopping.", "Программа останавливается.").into(),
    }
}

/// Why Telegram does not let the account send, and what the owner can do.
pub fn restriction(language: Language, restricted: &Restricted) -> String {
    let now = unix_time::now();
    let moment = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    let since = duration(language, now.saturating_sub(moment(restricted.since)));
    let appeal = &restricted.appeal;
    match restricted.why {
        Restriction::Frozen => {
            let deletion = restricted.deletion.map(|at| {
                let left = duration(language, moment(at).saturating_sub(now));
                language.pick(format!(" It will be deleted in {left}."), format!(" Он будет удалён через {left}."))
            });
            let deletion = deletion.unwrap_or_default();
            language.pick(
                format!(
                    "Telegram has frozen the account, {since} ago: it can read, but not send.{deletion} Appeal in the \
                     Telegram app or at {appeal}. Until then the answers are kept."
                ),
                format!(
                    "Telegram заморозил аккаунт {since} назад: он может читать, но не отправлять.{deletion} Подайте \
                     апелляцию в приложении Telegram или через {appeal}. До тех пор ответы хранятся."
                ),
            )
        }
        Restriction::SpamLimited => language.pick(
            format!(
                "Telegram has limited the account for spam, {since} ago: nothing is sent, and one answer is tried \
                 every few hours. Ask {appeal} how long it lasts. Until then the answers are kept."
            ),
            format!(
                "Telegram ограничил аккаунт за спам {since} назад: ничего не отправляется, попытки — раз в несколько \
                 часов. Надолго ли, скажет {appeal}. До тех пор ответы хранятся."
            ),
        ),
    }
}

fn loop_in_russian(what: &str) -> &str {
    match what {
        "worker" => "обработка записей",
        "recognition" => "распознавание",
        "update loop" => "приём сообщений",
        "download" => "скачивание",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Language::{English, Russian};

    #[test]
    fn the_address_decides_before_the_browser() {
        for (query, accepted, wanted) in [
            (None, None, English),
            (None, Some("ru-RU,ru;q=0.9,en;q=0.8"), Russian),
            (None, Some("de, en;q=0.3, RU;q=0.7"), Russian),
            (None, Some("en-GB, ru"), English),
            (None, Some("rus, ru;q=0, €uro"), English),
            (Some("lang=ru"), Some("en"), Russian),
            (Some("a=1&lang=en"), Some("ru"), English),
            (Some("lang=xx"), Some("ru"), Russian),
        ] {
            assert_eq!(Language::wanted(query, accepted), wanted, "{query:?} {accepted:?}");
        }
    }

    #[test]
    fn times_have_their_two_largest_units() {
        for (seconds, english, russian) in [
            (7, "7 s", "7 с"),
            (119, "1 min", "1 мин"),
            (11_520, "3 h 12 min", "3 ч 12 мин"),
            (90_000, "1 d 1 h", "1 д 1 ч"),
        ] {
            let text = |language| duration(language, Duration::from_secs(seconds)).replace('\u{a0}', " ");
            assert_eq!((text(English).as_str(), text(Russian).as_str()), (english, russian));
        }
    }

    #[test]
    fn numbers_have_the_places_that_matter() {
        let text = |seconds_: f64| seconds(Russian, Duration::from_secs_f64(seconds_)).replace('\u{a0}', " ");
        assert_eq!([text(0.123), text(12.34), text(123.4)], ["0,12 с", "12,3 с", "123 с"]);
    }
}
