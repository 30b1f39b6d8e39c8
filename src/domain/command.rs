//! What the owner says to stenogram in a chat: commands, in English and Russian words.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rules::AnswerIn;
use super::{ChatInfo, Incoming, JobId, LanguageChoice, Peer, Vocabulary};

/// A command or reaction that arrives later than this after it was sent is not obeyed, in seconds.
pub const LATEST: u64 = 300;
/// The longest time for which recordings can be left alone, in seconds: a year.
const LONGEST_PAUSE: u64 = 365 * 86_400;
/// The longest prefix, in characters.
const LONGEST_PREFIX: usize = 3;

/// What the owner wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Recordings of this chat are answered, or not.
    Answer(bool),
    /// The language that is spoken in this chat.
    Language(LanguageChoice),
    /// Whether the texts of this chat are translated.
    Translate(bool),
    /// Where the texts of this chat appear.
    Where(AnswerIn),
    /// What the recogniser is to know in this chat; `None`: nothing of its own.
    Vocabulary(Option<Vocabulary>),
    /// Recordings are left alone for this time, or until [`Command::Resume`].
    Pause(Option<Duration>),
    Resume,
    /// The recording that this replies to is transcribed.
    Transcribe,
    /// It is transcribed anew, and the earlier text replaced.
    Again,
    /// Why it was answered or not.
    Why,
    Queue,
    Status,
    Help,
}

/// The language of a command's words, in which it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tongue {
    #[default]
    English,
    Russian,
}

/// A command as it was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub command: Command,
    pub tongue: Tongue,
}

/// A message of the owner with a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandMessage {
    /// Names the message.
    pub id: JobId,
    pub peer: Peer,
    pub chat: ChatInfo,
    /// When it was sent, in seconds of Unix time.
    pub date: i64,
    pub said: Said,
    pub replies_to: RepliesTo,
}

/// What a command replies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepliesTo {
    Nothing,
    /// A message with sound: a recording, or a file.
    Recording(Box<Incoming>),
    /// Anything else, or a message that cannot be read.
    Other,
}

impl RepliesTo {
    pub fn is_recording(&self) -> bool {
        matches!(self, Self::Recording(_))
    }
}

impl Command {
    /// Whether it is said in reply to a recording.
    pub fn is_about_a_recording(&self) -> bool {
        matches!(self, Self::Transcribe | Self::Again | Self::Why)
    }

    /// Its name in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Answer(true) => "on",
            Self::Answer(false) => "off",
            Self::Language(_) => "language",
            Self::Translate(_) => "translate",
            Self::Where(_) => "where",
            Self::Vocabulary(_) => "vocabulary",
            Self::Pause(_) => "pause",
            Self::Resume => "resume",
            Self::Transcribe => "transcribe",
            Self::Again => "again",
            Self::Why => "why",
            Self::Queue => "queue",
            Self::Status => "status",
            Self::Help => "help",
        }
    }
}

/// COMMAND_PREFIX: with what commands begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandPrefix(String);

/// A text that no command may begin with.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no prefix of commands")]
pub struct ParsePrefixError(String);

impl FromStr for CommandPrefix {
    type Err = ParsePrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_sign = |c: char| !c.is_alphanumeric() && !c.is_whitespace() && !c.is_control();
        let is_prefix = (1..=LONGEST_PREFIX).contains(&text.chars().count()) && text.chars().all(is_sign);
        if is_prefix { Ok(Self(text.to_owned())) } else { Err(ParsePrefixError(text.to_owned())) }
    }
}

impl fmt::Display for CommandPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CommandPrefix {
    /// The command that the text of a message is. `None` unless all of the text is one: what is no
    /// command is none of our business. In Saved Messages a command needs no prefix, except the
    /// one that any words may follow.
    pub fn command_in(&self, text: &str, in_saved_messages: bool) -> Option<Said> {
        let text = text.trim();
        match text.strip_prefix(&self.0) {
            Some(words) if !words.starts_with(char::is_whitespace) => {
                vocabulary(words).or_else(|| parse(words))
            }
            None if in_saved_messages => parse(text),
            _ => None,
        }
    }
}

/// `vocabulary Anna, Novak`: the words stay as they are written.
fn vocabulary(text: &str) -> Option<Said> {
    let (first, words) = text.split_once(char::is_whitespace)?;
    let tongue = match first.to_lowercase().as_str() {
        "vocabulary" => Tongue::English,
        "словарь" => Tongue::Russian,
        _ => return None,
    };
    let words = words.trim();
    let vocabulary = match words.to_lowercase().as_str() {
        "off" | "выкл" => None,
        _ if words.contains('\n') => return None,
        _ => Some(words.parse().ok()?),
    };
    Some(Said { command: Command::Vocabulary(vocabulary), tongue })
}

