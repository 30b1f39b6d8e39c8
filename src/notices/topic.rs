//! Which troubles the owner is told of, after how long, and in which words.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::Restriction;
use crate::health::{Survey, Trouble};
use crate::runtime::deployment::localised;

/// The daemon is behind if its oldest unanswered recording is this old.
const BEHIND: Duration = Duration::from_secs(2 * 3600);

/// A kind of trouble. Stored by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    LoggedOut,
    Frozen,
    Limited,
    Queue,
    Model,
    Recognisers,
    Workers,
    Stuck,
    Offline,
    DeadLetters,
    Behind,
}

/// A trouble that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    pub topic: Topic,
    /// How many dead letters there are; 0 for other topics.
    pub count: u64,
    /// In English and in Russian.
    words: [String; 2],
}

/// What the owner is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub topic: Topic,
    /// The trouble is over.
    pub is_over: bool,
    /// When the trouble was told first, in seconds of Unix time. With topic and `is_over` it names
    /// the notice: one that is told again is the same.
    pub at: i64,
    /// In ASCII, for an HTTP header.
    pub title: String,
    pub text: String,
}

impl Topic {
    /// How many minutes the trouble lasts before it is told: many are over by themselves.
    pub fn patience(self) -> u32 {
        match self {
            Self::LoggedOut | Self::Frozen | Self::Limited | Self::DeadLetters => 0,
            Self::Model | Self::Stuck => 1,
            Self::Queue => 5,
            Self::Behind => 10,
            Self::Recognisers | Self::Workers | Self::Offline => 15,
        }
    }

    /// A few words in English, of ASCII, and in Russian.
    fn name(self) -> [&'static str; 2] {
        match self {
            Self::LoggedOut => ["logged out of Telegram", "аккаунт вышел из Telegram"],
            Self::Frozen => ["the account is frozen", "аккаунт заморожен"],
            Self::Limited => ["the account is limited for spam", "аккаунт ограничен за спам"],
            Self::Queue => ["the queue takes no writes", "очередь не принимает записи"],
            Self::Model => ["the model is gone", "модели нет на месте"],
            Self::Recognisers => ["no recogniser can be asked", "не отвечает ни один распознаватель"],
            Self::Workers => ["no worker is there", "нет ни одного обработчика"],
            Self::Stuck => ["a loop is stuck", "программа зависла"],
            Self::Offline => ["not connected to Telegram", "нет связи с Telegram"],
            Self::DeadLetters => ["voice messages were given up", "голосовые сообщения остались без ответа"],
            Self::Behind => ["hours behind", "отставание в несколько часов"],
        }
    }

    /// Whether the survey can tell that the trouble is over.
    pub fn is_known(self, survey: &Survey) -> bool {
        let any = |those: fn(&Trouble) -> bool| survey.troubles.iter().any(those);
        let is_starting = any(|trouble| matches!(trouble, Trouble::ModelLoading | Trouble::QueueOpening));
        !is_starting
            && match self {
                Self::LoggedOut => {
                    !any(|trouble| matches!(trouble, Trouble::NotConnected(_) | Trouble::ClockAhead(_)))
                }
                Self::DeadLetters | Self::Behind => !any(|trouble| matches!(trouble, Trouble::QueueAway(_))),
                _ => true,
            }
    }
}

impl Present {
    /// Telegram has ended the session.
    pub fn logged_out() -> Self {
        let words = [
            "Telegram has ended the session, and stenogram has stopped. Run `stenogram login`; messages that \
             arrive until then are answered afterwards, if they are recent enough.",
            "Telegram завершил сессию, stenogram остановлен. Выполните `stenogram login`; на сообщения, \
             пришедшие до этого, он ответит потом, если они не слишком старые.",
        ];
        Self { topic: Topic::LoggedOut, count: 0, words: words.map(str::to_owned) }
    }

    /// What is told of it.
    pub fn notice(&self, at: i64) -> Notice {
        let [english, russian] = &self.words;
        let title = format!("stenogram: {}", self.topic.name()[0]);
        let text = localised(&format!("{english}\n\n{russian}"));
        Notice { topic: self.topic, is_over: false, at, title, text }
    }
}

/// What is told when a trouble is over that was told at `at`.
pub fn over(topic: Topic, at: i64) -> Notice {
    let [english, russian] = topic.name();
    let text = format!("This is over: {english}. All is well again.\n\nУже в порядке: {russian} — было.");
    Notice { topic, is_over: true, at, title: format!("stenogram: well again ({english})"), text }
}

