//! What only a look from outside shows.

use crate::runtime::problem::Problem;

pub static PROBLEMS: &[&Problem] = &[&DAEMON_STOPPED, &ENV_FILE_READABLE];

pub static DAEMON_STOPPED: Problem = Problem {
    code: "daemon-stopped",
    title: "The daemon is not running, or does not answer",
    why: "It was not started, it ended, or it listens at another HEALTH_ADDRESS than the one that is asked.",
    remedy: "start it: <start>; if it was started, its log says why it ended",
};

pub static ENV_FILE_READABLE: Problem = Problem {
    code: "env-file-readable",
    title: ".env can be read by other users",
    why: "The file may hold API_HASH and the password of Redis.",
    remedy: "run `chmod 600 <path>`",
};
