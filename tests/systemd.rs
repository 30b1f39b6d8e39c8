//! The systemd unit and its installer, as files: what systemd's own tools say of the unit, and an installation below a
//! folder. tests/systemd/run.sh starts it all under a real systemd.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::skipped;
use tempfile::TempDir;

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");
const UNIT: &str = "etc/systemd/system/stenogram.service";
const DROP_IN: &str = "etc/systemd/system/stenogram.service.d/without-namespaces.conf";
const CONFIGURATION: &str = "etc/stenogram/stenogram.env";
/// In tenths, as `--threshold` wants it.
const EXPOSURE: u32 = 15;
const EXPOSURE_WITHOUT_NAMESPACES: u32 = 40;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(PROJECT).join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// A folder as the file system of a machine, for the installer.
struct Machine {
    root: TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { root: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.root.path().join(file)
    }

    /// `deploy/install.sh` with a stand-in for the program, which is not looked at here.
    fn installer(&self, args: &[&str]) -> Output {
        let mut command = Command::new(Path::new(PROJECT).join("deploy/install.sh"));
        command.args(args).arg("--root").arg(self.root.path()).output().expect("run the installer")
    }

    fn install(&self, args: &[&str]) -> Output {
        let output = self.installer(&[&["--binary", "/bin/true"], args].concat());
        assert!(output.status.success(), "{}", text(&output));
        output
    }

    /// Every file below the folder with its mode, sorted.
    fn files(&self) -> Vec<(String, u32)> {
        fn collect(root: &Path, folder: &Path, found: &mut Vec<(String, u32)>) {
            for entry in fs::read_dir(folder).expect("read a folder") {
                let path = entry.expect("read a folder").path();
                if path.is_dir() {
                    collect(root, &path, found);
                } else {
                    let mode = fs::metadata(&path).expect("look at a file").permissions().mode() & 0o7777;
                    let name = path.strip_prefix(root).expect("it is below").to_str().expect("UTF-8");
                    found.push((name.to_owned(), mode));
                }
            }
        }
        let mut found = Vec::new();
        collect(self.root.path(), self.root.path(), &mut found);
        found.sort();
        found
    }
}

/// The files of an installation without drop-in.
fn installed() -> Vec<(String, u32)> {
    let files = [
        (CONFIGURATION, 0o600),
        (UNIT, 0o644),
        ("usr/local/bin/stenogram", 0o755),
        ("usr/local/bin/stenogramctl", 0o755),
    ];
    files.map(|(file, mode)| (file.to_owned(), mode)).to_vec()
}

/// None where systemd is not installed, or too old to look at files: said aloud.
fn analyze(args: &[&str]) -> Option<Output> {
    let version = Command::new("systemd-analyze").arg("--version").output().ok().map(|output| text(&output));
    let version = version.and_then(|text| text.split_whitespace().nth(1)?.parse::<u32>().ok());
    if version.is_none_or(|version| version < 250) {
        skipped("systemd-analyze of systemd 250 or newer is not here");
        return None;
    }
    Some(Command::new("systemd-analyze").arg("--no-pager").args(args).output().expect("run systemd-analyze"))
}

/// Whether the unit below `machine` is exposed by so many tenths at most.
fn is_exposed_at_most(machine: &Machine, tenths: u32) -> Option<(bool, String)> {
    let unit = machine.path(UNIT);
    let threshold = format!("--threshold={tenths}");
    let output = analyze(&["security", "--offline=true", &threshold, unit.to_str().expect("UTF-8")])?;
    Some((output.status.success(), text(&output)))
}

#[test]
fn the_unit_is_exposed_by_1_5_at_most_and_by_4_without_namespaces() {
    let machine = Machine::new();
    machine.install(&[]);
    let Some((is_good, report)) = is_exposed_at_most(&machine, EXPOSURE) else { return };
    assert!(is_good, "{report}");
    // The tool does look at the threshold.
    assert!(!is_exposed_at_most(&machine, 1).expect("it was here just now").0);
    machine.install(&["--without-namespaces"]);
    assert!(!is_exposed_at_most(&machine, EXPOSURE).expect("it was here just now").0);
    let (is_good, report) = is_exposed_at_most(&machine, EXPOSURE_WITHOUT_NAMESPACES).expect("as before");
    assert!(is_good, "{report}");
}

/// The units differ in what they run, with which files; from the sandbox on they are one.
#[test]
fn the_units_of_a_fleet_have_the_sandbox_of_the_service() {
    let sandbox = |file: &str| {
        let unit = read(file);
        unit.split_once("\nTasksMax=").unwrap_or_else(|| panic!("{file}: {unit}")).1.to_owned()
    };
    let wanted = sandbox("deploy/stenogram.service");
    for file in ["deploy/stenogram-worker.service", "deploy/stenogram@.service"] {
        assert_eq!(sandbox(file), wanted, "{file}");
    }
}

