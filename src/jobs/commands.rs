//! Obeys the owner's commands, each at most once, and answers them.
//!
//! A command is handed over before the position in the stream of updates is stored, so it may come
//! again after a crash. What it changes is stored first, then its mark. If the process dies in
//! between, the command is obeyed when it comes again, with the same outcome: it sets a state, or
//! the queue adds its job together with the mark. What is said to it comes last. That is said again
//! if the command comes again, which changes nothing: a text is replaced by itself, and Telegram
//! recognises the `random_id` of a message.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error, info, info_span, warn};

use crate::domain::command::LATEST;
use crate::domain::command_texts::{self, Fate, QueueState, Remark};
use crate::domain::rules::AnswerIn;
use crate::domain::unix_time::{now_seconds, seconds_since};
use crate::domain::{
    Asked, ChatKind, Command, CommandMessage, CommandPrefix, Fault, Incoming, JobId, LanguageCode, Note,
    RepliesTo, Sender, Tongue,
};
use crate::jobs::chat_rules_file::ChatRulesFile;
use crate::jobs::persist::{persist, persist_note};
use crate::jobs::ports::Conversation;
use crate::jobs::retry::retry_until_available;
use crate::queue::{Mark, Obeyed, Queue, QueueError};

/// What [`Commands::shown`] is in the daemon.
pub const SHOWN: [Duration; 2] = [Duration::from_secs(6), Duration::from_secs(15)];

/// Obeys commands and reactions.
pub struct Commands {
    pub queue: Arc<dyn Queue>,
    pub rules: ChatRulesFile,
    pub conversation: Arc<dyn Conversation>,
    /// `None`: there are only reactions.
    pub prefix: Option<CommandPrefix>,
    pub model: ModelAbilities,
    /// Whether transcripts are kept at all.
    pub keeps_results: bool,
    /// Notified of every job.
    pub work: Arc<Notify>,
    pub shutdown: CancellationToken,
    pub started: Instant,
    /// For how long a short answer and a longer one stay in a chat before they are deleted.
    pub shown: [Duration; 2],
}

/// What the model was trained for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelAbilities {
    pub languages: Vec<LanguageCode>,
    pub translates: bool,
}

/// What is said to a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing, and the command stays where it is.
    Silence,
    /// Nothing: what it brings is the answer.
    Nothing,
    /// A text that everybody in the chat may see for some seconds.
    InChat(String),
    /// A text for Saved Messages.
    InSavedMessages(String),
}

/// Why a command is neither obeyed nor refused now.
pub(super) enum Stop {
    Shutdown,
    Queue(QueueError),
}

impl Commands {
    /// Obeys a command. Returns true once that is stored, and false if the daemon shuts down first
    /// or something cannot be stored.
    pub async fn take(self: &Arc<Self>, message: CommandMessage) -> bool {
        let id = message.id;
        let span = info_span!("command", %id, name = message.said.command.name());
        match self.obey(&message).instrument(span.clone()).await {
            Ok(answer) => {
                let commands = Arc::clone(self);
                tokio::spawn(async move { commands.say(&message, answer).await }.instrument(span));
                true
            }
            Err(Stop::Queue(error)) => {
                error!(%error, "A command cannot be obeyed");
                false
            }
            Err(Stop::Shutdown) => false,
        }
    }

    /// Obeys a command unless it was obeyed before; says what is to be said to it.
    async fn obey(&self, message: &CommandMessage) -> Result<Answer, Stop> {
        let CommandMessage { id, said, date, .. } = message;
        let is_new = self.mark(*id).await?.is_none();
        let late = seconds_since(*date);
        if late > LATEST && !is_new {
            return Ok(Answer::Silence);
        }
        if late > LATEST {
            info!(event = "command_late", late_s = late, "The command arrived late and is not obeyed");
            self.only_mark(message.id).await?;
            // Elsewhere nobody waits for it any more.
            let is_answered = message.chat.kind == ChatKind::SavedMessages;
            let text = Remark::Late(late).text(said.tongue);
            return Ok(if is_answered { Answer::InChat(text) } else { Answer::Silence });
        }
        match self.carry_out(message, is_new).await? {
            Ok(answer) => {
                if is_new {
                    info!(event = "command", chat = id.chat, "The owner's command was obeyed");
                }
                Ok(answer)
            }
            Err(remark) => Ok(Answer::InChat(remark.text(said.tongue))),
        }
    }

