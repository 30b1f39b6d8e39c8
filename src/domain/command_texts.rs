//! What stenogram says to a command, in the language of its words.

use super::calendar::utc;
use super::chat_rules::UNTIL_RESUMED;
use super::command::{Command, CommandPrefix, Tongue};
use super::reasons::in_russian;
use super::rules::AnswerIn;
use super::{LanguageChoice, Said};

/// How many jobs there are, for the answers to the commands queue and status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueState {
    pub waiting: u64,
    pub running: u64,
    pub delayed: u64,
    pub dead: u64,
    /// For how long the oldest unfinished one has waited, in seconds.
    pub oldest: Option<u64>,
}

/// Why a command was not obeyed, or what there is to say beside the answer that it brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// It arrived this many seconds after it was sent.
    Late(u64),
    /// It has to reply to a recording.
    NoRecording,
    /// The recording is meant to vanish.
    Vanishing,
    /// The recording is being worked on already.
    Underway,
    /// It was answered before.
    AnsweredBefore,
    /// The model was not trained for this language.
    LanguageNotInModel,
    /// Nor for translation.
    TranslationNotInModel,
    /// Transcripts are not kept, so a text that appears nowhere would be lost.
    NothingIsKept,
    /// What it changes could not be stored.
    NotStored(String),
}

impl Remark {
    pub fn text(&self, tongue: Tongue) -> String {
        let (english, russian) = match self {
            Self::Late(seconds) => {
                let time = (span(*seconds, Tongue::English), span(*seconds, Tongue::Russian));
                return pick(
                    tongue,
                    format!(
                        "Not obeyed: this command arrived {} late. Send it again if you still want it.",
                        time.0
                    ),
                    format!(
                        "Не выполнено: команда опоздала на {}. Если она ещё нужна, отправьте её снова.",
                        time.1
                    ),
                );
            }
            Self::NotStored(why) => {
                return pick(
                    tongue,
                    format!("Not obeyed: the change could not be stored ({why})."),
                    format!("Не выполнено: изменение не удалось сохранить ({why})."),
                );
            }
            Self::NoRecording => (
                "Reply with this command to a voice message, a round video or an audio or video file.",
                "Отправьте эту команду ответом на голосовое, «кружок», аудио или видео.",
            ),
            Self::Vanishing => (
                "This recording is meant to vanish, so it is left alone.",
                "Эта запись исчезает после просмотра, поэтому она не распознаётся.",
            ),
            Self::Underway => ("This recording is being worked on already.", "Эта запись уже в работе."),
            Self::AnsweredBefore => (
                "Answered before. If the answer is gone, it is sent again.",
                "Ответ уже был. Если он удалён, он будет отправлен снова.",
            ),
            Self::LanguageNotInModel => (
                "Not obeyed: the model does not know this language.",
                "Не выполнено: модель не знает этого языка.",
            ),
            Self::TranslationNotInModel => {
                ("Not obeyed: the model cannot translate.", "Не выполнено: модель не умеет переводить.")
            }
            Self::NothingIsKept => (
                "Not obeyed: with RESULT_TTL=0 no text is kept, and these would be lost.",
                "Не выполнено: при RESULT_TTL=0 тексты не хранятся и пропали бы.",
            ),
        };
        pick(tongue, english.to_owned(), russian.to_owned())
    }
}

