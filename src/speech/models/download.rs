//! Downloads a model. An interrupted download is resumed, the SHA-256 is checked, and the file gets
//! its name only when it is complete.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tracing::{info, warn};
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

use super::catalogue::ModelSpec;
use super::checksum::{self, Progress, Verdict};
use super::hex::hex;
use crate::runtime::atomic_file;

/// Where a model is downloaded from, and how often that is tried.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// The URL of a folder that has the models instead, see [`ModelSpec::url`].
    pub mirror: Option<String>,
    /// Give up after this many failed attempts in a row without a new byte.
    pub attempts: u32,
    /// The pause after the first failure. It doubles with every further one, up to a minute.
    pub backoff: Duration,
    /// How long the server may send nothing before the connection counts as broken.
    pub silence: Duration,
}

impl Default for PullOptions {
    fn default() -> Self {
        Self { mirror: None, attempts: 8, backoff: Duration::from_secs(1), silence: Duration::from_secs(30) }
    }
}

/// Why a model was not downloaded.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error("{url}: {why}")]
    Refused { url: String, why: String },
    #[error("{url}: given up after {attempts} attempts without progress, the last one failed: {why}")]
    GivenUp { url: String, attempts: u32, why: String },
    #[error(
        "what {url} gives has the SHA-256 {found} and not {expected}; \
         the mirror has another file under this name, or something on the way changed it"
    )]
    Hash { url: String, found: String, expected: String },
    #[error("{} is being fetched by another process", .0.display())]
    Busy(PathBuf),
    #[error(
        "cannot write {}: {source}; MODEL_DIR must name a folder that stenogram may write to, with room for the model",
        path.display()
    )]
    Disk { path: PathBuf, source: io::Error },
    #[error("broken off; what is there already will be used by the next attempt")]
    Cancelled,
}

impl PullError {
    fn disk(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            // Only [`checksum::hash_into`] returns this, if `progress` cancels it.
            io::ErrorKind::Interrupted => Self::Cancelled,
            _ => Self::Disk { path: path.to_owned(), source },
        }
    }
}

/// Why one attempt failed.
enum AttemptError {
    /// Worth another attempt.
    Transient(String),
    /// Another attempt would fail too.
    Permanent(PullError),
}

impl From<PullError> for AttemptError {
    fn from(error: PullError) -> Self {
        Self::Permanent(error)
    }
}

const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// Downloads `spec` into `directory` and returns the file's path. If the right file is already there,
/// nothing is done; a wrong one is replaced when the right one is complete.
///
/// Blocks until it is done, so run it on a blocking thread. `progress` is called at least once per
/// 64 KiB and after each failure. So it cancels at once while bytes arrive, and else within a minute.
pub fn pull(
    spec: &ModelSpec,
    directory: &Path,
    options: &PullOptions,
    progress: &mut Progress,
) -> Result<PathBuf, PullError> {
    let target = spec.path(directory);
    let disk = |source| PullError::disk(&target, source);
    fs::create_dir_all(directory).map_err(|source| PullError::disk(directory, source))?;
    if target.exists() && checksum::verify_as(spec, &target, progress).map_err(disk)? == Verdict::Ok {
        return Ok(target);
    }

    let mut part = PartialFile::open(&target, spec, progress)?;
    let fetcher = Fetcher::new(spec, options);
    let mut resumed = part.length > 0;
    loop {
        fetcher.fetch(&mut part, options, progress)?;
        let found = part.digest();
        if found == spec.sha256 {
            part.publish(&target)?;
            info!(model = spec.name, path = %target.display(), "model fetched");
            return Ok(target);
        }
        part.clear()?;
        if !resumed {
            let (found, expected) = (hex(&found), hex(&spec.sha256));
            return Err(PullError::Hash { url: fetcher.url, found, expected });
        }
        // The partial file may have been of another version, or damaged by a power cut.
        warn!(model = spec.name, "the resumed download has the wrong SHA-256, downloading all of it again");
        resumed = false;
    }
}