    /// Does what a command says, and marks it.
    async fn carry_out(
        &self,
        message: &CommandMessage,
        is_new: bool,
    ) -> Result<Result<Answer, Remark>, Stop> {
        let CommandMessage { said, chat, .. } = message;
        let everywhere = chat.kind == ChatKind::SavedMessages;
        let outcome = match (said.command.clone(), &message.replies_to) {
            (Command::Transcribe | Command::Again, RepliesTo::Recording(incoming)) => {
                let again = said.command == Command::Again;
                let asked =
                    Asked { command: message.id.message, tongue: said.tongue, again, replaces: Vec::new() };
                return self.ask_for(message.id, asked, incoming).await;
            }
            (Command::Transcribe | Command::Again, _) => Err(Remark::NoRecording),
            (Command::Why, RepliesTo::Recording(incoming)) => {
                let fate = self.fate(incoming).await?;
                Ok(Answer::InChat(command_texts::why(&fate, said.tongue)))
            }
            (Command::Why, _) => Ok(Answer::InChat(self.why_here(message))),
            (Command::Queue, _) => {
                let state = self.queue_state().await?;
                Ok(Answer::InSavedMessages(command_texts::queue(state, said.tongue)))
            }
            (Command::Status, _) => {
                let state = self.queue_state().await?;
                Ok(Answer::InSavedMessages(self.status(state, said.tongue)))
            }
            (Command::Help, _) => Ok(self.prefix.as_ref().map_or(Answer::Silence, |prefix| {
                Answer::InSavedMessages(command_texts::help(prefix, said.tongue))
            })),
            (Command::Language(language), _)
                if language.code().is_some_and(|code| !self.model.languages.contains(&code)) =>
            {
                Err(Remark::LanguageNotInModel)
            }
            (Command::Translate(true), _) if !self.model.translates => Err(Remark::TranslationNotInModel),
            (Command::Where(AnswerIn::Nowhere), _) if !self.keeps_results => Err(Remark::NothingIsKept),
            _ => {
                let changed = if is_new { self.change_rules(message, everywhere).await } else { Ok(()) };
                changed.map(|()| {
                    let reason = self.reason_here(message, false);
                    let text = command_texts::done(said.clone(), everywhere, reason);
                    text.map_or(Answer::Nothing, Answer::InChat)
                })
            }
        };
        self.only_mark(message.id).await?;
        Ok(outcome)
    }

    /// Stores what a command changes in the rules.
    async fn change_rules(&self, message: &CommandMessage, everywhere: bool) -> Result<(), Remark> {
        let CommandMessage { said, chat, date, .. } = message;
        let changed = self.rules.policy().chats.after(&said.command, chat.id, everywhere, *date);
        let Some(changed) = changed else { return Ok(()) };
        self.rules.replace(changed).await.map_err(|error| {
            warn!(event = "chat_rules_not_stored", %error, "What the owner has said could not be stored");
            Remark::NotStored(error.to_string())
        })
    }

    /// Has the queue add the job for a recording, and mark the command or reaction `id`, in one
    /// step.
    pub(super) async fn ask_for(
        &self,
        id: JobId,
        asked: Asked,
        incoming: &Incoming,
    ) -> Result<Result<Answer, Remark>, Stop> {
        if incoming.view_once {
            self.only_mark(id).await?;
            return Ok(Err(Remark::Vanishing));
        }
        let replaces = match self.mark(incoming.id).await? {
            Some(Mark::Answered { replies }) => replies,
            _ => Vec::new(),
        };
        let (again, was_answered) = (asked.again, !replaces.is_empty());
        let job = self.rules.policy().asked_for(incoming, Asked { replaces, ..asked });
        let obeyed = self.until_done("obey a command", || self.queue.obey(id, Some(&job))).await?;
        self.work.notify_one();
        Ok(match obeyed {
            Obeyed::Underway => Err(Remark::Underway),
            Obeyed::New if was_answered && !again => Err(Remark::AnsweredBefore),
            Obeyed::New | Obeyed::Seen => Ok(Answer::Nothing),
        })
    }

    pub(super) async fn mark(&self, id: JobId) -> Result<Option<Mark>, Stop> {
        self.until_done("look for a mark", || self.queue.mark(id)).await
    }

    async fn only_mark(&self, id: JobId) -> Result<(), Stop> {
        self.until_done("mark a command", || self.queue.obey(id, None)).await.map(drop)
    }

