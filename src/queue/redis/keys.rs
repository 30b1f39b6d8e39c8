//! The keys of an account's queue. All begin with its root, `{stenogram:<account>}`: one hash tag,
//! so that a cluster keeps them on one node, and no account sees another's. Those of a fleet have a
//! root of their own. The root of an account is itself a hash:
//!
//! - `format`: of all the keys, a number
//! - `owner`: who may claim
//! - `turn`, `claimed`: number and job of the last claim
//! - `places`: the last place in the line
//! - `unfinished`: how many jobs wait, run or are delayed
//! - `leases`: the number of the last lease of an assignment
//!
//! Each constant here is what follows the root. Where it ends in a colon, an id follows: `<id>` is
//! a job id, `account:chat:message`. The scripts know the constants by the same names.

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident = $key:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $key;)*

        const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

keys! {
    /// `:job:<id>`, a hash: a job that is not finished.
    ///
    /// - `job`: it, as JSON; `document`: its recording's
    /// - `state`: `waiting`, `claimed`, `delayed` or `dead`
    /// - `reason`: why it was put back or is dead
    /// - `entry`: its entry in [`READY`], once it had one
    /// - `asked`: 1 where the owner asked for it, which has a line, a [`FIRST`] and a [`CHAT`] of
    ///   its own
    /// - `stranger`: 1 where it is a stranger's, which has a line and a [`FIRST`] of its own
    /// - `deliveries`, `attempts`
    /// - `deaths`: the processes that died over its recording, plus one while `begun` is 1; `died`:
    ///   when a death was counted last, in milliseconds of Unix time
    /// - `progress`: how far its recording is recognised; `outbox`: its answer; both as JSON
    JOB = ":job:";
    /// `:damaged:<id>`, a hash: what was under [`JOB`] and could not be read.
    DAMAGED = ":damaged:";
    /// `:chat:<chat>`, a list: the ids of the chat's unfinished jobs in the order they were added.
    CHAT = ":chat:";
    /// The same for the jobs that the owner asked for.
    CHAT_ASKED = ":chat_asked:";
    /// A stream: the line of the jobs that are first in their chat, with the field `id` and the
    /// entry `<place>-0`. Group `stenogram`, consumer `worker`. An entry is deleted when its job
    /// leaves the line.
    READY = ":ready";
    /// The same for the jobs that the owner asked for, whose line comes first.
    ASKED = ":asked";
    /// The same for the jobs of strangers, whose line comes last.
    STRANGERS = ":strangers";
    /// A sorted set: the ids of pending entries that nobody works on, by place. They were released,
    /// or claimed by a predecessor.
    FIRST = ":first";
    /// The same for the jobs that the owner asked for.
    FIRST_ASKED = ":first_asked";
    /// The same for the jobs of strangers.
    FIRST_STRANGERS = ":first_strangers";
    /// A sorted set: ids by when they are due, in milliseconds of Unix time.
    DELAYED = ":delayed";
    /// A list: the ids of the dead letters, oldest first.
    DEAD = ":dead";
    /// A sorted set: the ids of the unfinished jobs by the date of their message, in seconds of
    /// Unix time.
    DATES = ":dates";
    /// `:suspect:<document>`, a string: the job by which a recording under suspicion is tried.
    /// Expires after the dedupe time.
    SUSPECT = ":suspect:";
    /// `:poison:<document>`, a string: the job that has shown the recording to be poisonous.
    /// Expires after the dedupe time.
    POISON = ":poison:";
    /// `:mark:<id>`, a string: how a finished job ended, or that a command was obeyed, as JSON.
    /// Expires after the dedupe time.
    MARK = ":mark:";
    /// `:finished:<id>`, a string: a job that was answered, as JSON. In the id the chat is 0,
    /// unless it is a channel. Expires after a week, or after the dedupe time if that is shorter.
    FINISHED = ":finished:";
    /// `:result:<document>`, a string: a recording's answer, as JSON. Expires after the result
    /// time.
    RESULT = ":result:";
    /// A sorted set: the documents that have a result, by when it ends, in milliseconds of Unix
    /// time.
    RESULTS = ":results";
    /// A string: written to prove that writing works. Expires.
    CHECK = ":check";

    /// `:assignment:<id>`, a hash: a claimed job's recording that is handed over to the workers of
    /// a fleet. It and the next two expire an hour after they were touched last.
    ///
    /// - `order`: what a worker needs to know, as JSON; `version`: what of the job it was made for
    /// - `state`: `waiting`, `leased`, `later` ([`LATER`]), `unfed` (its recording is gone), `done`
    /// - `stream`, `entry`: where it waits or is leased
    /// - `lease`: the number of its last lease; `lease_ms`: how long that lasts; `worker`: whose
    /// - `begun`: 1 once the worker may die of the recording; `leases`: how many without a stretch
    /// - `size`: of its recording; `outcome`: how it ended, as JSON
    ASSIGNMENT = ":assignment:";
    /// `:stretches:<id>`, a list: what is recognised of it, as JSON.
    STRETCHES = ":stretches:";
    /// `:recording:<id>`, a list: its recording in chunks. Neither on a replica nor in the
    /// append-only file.
    RECORDING = ":recording:";
    /// `:assignments:<line>:<model>`, a stream: the assignments of a line (`asked`, `others`,
    /// `strangers`) for the workers with this model. Group `workers`, with one consumer for all of
    /// them; what is pending is leased, for as long as it is not idle.
    ASSIGNMENTS = ":assignments:";
    /// A sorted set: the ids of assignments that are put off, by when they are due, in milliseconds
    /// of the server's time.
    LATER = ":later";
    /// A list: the ids of assignments of which there are news for the gateway. Expires.
    NEWS = ":news";

    // Of a fleet, with the root `{stenogram:fleet}`:
    /// A sorted set: the accounts that have assignments, by until when that counts, in milliseconds
    /// of the server's time.
    ACCOUNTS = ":accounts";
    /// A list: a token for each new assignment, for a worker that waits. Expires.
    WAKE = ":wake";
    /// A sorted set: the workers by when they were seen last, in milliseconds of the server's time.
    WORKERS = ":workers";
    /// `:worker:<id>`, a string: what a worker says of itself, as JSON. Expires.
    WORKER = ":worker:";
}

/// The constants as the scripts are to see them.
pub fn in_lua() -> String {
    ALL.iter().map(|(name, key)| format!("local {name} = '{key}'\n")).collect()
}
