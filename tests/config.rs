//! The configuration as a whole: what the environment, `.env` and files of secrets make of it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use stenogram::config::{
    CHOSEN_MODEL, Config, ConfigError, ConfigErrors, LogFormat, Needs, Origin, RawConfig, VARIABLES,
};
use stenogram::domain::rules::{AnswerIn, Groups, Rules, Theirs};
use stenogram::domain::{DocumentFormats, Documents, LanguageChoice, ModelName};

const HASH: &str = "0123456789abcdef0123456789abcdef";

/// An empty folder of this test's own.
fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("config").join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// What an environment says that has these variables only, and no `.env` unless ENV_FILE is one.
fn raw(environment: &[(&str, &str)]) -> RawConfig {
    let mut environment: HashMap<&str, OsString> =
        environment.iter().map(|&(name, value)| (name, value.into())).collect();
    environment.entry("ENV_FILE").or_insert("/dev/null".into());
    RawConfig::from_environment(|name| environment.get(name).cloned())
}

fn check(environment: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::check(&raw(environment), Needs::Nothing)
}

fn ok(environment: &[(&str, &str)]) -> Config {
    check(environment).unwrap_or_else(|errors| panic!("{environment:?}: {errors}"))
}

/// The texts of all errors.
fn errors(environment: &[(&str, &str)]) -> Vec<String> {
    match check(environment) {
        Ok(_) => panic!("{environment:?} is fine"),
        Err(found) => found.errors.iter().map(ConfigError::to_string).collect(),
    }
}

fn origin(raw: &RawConfig, name: &str) -> Origin {
    raw.entries().iter().find(|entry| entry.variable.name == name).unwrap().origin.clone()
}

#[test]
fn env_example_says_what_the_table_says() {
    let text = include_str!("../.env.example");
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let mut found: Vec<(&str, &str, String)> = Vec::new();
    let mut comment = Vec::new();
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
        match (line.strip_prefix('#').unwrap_or(line).split_once('='), line.strip_prefix("# ")) {
            (Some((name, default)), _) if is_name(name) => {
                found.push((name, default, std::mem::take(&mut comment).join(" ")));
            }
            (_, Some(words)) => comment.push(words),
            (_, None) => comment.clear(),
        }
    }
    let wanted: Vec<(&str, &str, String)> =
        VARIABLES.iter().map(|v| (v.name, v.default, format!("{}: {}", v.help, v.allowed))).collect();
    assert_eq!(found, wanted);
    for variable in VARIABLES.iter().filter(|variable| variable.from_file) {
        assert!(text.contains(&variable.file_name()), "{}", variable.file_name());
    }
}

#[test]
fn env_example_as_it_stands_changes_nothing_and_lacks_the_credentials_only() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example");
    let raw = raw(&[("ENV_FILE", example)]);
    assert_eq!(raw.warnings(), [] as [&str; 0]);
    Config::check(&raw, Needs::Nothing).unwrap();
    let missing = Config::check(&raw, Needs::Telegram).unwrap_err();
    assert!(matches!(missing.errors[..], [ConfigError::Missing(_), ConfigError::Missing(_)]), "{missing}");
}

#[test]
fn every_default_may_be_written_out() {
    for variable in VARIABLES.iter().filter(|v| !v.default.is_empty() && v.name != "ENV_FILE") {
        let mut environment = vec![(variable.name, variable.default)];
        if variable.name.starts_with("REDIS_") {
            environment.push(("REDIS_HOST", "localhost"));
        }
        ok(&environment);
    }
}

#[test]
fn nothing_said_gives_the_defaults() {
    let config = ok(&[]);
    assert_eq!((config.data_dir, config.model_dir), ("./data".into(), "./models".into()));
    assert_eq!((config.model, config.model_url), (ModelName::Catalogue("base".into()), None));
    assert_eq!(config.languages.listed.iter().map(|code| code.as_str()).collect::<Vec<_>>(), ["ru", "en"]);
    assert_eq!((config.threads, config.redis), (None, None));
    assert_eq!(config.reconnect_delay, Duration::from_secs(5));
    assert_eq!(config.max_reconnect_delay, Duration::from_secs(300));
    assert_eq!(config.dedupe_ttl, Duration::from_secs(30 * 86_400));
    assert_eq!(config.result_ttl, Duration::from_secs(7 * 86_400));
    assert_eq!(config.catch_up_max_age, Duration::from_secs(86_400));
    assert_eq!(config.max_file_size, 200 << 20);
    assert_eq!(config.max_duration, Duration::from_secs(4 * 3600));
    assert_eq!(config.log_format, LogFormat::Human);
}

