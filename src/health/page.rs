//! The status page: one self-contained file, in the colours and the language that the browser
//! prefers. It shows no text, no name and no number of a chat.

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::HeaderValue;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::facts::{Facts, Outcome, RecogniserFacts, Role, RunningJob, Stage, Volume};
use super::half_hours::HALF_HOURS;
use super::state::HealthState;
use super::trouble::{Trouble, troubles};
use super::words::{self, Locale};
use super::workers;
use crate::domain::pacing::SendUsage;
use crate::runtime::process::Memory;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/refresh.js");

/// Allows nothing but this style, this script, and requests to this listener.
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
pub fn render(health: &HealthState, locale: Locale) -> String {
    let stuck = health.stuck();
    let volume = health.volume();
    let mut facts = health.facts();
    let troubles = troubles(&facts, &stuck);
    let is_ready = troubles.is_empty();
    let state = match is_ready {
        true => locale.pick("Ready", "Работает"),
        false => locale.pick("Not ready", "Не работает"),
    };
    let reconnects = facts.reconnects.counts(Instant::now());
    let total: u32 = reconnects.iter().sum();
    fill(&[
        ("lang", locale.code()),
        ("title", &format!("{state} · stenogram")),
        ("icon", if is_ready { "1c7a4d" } else { "b3351f" }),
        ("style", STYLE),
        ("languages_label", locale.pick("Language", "Язык")),
        ("languages", &languages(locale)),
        (
            "away",
            locale.pick(
                "stenogram does not answer. What is below was true before.",
                "stenogram не отвечает. Ниже — то, что было раньше.",
            ),
        ),
        ("state_class", if is_ready { "well" } else { "ill" }),
        ("state", state),
        ("state_text", &state_text(locale, &facts, &volume, &troubles)),
        ("figures", &figures(locale, &facts, &volume)),
        ("workers", &workers::table(locale, &facts)),
        ("jobs_title", locale.pick("Last recordings", "Последние записи")),
        ("jobs", &jobs(locale, &facts)),
        (
            "reconnects_title",
            locale.pick("Times reconnected in the last 24 hours", "Переподключений за последние сутки"),
        ),
        ("reconnects_total", &total.to_string()),
        ("reconnects", &chart(locale, &reconnects)),
        ("foot", &foot(locale, &facts)),
        ("script", SCRIPT),
    ])
}

/// The page with its placeholders replaced. Values are not searched for placeholders themselves.
fn fill(values: &[(&str, &str)]) -> String {
    let mut page = String::new();
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        page += before;
        page += values.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value);
        rest = after;
    }
    page + rest
}

fn languages(current: Locale) -> String {
    let link = |locale: Locale| {
        let code = locale.code();
        let mark = if locale == current { " aria-current=\"true\"" } else { "" };
        format!("<a href=\"?lang={code}\" lang=\"{code}\" hreflang=\"{code}\"{mark}>{}</a>", locale.name())
    };
    Locale::ALL.map(link).join("\n")
}

fn state_text(locale: Locale, facts: &Facts, volume: &Volume, troubles: &[Trouble]) -> String {
    if !troubles.is_empty() {
        let item = |trouble: &Trouble| format!("<li>{}</li>", escaped(&trouble.text(locale)));
        return format!("<ul>{}</ul>", troubles.iter().map(item).collect::<String>());
    }
    let mut lines = vec![connection(locale, facts)];
    let flood = facts.flood_left();
    if !flood.is_zero() {
        lines.push(format!(
            "{} {}.",
            locale.pick("Telegram wants nothing sent for", "Telegram просит ничего не отправлять ещё"),
            words::duration(locale, flood)
        ));
    }
    lines.extend(words::held(locale, volume));
    lines.extend(recognisers_away(locale, facts));
    lines.extend(facts.running.values().map(|job| running(locale, job)));
    lines.iter().map(|line| format!("<p>{line}</p>")).collect()
}

fn connection(locale: Locale, facts: &Facts) -> String {
    if facts.role == Role::Worker {
        return locale.pick("Recognises for the gateways.", "Распознаёт записи для шлюзов.").into();
    }
    let since = facts.connected.map_or(Duration::ZERO, |since| since.elapsed());
    let telegram = locale.pick("Connected to Telegram for", "На связи с Telegram уже");
    format!("{telegram} {}.", words::duration(locale, since))
}

/// The recognisers that are not well, while others are.
fn recognisers_away(locale: Locale, facts: &Facts) -> Option<String> {
    let away = facts.recognisers.iter().filter(|recogniser| !recogniser.is_well);
    let names: Vec<_> = away.map(|recogniser| escaped(&recogniser.name)).collect();
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        locale.pick(
            format!("Not asked for now, because it failed: {names}. The log has the reason."),
            format!("Временно не распознаёт из-за сбоя: {names}. Причина — в журнале."),
        )
    })
}