/// The partial file beside the target, locked against other processes while it is open.
struct PartialFile {
    file: File,
    path: PathBuf,
    length: u64,
    /// Has hashed all `length` bytes.
    hasher: Sha256,
    /// The server's ETag of this version of the file, if it is a strong one.
    etag: Option<String>,
}

impl PartialFile {
    fn open(target: &Path, spec: &ModelSpec, progress: &mut Progress) -> Result<Self, PullError> {
        let path = atomic_file::with_suffix(target, ".part");
        let file = lock(&path)?;
        let mut part = Self { file, path, length: 0, hasher: Sha256::new(), etag: None };
        let hashed = checksum::hash_into(&mut part.hasher, &mut part.file, progress);
        part.length = hashed.map_err(|source| part.disk(source))?;
        if part.length > spec.bytes {
            part.clear()?;
        }
        Ok(part)
    }

    fn disk(&self, source: io::Error) -> PullError {
        PullError::disk(&self.path, source)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        self.file.write_all(bytes).map_err(|source| self.disk(source))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn clear(&mut self) -> Result<(), PullError> {
        let cleared = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        cleared.map_err(|source| self.disk(source))?;
        self.hasher.reset();
        self.length = 0;
        self.etag = None;
        Ok(())
    }

    fn digest(&self) -> [u8; 32] {
        self.hasher.clone().finalize().into()
    }

    /// Gives the file its final name. The bytes, then the name, are synced to disk.
    fn publish(self, target: &Path) -> Result<(), PullError> {
        atomic_file::publish(&self.file, &self.path, target).map_err(|source| self.disk(source))
    }
}

fn lock(path: &Path) -> Result<File, PullError> {
    let disk = |source| PullError::disk(path, source);
    loop {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path).map_err(disk)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(PullError::Busy(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(disk(error)),
        }
        // Between our opening and locking the file, another process may have completed and renamed
        // it.
        let opened = file.metadata().map_err(disk)?;
        if fs::metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino())) {
            return Ok(file);
        }
    }
}

/// Downloads one file from one server.
struct Fetcher {
    agent: Agent,
    url: String,
    /// The size that the file must have.
    bytes: u64,
}

impl Fetcher {
    fn new(spec: &ModelSpec, options: &PullOptions) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("stenogram/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(options.silence))
            .timeout_recv_response(Some(options.silence))
            .timeout_per_read(Some(options.silence))
            .build()
            .new_agent();
        Self { agent, url: spec.url(options.mirror.as_deref()), bytes: spec.bytes }
    }

    /// Makes attempts until the file is complete.
    fn fetch(
        &self,
        part: &mut PartialFile,
        options: &PullOptions,
        progress: &mut Progress,
    ) -> Result<(), PullError> {
        let (mut failures, mut furthest) = (0, part.length);
        loop {
            let why = match self.attempt(part, progress) {
                Ok(()) => return Ok(()),
                Err(AttemptError::Permanent(error)) => return Err(error),
                Err(AttemptError::Transient(why)) => why,
            };
            if part.length > furthest {
                (failures, furthest) = (0, part.length);
            }
            failures += 1;
            if failures >= options.attempts {
                return Err(PullError::GivenUp { url: self.url.clone(), attempts: failures, why });
            }
            let wait = options.backoff.saturating_mul(2u32.saturating_pow(failures - 1)).min(MAX_BACKOFF);
            warn!(url = self.url, at = part.length, "download broken off, next try in {wait:?}: {why}");
            std::thread::sleep(wait);
            if progress(part.length, self.bytes).is_break() {
                return Err(PullError::Cancelled);
            }
        }
    }

    /// Makes one request, and appends the bytes of the response.
    fn attempt(&self, part: &mut PartialFile, progress: &mut Progress) -> Result<(), AttemptError> {
        if self.bytes == part.length {
            return Ok(());
        }
        // In a compressed response, a range would count compressed bytes.
        let mut request = self.agent.get(&self.url).header("accept-encoding", "identity");
        if part.length > 0 {
            request = request.header("range", format!("bytes={}-", part.length));
            if let Some(etag) = &part.etag {
                request = request.header("if-range", etag);
            }
        }
        let response = request.call().map_err(|error| self.failure(error))?;
        self.accept(&response, part)?;
        self.receive(response, part, progress)
    }

