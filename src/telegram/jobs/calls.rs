//! Calls for a job, and what their errors mean for it.

use std::time::Duration;

use grammers_client::tl;
use tokio::time::sleep;

use super::super::connection::error::CallError;
use super::super::connection::link::Link;
use super::super::connection::rpc_error::{Meaning, WaitScope};
use super::super::problems::{FLOOD_WAIT, PEER_INVALID};
use crate::domain::Fault;

/// Pause of a job after a restriction of the account was reported by a request other than a send.
const RESTRICTED_PAUSE: Duration = Duration::from_secs(3600);
/// Pause before a request is sent again that Telegram has called a bad one.
pub(super) const SECOND_TRY: Duration = Duration::from_secs(2);
/// The longest slow mode of a group that is waited out. Where it is longer, answers would be late,
/// pile up, and keep the owner from writing.
const LONGEST_SLOW_MODE: Duration = Duration::from_secs(61);

/// What an error means for the job during which it occurred.
pub(super) fn fault(error: &CallError) -> Fault {
    match error.meaning() {
        // The job waits. After a logout the connection informs the supervisor, which ends the
        // daemon.
        None | Some(Meaning::LoggedOut | Meaning::Deactivated) => Fault::Unavailable(error.to_string()),
        Some(Meaning::Restricted(_)) => Fault::Held { after: RESTRICTED_PAUSE, why: error.to_string() },
        Some(Meaning::MayNotWrite) => {
            Fault::Reject(format!("the account may not write in this chat: {error}"))
        }
        Some(Meaning::MayNotSendFiles) => Fault::NoDocuments(error.to_string()),
        Some(Meaning::Gone) => Fault::Gone(error.to_string()),
        Some(Meaning::InvalidPeer) => Fault::Reject(PEER_INVALID.with(error).to_string()),
        Some(Meaning::PremiumRequired) => {
            Fault::Reject(format!("this chat takes messages of accounts with Telegram Premium only: {error}"))
        }
        Some(Meaning::ServerTrouble) => Fault::retry_in(10, error),
        Some(Meaning::Wait { time, .. }) => Fault::wait(time, FLOOD_WAIT.tag(error)),
        Some(_) => Fault::retry_in(60, error),
    }
}

/// Calls the home datacentre on the way to a reply, and a second time after a bad request.
pub(super) async fn call_to_send<R: tl::RemoteCall>(
    link: &Link,
    request: &R,
) -> Result<R::Return, CallError> {
    let result = link.call_for_job(request).await;
    match &result {
        Err(error) if error.meaning() == Some(Meaning::BadRequest) => {
            sleep(SECOND_TRY).await;
            link.call_for_job(request).await
        }
        _ => result,
    }
}

/// What an error of [`call_to_send`] means for the job: a bad request is final there.
pub(super) fn sending_fault(error: &CallError) -> Fault {
    match error.meaning() {
        Some(Meaning::BadRequest) => Fault::Reject(format!("{error}, twice: the answer cannot be sent")),
        _ => fault(error),
    }
}

/// The refusal to answer in a group whose slow mode is too long. An answer of which a part is sent
/// already is finished all the same, so only a failure of the `first` part is one.
pub(super) fn slow_mode_refusal(error: &CallError, first: bool) -> Option<Fault> {
    match error.meaning() {
        Some(Meaning::Wait { scope: WaitScope::Chat, time }) if first && time > LONGEST_SLOW_MODE => {
            Some(Fault::Reject(format!("the slow mode of this group is too long for answers: {error}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rpc(code: i32, name: &str, value: Option<u32>) -> Fault {
        fault(&CallError::Rpc { code, name: name.into(), value })
    }

    #[test]
    fn a_flood_wait_is_waited_out() {
        let Fault::Wait { after, .. } = rpc(420, "FLOOD_WAIT", Some(77)) else { panic!() };
        assert_eq!(after.as_secs(), 78);
    }

    #[test]
    fn a_long_slow_mode_is_a_refusal() {
        let refusal = |seconds, first| {
            let error = CallError::Rpc { code: 420, name: "SLOWMODE_WAIT".into(), value: Some(seconds) };
            slow_mode_refusal(&error, first)
        };
        assert!(matches!(refusal(61, true), Some(Fault::Reject(_))));
        assert_eq!((refusal(60, true), refusal(61, false)), (None, None));
        assert!(matches!(rpc(420, "SLOWMODE_WAIT", Some(60)), Fault::Wait { .. }));
    }

    #[test]
    fn a_lost_right_ends_the_job_and_a_lost_connection_does_not() {
        assert!(matches!(rpc(403, "CHAT_WRITE_FORBIDDEN", None), Fault::Reject(_)));
        assert!(matches!(rpc(403, "CHAT_SEND_DOCS_FORBIDDEN", None), Fault::NoDocuments(_)));
        assert!(matches!(rpc(400, "MESSAGE_ID_INVALID", None), Fault::Gone(_)));
        assert!(matches!(rpc(400, "USER_IS_BLOCKED", None), Fault::Gone(_)));
        assert!(matches!(rpc(400, "PEER_ID_INVALID", None), Fault::Reject(_)));
        assert!(matches!(rpc(500, "INTERNAL", None), Fault::Retry { .. }));
        assert!(matches!(rpc(401, "SESSION_REVOKED", None), Fault::Unavailable(_)));
        assert!(matches!(fault(&CallError::Lost("x".into())), Fault::Unavailable(_)));
    }
}
