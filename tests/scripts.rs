//! The shell scripts, driven on a copy of the project in which cargo, apt and the program are
//! stand-ins that write down how they were called: no network, nothing installed, nothing built.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use support::signals::with_default_signals;
use support::skipped;

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");
const HASH: &str = "0123456789abcdef0123456789abcdef";
const DEADLINE: Duration = Duration::from_secs(30);

/// What the scripts may use of the system as it is.
const TOOLS: [&str; 26] = [
    "awk", "bash", "cat", "chmod", "cmp", "cp", "df", "dirname", "env", "grep", "head", "id", "mkdir",
    "mktemp", "mv", "rm", "sed", "sh", "sort", "stat", "stty", "tail", "tee", "timeout", "touch", "tr",
];

/// The program's stand-in. It answers like one that is configured, and `login` logs in.
const STENOGRAM: &str = r#"#!/bin/sh
echo "stenogram $*; OMP_WAIT_POLICY=$OMP_WAIT_POLICY" >>"$CALLS"
[ "$1" != login ] || { mkdir -p data && umask 077 && echo session >data/account.session; }
"#;

/// A copy of the scripts, in a folder whose name has a space, with a PATH of its own.
struct Project {
    root: PathBuf,
}

impl Project {
    /// With everything there that building needs.
    fn new(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("scripts {name}"));
        if root.exists() {
            fs::remove_dir_all(&root).unwrap();
        }
        for folder in ["bin", "home", "scripts"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let project = Self { root };
        let scripts = [
            "start.sh",
            "test.sh",
            "health_check.sh",
            "scripts/setup.sh",
            "scripts/docker-supervise.sh",
            "scripts/docker-setup.sh",
        ];
        for file in scripts.into_iter().chain(["Cargo.toml", ".env.example"]) {
            fs::copy(Path::new(PROJECT).join(file), project.root.join(file)).unwrap();
        }
        for tool in TOOLS {
            let real = find(tool).unwrap_or_else(|| panic!("{tool} is not in PATH"));
            symlink(real, project.root.join("bin").join(tool)).unwrap();
        }
        for tool in ["gcc", "g++", "make", "cmake", "curl", "apt-get"] {
            project.stub(tool, &format!("#!/bin/sh\necho \"{tool} $*\" >>\"$CALLS\"\n"));
        }
        project.write("stenogram.stub", STENOGRAM, 0o755);
        project.stub(
            "cargo",
            r#"#!/bin/sh
case $1 in
--version) echo "cargo 1.95.0 (f2d3ce0bd 2026-03-21)" ;;
build) mkdir -p target/release && cp stenogram.stub target/release/stenogram ;;
esac
"#,
        );
        project
    }

    fn with_credentials(self) -> Self {
        self.write(".env", &format!("API_ID=1234567\nAPI_HASH='{HASH}'\n"), 0o600);
        self
    }

    fn with_session(self) -> Self {
        self.write("data/account.session", "session", 0o600);
        self
    }

    fn with_model(self) -> Self {
        self.write("models/ggml-base.bin", "model", 0o644);
        self
    }

    fn write(&self, file: &str, text: &str, mode: u32) {
        let path = self.root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    /// A program of our own in PATH.
    fn stub(&self, name: &str, text: &str) {
        self.remove(name);
        self.write(&format!("bin/{name}"), text, 0o755);
    }

    fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.root.join("bin").join(name)); // it may not be there
    }

    /// A program in the project's folder, with nothing of this process's surroundings.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        with_default_signals(&mut command)
            .current_dir(&self.root)
            .env_clear()
            .env("PATH", self.root.join("bin"))
            .env("HOME", self.root.join("home"))
            .env("SHELL", "/bin/sh")
            .env("CALLS", self.root.join("calls"))
            .stdin(Stdio::null());
        command
    }

    fn script(&self, script: &str, arguments: &[&str]) -> Command {
        let mut command = self.command("bash");
        command.arg(self.root.join(script)).args(arguments);
        command
    }

    fn run(&self, script: &str, arguments: &[&str]) -> Outcome {
        self.script(script, arguments).output().unwrap().into()
    }

    /// How the stand-ins were called, in order.
    fn calls(&self) -> String {
        fs::read_to_string(self.root.join("calls")).unwrap_or_default()
    }
}

struct Outcome {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|file| file.is_file())
}

/// A running script whose output is read as it comes.
struct Running {
    child: Child,
    output: Receiver<u8>,
    seen: String,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, output) = channel();
        std::thread::spawn(move || stdout.bytes().map_while(Result::ok).try_for_each(|byte| send.send(byte)));
        Self { child, output, seen: String::new() }
    }

    /// Reads on until `text` has appeared.
    fn wait_for(&mut self, text: &str) {
        let from = self.seen.len();
        let end = Instant::now() + DEADLINE;
        while !self.seen[from..].contains(text) {
            match self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(byte) => self.seen.push(char::from(byte)),
                Err(error) => panic!("{error} before {text:?}; seen: {}", self.seen),
            }
        }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Reads to the end.
    fn finish(mut self) -> (Option<i32>, String) {
        let end = Instant::now() + DEADLINE;
        loop {
            match self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(byte) => self.seen.push(char::from(byte)),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("still running; seen: {}", self.seen),
            }
        }
        (self.child.wait().unwrap().code(), std::mem::take(&mut self.seen))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill(); // ended already, unless the test failed
    }
}

