//! Files are downloaded, from either datacentre.

use fake_telegram::*;
use grammers_client::media::Media;

use crate::support::*;

const ANNA: Chat = Chat::User(FRIEND);

fn noise(length: u32) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[tokio::test]
async fn a_voice_message_is_downloaded_from_either_datacentre() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    for dc in [2, FILE_DC, 2] {
        let bytes = noise(1_300_000);
        telegram.send(ANNA, Draft::voice(bytes.clone(), 11).in_dc(dc));
        let message = owner.next_message().await;
        let Some(Media::Document(document)) = message.media() else { panic!("no document") };
        assert_eq!(document.size(), Some(bytes.len()));
        assert_eq!(document.mime_type(), Some("audio/ogg"));
        assert_eq!(document.duration(), Some(11.0));
        assert!(owner.download(&message).await == bytes, "datacentre {dc}");
    }
    telegram.look(|ledger| {
        assert_eq!(ledger.count("auth.exportAuthorization"), 1, "once is enough");
        assert_eq!(ledger.count("auth.importAuthorization"), 1);
    });
}

#[tokio::test]
async fn what_is_said_of_a_recording_arrives() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    let drafts = [
        Draft::round(*b"mp4", 7),
        Draft::voice(*b"ogg", 3).view_once(),
        Draft::music(*b"mp3", 200),
        Draft::voice(*b"ogg", 3).claiming_size(1 << 40).forwarded_from(SECOND_FRIEND),
    ];
    telegram.send_all(drafts.map(|draft| (ANNA, draft)), Packing::OneUpdates);
    let mut media = Vec::new();
    for _ in 0..4 {
        let message = owner.next_message().await;
        let Some(Media::Document(document)) = message.media() else { panic!("no document") };
        media.push((document.raw.clone(), message.forward_header().is_some()));
    }
    assert!(media[0].0.round && !media[0].0.voice);
    assert_eq!(media[1].0.ttl_seconds, Some(i32::MAX));
    assert!(media[1].0.voice && !media[2].0.voice);
    assert!(media[3].1 && !media[2].1);
}

#[tokio::test]
async fn an_expired_reference_is_renewed_by_reading_the_message_again() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    let id = telegram.send(ANNA, Draft::voice(*b"OggS", 1));
    let message = owner.next_message().await;
    telegram.expire_file_references();
    let error = owner.client.iter_download(&message.media().unwrap()).next().await.unwrap_err();
    assert!(error.is("FILE_REFERENCE_EXPIRED"), "{error}");
    let again = owner.client.get_messages_by_id(Owner::friend(), &[id]).await.unwrap();
    assert_eq!(owner.download(again[0].as_ref().unwrap()).await, b"OggS");
}

#[tokio::test]
async fn a_file_can_end_early() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    telegram.fault(Fault::on("upload.getFile", Action::TruncateFile(1000)));
    telegram.send(ANNA, Draft::voice(noise(600_000), 1));
    let message = owner.next_message().await;
    assert_eq!(owner.download(&message).await, noise(600_000)[..1000]);
}