fn parse(text: &str) -> Option<Said> {
    // No command is longer.
    if text.len() > 100 || text.contains('\n') {
        return None;
    }
    // Telephones begin a message with a capital letter.
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    let (&first, rest) = words.split_first()?;
    let command = match (first, rest) {
        ("on" | "вкл" | "включи" | "включить", []) => Command::Answer(true),
        ("off" | "выкл" | "выключи" | "выключить", []) => Command::Answer(false),
        ("language" | "lang" | "язык", [code]) => Command::Language(language(code)?),
        ("translate" | "перевод", [switch]) => Command::Translate(is_on(switch)?),
        ("where" | "куда", [place]) => Command::Where(place_named(place)?),
        ("pause" | "пауза", []) => Command::Pause(None),
        ("pause" | "пауза", time) => Command::Pause(Some(duration(&time.concat())?)),
        ("resume" | "продолжай" | "продолжить", []) => Command::Resume,
        ("t" | "т", []) => Command::Transcribe,
        ("again" | "заново" | "снова", []) => Command::Again,
        ("why" | "почему", []) => Command::Why,
        ("queue" | "очередь", []) => Command::Queue,
        ("status" | "статус", []) => Command::Status,
        ("help" | "помощь" | "справка", []) => Command::Help,
        _ => return None,
    };
    let tongue = if first.is_ascii() { Tongue::English } else { Tongue::Russian };
    Some(Said { command, tongue })
}

fn language(word: &str) -> Option<LanguageChoice> {
    match word {
        "авто" => Some(LanguageChoice::Auto),
        code => code.parse().ok(),
    }
}

fn is_on(word: &str) -> Option<bool> {
    match word {
        "on" | "вкл" => Some(true),
        "off" | "выкл" => Some(false),
        _ => None,
    }
}

fn place_named(word: &str) -> Option<AnswerIn> {
    match word {
        "ответ" => Some(AnswerIn::Reply),
        "избранное" => Some(AnswerIn::Saved),
        "подпись" => Some(AnswerIn::Caption),
        "никуда" => Some(AnswerIn::Nowhere),
        name => name.parse().ok(),
    }
}