#[test]
fn the_names_of_the_old_bot_keep_their_meaning() {
    let config = ok(&[
        ("API_ID", "12345"),
        ("API_HASH", HASH),
        ("REDIS_HOST", "redis"),
        ("REDIS_PORT", "6380"),
        ("REDIS_DB", "2"),
        ("RECONNECT_DELAY", "7"),
        ("MAX_RECONNECT_DELAY", "70"),
    ]);
    let credentials = config.credentials().unwrap();
    assert_eq!((credentials.api_id, credentials.api_hash.expose()), (12345, HASH));
    assert_eq!(config.redis.unwrap().url.expose(), "redis://redis:6380/2");
    assert_eq!((config.reconnect_delay.as_secs(), config.max_reconnect_delay.as_secs()), (7, 70));
}

#[test]
fn credentials_are_missed_only_where_they_are_needed() {
    let raw = raw(&[("API_ID", "12345")]);
    let config = Config::check(&raw, Needs::Nothing).unwrap();
    let missing = config.credentials().unwrap_err();
    assert_eq!(missing, Config::check(&raw, Needs::Telegram).unwrap_err());
    let text = missing.to_string();
    assert!(text.contains("API_HASH") && text.contains("https://my.telegram.org"), "{text}");
    assert!(!text.contains("API_ID"), "{text}");
}

#[test]
fn every_variable_with_a_rule_refuses_what_breaks_it_and_says_what_is_allowed() {
    for (name, bad) in [
        ("API_ID", "0"),
        ("API_ID", "-5"),
        ("API_ID", "2147483648"),
        ("API_ID", "abc"),
        ("DATA_DIR", "~/data"),
        ("MODEL_DIR", "~/models"),
        ("MODEL", "large v3"),
        ("MODEL_URL", "ftp://mirror"),
        ("LANGUAGE", "ua"),
        ("LANGUAGES", "ru;en"),
        ("LANGUAGES", "ru!,en"),
        ("TASK", "english"),
        ("WHISPER_AUDIO_CTX", "768"),
        ("FLASH_ATTENTION", "yes"),
        ("THREADS", "257"),
        ("IDLE_UNLOAD", "90s"),
        ("IDLE_UNLOAD", "31d"),
        ("REDIS_HOST", "redis:6379"),
        ("RECONNECT_DELAY", "0"),
        ("RECONNECT_DELAY", "3601"),
        ("RECONNECT_DELAY", "five"),
        ("MAX_RECONNECT_DELAY", "0"),
        ("DEDUPE_TTL", "4000d"),
        ("RESULT_TTL", "366d"),
        ("CATCH_UP_MAX_AGE", "1 day"),
        ("ANSWER_MINE", "yes"),
        ("ANSWER_THEIRS", "friends"),
        ("ANSWER_GROUPS", "on"),
        ("CHATS_ALLOW", "anna"),
        ("CHATS_DENY", "2000 3000"),
        ("MIN_DURATION", "2h"),
        ("ANSWER_IN", "chat"),
        ("FOLD_FROM", "0"),
        ("VOCABULARY", "Anna,,Boris"),
        ("NOTIFY_SAVED", "yes"),
        ("DOCUMENT_FROM", "0"),
        ("DOCUMENT_FROM", "101"),
        ("DOCUMENT_FORM", "pdf"),
        ("PREVIEW_AFTER", "61m"),
        ("COMMAND_PREFIX", "x"),
        ("COMMAND_PREFIX", "...."),
        ("DELETE_ANSWERS", "mine"),
        ("MAX_FILE_SIZE", "200MB"),
        ("MAX_FILE_SIZE", "5G"),
        ("SPOOL_LIMIT", "off"),
        ("SPOOL_LIMIT", "1025G"),
        ("MAX_DURATION", "25h"),
        ("HEALTH_ADDRESS", "localhost:9464"),
        ("LOG_LEVEL", "inof"),
        ("LOG_FORMAT", "xml"),
    ] {
        let found = errors(&[(name, bad)]);
        let allowed = VARIABLES.iter().find(|variable| variable.name == name).unwrap().allowed;
        let wanted = format!("{name}={bad:?} (environment): must be {allowed}");
        assert_eq!(found, [wanted]);
    }
}

