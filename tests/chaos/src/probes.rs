//! What a hostile file would have the decoder process do, if it took it over. A file that begins
//! with [`PREFIX`] is no recording but the name of such an attempt; `tests/walls.rs` sends them.

use std::env;
use std::ffi::CStr;
use std::fs::{self, File};
use std::hint;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::{self, ExitCode};
use std::thread;
use std::time::Duration;

use stenogram::audio::AudioError;
use stenogram::decoding::{self, Length, Message, Output, Request, Sender};

const PREFIX: &[u8] = b"probe: ";

/// A file of so many bytes gets a second of processor time, so that a test need not wait for long.
const HURRIED: u64 = 1001;

/// The decoder process of this program.
pub fn serve(mut request: Request) -> ExitCode {
    if request.bytes == HURRIED {
        request.allowance.cpu = Duration::from_secs(1);
    }
    decoding::serve(&request, |bytes, request, sender| match bytes.strip_prefix(PREFIX) {
        Some(probe) => attempt(String::from_utf8_lossy(probe).trim(), sender),
        None => decoding::decode(bytes, request, sender),
    })
}

/// Tries what the probe is named after, and reports what came of it as an error of the decoder.
fn attempt(probe: &str, sender: &mut Sender<Output>) -> io::Result<()> {
    let attempts: Vec<(&str, io::Result<()>)> = match probe {
        "socket" => vec![
            ("listen", TcpListener::bind("127.0.0.1:0").map(drop)),
            ("connect", TcpStream::connect("127.0.0.1:1").map(drop)),
            ("datagram", UdpSocket::bind("127.0.0.1:0").map(drop)),
            ("pair", UnixStream::pair().map(drop)),
        ],
        "file" => vec![
            ("read", File::open("/etc/passwd").map(drop)),
            ("list", fs::read_dir("/").map(drop)),
            ("write", File::create("/tmp/stenogram-probe").map(drop)),
            ("remove", fs::remove_file("/tmp/stenogram-probe")),
            ("program", File::open("/proc/self/exe").map(drop)),
        ],
        "gigabyte" => {
            let mut bytes: Vec<u8> = Vec::new();
            vec![("allocate", bytes.try_reserve_exact(1 << 30).map_err(io::Error::other))]
        }
        "process" => vec![
            ("fork", fork()),
            ("thread", thread::Builder::new().spawn(|| ()).map(drop)),
            ("exec", exec(c"/bin/true")),
            ("signal", signal_the_parent()),
        ],
        "environment" => {
            let found = env::vars_os().filter(|(name, _)| name != "LD_LIBRARY_PATH").count();
            vec![("variables", if found == 0 { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) })]
        }
        "loop" => loop {
            hint::spin_loop();
        },
        "sleep" => loop {
            thread::park();
        },
        "hog" => {
            hint::black_box(vec![1_u8; 1 << 30]);
            vec![("hog", Ok(()))]
        }
        "abort" => process::abort(),
        "babble" => return Output.write_all(&[0xff; 100]),
        "flood" => {
            sender.send(&Message::Length(Length { samples: 10, damaged: None }))?;
            return sender.send(&Message::Samples(vec![0.0; 11]));
        }
        "silence" => return Ok(()),
        "pretend" => return sender.send(&Message::Failed(AudioError::Aborted)),
        unknown => vec![(unknown, Ok(()))],
    };
    let say = |(name, result): (&str, io::Result<()>)| match result {
        Ok(()) => format!("{name} done"),
        Err(error) => format!("{name} failed: {error}"),
    };
    let said: Vec<String> = attempts.into_iter().map(say).collect();
    sender.send(&Message::Failed(AudioError::Broken(said.join("; "))))
}

fn fork() -> io::Result<()> {
    // SAFETY: the process has a single thread.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: it ends the new process at once, and nothing of it is used.
        0 => unsafe { libc::_exit(0) },
        _ => Ok(()),
    }
}

/// Returns only if it fails.
fn exec(program: &CStr) -> io::Result<()> {
    let arguments = [program.as_ptr(), std::ptr::null()];
    // SAFETY: both are ended by a null.
    unsafe { libc::execv(program.as_ptr(), arguments.as_ptr()) };
    Err(io::Error::last_os_error())
}

fn signal_the_parent() -> io::Result<()> {
    // SAFETY: signal 0 only asks whether a signal could be sent.
    match unsafe { libc::kill(libc::getppid(), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
