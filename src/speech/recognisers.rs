//! The recognisers that are configured, in order: the first that is well hears a stretch. One that
//! fails is left alone for a while, and asked again when it may be back.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, warn};

use super::error::SpeechError;
use super::local::{Local, LocalOptions};
use super::observer::ModelState;
use super::options::RecogniseOptions;
use super::problems::RECOGNISER_PUBLIC;
use super::recogniser::{LONGEST_STRETCH, Recognised, Recogniser};
use super::server::{Server, ServerError, ServerErrorKind, SpeechServerOptions};
use super::standing::Standing;
use super::vad::detector::{Detector, Speech};
use crate::domain::{LanguageCode, ServerUrl};

/// What the only model on this machine is called in logs and metrics.
pub const LOCAL: &str = "local";

/// One recogniser.
#[derive(Clone, Debug)]
pub enum RecogniserOptions {
    Local(LocalOptions),
    Server(SpeechServerOptions),
}

/// All of them.
#[derive(Clone, Debug)]
pub struct RecognisersOptions {
    /// In the order in which they are asked; not empty, at most one of them local.
    pub list: Vec<RecogniserOptions>,
    /// How long a stretch waits for one of them before the next is asked.
    pub patience: Duration,
    /// See [`EngineOptions::vad`](super::EngineOptions::vad); used where none is local.
    pub vad: Option<PathBuf>,
}

impl RecognisersOptions {
    /// The options of the local one, if there is one.
    pub fn local(&self) -> Option<&LocalOptions> {
        self.list.iter().find_map(|options| match options {
            RecogniserOptions::Local(options) => Some(options),
            RecogniserOptions::Server(_) => None,
        })
    }
}

/// The recognisers, started.
pub struct Recognisers {
    list: Vec<Entry>,
    patience: Duration,
    detector: Detector,
    models: Vec<watch::Receiver<ModelState>>,
    /// See [`Recognisers::abilities`].
    abilities: (Vec<LanguageCode>, bool),
    /// For each of the list, whether it is well as far as is known.
    well: watch::Sender<Vec<bool>>,
}

struct Entry {
    name: Arc<str>,
    /// Who may have heard what it heard: its models if there are several.
    names: Vec<Arc<str>>,
    recogniser: Box<dyn Recogniser>,
    standing: Standing,
}

impl Recognisers {
    /// Loads the models, if one is local. Servers are not asked before there is something to hear.
    /// Warns of those that are not on a private network.
    pub async fn start(options: RecognisersOptions) -> Result<Self, SpeechError> {
        let mut local = match options.local() {
            Some(options) => Some(Local::start(options.clone()).await?),
            None => None,
        };
        let detector = match &local {
            Some(local) => local.detector().clone(),
            None => tokio::task::spawn_blocking(move || Detector::load(options.vad.as_deref()))
                .await
                .map_err(|_| SpeechError::Aborted)?,
        };
        let models = local.as_ref().map(Local::models).unwrap_or_default();
        // What a server's model was trained for is not known.
        let has_server = options.list.iter().any(|it| matches!(it, RecogniserOptions::Server(_)));
        let abilities = local.as_ref().filter(|_| !has_server).map(Local::abilities);
        let abilities = abilities.unwrap_or_else(|| (LanguageCode::all().collect(), true));
        let mut list = Vec::new();
        for options in options.list {
            let (names, recogniser): (Vec<Arc<str>>, Box<dyn Recogniser>) = match options {
                RecogniserOptions::Local(options) => match local.take() {
                    Some(local) => (options.names(), Box::new(local)),
                    None => continue,
                },
                RecogniserOptions::Server(options) => {
                    warn_of_public(&options.url);
                    (vec![options.url.name().into()], Box::new(Server::new(options, detector.clone())?))
                }
            };
            let name = if let [only] = &names[..] { Arc::clone(only) } else { LOCAL.into() };
            list.push(Entry { name, names, recogniser, standing: Standing::default() });
        }
        let named = list.iter().map(|entry| entry.names.len()).sum();
        let well = watch::Sender::new(vec![true; named]);
        Ok(Self { list, patience: options.patience, detector, models, abilities, well })
    }

    /// The languages that the local models were trained for, and whether for translation. Servers
    /// are taken to know every language and to translate.
    pub fn abilities(&self) -> (Vec<LanguageCode>, bool) {
        self.abilities.clone()
    }

