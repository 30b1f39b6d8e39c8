//! `serve`: the server as a program.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context;
use fake_telegram::control::{self, Ended};
use fake_telegram::{FILE_DC, Telegram, key_from_hex, write_session};
use serde::Serialize;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

#[derive(clap::Args)]
pub struct Args {
    /// Where datacentre 2, the account's home, listens.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    listen: SocketAddr,
    /// Where datacentre 4, which keeps files, listens.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    file_listen: SocketAddr,
    /// The address at which clients reach this machine, if it is not the one listened on.
    #[arg(long, value_name = "IP")]
    advertise: Option<IpAddr>,
    /// The key of both datacentres, 512 hexadecimal digits; random ones unless told.
    #[arg(long, value_name = "HEX", value_parser = super::parse_key, conflicts_with = "key_file")]
    key: Option<[u8; 256]>,
    /// A file that holds that key.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Also obey lines of JSON that come in here; then the end of standard input ends nothing.
    #[arg(long, value_name = "ADDR")]
    control: Option<SocketAddr>,
    /// Write a session file of the account for the daemon.
    #[arg(long, value_name = "FILE")]
    session: Option<PathBuf>,
    /// Want a login first; the code is 12345.
    #[arg(long)]
    logged_out: bool,
    /// The account's second password.
    #[arg(long, requires = "logged_out")]
    password: Option<String>,
}

/// The line that says that the server is ready.
#[derive(Serialize)]
struct Ready {
    ready: bool,
    #[serde(flatten)]
    session: fake_telegram::SessionParams,
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<SocketAddr>,
    /// Of the RSA key, in decimal digits; the exponent is 65537.
    rsa_modulus: String,
}

#[tokio::main]
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut builder = Telegram::builder().listen(args.listen, args.file_listen);
    if let Some(address) = args.advertise {
        builder = builder.advertise(address);
    }
    if let Some(key) = given_key(args.key, args.key_file)? {
        builder = builder.keys(key, key);
    }
    if args.logged_out {
        builder = builder.logged_out();
    }
    if let Some(password) = &args.password {
        builder = builder.password(password, "the one on the command line");
    }
    let telegram = builder.start().await.with_context(|| {
        format!("cannot listen on {} and {} (datacentre {FILE_DC})", args.listen, args.file_listen)
    })?;
    if let Some(path) = &args.session {
        write_session(path, &telegram.session())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let control = match args.control {
        Some(address) => {
            let listener = TcpListener::bind(address).await;
            Some(listener.with_context(|| format!("cannot listen on {address} for --control"))?)
        }
        None => None,
    };
    let control_address = control.as_ref().map(TcpListener::local_addr).transpose()?;
    let ready = Ready {
        ready: true,
        session: telegram.session(),
        control: control_address,
        rsa_modulus: fake_telegram::rsa_modulus(),
    };
    println!("{}", serde_json::to_string(&ready)?);

    let keyboard = control::serve(&telegram, BufReader::new(tokio::io::stdin()), tokio::io::stdout());
    match control {
        None => {
            keyboard.await?;
        }
        Some(listener) => tokio::select! {
            result = obey_connections(&telegram, listener) => result?,
            () = until_quit(keyboard) => {}
        },
    }
    Ok(())
}

fn given_key(key: Option<[u8; 256]>, file: Option<PathBuf>) -> anyhow::Result<Option<[u8; 256]>> {
    let Some(path) = file else { return Ok(key) };
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let key = key_from_hex(text.trim());
    Ok(Some(key.with_context(|| format!("{} does not hold 512 hexadecimal digits", path.display()))?))
}

/// Returns if standard input says `quit`; its end alone means nothing to a server in a container.
async fn until_quit(keyboard: impl Future<Output = std::io::Result<Ended>>) {
    match keyboard.await {
        Ok(Ended::Quit) => {}
        Ok(Ended::Input) | Err(_) => std::future::pending().await,
    }
}

/// Obeys whoever connects, until somebody says `quit`.
async fn obey_connections(telegram: &Telegram, listener: TcpListener) -> std::io::Result<()> {
    let (quit, mut quits) = mpsc::channel(1);
    loop {
        let (mut stream, from) = tokio::select! {
            _ = quits.recv() => return Ok(()),
            accepted = listener.accept() => accepted?,
        };
        let (telegram, quit) = (telegram.clone(), quit.clone());
        tokio::spawn(async move {
            let (read, write) = stream.split();
            match control::serve(&telegram, BufReader::new(read), write).await {
                // If the channel is full or gone, the program is about to end already.
                Ok(Ended::Quit) => drop(quit.try_send(())),
                Ok(Ended::Input) => {}
                Err(error) => tracing::warn!(%from, %error, "a control connection broke"),
            }
        });
    }
}
