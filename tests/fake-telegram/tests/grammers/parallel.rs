//! An account that is used over two connections in parallel.

use fake_telegram::*;
use grammers_client::tl;

use crate::support::*;

/// Two clients with one session. The first has made requests already.
async fn two(telegram: &Telegram) -> (Owner, Owner) {
    let first = Owner::connect(telegram).await;
    let second = Owner::reconnect(first.session.clone()).await;
    (first, second)
}

#[tokio::test]
async fn parallel_use_ends_the_session() {
    let telegram = Telegram::start().await.unwrap();
    let (first, second) = two(&telegram).await;
    second.client.get_me().await.unwrap();
    let error = first.client.get_me().await.unwrap_err();
    assert!(error.is("AUTH_KEY_DUPLICATED"), "{error}");
    for owner in [&first, &second] {
        let error = owner.client.get_me().await.unwrap_err();
        assert!(error.is("AUTH_KEY_UNREGISTERED"), "{error}");
    }
}

#[tokio::test]
async fn a_connection_in_place_of_another_that_is_silent_is_no_parallel_use() {
    let telegram = Telegram::start().await.unwrap();
    let (_first, second) = two(&telegram).await;
    for _ in 0..3 {
        second.client.get_me().await.unwrap();
    }
    telegram.look(|ledger| assert!(ledger.connections() >= 2));
}

#[tokio::test]
async fn parallel_use_can_be_allowed() {
    let telegram = Telegram::start().await.unwrap();
    telegram.configure(|settings| settings.parallel_use_refused = false);
    let (first, second) = two(&telegram).await;
    for _ in 0..3 {
        first.client.get_me().await.unwrap();
        second.client.get_me().await.unwrap();
    }
}

#[tokio::test]
async fn the_configuration_names_addresses_for_files_when_told() {
    let telegram = Telegram::start().await.unwrap();
    let owner = Owner::connect(&telegram).await;
    let media = async || {
        let request = tl::functions::help::GetConfig {};
        let tl::enums::Config::Config(config) = owner.client.invoke(&request).await.unwrap();
        let options = config.dc_options.into_iter().map(|tl::enums::DcOption::Option(option)| option);
        options.filter(|option| option.media_only).map(|option| option.id).collect::<Vec<_>>()
    };
    assert!(media().await.is_empty());
    telegram.configure(|settings| settings.media_addresses = true);
    assert_eq!(media().await, [2, FILE_DC]);
}