/// The troubles that are there, of those that are told.
pub fn present(survey: &Survey) -> Vec<Present> {
    let mut found = Vec::new();
    let mut add = |topic, count, words| found.push(Present { topic, count, words });
    for trouble in &survey.troubles {
        let topic = match trouble {
            Trouble::Restricted(restricted) => match restricted.why {
                Restriction::Frozen => Topic::Frozen,
                Restriction::SpamLimited => Topic::Limited,
            },
            Trouble::QueueOpening | Trouble::QueueAway(_) => Topic::Queue,
            Trouble::ModelMissing => Topic::Model,
            Trouble::RecognisersAway => Topic::Recognisers,
            Trouble::NoWorkers => Topic::Workers,
            Trouble::Stuck(..) => Topic::Stuck,
            Trouble::NotConnected(_) | Trouble::ClockAhead(_) => Topic::Offline,
            Trouble::ModelLoading | Trouble::Stopping => continue,
        };
        add(topic, 0, trouble.texts());
    }
    if survey.dead > 0 {
        let dead = survey.dead;
        let words = [
            format!(
                "Dead letters: {dead}. `stenogram queue` shows which voice messages were given up, and why."
            ),
            format!(
                "Снятых заданий: {dead}. Какие сообщения остались без ответа и почему, покажет `stenogram queue`."
            ),
        ];
        add(Topic::DeadLetters, dead, words);
    }
    // Whatever else is wrong is why it is behind.
    if found.iter().all(|present| present.topic == Topic::DeadLetters)
        && let Some(age) = survey.oldest.filter(|age| *age >= BEHIND)
    {
        let hours = age.as_secs() / 3600;
        let words = [
            format!(
                "The oldest unanswered voice message is {hours} hours old. The status page and `stenogram queue` say why."
            ),
            format!(
                "Самое старое сообщение без ответа ждёт уже {hours} ч. Почему — скажут страница состояния и `stenogram queue`."
            ),
        ];
        found.push(Present { topic: Topic::Behind, count: 0, words });
    }
    // Several loops that are stuck are one trouble.
    let mut seen = Vec::new();
    found.retain(|present| {
        !seen.contains(&present.topic) && {
            seen.push(present.topic);
            true
        }
    });
    found
}

/// Whether the dead man's switch may be held down: nothing keeps recordings from being answered.
pub fn is_healthy(survey: &Survey) -> bool {
    survey.troubles.is_empty() && survey.oldest.is_none_or(|age| age < BEHIND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Restricted;

    fn survey(troubles: &[Trouble]) -> Survey {
        Survey { troubles: troubles.to_vec(), ..Survey::default() }
    }

    fn topics(survey: &Survey) -> Vec<Topic> {
        present(survey).iter().map(|present| present.topic).collect()
    }

    #[test]
    fn a_trouble_has_one_topic_and_a_start_or_a_stop_is_none() {
        let hour = Duration::from_secs(3600);
        let restricted = |why| {
            Trouble::Restricted(Restricted { why, since: 1, deletion: None, appeal: "@SpamBot".into() })
        };
        for (troubles, expected) in [
            (&[Trouble::ModelLoading, Trouble::Stopping][..], &[][..]),
            (&[Trouble::Stuck("worker", hour), Trouble::Stuck("download", hour)], &[Topic::Stuck]),
            (&[Trouble::QueueOpening], &[Topic::Queue]),
            (&[Trouble::QueueAway(hour), Trouble::ModelMissing], &[Topic::Queue, Topic::Model]),
            (&[Trouble::ClockAhead(hour)], &[Topic::Offline]),
            (&[Trouble::RecognisersAway], &[Topic::Recognisers]),
            (&[Trouble::NoWorkers], &[Topic::Workers]),
            (&[restricted(Restriction::Frozen)], &[Topic::Frozen]),
            (&[restricted(Restriction::SpamLimited)], &[Topic::Limited]),
        ] {
            assert_eq!(topics(&survey(troubles)), expected);
            assert_eq!(is_healthy(&survey(troubles)), troubles.is_empty());
        }
    }

    #[test]
    fn it_is_behind_only_if_nothing_else_is_wrong() {
        let late = Survey { oldest: Some(BEHIND), ..Survey::default() };
        assert_eq!(topics(&late), [Topic::Behind]);
        assert!(!is_healthy(&late));
        assert_eq!(topics(&Survey { dead: 3, ..late.clone() }), [Topic::DeadLetters, Topic::Behind]);
        assert_eq!(topics(&Survey { troubles: vec![Trouble::ModelMissing], ..late }), [Topic::Model]);
        let in_time = Survey { oldest: Some(BEHIND - Duration::from_secs(1)), ..Survey::default() };
        assert!(topics(&in_time).is_empty() && is_healthy(&in_time));
    }

    #[test]
    fn an_end_is_told_only_where_it_can_be_known() {
        let offline = survey(&[Trouble::NotConnected(Duration::ZERO)]);
        let starting = survey(&[Trouble::ModelLoading]);
        let away = survey(&[Trouble::QueueAway(Duration::ZERO)]);
        for (topic, known) in [
            (Topic::LoggedOut, [false, false, true]),
            (Topic::DeadLetters, [true, false, false]),
            (Topic::Behind, [true, false, false]),
            (Topic::Frozen, [true, false, true]),
        ] {
            assert_eq!([&offline, &starting, &away].map(|survey| topic.is_known(survey)), known, "{topic:?}");
            assert!(topic.is_known(&Survey::default()));
        }
    }

    #[test]
    fn titles_fit_an_http_header() {
        let loggedout = Present::logged_out().notice(1);
        let others = [
            Topic::Frozen,
            Topic::Limited,
            Topic::Queue,
            Topic::Model,
            Topic::Stuck,
            Topic::Offline,
            Topic::Recognisers,
            Topic::Workers,
        ];
        let others = others.into_iter().chain([Topic::LoggedOut, Topic::DeadLetters, Topic::Behind]);
        for Notice { title, text, .. } in others.map(|topic| over(topic, 1)).chain([loggedout]) {
            assert!(title.is_ascii() && !title.contains('\n') && text.contains("\n\n"), "{title}");
        }
    }
}
