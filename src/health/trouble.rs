//! What keeps voice messages from being answered, and how that is worded.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::facts::Facts;
use super::words::{Locale, duration};
use crate::domain::{Restricted, Restriction};

/// Something that keeps voice messages from being answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    ModelLoading,
    ModelMissing,
    QueueOpening,
    QueueAway(Duration),
    NotConnected(Duration),
    /// This machine's clock is so far ahead of Telegram's that no connection can be made.
    ClockAhead(Duration),
    /// Telegram does not let the account send.
    Restricted(Restricted),
    Stuck(&'static str, Duration),
    Stopping,
}

/// The parts of the daemon that can be in trouble.
const PARTS: [&str; 4] = ["model", "queue", "telegram", "progress"];

/// The words for a trouble. The status for systemd has no duration, so that it changes rarely.
struct Wording {
    status: String,
    english: String,
    russian: String,
}

fn wording(status: &str, english: impl Into<String>, russian: impl Into<String>) -> Wording {
    Wording { status: status.into(), english: english.into(), russian: russian.into() }
}

impl Trouble {
    pub fn part(&self) -> &'static str {
        match self {
            Self::ModelLoading | Self::ModelMissing => PARTS[0],
            Self::QueueOpening | Self::QueueAway(_) => PARTS[1],
            Self::NotConnected(_) | Self::ClockAhead(_) | Self::Restricted(_) => PARTS[2],
            Self::Stuck(..) | Self::Stopping => PARTS[3],
        }
    }

    /// A line for `systemctl status`.
    pub fn status(&self) -> String {
        self.wording().status
    }

    /// For people.
    pub fn text(&self, locale: Locale) -> String {
        let Wording { english, russian, .. } = self.wording();
        locale.pick(english, russian)
    }

    fn wording(&self) -> Wording {
        let in_english = |time: &Duration| duration(Locale::English, *time);
        let in_russian = |time: &Duration| duration(Locale::Russian, *time);
        match self {
            Self::ModelLoading => {
                wording("Loading the model", "The model is not loaded yet.", "Модель ещё не загружена.")
            }
            Self::ModelMissing => wording(
                "The model cannot be loaded again",
                "The model was freed while it was not used, and cannot be loaded again. The log has the \
                 reason.",
                "Модель выгружена за ненадобностью и не загружается снова. Причина — в журнале.",
            ),
            Self::QueueOpening => wording(
                "Opening the queue",
                "The queue is not open yet; its Redis may be away. The log has the reason.",
                "Очередь ещё не открыта; возможно, Redis недоступен. Причина — в журнале.",
            ),
            Self::QueueAway(time) => wording(
                "Waiting for the queue, which takes no writes",
                format!("The queue has taken no writes for {}. The log has the reason.", in_english(time)),
                format!("Очередь не принимает записи уже {}. Причина — в журнале.", in_russian(time)),
            ),
            Self::NotConnected(time) => wording(
                "Not connected to Telegram, trying",
                format!("Not connected to Telegram for {}. The log has the reason.", in_english(time)),
                format!("Нет связи с Telegram уже {}. Причина — в журнале.", in_russian(time)),
            ),
            Self::ClockAhead(time) => wording(
                "Not connected: this machine's clock is ahead of Telegram's",
                format!(
                    "Not connected: this machine's clock is {} ahead of Telegram's, so Telegram refuses \
                     its messages. Set the clock, and keep it right with NTP.",
                    in_english(time)
                ),
                format!(
                    "Нет связи: часы этого компьютера спешат на {}, и Telegram не принимает его \
                     сообщения. Установите точное время и включите синхронизацию по NTP.",
                    in_russian(time)
                ),
            ),
            Self::Restricted(restricted) => match restricted.why {
                Restriction::Frozen => frozen(restricted),
                Restriction::SpamLimited => spam_limited(restricted),
            },
            Self::Stuck(name, time) => wording(
                &format!("The {name} is stuck"),
                format!(
                    "The {name} is stuck, overdue by {}. Restart stenogram and report this.",
                    in_english(time)
                ),
                format!(
                    "Зависло: {}, опоздание {}. Перезапустите stenogram и сообщите об этом.",
                    loop_in_russian(name),
                    in_russian(time)
                ),
            ),
            Self::Stopping => wording("Stopping", "The daemon is stopping.", "Программа останавливается."),
        }
    }
}