fn running(locale: Locale, job: &RunningJob) -> String {
    let activity = words::activity(locale, job.stage);
    let length = job.audio.map(|seconds| {
        let length = words::duration(locale, Duration::from_secs_f64(seconds));
        locale.pick(format!(" of {length}"), format!(" длиной {length}"))
    });
    let since = words::duration(locale, job.since.elapsed());
    let since = locale.pick(format!(", for {since} so far."), format!(", уже {since}."));
    activity.to_owned() + &length.unwrap_or_default() + &since
}

fn figures(locale: Locale, facts: &Facts, volume: &Volume) -> String {
    let counts = facts.counts;
    let unfinished = counts.waiting + counts.claimed + counts.delayed;
    let mut queue = Vec::new();
    if let Some(age) = facts.oldest_age() {
        let age = words::duration(locale, age);
        queue.push(locale.pick(format!("the oldest for {age}"), format!("старейшая ждёт {age}")));
    }
    for (count, name) in [
        (counts.delayed, locale.pick("put off", "отложено")),
        (counts.dead, locale.pick("given up", "не удалось")),
    ] {
        if count > 0 {
            queue.push(format!("{name}: {count}"));
        }
    }
    if queue.is_empty() {
        queue.push(locale.pick("nothing waits", "ничего не ждёт").into());
    }
    let recognise = facts.stages[Stage::Recognise as usize].sum;
    let factor = match facts.audio > 0.0 {
        true => words::number(locale, recognise / facts.audio, 2),
        false => "–".into(),
    };
    let audio = words::duration(locale, Duration::from_secs_f64(facts.audio));
    let SendUsage { minute, day, .. } = volume.sends;
    let all = [
        (locale.pick("In the queue", "В очереди"), unfinished.to_string(), queue.join(", ")),
        (
            locale.pick("Answered", "Отвечено"),
            facts.outcome(Outcome::Answered).to_string(),
            locale.pick("since the start", "с запуска").into(),
        ),
        (
            locale.pick("Sent in 24 hours", "Отправлено за сутки"),
            day.0.to_string(),
            locale.pick(
                format!("of {}; {} of {} in the last minute", day.1, minute.0, minute.1),
                format!("из {}; за последнюю минуту {} из {}", day.1, minute.0, minute.1),
            ),
        ),
        (
            locale.pick("Speech recognised", "Распознано речи"),
            audio,
            locale.pick("since the start", "с запуска").into(),
        ),
        (
            locale.pick("Real-time factor", "Доля реального времени"),
            factor,
            locale.pick("recognition per length", "распознавание к длине").into(),
        ),
    ];
    // A worker has no queue and no answers of its own.
    let shown = if facts.role == Role::Worker { &all[3..] } else { &all[..] };
    let figure = |(name, value, note): &(&str, String, String)| {
        format!("<div><dt>{name}</dt><dd>{value}</dd><dd class=\"note\">{note}</dd></div>")
    };
    shown.iter().map(figure).collect::<Vec<_>>().join("\n")
}

