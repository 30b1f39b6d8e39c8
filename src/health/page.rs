//! The status page: one file without anything from elsewhere, in the colours and the language that
//! the browser prefers. It shows no text, no name and no number of a chat.

pub mod words;

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::HeaderValue;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use self::words::Language;
use super::day::STEPS;
use super::facts::{Facts, Outcome, Stage, Work};
use super::readiness::{Trouble, troubles};
use super::vitals::Vitals;
use crate::runtime::process::Memory;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/refresh.js");

/// Only this style, this script and this listener.
pub static CONTENT_SECURITY_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// The page as of now.
pub fn render(vitals: &Vitals, language: Language) -> String {
    let stuck = vitals.stuck();
    let mut facts = vitals.facts();
    let troubles = troubles(&facts, &stuck);
    let is_well = troubles.is_empty();
    let state = match is_well {
        true => language.pick("Ready", "Работает"),
        false => language.pick("Not ready", "Не работает"),
    };
    let reconnects = facts.reconnects.counts(Instant::now());
    let total: u32 = reconnects.iter().sum();
    fill(&[
        ("lang", language.code()),
        ("title", &format!("{state} · stenogram")),
        ("icon", if is_well { "1c7a4d" } else { "b3351f" }),
        ("style", STYLE),
        ("languages_label", language.pick("Language", "Язык")),
        ("languages", &languages(language)),
        (
            "away",
            language.pick(
                "stenogram does not answer. What is below was true before.",
                "stenogram не отвечает. Ниже — то, что было раньше.",
            ),
        ),
        ("state_class", if is_well { "well" } else { "ill" }),
        ("state", state),
        ("state_text", &state_text(language, &facts, &troubles)),
        ("figures", &figures(language, &facts)),
        ("jobs_title", language.pick("Last recordings", "Последние записи")),
        ("jobs", &jobs(language, &facts)),
        (
            "reconnects_title",
            language.pick("Times reconnected in the last 24 hours", "Переподключений за последние сутки"),
        ),
        ("reconnects_total", &total.to_string()),
        ("reconnects", &plot(language, &reconnects)),
        ("foot", &foot(language, &facts)),
        ("script", SCRIPT),
    ])
}

/// The page with its gaps filled, front to back, so that nothing filled in is looked through.
fn fill(values: &[(&str, &str)]) -> String {
    let mut page = String::new();
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        page += before;
        page += values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
        rest = after;
    }
    page + rest
}

fn languages(current: Language) -> String {
    let link = |language: Language| {
        let code = language.code();
        let mark = if language == current { " aria-current=\"true\"" } else { "" };
        format!("<a href=\"?lang={code}\" lang=\"{code}\" hreflang=\"{code}\"{mark}>{}</a>", language.name())
    };
    Language::ALL.map(link).join("\n")
}

fn state_text(language: Language, facts: &Facts, troubles: &[Trouble]) -> String {
    if !troubles.is_empty() {
        let item = |trouble| format!("<li>{}</li>", escaped(&words::trouble(language, trouble)));
        return format!("<ul>{}</ul>", troubles.iter().map(item).collect::<String>());
    }
    let since = facts.connected.map_or(Duration::ZERO, |since| since.elapsed());
    let mut lines = vec![format!(
        "{} {}.",
        language.pick("Connected to Telegram for", "На связи с Telegram уже"),
        words::duration(language, since)
    )];
    let flood = facts.flood_left();
    if !flood.is_zero() {
        lines.push(format!(
            "{} {}.",
            language.pick("Telegram wants nothing sent for", "Telegram просит ничего не отправлять ещё"),
            words::duration(language, flood)
        ));
    }
    lines.extend(facts.running.values().map(|work| running(language, work)));
    lines.iter().map(|line| format!("<p>{line}</p>")).collect()
}

fn running(language: Language, work: &Work) -> String {
    let what = match work.stage {
        Some(Stage::Fetch) => language.pick("Fetching a recording", "Скачивается запись"),
        Some(Stage::Recognise) => language.pick("Recognising a recording", "Распознаётся запись"),
        Some(Stage::Deliver) => language.pick("Sending an answer", "Отправляется ответ"),
        Some(Stage::Decode) | None => language.pick("Working on a recording", "Обрабатывается запись"),
    };
    let length = work.audio.map(|seconds| {
        let length = words::duration(language, Duration::from_secs_f64(seconds));
        language.pick(format!(" of {length}"), format!(" длиной {length}"))
    });
    let since = words::duration(language, work.since.elapsed());
    let since = language.pick(format!(", for {since} so far."), format!(", уже {since}."));
    what.to_owned() + &length.unwrap_or_default() + &since
}

fn figures(language: Language, facts: &Facts) -> String {
    let counts = facts.counts;
    let unfinished = counts.waiting + counts.claimed + counts.delayed;
    let mut queue = Vec::new();
    if let Some(age) = facts.oldest_age() {
        let age = words::duration(language, age);
        queue.push(language.pick(format!("the oldest for {age}"), format!("старейшая ждёт {age}")));
    }
    for (count, what) in [
        (counts.delayed, language.pick("put off", "отложено")),
        (counts.dead, language.pick("given up", "не удалось")),
    ] {
        if count > 0 {
            queue.push(format!("{what}: {count}"));
        }
    }
    if queue.is_empty() {
        queue.push(language.pick("nothing waits", "ничего не ждёт").into());
    }
    let recognise = facts.stages[Stage::Recognise as usize].sum;
    let factor = match facts.audio > 0.0 {
        true => words::number(language, recognise / facts.audio, 2),
        false => "–".into(),
    };
    let audio = words::duration(language, Duration::from_secs_f64(facts.audio));
    [
        (language.pick("In the queue", "В очереди"), unfinished.to_string(), queue.join(", ")),
        (
            language.pick("Answered", "Отвечено"),
            facts.outcome(Outcome::Answered).to_string(),
            language.pick("since the start", "с запуска").into(),
        ),
        (
            language.pick("Speech recognised", "Распознано речи"),
            audio,
            language.pick("since the start", "с запуска").into(),
        ),
        (
            language.pick("Real-time factor", "Доля реального времени"),
            factor,
            language.pick("recognition per length", "распознавание к длине").into(),
        ),
    ]
    .map(|(name, value, note)| {
        format!("<div><dt>{name}</dt><dd>{value}</dd><dd class=\"note\">{note}</dd></div>")
    })
    .join("\n")
}