/// Why Telegram does not let the account send, and what the owner can do about it.
pub fn restriction(restricted: &Restricted) -> String {
    Trouble::Restricted(restricted.clone()).text(Locale::English)
}

fn frozen(restricted: &Restricted) -> Wording {
    let ago = |locale| duration(locale, since(restricted.since));
    let left = restricted.deletion.map(until);
    let deletion_in_english = left
        .map_or(String::new(), |left| format!(" It will be deleted in {}.", duration(Locale::English, left)));
    let deletion_in_russian = left
        .map_or(String::new(), |left| format!(" Он будет удалён через {}.", duration(Locale::Russian, left)));
    let appeal = &restricted.appeal;
    wording(
        "Sends nothing: Telegram has frozen the account",
        format!(
            "Telegram froze the account {} ago: it can read, but not send.{deletion_in_english} Appeal in \
             the Telegram app or at {appeal}. Until then the answers are kept.",
            ago(Locale::English)
        ),
        format!(
            "Telegram заморозил аккаунт {} назад: он может читать, но не отправлять.{deletion_in_russian} \
             Подайте апелляцию в приложении Telegram или через {appeal}. До тех пор ответы хранятся.",
            ago(Locale::Russian)
        ),
    )
}

fn spam_limited(restricted: &Restricted) -> Wording {
    let ago = |locale| duration(locale, since(restricted.since));
    let appeal = &restricted.appeal;
    wording(
        "Sends nothing: Telegram limits the account for spam",
        format!(
            "Telegram limited the account for spam {} ago: nothing is sent, and one answer is tried every \
             few hours. Ask {appeal} how long the limit lasts. Until then the answers are kept.",
            ago(Locale::English)
        ),
        format!(
            "Telegram ограничил аккаунт за спам {} назад: ничего не отправляется, попытки — раз в несколько \
             часов. Надолго ли, скажет {appeal}. До тех пор ответы хранятся.",
            ago(Locale::Russian)
        ),
    )
}

/// The time that has passed since a moment of Unix time.
fn since(moment: i64) -> Duration {
    unix_time().saturating_sub(from_epoch(moment))
}

/// The time until a moment of Unix time.
fn until(moment: i64) -> Duration {
    from_epoch(moment).saturating_sub(unix_time())
}

fn from_epoch(moment: i64) -> Duration {
    Duration::from_secs(u64::try_from(moment).unwrap_or_default())
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn loop_in_russian(name: &str) -> &str {
    match name {
        "worker" => "обработка записей",
        "recognition" => "распознавание",
        "update loop" => "приём сообщений",
        "download" => "скачивание",
        other => other,
    }
}

/// All present troubles, with the gravest first; empty when everything is well.
pub(super) fn troubles(facts: &Facts, stuck: &[(&'static str, Duration)]) -> Vec<Trouble> {
    let now = Instant::now();
    let since = |then| now.saturating_duration_since(then);
    let mut found = Vec::new();
    if facts.stopping {
        found.push(Trouble::Stopping);
    }
    found.extend(stuck.iter().map(|(name, overdue)| Trouble::Stuck(name, *overdue)));
    match facts.queue_trouble {
        _ if !facts.queue_open => found.push(Trouble::QueueOpening),
        Some(then) => found.push(Trouble::QueueAway(since(then))),
        None => {}
    }
    if facts.model.is_none() {
        found.push(Trouble::ModelLoading);
    } else if facts.model_missing {
        found.push(Trouble::ModelMissing);
    }
    if facts.connected.is_none() {
        found.push(match facts.clock_ahead {
            Some(seconds) => Trouble::ClockAhead(Duration::from_secs(seconds)),
            None => Trouble::NotConnected(since(facts.disconnected_since)),
        });
    }
    found.extend(facts.restricted.clone().map(Trouble::Restricted));
    found
}

/// Each part of the daemon, and whether it is ready.
pub(super) fn parts(facts: &Facts, stuck: &[(&'static str, Duration)]) -> Vec<(&'static str, bool)> {
    let troubles = troubles(facts, stuck);
    let is_ready = |part: &&str| troubles.iter().all(|trouble| trouble.part() != *part);
    PARTS.into_iter().map(|part| (part, is_ready(&part))).collect()
}