#[test]
fn wrong_secrets_are_named_and_not_shown() {
    for (name, bad) in [
        ("API_HASH", "hunter2"),
        ("REDIS_URL", "redis://hunter2@redis"),
        ("NOTIFY_URL", "ntfy.sh/hunter2"),
        ("HEARTBEAT_URL", "https://me:hunter2@hc-ping.com"),
    ] {
        let found = errors(&[(name, bad)]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with(name) && !found[0].contains("hunter2"), "{found:?}");
    }
    let found = errors(&[("MODEL_URL", "https://me:hunter2@mirror")]);
    assert!(!found[0].contains("hunter2") && found[0].contains("mirror"), "{found:?}");
    let config = ok(&[("API_HASH", HASH), ("REDIS_URL", "redis://:hunter2@redis")]);
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2") && !shown.contains(HASH), "{shown}");
}

#[test]
fn contradictions_are_caught() {
    for (environment, words) in [
        (&[("RECONNECT_DELAY", "60"), ("MAX_RECONNECT_DELAY", "59")][..], ["59", "60"]),
        (&[("RECONNECT_DELAY", "600")], ["\"600\" (environment)", "MAX_RECONNECT_DELAY=\"300\" (default)"]),
        (&[("DEDUPE_TTL", "1h")], ["DEDUPE_TTL", "CATCH_UP_MAX_AGE"]),
        (&[("REDIS_URL", "redis://a"), ("REDIS_HOST", "a")], ["REDIS_URL", "REDIS_HOST"]),
        (&[("REDIS_URL", "redis://a"), ("REDIS_DB", "1")], ["REDIS_URL", "REDIS_DB"]),
        (&[("REDIS_URL", "redis://a"), ("REDIS_PASSWORD", "x")], ["REDIS_URL", "REDIS_PASSWORD"]),
        (&[("REDIS_PORT", "6380")], ["REDIS_PORT", "REDIS_HOST"]),
        (&[("REDIS_HOST", "a"), ("REDIS_USERNAME", "me")], ["REDIS_USERNAME", "REDIS_PASSWORD"]),
        (&[("REDIS_URL", "redis://a"), ("REDIS_CA", "ca.pem")], ["REDIS_CA", "rediss://"]),
        (&[("REDIS_HOST", "a"), ("REDIS_CA", "ca.pem")], ["REDIS_CA", "REDIS_TLS=on"]),
        (&[("REDIS_URL", "rediss://a"), ("REDIS_KEY", "key.pem")], ["REDIS_CERT", "REDIS_KEY"]),
        (&[("ANSWER_IN", "nowhere"), ("RESULT_TTL", "0")], ["ANSWER_IN=nowhere", "RESULT_TTL=0"]),
        (&[("LANGUAGE", "de"), ("LANGUAGES", "ru,en")], ["LANGUAGE=de", "LANGUAGES=\"ru,en\""]),
    ] {
        let found = errors(environment);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(words.iter().all(|word| found[0].contains(word)), "{found:?}");
    }
}

#[test]
fn redis_is_reached_by_a_user_and_with_tls() {
    let parts = [
        ("REDIS_HOST", "redis"),
        ("REDIS_USERNAME", "me"),
        ("REDIS_PASSWORD", "pass"),
        ("REDIS_TLS", "on"),
        ("REDIS_CA", "ca.pem"),
        ("REDIS_CERT", "cert.pem"),
        ("REDIS_KEY", "key.pem"),
    ];
    let redis = ok(&parts).redis.unwrap();
    assert_eq!(redis.url.expose(), "rediss://me:pass@redis:6379/0");
    assert!(redis.is_in_parts);
    let tls = redis.tls.unwrap();
    assert_eq!((tls.ca, tls.client), (Some("ca.pem".into()), Some(("cert.pem".into(), "key.pem".into()))));
    let url = [("REDIS_URL", "rediss-sentinel://a,b/mymaster"), ("REDIS_CA", "ca.pem")];
    let redis = ok(&url).redis.unwrap();
    assert_eq!(redis.sentinel.unwrap().addresses.len(), 2);
    assert_eq!(redis.tls.unwrap().ca, Some("ca.pem".into()));
}

