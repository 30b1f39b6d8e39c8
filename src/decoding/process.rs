//! The daemon's side of a decoder process: feeds it, reads what it writes, kills it, and finds out
//! what it died of.

use std::io::{self, Read as _, Write as _};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionbio;
use rustix::process::Signal;

use super::messages::{HEAD, MAX_CONTENT, Message, harmless};
use super::{Allowance, Length, Request, Walls};
use crate::audio::AudioError;

/// How often we look whether decoding is to be aborted.
const TICK: Duration = Duration::from_millis(20);
/// Bytes that are written or read at a time: what fits into a pipe.
const PIPE: usize = 64 << 10;
/// How much is read of what the process wrote to its standard error.
const MAX_ERROR_OUTPUT: u64 = 4096;

/// The signals that a program brings upon itself. All others come from outside.
const OF_ITS_OWN: [Signal; 7] =
    [Signal::ABORT, Signal::SEGV, Signal::BUS, Signal::ILL, Signal::FPE, Signal::TRAP, Signal::SYS];

/// What no decoder writes: a file has taken the process over.
const NONSENSE: &str = "it wrote what no decoder writes";

/// A process that decodes one recording. Dropping it kills the process.
///
/// An iterator over mono PCM at [`crate::audio::SAMPLE_RATE`]. The first error ends it.
pub struct DecoderProcess<'a> {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// What was read and not yet used.
    unread: Vec<u8>,
    walls: Option<Walls>,
    length: Length,
    /// Samples that may still come.
    left: u64,
    ended: bool,
    allowance: Allowance,
    /// How long we have waited for it since it began to decode.
    waited: Duration,
    abort: &'a AtomicBool,
}

impl<'a> DecoderProcess<'a> {
    pub(super) fn new(mut child: Child, request: &Request, abort: &'a AtomicBool) -> io::Result<Self> {
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let process = Self {
            child,
            stdin: Some(stdin),
            stdout,
            stderr,
            unread: Vec::new(),
            walls: None,
            length: Length { samples: 0, damaged: None },
            left: 0,
            ended: false,
            allowance: request.allowance.clone(),
            waited: Duration::ZERO,
            abort,
        };
        // From here on the process is killed if this fails.
        for pipe in
            [process.stdin.as_ref().map(AsFd::as_fd), Some(process.stderr.as_fd())].into_iter().flatten()
        {
            ioctl_fionbio(pipe, true)?;
        }
        Ok(process)
    }

