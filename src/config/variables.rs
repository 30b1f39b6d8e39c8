//! The table of variables: what can be configured, in the order in which it is shown.
//!
//! `.env.example`, the output of `stenogram config` and the texts of errors all follow it.

/// One variable of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    pub name: &'static str,
    /// The default, as written in `.env`; empty for none.
    pub default: &'static str,
    /// What it is for, in a few words.
    pub help: &'static str,
    /// The values that it accepts, worded to follow "must be".
    pub allowed: &'static str,
    /// Whether its value is never shown.
    pub secret: bool,
    /// Whether `NAME_FILE` may name a file that holds the value.
    pub from_file: bool,
    /// Whether an empty value has a meaning. For other variables it is the same as no value, so
    /// that `NAME=${NAME:-}` in a compose file does no harm.
    pub may_be_empty: bool,
}

impl Variable {
    const fn new(
        name: &'static str,
        default: &'static str,
        help: &'static str,
        allowed: &'static str,
    ) -> Self {
        Self { name, default, help, allowed, secret: false, from_file: false, may_be_empty: false }
    }

    const fn or_file(self) -> Self {
        Self { from_file: true, ..self }
    }

    const fn secret(self) -> Self {
        Self { secret: true, from_file: true, ..self }
    }

    const fn may_be_empty(self) -> Self {
        Self { may_be_empty: true, ..self }
    }

    /// The name of the variable that may name a file with this one's value.
    pub fn file_name(&self) -> String {
        format!("{}_FILE", self.name)
    }

    /// `value` as it may be shown: hidden if it is secret, else quoted.
    pub fn shown(&self, value: &str) -> String {
        if self.secret { "(hidden)".to_owned() } else { format!("{:?}", without_user_info(value)) }
    }
}

/// `text` with the user name and password of a URL replaced by `***`.
pub(super) fn without_user_info(text: &str) -> String {
    let hidden = text.split_once("://").and_then(|(scheme, rest)| {
        // The last "@" counts, wherever it stands: better to hide too much than to show half of a
        // password.
        let (_, host) = rest.rsplit_once('@')?;
        Some(format!("{scheme}://***@{host}"))
    });
    hidden.unwrap_or_else(|| text.to_owned())
}

/// The variable of this name.
///
/// # Panics
/// If the table has no such variable.
pub(super) fn variable(name: &str) -> &'static Variable {
    let variable = VARIABLES.iter().find(|variable| variable.name == name);
    variable.unwrap_or_else(|| panic!("{name} is missing from the table of variables"))
}

