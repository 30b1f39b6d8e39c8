//! `stenogram doctor`: faults are planted one by one, and each has to be found and its remedy named.
//!
//! The real binary, a loopback Telegram, real redis-servers, a real full disk, a user without rights.
//! Where mounting or changing the user is not permitted, the tests that need it are skipped.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use fake_telegram::{Action, Fault, Revocation, SessionParams, Settings, Telegram, write_session};
use stenogram::queue::CrashRules;
use stenogram::queue::embedded::{Embedded, EmbeddedOptions};
use support::daemon::Home;
use support::disk::SmallDisk;
use support::doctor::Report;
use support::redis::{DURABLE, RedisServer};
use support::skipped;
use support::terminal::Terminal;

const DEADLINE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// A set-up in which all is well, to be spoilt.
struct Patient {
    telegram: Telegram,
    home: Home,
}

impl Patient {
    async fn healthy() -> Self {
        let telegram = Telegram::start().await.expect("start the loopback Telegram");
        let home = Home::new(&telegram);
        Self { telegram, home }
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.home.variables.retain(|(known, _)| known != name);
        self.home.set(name, value);
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.home.variables.retain(|(known, _)| known != name);
        self
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn session(&self) -> PathBuf {
        self.home.data().join("account.session")
    }

    fn examine(&self) -> Report {
        Report::by(self.home.command())
    }

    /// Where the session does not say where Telegram is, the real one would be asked.
    fn examine_offline(&self) -> Report {
        let inner = self.home.command();
        let mut command = Command::new("unshare");
        command.arg("--net").arg("true");
        if !command.output().is_ok_and(|output| output.status.success()) {
            return Report::by(inner);
        }
        Report::by(wrapped("unshare", &["--net"], &inner))
    }
}

/// `program arguments… inner`, in the folder and with the environment of `inner`.
fn wrapped(program: &str, arguments: &[&str], inner: &Command) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).arg(inner.get_program()).args(inner.get_args()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(inner.get_current_dir().expect("the command has a folder"));
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_healthy_set_up_nothing_fails() {
    let patient = Patient::healthy().await;
    let before = fs::read(patient.session()).unwrap();
    let report = patient.examine();
    report.fails_only(&[]);
    let warnings: Vec<_> = report.of("warn").map(|finding| finding.check.as_str()).collect();
    assert_eq!(warnings, ["daemon"], "{report:#?}");
    report.has("daemon", "warn", "is not running", "./start.sh");
    report.has("login", "ok", "accepts the session", "");
    report.has("clock", "ok", "agrees with Telegram's", "");
    assert_eq!(fs::read(patient.session()).unwrap(), before, "the session is only looked at");

    let server = RedisServer::start(DURABLE);
    let report = patient.set("REDIS_URL", &server.url()).examine();
    report.fails_only(&[]);
    report.has("queue", "ok", "writes through, and evicts nothing", "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_daemon_is_not_disturbed() {
    let patient = Patient::healthy().await;
    let mut daemon = patient.home.start();
    daemon.event("connected", DEADLINE).await;
    let used = || patient.telegram.look(|ledger| (ledger.clients().len(), ledger.count("updates.getState")));
    let before = used();
    let report = patient.examine();
    assert_eq!(used(), before, "a session used from two places is ended by Telegram");
    report.fails_only(&[]);
    assert_eq!(report.of("warn").count(), 0, "{report:#?}");
    report.has("daemon", "ok", "is running", "");
    report.has("login", "ok", "", "");
    report.has("Telegram", "ok", "answers in", "");
    report.has("queue", "ok", "is whole, 0 jobs", "");
    assert!(daemon.stop().await.0.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_in_the_configuration() {
    let patient = Patient::healthy().await.set("API_HASH", "0123456789abcdef").set("THREADS", "many");
    let report = patient.examine();
    report.has("configuration", "fail", "API_HASH=(hidden)", "correct it where it is set");
    report.has("configuration", "fail", "THREADS=\"many\"", "stenogram config");
    report.has("the rest", "warn", "was not looked at", "correct the configuration");

    let patient = Patient::healthy().await.without("API_ID").without("API_HASH");
    let report = patient.examine();
    report.has("configuration", "fail", "API_ID is not set", "set it in .env");
    report.has("configuration", "fail", "API_HASH is not set", "set it in .env");
    report.has("login", "warn", "API_ID is missing", "first the above");
    report.fails_only(&["configuration"]);

    fs::write(patient.file(".env"), "API_ID=1\nAPI_HSAH=0123456789abcdef0123456789abcdef\n").unwrap();
    fs::set_permissions(patient.file(".env"), Permissions::from_mode(0o644)).unwrap();
    let report = patient.examine();
    report.has("configuration", "fail", "API_HASH is not set", "");
    report.has("configuration", "warn", "API_HSAH", "correct it");
    report.has(".env", "warn", "mode 644", "chmod 600 .env");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_cannot_be_used() {
    let mut server = RedisServer::start(&["--requirepass", "hunter2", "--appendonly", "yes"]);
    let address = format!("127.0.0.1:{}", server.port());
    let patient = Patient::healthy().await.set("REDIS_URL", &format!("redis://:wrong@{address}/"));
    let report = patient.examine();
    report.has("queue", "fail", "refused the user or the password", "requirepass");
    report.fails_only(&["queue"]);

    let patient = patient.set("REDIS_URL", &format!("redis://{address}/"));
    patient.examine().has("queue", "fail", "wants a password", "the password in REDIS_URL");

    server.kill();
    patient.examine().has("queue", "fail", "nobody listens at", "start Redis");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_loses_what_it_was_given() {
    let volatile = RedisServer::start(&["--appendonly", "no", "--maxmemory-policy", "allkeys-lru"]);
    let report = Patient::healthy().await.set("REDIS_URL", &volatile.url()).examine();
    report.has("queue", "ok", "answers and takes writes", "");
    report.has("queue", "fail", "has appendonly no", "CONFIG SET appendonly yes");
    report.has("queue", "fail", "has maxmemory-policy allkeys-lru", "CONFIG SET maxmemory-policy noeviction");
    report.has("queue", "warn", "has appendfsync everysec", "CONFIG SET appendfsync always");

    let server = RedisServer::start(DURABLE);
    server.command::<()>(&["ACL", "SETUSER", "steno", "on", ">pass", "~*", "+@all", "-config"]);
    let url = format!("redis://steno:pass@127.0.0.1:{}/", server.port());
    let report = Patient::healthy().await.set("REDIS_URL", &url).examine();
    report.has("queue", "warn", "could not check appendonly", "set appendonly yes");
    report.fails_only(&[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_cannot_be_used() {
    let patient = Patient::healthy().await;
    let model =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/micro/ggml-micro-q8_0.bin"));
    let whole = fs::read(model).unwrap();
    fs::write(patient.file("own.bin"), &whole[..whole.len() / 2]).unwrap();
    let patient = patient.set("MODEL", "own.bin");
    let report = patient.examine();
    report.has("model", "fail", "own.bin ends in the middle of", "put a good file in its place");
    report.fails_only(&["model"]);

    // Of the size that the catalogue has, and nothing but zeros.
    let patient = patient.set("MODEL", "tiny-q5_1");
    let file = File::create(patient.file("models/ggml-tiny-q5_1.bin")).unwrap();
    file.set_len(32_152_673).unwrap();
    let report = patient.examine();
    report.has("model", "fail", "has not the SHA-256", "stenogram models pull tiny-q5_1");
    file.set_len(1000).unwrap();
    patient.examine().has(
        "model",
        "fail",
        "has 1000 bytes and should have 32152673",
        "models pull tiny-q5_1",
    );
    fs::remove_file(patient.file("models/ggml-tiny-q5_1.bin")).unwrap();
    patient.examine().has("model", "fail", "is not there", "stenogram models pull tiny-q5_1");

    let patient = patient.set("MODEL", "huge");
    patient.examine().has("model", "fail", "there is no model \"huge\"", "stenogram models list");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_for_voice_activity_that_is_missing_or_another() {
    let patient = Patient::healthy().await;
    let file = patient.file("models/ggml-silero-v5.1.2.bin");
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&file, bytes).unwrap();
    let report = patient.examine();
    report.has("voice activity", "warn", "has not the SHA-256", "models pull silero-v5.1.2");
    fs::remove_file(file).unwrap();
    let report = patient.examine();
    report.has("voice activity", "warn", "is not there", "models pull silero-v5.1.2");
    report.fails_only(&[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_cannot_be_used() {
    let patient = Patient::healthy().await;
    let good = fs::read_to_string(patient.session()).unwrap();
    fs::set_permissions(patient.session(), Permissions::from_mode(0o644)).unwrap();
    let report = patient.examine_offline();
    report.has(
        "session",
        "fail",
        "can be read by other users (mode 644)",
        "chmod 600 ./data/account.session",
    );
    report.has("login", "warn", "was not tried", "first the above");
    fs::set_permissions(patient.session(), Permissions::from_mode(0o600)).unwrap();

    fs::write(patient.session(), &good[..good.len() / 2]).unwrap();
    let report = patient.examine_offline();
    report.has("session", "fail", "is damaged", "restore the file from a backup");

    fs::remove_file(patient.session()).unwrap();
    let report = patient.examine_offline();
    report.has("session", "fail", "there is no session", "stenogram login");

    let nobody = SessionParams { user: None, ..patient.telegram.session() };
    write_session(&patient.session(), &nobody).unwrap();
    let report = patient.examine();
    report.has("session", "fail", "is not logged in", "stenogram login");
    report.fails_only(&["session"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_hash_of_another_application() {
    let right = "fedcba9876543210fedcba9876543210";
    let telegram = Telegram::builder().logged_out().api_hash(right).start().await.unwrap();
    let home = Home::new(&telegram);
    let patient = Patient { telegram, home };
    let nobody = SessionParams { user: None, ..patient.telegram.session() };
    write_session(&patient.session(), &nobody).unwrap();
    let before = fs::read(patient.session()).unwrap();
    let report = patient.examine();
    let says = "Telegram refuses API_ID and API_HASH (API_ID_INVALID)";
    report.has("credentials", "fail", says, "copy both anew from https://my.telegram.org into .env");
    report.fails_only(&["session", "credentials"]);

    let patient = patient.set("API_HASH", right);
    let report = patient.examine();
    report.has("credentials", "ok", "accepts API_ID and API_HASH", "");
    report.has("login", "warn", "nobody is logged in", "first the above");
    report.fails_only(&["session"]);
    assert_eq!(fs::read(patient.session()).unwrap(), before, "the session is only looked at");
    assert_eq!(patient.telegram.look(|ledger| ledger.count("auth.sendCode")), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_id_that_telegram_does_not_take_any_more() {
    let patient = Patient::healthy().await;
    let error = Action::error(400, "API_ID_PUBLISHED_FLOOD");
    patient.telegram.fault(Fault::on("updates.getState", error));
    let report = patient.examine();
    report.has("credentials", "fail", "API_ID_PUBLISHED_FLOOD", "https://my.telegram.org");
    report.fails_only(&["credentials"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remedies_are_typed_as_in_the_home_that_it_is() {
    for (run_by, program, start) in [
        ("docker-compose", "docker-compose run --rm userbot", "start it: `docker-compose up -d`;"),
        ("systemd", "sudo stenogramctl", "start it: `sudo systemctl start stenogram`;"),
        ("start.sh", "./start.sh", "start it: `./start.sh`;"),
    ] {
        let patient = Patient::healthy().await.set("STENOGRAM_RUN_BY", run_by).set("MODEL", "tiny");
        let nobody = SessionParams { user: None, ..patient.telegram.session() };
        write_session(&patient.session(), &nobody).unwrap();
        let report = patient.examine();
        let login = format!("run `{program} login`");
        report.has("session", "fail", "is not logged in", &login);
        report.has("model", "fail", "is not there", &format!("`{program} models pull tiny` fetches"));
        report.has("daemon", "warn", "is not running", start);
        let mut command = patient.home.command();
        let daemon = command.arg("run").output().unwrap();
        let said = String::from_utf8_lossy(&daemon.stderr);
        assert!(said.contains(&login), "{said}");

        let report = patient.without("API_HASH").examine();
        let file = if run_by == "systemd" { "/etc/stenogram/stenogram.env" } else { ".env" };
        report.has("configuration", "fail", "API_HASH is not set", &format!("set it in {file}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_telegram_has_ended() {
    let patient = Patient::healthy().await;
    for (reason, says) in [
        (Revocation::SessionRevoked, "the account is logged out"),
        (Revocation::KeyDuplicated, "used from two places at once"),
    ] {
        patient.telegram.revoke(reason);
        let report = patient.examine();
        report.has("login", "fail", says, "stenogram login");
        report.fails_only(&["login"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_telegram_that_cannot_be_reached() {
    let patient = Patient::healthy().await;
    patient.telegram.go_down().await;
    let report = patient.examine();
    report.has("Telegram", "fail", "cannot be reached: Connection refused", "look at the network");
    report.has("clock", "warn", "was not compared", "first the network");
    report.has("login", "warn", "Telegram does not answer", "first the above");
    report.fails_only(&["Telegram"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_wrong() {
    for (clock_ahead, word) in [(7200, "behind"), (-7200, "ahead of")] {
        let settings = Settings { clock_ahead, ..Settings::default() };
        let telegram = Telegram::builder().settings(settings).start().await.unwrap();
        let home = Home::new(&telegram);
        let patient = Patient { telegram, home };
        let report = patient.examine();
        let says = format!("s {word} Telegram's: Telegram refuses messages from such a time");
        report.has("clock", "fail", &says, "timedatectl set-ntp true");
        if clock_ahead < 0 {
            report.has("login", "warn", "Telegram would not accept this machine's clock", "first the above");
            // The time, for the clock and before the login, and nothing else.
            patient.telegram.look(|ledger| assert_eq!(ledger.packets().len(), 2));
        } else {
            report.has("login", "ok", "Telegram accepts the session", "");
        }
        report.fails_only(&["clock"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_queue_and_a_torn_position() {
    let patient = Patient::healthy().await;
    let queue = patient.home.data().join("queue.redb");
    drop(
        Embedded::open(
            &queue,
            EmbeddedOptions { dedupe_ttl: DAY, result_ttl: DAY, crashes: CrashRules::default() },
        )
        .await
        .unwrap(),
    );
    let whole = fs::read(&queue).unwrap();
    patient.examine().has("queue", "ok", "is whole, 0 jobs", "");
    fs::write(&queue, &whole[..whole.len() / 3]).unwrap();
    let report = patient.examine();
    report.has("queue", "fail", "is no queue of stenogram or was cut short", "restore it from a backup");
    report.fails_only(&["queue"]);
    fs::write(&queue, &whole).unwrap();

    fs::write(patient.home.data().join("updates.redb"), &whole[..1000]).unwrap();
    let report = patient.examine();
    report.has("login", "fail", "cannot use the update state", "restore it from a backup");
    report.fails_only(&["login"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk() {
    let patient = Patient::healthy().await.set("LOG_DIR", "data/log");
    let Some(disk) = SmallDisk::mount(&patient.home.data()) else {
        skipped("mounting is not permitted here");
        return;
    };
    write_session(&patient.session(), &patient.telegram.session()).unwrap();
    disk.fill();
    let report = patient.examine();
    report.has("DATA_DIR", "fail", "No space left on device", "free space");
    report.has("LOG_DIR", "warn", "No space left on device", "free space");
    disk.free();
    let report = patient.examine();
    report.has("DATA_DIR", "fail", "free in ./data, too little", "free space");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_and_a_session_that_belong_to_somebody_else() {
    let patient = Patient::healthy().await;
    let report = if is_root() {
        // The folder of the tests may be one that only root can look into.
        let program = patient.file("stenogram");
        fs::copy(env!("CARGO_BIN_EXE_stenogram"), &program).unwrap();
        let model = patient.file("own.bin");
        fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/micro/ggml-micro-q8_0.bin"), model)
            .unwrap();
        fs::set_permissions(patient.home.path(), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(patient.home.data(), Permissions::from_mode(0o755)).unwrap();
        let patient = patient.set("MODEL", "own.bin");
        let other = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare", "--user", "--net"];
        let program = program.to_str().unwrap();
        let plain = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
        let can = |arguments: &[&str]| {
            let mut trial = Command::new("setpriv");
            trial.args(arguments).arg("true").output().is_ok_and(|output| output.status.success())
        };
        if !can(&plain) {
            skipped("the user cannot be changed here");
            return;
        }
        let prefix: &[&str] = if can(&other) { &other } else { &plain };
        let inner = patient.home.command();
        let mut command = Command::new("setpriv");
        command.args(prefix).arg(program).env_clear().current_dir(patient.home.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Report::by(command)
    } else {
        fs::set_permissions(patient.session(), Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(patient.home.data(), Permissions::from_mode(0o500)).unwrap();
        fs::set_permissions(patient.file("models"), Permissions::from_mode(0o500)).unwrap();
        patient.examine_offline()
    };
    report.has("session", "fail", "account.session: Permission denied", "the user that stenogram runs as");
    report.has("DATA_DIR", "fail", "cannot write to ./data: Permission denied", "chown -R");
    report.has("MODEL_DIR", "warn", "cannot write to ./models: Permission denied", "chown -R");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_in_place_of_a_folder() {
    let patient = Patient::healthy().await;
    fs::write(patient.file("notes"), "").unwrap();
    let report = patient.set("LOG_DIR", "notes").examine();
    report.has("LOG_DIR", "warn", "cannot write to notes: not a directory", "move away what is in the way");
    report.fails_only(&[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_little_memory_for_the_model_and_too_many_threads() {
    let patient = Patient::healthy().await.set("THREADS", "256");
    let cores = std::thread::available_parallelism().unwrap();
    if cores.get() < 256 {
        patient.examine().has("threads", "warn", "THREADS=256 is more than", &format!("set THREADS={cores}"));
    }
    // As lxcfs does it in a container on Proxmox: a file of its own over the kernel's.
    let meminfo = patient.file("meminfo");
    fs::write(&meminfo, "MemTotal:  524288 kB\nMemFree:  10000 kB\nMemAvailable:  102400 kB\n").unwrap();
    let script = "mount --bind \"$1\" /proc/meminfo && shift && exec \"$@\"";
    let meminfo = meminfo.to_str().unwrap();
    let before = ["--mount", "sh", "-c", script, "sh", meminfo];
    let trial = Command::new("unshare").args(before).arg("true").output();
    if !trial.is_ok_and(|output| output.status.success()) {
        skipped("mounting is not permitted here");
        return;
    }
    let report = Report::by(wrapped("unshare", &before, &patient.home.command()));
    report.has("memory", "fail", "100 MiB free, and the model needs about", "smaller or a quantised model");
    report.fails_only(&["memory"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_get_lines_and_colours_only_at_a_terminal() {
    let patient = Patient::healthy().await;
    let mut command = patient.home.command();
    command.arg("doctor");
    let output = command.output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\nok    login           Telegram accepts the session\n"), "{text}");
    assert!(text.ends_with("\nNothing failed; 1 warning.\n") && !text.contains('\u{1b}'), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");

    // While Telegram keeps silent, something moves.
    patient.telegram.mute();
    let mut terminal = Terminal::start(&command);
    terminal.shows("Telegram …", 1);
    patient.telegram.unmute();
    assert!(terminal.ends().success(), "{}", terminal.shown());

    let shown = |command: &Command| {
        let mut terminal = Terminal::start(command);
        assert!(terminal.ends().success());
        terminal.shows("Nothing failed", 1);
        terminal.shown()
    };
    assert!(shown(&command).contains("\u{1b}[32mok  \u{1b}[0m  login"));
    command.env("NO_COLOR", "1");
    let plain = shown(&command);
    assert!(plain.contains("ok    login") && !plain.contains("\u{1b}[32m"), "{plain:?}");
}

fn is_root() -> bool {
    // SAFETY: it has no preconditions.
    unsafe { libc::geteuid() == 0 }
}
