//! What only a look from outside shows.

use crate::runtime::problem::Problem;

pub static PROBLEMS: &[&Problem] = &[&DAEMON_STOPPED, &ENV_FILE_READABLE, &NO_WORKER];

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

pub static NO_WORKER: Problem = Problem {
    code: "no-worker",
    title: "No worker of the fleet is there, or none takes the recordings of this gateway",
    why: "A gateway has its recordings recognised by workers that share its Redis. None was heard of in the last half \
          minute, or the gateway's MODEL asks for a model that none of them holds. Messages wait meanwhile.",
    remedy: "start `stenogram worker` on some machine with the REDIS_URL of the gateway; if MODEL is set on the gateway, \
             set the same one there, or take it out on the gateway so that any model will do",
};
