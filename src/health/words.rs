//! Durations, numbers and outcomes in words, in the languages of the page.

use std::time::Duration;

use super::facts::{Outcome, Stage, Volume};

/// A language of the page, with its way to write numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locale {
    English,
    Russian,
}

impl Locale {
    pub const ALL: [Self; 2] = [Self::English, Self::Russian];

    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Russian => "ru",
        }
    }

    /// The language's name, in itself.
    pub fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Russian => "Русский",
        }
    }

    /// The language that the address asks for (`lang=ru`), else the one that the browser prefers
    /// (<https://www.rfc-editor.org/rfc/rfc9110#field.accept-language>), else English.
    pub fn negotiate(query: Option<&str>, accepted: Option<&str>) -> Self {
        let by_code = |code: &str| Self::ALL.into_iter().find(|locale| locale.code() == code);
        let asked = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("lang="));
        asked.and_then(by_code).unwrap_or_else(|| {
            let mut best = (0.0, Self::English);
            for range in accepted.unwrap_or_default().split(',') {
                let mut fields = range.split(';').map(str::trim);
                let tag = fields.next().unwrap_or_default();
                let primary = tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
                let weight = fields.find_map(|field| field.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
                if let Some(locale) = by_code(&primary)
                    && weight > best.0
                {
                    best = (weight, locale);
                }
            }
            best.1
        })
    }

    /// The text in this language.
    pub fn pick<T>(self, english: T, russian: T) -> T {
        match self {
            Self::English => english,
            Self::Russian => russian,
        }
    }
}

/// A duration in its two largest units.
pub fn duration(locale: Locale, time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    // No-break spaces keep a number and its unit together.
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}\u{a0}{}", locale.pick("s", "с")),
        (0, 0, _) => format!("{minutes}\u{a0}{}", locale.pick("min", "мин")),
        (0, ..) => format!(
            "{hours}\u{a0}{} {}\u{a0}{}",
            locale.pick("h", "ч"),
            minutes % 60,
            locale.pick("min", "мин")
        ),
        _ => {
            format!("{days}\u{a0}{} {}\u{a0}{}", locale.pick("d", "д"), hours % 24, locale.pick("h", "ч"))
        }
    }
}

/// A number with this many decimal places.
pub fn number(locale: Locale, value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    locale.pick(text.clone(), text.replace('.', ","))
}

/// Seconds, with about three significant digits.
pub fn seconds(locale: Locale, time: Duration) -> String {
    let value = time.as_secs_f64();
    let places = match value {
        _ if value >= 600.0 => return duration(locale, time),
        _ if value >= 100.0 => 0,
        _ if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{}\u{a0}{}", number(locale, value, places), locale.pick("s", "с"))
}

/// The length of a recording.
pub fn length(locale: Locale, time: Duration) -> String {
    let value = time.as_secs_f64();
    if value >= 100.0 {
        return duration(locale, time);
    }
    format!("{}\u{a0}{}", number(locale, value, 1), locale.pick("s", "с"))
}

/// What the worker is doing with a job.
pub fn activity(locale: Locale, stage: Option<Stage>) -> &'static str {
    match stage {
        Some(Stage::Fetch) => locale.pick("Fetching a recording", "Скачивается запись"),
        Some(Stage::Decode) => locale.pick("Decoding a recording", "Декодируется запись"),
        Some(Stage::Recognise) => locale.pick("Recognising a recording", "Распознаётся запись"),
        Some(Stage::Deliver) => locale.pick("Sending an answer", "Отправляется ответ"),
        None => locale.pick("Working on a recording", "Обрабатывается запись"),
    }
}

pub fn outcome(locale: Locale, outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Answered => locale.pick("answered", "отвечено"),
        Outcome::Silent => locale.pick("nothing said", "тишина"),
        Outcome::Gone => locale.pick("message gone", "сообщения нет"),
        Outcome::Rejected => locale.pick("cannot be answered", "ответить нельзя"),
        Outcome::Dead => locale.pick("given up", "не удалось"),
        Outcome::Retried => locale.pick("failed, will try again", "сбой, будет повтор"),
    }
}

/// What waits, or was refused, because of the budgets: a sentence each.
pub fn held(locale: Locale, volume: &Volume) -> Vec<String> {
    let Volume { sends, gate, .. } = volume;
    let sentences = [
        (
            u64::from(sends.waiting),
            "Answers that wait because of SENDS_PER_MINUTE or SENDS_PER_DAY",
            "Ответов ждут отправки из-за SENDS_PER_MINUTE или SENDS_PER_DAY",
        ),
        (
            gate.over_budget,
            "Chats whose messages wait because their budget (CHAT_… or STRANGER_…) is used up",
            "Чатов, чьи сообщения ждут, потому что исчерпан их лимит (CHAT_… или STRANGER_…)",
        ),
        (
            gate.looping,
            "Chats whose messages wait because a program seems to make them from the answers",
            "Чатов, чьи сообщения ждут, потому что их, похоже, создаёт программа из наших ответов",
        ),
        (
            gate.refused,
            "Messages of strangers refused since the start because of QUEUE_LIMIT",
            "Сообщений от незнакомых не принято с запуска из-за QUEUE_LIMIT",
        ),
    ];
    let told = sentences.into_iter().filter(|(count, ..)| *count > 0);
    told.map(|(count, english, russian)| format!("{}: {count}.", locale.pick(english, russian))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Locale::{English, Russian};

    #[test]
    fn the_address_takes_precedence_over_the_browser() {
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
            assert_eq!(Locale::negotiate(query, accepted), wanted, "{query:?} {accepted:?}");
        }
    }

    #[test]
    fn durations_have_their_two_largest_units() {
        for (seconds, english, russian) in [
            (7, "7 s", "7 с"),
            (119, "1 min", "1 мин"),
            (11_520, "3 h 12 min", "3 ч 12 мин"),
            (90_000, "1 d 1 h", "1 д 1 ч"),
        ] {
            let text = |locale| duration(locale, Duration::from_secs(seconds)).replace('\u{a0}', " ");
            assert_eq!((text(English).as_str(), text(Russian).as_str()), (english, russian));
        }
    }

    #[test]
    fn seconds_have_about_three_significant_digits() {
        let text = |seconds_: f64| seconds(Russian, Duration::from_secs_f64(seconds_)).replace('\u{a0}', " ");
        assert_eq!([text(0.123), text(12.34), text(123.4)], ["0,12 с", "12,3 с", "123 с"]);
    }
}
