//! Being driven from outside the process: one JSON object a line in, one a line out.
//!
//! ```json
//! {"do":"voice","chat":2000,"file":"hello.ogg","seconds":2}
//! {"ok":true,"message":1}
//! {"do":"wait_for_reply","chat":2000,"message":1,"seconds":30}
//! {"ok":true,"post":{"chat":2000,"id":2,"from":1000,"text":"hello", …}}
//! {"do":"quit"}
//! ```
//!
//! A chat is the Bot API's dialog id: 2000 the friend, 1000 Saved Messages, -400 the basic group,
//! -1000000000500 the supergroup. What cannot be done answers `{"ok":false,"error":"…"}`.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

use crate::faults::Fault;
use crate::ledger::ClientInfo;
use crate::telegram::Telegram;
use crate::world::ChatLimits;
use crate::world::draft::Draft;
use crate::world::login::{Freeze, Revocation};
use crate::world::peers::Chat;
use crate::world::post::Post;

/// One line in.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Command {
    /// Sends the voice message in `file`.
    Voice(Sending),
    /// Sends the round video message in `file`.
    Round(Sending),
    /// Sends `text`.
    Text(Sending),
    /// Waits for the client's answer to a message.
    WaitForReply {
        chat: Chat,
        message: i32,
        seconds: u64,
    },
    /// All messages of one chat, or of every one.
    Posts {
        chat: Option<Chat>,
    },
    /// The methods called so far, in order.
    Calls,
    /// What clients said of themselves.
    Clients,
    /// Adds a rule of what goes wrong.
    Fault {
        fault: Fault,
    },
    ClearFaults,
    ExpireFileReferences,
    Revoke {
        reason: Revocation,
    },
    Restore,
    /// Lets the account read, and nothing else.
    Freeze {
        freeze: Freeze,
    },
    Thaw,
    /// Limits what the owner may do in a chat from now on.
    Limit {
        chat: Chat,
        #[serde(default)]
        no_writing: bool,
        #[serde(default)]
        no_files: bool,
        /// Seconds between two messages.
        #[serde(default)]
        slow_mode: i32,
    },
    /// Has a user react to a message, or take the reaction back where there is no emoji.
    React {
        chat: Chat,
        message: i32,
        user: i64,
        emoji: Option<String>,
    },
    /// Cuts every connection.
    Cut,
    /// Cuts every connection and listens no more, or listens again.
    Outage {
        on: bool,
    },
    /// Puts the server's clock so many seconds ahead of this machine's; behind it where negative.
    Clock {
        ahead: i64,
    },
    /// Keeps connections open, but neither reads nor writes, or does so again.
    Mute {
        on: bool,
    },
    /// Ends the program.
    Quit,
}

/// A message to be sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sending {
    chat: Chat,
    /// The text, or a recording's caption.
    #[serde(default)]
    text: String,
    /// The recording: a file on the server's machine.
    #[serde(default)]
    file: PathBuf,
    /// How long the recording is said to last.
    #[serde(default)]
    seconds: u32,
    /// The datacentre that is to keep the recording.
    dc: Option<i32>,
    #[serde(default)]
    view_once: bool,
    /// By the owner, on another device.
    #[serde(default)]
    own: bool,
    /// By this user, in a group.
    from: Option<i64>,
    /// Shown as sent by this group or channel.
    sent_as: Option<Chat>,
    /// Without telling connected clients.
    #[serde(default)]
    silently: bool,
}

/// One line out.
#[derive(Debug, Default, Serialize)]
struct Reply {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post: Option<Post>,
    #[serde(skip_serializing_if = "Option::is_none")]
    posts: Option<Vec<Post>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clients: Option<Vec<ClientInfo>>,
}

impl Reply {
    fn done() -> Self {
        Self { ok: true, ..Self::default() }
    }

    fn failed(error: impl ToString) -> Self {
        Self { error: Some(error.to_string()), ..Self::default() }
    }
}

/// Whether more is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// There are no more lines.
    Input,
    /// Somebody said `quit`.
    Quit,
}

