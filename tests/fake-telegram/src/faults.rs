//! What goes wrong, as data.

use std::time::Duration;

use serde::Deserialize;

/// The methods of a key exchange.
pub(crate) const KEY_EXCHANGE: [&str; 3] = ["req_pq_multi", "req_DH_params", "set_client_DH_params"];

/// A rule: this method, from that occurrence on, so many times, goes wrong in that way.
///
/// `Fault::on("upload.getFile", Action::error(500, "INTERNAL")).after(1).once()`
#[derive(Clone, Debug, Deserialize)]
pub struct Fault {
    /// The method's name in the schema, or `*` for every one but those of a key exchange.
    pub method: String,
    /// In this datacentre only.
    #[serde(default)]
    pub dc: Option<i32>,
    /// At the datacentres' addresses for files only.
    #[serde(default)]
    pub media_only: bool,
    /// So many requests are served well first.
    #[serde(default)]
    pub after: u32,
    /// So many requests go wrong; `None`: all.
    #[serde(default)]
    pub times: Option<u32>,
    /// Only each request of this number goes wrong: with 3 the third, the sixth, and so on.
    #[serde(default)]
    pub every: Option<u32>,
    pub action: Action,
    /// How many requests `every` has counted.
    #[serde(skip)]
    seen: u32,
}

/// How a request goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The connection is cut before the request is executed.
    DropBefore,
    /// The request is executed, then the connection is cut: the answer is lost.
    DropAfter,
    /// The request is neither executed nor answered.
    Ignore,
    /// The request is executed, but never answered.
    LoseAnswer,
    /// The answer is an error, and nothing is executed.
    Error { code: i32, text: String },
    /// The request is executed at once and answered only after so many milliseconds.
    DelayMs(u64),
    /// A file ends after this many bytes, whatever was claimed.
    TruncateFile(usize),
    /// Too much was missed to be told: differenceTooLong or channelDifferenceTooLong.
    TooLong,
    /// The account's difference is empty, whatever was missed.
    Hide,
    /// One bit of the answer is wrong; in a key exchange only, as are the two below.
    Corrupt,
    /// The exchange has failed, for reasons that no client is told.
    Refuse,
    /// There is such a key already: dh_gen_retry.
    Again,
}

impl Action {
    pub fn error(code: i32, text: &str) -> Self {
        Self::Error { code, text: text.to_owned() }
    }

    /// The error that asks the client to come back after `seconds`.
    pub fn flood_wait(seconds: u32) -> Self {
        Self::error(420, &format!("FLOOD_WAIT_{seconds}"))
    }

    pub fn delay(time: Duration) -> Self {
        Self::DelayMs(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Fault {
    /// Every request of `method` goes wrong.
    pub fn on(method: &str, action: Action) -> Self {
        Self {
            method: method.to_owned(),
            dc: None,
            media_only: false,
            after: 0,
            times: None,
            every: None,
            seen: 0,
            action,
        }
    }

    pub fn once(self) -> Self {
        self.times(1)
    }

    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// The first `served` requests go well.
    pub fn after(mut self, served: u32) -> Self {
        self.after = served;
        self
    }

    pub fn every(mut self, number: u32) -> Self {
        self.every = Some(number);
        self
    }

    pub fn in_dc(mut self, dc: i32) -> Self {
        self.dc = Some(dc);
        self
    }

    /// At addresses for files only.
    pub fn at_media(mut self) -> Self {
        self.media_only = true;
        self
    }

    /// Whether the rule speaks of this request; counts it if so.
    fn strikes(&mut self, method: &str, dc: i32, media_only: bool) -> bool {
        let is_meant =
            if self.method == "*" { !KEY_EXCHANGE.contains(&method) } else { self.method == method };
        if !is_meant || self.dc.is_some_and(|only| only != dc) || (self.media_only && !media_only) {
            return false;
        }
        if self.after > 0 {
            self.after -= 1;
            return false;
        }
        if let Some(number) = self.every {
            self.seen += 1;
            if !self.seen.is_multiple_of(number) {
                return false;
            }
        }
        match &mut self.times {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

/// The action of the first rule that speaks of a request.
pub(crate) fn strike(faults: &mut [Fault], method: &str, dc: i32, media_only: bool) -> Option<Action> {
    let mut strikes = |fault: &mut Fault| fault.strikes(method, dc, media_only).then(|| fault.action.clone());
    faults.iter_mut().find_map(&mut strikes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_count() {
        let mut faults = [
            Fault::on("upload.getFile", Action::Ignore).after(1).times(2).in_dc(4),
            Fault::on("*", Action::DropAfter).once(),
        ];
        let mut strike = |method, dc| strike(&mut faults, method, dc, false);
        assert_eq!(strike("upload.getFile", 4), Some(Action::DropAfter));
        assert_eq!(strike("upload.getFile", 2), None);
        assert_eq!(strike("upload.getFile", 4), Some(Action::Ignore));
        assert_eq!(strike("upload.getFile", 4), Some(Action::Ignore));
        assert_eq!(strike("upload.getFile", 4), None);
    }

    #[test]
    fn every_third_request_goes_wrong() {
        let mut faults = [Fault::on("ping", Action::Ignore).every(3)];
        let struck: Vec<_> = (0..7).map(|_| strike(&mut faults, "ping", 2, false).is_some()).collect();
        assert_eq!(struck, [false, false, true, false, false, true, false]);
    }

    #[test]
    fn rules_are_read_from_json() {
        let json = r#"{"method":"messages.sendMessage","times":1,"action":{"error":{"code":420,"text":"FLOOD_WAIT_3"}}}"#;
        let fault: Fault = serde_json::from_str(json).unwrap();
        assert_eq!((fault.times, fault.action), (Some(1), Action::flood_wait(3)));
    }
}