/// All variables.
pub const VARIABLES: &[Variable] = &[
    Variable::new(
        "API_ID",
        "",
        "The number of your Telegram application, from https://my.telegram.org",
        "a whole number from 1 to 2147483647",
    )
    .or_file(),
    Variable::new(
        "API_HASH",
        "",
        "The secret of your Telegram application, from https://my.telegram.org",
        "32 hexadecimal digits",
    )
    .secret(),
    Variable::new(
        "DATA_DIR",
        "./data",
        "Where the session, the embedded queue and their lock are kept",
        "a folder",
    ),
    Variable::new("MODEL_DIR", "./models", "Where the models are kept", "a folder"),
    Variable::new(
        "MODEL",
        "base",
        "The model; without it, the one that the first installation chose for this machine",
        "a name that `stenogram models list` shows, or the path of a .bin or .gguf file",
    ),
    Variable::new(
        "MODELS",
        "",
        "Models for single languages, beside MODEL or instead of it",
        "language:model separated by commas, each language once, with * for all others, as in ru:gigaam-v3,*:small",
    ),
    Variable::new(
        "MODEL_URL",
        "",
        "A mirror to download models from, instead of Hugging Face",
        "http://… or https://…, without user name and password",
    ),
    Variable::new(
        "LANGUAGE",
        "auto",
        "The language spoken",
        "auto, or the code of a language that Whisper knows, such as en or ru",
    ),
    Variable::new(
        "LANGUAGES",
        "ru,en",
        "The likely languages, which LANGUAGE=auto chooses from; a recording that is clearly in another gets its text in that",
        "codes separated by commas, with ! after the last to allow no others, as in ru,en!; empty for all that Whisper knows",
    )
    .may_be_empty(),
    Variable::new(
        "TASK",
        "transcribe",
        "Whether to write what was said, or its translation into English",
        "transcribe or translate; translate needs a model that was trained for it (no .en, no large-v3-turbo)",
    ),
    Variable::new(
        "VOCABULARY",
        "",
        "Names and terms that are to be spelt right: Whisper is given them before each recording",
        "names and terms separated by commas, at most 1000 characters",
    ),
    Variable::new(
        "NAMES",
        "off",
        "Whether Whisper is also given what the people of the chat call themselves in Telegram",
        "on or off",
    ),
    Variable::new(
        "WHISPER_AUDIO_CTX",
        "auto",
        "How much of its window of 30 s Whisper computes for a shorter recording",
        "auto (as much as it needs, and all of it in a second, more careful pass if the text is doubtful), full (all of it from the start, which is slower) or careful (the careful pass for every recording, which makes the fewest mistakes and takes two to three times as long)",
    ),
    Variable::new(
        "FLASH_ATTENTION",
        "auto",
        "Whether Whisper's attention is computed block by block, which is faster on GPUs and slower on CPUs",
        "auto (on if a GPU recognises), on or off",
    ),
    Variable::new(
        "THREADS",
        "0",
        "Threads for recognition",
        "a whole number from 0 to 256; 0 for one per core",
    ),
    Variable::new(
        "IDLE_UNLOAD",
        "0",
        "How long without a recording until the model is unloaded; the next recording loads it again",
        "a time in minutes such as 15, or 15m, 12h or 1d; up to 30d; 0 for never",
    ),
    Variable::new(
        "RECOGNISER",
        "local",
        "Who recognises: this machine, or a server with OpenAI's interface for speech; of several, the first that is well",
        "local, or http://host[:port]/v1 or https://… without user name and password; several separated by commas, each once",
    ),
    Variable::new(
        "RECOGNISER_MODEL",
        "whisper-1",
        "The model that a server is asked for, under the name that it has there",
        "a name of up to 200 visible characters",
    ),
    Variable::new(
        "RECOGNISER_KEY",
        "",
        "The key for the servers of RECOGNISER, if they demand one; each of them is sent it",
        "visible ASCII characters",
    )
    .secret(),
    Variable::new(
        "RECOGNISER_CA",
        "",
        "The authorities that sign the certificates of servers with https://, instead of the public ones",
        "a PEM file with one certificate or several",
    ),
    Variable::new(
        "RECOGNISER_TIMEOUT",
        "2m",
        "How long a server may take to recognise up to 29 s of speech",
        "1 to 300 seconds, or 1m to 5m",
    ),
    Variable::new(
        "RECOGNISER_PATIENCE",
        "1m",
        "How long a piece of speech waits for one recogniser until the next in the list is asked",
        "1 to 600 seconds, or 1m to 10m",
    ),
    Variable::new(
        "SUMMARY_URL",
        "",
        "Who writes the summaries above long texts: a server with OpenAI's interface for conversations, such as Ollama; without it there are none",
        "http://host[:port]/v1 or https://… without user name and password",
    ),
    Variable::new(
        "SUMMARY_MODEL",
        "",
        "The model that it is asked for, under the name that it has there",
        "a name of up to 200 visible characters",
    ),
    Variable::new(
        "SUMMARY_KEY",
        "",
        "The key for that server, if it demands one",
        "visible ASCII characters",
    )
    .secret(),
    Variable::new(
        "SUMMARY_FROM",
        "1500",
        "From which length on a text gets a summary",
        "a number of characters from 1 to 100000",
    ),
    Variable::new(
        "SUMMARY_TIMEOUT",
        "1m",
        "How long a summary may take; after that the text is sent without one",
        "1 to 120 seconds, or 1m to 2m",
    ),
    Variable::new(
        "REDIS_URL",
        "",
        "The Redis that holds the queue; without it and REDIS_HOST the queue is a file in DATA_DIR",
        "redis://[user:password@]host[:port][/database], rediss://… for TLS, redis-sentinel://[user:password@]host[:port],…/master[/database] for Sentinel (rediss-sentinel://… with TLS), or redis+unix:///path[?db=…]",
    )
    .secret(),
    Variable::new("REDIS_HOST", "", "The same in parts, the host", "a host name or an IP address"),
    Variable::new("REDIS_PORT", "6379", "The port", "a whole number from 1 to 65535"),
    Variable::new("REDIS_DB", "0", "The database", "a whole number from 0 to 65535"),
    Variable::new("REDIS_USERNAME", "", "The user, if Redis has an access list", "any text"),
    Variable::new("REDIS_PASSWORD", "", "The password", "any text").secret(),
    Variable::new("REDIS_TLS", "off", "Whether the connection is encrypted with TLS", "on or off"),
    Variable::new(
        "REDIS_CA",
        "",
        "The authority that signed the certificate of Redis, if the system does not know it; also for a REDIS_URL with rediss://",
        "a PEM file",
    ),
    Variable::new(
        "REDIS_CERT",
        "",
        "The certificate by which Redis recognises stenogram, if it demands one",
        "a PEM file",
    ),
    Variable::new("REDIS_KEY", "", "The private key of that certificate", "a PEM file"),
    Variable::new(
        "FLEET_JOBS",
        "32",
        "How many recordings `stenogram gateway` has with the workers at a time, each of another chat",
        "a whole number from 1 to 1000",
    ),
    Variable::new(
        "FLEET_BYTES",
        "256M",
        "How much the recordings of a gateway may take in Redis while they wait for workers; with that used up none is fetched",
        "a number of bytes, also with K, M or G (of 1024), from 1K to 1024G; not less than MAX_FILE_SIZE",
    ),
    Variable::new(
        "WORKER_NAME",
        "",
        "What `stenogram worker` is called on the status pages of the gateways; without it, what the machine is called",
        "up to 60 visible characters",
    ),
    Variable::new(
        "WORKER_LEASE",
        "15",
        "After how long without a word from a worker another one takes over what it has in hand",
        "1 to 300 seconds, or 1m to 5m",
    ),
    Variable::new(
        "PROXY",
        "",
        "The proxy through which Telegram is reached; of several, the next is tried when one fails",
        "socks5://[user:password@]host[:port], http://[user:password@]host[:port] or a link to an MTProxy, tg://proxy?server=... or https://t.me/proxy?server=...; several separated by commas, and direct among them for no proxy",
    )
    .secret(),
    Variable::new(
        "RECONNECT_DELAY",
        "5",
        "The pause before the first attempt to reconnect; it doubles with each attempt",
        "1 to 3600 seconds, or 1m to 60m",
    ),
    Variable::new(
        "MAX_RECONNECT_DELAY",
        "300",
        "The longest pause between two attempts",
        "1 to 86400 seconds, or 1m to 24h; not less than RECONNECT_DELAY",
    ),
    Variable::new(
        "DEDUPE_TTL",
        "30d",
        "How long an answered message is remembered, so that it is not answered again",
        "a time such as 3600 (seconds), 15m, 12h or 30d; up to 3650d, not less than CATCH_UP_MAX_AGE",
    ),
    Variable::new(
        "RESULT_TTL",
        "7d",
        "How long a transcript is kept, to answer the same recording when it is forwarded",
        "a time such as 3600 (seconds), 15m, 12h or 7d; up to 365d; 0 to keep none",
    ),
    Variable::new(
        "CATCH_UP_MAX_AGE",
        "24h",
        "Messages older than this when they arrive are not answered",
        "a time such as 90 (seconds), 15m, 12h or 30d; up to 365d",
    ),
    Variable::new(
        "ANSWER_MINE",
        "on",
        "Whether your own voice messages are answered",
        "on or off",
    ),
    Variable::new(
        "ANSWER_THEIRS",
        "on",
        "Whether voice messages of other people are answered",
        "on, contacts (only those of people in your list of contacts) or off",
    ),
    Variable::new(
        "ANSWER_GROUPS",
        "off",
        "Whether voice messages in groups are answered, as far as ANSWER_MINE and ANSWER_THEIRS allow it",
        "off, mine (only your own) or all",
    ),
    Variable::new(
        "CHATS_ALLOW",
        "",
        "Chats in which everybody's voice messages are answered, whatever ANSWER_MINE, ANSWER_THEIRS and ANSWER_GROUPS say",
        "ids (2000 is a person, -400 a basic group, -1001234567890 a supergroup) or public @names, separated by commas",
    ),
    Variable::new(
        "CHATS_DENY",
        "",
        "Chats in which nothing is answered, and people who are not answered in groups either; it has precedence over CHATS_ALLOW",
        "ids or public @names, separated by commas",
    ),
    Variable::new(
        "MIN_DURATION",
        "0",
        "Shorter recordings are not answered",
        "a time such as 2 (seconds) or 1m; up to 1h",
    ),
    Variable::new(
        "ANSWER_IN",
        "reply",
        "Where the text appears",
        "reply, saved (Saved Messages, so that nobody else sees it), caption (of your own voice messages; others get a reply) or nowhere (nothing is sent; `stenogram transcripts` prints what RESULT_TTL keeps)",
    ),
    Variable::new(
        "FOLD_FROM",
        "800",
        "From which length on a text is folded away under a quote that opens when tapped",
        "a number of characters from 1 to 4096; off for never",
    ),
    Variable::new(
        "DOCUMENT_FROM",
        "4",
        "From how many messages on a text is sent as a document instead, with its beginning as the caption",
        "a whole number from 1 to 100; off for never",
    ),
    Variable::new(
        "DOCUMENT_FORM",
        "txt",
        "What such a document is",
        "txt (the text), srt (subtitles: the text with its times) or both",
    ),
    Variable::new(
        "PREVIEW_AFTER",
        "5",
        "How long a recording over 29 s is worked on before the text so far appears; it grows until it is complete",
        "a time such as 10 (seconds) or 1m, up to 1h; off: the text appears when it is complete",
    ),
    Variable::new(
        "COMMAND_PREFIX",
        ".",
        "With what your commands in chats begin, such as .t in reply to a recording (docs/STEERING.md)",
        "1 to 3 signs that are neither letters, digits nor spaces; off for no commands at all, in Saved Messages neither",
    ),
    Variable::new(
        "REACTION",
        "off",
        "With which reaction of yours to a recording you ask for its text, as with the command t",
        "one of the standard emoji that Telegram offers everybody as reactions, such as ✍ or 👀; off for none",
    ),
    Variable::new(
        "DELETE_ANSWERS",
        "on",
        "Whether the answer to your own voice message is deleted with it",
        "on or off",
    ),
    Variable::new(
        "MAX_FILE_SIZE",
        "200M",
        "Larger recordings are not answered",
        "a number of bytes, also with K, M or G (of 1024), from 1K to 4G",
    ),
    Variable::new(
        "SPOOL_LIMIT",
        "1G",
        "How much the files of recordings over 2 MB may take in DATA_DIR until they are answered, so that a restart does not fetch them again",
        "a number of bytes, also with K, M or G (of 1024), up to 1024G; 0 for nothing",
    ),
    Variable::new(
        "MAX_DURATION",
        "4h",
        "Longer recordings are not answered",
        "a time such as 90 (seconds), 15m or 4h; up to 24h",
    ),
    Variable::new(
        "SENDS_PER_MINUTE",
        "20",
        "How many messages the account sends in a minute; further answers wait, and on the first day after a login it is half as many",
        "a whole number from 1 to 100000",
    ),
    Variable::new(
        "SENDS_PER_DAY",
        "1000",
        "The same for a day",
        "a whole number from 1 to 100000",
    ),
    Variable::new(
        "CHAT_PER_HOUR",
        "300,6h,1G",
        "How much of a chat is answered in an hour; what is beyond that waits",
        "messages,length,size such as 300,6h,1G; off for no limit",
    ),
    Variable::new(
        "CHAT_PER_DAY",
        "2000,24h,4G",
        "The same for a day",
        "messages,length,size such as 2000,24h,4G; off for no limit",
    ),
    Variable::new(
        "STRANGER_PER_HOUR",
        "30,30m,64M",
        "The same for the private chat with somebody who is not among your contacts, in an hour",
        "messages,length,size such as 30,30m,64M; off for no limit",
    ),
    Variable::new(
        "STRANGER_PER_DAY",
        "150,2h,256M",
        "The same for a day",
        "messages,length,size such as 150,2h,256M; off for no limit",
    ),
    Variable::new(
        "LOOP_AFTER",
        "10",
        "How many messages in a row that follow answers within 10 s are taken for those of a program; the chat then waits 15 minutes, longer each time",
        "a whole number from 2 to 1000; 0 for never",
    ),
    Variable::new(
        "QUEUE_LIMIT",
        "10000",
        "How many messages may wait until further ones of strangers are not accepted; those of contacts are",
        "a whole number from 1 to 1000000",
    ),
    Variable::new(
        "HEALTH_ADDRESS",
        "127.0.0.1:9464",
        "The address of the status page, of /metrics, and of what `stenogram health` asks",
        "an IP address and a port, such as 127.0.0.1:9464, [::1]:9464 or 0.0.0.0:9464 (reachable from outside); off for none",
    ),
    Variable::new(
        "SERVE_ADDRESS",
        "127.0.0.1:9465",
        "The address at which `stenogram serve` recognises for other programs",
        "an IP address and a port, such as 127.0.0.1:9465 or 0.0.0.0:9465 (reachable from outside, which needs SERVE_KEY)",
    ),
    Variable::new(
        "SERVE_KEY",
        "",
        "The key that `stenogram serve` demands",
        "visible ASCII characters",
    )
    .secret(),
    Variable::new(
        "NOTIFY_SAVED",
        "on",
        "Whether you are told of troubles in Saved Messages, each once a day at most",
        "on or off",
    ),
    Variable::new(
        "NOTIFY_URL",
        "",
        "Where you are told of troubles too, also when the account is logged out; the text is sent by POST, as ntfy takes it",
        "http://… or https://…, without user name and password",
    )
    .secret(),
    Variable::new(
        "HEARTBEAT_URL",
        "",
        "What is asked for every minute while all is well, so that a service such as Healthchecks or Uptime Kuma tells you when it is not",
        "http://… or https://…, without user name and password",
    )
    .secret(),
    Variable::new(
        "LOG_LEVEL",
        "info",
        "What is logged",
        "error, warn, info, debug or trace; also for parts of the program, as in info,stenogram::queue=debug",
    ),
    Variable::new(
        "LOG_FORMAT",
        "auto",
        "The form of the log lines",
        "auto or human (for people, with colours on a terminal), or json (one object per line)",
    ),
    Variable::new(
        "LOG_DIR",
        "",
        "Where the daemon writes daily log files (UTC), in addition to standard error",
        "a folder",
    ),
    Variable::new(
        "LOG_KEEP_DAYS",
        "14",
        "How many log files of earlier days are kept",
        "a whole number from 1 to 3650",
    ),
    Variable::new(
        "ENV_FILE",
        ".env",
        "The file with these variables; ENV_FILE itself is read from the environment only",
        "a file",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_no_file_variable_collides() {
        let mut names: Vec<String> = VARIABLES.iter().map(|v| v.name.to_owned()).collect();
        names.extend(VARIABLES.iter().filter(|v| v.from_file).map(Variable::file_name));
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn passwords_in_urls_are_hidden() {
        assert_eq!(without_user_info("https://u:p@host/x"), "https://***@host/x");
        assert_eq!(without_user_info("https://u:p@ss/w@host/x"), "https://***@host/x");
        assert_eq!(without_user_info("https://host/x"), "https://host/x");
        assert_eq!(without_user_info("me@host"), "me@host");
    }
}
