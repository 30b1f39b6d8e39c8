//! Log lines: where they are written, in which form, and which of them.
//!
//! They go to standard error and, if LOG_DIR is set, to files; standard output is for results.
//! LOG_LEVEL is the level of stenogram itself. Other crates log warnings only, unless LOG_LEVEL
//! names them. grammers never logs below info, because its debug lines contain messages and phone
//! numbers.

mod log_files;

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer, Registry, reload};

pub use log_files::{LogFiles, LogFilesError, PROBLEMS};

/// Targets match by prefix, so this covers all crates of grammers.
const GRAMMERS: &str = "grammers";

/// The form of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Human { colours: bool },
    /// One JSON object a line.
    Json,
}

impl Format {
    /// For people, with colours if standard error shows them.
    pub fn human() -> Self {
        Self::Human { colours: shows_colours(&io::stderr()) }
    }
}

/// Why logging cannot be set up as wanted.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    #[error("logging was started already")]
    Started(#[from] TryInitError),
    #[error("the filter of the log could not be changed")]
    Filter(#[from] reload::Error),
}

/// Changes what is logged while the program runs.
#[derive(Clone, Debug)]
pub struct LogFilter(reload::Handle<Targets, Registry>);

impl LogFilter {
    /// Logs what `wanted` selects from now on, within the limits for other crates.
    pub fn set(&self, wanted: &Targets) -> Result<(), LoggingError> {
        Ok(self.0.reload(capped(wanted))?)
    }
}

/// Starts logging for the whole process. Can be called once.
pub fn start(wanted: &Targets, format: Format, files: Option<LogFiles>) -> Result<LogFilter, LoggingError> {
    let (subscriber, filter) = subscriber(format, io::stderr, files);
    subscriber.try_init()?;
    // Crates that use `log` are limited for good to the level in force when logging starts. So it
    // starts with everything, and the filter is set afterwards and may be widened later.
    filter.set(wanted)?;
    Ok(filter)
}

fn subscriber<W>(
    format: Format,
    out: W,
    files: Option<LogFiles>,
) -> (impl Subscriber + Send + Sync, LogFilter)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(Targets::new().with_default(LevelFilter::TRACE));
    let plain = match format {
        Format::Human { .. } => Format::Human { colours: false },
        Format::Json => Format::Json,
    };
    // The layer of the files comes first: a span's fields are formatted once, by the first layer,
    // and must not contain colours in a file.
    let to_files = files.map(|files| lines(plain, files));
    let subscriber = tracing_subscriber::registry().with(filter).with(to_files).with(lines(format, out));
    (subscriber, LogFilter(handle))
}

fn lines<S, W>(format: Format, out: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(out);
    match format {
        Format::Human { colours } => lines.with_ansi(colours).boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    }
}

/// `wanted` with the limits for other crates.
fn capped(wanted: &Targets) -> Targets {
    let own = wanted.default_level().unwrap_or(LevelFilter::INFO);
    let others = own.min(LevelFilter::WARN);
    let named = wanted.iter().map(|(target, level)| {
        let cap = if target.starts_with(GRAMMERS) { LevelFilter::INFO } else { LevelFilter::TRACE };
        (target.to_owned(), level.min(cap))
    });
    // A shorter prefix, such as "g", matches grammers too, but the longest matching one counts.
    let mut all = vec![
        ("stenogram".to_owned(), own),
        (GRAMMERS.to_owned(), others),
        // Our own lines already say what is wrong with a recording.
        ("symphonia".to_owned(), LevelFilter::OFF),
    ];
    all.extend(named);
    Targets::new().with_default(others).with_targets(all)
}

