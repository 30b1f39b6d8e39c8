//! What can be wrong with the session, the account, and the way to Telegram.

use crate::runtime::problem::Problem;

pub static PROBLEMS: &[&Problem] = &[
    &NOT_LOGGED_IN,
    &LOGGED_OUT,
    &SESSION_USED_TWICE,
    &SESSION_IN_USE,
    &SESSION_READABLE,
    &SESSION_DAMAGED,
    &SESSION_KEY_REFUSED,
    &UPDATES_UNUSABLE,
    &CREDENTIALS_REFUSED,
    &PHONE_NUMBER_WRONG,
    &LOGIN_CODE_WRONG,
    &LOGIN_REFUSED,
    &ALREADY_LOGGED_IN,
    &TERMINAL_MISSING,
    &ACCOUNT_GONE,
    &ACCOUNT_FROZEN,
    &ACCOUNT_LIMITED,
    &FLOOD_WAIT,
    &PEER_INVALID,
    &TELEGRAM_UNREACHABLE,
    &KEY_EXCHANGE_FAILED,
    &TELEGRAM_TROUBLE,
    &CLOCK_WRONG,
];

pub static NOT_LOGGED_IN: Problem = Problem {
    code: "not-logged-in",
    title: "Not logged in: there is no session account.session, or nobody is logged in with it",
    why: "stenogram answers from your own account, so it has to be logged in once. The session is the file \
          account.session in DATA_DIR; another DATA_DIR has another session or none.",
    remedy: "run `stenogram login` at a terminal",
};

pub static LOGGED_OUT: Problem = Problem {
    code: "logged-out",
    title: "The account is logged out: AUTH_KEY_UNREGISTERED, SESSION_REVOKED, SESSION_EXPIRED",
    why: "Somebody ended the session in Telegram under Settings > Devices, it expired, or its login was never \
          finished.",
    remedy: "run `stenogram login`; what was queued is kept, and what arrived meanwhile is answered if it is \
             younger than CATCH_UP_MAX_AGE",
};

pub static SESSION_USED_TWICE: Problem = Problem {
    code: "session-used-twice",
    title: "The session was used from two places: AUTH_KEY_DUPLICATED",
    why: "Telegram ends a session that is used from two places at once: a copied data folder, or a restored \
          backup beside the running original.",
    remedy: "make sure that only one copy of the session is in use, then run `stenogram login`; what was queued is \
             kept. To run on two machines, log in on each with a folder of its own",
};

pub static SESSION_IN_USE: Problem = Problem {
    code: "session-in-use",
    title: "Another stenogram is using this account",
    why: "The session is locked by a running daemon or command. Two programs on one session would make Telegram \
          end it.",
    remedy: "stop the other stenogram first",
};

pub static SESSION_READABLE: Problem = Problem {
    code: "session-readable",
    title: "The session can be read by other users",
    why: "The session gives full access to the account. A file that others can read is therefore refused.",
    remedy: "run `chmod 600 <path>`; if others may have read it, end that session in Telegram under Settings > \
             Devices and log in again",
};

pub static SESSION_DAMAGED: Problem = Problem {
    code: "session-damaged",
    title: "The session is damaged",
    why: "account.session is not a session, or only a part of one. stenogram itself replaces it as a whole.",
    remedy: "restore the file from a backup, or delete it and run `stenogram login`",
};

pub static SESSION_KEY_REFUSED: Problem = Problem {
    code: "session-key-refused",
    title: "A datacentre does not know this session's key",
    why: "Telegram forgets a key for a moment when a datacentre has trouble, and for good when the session has \
          ended. The stored key is kept, and stenogram tries again.",
    remedy: "wait; if this lasts for an hour, run `stenogram logout` and `stenogram login`",
};

pub static UPDATES_UNUSABLE: Problem = Problem {
    code: "updates-unusable",
    title: "The update state updates.redb cannot be used",
    why: "The file says where stenogram is in Telegram's stream of updates. It is damaged, locked by another \
          process, or belongs to another user, or its disk is full.",
    remedy: "stop any other stenogram, make room on the disk, and see to it that the file is yours; if it is \
             damaged, restore it from a backup or move it away, then what came meanwhile is not answered",
};

pub static CREDENTIALS_REFUSED: Problem = Problem {
    code: "credentials-refused",
    title: "Telegram refuses API_ID and API_HASH: API_ID_INVALID, API_ID_PUBLISHED_FLOOD",
    why: "The two do not belong together, or Telegram has blocked them, as it does with published ones.",
    remedy: "copy both anew from https://my.telegram.org into <configuration>",
};

pub static PHONE_NUMBER_WRONG: Problem = Problem {
    code: "phone-number-wrong",
    title: "Login: that is no phone number of an account (PHONE_NUMBER_INVALID)",
    why: "Telegram knows no account with this number. stenogram cannot sign up a new one.",
    remedy: "write the number with its country code, as +4915112345678; make a new account in Telegram's own app",
};