#[test]
fn proxies_are_a_list_and_a_secret() {
    assert_eq!(ok(&[]).proxies, []);
    let mtproxy = "https://t.me/proxy?server=c&port=2&secret=hunter2hunter2hunter2h";
    let config = ok(&[("PROXY", &format!("socks5://me:hunter2@a:1, http://b,{mtproxy}, direct"))]);
    let shown: Vec<_> = config.proxies.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["socks5://a:1", "http://b:8080", "tg://proxy?server=c&port=2", "direct"]);
    assert!(!format!("{config:?}").contains("hunter2"));
    for bad in ["socks5://a,", "tg://proxy?server=a&port=1&secret=hunter2", "a:1080"] {
        let found = errors(&[("PROXY", bad)]);
        assert!(found.len() == 1 && found[0].contains("PROXY=(hidden)"), "{found:?}");
    }
}

#[test]
fn a_wrong_value_is_no_contradiction_besides() {
    assert_eq!(errors(&[("RECONNECT_DELAY", "600"), ("MAX_RECONNECT_DELAY", "x")]).len(), 1);
    assert_eq!(errors(&[("REDIS_HOST", "a b")]).len(), 1);
}

#[test]
fn a_language_is_fixed_or_chosen_from_candidates() {
    let languages = |environment: &[(&str, &str)]| {
        let Config { language, languages, .. } = ok(environment);
        let codes: Vec<_> = languages.listed.iter().map(|code| code.as_str()).collect();
        let language = match language {
            LanguageChoice::Auto => None,
            LanguageChoice::Fixed(code) => Some(code.as_str()),
        };
        (language, codes.join(",") + if languages.others { "" } else { "!" })
    };
    assert_eq!(languages(&[("LANGUAGE", "de")]), (Some("de"), "ru,en".into()));
    assert_eq!(languages(&[("LANGUAGE", "ru"), ("LANGUAGES", "ru,uk")]), (Some("ru"), "ru,uk".into()));
    assert_eq!(languages(&[("LANGUAGE", "auto"), ("LANGUAGES", "uk")]), (None, "uk".into()));
    assert_eq!(languages(&[("LANGUAGES", "ru,en!")]), (None, "ru,en!".into()));
    assert_eq!(languages(&[("LANGUAGES", "")]), (None, String::new()));
    assert_eq!(languages(&[("LANGUAGE", "de"), ("LANGUAGES", "")]), (Some("de"), String::new()));
}

#[test]
fn commands_have_a_prefix_or_there_are_none() {
    let prefix = |environment: &[(&str, &str)]| ok(environment).command_prefix.map(|it| it.to_string());
    assert_eq!(prefix(&[]).as_deref(), Some("."));
    assert_eq!(prefix(&[("COMMAND_PREFIX", "!!")]).as_deref(), Some("!!"));
    assert_eq!(prefix(&[("COMMAND_PREFIX", "off")]), None);
    assert!(ok(&[]).delete_answers && !ok(&[("DELETE_ANSWERS", "off")]).delete_answers);
}

#[test]
fn the_rules_are_those_of_the_owner() {
    assert_eq!(ok(&[]).rules, Rules::default());
    assert_eq!(ok(&[]).fold_from, 800);
    assert_eq!(ok(&[]).documents, Documents { from: 4, formats: DocumentFormats::Txt });
    let config = ok(&[
        ("ANSWER_MINE", "off"),
        ("ANSWER_THEIRS", "contacts"),
        ("ANSWER_GROUPS", "all"),
        ("CHATS_ALLOW", "2000,@anna"),
        ("CHATS_DENY", "-1001234567890"),
        ("MIN_DURATION", "3"),
        ("ANSWER_IN", "saved"),
        ("FOLD_FROM", "off"),
        ("DOCUMENT_FROM", "off"),
        ("DOCUMENT_FORM", "both"),
    ]);
    let rules = Rules {
        mine: false,
        theirs: Theirs::Contacts,
        groups: Groups::All,
        allowed: "2000,@anna".parse().unwrap(),
        denied: "-1001234567890".parse().unwrap(),
        min_duration: Duration::from_secs(3),
        answer_in: AnswerIn::Saved,
    };
    assert_eq!((config.rules, config.fold_from), (rules, u32::MAX));
    assert_eq!(ok(&[]).preview_after, Some(Duration::from_secs(5)));
    for (value, after) in
        [("off", None), ("0", Some(Duration::ZERO)), ("1h", Some(Duration::from_secs(3600)))]
    {
        assert_eq!(ok(&[("PREVIEW_AFTER", value)]).preview_after, after);
    }
    assert_eq!(config.documents, Documents { from: u32::MAX, formats: DocumentFormats::Both });
}

