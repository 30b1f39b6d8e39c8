//! What keeps voice messages from being answered, and how that is worded.

use std::time::Duration;

use tokio::time::Instant;

use super::facts::{Facts, Role};
use super::words::{Locale, duration};
use crate::domain::{Restricted, Restriction, unix_time};

/// Something that keeps voice messages from being answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    ModelLoading,
    ModelMissing,
    /// No worker is there that takes what this gateway hands over.
    NoWorkers,
    /// No recogniser is well.
    RecognisersAway,
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

impl Trouble {
    pub fn part(&self) -> &'static str {
        match self {
            Self::ModelLoading | Self::ModelMissing | Self::NoWorkers | Self::RecognisersAway => PARTS[0],
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
    pub(super) fn text(&self, locale: Locale) -> String {
        let Wording { english, russian, .. } = self.wording();
        locale.pick(english, russian)
    }

    /// For people, in English and in Russian.
    pub fn texts(&self) -> [String; 2] {
        let Wording { english, russian, .. } = self.wording();
        [english, russian]
    }

    fn wording(&self) -> Wording {
        let time = match self {
            Self::QueueAway(time)
            | Self::NotConnected(time)
            | Self::ClockAhead(time)
            | Self::Stuck(_, time) => *time,
            Self::Restricted(restricted) => unix_time::now().saturating_sub(from_epoch(restricted.since)),
            _ => Duration::ZERO,
        };
        let (en, ru) = (duration(Locale::English, time), duration(Locale::Russian, time));
        let (status, english, russian) = match self {
            Self::ModelLoading => (
                "Loading the model".into(),
                "The model is not loaded yet.".into(),
                "Модель ещё не загружена.".into(),
            ),
            Self::ModelMissing => (
                "The model cannot be loaded again".into(),
                "The model was freed while it was not used, and cannot be loaded again. The log has the \
                 reason."
                    .into(),
                "Модель выгружена за ненадобностью и не загружается снова. Причина — в журнале.".into(),
            ),
            Self::NoWorkers => (
                "No worker is there".into(),
                "No worker of the fleet is there that takes the recordings of this gateway. Messages wait. Start \
                 `stenogram worker` on some machine, with the same Redis and with the MODEL of this gateway, if that \
                 is set."
                    .into(),
                "Нет ни одного обработчика (worker), который взял бы записи этого шлюза. Сообщения ждут. Запустите \
                 на какой-нибудь машине `stenogram worker` с тем же Redis и, если у шлюза задан MODEL, с той же \
                 моделью."
                    .into(),
            ),
            Self::RecognisersAway => (
                "No recogniser can be asked".into(),
                "No recogniser of RECOGNISER can be asked. Messages wait. The log has the reason.".into(),
                "Не отвечает ни один распознаватель из RECOGNISER. Сообщения ждут. Причина — в журнале."
                    .into(),
            ),
            Self::QueueOpening => (
                "Opening the queue".into(),
                "The queue is not open yet; its Redis may be away. The log has the reason.".into(),
                "Очередь ещё не открыта; возможно, Redis недоступен. Причина — в журнале.".into(),
            ),
            Self::QueueAway(_) => (
                "Waiting for the queue, which takes no writes".into(),
                format!("The queue has taken no writes for {en}. The log has the reason."),
                format!("Очередь не принимает записи уже {ru}. Причина — в журнале."),
            ),
            Self::NotConnected(_) => (
                "Not connected to Telegram, trying".into(),
                format!("Not connected to Telegram for {en}. The log has the reason."),
                format!("Нет связи с Telegram уже {ru}. Причина — в журнале."),
            ),
            Self::ClockAhead(_) => (
                "Not connected: this machine's clock is ahead of Telegram's".into(),
                format!(
                    "Not connected: this machine's clock is {en} ahead of Telegram's, so Telegram refuses \
                     its messages. Set the clock, and keep it right with NTP."
                ),
                format!(
                    "Нет связи: часы этого компьютера спешат на {ru}, и Telegram не принимает его \
                     сообщения. Установите точное время и включите синхронизацию по NTP."
                ),
            ),
            Self::Restricted(Restricted { why: Restriction::Frozen, deletion, appeal, .. }) => {
                let left = deletion.map(|at| from_epoch(at).saturating_sub(unix_time::now()));
                let [deletion_en, deletion_ru] = left.map_or_else(Default::default, |left| {
                    [
                        format!(" It will be deleted in {}.", duration(Locale::English, left)),
                        format!(" Он будет удалён через {}.", duration(Locale::Russian, left)),
                    ]
                });
                (
                    "Sends nothing: Telegram has frozen the account".into(),
                    format!(
                        "Telegram has frozen the account ({en} ago): it can read, but not send.{deletion_en} \
                         Appeal in the Telegram app or at {appeal}. Until then the answers are kept."
                    ),
                    format!(
                        "Telegram заморозил аккаунт {ru} назад: он может читать, но не отправлять.\
                         {deletion_ru} Подайте апелляцию в приложении Telegram или через {appeal}. До тех \
                         пор ответы хранятся."
                    ),
                )
            }
            Self::Restricted(Restricted { why: Restriction::SpamLimited, appeal, .. }) => (
                "Sends nothing: Telegram limits the account for spam".into(),
                format!(
                    "Telegram has limited the account for spam ({en} ago): nothing is sent, and one answer is \
                     tried every few hours. Ask {appeal} how long the limit lasts. Until then the answers \
                     are kept."
                ),
                format!(
                    "Telegram ограничил аккаунт за спам {ru} назад: ничего не отправляется, попытки — раз в \
                     несколько часов. Надолго ли, скажет {appeal}. До тех пор ответы хранятся."
                ),
            ),
            Self::Stuck(name, _) => (
                format!("The {name} is stuck"),
                format!("The {name} is stuck, overdue by {en}. Restart stenogram and report this."),
                format!(
                    "Зависло: {}, опоздание {ru}. Перезапустите stenogram и сообщите об этом.",
                    loop_in_russian(name)
                ),
            ),
            Self::Stopping => {
                ("Stopping".into(), "The daemon is stopping.".into(), "Программа останавливается.".into())
            }
        };
        Wording { status, english, russian }
    }
}

fn from_epoch(moment: i64) -> Duration {
    Duration::from_secs(u64::try_from(moment).unwrap_or_default())
}

fn loop_in_russian(name: &str) -> &str {
    match name {
        "worker" => "обработка записей",
        "recognition" => "распознавание",
        "update loop" => "приём сообщений",
        "download" => "скачивание",
        "news of the workers" => "ожидание обработчиков",
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
    if facts.role == Role::Gateway {
        if !facts.fleet.is_served {
            found.push(Trouble::NoWorkers);
        }
    } else if facts.model.is_none() && facts.recognisers.is_empty() {
        found.push(Trouble::ModelLoading);
    } else if facts.model_missing {
        found.push(Trouble::ModelMissing);
    }
    if !facts.recognisers.is_empty() && facts.recognisers.iter().all(|recogniser| !recogniser.is_well) {
        found.push(Trouble::RecognisersAway);
    }
    if facts.connected.is_none() && facts.role != Role::Worker {
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
    let parts = PARTS.into_iter().filter(|part| facts.role != Role::Worker || *part != "telegram");
    parts.map(|part| (part, is_ready(&part))).collect()
}