/// Says that a command was obeyed, if it is one that changes the rules. `everywhere` is whether a
/// pause is one of all chats; `reason` is why recordings of others are not answered in the chat
/// now, if they are not.
pub fn done(said: Said, everywhere: bool, reason: Option<&'static str>) -> Option<String> {
    let Said { command, tongue } = said;
    let text = match (command, tongue) {
        (Command::Answer(true), Tongue::English) => match reason {
            None => "Recordings are answered here now.".to_owned(),
            Some(reason) => {
                format!("Switched on, but recordings of others are still not answered: {reason}.")
            }
        },
        (Command::Answer(true), Tongue::Russian) => match reason {
            None => "Теперь голосовые здесь распознаются.".to_owned(),
            Some(reason) => {
                format!("Включено, но чужие записи всё ещё не распознаются: {}.", in_russian(reason))
            }
        },
        (Command::Answer(false), Tongue::English) => "Recordings are not answered here any more.".into(),
        (Command::Answer(false), Tongue::Russian) => "Голосовые здесь больше не распознаются.".into(),
        (Command::Language(LanguageChoice::Auto), Tongue::English) => {
            "The language is detected here now.".into()
        }
        (Command::Language(LanguageChoice::Auto), Tongue::Russian) => {
            "Теперь язык здесь определяется сам.".into()
        }
        (Command::Language(LanguageChoice::Fixed(code)), Tongue::English) => {
            format!("The language here is {code} now.")
        }
        (Command::Language(LanguageChoice::Fixed(code)), Tongue::Russian) => {
            format!("Теперь язык здесь — {code}.")
        }
        (Command::Translate(true), Tongue::English) => "Texts are translated into English here now.".into(),
        (Command::Translate(true), Tongue::Russian) => {
            "Теперь тексты здесь переводятся на английский.".into()
        }
        (Command::Translate(false), Tongue::English) => "Texts are not translated here now.".into(),
        (Command::Translate(false), Tongue::Russian) => "Тексты здесь больше не переводятся.".into(),
        (Command::Where(place), Tongue::English) => match place {
            AnswerIn::Reply => "Texts of this chat are replies now.".into(),
            AnswerIn::Saved => "Texts of this chat go to Saved Messages now.".into(),
            AnswerIn::Caption => "Texts of this chat are captions of your own voice messages now.".into(),
            AnswerIn::Nowhere => "Texts of this chat are kept and not sent now.".into(),
        },
        (Command::Where(place), Tongue::Russian) => match place {
            AnswerIn::Reply => "Тексты этого чата теперь приходят ответами.".into(),
            AnswerIn::Saved => "Тексты этого чата теперь приходят в «Избранное».".into(),
            AnswerIn::Caption => "Тексты этого чата теперь — подписи к вашим голосовым.".into(),
            AnswerIn::Nowhere => "Тексты этого чата теперь хранятся и не отправляются.".into(),
        },
        (Command::Vocabulary(Some(words)), Tongue::English) => {
            format!("Terms in the vocabulary of this chat: {}.", words.terms().len())
        }
        (Command::Vocabulary(Some(words)), Tongue::Russian) => {
            format!("Слов в словаре этого чата: {}.", words.terms().len())
        }
        (Command::Vocabulary(None), Tongue::English) => "This chat has no vocabulary of its own now.".into(),
        (Command::Vocabulary(None), Tongue::Russian) => "Своего словаря у этого чата теперь нет.".into(),
        (Command::Pause(time), Tongue::English) => {
            let place = if everywhere { "in all chats" } else { "here" };
            match time {
                Some(time) => {
                    format!("Recordings {place} are left alone for {}.", span(time.as_secs(), tongue))
                }
                None => format!("Recordings {place} are left alone until you say resume."),
            }
        }
        (Command::Pause(time), Tongue::Russian) => {
            let place = if everywhere { "во всех чатах" } else { "здесь" };
            match time {
                Some(time) => format!("Пауза {place}: {}.", span(time.as_secs(), tongue)),
                None => format!("Пауза {place}, до команды «продолжай»."),
            }
        }
        (Command::Resume, Tongue::English) => {
            if everywhere {
                "The pause is over in all chats.".into()
            } else {
                "The pause is over here.".into()
            }
        }
        (Command::Resume, Tongue::Russian) => {
            if everywhere {
                "Пауза во всех чатах закончена.".into()
            } else {
                "Пауза здесь закончена.".into()
            }
        }
        (
            Command::Transcribe
            | Command::Again
            | Command::Why
            | Command::Queue
            | Command::Status
            | Command::Help,
            _,
        ) => return None,
    };
    Some(text)
}