fn jobs(language: Language, facts: &Facts) -> String {
    if facts.last.is_empty() {
        let none = language.pick("None since the start.", "С запуска не было ни одной.");
        return format!("<p class=\"quiet\">{none}</p>");
    }
    let heads = [
        ("left", language.pick("Ended", "Завершена")),
        ("", language.pick("Length", "Длина")),
        ("left", language.pick("Outcome", "Итог")),
        ("", language.pick("Fetching", "Скачивание")),
        ("", language.pick("Decoding", "Декодирование")),
        ("", language.pick("Recognition", "Распознавание")),
        ("", language.pick("Sending", "Отправка")),
        ("", language.pick("Real-time factor", "Доля реального времени")),
    ];
    let head: String = heads
        .iter()
        .map(|(class, text)| format!("<th scope=\"col\" class=\"{class}\">{text}</th>"))
        .collect();
    let mut rows = String::new();
    for (at, outcome, work) in &facts.last {
        let ago = words::duration(language, at.elapsed());
        let ago = language.pick(format!("{ago} ago"), format!("{ago} назад"));
        let length = work.audio.map(Duration::from_secs_f64);
        let length = length.map_or("–".into(), |length| words::length(language, length));
        let failed = matches!(outcome, Outcome::Rejected | Outcome::Dead | Outcome::Retried);
        let class = if failed { "left ill-text" } else { "left" };
        let _ = write!(
            rows,
            "<tr><td class=\"left\">{ago}</td><td>{length}</td><td class=\"{class}\">{}</td>",
            words::outcome(language, *outcome)
        );
        for stage in Stage::ALL {
            let took = work.took(stage);
            let text = if took.is_zero() { "–".into() } else { words::seconds(language, took) };
            let _ = write!(rows, "<td>{text}</td>");
        }
        let factor = work.factor().map_or("–".into(), |factor| words::number(language, factor, 2));
        let _ = writeln!(rows, "<td>{factor}</td></tr>");
    }
    // Narrow screens scroll it, with the keyboard too.
    format!(
        "<div class=\"scroll\" role=\"region\" aria-labelledby=\"jobs\" tabindex=\"0\"><table>\
         <thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
}

/// A bar for each half hour.
fn plot(language: Language, counts: &[u32]) -> String {
    const WIDTH: usize = 10;
    const HEIGHT: u32 = 60;
    let most = counts.iter().copied().max().unwrap_or_default();
    let label = language.pick(
        format!("by half hours, at most {most} in one"),
        format!("по получасам, не более {most} за каждый"),
    );
    // A single one is not to look like many.
    let most = most.max(4);
    let mut bars = String::new();
    for (step, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let height = (count * HEIGHT).div_ceil(most);
        let ago = words::duration(language, Duration::from_secs((STEPS - step) as u64 * 1800));
        let ago = language.pick(format!("{count}, up to {ago} ago"), format!("{count}, до {ago} назад"));
        let _ = write!(
            bars,
            "<rect class=\"bar\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{height}\"><title>{ago}</title></rect>",
            step * WIDTH + 1,
            HEIGHT - height,
            WIDTH - 2
        );
    }
    let axis = language
        .pick(["24\u{a0}h ago", "12\u{a0}h ago", "now"], ["24\u{a0}ч назад", "12\u{a0}ч назад", "сейчас"])
        .map(|mark| format!("<span>{mark}</span>"));
    format!(
        "<svg role=\"img\" aria-label=\"{label}\" viewBox=\"0 0 {} {}\" \
         preserveAspectRatio=\"none\"><line class=\"base\" x1=\"0\" x2=\"{0}\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\"/>\
         {bars}</svg><div class=\"axis\" aria-hidden=\"true\">{}</div>",
        STEPS * WIDTH,
        HEIGHT + 1,
        axis.concat()
    )
}

fn foot(language: Language, facts: &Facts) -> String {
    let mut parts = vec![format!("stenogram {}", env!("CARGO_PKG_VERSION"))];
    if let Some(model) = &facts.model {
        parts.push(format!("{} {}", language.pick("model", "модель"), escaped(model)));
    }
    let up = words::duration(language, facts.started.elapsed());
    parts.push(format!("{} {up}", language.pick("running for", "работает")));
    if let Some(memory) = Memory::sample() {
        parts.push(format!(
            "{}\u{a0}{}",
            memory.resident >> 20,
            language.pick("MiB of memory", "МиБ памяти")
        ));
    }
    parts.join(" · ")
}

/// Text that is not all ours: the name of the model's file, an address from Telegram.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gap_of_the_page_is_filled() {
        for language in Language::ALL {
            let vitals = Vitals::new(&[]);
            vitals.model_loaded("<b>{{script}}\"&".into());
            let page = render(&vitals, language);
            assert!(page.contains("&lt;b&gt;{{script}}&quot;&amp;"), "{page}");
            assert_eq!(page.matches("{{").count(), 1, "{page}");
            assert!(page.contains(&format!("<html lang=\"{}\">", language.code())));
        }
    }
}