fn jobs(locale: Locale, facts: &Facts) -> String {
    if facts.ended.is_empty() {
        let none = locale.pick("None since the start.", "С запуска не было ни одной.");
        return format!("<p class=\"quiet\">{none}</p>");
    }
    let has_choice = facts.has_choice_of_recognisers();
    let mut heads = vec![
        ("left", locale.pick("Ended", "Завершена")),
        ("", locale.pick("Length", "Длина")),
        ("left", locale.pick("Outcome", "Итог")),
        ("", locale.pick("Fetching", "Скачивание")),
        ("", locale.pick("Decoding", "Декодирование")),
        ("", locale.pick("Recognition", "Распознавание")),
        ("", locale.pick("Sending", "Отправка")),
        ("", locale.pick("Real-time factor", "Доля реального времени")),
    ];
    if has_choice {
        heads.push(("left", locale.pick("Recogniser", "Распознаватель")));
    }
    let head: String = heads
        .iter()
        .map(|(class, text)| format!("<th scope=\"col\" class=\"{class}\">{text}</th>"))
        .collect();
    let mut rows = String::new();
    for (at, outcome, job) in &facts.ended {
        let ago = words::duration(locale, at.elapsed());
        let ago = locale.pick(format!("{ago} ago"), format!("{ago} назад"));
        let length = job.audio.map(Duration::from_secs_f64);
        let length = length.map_or("–".into(), |length| words::length(locale, length));
        let failed = matches!(outcome, Outcome::Rejected | Outcome::Dead | Outcome::Retried);
        let class = if failed { "left ill-text" } else { "left" };
        let _ = write!(
            rows,
            "<tr><td class=\"left\">{ago}</td><td>{length}</td><td class=\"{class}\">{}</td>",
            words::outcome(locale, *outcome)
        );
        for stage in Stage::ALL {
            let took = job.took(stage);
            let text = if took.is_zero() { "–".into() } else { words::seconds(locale, took) };
            let _ = write!(rows, "<td>{text}</td>");
        }
        let factor = job.real_time_factor().map_or("–".into(), |factor| words::number(locale, factor, 2));
        let _ = write!(rows, "<td>{factor}</td>");
        if has_choice {
            let name = job.recogniser.as_ref().map_or("–".into(), |name| escaped(name));
            let _ = write!(rows, "<td class=\"left\">{name}</td>");
        }
        rows += "</tr>\n";
    }
    // On narrow screens it scrolls, also by keyboard.
    format!(
        "<div class=\"scroll\" role=\"region\" aria-labelledby=\"jobs\" tabindex=\"0\"><table>\
         <thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
}

/// A chart with a bar for each half hour.
fn chart(locale: Locale, counts: &[u32]) -> String {
    const WIDTH: usize = 10;
    const HEIGHT: u32 = 60;
    let most = counts.iter().copied().max().unwrap_or_default();
    let label = locale.pick(
        format!("by half hours, at most {most} in one"),
        format!("по получасам, не более {most} за каждый"),
    );
    // One reconnection must not look like many.
    let most = most.max(4);
    let mut bars = String::new();
    for (half_hour, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let height = (count * HEIGHT).div_ceil(most);
        let ago = words::duration(locale, Duration::from_secs((HALF_HOURS - half_hour) as u64 * 1800));
        let ago = locale.pick(format!("{count}, up to {ago} ago"), format!("{count}, до {ago} назад"));
        let _ = write!(
            bars,
            "<rect class=\"bar\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{height}\"><title>{ago}</title></rect>",
            half_hour * WIDTH + 1,
            HEIGHT - height,
            WIDTH - 2
        );
    }
    let axis = locale
        .pick(["24\u{a0}h ago", "12\u{a0}h ago", "now"], ["24\u{a0}ч назад", "12\u{a0}ч назад", "сейчас"])
        .map(|mark| format!("<span>{mark}</span>"));
    format!(
        "<svg role=\"img\" aria-label=\"{label}\" viewBox=\"0 0 {} {}\" \
         preserveAspectRatio=\"none\"><line class=\"base\" x1=\"0\" x2=\"{0}\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\"/>\
         {bars}</svg><div class=\"axis\" aria-hidden=\"true\">{}</div>",
        HALF_HOURS * WIDTH,
        HEIGHT + 1,
        axis.concat()
    )
}

fn foot(locale: Locale, facts: &Facts) -> String {
    let mut parts = vec![format!("stenogram {}", env!("CARGO_PKG_VERSION"))];
    if let Some(model) = &facts.model {
        parts.push(format!("{} {}", locale.pick("model", "модель"), escaped(model)));
    }
    if facts.has_choice_of_recognisers() {
        let count = |recogniser: &RecogniserFacts| {
            let RecogniserFacts { name, stretches, .. } = recogniser;
            format!("{}\u{a0}({stretches})", escaped(name))
        };
        let list: Vec<_> = facts.recognisers.iter().map(count).collect();
        parts.push(format!("{} {}", locale.pick("recognised by", "распознано:"), list.join(", ")));
    }
    let up = words::duration(locale, facts.started.elapsed());
    parts.push(format!("{} {up}", locale.pick("running for", "работает")));
    if let Some(memory) = Memory::sample() {
        let resident = memory.resident >> 20;
        parts.push(format!("{resident}\u{a0}{}", locale.pick("MiB of memory", "МиБ памяти")));
    }
    parts.join(" · ")
}

/// Escapes text that is not ours: the name of the model's file, and addresses from Telegram.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_of_the_page_is_replaced() {
        for locale in Locale::ALL {
            let health = HealthState::new(&[]);
            health.model_loaded("<b>{{script}}\"&".into());
            let page = render(&health, locale);
            assert!(page.contains("&lt;b&gt;{{script}}&quot;&amp;"), "{page}");
            assert_eq!(page.matches("{{").count(), 1, "{page}");
            assert!(page.contains(&format!("<html lang=\"{}\">", locale.code())));
        }
    }
}
