//! The pictures in docs/STEERING.md: drawn from what the daemon sends to the loopback Telegram. If it
//! sends something else, the test fails, and with PICTURES=write it draws them anew.

use std::fmt::Write as _;
use std::path::PathBuf;

use fake_telegram::{Ledger, Post};
use stenogram::domain::rules::{AnswerIn, Rules};
use stenogram::domain::{DocumentFormats, Documents};

use super::*;

/// Pixels.
const WIDTH: usize = 480;
const BUBBLE: usize = 400;
const LINE: usize = 20;
/// How many lines of a folded quote are seen.
const FOLDED_LINES: usize = 3;
/// When all recordings were sent: 2026-11-27 23:40 UTC.
const DATE: i32 = 1_795_822_800;

/// What is said, in the two languages of the documents.
struct Words {
    suffix: &'static str,
    /// What Telegram writes above a reply to a voice message.
    voice: &'static str,
    short: &'static str,
    long: &'static str,
    /// A summary of it.
    summary: &'static str,
    off: &'static str,
}

static WORDS: [Words; 2] = [
    Words {
        suffix: "",
        voice: "Voice message",
        short: "I'm at the station, the train is late again. Start without me.",
        long: "So, about Saturday. We meet at the old bridge at ten, not at nine as I wrote, because Peter \
               comes by bus. Bring something warm, it is windy up there.",
        summary: "Saturday at ten at the old bridge, not at nine.\nIt is windy there: take something warm.",
        off: ".off",
    },
    Words {
        suffix: ".ru",
        voice: "Голосовое сообщение",
        short: "Я на вокзале, поезд опять опаздывает. Начинайте без меня.",
        long: "Так, про субботу. Встречаемся у старого моста в десять, а не в девять, как я писала: Пётр едет на \
               автобусе. Возьмите тёплое, наверху ветрено.",
        summary: "Суббота, в десять, у старого моста, не в девять.\nНаверху ветрено, нужно тёплое.",
        off: ".выкл",
    },
];

/// A message as it is drawn.
#[derive(Clone, Default)]
struct Bubble {
    is_own: bool,
    /// The length of a voice message.
    voice: Option<u32>,
    replies: bool,
    /// What begins the text and is a link.
    header: Option<String>,
    text: String,
    /// What is folded away below the text.
    quote: Option<String>,
    /// The name and the size of a document.
    document: Option<String>,
    reaction: Option<String>,
}

impl Bubble {
    fn of(ledger: &Ledger, post: &Post) -> Self {
        let units: Vec<u16> = post.text.encode_utf16().collect();
        let text = |range: std::ops::Range<usize>| String::from_utf16(&units[range]).expect("text");
        let (mut header, mut quote, mut start, mut end) = (None, None, 0, units.len());
        for entity in post.entities() {
            let range = entity.offset as usize..(entity.offset + entity.length) as usize;
            if entity.collapsed {
                (end, quote) = (range.start, Some(text(range)));
            } else {
                (start, header) = (range.end, Some(text(range)));
            }
        }
        let size = |bytes: &[u8]| format!("{:.1} KB", bytes.len() as f64 / 1000.0);
        let document = ledger.document(post).map(|(name, bytes)| format!("{name} · {}", size(bytes)));
        Self {
            is_own: post.from == Some(OWNER),
            replies: post.reply_to.is_some(),
            header,
            text: text(start..end).trim().to_owned(),
            quote,
            document,
            reaction: post.reactions.first().map(|reaction| reaction.emoji.clone()),
            voice: None,
        }
    }

    fn voice(self, seconds: u32) -> Self {
        Self { voice: Some(seconds), ..self }
    }
}