/// Whether to write in colours to `stream`: it is a terminal, and NO_COLOR
/// (<https://no-color.org>) is not set.
pub fn shows_colours(stream: &impl IsTerminal) -> bool {
    let is_off = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !is_off
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing::Level;

    fn filter(wanted: &str) -> Targets {
        capped(&wanted.parse().unwrap())
    }

    #[test]
    fn the_level_is_for_stenogram_and_others_only_warn() {
        let filter = filter("debug");
        assert!(filter.would_enable("stenogram::queue", &Level::DEBUG));
        assert!(!filter.would_enable("stenogram", &Level::TRACE));
        for other in ["grammers_mtsender::sender", "redis", "ureq::unversioned", "whisper_rs", "h2"] {
            assert!(filter.would_enable(other, &Level::WARN), "{other}");
            assert!(!filter.would_enable(other, &Level::INFO), "{other}");
        }
        assert!(!filter.would_enable("symphonia_core::formats::probe", &Level::ERROR));
    }

    #[test]
    fn less_than_warnings_holds_for_all() {
        let filter = filter("error");
        assert!(!filter.would_enable("redis", &Level::WARN));
        assert!(filter.would_enable("redis", &Level::ERROR));
    }

    #[test]
    fn a_crate_that_is_named_may_say_more() {
        let filter = filter("warn,redis=debug,stenogram::queue=trace,symphonia=info");
        assert!(filter.would_enable("symphonia_core::formats::probe", &Level::INFO));
        assert!(filter.would_enable("redis", &Level::DEBUG));
        assert!(filter.would_enable("stenogram::queue", &Level::TRACE));
        assert!(!filter.would_enable("stenogram::jobs::worker", &Level::INFO));
    }

    #[test]
    fn grammers_never_says_more_than_info() {
        for wanted in ["grammers=trace", "grammers_client=debug,grammers=trace", "g=trace", "trace,=trace"] {
            let filter = filter(wanted);
            assert!(!filter.would_enable("grammers_client::client::net", &Level::DEBUG), "{wanted}");
        }
        assert!(filter("grammers=trace").would_enable("grammers_client", &Level::INFO));
    }

    /// Keeps what is written to it.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, log: impl FnOnce(&LogFilter)) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let (subscriber, filter) = subscriber(format, move || writer.clone(), None);
        filter.set(&"info".parse().unwrap()).unwrap();
        tracing::subscriber::with_default(subscriber, || log(&filter));
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_lines_are_one_object_each() {
        let text = logged(Format::Json, |_| {
            tracing::info!(job = "1:2:3", "claimed");
            tracing::warn!("two\nlines");
        });
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["message"], &lines[0]["job"]), (&"claimed".into(), &"1:2:3".into()));
        assert_eq!(lines[1]["level"], "WARN");
    }

    #[test]
    fn human_lines_are_coloured_only_on_request() {
        let say = |_: &LogFilter| tracing::info!("Connection established");
        let plain = logged(Format::Human { colours: false }, say);
        assert!(plain.ends_with("Connection established\n") && !plain.contains('\u{1b}'), "{plain:?}");
        assert!(logged(Format::Human { colours: true }, say).contains('\u{1b}'));
    }

    #[test]
    fn files_get_the_same_lines_without_colours() {
        let folder = tempfile::tempdir().unwrap();
        let files = LogFiles::open(&folder.path().join("log"), 14).unwrap();
        let seen = Lines::default();
        let writer = seen.clone();
        let (subscriber, filter) =
            subscriber(Format::Human { colours: true }, move || writer.clone(), Some(files));
        filter.set(&"info".parse().unwrap()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("job", id = "1:2:3").in_scope(|| tracing::info!(parts = 2, "Answered"));
            tracing::debug!("too much");
        });
        let file = std::fs::read_dir(folder.path().join("log")).unwrap().next().unwrap().unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(text.ends_with("Answered parts=2\n") && text.contains("job{id=\"1:2:3\"}"), "{text:?}");
        assert!(!text.contains('\u{1b}') && text.lines().count() == 1, "{text:?}");
        assert!(String::from_utf8_lossy(&seen.0.lock().unwrap()).contains('\u{1b}'));
    }

    #[test]
    fn the_filter_changes_while_the_program_runs() {
        let text = logged(Format::Human { colours: false }, |filter| {
            tracing::debug!("before");
            filter.set(&"debug".parse().unwrap()).unwrap();
            tracing::debug!("after");
        });
        assert!(!text.contains("before") && text.contains("after"), "{text}");
    }
}