#[test]
fn all_errors_are_reported_at_once() {
    let folder = folder("all_at_once");
    let env_file = folder.join("bad.env");
    fs::write(&env_file, "THREADS=many\nthis is hunter2\nLOG_FORMAT=xml\n").unwrap();
    let raw = raw(&[
        ("ENV_FILE", env_file.to_str().unwrap()),
        ("API_ID", "abc"),
        ("REDIS_URL_FILE", "/nonexistent/url"),
        ("RECONNECT_DELAY", "600"),
    ]);
    let found = Config::check(&raw, Needs::Telegram).unwrap_err();
    let text = found.to_string();
    for named in
        ["API_ID", "API_HASH", "THREADS", "LOG_FORMAT", "line 2", "REDIS_URL_FILE", "RECONNECT_DELAY"]
    {
        assert!(text.contains(named), "{named} in {text}");
    }
    assert_eq!(found.errors.len(), 7, "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn the_environment_wins_over_the_env_file_and_stays_as_it_is() {
    let folder = folder("environment_wins");
    let env_file = folder.join("some.env");
    // As Windows' editors write it.
    fs::write(&env_file, "\u{feff}export THREADS=3\r\nMODEL='tiny' # small\r\nAPI_HASH=from-the-file\r\n")
        .unwrap();
    let path = env_file.to_str().unwrap();
    let raw = raw(&[("ENV_FILE", path), ("MODEL", "small"), ("API_HASH", HASH)]);
    assert_eq!(raw.warnings(), [] as [&str; 0]);
    let config = Config::check(&raw, Needs::Nothing).unwrap();
    assert_eq!(config.model, ModelName::Catalogue("small".into()));
    assert_eq!(config.threads.unwrap().get(), 3);
    assert_eq!(origin(&raw, "MODEL"), Origin::Environment);
    assert_eq!(origin(&raw, "THREADS"), Origin::EnvFile(env_file));
    assert_eq!(origin(&raw, "LANGUAGE"), Origin::Default);
    assert_eq!(std::env::var_os("THREADS"), None);
}

#[test]
fn without_model_the_one_that_was_chosen_for_this_machine_is_used() {
    let folder = folder("chosen");
    let chosen = folder.join(CHOSEN_MODEL);
    let models = folder.to_str().unwrap();
    let model = |raw: &RawConfig| Config::check(raw, Needs::Nothing).unwrap().model;
    let unset = || raw(&[("ENV_FILE", "/dev/null"), ("MODEL_DIR", models)]);
    let config = Config::check(&unset(), Needs::Nothing).unwrap();
    assert!(config.model_is_default && config.model == ModelName::Catalogue("base".into()));

    fs::write(&chosen, "small-q8_0\n").unwrap();
    assert_eq!(model(&unset()), ModelName::Catalogue("small-q8_0".into()));
    assert_eq!(origin(&unset(), "MODEL"), Origin::Chosen(chosen.clone()));
    assert!(!Config::check(&unset(), Needs::Nothing).unwrap().model_is_default);
    let set = raw(&[("ENV_FILE", "/dev/null"), ("MODEL_DIR", models), ("MODEL", "tiny")]);
    assert_eq!(model(&set), ModelName::Catalogue("tiny".into()));
    assert_eq!(origin(&set, "MODEL"), Origin::Environment);

    for (text, says) in [("", "it is empty"), ("no model\n", "MODEL=\"no model\" (chosen for this machine, ")]
    {
        fs::write(&chosen, text).unwrap();
        let error = Config::check(&unset(), Needs::Nothing).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains(CHOSEN_MODEL), "{error}");
    }
}

#[test]
fn an_empty_value_is_no_value() {
    let folder = folder("empty");
    let env_file = folder.join("some.env");
    fs::write(&env_file, "MODEL=tiny\nREDIS_HOST=\n").unwrap();
    let raw = raw(&[
        ("ENV_FILE", env_file.to_str().unwrap()),
        ("MODEL", ""),
        ("API_HASH", HASH),
        ("API_HASH_FILE", ""),
        ("REDIS_URL", ""),
    ]);
    let config = Config::check(&raw, Needs::Nothing).unwrap();
    assert_eq!((config.model, config.redis), (ModelName::Catalogue("tiny".into()), None));
}

