//! What can be wrong with the store of the queue, and with what is in it.

use crate::runtime::problem::Problem;

pub static PROBLEMS: &[&Problem] = &[
    &QUEUE_IN_USE,
    &QUEUE_FORMAT,
    &QUEUE_DAMAGED,
    &JOB_GIVEN_UP,
    &REDIS_UNREACHABLE,
    &REDIS_ADDRESS,
    &REDIS_PASSWORD,
    &REDIS_TLS,
    &REDIS_SENTINEL,
    &REDIS_RIGHTS,
    &REDIS_UNSAFE,
    &REDIS_READ_ONLY,
    &REDIS_MEMORY,
    &REDIS_DISK,
    &REDIS_CLUSTER,
];

pub static QUEUE_IN_USE: Problem = Problem {
    code: "queue-in-use",
    title: "The queue is in use by another process, or opened by another stenogram since",
    why: "One process at a time works on a queue. The embedded queue is open to its daemon alone; in Redis a second \
          daemon for the same account has taken the queue over.",
    remedy: "run only one daemon for an account; to change jobs of the embedded queue, stop the other stenogram, run \
             the command again, and start it",
};

pub static QUEUE_FORMAT: Problem = Problem {
    code: "queue-format",
    title: "The queue was written by another version of stenogram",
    why: "The stored queue has a format that this version does not know. That happens if you go back to an earlier \
          version of stenogram; queues of earlier versions are taken over.",
    remedy: "use that version, or start with an empty queue: move the file away, or choose another REDIS_DB",
};

pub static QUEUE_DAMAGED: Problem = Problem {
    code: "queue-damaged",
    title: "The queue's data is damaged, or is no queue",
    why: "The file was cut short or changed by something else, or the keys in Redis hold other data.",
    remedy: "restore it from a backup, or start with an empty queue: move the file away, or choose another REDIS_DB",
};

pub static JOB_GIVEN_UP: Problem = Problem {
    code: "job-given-up",
    title: "Given up, moved to the dead letters",
    why: "A message is given up after ten failures (forty if only its answer is still to be sent), or when the \
          process died three times over its recording, or twenty times while it had the message in hand. The \
          reason is kept with it.",
    remedy: "`stenogram queue` shows why; `stenogram queue retry --all-dead` puts such jobs back, and `stenogram \
             queue drop --all-dead` forgets them. Stop the daemon first if the queue is the embedded one",
};

pub static REDIS_UNREACHABLE: Problem = Problem {
    code: "redis-unreachable",
    title: "Redis not available: connection refused, timeout, still loading its data",
    why: "Nothing answers at the configured address, or not in time. Meanwhile the daemon accepts nothing and \
          waits, and it goes on by itself.",
    remedy: "start Redis, or correct REDIS_URL or REDIS_HOST (in docker-compose the host is redis, not localhost); \
             `redis-cli -h HOST -p PORT ping` must answer PONG. Without these variables the queue is a file in \
             DATA_DIR, which is as safe",
};

pub static REDIS_ADDRESS: Problem = Problem {
    code: "redis-address",
    title: "The address of Redis is wrong: no Redis there, or no such database",
    why: "REDIS_URL cannot be read, something other than Redis listens there, or Redis has fewer databases than \
          the number that is asked for.",
    remedy: "correct REDIS_URL, which looks like redis://:password@host:6379/0, or REDIS_HOST, REDIS_PORT and \
             REDIS_DB",
};

pub static REDIS_PASSWORD: Problem = Problem {
    code: "redis-password",
    title: "Redis wants a password, or refuses it: NOAUTH, WRONGPASS",
    why: "The user or the password in the configuration is not the one that Redis has.",
    remedy: "set <password> to what Redis has as requirepass; if it has an access list, name the user too \
             (REDIS_USERNAME, or before the password in REDIS_URL)",
};

pub static REDIS_TLS: Problem = Problem {
    code: "redis-tls",
    title: "The connection to Redis with TLS fails: unknown authority, invalid certificate, no TLS there",
    why: "The certificate of Redis is not signed by an authority that this machine trusts, or was issued for \
          another name; or Redis demands a certificate from its clients; or the port is one without TLS.",
    remedy: "set REDIS_CA to the PEM file of the authority that signed the certificate, use the host name that the \
             certificate has, and set REDIS_CERT and REDIS_KEY if Redis demands a certificate; without TLS write \
             redis:// and not rediss://",
};

pub static REDIS_SENTINEL: Problem = Problem {
    code: "redis-sentinel",
    title: "No Sentinel of Redis answers, or none knows the master",
    why: "The master is asked for at each Sentinel in REDIS_URL in turn. None answered, or the name after the slash \
          is not the one in sentinel.conf.",
    remedy: "start a Sentinel, or correct REDIS_URL, which looks like \
             redis-sentinel://:password@host1:26379,host2:26379/mymaster/0",
};

pub static REDIS_RIGHTS: Problem = Problem {
    code: "redis-rights",
    title: "The Redis user may not do what the queue needs: NOPERM",
    why: "The access list of Redis forbids a command or a key.",
    remedy: "grant that user the keys {stenogram:*}*, scripts and streams with ACL SETUSER",
};

pub static REDIS_UNSAFE: Problem = Problem {
    code: "redis-unsafe",
    title: "Redis has appendonly no, appendfsync everysec, or a maxmemory-policy that evicts",
    why: "With such settings a crash, a power cut or full memory can lose jobs that were acknowledged to Telegram.",
    remedy: "set <setting> <wanted> in redis.conf, and now by CONFIG SET <setting> <wanted>; the queue needs \
             appendonly yes, appendfsync always and maxmemory-policy noeviction",
};

pub static REDIS_READ_ONLY: Problem = Problem {
    code: "redis-read-only",
    title: "Redis is a read-only replica: READONLY",
    why: "The address leads to a replica, for example after a failover.",
    remedy: "point REDIS_URL at the master",
};

pub static REDIS_MEMORY: Problem = Problem {
    code: "redis-memory",
    title: "Redis is out of memory: OOM command not allowed",
    why: "Redis holds as much as its maxmemory allows, and rightly evicts nothing.",
    remedy: "raise maxmemory of Redis, or remove what else is in it",
};

pub static REDIS_DISK: Problem = Problem {
    code: "redis-disk",
    title: "Redis cannot write to its disk and takes no more: MISCONF",
    why: "The disk of Redis is full or read-only, or saving failed for another reason that its log names.",
    remedy: "look at the log and the disk of Redis; it accepts writes again once it can save",
};

pub static REDIS_CLUSTER: Problem = Problem {
    code: "redis-cluster",
    title: "Redis is a node of a cluster that does not hold this queue: MOVED, CROSSSLOT",
    why: "The whole queue is on one node of a cluster, and stenogram talks to that node directly.",
    remedy: "point REDIS_URL at the node that the message names",
};