/// Breaks a text into lines that fit a bubble.
fn lines(text: &str) -> Vec<String> {
    const COLUMNS: usize = 48;
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > COLUMNS {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Draws messages below each other.
struct Drawing {
    words: &'static Words,
    svg: String,
    y: usize,
}

impl Drawing {
    fn text(&mut self, x: usize, class: &str, text: &str) {
        let (y, text) = (self.y + 15, escaped(text));
        writeln!(self.svg, r#"<text x="{x}" y="{y}" class="{class}">{text}</text>"#).expect("write");
        self.y += LINE;
    }

    fn bubble(&mut self, bubble: &Bubble) {
        let (top, outer) = (self.y, std::mem::take(&mut self.svg));
        let left = if bubble.is_own { WIDTH - BUBBLE - 10 } else { 10 };
        let x = left + 14;
        self.y += 8;
        if bubble.replies {
            let (bar, y) = (x, self.y);
            writeln!(self.svg, r#"<rect x="{bar}" y="{y}" width="3" height="20" class="bar"/>"#)
                .expect("write");
            self.text(x + 10, "link", &format!("▶ {}", self.words.voice));
            self.y += 4;
        }
        if let Some(seconds) = bubble.voice {
            let (cx, cy) = (x + 14, self.y + 14);
            writeln!(self.svg, r#"<circle cx="{cx}" cy="{cy}" r="14" class="bar"/>"#).expect("write");
            let (px, py) = (cx - 4, cy - 7);
            writeln!(self.svg, r#"<path d="M{px} {py}l12 7-12 7z" class="white"/>"#).expect("write");
            for bar in 0..36 {
                let height = 4 + (bar * 7 + bar * bar * 3) % 19;
                let (bx, by) = (x + 38 + bar * 6, cy + 8 - height);
                writeln!(self.svg, r#"<rect x="{bx}" y="{by}" width="3" height="{height}" class="bar"/>"#)
                    .expect("write");
            }
            self.y += 6;
            self.text(x + 270, "small", &format!("{}:{:02}", seconds / 60, seconds % 60));
            self.y += 8;
        }
        if let Some(document) = &bubble.document {
            let y = self.y;
            writeln!(self.svg, r#"<rect x="{x}" y="{y}" width="20" height="24" rx="3" class="bar"/>"#)
                .expect("write");
            self.y += 3;
            self.text(x + 30, "link", document);
            self.y += 6;
        }
        if let Some(header) = &bubble.header {
            lines(header).iter().for_each(|line| self.text(x, "link", line));
        }
        if !bubble.text.is_empty() {
            lines(&bubble.text).iter().for_each(|line| self.text(x, "text", line));
        }
        if let Some(quote) = &bubble.quote {
            self.y += 4;
            let all = lines(quote);
            let seen = all.len().min(FOLDED_LINES);
            let (y, width, height) = (self.y, BUBBLE - 28, seen * LINE + 6);
            writeln!(self.svg, r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" class="quote"/>"#)
                .expect("write");
            writeln!(self.svg, r#"<rect x="{x}" y="{y}" width="3" height="{height}" class="bar"/>"#)
                .expect("write");
            self.y += 2;
            all[..seen].iter().for_each(|line| self.text(x + 10, "text", line));
            let (ax, ay) = (x + width - 18, self.y - 10);
            if all.len() > seen {
                writeln!(self.svg, r#"<path d="M{ax} {ay}l5 5 5-5" class="arrow"/>"#).expect("write");
            }
            self.y += 4;
        }
        if let Some(reaction) = &bubble.reaction {
            let y = self.y;
            writeln!(self.svg, r#"<rect x="{x}" y="{y}" width="40" height="24" rx="12" class="quote"/>"#)
                .expect("write");
            self.y += 2;
            self.text(x + 12, "text", reaction);
            self.y += 4;
        }
        self.y += 8;
        let (height, class) = (self.y - top, if bubble.is_own { "own" } else { "other" });
        let inner = std::mem::replace(&mut self.svg, outer);
        writeln!(
            self.svg,
            r#"<rect x="{left}" y="{top}" width="{BUBBLE}" height="{height}" rx="12" class="{class}"/>"#
        )
        .expect("write");
        self.svg += &inner;
        self.y += 10;
    }
}

fn drawn(words: &'static Words, bubbles: &[Bubble]) -> String {
    let mut drawing = Drawing { words, svg: String::new(), y: 10 };
    bubbles.iter().for_each(|bubble| drawing.bubble(bubble));
    let Drawing { svg, y: height, .. } = drawing;
    let style = ".back{fill:#d5e3ee}.own{fill:#e4fad2}.other,.white{fill:#fff}.bar{fill:#3a95d5}\
        .quote{fill:#3a95d5;opacity:.12}.arrow{fill:none;stroke:#3a95d5;stroke-width:2}\
        text{font:14px sans-serif;fill:#111}.link{fill:#2078b4}.small{font-size:12px;fill:#667}";
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} \
         {height}\">\n<style>{style}</style>\n<rect width=\"{WIDTH}\" height=\"{height}\" class=\"back\"/>\n{svg}</svg>\n"
    )
}

/// The summary of a text that is drawn.
pub fn summary_of(text: &str) -> Option<&'static str> {
    WORDS.iter().find(|words| text.starts_with(words.long)).map(|words| words.summary)
}

/// Compares a picture with its file, or writes it.
fn compare(name: &str, words: &'static Words, bubbles: &[Bubble]) {
    let file =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("docs/pictures/{name}{}.svg", words.suffix));
    let picture = drawn(words, bubbles);
    if std::env::var_os("PICTURES").is_some_and(|what| what == "write") {
        std::fs::write(&file, picture).expect("write the picture");
        return;
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(known == picture, "{} is not what is sent now; draw it with PICTURES=write", file.display());
}

fn in_form(answer_in: AnswerIn) -> Policy {
    let rules = Rules { answer_in, ..Rules::default() };
    // Recordings of any age are answered, so that every run draws the same dates.
    Policy { rules, max_age: Duration::from_secs(100 * 365 * 86_400), ..policy(Task::Transcribe) }
}

/// What is sent for a recording with this text: the recording and the answer.
async fn answered(policy: Policy, text: &str, is_own: bool, seconds: u32) -> Vec<Bubble> {
    let (telegram, _folder, line) = start_under(policy).await;
    let draft = Draft::voice(text.as_bytes(), seconds).dated(DATE);
    let message = telegram.send(FRIENDS_CHAT, if is_own { draft.own() } else { draft });
    let is_answered = |ledger: Ledger| {
        ledger.sent().count() > 0 || ledger.post(FRIENDS_CHAT, message).is_some_and(|post| post.edits > 0)
    };
    telegram.wait_until(DEADLINE, is_answered).await.unwrap();
    line.finished().await;
    telegram.look(|ledger| {
        let recording = ledger.post(FRIENDS_CHAT, message).expect("the recording");
        // What is in Saved Messages stands alone there.
        let is_there = ledger.sent().all(|post| post.chat == FRIENDS_CHAT);
        let recording = is_there.then(|| Bubble::of(&ledger, recording).voice(seconds));
        let answers = ledger.sent().map(|post| Bubble::of(&ledger, post));
        recording.into_iter().chain(answers).collect()
    })
}

#[tokio::test]
async fn the_pictures_show_what_is_sent() {
    for words in &WORDS {
        let reply = in_form(AnswerIn::Reply);
        compare("reply", words, &answered(reply.clone(), words.short, false, 7).await);
        compare("caption", words, &answered(in_form(AnswerIn::Caption), words.short, true, 7).await);
        compare("saved", words, &answered(in_form(AnswerIn::Saved), words.short, false, 7).await);
        let folds = Settings { fold_from: 100, ..Settings::default() };
        let folded = Policy { settings: folds.clone(), ..reply.clone() };
        let long = [words.long; 3].join(" ");
        compare("folded", words, &answered(folded, &long, false, 95).await);
        let summarised = Policy { settings: Settings { summary_from: 100, ..folds }, ..reply.clone() };
        compare("summary", words, &answered(summarised, &long, false, 95).await);
        let documents = Documents { from: 4, formats: DocumentFormats::Txt };
        let settings = Settings { documents, ..Settings::default() };
        let very_long = [words.long; 100].join(" ");
        // What a text looks like while it grows; that it does is tested elsewhere.
        let mut growing = answered(in_form(AnswerIn::Reply), words.long, false, 95).await;
        growing[1].text += " …";
        compare("preview", words, &growing);
        compare("document", words, &answered(Policy { settings, ..reply }, &very_long, false, 1280).await);
    }
}

#[tokio::test]
async fn the_pictures_show_what_the_owner_does_and_gets() {
    for words in &WORDS {
        let (telegram, _folder, line) = start().await;
        let command = telegram.send(FRIENDS_CHAT, Draft::text(words.off).own());
        let answer = |ledger: Ledger| {
            ledger.deleted().find(|post| post.id == command).map(|post| Bubble::of(&ledger, post))
        };
        let answer = telegram.wait_for(DEADLINE, answer).await.unwrap();
        let said = Bubble { is_own: true, text: words.off.to_owned(), ..Bubble::default() };
        compare("command", words, &[said, answer]);
        // Nothing is answered there by itself now.
        let recording = telegram.send(FRIENDS_CHAT, saying(words.short));
        telegram.react(FRIENDS_CHAT, recording, OWNER, Some("✍"));
        let reply = telegram.wait_for_reply(FRIENDS_CHAT, recording, DEADLINE).await.unwrap();
        line.finished().await;
        let bubbles = telegram.look(|ledger| {
            let recording = ledger.post(FRIENDS_CHAT, recording).expect("the recording");
            [Bubble::of(&ledger, recording).voice(7), Bubble::of(&ledger, &reply)]
        });
        compare("reaction", words, &bubbles);
    }
}