#[test]
fn secrets_are_read_from_files() {
    let folder = folder("files");
    let file = |name: &str, text: &str| {
        fs::write(folder.join(name), text).unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    };
    let (id, hash) = (file("id", "12345\r\n"), file("hash", &format!("{HASH}\n")));
    let password = file("password", " p@ss ");
    let environment = [
        ("API_ID_FILE", id.as_str()),
        ("API_HASH_FILE", &hash),
        ("REDIS_HOST", "redis"),
        ("REDIS_PASSWORD_FILE", &password),
    ];
    let config = ok(&environment);
    let credentials = config.credentials().unwrap();
    assert_eq!((credentials.api_id, credentials.api_hash.expose()), (12345, HASH));
    assert_eq!(config.redis.unwrap().url.expose(), "redis://:%20p%40ss%20@redis:6379/0");
    assert_eq!(origin(&raw(&environment), "API_HASH").to_string(), format!("API_HASH_FILE, {hash}"));
    let url = file("url", "redis://:secret@redis/1\n");
    assert_eq!(ok(&[("REDIS_URL_FILE", &url)]).redis.unwrap().address, "redis:6379, database 1");
}

#[test]
fn a_secret_and_its_file_at_once_are_an_error() {
    let found = errors(&[("API_HASH", HASH), ("API_HASH_FILE", "/dev/null")]);
    assert_eq!(found, ["API_HASH and API_HASH_FILE are both set (environment); keep one of them"]);
}

#[test]
fn files_of_no_use_are_named() {
    let folder = folder("useless_files");
    let endless = "/dev/zero";
    let binary = folder.join("binary");
    fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
    for path in [endless, "/nonexistent/hash", "/dev/null", "/", binary.to_str().unwrap()] {
        let found = errors(&[("API_HASH_FILE", path)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("API_HASH_FILE") && found[0].contains(path), "{found:?}");
    }
}

#[test]
fn an_env_file_that_was_asked_for_must_be_there() {
    let found = errors(&[("ENV_FILE", "/nonexistent/.env")]);
    assert!(found.len() == 1 && found[0].contains("/nonexistent/.env"), "{found:?}");
    // What docker makes of a file that is mounted and is not there.
    let folder = folder("env_folder");
    assert_eq!(errors(&[("ENV_FILE", folder.to_str().unwrap())]).len(), 1);
}

#[test]
fn names_that_do_nothing_are_warned_about() {
    let folder = folder("warnings");
    let env_file = folder.join("some.env");
    fs::write(&env_file, "API_HSAH=x\nTZ=UTC\nENV_FILE=y\nMODEL=tiny\nMODEL=base\n").unwrap();
    let raw = raw(&[("ENV_FILE", env_file.to_str().unwrap())]);
    let warnings = raw.warnings().join("\n");
    assert_eq!(raw.warnings().len(), 3, "{warnings}");
    for words in ["API_HSAH; is it API_HASH?", "ENV_FILE has no effect", "MODEL is there twice"] {
        assert!(warnings.contains(words), "{warnings}");
    }
    // The one who has forgotten API_HASH sees why.
    let found = Config::check(&raw, Needs::Telegram).unwrap_err().to_string();
    assert!(found.contains("is it API_HASH?"), "{found}");
}

#[test]
fn a_value_that_is_no_text_is_an_error() {
    use std::os::unix::ffi::OsStringExt as _;
    let raw = RawConfig::from_environment(|name| match name {
        "MODEL" => Some(OsString::from_vec(vec![0xff])),
        "ENV_FILE" => Some("/dev/null".into()),
        _ => None,
    });
    let found = Config::check(&raw, Needs::Nothing).unwrap_err();
    assert!(matches!(&found.errors[..], [ConfigError::NotText { variable, .. }] if variable.name == "MODEL"));
}

#[test]
fn no_env_file_makes_it_panic() {
    let env_file = folder("hostile").join("hostile.env");
    let pieces =
        ["", "=", "'", "\"", "\\", "$", "${", "}", "#", " ", "\n", "\0", "export ", "MODEL", "é", "\r"];
    for a in pieces {
        for b in pieces {
            for c in pieces {
                fs::write(&env_file, format!("API_HASH={a}{b}{c}\n{c}{a}{b}\nTHREADS=2{b}")).unwrap();
                // Right or wrong, there is an answer.
                let _ = check(&[("ENV_FILE", env_file.to_str().unwrap())]);
            }
        }
    }
}