    /// Repeats an operation of the queue until its store is there.
    async fn until_done<T, F>(&self, what: &str, operation: impl FnMut() -> F) -> Result<T, Stop>
    where
        F: Future<Output = Result<T, QueueError>>,
    {
        match retry_until_available(what, &self.shutdown, operation).await {
            Some(outcome) => outcome.map_err(Stop::Queue),
            None => Err(Stop::Shutdown),
        }
    }

    /// What became of a recording, or will.
    async fn fate(&self, incoming: &Incoming) -> Result<Fate, Stop> {
        Ok(match self.mark(incoming.id).await? {
            Some(Mark::Answered { replies }) if replies.is_empty() => Fate::Silent,
            Some(Mark::Answered { .. }) => Fate::Answered,
            Some(Mark::Rejected { reason }) => Fate::Rejected(reason),
            Some(Mark::Obeyed) | None => {
                let reason = self.rules.policy().reason_to_ignore_it(incoming, now_seconds());
                reason.map_or(Fate::Unfinished, Fate::Ignored)
            }
        })
    }

    /// Why the recordings of the owner (`mine`) or of a contact are not answered in the command's
    /// chat, if they are not.
    fn reason_here(&self, message: &CommandMessage, mine: bool) -> Option<&'static str> {
        let sender = Sender {
            id: if mine { message.id.account } else { 0 },
            is_owner: mine,
            is_bot: false,
            is_contact: Some(true),
            names: Vec::new(),
        };
        self.rules.policy().reason_to_ignore(&message.chat, &sender, u32::MAX, now_seconds())
    }

    fn why_here(&self, message: &CommandMessage) -> String {
        let [mine, theirs] = [true, false].map(|mine| self.reason_here(message, mine));
        command_texts::why_here(mine, theirs, message.said.tongue)
    }

    async fn queue_state(&self) -> Result<QueueState, Stop> {
        let counts = self.until_done("count the jobs", || self.queue.counts()).await?;
        let oldest = self.until_done("look for the oldest job", || self.queue.oldest()).await?;
        Ok(QueueState {
            waiting: counts.waiting,
            running: counts.claimed,
            delayed: counts.delayed,
            dead: counts.dead,
            oldest: oldest.map(seconds_since),
        })
    }

    fn status(&self, state: QueueState, tongue: Tongue) -> String {
        let paused = self.rules.policy().chats.paused_until.filter(|until| *until > now_seconds());
        let up = self.started.elapsed().as_secs();
        command_texts::status(env!("CARGO_PKG_VERSION"), up, state, paused, tongue)
    }

    /// Answers a command. In Saved Messages the answer stays. In other chats the command is
    /// replaced by its answer, which is deleted after some seconds, or is deleted once its answer
    /// is in Saved Messages; after a crash it may stay.
    async fn say(&self, message: &CommandMessage, answer: Answer) {
        let CommandMessage { id, peer, .. } = message;
        let in_saved_messages = message.chat.kind == ChatKind::SavedMessages;
        match answer {
            Answer::InChat(text) | Answer::InSavedMessages(text) if in_saved_messages => {
                self.note(*id, &text).await;
            }
            Answer::Silence => {}
            Answer::Nothing if in_saved_messages => {}
            Answer::InSavedMessages(text) => {
                if self.note(*id, &text).await {
                    self.persist(|| self.conversation.delete(peer, id.message)).await;
                }
            }
            Answer::InChat(text) => {
                if self.persist(|| self.conversation.rewrite(peer, id.message, &text)).await {
                    let is_long = text.chars().count() > 80;
                    tokio::select! {
                        () = self.shutdown.cancelled() => {}
                        () = sleep(self.shown[usize::from(is_long)]) => {}
                    }
                }
                self.persist(|| self.conversation.delete(peer, id.message)).await;
            }
            Answer::Nothing => {
                self.persist(|| self.conversation.delete(peer, id.message)).await;
            }
        }
    }

    async fn note(&self, command: JobId, text: &str) -> bool {
        persist_note(&*self.conversation, &self.shutdown, command, Note::Answer, text).await
    }

    async fn persist<F>(&self, attempt: impl FnMut() -> F) -> bool
    where
        F: Future<Output = Result<(), Fault>>,
    {
        persist(|| self.conversation.ready(), &self.shutdown, attempt).await
    }
}