#[test]
fn the_unit_leaves_memory_to_the_machine() {
    let unit = read("deploy/stenogram.service");
    assert!(unit.lines().any(|line| line == "MemoryMax=80%"), "{unit}");
}

#[test]
fn systemd_understands_all_of_the_unit_and_of_the_drop_in() {
    for args in [&[][..], &["--without-namespaces"]] {
        let machine = Machine::new();
        machine.install(args);
        // The programs that it names are looked for on this machine.
        machine.install(&[args, &["--worker", "--account", "anna"]].concat());
        let program = machine.path("usr/local/bin/stenogram");
        let services = [
            ("stenogram", "stenogram"),
            ("stenogram-worker", "stenogram-worker"),
            ("stenogram@", "stenogram@anna"),
        ];
        for (file, instance) in services {
            let unit = machine.path(&format!("etc/systemd/system/{file}.service"));
            let adapted = read(&format!("deploy/{file}.service"))
                .replace("/usr/local/bin/stenogram", program.to_str().expect("UTF-8"));
            fs::write(&unit, adapted).expect("write the unit");
            let unit = unit.with_file_name(format!("{instance}.service"));
            let Some(output) = analyze(&["verify", "--man=no", unit.to_str().expect("UTF-8")]) else {
                return;
            };
            let said = text(&output);
            assert!(output.status.success(), "{said}");
            // An unknown setting is only warned of.
            assert!(!said.contains(&format!("{file}.service:")), "{said}");
        }
    }
}

#[test]
fn the_drop_in_takes_back_every_setting_that_needs_a_namespace() {
    let unit = read("deploy/stenogram.service");
    let (_, needing) = unit.split_once("# From here on namespaces are needed").expect("the mark in the unit");
    let (needing, _) = needing.split_once("[Install]").expect("the next section");
    let drop_in = read("deploy/without-namespaces.conf");
    let mut settings = vec!["LoadCredential"];
    settings.extend(needing.lines().filter_map(|line| Some(line.split_once('=')?.0)));
    assert!(settings.len() > 10, "{settings:?}");
    for setting in settings {
        let line = drop_in.lines().find(|line| line.split_once('=').is_some_and(|(name, _)| name == setting));
        let value = line.unwrap_or_else(|| panic!("{setting} is not taken back")).split_once('=').unwrap().1;
        assert!(["", "no", "default"].contains(&value), "{setting}={value}");
    }
}