    /// The length of the recording.
    pub fn length(&self) -> &Length {
        &self.length
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Hands over the file. What the process does not take, it does not want.
    pub(super) fn feed(&mut self, bytes: Vec<u8>) -> Result<(), AudioError> {
        let Some(mut stdin) = self.stdin.take() else { return Ok(()) };
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match stdin.write(&rest[..rest.len().min(PIPE)]) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(stdin.as_fd(), PollFlags::OUT, &self.allowance, &mut self.waited, self.abort)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Waits until the process knows the length of the recording.
    pub(super) fn measure(&mut self) -> Result<(), AudioError> {
        self.walls()?;
        match self.receive()? {
            Message::Length(length) => {
                self.left = length.samples;
                self.length = length;
                self.waited = Duration::ZERO;
                Ok(())
            }
            Message::Failed(error) => Err(self.failed(error)),
            _ => Err(AudioError::Crashed(NONSENSE.to_owned())),
        }
    }

    /// The walls around it.
    pub(super) fn walls(&mut self) -> Result<Walls, AudioError> {
        match self.receive()? {
            Message::Walls(walls) => {
                self.walls = Some(walls.clone());
                Ok(walls)
            }
            _ => Err(AudioError::Crashed(NONSENSE.to_owned())),
        }
    }

    /// The samples of the next message; `None` at the end.
    fn samples(&mut self) -> Result<Option<Vec<f32>>, AudioError> {
        match self.receive()? {
            Message::Samples(samples) => match self.left.checked_sub(samples.len() as u64) {
                Some(left) => {
                    self.left = left;
                    Ok(Some(samples))
                }
                None => Err(AudioError::Crashed(NONSENSE.to_owned())),
            },
            Message::End => Ok(None),
            Message::Failed(error) => Err(self.failed(error)),
            _ => Err(AudioError::Crashed(NONSENSE.to_owned())),
        }
    }

    /// An error that the process reports. That it was aborted, was not started or was killed, it
    /// cannot know.
    fn failed(&self, error: AudioError) -> AudioError {
        match error {
            AudioError::Aborted | AudioError::NotStarted(_) | AudioError::Killed(_) => {
                AudioError::Crashed(NONSENSE.to_owned())
            }
            error => error,
        }
    }

    /// The next message of the process.
    fn receive(&mut self) -> Result<Message, AudioError> {
        let nonsense = || AudioError::Crashed(NONSENSE.to_owned());
        loop {
            if let Some((&[tag, a, b, c, d], rest)) = self.unread.split_first_chunk::<HEAD>() {
                let size = u32::from_le_bytes([a, b, c, d]) as usize;
                if size > MAX_CONTENT {
                    return Err(nonsense());
                }
                if let Some(content) = rest.get(..size) {
                    let message = Message::parse(tag, content).ok_or_else(nonsense)?;
                    self.unread.drain(..HEAD + size);
                    return Ok(message);
                }
            }
            wait(self.stdout.as_fd(), PollFlags::IN, &self.allowance, &mut self.waited, self.abort)?;
            let before = self.unread.len();
            self.unread.resize(before + PIPE, 0);
            let read = self.stdout.read(&mut self.unread[before..]);
            self.unread.truncate(before + read.as_ref().map_or(0, |read| *read));
            match read {
                Ok(0) => return Err(self.died()),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(self.died()),
                _ => (),
            }
        }
    }

    /// Why the process ended before it said so.
    fn died(&mut self) -> AudioError {
        // It may have closed its output and still run. A process that is ending keeps its status.
        let _ = self.child.kill();
        let status = self.child.wait();
        let mut output = Vec::new();
        let _ = (&mut self.stderr).take(MAX_ERROR_OUTPUT).read_to_end(&mut output);
        let output = harmless(String::from_utf8_lossy(&output).trim());
        let Ok(status) = status else { return AudioError::Crashed("its process has vanished".to_owned()) };
        if self.walls.is_none() {
            return AudioError::NotStarted(format!("{status} {output}").trim_end().to_owned());
        }
        cause_of_death(status, &output, &self.allowance)
    }
}

/// What a process died of after its walls stood.
fn cause_of_death(status: ExitStatus, output: &str, allowance: &Allowance) -> AudioError {
    // What Rust says before it aborts.
    if output.contains("memory allocation of") {
        return AudioError::TooMuchMemory { limit: allowance.memory };
    }
    match status.signal() {
        Some(signal) if signal == Signal::XCPU.as_raw() => AudioError::TooSlow { limit: allowance.cpu },
        Some(signal) if !OF_ITS_OWN.iter().any(|own| own.as_raw() == signal) => AudioError::Killed(signal),
        _ => AudioError::Crashed(format!("{status} {output}").trim_end().to_owned()),
    }
}

/// Waits until a pipe of the process can be used or is closed.
fn wait(
    pipe: BorrowedFd<'_>,
    what: PollFlags,
    allowance: &Allowance,
    waited: &mut Duration,
    abort: &AtomicBool,
) -> Result<(), AudioError> {
    loop {
        if abort.load(Ordering::Relaxed) {
            return Err(AudioError::Aborted);
        }
        let Some(left) = allowance.wall.checked_sub(*waited).filter(|left| !left.is_zero()) else {
            return Err(AudioError::TooSlow { limit: allowance.wall });
        };
        let started = Instant::now();
        let timeout = Timespec::try_from(left.min(TICK)).ok();
        let ready = poll(&mut [PollFd::from_borrowed_fd(pipe, what)], timeout.as_ref());
        *waited += started.elapsed();
        match ready {
            Ok(0) | Err(rustix::io::Errno::INTR) => (),
            Ok(_) => return Ok(()),
            Err(error) => return Err(AudioError::Crashed(format!("its pipe cannot be read: {error}"))),
        }
    }
}

impl Iterator for DecoderProcess<'_> {
    type Item = Result<Vec<f32>, AudioError>;

    fn next(&mut self) -> Option<Self::Item> {
        if mem::replace(&mut self.ended, true) {
            return None;
        }
        let samples = self.samples().transpose();
        self.ended = !matches!(samples, Some(Ok(_)));
        samples
    }
}

impl Drop for DecoderProcess<'_> {
    fn drop(&mut self) {
        // After its end both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_the_files_doing_or_somebody_elses() {
        let allowance =
            Allowance { cpu: Duration::from_secs(7), wall: Duration::from_secs(9), memory: 5 << 20 };
        let cause = |status, output| cause_of_death(ExitStatus::from_raw(status), output, &allowance);
        let [xcpu, abort, segv, kill, term] = [24, 6, 11, 9, 15];
        assert_eq!(cause(xcpu, ""), AudioError::TooSlow { limit: allowance.cpu });
        let memory = AudioError::TooMuchMemory { limit: 5 << 20 };
        assert_eq!(cause(abort, "memory allocation of 7 bytes failed"), memory);
        assert_eq!(memory.to_string(), "decoding needs more than the limit of 5 MB of memory");
        assert!(
            matches!(cause(abort, "an assertion"), AudioError::Crashed(why) if why.contains("an assertion"))
        );
        assert!(matches!(cause(segv, ""), AudioError::Crashed(_)));
        assert!(matches!(cause(0, ""), AudioError::Crashed(_)), "it said nothing");
        assert_eq!([cause(kill, ""), cause(term, "")], [kill, term].map(AudioError::Killed));
    }
}
