//! The decoder process itself, behind its walls.

use std::ffi::OsString;
use std::io::{self, Read as _, Write};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use super::{Allowance, COMMAND, Length, Message, Sender, walls};
use crate::audio::{AudioError, Decoder, Limits};

/// Nobody inside the process asks it to end: it is killed.
static NEVER: AtomicBool = AtomicBool::new(false);

/// What a decoder process has to do. It is the argument of the process, so that the walls can stand
/// before anything is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Size of the file, in bytes.
    pub bytes: u64,
    pub limits: Limits,
    pub allowance: Allowance,
    /// A recording of at most so many samples is kept while its length is measured, and so is
    /// decoded only once.
    pub keep: u64,
}

impl Request {
    /// The request in the arguments of this process, if it is to be a decoder process.
    pub fn from_arguments(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        arguments.nth(1).filter(|command| command == COMMAND)?;
        serde_json::from_str(arguments.next()?.to_str()?).ok()
    }
}

/// Raises the walls, reads the file, and has `work` decode it ([`decode`], except in tests).
pub fn serve<F>(request: &Request, work: F) -> ExitCode
where
    F: FnOnce(&[u8], &Request, &mut Sender<Output>) -> io::Result<()>,
{
    let mut sender = Sender(Output);
    let served = sender.send(&Message::Walls(walls::raise(&request.allowance))).and_then(|()| {
        let mut bytes = Vec::with_capacity(usize::try_from(request.bytes).unwrap_or(0));
        io::stdin().lock().take(request.bytes).read_to_end(&mut bytes)?;
        work(&bytes, request, &mut sender)
    });
    // Where it cannot write, nobody listens any more.
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Decodes the file and sends its length, its samples, and the end.
pub fn decode<W: Write>(bytes: &[u8], request: &Request, sender: &mut Sender<W>) -> io::Result<()> {
    let result = measure(bytes, request).map(|(length, samples)| {
        sender.send(&Message::Length(length))?;
        match samples {
            Some(samples) => sender.send(&Message::Samples(samples)),
            None => send_all(bytes, request, sender),
        }
    });
    match result {
        Ok(sent) => sent?,
        Err(error) => return sender.send(&Message::Failed(error)),
    }
    sender.send(&Message::End)
}

/// The length of the recording, and its samples if they are few enough to be kept.
fn measure(bytes: &[u8], request: &Request) -> Result<(Length, Option<Vec<f32>>), AudioError> {
    let mut decoder = Decoder::new(bytes, &request.limits, &NEVER)?;
    let (mut samples, mut kept) = (0, Some(Vec::new()));
    for block in &mut decoder {
        let block = block?;
        samples += block.len() as u64;
        kept = kept.filter(|_| samples <= request.keep);
        if let Some(kept) = &mut kept {
            kept.extend(block);
        }
    }
    Ok((Length { samples, damaged: decoder.damaged().map(str::to_owned) }, kept))
}

fn send_all<W: Write>(bytes: &[u8], request: &Request, sender: &mut Sender<W>) -> io::Result<()> {
    let blocks = match Decoder::new(bytes, &request.limits, &NEVER) {
        Ok(decoder) => decoder,
        Err(error) => return sender.send(&Message::Failed(error)),
    };
    for block in blocks {
        match block {
            Ok(block) => sender.send(&Message::Samples(block))?,
            Err(error) => return sender.send(&Message::Failed(error)),
        }
    }
    Ok(())
}

/// The standard output without a buffer.
pub struct Output;

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::write(rustix::stdio::stdout(), bytes))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
