//! Garbage ends the connection it came over, and nothing else.

use std::time::Duration;

use fake_telegram::{Draft, SAVED_MESSAGES, Telegram};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(30);

/// One packet of the "full" transport, number 0.
fn packet(payload: &[u8]) -> Vec<u8> {
    let mut packet = (payload.len() as u32 + 12).to_le_bytes().to_vec();
    packet.extend([0; 4]);
    packet.extend(payload);
    let checksum = crc32fast::hash(&packet);
    packet.extend(checksum.to_le_bytes());
    packet
}

#[tokio::test]
async fn garbage_ends_its_connection_only() {
    let telegram = Telegram::start().await.unwrap();
    let (address, _) = telegram.datacentre(2).unwrap();
    let unknown_key = (-404i32).to_le_bytes().to_vec();
    let cases: [(Vec<u8>, Vec<u8>); 7] = [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), Vec::new()),
        (vec![0xff; 100], Vec::new()),
        (vec![0; 100], Vec::new()),
        (packet(b""), Vec::new()),
        (packet(&[7; 23]), Vec::new()),
        // A key exchange, or any other key: this server exchanges none.
        (packet(&[0; 40]), unknown_key.clone()),
        (packet(&[7; 4096]), unknown_key),
    ];
    for (garbage, expected) in cases {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&garbage).await.unwrap();
        let mut answer = Vec::new();
        let end = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap();
        // A reset is an end too.
        assert!(end.is_err() || answer == expected, "{garbage:?} gave {answer:?}");
    }
    telegram.wait_until(DEADLINE, |ledger| ledger.connections() == 0).await.unwrap();
    assert_eq!(telegram.send(SAVED_MESSAGES, Draft::text("still here")), 1);
}
