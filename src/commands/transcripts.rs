//! `stenogram transcripts`: prints the transcripts that the queue keeps.

use std::io::{self, Write};

use serde::Serialize;

use super::CommandError;
use crate::app::RunError;
use crate::cli::Transcripts;
use crate::config::Config;
use crate::domain::{Answer, JobId, Origin};
use crate::queue::QueueAdmin as _;
use crate::queue::embedded;
use crate::queue::redis::RedisQueue;
use crate::setup;
use crate::telegram::SessionFile;

/// Prints the last transcripts, oldest first.
pub async fn run(config: &Config, args: &Transcripts, out: &mut impl Write) -> Result<(), CommandError> {
    let kept = match &config.redis {
        Some(redis) => {
            let account = SessionFile::user_in(&config.data_dir).map_err(RunError::from)?;
            let options = setup::redis_queue(config, redis, account);
            let queue = RedisQueue::attach(options).await.map_err(RunError::from)?;
            queue.results(args.last).await.map_err(RunError::from)?
        }
        None => {
            let (path, _) = setup::embedded_queue(config);
            embedded::results(path, args.last).await.map_err(RunError::from)?
        }
    };
    // Where nothing was said there is nothing to print.
    let kept: Vec<Answer> = kept.into_iter().rev().filter(|answer| !answer.parts.is_empty()).collect();
    if args.json {
        list_json(&kept, out)?
    } else {
        list(&kept, out)?
    }
    Ok(())
}

/// A transcript as `--json` writes it, one per line.
#[derive(Serialize)]
struct Line {
    /// `account:chat:message`.
    job: Option<String>,
    /// When the message was sent, in seconds of Unix time.
    sent: Option<i64>,
    text: String,
}

fn list_json(kept: &[Answer], out: &mut impl Write) -> io::Result<()> {
    for answer in kept {
        let origin = answer.origin;
        let job = origin.map(|origin| origin.job.to_string());
        let line = Line { job, sent: origin.map(|origin| origin.sent), text: answer.text() };
        serde_json::to_writer(&mut *out, &line)?;
        writeln!(out)?;
    }
    out.flush()
}

fn list(kept: &[Answer], out: &mut impl Write) -> io::Result<()> {
    if kept.is_empty() {
        return writeln!(out, "No transcript is kept.");
    }
    for answer in kept {
        match &answer.origin {
            Some(origin @ Origin { job: JobId { chat, message, .. }, .. }) => {
                writeln!(out, "{}, chat {chat}, message {message}", origin.date())?;
            }
            None => writeln!(out, "(of an earlier version, which did not say of which message)")?,
        }
        writeln!(out, "{}\n", answer.text())?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Part, Settings};

    #[test]
    fn a_transcript_says_of_which_message_it_is() {
        let job = JobId { account: 1000, chat: 2000, message: 7 };
        let answer = |origin| Answer {
            settings: Settings::default(),
            parts: vec![Part::message("one".into(), false), Part::message("two".into(), false)],
            origin,
        };
        let kept = [answer(None), answer(Some(Origin { job, sent: 1_795_822_800 }))];
        let (mut text, mut lines) = (Vec::new(), Vec::new());
        list(&kept, &mut text).unwrap();
        list_json(&kept, &mut lines).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "(of an earlier version, which did not say of which message)\none two\n\n\
             2026-11-27 23:40 UTC, chat 2000, message 7\none two\n\n"
        );
        assert_eq!(
            String::from_utf8(lines).unwrap(),
            "{\"job\":null,\"sent\":null,\"text\":\"one two\"}\n\
             {\"job\":\"1000:2000:7\",\"sent\":1795822800,\"text\":\"one two\"}\n"
        );
    }
}
