mod support;
use fake_telegram::*;
use support::*;

#[tokio::test]
async fn the_whole_way() {
    let telegram = Telegram::start().await.unwrap();
    let mut owner = Owner::connect(&telegram).await;
    assert_eq!(owner.client.get_me().await.unwrap().id().bare_id_unchecked(), OWNER);
    let bytes: Vec<u8> = (0..1_300_000u32).map(|i| (i * 31 >> 3) as u8).collect();
    let friend = Chat::User(FRIEND);
    let id = telegram.send(friend, Draft::voice(bytes.clone(), 11));
    let message = owner.next_message().await;
    assert_eq!(message.id(), id);
    assert_eq!(owner.download(&message).await, bytes);
    message.reply("hello").await.unwrap();
    let reply = telegram.wait_for_reply(friend, id, DEADLINE).await.unwrap();
    assert_eq!(reply.text, "hello");
}