/// `script` of util-linux gives a program a terminal of its own; Debian cannot be without it.
fn on_a_terminal(project: &Project, command: &str) -> Running {
    let mut terminal = project.command(find("script").expect("util-linux's script"));
    terminal.args(["-q", "-e", "-c", &format!("bash ./start.sh {command}"), "/dev/null"]);
    Running::start(terminal)
}

#[test]
fn without_credentials_each_missing_variable_is_named() {
    let project = Project::new("missing variables");
    let outcome = project.run("start.sh", &[]);
    assert_eq!(outcome.status, Some(2), "{}", outcome.stderr);
    for expected in ["missing: API_ID", "missing: API_HASH", "https://my.telegram.org"] {
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }

    project.write(".env", "API_ID=1234567 # mine\nAPI_HASH= # not yet\n", 0o600);
    let outcome = project.run("start.sh", &[]);
    assert_eq!(outcome.status, Some(2), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("missing: API_ID"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("missing: API_HASH"), "{}", outcome.stderr);
    assert_eq!(project.calls(), "", "nothing is built or started before");

    project.write(".env", "API_ID=1234567\nexport API_HASH_FILE=\"hash\"\n", 0o600);
    assert_eq!(project.run("start.sh", &[]).status, Some(3), "a file holds it");
}

#[test]
fn without_a_session_it_names_the_login_and_exits_3() {
    let project = Project::new("no session").with_credentials();
    let outcome = project.run("start.sh", &[]);
    assert_eq!(outcome.status, Some(3), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("./start.sh login"), "{}", outcome.stderr);

    project.write("data/account.session", r#"{"version": 1, "home_dc": 2, "user": null, "dcs": []}"#, 0o600);
    assert_eq!(project.run("start.sh", &[]).status, Some(3), "a login was broken off");
    assert!(!project.calls().contains("stenogram run"));
}

#[test]
fn a_missing_model_is_fetched_and_the_daemon_is_told_to_wait_passively() {
    let project = Project::new("no model").with_credentials().with_session();
    let outcome = project.run("start.sh", &[]);
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    let calls = project.calls();
    let calls: Vec<_> = calls.lines().collect();
    assert_eq!(
        calls,
        ["config", "models pull", "run"].map(|call| format!("stenogram {call}; OMP_WAIT_POLICY=passive"))
    );
}

#[test]
fn the_model_that_was_chosen_for_this_machine_is_the_one_that_has_to_be_there() {
    let project = Project::new("chosen model").with_credentials().with_session();
    project.write("models/chosen-model", "small-q8_0\n", 0o600);
    project.write("models/ggml-small-q8_0.bin", "here", 0o600);
    assert_eq!(project.run("start.sh", &[]).status, Some(0));
    assert!(!project.calls().contains("models pull"), "{}", project.calls());
    project.write("models/chosen-model", "base-q8_0\n", 0o600);
    assert_eq!(project.run("start.sh", &[]).status, Some(0));
    assert!(project.calls().contains("stenogram models pull"), "{}", project.calls());
}

#[test]
fn with_everything_there_it_only_runs_from_wherever_it_is_called() {
    let project = Project::new("all there").with_credentials().with_session().with_model();
    let outcome: Outcome = project.script("start.sh", &["run"]).current_dir("/").output().unwrap().into();
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    assert!(!project.calls().contains("models"), "{}", project.calls());
    assert!(project.calls().contains("stenogram run;"), "{}", project.calls());
}

#[test]
fn a_mistake_in_the_configuration_ends_it_with_2() {
    let project = Project::new("mistake").with_credentials().with_session().with_model();
    let refuses = "#!/bin/sh\necho \"$1\" >>\"$CALLS\"\necho 'THREADS=many is not allowed' >&2\nexit 2\n";
    project.write("stenogram.stub", refuses, 0o755);
    let outcome = project.run("start.sh", &[]);
    assert_eq!(outcome.status, Some(2));
    assert!(outcome.stderr.contains("THREADS=many is not allowed"), "{}", outcome.stderr);
    assert_eq!(project.calls(), "config\n");
}

#[test]
fn usage_is_told_and_wrong_usage_refused() {
    let project = Project::new("usage");
    let help = project.run("start.sh", &["--help"]);
    assert_eq!(help.status, Some(0));
    for command in "build demo docker service login logout transcribe models queue rules bench health doctor \
         explain config --yes"
        .split(' ')
    {
        assert!(help.stdout.contains(command), "{command}");
    }
    for wrong in [&["fly"][..], &["run", "fast"], &["docker", "fast"]] {
        let outcome = project.run("start.sh", wrong);
        assert_eq!(outcome.status, Some(2), "{wrong:?}");
        assert!(outcome.stderr.contains(wrong[wrong.len() - 1]), "{}", outcome.stderr);
    }
    assert_eq!(project.calls(), "");
}

/// Remedies name commands as `./start.sh COMMAND`, so it must know all of them.
#[test]
fn every_command_of_the_program_is_passed_on() {
    let help = Command::new(support::stenogram()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names: Vec<_> = names.filter(|name| !name.is_empty() && *name != "run").collect();
    assert!(names.contains(&"explain") && names.len() >= 10, "{names:?}");
    let project = Project::new("commands").with_credentials();
    for name in names {
        let outcome = project.run("start.sh", &[name]);
        assert!(project.calls().contains(&format!("stenogram {name};")), "{name}: {}", outcome.stderr);
    }
}

/// A docker-compose whose containers know whether somebody is logged in by a file here.
const COMPOSE: &str = r#"#!/bin/sh
echo "docker-compose $*" >>"$CALLS"
case "$*" in
*" login") touch session ;;
"run "*) [ ! -e broken ] && { [ ! -e session ] || echo logged in; } ;;
esac
"#;

#[test]
fn the_front_door_leads_to_the_containers() {
    let project = Project::new("docker");
    let outcome = project.run("start.sh", &["docker"]);
    assert_eq!(outcome.status, Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("apt-get install docker.io docker-compose"), "{}", outcome.stderr);
    project.stub("docker-compose", COMPOSE);
    project.stub("docker", "#!/bin/sh\n[ -e engine ]\n");
    let outcome = project.run("start.sh", &["docker"]);
    assert_eq!(outcome.status, Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("no Docker engine answers"), "{}", outcome.stderr);
    project.write("engine", "", 0o644);
    let outcome = project.run("start.sh", &["docker"]);
    assert_eq!(outcome.status, Some(2), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("missing: API_HASH"), "{}", outcome.stderr);

    let project = project.with_credentials();
    let outcome = project.run("start.sh", &["docker"]);
    assert_eq!(outcome.status, Some(3), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("'docker-compose run --rm userbot login'"), "{}", outcome.stderr);
    project.remove("../calls");
    let (status, seen) = on_a_terminal(&project, "docker").finish();
    assert_eq!(status, Some(0), "{seen}");
    assert!(seen.contains("stenogram is started"), "{seen}");
    let calls = project.calls();
    let words = |line: &str| line.split(' ').skip(1).take(1).collect::<String>();
    assert_eq!(calls.lines().map(words).collect::<Vec<_>>(), ["build", "run", "run", "up"], "{calls}");
    // From then on also without a terminal.
    project.remove("../calls");
    let outcome = project.run("start.sh", &["docker"]);
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    let calls = project.calls();
    assert_eq!(calls.lines().map(words).collect::<Vec<_>>(), ["build", "run", "up"], "{calls}");
    // What cannot be looked at is not taken for logged out.
    project.write("broken", "", 0o644);
    let outcome = project.run("start.sh", &["docker"]);
    assert_eq!(outcome.status, Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("the image does not run"), "{}", outcome.stderr);
}

#[test]
fn build_builds_and_starts_nothing() {
    let project = Project::new("build");
    let outcome = project.run("start.sh", &["--yes", "build"]);
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    assert!(project.root.join("target/release/stenogram").exists());
    assert_eq!(project.calls(), "");
}

#[test]
fn the_installer_of_the_service_builds_what_is_here() {
    let project = Project::new("installer");
    fs::create_dir(project.root.join("deploy")).unwrap();
    for file in ["install.sh", "stenogramctl", "stenogram.service"].map(|file| format!("deploy/{file}")) {
        fs::copy(Path::new(PROJECT).join(&file), project.root.join(&file)).unwrap();
    }
    symlink(find("install").expect("install is in PATH"), project.root.join("bin/install")).unwrap();
    let outcome = project.run("deploy/install.sh", &["--root", "machine"]);
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    let program = project.root.join("machine/usr/local/bin/stenogram");
    assert_eq!(fs::read_to_string(program).unwrap(), STENOGRAM);
    assert!(!project.calls().contains("stenogram run"), "{}", project.calls());

    project.stub("cargo", "#!/bin/sh\n[ \"$1\" != --version ] || { echo 'cargo 1.95.0'; exit; }\nexit 101\n");
    let outcome = project.run("deploy/install.sh", &["--root", "another"]);
    assert_eq!(outcome.status, Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("nothing was installed"), "{}", outcome.stderr);
    assert!(!project.root.join("another").exists());
}

#[test]
fn commands_go_to_the_program_and_files_are_meant_from_where_one_stands() {
    let project = Project::new("pass through");
    project.write("elsewhere/a voice.ogg", "OggS", 0o644);
    let elsewhere = project.root.join("elsewhere");
    let arguments = ["--yes", "transcribe", "a voice.ogg", "--language", "ru", "-"];
    let outcome: Outcome =
        project.script("start.sh", &arguments).current_dir(&elsewhere).output().unwrap().into();
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    let expected = format!("stenogram transcribe {}/a voice.ogg --language ru -;", elsewhere.display());
    assert!(project.calls().contains(&expected), "{}", project.calls());
    assert_eq!(outcome.stdout, "", "stdout is the program's");
}

#[test]
fn what_is_missing_is_named_where_nobody_can_install_it() {
    let project = Project::new("no root").with_credentials();
    project.stub("id", "#!/bin/sh\necho 1000\n");
    project.remove("cmake");
    project.remove("g++");
    let outcome = project.run("start.sh", &[]);
    assert_eq!(outcome.status, Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("apt-get install build-essential cmake"), "{}", outcome.stderr);

    project.remove("apt-get");
    let outcome = project.run("start.sh", &[]);
    assert_eq!(outcome.status, Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("apt only"), "{}", outcome.stderr);
    assert_eq!(project.calls(), "");
}

#[test]
fn what_is_missing_is_installed_through_sudo_and_said() {
    let project = Project::new("sudo").with_credentials().with_session().with_model();
    project.stub("id", "#!/bin/sh\necho 1000\n");
    project.remove("cmake");
    project.stub("sudo", "#!/bin/sh\n[ \"$2\" = true ] || echo \"sudo $1 packages: $6\" >>\"$CALLS\"\n");
    let outcome = project.run("start.sh", &[]);
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("Installing: cmake"), "{}", outcome.stderr);
    assert!(project.calls().starts_with("sudo -n packages: cmake\n"), "{}", project.calls());

    project.stub("sudo", "#!/bin/sh\n[ \"$2\" = true ] || exit 100\n");
    let outcome = project.run("start.sh", &[]);
    assert_eq!(outcome.status, Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("apt could not install: cmake"), "{}", outcome.stderr);
}