#[test]
fn an_upgrade_keeps_what_is_the_owners_and_renews_the_rest() {
    let machine = Machine::new();
    machine.install(&[]);
    assert_eq!(machine.files(), installed());
    assert_eq!(
        fs::read_to_string(machine.path(CONFIGURATION)).unwrap(),
        read(".env.example"),
        "the first configuration is the example"
    );
    let configuration = "API_ID=1\n";
    fs::write(machine.path(CONFIGURATION), configuration).unwrap();
    fs::set_permissions(machine.path(CONFIGURATION), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(machine.path(UNIT), "old").unwrap();
    let session = machine.path("var/lib/stenogram/data/account.session");
    fs::create_dir_all(session.parent().unwrap()).unwrap();
    fs::write(&session, "session").unwrap();
    let own = machine.path("etc/systemd/system/stenogram.service.d/override.conf");
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    fs::write(&own, "[Service]\n").unwrap();

    machine.install(&[]);
    assert_eq!(fs::read_to_string(machine.path(CONFIGURATION)).unwrap(), configuration);
    let mode = fs::metadata(machine.path(CONFIGURATION)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it is closed again");
    assert_eq!(fs::read_to_string(machine.path(UNIT)).unwrap(), read("deploy/stenogram.service"));
    assert!(session.exists() && own.exists());

    let output = machine.installer(&["uninstall"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(!machine.path(UNIT).exists() && !machine.path("usr/local/bin/stenogramctl").exists());
    assert!(session.exists() && own.exists() && machine.path(CONFIGURATION).exists());

    for _ in 0..2 {
        let output = machine.installer(&["uninstall", "--purge"]);
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(machine.files(), []);
    }
}

/// A machine has a worker, or gateways, or both, and an upgrade brings up to date what it has.
#[test]
fn a_machine_gets_the_services_of_a_fleet_that_are_asked_for() {
    let machine = Machine::new();
    let names = || machine.files().into_iter().map(|(file, _)| file).collect::<Vec<_>>();
    let worker_env = "etc/stenogram/worker.env";
    let programs = ["usr/local/bin/stenogram", "usr/local/bin/stenogramctl"];
    machine.install(&["--worker"]);
    let worker = [worker_env, "etc/systemd/system/stenogram-worker.service", programs[0], programs[1]];
    assert_eq!(names(), worker);

    machine.install(&["--account", "anna", "--account", "boris"]);
    let accounts = ["etc/stenogram/accounts/anna.env", "etc/stenogram/accounts/boris.env"];
    let units = ["etc/systemd/system/stenogram-worker.service", "etc/systemd/system/stenogram@.service"];
    let all = [accounts[0], accounts[1], worker_env, units[0], units[1], programs[0], programs[1]];
    assert_eq!(names(), all);
    assert_eq!(fs::metadata(machine.path(accounts[0])).unwrap().permissions().mode() & 0o777, 0o600);

    fs::write(machine.path(units[0]), "old").unwrap();
    fs::write(machine.path(accounts[0]), "API_ID=1\n").unwrap();
    machine.install(&[]);
    assert_eq!(names(), all, "the service that does everything is not installed beside them");
    assert_eq!(fs::read_to_string(machine.path(units[0])).unwrap(), read("deploy/stenogram-worker.service"));
    assert_eq!(fs::read_to_string(machine.path(accounts[0])).unwrap(), "API_ID=1\n");

    machine.install(&["--without-namespaces"]);
    for (unit, file) in [(units[0], "worker.env"), (units[1], "accounts/%i.env")] {
        let drop_in = fs::read_to_string(machine.path(&format!("{unit}.d/without-namespaces.conf"))).unwrap();
        assert!(drop_in.contains(&format!("\nEnvironment=ENV_FILE=/etc/stenogram/{file}\n")), "{drop_in}");
    }
    assert!(machine.installer(&["uninstall"]).status.success());
    assert_eq!(names(), [accounts[0], accounts[1], worker_env]);
    assert!(machine.installer(&["uninstall", "--purge"]).status.success());
    assert_eq!(machine.files(), []);
}

#[test]
fn the_drop_in_stays_until_it_is_taken_away() {
    let machine = Machine::new();
    let mut with_drop_in = installed();
    with_drop_in.push((DROP_IN.to_owned(), 0o644));
    with_drop_in.sort();
    machine.install(&["--without-namespaces"]);
    assert_eq!(machine.files(), with_drop_in);
    fs::write(machine.path(DROP_IN), "old").unwrap();
    machine.install(&[]);
    assert_eq!(fs::read_to_string(machine.path(DROP_IN)).unwrap(), read("deploy/without-namespaces.conf"));
    machine.install(&["--with-namespaces"]);
    assert_eq!(machine.files(), installed());
    machine.install(&["--without-namespaces"]);
    assert!(machine.installer(&["uninstall"]).status.success());
    assert!(!machine.path("etc/systemd/system/stenogram.service.d").exists());
}

#[test]
fn what_cannot_be_is_said_and_nothing_installed() {
    let machine = Machine::new();
    for (args, status, says) in [
        (&["--binary", "/nowhere"][..], 1, "/nowhere: that is no program"),
        (&["--binary", "/bin/false"], 1, "does not run on this machine"),
        (&["--binary"], 2, "wants a path"),
        (&["fly"], 2, "unknown argument 'fly'"),
        (&["--purge", "--binary", "/bin/true"], 2, "--purge belongs to uninstall"),
        (&["--account", "../anna"], 2, "wants a name"),
        (&["--account"], 2, "wants a name"),
        (&["uninstall", "--worker"], 2, "uninstall takes only"),
        (&["uninstall", "--without-namespaces"], 2, "uninstall takes only"),
    ] {
        // What wants a path is last.
        let mut command = Command::new(Path::new(PROJECT).join("deploy/install.sh"));
        command.arg("--root").arg(machine.root.path()).args(args);
        let output = command.output().expect("run the installer");
        assert_eq!(output.status.code(), Some(status), "{args:?}: {}", text(&output));
        assert!(text(&output).contains(says), "{args:?}: {}", text(&output));
        assert_eq!(machine.files(), [], "{args:?}");
    }
    let help = machine.installer(&["--help"]);
    assert!(help.status.success() && text(&help).contains("uninstall [--purge]"), "{}", text(&help));
}

#[test]
fn stenogramctl_says_what_it_is_for_and_leaves_the_daemon_to_systemd() {
    let stenogramctl = |args: &[&str]| {
        Command::new(Path::new(PROJECT).join("deploy/stenogramctl")).args(args).output().unwrap()
    };
    for args in [&[][..], &["--help"]] {
        let output = stenogramctl(args);
        assert!(output.status.success() && text(&output).contains("stenogramctl login"), "{}", text(&output));
    }
    for (args, start) in [
        (&["run"][..], "start stenogram\n"),
        (&["--worker", "worker"], "start stenogram-worker\n"),
        (&["--account", "anna", "gateway"], "start stenogram@anna\n"),
    ] {
        let output = stenogramctl(args);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output).contains(&format!("sudo systemctl {start}")), "{}", text(&output));
    }
}