pub static LOGIN_CODE_WRONG: Problem = Problem {
    code: "login-code-wrong",
    title: "Login: wrong or expired code or password",
    why: "A code is good for some minutes and for one login, and Telegram allows only a few tries.",
    remedy: "wait some minutes and run `stenogram login` again; the code comes in your other Telegram apps, not \
             always by SMS",
};

pub static LOGIN_REFUSED: Problem = Problem {
    code: "login-refused",
    title: "Telegram refuses the login or logout",
    why: "Telegram gave a reason of its own, which the message names, or wants a kind of login that this version \
          does not know.",
    remedy: "log in with Telegram's own app first, and see what it says there; then try again, or look for a newer \
             release of stenogram",
};

pub static ALREADY_LOGGED_IN: Problem = Problem {
    code: "already-logged-in",
    title: "Already logged in",
    why: "There is one account for each DATA_DIR, and this one has a session that Telegram accepts.",
    remedy: "run `stenogram logout` first to change the account",
};

pub static TERMINAL_MISSING: Problem = Problem {
    code: "terminal-missing",
    title: "Login: cannot read from the terminal (No such device or address)",
    why: "The login asks for phone number, code and password, and hides what is typed; a pipe or a service has no \
          terminal for that.",
    remedy: "run `stenogram login` at a terminal; over SSH use `ssh -t`",
};

pub static ACCOUNT_GONE: Problem = Problem {
    code: "account-gone",
    title: "The account is banned or deleted: USER_DEACTIVATED, PHONE_NUMBER_BANNED",
    why: "The account was deleted by its owner or for inactivity, or Telegram has banned it for breaking its \
          rules.",
    remedy: "if that is a mistake, write to recover@telegram.org with the phone number; afterwards, or for another \
             account, run `stenogram login`",
};

pub static ACCOUNT_FROZEN: Problem = Problem {
    code: "account-frozen",
    title: "Telegram has frozen this account: it can read, but not send (FROZEN_METHOD_INVALID)",
    why: "Telegram believes that the account broke its rules. Voice messages are recognised meanwhile, and their \
          answers are kept until the account is released.",
    remedy: "appeal in the Telegram app or at <address in the message>",
};

pub static ACCOUNT_LIMITED: Problem = Problem {
    code: "account-limited",
    title: "Telegram limits this account for spam (PEER_FLOOD)",
    why: "Telegram takes the account for a sender of spam. Nothing is sent for some hours, one answer is tried now \
          and then, and the others are kept.",
    remedy: "ask <address in the message> why, and how long it lasts, and wait",
};

pub static FLOOD_WAIT: Problem = Problem {
    code: "flood-wait",
    title: "FLOOD_WAIT: Telegram demands a pause; too many tries",
    why: "Telegram limits how often an account may ask, send, download or log in. stenogram keeps the pause, also \
          across a restart, and goes on by itself.",
    remedy: "wait as long as Telegram says; restarting does not shorten it",
};

pub static PEER_INVALID: Problem = Problem {
    code: "peer-invalid",
    title: "Peer id invalid: PEER_ID_INVALID, USER_ID_INVALID",
    why: "Telegram does not accept the access hash that was stored with the message. The other side deleted the \
          account, or DATA_DIR holds the queue of one account and the session of another.",
    remedy: "nothing, if the other side is gone; if the queue is another account's, choose a fresh DATA_DIR and run \
             `stenogram login`",
};

pub static TELEGRAM_UNREACHABLE: Problem = Problem {
    code: "telegram-unreachable",
    title: "Connection lost, Telegram cannot be reached: network unreachable, timeout, connection refused",
    why: "The network or Telegram is away, or a firewall, a provider or a captive portal is in between. The daemon \
          tries again by itself and then fetches what it missed.",
    remedy: "look at the network: `curl -v --connect-timeout 5 telnet://149.154.167.50:443` must connect, on the \
             host as well as in the container, or set PROXY where Telegram is blocked (if it is set, the message \
             says which proxy fails); then try again",
};

pub static KEY_EXCHANGE_FAILED: Problem = Problem {
    code: "key-exchange-failed",
    title: "What answers does not prove that it is Telegram: unknown fingerprints, invalid answer hash",
    why: "With its first key exchange, Telegram proves who it is. What answered at its address could not: a proxy \
          that leads elsewhere, a captive portal, or somebody who wants to listen. No key was stored, and \
          nothing of yours was sent.",
    remedy: "try again through another network or another PROXY, and do not log in where this comes again",
};

pub static TELEGRAM_TROUBLE: Problem = Problem {
    code: "telegram-trouble",
    title: "Telegram has trouble of its own",
    why: "A server of Telegram's answered with an internal error. The daemon tries again by itself.",
    remedy: "try again in a few minutes",
};

pub static CLOCK_WRONG: Problem = Problem {
    code: "clock-wrong",
    title: "This machine's clock is wrong: ahead of Telegram's or behind it",
    why: "Telegram refuses messages that seem to come from more than 30 s ahead or 300 s behind, so nothing can be \
          sent or fetched with such a clock.",
    remedy: "set the clock and keep it right: `timedatectl set-ntp true` or chrony; a container has the clock of \
             its host",
};