/// Why a recording, or the recordings of somebody in a chat, are answered or not.
fn verdict(reason: Option<&str>, tongue: Tongue) -> String {
    match (reason, tongue) {
        (None, Tongue::English) => "answered".to_owned(),
        (None, Tongue::Russian) => "распознаются".to_owned(),
        (Some(reason), Tongue::English) => format!("not answered: {reason}"),
        (Some(reason), Tongue::Russian) => format!("не распознаются: {}", in_russian(reason)),
    }
}

/// What becomes of the recordings in a chat.
pub fn why_here(mine: Option<&'static str>, theirs: Option<&'static str>, tongue: Tongue) -> String {
    let (mine, theirs) = (verdict(mine, tongue), verdict(theirs, tongue));
    pick(
        tongue,
        format!("Yours here: {mine}.\nThose of others: {theirs}."),
        format!("Ваши записи здесь {mine}.\nЧужие {theirs}."),
    )
}

/// What became of one recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Answered,
    Silent,
    /// It was given up, for this reason.
    Rejected(String),
    /// The rules exclude it, for this reason.
    Ignored(&'static str),
    /// The rules do not exclude it, and it has not ended.
    Unfinished,
}

pub fn why(fate: &Fate, tongue: Tongue) -> String {
    match fate {
        Fate::Answered => pick(tongue, "It was answered.".into(), "Ответ был отправлен.".into()),
        Fate::Silent => pick(
            tongue,
            "No text was sent: nobody speaks in it, or its text is only kept.".into(),
            "Текст не отправлялся: речи в ней нет или текст только сохранён.".into(),
        ),
        Fate::Rejected(reason) => {
            pick(tongue, format!("It cannot be answered: {reason}."), format!("Ответить нельзя: {reason}."))
        }
        Fate::Ignored(reason) => pick(
            tongue,
            format!("It is not answered: {reason}."),
            format!("Она не распознаётся: {}.", in_russian(reason)),
        ),
        Fate::Unfinished => pick(
            tongue,
            "The rules have it answered: it waits in the queue, or arrived before these rules.".into(),
            "По правилам она распознаётся: она ждёт в очереди или пришла раньше этих правил.".into(),
        ),
    }
}

/// Why the recording behind `link`, which the owner asked for, gets no text; `None` if nobody
/// speaks in it.
pub fn no_text(link: &str, reason: Option<&str>, tongue: Tongue) -> String {
    match reason {
        None => pick(
            tongue,
            format!("Nobody speaks in the recording that you asked for: {link}"),
            format!("В записи, о которой вы просили, нет речи: {link}"),
        ),
        Some(reason) => pick(
            tongue,
            format!("The recording that you asked for cannot be transcribed ({reason}): {link}"),
            format!("Запись, о которой вы просили, распознать не удалось ({reason}): {link}"),
        ),
    }
}

pub fn queue(state: QueueState, tongue: Tongue) -> String {
    let QueueState { waiting, running, delayed, dead, oldest } = state;
    let oldest = oldest.map_or_else(String::new, |seconds| {
        let time = span(seconds, tongue);
        pick(tongue, format!(" The oldest has waited for {time}."), format!(" Старейшая ждёт {time}."))
    });
    pick(
        tongue,
        format!("Queue: {waiting} waiting, {running} in work, {delayed} put off, {dead} given up.{oldest}"),
        format!(
            "Очередь: ждут {waiting}, в работе {running}, отложено {delayed}, не удалось {dead}.{oldest}"
        ),
    )
}

/// `up` is for how many seconds the daemon has run, `paused` until when all chats are paused, in
/// seconds of Unix time.
pub fn status(version: &str, up: u64, state: QueueState, paused: Option<i64>, tongue: Tongue) -> String {
    let up = span(up, tongue);
    let pause = match paused {
        None => pick(tongue, "No pause.".into(), "Паузы нет.".into()),
        Some(UNTIL_RESUMED) => pick(
            tongue,
            "All chats are paused until you say resume.".into(),
            "Пауза во всех чатах до команды «продолжай».".into(),
        ),
        Some(until) => {
            let until = utc(until);
            pick(
                tongue,
                format!("All chats are paused until {until}."),
                format!("Пауза во всех чатах до {until}."),
            )
        }
    };
    let head = pick(
        tongue,
        format!("stenogram {version} has run for {up}."),
        format!("stenogram {version} работает {up}."),
    );
    format!("{head}\n{}\n{pause}", queue(state, tongue))
}