/// `2h`, `90min`, `3дня`: a number and its unit.
fn duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "m" | "min" | "minute" | "minutes" | "м" | "мин" | "минута" | "минуту" | "минуты" | "минут" => {
            60
        }
        "h" | "hour" | "hours" | "ч" | "час" | "часа" | "часов" => 3600,
        "d" | "day" | "days" | "д" | "день" | "дня" | "дней" => 86_400,
        _ => return None,
    };
    let seconds = number.parse::<u64>().ok()?.checked_mul(seconds)?;
    (1..=LONGEST_PAUSE).contains(&seconds).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn prefix() -> CommandPrefix {
        ".".parse().unwrap()
    }

    fn command(text: &str) -> Option<Command> {
        prefix().command_in(text, false).map(|said| said.command)
    }

    /// Every command, in English and in Russian.
    fn all() -> Vec<(&'static str, &'static str, Command)> {
        vec![
            ("on", "вкл", Command::Answer(true)),
            ("off", "выкл", Command::Answer(false)),
            ("language ru", "язык ru", Command::Language("ru".parse().unwrap())),
            ("language auto", "язык авто", Command::Language(LanguageChoice::Auto)),
            ("translate on", "перевод вкл", Command::Translate(true)),
            ("translate off", "перевод выкл", Command::Translate(false)),
            ("where reply", "куда ответ", Command::Where(AnswerIn::Reply)),
            ("where saved", "куда избранное", Command::Where(AnswerIn::Saved)),
            ("where caption", "куда подпись", Command::Where(AnswerIn::Caption)),
            ("where nowhere", "куда никуда", Command::Where(AnswerIn::Nowhere)),
            ("pause", "пауза", Command::Pause(None)),
            ("pause 2h", "пауза 2ч", Command::Pause(Some(2 * HOUR))),
            ("pause 90 min", "пауза 90 минут", Command::Pause(Some(HOUR * 3 / 2))),
            ("pause 1 day", "пауза 1 день", Command::Pause(Some(24 * HOUR))),
            ("resume", "продолжай", Command::Resume),
            ("t", "т", Command::Transcribe),
            ("again", "заново", Command::Again),
            ("why", "почему", Command::Why),
            ("queue", "очередь", Command::Queue),
            ("status", "статус", Command::Status),
            ("help", "помощь", Command::Help),
        ]
    }

    #[test]
    fn every_command_has_english_and_russian_words() {
        for (english, russian, command) in all() {
            for (text, tongue) in [(english, Tongue::English), (russian, Tongue::Russian)] {
                let said = Some(Said { command: command.clone(), tongue });
                let capital: String = text
                    .char_indices()
                    .map(|(at, c)| if at == 0 { c.to_uppercase().next().unwrap() } else { c })
                    .collect();
                for spoken in [text.to_owned(), capital, format!("  {text} ")] {
                    let with_prefix = format!(".{}", spoken.trim());
                    assert_eq!(prefix().command_in(&with_prefix, false), said, "{with_prefix}");
                    assert_eq!(prefix().command_in(&with_prefix, true), said, "{with_prefix}");
                    assert_eq!(prefix().command_in(&spoken, true), said, "{spoken}");
                    assert_eq!(prefix().command_in(&spoken, false), None, "{spoken}");
                }
            }
        }
    }

    #[test]
    fn a_vocabulary_is_a_command_only_behind_the_prefix() {
        let known = Command::Vocabulary(Some("Анна, C++".parse().unwrap()));
        for (text, command, tongue) in [
            (".vocabulary Анна,  C++", &known, Tongue::English),
            (".Словарь Анна, C++ ", &known, Tongue::Russian),
            (".vocabulary OFF", &Command::Vocabulary(None), Tongue::English),
            (".словарь выкл", &Command::Vocabulary(None), Tongue::Russian),
        ] {
            let said = Some(Said { command: command.clone(), tongue });
            assert_eq!(prefix().command_in(text, false), said, "{text}");
            assert_eq!(prefix().command_in(text, true), said, "{text}");
            assert_eq!(prefix().command_in(&text[1..], true), None, "{text}");
        }
        let long = format!(".vocabulary {}", "я".repeat(1001));
        for text in
            [".vocabulary", ".vocabulary ,", ".vocabularyAnna", ".vocabulary a,,b", ".словарь а\nб", &long]
        {
            assert_eq!(prefix().command_in(text, true), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_command_is_left_alone() {
        for text in [
            "",
            ".",
            "..",
            "...",
            ".5",
            ". on",
            ".on.",
            "..on",
            ".hidden file",
            ".on the way",
            ".Off we go",
            ".t t",
            ".t\nand more",
            ".language",
            ".language klingon",
            ".language en ru",
            ".pause for effect",
            ".pause 0m",
            ".pause -1h",
            ".pause 99999999999999999999h",
            ".pause 400d",
            ".pause 2",
            ".where",
            ".where here",
            ".translate",
            ".translate this",
            ".why not",
            ".help me",
            ".queue up",
            ".т.д.",
            "t",
            "on",
            "help",
            "я .t",
            "/on",
            "!on",
            ".onn",
            ".о",
            ".status quo",
            ".net",
            ".env",
        ] {
            assert_eq!(command(text), None, "{text:?}");
        }
        for text in ["On my way", "again and again", "language barrier", "т.е.", "...", "?"] {
            assert_eq!(prefix().command_in(text, true), None, "{text:?}");
        }
    }

    /// Whatever is put behind a command, or into it, makes it no command, or another whole one.
    #[test]
    fn only_the_whole_text_of_a_message_is_a_command() {
        let known: Vec<String> =
            all().iter().flat_map(|(en, ru, _)| [format!(".{en}"), format!(".{ru}")]).collect();
        for text in &known {
            for (at, _) in text.char_indices() {
                for extra in ["x", "я", ".", "!", "\n", "5", "\u{200b}", "🙂"] {
                    let changed = format!("{}{extra}{}", &text[..at], &text[at..]);
                    // Numbers may be longer, and the edges are trimmed.
                    let is_known = command(&changed).is_none()
                        || known.contains(&changed.trim().to_owned())
                        || changed.starts_with(".pause")
                        || changed.starts_with(".пауза");
                    assert!(is_known, "{changed:?} is {:?}", command(&changed));
                }
            }
        }
    }

    #[test]
    fn no_text_makes_the_parser_fail() {
        // A generator of 64-bit numbers (xorshift) is enough for texts.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let pieces =
            [".", " ", "pause", "пауза", "2", "ч", "h", "\u{fe0f}", "İ", "ß", "𝐨𝐧", "on", "99", "\t", "t"];
        for _ in 0..20_000 {
            let text: String = (0..next(8)).map(|_| pieces[next(pieces.len())]).collect();
            for in_saved_messages in [false, true] {
                if let Some(said) = prefix().command_in(&text, in_saved_messages) {
                    let words = text.trim().trim_start_matches('.').to_lowercase();
                    let is_allowed = ["pause", "пауза", "on", "t"].iter().any(|word| words.starts_with(word));
                    assert!(is_allowed, "{text:?} is {said:?}");
                }
            }
        }
    }

    #[test]
    fn a_prefix_is_one_to_three_signs() {
        for good in [".", "!", "..", "🎙", "!!!"] {
            let prefix: CommandPrefix = good.parse().unwrap();
            let said = prefix.command_in(&format!("{good}on"), false).unwrap();
            assert_eq!(said.command, Command::Answer(true));
        }
        for bad in ["", "a", "т", "1", " ", ". ", "....", "a.", "\n"] {
            assert!(bad.parse::<CommandPrefix>().is_err(), "{bad:?}");
        }
    }
}