    /// Checks the head of the response, and clears the partial file if the body does not continue it.
    fn accept(&self, response: &Response<Body>, part: &mut PartialFile) -> Result<(), AttemptError> {
        let (status, headers) = (response.status(), response.headers());
        match status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {}
            StatusCode::RANGE_NOT_SATISFIABLE => {
                part.clear()?;
                return Err(AttemptError::Transient(
                    "the server's file is no longer than our part of it".into(),
                ));
            }
            StatusCode::NOT_FOUND => {
                return Err(self.refused("there is no such file (404); check MODEL_URL".into()));
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                return Err(AttemptError::Transient(format!("the server answered {status}")));
            }
            _ => {
                let why = format!("the server answered {status}");
                return Err(if status.is_server_error() {
                    AttemptError::Transient(why)
                } else {
                    self.refused(why)
                });
            }
        }
        if text(headers, CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/html")) {
            let why = "a web page came instead of a model; is a login page in between, or MODEL_URL wrong?";
            return Err(self.refused(why.into()));
        }
        // If the server sends the whole file although we asked for a range, it cannot resume, or has
        // a newer file.
        let (start, total) = match status {
            StatusCode::OK => (0, text(headers, CONTENT_LENGTH).and_then(|length| length.parse().ok())),
            _ => text(headers, CONTENT_RANGE).and_then(content_range).unwrap_or((u64::MAX, None)),
        };
        let expected = self.bytes;
        if let Some(total) = total.filter(|&total| total != expected) {
            let why = format!("the file there has {total} bytes and not {expected}; it is another file");
            return Err(self.refused(why));
        }
        let etag = strong_etag(headers);
        let other_file = part.etag.is_some() && etag.is_some() && part.etag != etag;
        if start != part.length || (start > 0 && other_file) {
            part.clear()?;
            if start > 0 {
                return Err(AttemptError::Transient("the server gave another range or another file".into()));
            }
        }
        part.etag = etag;
        Ok(())
    }

    fn receive(
        &self,
        response: Response<Body>,
        part: &mut PartialFile,
        progress: &mut Progress,
    ) -> Result<(), AttemptError> {
        let expected = self.bytes;
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(AttemptError::Transient(error.to_string())),
            };
            if part.length + n as u64 > expected {
                part.clear()?;
                return Err(self.refused(format!("it gives more than the {expected} bytes the file has")));
            }
            part.append(&buffer[..n])?;
            if progress(part.length, expected).is_break() {
                return Err(PullError::Cancelled.into());
            }
        }
        if part.length < expected {
            return Err(AttemptError::Transient(format!(
                "it ended after {} of {expected} bytes",
                part.length
            )));
        }
        Ok(())
    }

    fn refused(&self, why: String) -> AttemptError {
        AttemptError::Permanent(PullError::Refused { url: self.url.clone(), why })
    }

    /// The error if there was no response.
    fn failure(&self, error: ureq::Error) -> AttemptError {
        use ureq::Error::{ConnectionFailed, HostNotFound, Io, Protocol, Timeout};
        match error {
            Io(_) | Timeout(_) | HostNotFound | ConnectionFailed | Protocol(_) => {
                AttemptError::Transient(error.to_string())
            }
            _ => self.refused(error.to_string()),
        }
    }
}

fn text(headers: &HeaderMap, name: ureq::http::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The entity tag, unless it is a weak one, which different files may share.
fn strong_etag(headers: &HeaderMap) -> Option<String> {
    text(headers, ETAG).filter(|etag| etag.starts_with('"')).map(str::to_owned)
}

/// Parses `bytes 200-999/1000`: the first byte and the size of the file, unless that is `*`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}
