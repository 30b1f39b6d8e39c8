//! Logging in, being thrown out.

use fake_telegram::*;
use grammers_client::SignInError;
use grammers_client::client::LoginToken;
use grammers_session::Session;

use crate::support::*;

async fn ask_for_code(owner: &Owner) -> LoginToken {
    owner.client.request_login_code("+10000000000", "hash").await.unwrap()
}

#[tokio::test]
async fn login_with_a_code() {
    let telegram = Telegram::builder().logged_out().login_code("54321").start().await.unwrap();
    let owner = Owner::connect(&telegram).await;
    assert!(!owner.client.is_authorized().await.unwrap());
    let token = ask_for_code(&owner).await;
    assert!(matches!(owner.client.sign_in(&token, "12345").await, Err(SignInError::InvalidCode)));
    let me = owner.client.sign_in(&token, "54321").await.unwrap();
    assert_eq!(me.id().bare_id_unchecked(), OWNER);
    assert!(owner.client.is_authorized().await.unwrap());
    owner.client.sign_out().await.unwrap();
    assert!(!owner.client.is_authorized().await.unwrap());
}

#[tokio::test]
async fn login_with_a_password_too() {
    let telegram = Telegram::builder().logged_out().password("hunter2", "cat").start().await.unwrap();
    let owner = Owner::connect(&telegram).await;
    let token = ask_for_code(&owner).await;
    let Err(SignInError::PasswordRequired(password)) = owner.client.sign_in(&token, "12345").await else {
        panic!("a password is wanted");
    };
    assert_eq!(password.hint(), Some("cat"));
    assert!(!owner.client.is_authorized().await.unwrap());
    let Err(SignInError::InvalidPassword(password)) = owner.client.check_password(password, "wrong").await
    else {
        panic!("the password is another");
    };
    let me = owner.client.check_password(password, "hunter2").await.unwrap();
    assert_eq!(me.id().bare_id_unchecked(), OWNER);
    assert!(owner.client.is_authorized().await.unwrap());
}

#[tokio::test]
async fn login_moves_to_the_datacentre_of_the_account() {
    let telegram = Telegram::builder().logged_out().home_dc(4).start().await.unwrap();
    let owner = Owner::connect(&telegram).await;
    assert_eq!(owner.session.home_dc_id().unwrap(), 2);
    let token = ask_for_code(&owner).await;
    owner.client.sign_in(&token, "12345").await.unwrap();
    assert_eq!(owner.session.home_dc_id().unwrap(), 4);
    assert_eq!(owner.client.get_me().await.unwrap().id().bare_id_unchecked(), OWNER);
}

#[tokio::test]
async fn an_ended_session_is_told_why() {
    let telegram = Telegram::start().await.unwrap();
    let owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    let reasons = [
        (Revocation::KeyUnregistered, "AUTH_KEY_UNREGISTERED"),
        (Revocation::SessionRevoked, "SESSION_REVOKED"),
        (Revocation::KeyDuplicated, "AUTH_KEY_DUPLICATED"),
        (Revocation::UserDeactivated, "USER_DEACTIVATED"),
    ];
    for (reason, name) in reasons {
        telegram.revoke(reason);
        let error = owner.client.get_me().await.unwrap_err();
        assert!(error.is(name), "{error}");
    }
    telegram.restore();
    owner.client.get_me().await.unwrap();
}

#[tokio::test]
async fn a_forgotten_key_is_a_transport_error() {
    let telegram = Telegram::start().await.unwrap();
    let owner = Owner::connect(&telegram).await;
    owner.client.get_me().await.unwrap();
    telegram.forget_key(2);
    let error = owner.client.get_me().await.unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
}
