//! A client that says what each test wants said.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::DEADLINE;

/// An answer; header names in lower case.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let header = self.headers.iter().find(|(known, _)| known == name);
        header.map_or("", |(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends these bytes and reads until the other side has closed.
pub async fn send(at: SocketAddr, request: &[u8]) -> std::io::Result<Answer> {
    let talk = async {
        let mut stream = TcpStream::connect(at).await?;
        // It may have been refused before all of it was sent.
        let _ = stream.write_all(request).await;
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes).await;
        if bytes.is_empty() {
            read?;
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(parse(&String::from_utf8(bytes).expect("UTF-8")))
    };
    tokio::time::timeout(DEADLINE, talk).await.expect("an answer in time")
}

fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let headers = lines.map(|line| line.split_once(": ").expect("a header"));
    Answer {
        status: status.parse().expect("a number"),
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
        body: body.to_owned(),
    }
}

/// GET with these further header lines.
pub async fn get_with(at: SocketAddr, path: &str, headers: &[&str]) -> std::io::Result<Answer> {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    send(at, format!("GET {path} HTTP/1.1\r\n{headers}\r\n").as_bytes()).await
}

pub async fn get(at: SocketAddr, path: &str) -> Answer {
    get_with(at, path, &[&format!("Host: {at}")]).await.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Asks again and again until the answer is as `holds` wants it.
pub async fn get_until(at: SocketAddr, path: &str, holds: impl Fn(&Answer) -> bool) -> Answer {
    let start = Instant::now();
    loop {
        let answer = get_with(at, path, &[&format!("Host: {at}")]).await;
        match answer {
            Ok(answer) if holds(&answer) => return answer,
            answer => assert!(start.elapsed() < DEADLINE, "{path} is still {answer:?}"),
        }
        // Between two looks at another process, which tells nobody when there is something new to see.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// An address on loopback whose port is free now.
pub fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}