pub fn help(prefix: &CommandPrefix, tongue: Tongue) -> String {
    let p = prefix;
    pick(
        tongue,
        format!(
            "Commands, in any chat (here without {p} too):\n\
             {p}t – in reply to a recording: its text\n\
             {p}again – in reply: recognised anew\n\
             {p}why – in reply, or of this chat: why it is answered or not\n\
             {p}on, {p}off – recordings of this chat are answered, or not\n\
             {p}language ru, {p}language auto\n\
             {p}translate on, {p}translate off\n\
             {p}where reply, {p}where saved, {p}where caption\n\
             {p}where nowhere – kept, and not sent\n\
             {p}vocabulary Anna, Novak – names to be spelt right here\n\
             {p}vocabulary off\n\
             {p}pause, {p}pause 2h, {p}resume – in Saved Messages of all chats\n\
             {p}queue, {p}status, {p}help – answered in Saved Messages"
        ),
        format!(
            "Команды для любого чата (здесь можно и без {p}):\n\
             {p}т – ответом на запись: её текст\n\
             {p}заново – ответом: распознать ещё раз\n\
             {p}почему – ответом или о чате: почему распознаётся или нет\n\
             {p}вкл, {p}выкл – распознавать записи этого чата или нет\n\
             {p}язык ru, {p}язык авто\n\
             {p}перевод вкл, {p}перевод выкл\n\
             {p}куда ответ, {p}куда избранное, {p}куда подпись\n\
             {p}куда никуда – хранить, не отправляя\n\
             {p}словарь Анна, Новак – как писать имена в этом чате\n\
             {p}словарь выкл\n\
             {p}пауза, {p}пауза 2ч, {p}продолжай – в «Избранном» о всех чатах\n\
             {p}очередь, {p}статус, {p}помощь – ответ придёт в «Избранное»"
        ),
    )
}

fn pick(tongue: Tongue, english: String, russian: String) -> String {
    match tongue {
        Tongue::English => english,
        Tongue::Russian => russian,
    }
}

/// A time in its two largest units: `2 h 5 min`.
fn span(seconds: u64, tongue: Tongue) -> String {
    let names = match tongue {
        Tongue::English => ["d", "h", "min", "s"],
        Tongue::Russian => ["д", "ч", "мин", "с"],
    };
    let numbers = [seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
    let first = numbers.iter().position(|number| *number > 0).unwrap_or(3);
    let shown = (first..4).take(2).filter(|&unit| unit == first || numbers[unit] > 0);
    shown.map(|unit| format!("{} {}", numbers[unit], names[unit])).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units_at_most() {
        for (seconds, english, russian) in [
            (0, "0 s", "0 с"),
            (59, "59 s", "59 с"),
            (7200, "2 h", "2 ч"),
            (7500, "2 h 5 min", "2 ч 5 мин"),
            (90_061, "1 d 1 h", "1 д 1 ч"),
            (86_400 + 60, "1 d", "1 д"),
        ] {
            assert_eq!(span(seconds, Tongue::English), english);
            assert_eq!(span(seconds, Tongue::Russian), russian);
        }
    }

    #[test]
    fn the_help_names_commands_that_are_understood() {
        let prefix: CommandPrefix = "!".parse().unwrap();
        for tongue in [Tongue::English, Tongue::Russian] {
            let text = help(&prefix, tongue);
            let commands = text.lines().skip(1).flat_map(|line| {
                let commands = line.split(" – ").next().unwrap_or_default();
                // Each begins with the prefix; the words of a vocabulary do not.
                commands.split(", !").enumerate().map(|(at, command)| match at {
                    0 => command.to_owned(),
                    _ => format!("!{command}"),
                })
            });
            let mut count = 0;
            for command in commands {
                assert!(prefix.command_in(&command, false).is_some(), "{command:?}");
                count += 1;
            }
            assert_eq!(count, 21, "{text}");
        }
    }
}