/// Obeys the lines of `input` until it ends or says `quit`.
pub async fn serve(
    telegram: &Telegram,
    input: impl AsyncBufRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> io::Result<Ended> {
    let mut lines = input.lines();
    while let Some(line) = lines.next_line().await? {
        if line.trim().is_empty() {
            continue;
        }
        let reply = match serde_json::from_str(&line) {
            Ok(Command::Quit) => return Ok(Ended::Quit),
            Ok(command) => obey(telegram, command).await,
            Err(error) => Reply::failed(error),
        };
        let mut line = serde_json::to_vec(&reply)?;
        line.push(b'\n');
        output.write_all(&line).await?;
        output.flush().await?;
    }
    Ok(Ended::Input)
}

async fn obey(telegram: &Telegram, command: Command) -> Reply {
    match command {
        Command::Voice(sending) => record(telegram, sending, Draft::voice).await,
        Command::Round(sending) => record(telegram, sending, Draft::round).await,
        Command::Text(sending) => send(telegram, Draft::default(), sending),
        Command::WaitForReply { chat, message, seconds } => {
            match telegram.wait_for_reply(chat, message, Duration::from_secs(seconds)).await {
                Ok(post) => Reply { post: Some(post), ..Reply::done() },
                Err(error) => Reply::failed(error),
            }
        }
        Command::Posts { chat } => {
            let wanted = |post: &&Post| chat.is_none_or(|chat| post.chat == chat);
            let posts = telegram.look(|ledger| ledger.posts().filter(wanted).cloned().collect());
            Reply { posts: Some(posts), ..Reply::done() }
        }
        Command::Calls => {
            let calls = telegram.look(|ledger| ledger.calls().iter().map(|call| call.method).collect());
            Reply { calls: Some(calls), ..Reply::done() }
        }
        Command::Clients => {
            let clients = telegram.look(|ledger| ledger.clients().to_vec());
            Reply { clients: Some(clients), ..Reply::done() }
        }
        command => match misbehave(telegram, command).await {
            Ok(()) => Reply::done(),
            Err(error) => Reply::failed(error),
        },
    }
}

async fn misbehave(telegram: &Telegram, command: Command) -> io::Result<()> {
    match command {
        Command::Fault { fault } => telegram.fault(fault),
        Command::ClearFaults => telegram.clear_faults(),
        Command::ExpireFileReferences => telegram.expire_file_references(),
        Command::Revoke { reason } => telegram.revoke(reason),
        Command::Restore => telegram.restore(),
        Command::Freeze { freeze } => telegram.freeze(freeze),
        Command::Thaw => telegram.thaw(),
        Command::Limit { chat, no_writing, no_files, slow_mode } => {
            telegram.limit(chat, ChatLimits { no_writing, no_files, slow_mode });
        }
        Command::React { chat, message, user, emoji } => {
            telegram.react(chat, message, user, emoji.as_deref());
        }
        Command::Cut => telegram.cut(),
        Command::Outage { on: true } => telegram.go_down().await,
        Command::Outage { on: false } => telegram.come_back().await?,
        Command::Clock { ahead } => telegram.configure(|settings| settings.clock_ahead = ahead),
        Command::Mute { on: true } => telegram.mute(),
        Command::Mute { on: false } => telegram.unmute(),
        other => return Err(io::Error::other(format!("{other:?} is no misbehaviour"))),
    }
    Ok(())
}

async fn record(telegram: &Telegram, sending: Sending, make: impl FnOnce(Vec<u8>, u32) -> Draft) -> Reply {
    match tokio::fs::read(&sending.file).await {
        Ok(bytes) => send(telegram, make(bytes, sending.seconds), sending),
        Err(error) => Reply::failed(format!("{}: {error}", sending.file.display())),
    }
}

fn send(telegram: &Telegram, draft: Draft, sending: Sending) -> Reply {
    let Sending { chat, text, dc, view_once, own, from, sent_as, silently, .. } = sending;
    let mut draft = draft.caption(text);
    if let Some(user) = from {
        draft = draft.from(user);
    }
    if own {
        draft = draft.own();
    }
    if let Some(chat) = sent_as {
        draft = draft.sent_as(chat);
    }
    if let Some(dc) = dc {
        draft = draft.in_dc(dc);
    }
    if view_once {
        draft = draft.view_once();
    }
    let id = if silently { telegram.send_silently(chat, draft) } else { telegram.send(chat, draft) };
    Reply { message: Some(id), ..Reply::done() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::peers::FRIEND;

    async fn say(telegram: &Telegram, lines: &str) -> Vec<serde_json::Value> {
        let mut output = Vec::new();
        serve(telegram, lines.as_bytes(), &mut output).await.unwrap();
        output.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    #[tokio::test]
    async fn lines_are_obeyed() {
        let telegram = Telegram::start().await.unwrap();
        let file = std::env::temp_dir().join(format!("fake-telegram-control-{}", std::process::id()));
        std::fs::write(&file, b"OggS").unwrap();
        let lines = format!(
            "{{\"do\":\"voice\",\"chat\":2000,\"file\":{file:?},\"seconds\":3,\"view_once\":true}}\n\
             {{\"do\":\"text\",\"chat\":-400,\"text\":\"hi\",\"from\":2001,\"silently\":true}}\n\
             {{\"do\":\"posts\",\"chat\":-400}}\n\
             {{\"do\":\"voice\",\"chat\":2000,\"file\":\"/nowhere\"}}\n\
             nonsense\n\n\
             {{\"do\":\"text\",\"chat\":2000,\"text\":\"hi\",\"tpyo\":1}}\n\
             {{\"do\":\"wait_for_reply\",\"chat\":2000,\"message\":1,\"seconds\":0}}\n\
             {{\"do\":\"outage\",\"on\":true}}\n{{\"do\":\"outage\",\"on\":false}}\n\
             {{\"do\":\"fault\",\"fault\":{{\"method\":\"*\",\"action\":\"drop_after\"}}}}\n\
             {{\"do\":\"clock\",\"ahead\":-60}}\n\
             {{\"do\":\"limit\",\"chat\":-400,\"slow_mode\":30}}\n\
             {{\"do\":\"revoke\",\"reason\":\"session_revoked\"}}\n\
             {{\"do\":\"freeze\",\"freeze\":{{\"since\":1,\"until\":2,\"appeal\":\"https://t.me/x\"}}}}\n\
             {{\"do\":\"thaw\"}}\n\
             {{\"do\":\"quit\"}}\n{{\"do\":\"calls\"}}\n"
        );
        let replies = say(&telegram, &lines).await;
        std::fs::remove_file(&file).unwrap();
        let ok: Vec<_> = replies.iter().map(|reply| reply["ok"].as_bool().unwrap()).collect();
        assert_eq!(
            ok,
            [true, true, true, false, false, false, false, true, true, true, true, true, true, true, true],
            "{replies:#?}"
        );
        assert_eq!(replies[0]["message"], 1);
        assert_eq!(replies[2]["posts"][0]["text"], "hi");
        assert_eq!(replies[2]["posts"][0]["from"], 2001);
        telegram.look(|ledger| assert!(ledger.post(Chat::User(FRIEND), 1).is_some()));
    }
}