    /// Their names, in order. Of several models on this machine, each has its own.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.list.iter().flat_map(|entry| entry.names.iter().cloned()).collect()
    }

    /// For each of [`Recognisers::names`], whether it is well, now and later. One that was not
    /// asked yet is.
    pub fn well(&self) -> watch::Receiver<Vec<bool>> {
        self.well.subscribe()
    }

    /// Where each of the local models is, now and later.
    pub fn models(&self) -> Vec<watch::Receiver<ModelState>> {
        self.models.clone()
    }

    /// Asks one that others come after, as long as the patience lasts. If it wants to be asked
    /// later within that time, that is waited for.
    async fn ask_patiently(
        &self,
        entry: &Entry,
        speech: &Speech,
        options: &RecogniseOptions,
    ) -> Result<Recognised, SpeechError> {
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(hold) = entry.standing.held() {
                if !hold.is_busy || hold.until > deadline {
                    return Err(SpeechError::Server(hold.error));
                }
                sleep_until(hold.until).await;
            }
            let recognised = entry.recogniser.recognise_stretch(speech.clone(), options.clone());
            let result = timeout_at(deadline, recognised).await;
            let result = self.note(entry, result.unwrap_or_else(|_| Err(self.impatience(entry))));
            match result {
                Err(SpeechError::Server(ServerError { kind: ServerErrorKind::Busy(_), .. })) => {}
                result => return result,
            }
        }
    }

    /// Asks one however long it takes.
    async fn ask(
        &self,
        entry: &Entry,
        speech: Speech,
        options: RecogniseOptions,
    ) -> Result<Recognised, SpeechError> {
        if let Some(hold) = entry.standing.held() {
            return Err(SpeechError::Server(hold.error));
        }
        self.note(entry, entry.recogniser.recognise_stretch(speech, options).await)
    }

    fn impatience(&self, entry: &Entry) -> SpeechError {
        let why = format!("gave no answer within {} s (RECOGNISER_PATIENCE)", self.patience.as_secs());
        let (kind, server) = (ServerErrorKind::Slow, entry.name.to_string());
        SpeechError::Server(ServerError { kind, server, why, after: Duration::ZERO })
    }

    /// Remembers how it did, and logs when that changes.
    fn note(
        &self,
        entry: &Entry,
        result: Result<Recognised, SpeechError>,
    ) -> Result<Recognised, SpeechError> {
        let result = entry.standing.note(&entry.name, result);
        self.well.send_if_modified(|known| {
            // Within the lock, so that of two notes at once the later one is what stays.
            let is_well = |entry: &Entry| vec![entry.standing.is_well(); entry.names.len()];
            let well: Vec<bool> = self.list.iter().flat_map(is_well).collect();
            let is_new = *known != well;
            *known = well;
            is_new
        });
        result
    }
}

#[async_trait]
impl Recogniser for Recognisers {
    fn detector(&self) -> &Detector {
        &self.detector
    }

    fn longest_stretch(&self) -> Duration {
        let limits = self.list.iter().map(|entry| entry.recogniser.longest_stretch());
        limits.min().unwrap_or(LONGEST_STRETCH)
    }

    /// Wakes the one that will be asked first. It is an error if all are left alone, so that no
    /// recording is fetched and decoded for nothing.
    async fn wake(&self) -> Result<(), SpeechError> {
        let holds: Vec<_> = self.list.iter().map(|entry| entry.standing.held()).collect();
        let Some(first) = holds.iter().position(Option::is_none) else {
            let soonest = holds.into_iter().flatten().min_by_key(|hold| hold.until);
            return soonest.map_or(Ok(()), |hold| Err(SpeechError::Server(hold.error)));
        };
        match (self.list[first].recogniser.wake().await, self.list.len()) {
            (Err(error), 2..) => {
                debug!(%error, "the first recogniser does not wake, the next one will be asked");
                Ok(())
            }
            (woken, _) => woken,
        }
    }

    async fn recognise_stretch(
        &self,
        speech: Speech,
        options: RecogniseOptions,
    ) -> Result<Recognised, SpeechError> {
        match &self.list[..] {
            // Nothing is sent, so it says nothing about a server.
            [first, ..] if speech.is_empty() => {
                return first.recogniser.recognise_stretch(speech, options).await;
            }
            [only] => return self.ask(only, speech, options).await,
            _ => {}
        }
        let mut failed = Vec::new();
        for (n, entry) in self.list.iter().enumerate() {
            let result = match n + 1 == self.list.len() {
                true => self.ask(entry, speech.clone(), options.clone()).await,
                false => self.ask_patiently(entry, &speech, &options).await,
            };
            match result {
                // Without its recognition thread the process has to be started again.
                Err(error) if !matches!(error, SpeechError::Aborted | SpeechError::Died) => {
                    failed.push((entry, error));
                }
                result => return result,
            }
            if let Some(observer) = &options.observer {
                observer.on_pass();
            }
        }
        // One that is only slow is better than none.
        if let Some((slow, _)) = failed.iter().find(|(_, error)| is_slow(error)) {
            return self.note(slow, slow.recogniser.recognise_stretch(speech, options).await);
        }
        let errors = failed.into_iter().map(|(_, error)| error);
        Err(errors.min_by_key(gravity).unwrap_or(SpeechError::Died))
    }

    async fn shutdown(&self, limit: Duration) -> bool {
        let mut ended = true;
        for entry in &self.list {
            ended &= entry.recogniser.shutdown(limit).await;
        }
        ended
    }
}

fn is_slow(error: &SpeechError) -> bool {
    matches!(error, SpeechError::Server(ServerError { kind: ServerErrorKind::Slow, .. }))
}

/// Of the errors of several recognisers the mildest one says what becomes of the job: it waits if
/// one of them may yet hear it.
fn gravity(error: &SpeechError) -> u8 {
    use ServerErrorKind::{Away, Busy, Failed, LeftAlone, Refuses, Rejected, Slow};
    match error {
        SpeechError::NotLoadedAgain(_) => 0,
        SpeechError::Server(error) => match error.kind {
            Away | Busy(_) | Refuses | LeftAlone => 0,
            Failed | Slow | Rejected => 1,
        },
        SpeechError::Failed(_) | SpeechError::TranscribeCpp(_) => 1,
        SpeechError::LanguageOfRecordingNotInModel(_) | SpeechError::TaskNotInModel => 2,
        _ => 3,
    }
}

fn warn_of_public(url: &ServerUrl) {
    if !url.is_private() {
        let open = if url.is_encrypted() { "" } else { ", without encryption" };
        let what =
            format_args!("what is said in your messages is sent to {} for recognition{open}", url.name());
        warn!(event = "recogniser_public", recogniser = url.name(), "{}", RECOGNISER_PUBLIC.with(what));
    }
}