#[test]
fn an_old_rust_is_not_taken_and_an_unreachable_rustup_is_said() {
    let project = Project::new("old rust").with_credentials();
    project.stub("cargo", "#!/bin/sh\necho 'cargo 1.63.0'\n");
    project.stub("curl", "#!/bin/sh\nexit 6\n");
    let outcome = project.run("start.sh", &[]);
    assert_eq!(outcome.status, Some(1), "{}", outcome.stderr);
    for expected in ["1.63.0", "https://sh.rustup.rs cannot be reached"] {
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
}

#[test]
fn at_a_terminal_it_asks_writes_the_file_and_goes_on_to_login_and_run() {
    let project = Project::new("terminal");
    let mut session = on_a_terminal(&project, "run");
    session.wait_for("my.telegram.org");
    session.wait_for("API_ID: ");
    session.type_line("my id");
    session.wait_for("a number such as");
    session.wait_for("API_ID: ");
    session.type_line("1234567");
    session.wait_for("API_HASH (not shown): ");
    session.type_line(HASH);
    let (status, seen) = session.finish();
    assert_eq!(status, Some(0), "{seen}");
    assert!(seen.contains("1234567"), "what is no secret is echoed");
    assert!(!seen.contains(HASH), "the hash is not echoed");

    let file = project.root.join(".env");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    let set = |line: &str| text.lines().filter(|&l| l == line).count() == 1;
    assert!(set("API_ID=1234567") && set(&format!("API_HASH={HASH}")), "{text}");
    let lines = |text: &str| {
        text.lines().filter(|line| !line.contains("API_")).map(str::to_owned).collect::<Vec<_>>()
    };
    let example = fs::read_to_string(project.root.join(".env.example")).unwrap();
    assert_eq!(lines(&text), lines(&example), "the rest is the example's");

    let calls = project.calls();
    let calls: Vec<_> = calls.lines().filter_map(|call| call.split(';').next()).collect();
    assert_eq!(calls, ["stenogram config", "stenogram login", "stenogram models pull", "stenogram run"]);
}

#[test]
fn at_a_terminal_nothing_is_installed_against_ones_will() {
    let project = Project::new("declined").with_credentials();
    project.remove("cmake");
    let mut session = on_a_terminal(&project, "run");
    session.wait_for("Install them now with apt? [Y/n] ");
    session.type_line("n");
    let (status, seen) = session.finish();
    assert_eq!(status, Some(1), "{seen}");
    assert!(seen.contains("not installed: cmake"), "{seen}");
    assert_eq!(project.calls(), "");
}

#[test]
fn ctrl_c_at_a_prompt_leaves_nothing_half_written() {
    let project = Project::new("ctrl-c");
    let mut session = on_a_terminal(&project, "run");
    session.wait_for("API_ID: ");
    session.type_line("1234567");
    session.wait_for("API_HASH (not shown): ");
    session.type_line("\u{3}");
    let (status, seen) = session.finish();
    assert_eq!(status, Some(130), "{seen}");
    assert!(seen.contains("./start.sh goes on where this ended"), "{seen}");
    let left: Vec<_> = fs::read_dir(&project.root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".env") && name != ".env.example")
        .collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn the_total_of_the_tests_is_that_of_all_programs() {
    let project = Project::new("totals");
    for tool in ["redis-server", "espeak-ng", "ffmpeg", "python3", "faketime"] {
        project.stub(tool, "#!/bin/sh\n");
    }
    let cargo_test = |lines: &str| {
        project.stub(
            "cargo",
            &format!(
                "#!/bin/sh\n[ \"$1\" != --version ] || {{ echo 'cargo 1.95.0'; exit; }}\n\
                 echo \"cargo $*\" >>\"$CALLS\"\n{lines}\n"
            ),
        );
        project.run("test.sh", &["--yes", "queue::"])
    };
    let total = |outcome: &Outcome| outcome.stdout.lines().last().unwrap_or_default().to_owned();
    let result = |numbers: &str| format!("echo 'test result: {numbers}; 0 measured; 3 filtered out'");

    let outcome = cargo_test(
        &[result("ok. 3 passed; 0 failed; 1 ignored"), result("ok. 2 passed; 0 failed; 0 ignored")]
            .join("\n"),
    );
    assert_eq!((outcome.status, total(&outcome).as_str()), (Some(0), "5 passed, 0 failed, 1 skipped"));
    assert!(project.calls().contains("--workspace --locked --no-fail-fast queue::"), "{}", project.calls());

    let outcome = cargo_test(&(result("FAILED. 2 passed; 1 failed; 0 ignored") + "\nexit 101"));
    assert_eq!((outcome.status, total(&outcome).as_str()), (Some(101), "2 passed, 1 failed, 0 skipped"));

    let outcome = cargo_test(&(result("ok. 2 passed; 0 failed; 0 ignored") + "\nexit 101"));
    assert_eq!((outcome.status, total(&outcome).as_str()), (Some(101), "2 passed, 1 failed, 0 skipped"));

    // What is left out counts once for each test, also behind an unfinished line, and not for a test
    // that failed.
    let left_out = [
        "echo 'SKIPPED: speech::long: no ../shared/data/long.ogg'",
        "echo 'SKIPPED: speech::long: no ../shared/data/longer.ogg'",
        "echo 'test page::looks ... SKIPPED: page::looks: there is no Chromium'",
        "echo 'SKIPPED: doctor::disk: mounting is not permitted'",
        "echo 'test doctor::disk ... FAILED'",
    ];
    let outcome = cargo_test(
        &[&left_out.join("\n"), &result("FAILED. 5 passed; 1 failed; 0 ignored"), "exit 101"].join("\n"),
    );
    assert_eq!((outcome.status, total(&outcome).as_str()), (Some(101), "3 passed, 1 failed, 2 skipped"));

    let outcome = cargo_test("exit 101");
    assert_eq!(outcome.status, Some(101));
    assert!(outcome.stdout.contains("No test ran to its end"), "{}", outcome.stdout);
}

/// A program that answers `doctor` with these lines and this exit code.
fn doctor(lines: &str, exit: i32) -> String {
    format!("#!/bin/sh\necho \"stenogram $*\" >>\"$CALLS\"\nprintf '%s\\n' '{lines}'\nexit {exit}\n")
}

#[test]
fn the_health_check_asks_the_doctor_and_fails_with_it() {
    let project = Project::new("health");
    let outcome = project.run("health_check.sh", &[]);
    assert_eq!(outcome.status, Some(1), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("FAIL  program         is not built"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("-> ./start.sh"), "{}", outcome.stdout);

    let well = "ok    session         is whole and yours alone";
    for (lines, exit, status) in [
        (well, 0, 0),
        ("FAIL  session         is damaged", 1, 1),
        ("warn  daemon          is not running", 0, 1),
    ] {
        project.write("target/release/stenogram", &doctor(lines, exit), 0o755);
        let outcome = project.run("health_check.sh", &[]);
        assert_eq!(outcome.status, Some(status), "{}", outcome.stdout);
        assert!(outcome.stdout.contains(lines), "{}", outcome.stdout);
        assert!(outcome.stdout.contains(" MiB in all"), "{}", outcome.stdout);
    }
    assert!(project.calls().contains("stenogram doctor"), "{}", project.calls());
    assert_eq!(project.run("health_check.sh", &["now"]).status, Some(2));
}

#[test]
fn the_health_check_knows_whether_the_clock_is_kept_right() {
    let project = Project::new("clock");
    project.write("target/release/stenogram", &doctor("ok", 0), 0o755);
    project.stub("timedatectl", "#!/bin/sh\necho no\n");
    let outcome = project.run("health_check.sh", &[]);
    assert_eq!(outcome.status, Some(0), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("warn  host's clock    is not kept right"), "{}", outcome.stdout);
    project.stub("chronyc", "#!/bin/sh\necho 'Leap status     : Normal'\n");
    let outcome = project.run("health_check.sh", &[]);
    assert!(outcome.stdout.contains("ok    host's clock    is kept right"), "{}", outcome.stdout);
}

#[test]
fn the_health_check_asks_about_the_service_as_its_user() {
    let project = Project::new("service");
    project.stub("id", "#!/bin/sh\necho 0\n");
    project.stub("stenogramctl", "#!/bin/sh\necho \"ok    as the service, $*\"\n");
    project.stub("systemctl", "#!/bin/sh\n[ \"$1\" != is-active ] || cat state\n");
    project.write("state", "active\n", 0o644);
    let outcome = project.run("health_check.sh", &[]);
    assert_eq!(outcome.status, Some(0), "{}", outcome.stdout);
    for expected in ["ok    as the service, doctor\n", "ok    service         stenogram.service is active"] {
        assert!(outcome.stdout.contains(expected), "{expected}: {}", outcome.stdout);
    }
    project.write("state", "failed\n", 0o644);
    let outcome = project.run("health_check.sh", &[]);
    assert_eq!(outcome.status, Some(1), "{}", outcome.stdout);
    assert!(
        outcome.stdout.contains("FAIL  service         stenogram.service is failed"),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.contains("-> systemctl start stenogram"), "{}", outcome.stdout);
}

#[test]
fn the_health_check_looks_at_the_containers_and_asks_the_doctor_within() {
    let project = Project::new("containers");
    // Whether a container is, and is not, what it should be, stands in files here.
    project.stub(
        "docker-compose",
        "#!/bin/sh\necho \"docker-compose $*\" >>\"$CALLS\"\ncase $1 in\n\
         ps) [ ! -e \"gone $4\" ] && echo \"id-of-$4\" || true ;;\n\
         exec) echo 'ok    login           Telegram accepts the session' ;;\nesac\n",
    );
    project.stub(
        "docker",
        "#!/bin/sh\ncase \"$*\" in\n*OOMKilled*) [ ! -e oom ] && echo false || echo true ;;\n\
         *Health*) [ ! -e unhealthy ] && echo healthy || echo unhealthy ;;\n*Status*) [ ! -e exited ] && echo running || echo exited ;;\n\
         info*) echo / ;;\nesac\n",
    );
    project.stub(
        "df",
        "#!/bin/sh\necho Filesystem 1M-blocks Used Available\n\
         [ ! -e full ] && echo disk 9999 1 9998 || echo disk 9999 9879 120\n",
    );
    let outcome = project.run("health_check.sh", &[]);
    assert_eq!(outcome.status, Some(0), "{}", outcome.stdout);
    for expected in
        ["Telegram accepts the session", "userbot         container running, healthy", "Docker's disk"]
    {
        assert!(outcome.stdout.contains(expected), "{expected}: {}", outcome.stdout);
    }
    assert!(project.calls().contains("exec -T userbot stenogram doctor"), "{}", project.calls());
    for (fault, says, remedy) in [
        ("exited", "its container is exited", "docker-compose up -d"),
        ("oom", "was killed for want of memory", "raise USERBOT_MEMORY"),
        ("gone redis", "redis           has no container", "docker-compose up -d"),
        ("unhealthy", "userbot         is running and unhealthy", "docker-compose logs userbot"),
        ("full", "Docker's disk   only 120 MB free", "make room"),
    ] {
        project.write(fault, "", 0o644);
        let outcome = project.run("health_check.sh", &[]);
        assert_eq!(outcome.status, Some(1), "{}", outcome.stdout);
        let mut lines = outcome.stdout.lines().skip_while(|line| !line.contains(says));
        assert!(lines.next().is_some_and(|line| line.starts_with("FAIL")), "{says}: {}", outcome.stdout);
        assert!(lines.next().unwrap().contains(remedy), "{says}: {}", outcome.stdout);
        fs::remove_file(project.root.join(fault)).unwrap();
    }
}

#[test]
fn the_health_check_knows_a_small_host_and_an_lxc_without_nesting() {
    if Path::new("/dev/.lxc/proc").exists() {
        skipped("this is an LXC with nesting");
        return;
    }
    let project = Project::new("host");
    project.write("target/release/stenogram", &doctor("ok", 0), 0o755);
    // Files of this machine's kernel and init, as another machine has them.
    let (awk, cat) = (find("awk").unwrap(), find("cat").unwrap());
    let awk = format!(
        "#!/bin/sh\ncase \"$*\" in\n*/proc/meminfo) echo 900 ;;\n*/proc/self/uid_map) echo 0 ;;\n\
         *) exec {} \"$@\" ;;\nesac\n",
        awk.display()
    );
    let cat = format!(
        "#!/bin/sh\n[ \"$1\" = /run/systemd/container ] && echo lxc || exec {} \"$@\"\n",
        cat.display()
    );
    project.stub("awk", &awk);
    project.stub("cat", &cat);
    let outcome = project.run("health_check.sh", &[]);
    assert_eq!(outcome.status, Some(0), "{}", outcome.stdout);
    for (finding, remedy) in [
        ("memory          900 MiB in all", "2 GB carry tiny and base"),
        ("LXC             nesting seems to be off", "pct set ID --features nesting=1"),
        ("LXC             the container is privileged", "make an unprivileged one"),
    ] {
        let mut lines = outcome.stdout.lines().skip_while(|line| !line.contains(finding));
        assert!(lines.next().is_some_and(|line| line.starts_with("warn")), "{finding}: {}", outcome.stdout);
        assert!(lines.next().unwrap().contains(remedy), "{finding}: {}", outcome.stdout);
    }
}

/// The container's entrypoint, polling every 50 ms, over a daemon of the given shell lines.
fn supervise(project: &Project, daemon: &str) -> Running {
    project.stub("stenogram", &format!("#!/bin/sh\n{daemon}\n"));
    project.stub("sleep", &format!("#!/bin/sh\nexec {} 0.05\n", find("sleep").unwrap().display()));
    let mut entrypoint = project.command("sh");
    entrypoint.args(["-c", "exec sh scripts/docker-supervise.sh 2>&1"]).env("DATA_DIR", "data");
    Running::start(entrypoint)
}

#[test]
fn in_a_container_a_logged_out_daemon_waits_and_starts_again_after_a_login() {
    let project = Project::new("container");
    let mut running =
        supervise(&project, "[ -s \"$DATA_DIR/account.session\" ] || exit 3\necho running\nexit 7");
    running.wait_for("docker-compose run --rm userbot login");
    project.write("data/account.session", "session", 0o600);
    running.wait_for("running");
    assert_eq!(running.finish().0, Some(7), "any other end is Docker's to restart");
}

#[test]
fn in_a_container_a_changed_configuration_starts_the_daemon_again() {
    let project = Project::new("container configuration");
    project.write(".env", "LANGUAGE=klingon", 0o600);
    let mut running = supervise(&project, "grep -q =en .env || exit 2\necho running\nexit 7");
    running.wait_for("Mend .env");
    project.write(".env", "LANGUAGE=en", 0o600);
    running.wait_for("running");
    assert_eq!(running.finish().0, Some(7));
}

#[test]
fn in_a_container_a_missing_model_is_fetched_again_and_again_before_the_daemon_starts() {
    let project = Project::new("container model").with_session();
    // As `stenogram models list` has it, wrong the first time.
    let mut running = supervise(
        &project,
        "here() { [ -e model ] && echo yes || echo -; }\n\
         case $* in\n\
         'models list') echo \"base *  147.95 MB   388 MiB  60ed5bc3dd14  $(here)  the default\" ;;\n\
         'models pull') [ ! -e tried ] || touch model; touch tried; [ -e model ] ;;\n\
         run) [ -e model ] && echo running; exit 7 ;;\nesac",
    );
    running.wait_for("The model could not be fetched");
    running.wait_for("The model is not here yet");
    running.wait_for("running");
    assert_eq!(running.finish().0, Some(7));
}

/// What `setup` makes of this .env: its exit code and words, the daemon's copy, and Redis' configuration.
fn handed_over(project: &Project, env: &str) -> (Outcome, String, String) {
    project.write(".env", env, 0o600);
    project.stub("chown", "#!/bin/sh\n");
    for folder in ["daemon", "redis"] {
        fs::create_dir_all(project.root.join(folder)).unwrap();
    }
    let mut setup = project.command("sh");
    let outcome = setup.args(["scripts/docker-setup.sh", ".env", "daemon", "redis"]).output().unwrap().into();
    let read = |file: &str| fs::read_to_string(project.root.join(file)).unwrap_or_default();
    (outcome, read("daemon/env"), read("redis/redis.conf"))
}

#[test]
fn the_containers_are_handed_what_each_needs() {
    let project = Project::new("setup");
    for (password, line) in [
        ("", None),
        ("  # none", None),
        ("plain-1 # a comment", Some("plain-1")),
        ("\"with blanks\"", Some("with blanks")),
        (r#"'a b$c"d\e#f' # a comment"#, Some(r#"a b$c\"d\\e#f"#)),
    ] {
        let (outcome, daemon, redis) = handed_over(
            &project,
            &format!(
                "API_ID=1\nREDIS_URL=redis://elsewhere\nexport REDIS_PASSWORD={password}\r\nREDIS_PASSWORD=second\n"
            ),
        );
        assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("REDIS_URL in .env is not used"), "{}", outcome.stderr);
        assert!(daemon.starts_with("API_ID=1\nexport REDIS_PASSWORD="), "{daemon}");
        match line {
            Some(line) => assert_eq!(redis, format!("requirepass \"{line}\"\n")),
            None => assert!(redis.starts_with('#'), "{redis}"),
        }
    }
    for password in ["\"a$b\"", "a\\b", "it's", "\"a\\\"b\""] {
        let (outcome, ..) = handed_over(&project, &format!("REDIS_PASSWORD={password}\n"));
        assert_eq!(outcome.status, Some(1), "{password}");
        assert!(outcome.stderr.contains("put it between 'single quotes'"), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains(password), "{}", outcome.stderr);
    }
}

/// Where no Redis is next door, the way to another machine's is the owner's; where other machines
/// reach the one next door, it wants a password.
#[test]
fn the_containers_of_a_fleet_are_handed_what_each_needs() {
    let project = Project::new("setup of a fleet");
    project.write(".env", "REDIS_URL=redis://nas/\nMODEL=small\n", 0o600);
    project.stub("chown", "#!/bin/sh\n");
    fs::create_dir(project.root.join("worker")).unwrap();
    let setup = |folder: &str, open: &str| -> Outcome {
        let mut setup = project.command("sh");
        setup.env("SETUP_OPEN_REDIS", open);
        setup.args(["scripts/docker-setup.sh", ".env", "worker", folder]).output().unwrap().into()
    };
    let outcome = setup("nowhere", "");
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    let handed = || fs::read_to_string(project.root.join("worker/env")).unwrap();
    assert_eq!(handed(), "REDIS_URL=redis://nas/\nMODEL=small\n");
    assert!(!project.root.join("nowhere").exists());

    fs::create_dir(project.root.join("redis")).unwrap();
    let outcome = setup("redis", "1");
    assert_eq!(outcome.status, Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("REDIS_PASSWORD is missing in .env"), "{}", outcome.stderr);
    assert!(!project.root.join("redis/redis.conf").exists(), "no server without a password starts");
    project.write(".env", "REDIS_PASSWORD=secret\nMODEL=small\n", 0o600);
    let outcome = setup("redis", "1");
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    assert_eq!(handed(), "REDIS_PASSWORD=secret\nMODEL=small\n");
}

/// The roles in containers: a worker fetches its model without a login, a gateway none at all, and
/// what is to be typed names the right service.
#[test]
fn in_a_container_the_roles_are_waited_for_too() {
    let role = |name: &str, service: &str, program: &str| {
        let project = Project::new(name);
        project.stub("stenogram", &format!("#!/bin/sh\n{program}\n"));
        let mut supervise = project.command("sh");
        supervise.args(["scripts/docker-supervise.sh", name]);
        supervise.env("DATA_DIR", "data").env("STENOGRAM_RUN_BY", format!("docker-compose {service}"));
        let outcome: Outcome = supervise.output().unwrap().into();
        (outcome, project.calls())
    };
    let fetching = "echo \"$*\" >>\"$CALLS\"
case $1 in
models) [ \"$2\" = pull ] && touch pulled; [ -e pulled ] || echo 'base * 1 MB - ' ;;
*) exit 7 ;;
esac";
    let (outcome, calls) = role("worker", "worker", fetching);
    assert_eq!(outcome.status, Some(7), "{}", outcome.stderr);
    assert!(calls.contains("models pull") && calls.ends_with("worker\n"), "{calls}");
    let (outcome, calls) = role("gateway", "account2", fetching);
    assert_eq!((outcome.status, calls.as_str()), (Some(7), "gateway\n"), "{}", outcome.stderr);
}

#[test]
fn in_a_container_a_stop_reaches_the_daemon_and_ends_the_waiting() {
    let terminate = |running: &Running| {
        let pid = running.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    };
    let project = Project::new("container stopped");
    let mut running =
        supervise(&project, "trap 'echo orderly; exit 0' TERM\necho running\nwhile true; do sleep 1; done");
    running.wait_for("running");
    terminate(&running);
    running.wait_for("orderly");
    assert_eq!(running.finish().0, Some(0));

    let project = Project::new("container waiting");
    let mut running = supervise(&project, "exit 2");
    running.wait_for("Mend .env");
    terminate(&running);
    assert_eq!(running.finish().0, Some(0));
}

#[test]
fn shellcheck_has_nothing_to_say() {
    let Some(shellcheck) = find("shellcheck") else {
        skipped("shellcheck is not installed");
        return;
    };
    let scripts = [
        "start.sh",
        "test.sh",
        "health_check.sh",
        ".ci/run",
        "scripts/setup.sh",
        "scripts/docker-build.sh",
        "scripts/docker-setup.sh",
        "scripts/docker-supervise.sh",
        "deploy/install.sh",
        "deploy/stenogramctl",
        "tests/systemd/run.sh",
        "tests/docker/run.sh",
    ];
    let outcome: Outcome =
        Command::new(shellcheck).arg("-x").args(scripts).current_dir(PROJECT).output().unwrap().into();
    assert_eq!(outcome.status, Some(0), "{}", outcome.stdout);
}
