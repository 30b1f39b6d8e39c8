//! `stenogram models`: the real binary, and a mirror on loopback that gives what each test wants.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fake_telegram::Telegram;
use stenogram::speech::models::{SILERO_VAD, SPEECH_MODELS, catalogue};
use support::daemon::Home;
use support::http::{Reply, Request, Server};
use support::skipped;
use support::terminal::Terminal;

/// A speech model that is not in the catalogue.
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/micro/ggml-micro-q8_0.bin");

/// The catalogue's smallest.
const VAD: &str = "silero-v5.1.2";

/// What `url` mirrors is what is fetched.
fn home(url: &str) -> Home {
    let mut home = Home::empty();
    home.set("MODEL_URL", url);
    home.set("MODEL", "tiny");
    home
}

fn models(home: &Home, args: &[&str]) -> Command {
    let mut command = home.command();
    command.env("LOG_LEVEL", "warn").arg("models").args(args);
    command
}

/// Exit code, standard output, standard error.
fn call(home: &Home, args: &[&str]) -> (Option<i32>, String, String) {
    let output = models(home, args).output().expect("run stenogram");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn file(home: &Home) -> PathBuf {
    SILERO_VAD.path(&home.path().join("models"))
}

fn part(home: &Home) -> PathBuf {
    file(home).with_extension("bin.part")
}

/// As many bytes as the model has, but others.
fn wrong_bytes() -> Vec<u8> {
    vec![7; SILERO_VAD.bytes as usize]
}

/// A file of this size without anything in it.
fn hollow(path: &Path, bytes: u64) {
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("make the folder");
    File::create(path).and_then(|file| file.set_len(bytes)).expect("make the file");
}

/// A second of silence as a WAV file, 16 kHz, 16 bits, mono.
fn silence() -> Vec<u8> {
    let mut wav =
        b"RIFF\x24\x7d\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\0\x7d\0\0"
            .to_vec();
    wav.resize(wav.len() + 32_000, 0);
    wav
}

/// The model itself, where this machine has it.
fn real_bytes() -> Option<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/models/for-tests-silero-v5.1.2-ggml.bin");
    let bytes = fs::read(path).ok();
    if bytes.is_none() {
        skipped(format!("no {path}"));
    }
    bytes
}

#[test]
fn the_list_has_the_catalogue_and_what_of_it_is_here() {
    let mut home = home("http://127.0.0.1:1");
    hollow(&file(&home), 5);
    hollow(&SPEECH_MODELS[0].path(&home.path().join("models")), SPEECH_MODELS[0].bytes);
    let (code, stdout, stderr) = call(&home, &["list"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let row = |name: &str| {
        let row = stdout.lines().find(|line| line.split_whitespace().next() == Some(name));
        row.unwrap_or_else(|| panic!("no {name} in {stdout}"))
    };
    for spec in catalogue() {
        assert!(row(spec.name).contains(&spec.sha_prefix()), "{stdout}");
    }
    assert!(
        row("tiny").starts_with("tiny * ")
            && row("tiny").contains(" 77.69 MB ")
            && row("tiny").contains(" yes ")
    );
    assert!(row("base").contains("  388 MiB     1 ") && row("medium").contains(" 11 "), "{stdout}");
    assert!(row(VAD).contains(" 885.10 kB ") && row(VAD).contains(" wrong size "), "{stdout}");
    assert!(row("base").contains(" - "), "{stdout}");
    assert!(stdout.ends_with("\n* is the configured model. Models are kept in ./models.\n"), "{stdout}");

    for (model, words) in [
        ("./own.bin", "\nThe configured model is the file ./own.bin. Models are kept in ./models.\n"),
        ("bass", "\nThe configured model, bass, is not among them. Models are kept in ./models.\n"),
    ] {
        home.set("MODEL", model);
        let (code, stdout, _) = call(&home, &["list"]);
        assert!(code == Some(0) && stdout.ends_with(words) && !stdout.contains('*'), "{stdout}");
    }
}

#[test]
fn a_wrong_file_of_the_right_size_is_refused() {
    let server = Server::start(|request, _| Reply::file(request, &wrong_bytes(), "\"1\""));
    let home = home(&server.url());
    let (code, stdout, stderr) = call(&home, &["pull", VAD]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.starts_with("stenogram: silero-v5.1.2: what http://127.0.0.1:"), "{stderr}");
    assert!(stderr.contains("and open the address in a browser"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(!file(&home).exists());
}

#[test]
fn each_failure_is_named_and_the_others_are_fetched() {
    let real = real_bytes();
    let body = real.clone();
    let server = Server::start(move |request: &Request, _| match &body {
        Some(real) if request.path.ends_with("ggml-silero-v5.1.2.bin") => Reply::file(request, real, "\"1\""),
        _ if request.path.ends_with("ggml-tiny.bin") => Reply::new(404, b"not here"),
        _ => Reply::new(200, b"<html>Log in to this network</html>").with("content-type", "text/html"),
    });
    let home = home(&server.url());
    let (code, stdout, stderr) = call(&home, &["pull", "tiny", "base", VAD]);
    assert_eq!(code, Some(1));
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(
        lines[0].starts_with("stenogram: tiny: http://") && lines[0].contains("check MODEL_URL"),
        "{stderr}"
    );
    assert!(
        lines[1].starts_with("stenogram: base: http://") && lines[1].contains("a web page came"),
        "{stderr}"
    );
    if real.is_some() {
        assert_eq!(stdout, "silero-v5.1.2: ./models/ggml-silero-v5.1.2.bin\n");
        assert_eq!(lines.len(), 2, "{stderr}");
        assert_eq!(fs::read(file(&home)).ok(), real);
        let (code, stdout, stderr) = call(&home, &["verify"]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        assert_eq!(stdout, "./models/ggml-silero-v5.1.2.bin: ok\n");
        // It is there: nothing is asked for again.
        let asked = server.requests().len();
        assert_eq!(call(&home, &["pull", VAD]).0, Some(0));
        assert_eq!(server.requests().len(), asked);
    }
}

#[test]
fn models_of_single_languages_are_listed_and_fetched_with_the_others() {
    let server = Server::start(|_, _| Reply::new(404, b""));
    let mut home = home(&server.url());
    home.unset("MODEL");
    home.set("MODELS", "ru:gigaam-v3,*:tiny");
    assert_eq!(call(&home, &["pull"]).0, Some(1));
    let asked: Vec<_> = server.requests().into_iter().map(|request| request.path).collect();
    let files = ["ggml-tiny.bin", "gigaam-v3-e2e-rnnt-Q4_K_M.gguf", "ggml-silero-v5.1.2.bin"];
    assert_eq!(asked, files.map(|file| format!("/models/{file}")));
    let (_, stdout, _) = call(&home, &["list"]);
    for row in ["tiny * ", "gigaam-v3 * ", "parakeet-v3  "] {
        assert!(stdout.lines().any(|line| line.starts_with(row)), "{row:?} in {stdout}");
    }
    assert!(stdout.contains("\n* are the configured models that are among them."), "{stdout}");
}

#[test]
fn without_a_name_it_fetches_the_configured_model_and_the_one_for_voice_activity() {
    let server = Server::start(|_, _| Reply::new(404, b""));
    let mut home = home(&server.url());
    assert_eq!(call(&home, &["pull"]).0, Some(1));
    let asked = || server.requests().into_iter().map(|request| request.path).collect::<Vec<_>>();
    assert_eq!(asked(), ["/models/ggml-tiny.bin", "/models/ggml-silero-v5.1.2.bin"]);
    home.set("MODEL", "./own.bin");
    for args in [&["pull"][..], &["pull", "./own.bin"]] {
        let (code, _, stderr) = call(&home, args);
        assert_eq!(code, Some(2));
        assert!(
            stderr.starts_with("stenogram: ./own.bin is a file of your own, which cannot be fetched"),
            "{stderr}"
        );
    }
    let (code, _, stderr) = call(&home, &["pull", "bass"]);
    assert_eq!(code, Some(2));
    assert!(
        stderr.starts_with("stenogram: there is no model \"bass\": ") && stderr.contains("base"),
        "{stderr}"
    );
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn before_a_start_only_a_model_that_is_not_there_is_fetched() {
    let server = Server::start(|_, _| Reply::new(404, b""));
    let mut home = home(&server.url());
    let model = SPEECH_MODELS[0].path(&home.path().join("models"));
    hollow(&model, SPEECH_MODELS[0].bytes);
    let nothing = (Some(0), String::new(), String::new());
    assert_eq!(call(&home, &["pull", "--missing"]), nothing);
    assert_eq!(call(&home, &["pull", "--missing", "tiny"]).0, Some(2), "a name says what is wanted");
    assert!(server.requests().is_empty());
    hollow(&model, 5);
    assert_eq!(call(&home, &["pull", "--missing"]).0, Some(1));
    assert_eq!(server.requests().len(), 2);
    home.set("MODEL", "./own.bin");
    assert_eq!(call(&home, &["pull", "--missing"]), nothing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_with_a_model_that_does_not_exist_is_not_to_be_restarted() {
    let telegram = Telegram::start().await.expect("start Telegram");
    let mut home = Home::new(&telegram);
    home.set("MODEL", "bass");
    let mut daemon = home.start();
    assert_eq!(daemon.ends(Duration::from_secs(60)).await.code(), Some(2), "{}", daemon.log());
    assert!(daemon.log().contains("stenogram: there is no model \"bass\": "), "{}", daemon.log());
}

#[test]
fn ctrl_c_leaves_a_part_that_the_next_pull_goes_on_with() {
    const CUT: usize = 300_000;
    let real = real_bytes();
    let body = real.clone().unwrap_or_else(wrong_bytes);
    // The first answer breaks off; before the second there is a pause of a second.
    let server = Server::start(move |request, number| match number {
        0 => Reply::file(request, &body, "\"1\"").cut(CUT),
        _ => Reply::file(request, &body, "\"1\""),
    });
    let home = home(&server.url());
    let mut terminal = Terminal::start(&models(&home, &["pull", VAD]));
    terminal.shows("download broken off, next try in 1s", 1);
    terminal.shows("silero-v5.1.2 [", 1);
    terminal.shows("kB", 1);
    terminal.presses("\x03");
    assert_eq!(terminal.ends().signal(), Some(libc::SIGINT), "{}", terminal.shown());
    assert_eq!(fs::metadata(part(&home)).map(|part| part.len()).ok(), Some(CUT as u64));
    assert!(!file(&home).exists());

    let seen = server.requests().len();
    let (code, stdout, stderr) = call(&home, &["pull", VAD]);
    assert_eq!(server.requests()[seen].from(), Some(CUT), "it asks for the rest");
    if let Some(real) = real {
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        assert_eq!(stdout, "silero-v5.1.2: ./models/ggml-silero-v5.1.2.bin\n");
        assert_eq!(fs::read(file(&home)).ok(), Some(real));
        assert!(!part(&home).exists());
    } else {
        assert_eq!(code, Some(1), "{stderr}");
    }
}

#[test]
fn two_pulls_of_one_model_do_not_mix() {
    let home = home("http://127.0.0.1:1");
    hollow(&part(&home), 10);
    let held = File::options().write(true).open(part(&home)).expect("open the part");
    held.lock().expect("lock it as a pull does");
    let (code, _, stderr) = call(&home, &["pull", VAD]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("is being fetched by another process"), "{stderr}");
}

#[test]
fn verify_fails_unless_something_was_there_and_all_is_right() {
    let home = home("http://127.0.0.1:1");
    let (code, stdout, stderr) = call(&home, &["verify"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert_eq!(
        stderr,
        "stenogram: no model of the catalogue is in ./models; `stenogram models pull base` fetches a good one [model-unusable]\n"
    );

    fs::create_dir_all(home.path().join("models")).expect("make the folder");
    fs::write(file(&home), wrong_bytes()).expect("write the file");
    hollow(&SPEECH_MODELS[0].path(&home.path().join("models")), 5);
    fs::write(home.path().join("own.bin"), "abc").expect("write the file");
    let (code, stdout, stderr) = call(&home, &["verify"]);
    assert_eq!((code, stderr.as_str()), (Some(1), ""));
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(
        lines[0],
        "./models/ggml-tiny.bin: has 5 bytes and should have 77691713; `stenogram models pull tiny` fetches a good one \
         [model-unusable]"
    );
    assert!(lines[1].starts_with("./models/ggml-silero-v5.1.2.bin: has the wrong SHA-256 "), "{stdout}");
    assert!(
        lines[1].ends_with("; `stenogram models pull silero-v5.1.2` fetches a good one [model-unusable]"),
        "{stdout}"
    );
    assert_eq!(lines.len(), 2, "{stdout}");

    let (code, stdout, stderr) = call(&home, &["verify", "base", "./own.bin", "./gone.bin", "./models/"]);
    assert_eq!((code, stderr.as_str()), (Some(1), ""));
    let lines: Vec<&str> = stdout.lines().collect();
    for (line, says) in lines.iter().zip([
        "./models/ggml-base.bin: is not there; `stenogram models pull base` fetches a good one",
        "./own.bin: ends in the middle of its magic: it was not downloaded or copied whole; put a good file",
        "./gone.bin: is not there; put a good file in its place",
        "./models/: cannot be read: Is a directory (os error 21); ",
    ]) {
        assert!(line.starts_with(says), "{line}");
    }
    assert_eq!(call(&home, &["verify", "bass"]).0, Some(2));
}

/// What `models verify` says is what the engine then does.
#[test]
fn verify_and_the_engine_judge_alike() {
    let mut home = home("http://127.0.0.1:1");
    let micro = fs::read(MODEL).expect("read the model");
    let mut unknown_type = micro.clone();
    unknown_type[44..48].copy_from_slice(&2099u32.to_le_bytes());
    let mut version_1 = micro.clone();
    version_1[44..48].copy_from_slice(&1007u32.to_le_bytes());
    for (file, bytes, expected) in [
        ("own.bin", &micro[..], "./own.bin: is whole, by its structure; the catalogue does not have it"),
        ("old.bin", &version_1, "./old.bin: is whole, by its structure; the catalogue does not have it"),
        ("type.bin", &unknown_type, "./type.bin: is broken or no Whisper model: ftype is 2099, not "),
        ("half.bin", &micro[..micro.len() / 2], "./half.bin: ends in the middle of "),
    ] {
        fs::write(home.path().join(file), bytes).expect("write the file");
        let model = format!("./{file}");
        let (code, stdout, stderr) = call(&home, &["verify", &model]);
        assert!(stdout.starts_with(expected), "{stdout}");
        let good = expected.contains("is whole");
        assert_eq!((code, stderr.as_str()), (Some(i32::from(!good)), ""));

        home.set("MODEL", &model);
        fs::write(home.path().join("silence.wav"), silence()).expect("write the recording");
        let output = home.command().args(["transcribe", "silence.wav"]).output().expect("run stenogram");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), good, "{file}: {stderr}");
        if !good {
            let remedy = "; put a good file in its place, or name a model of `stenogram models list` in MODEL [own-model-unusable]\n";
            assert!(stderr.ends_with(remedy), "{stderr}");
        }
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_named_with_what_to_do() {
    let mut home = home("http://127.0.0.1:1");
    fs::write(home.path().join("file"), "no folder").expect("write the file");
    // Nobody may make folders in /proc, root included.
    for (folder, why) in
        [("./file", "File exists"), ("./file/models", "Not a directory"), ("/proc/models", "")]
    {
        home.set("MODEL_DIR", folder);
        let (code, stdout, stderr) = call(&home, &["pull", VAD]);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        let start = format!("stenogram: silero-v5.1.2: cannot write {folder}: {why}");
        assert!(stderr.starts_with(&start), "{stderr}");
        assert!(stderr.trim_end().ends_with(" [file-unusable]"), "{stderr}");
        assert_eq!(call(&home, &["list"]).0, Some(0));
        assert_eq!(call(&home, &["verify"]).0, Some(1));
    }
}

#[test]
fn a_terminal_shows_how_far_a_check_is() {
    let home = home("http://127.0.0.1:1");
    fs::create_dir_all(home.path().join("models")).expect("make the folder");
    fs::write(file(&home), wrong_bytes()).expect("write the file");
    let mut terminal = Terminal::start(&models(&home, &["verify"]));
    assert_eq!(terminal.ends().code(), Some(1));
    terminal.shows("./models/ggml-silero-v5.1.2.bin [", 1);
    terminal.shows("has the wrong SHA-256", 1);
}

/// A mirror without any model: what was asked for is named in the error.
fn empty_mirror() -> Server {
    Server::start(|_, _| Reply::new(404, b""))
}

#[test]
fn the_first_download_chooses_a_model_for_this_machine_and_keeps_to_it() {
    let server = empty_mirror();
    let mut home = home(&server.url());
    home.set("MODEL", "");
    let models = home.path().join("models");
    let (code, stdout, stderr) = call(&home, &["pull", "--missing"]);
    assert_eq!(code, Some(1), "the mirror has no model: {stdout}");
    let chosen = fs::read_to_string(models.join("chosen-model")).expect("the choice is kept");
    let chosen = chosen.trim_end();
    assert!(["small-q8_0", "base-q8_0"].contains(&chosen), "{chosen}");
    let sentence = format!("The model for this machine is {chosen}: ");
    assert!(stdout.starts_with(&sentence) && stdout.contains(". MODEL selects another one of "), "{stdout}");
    assert!(stderr.contains(&format!("stenogram: {chosen}: ")), "{stderr}");

    // Also on another machine, or with another version: only the owner changes it.
    fs::write(models.join("chosen-model"), "tiny-q8_0\n").expect("write");
    let (_, stdout, stderr) = call(&home, &["pull"]);
    assert!(stdout.is_empty() && stderr.contains("stenogram: tiny-q8_0: "), "{stdout}{stderr}");
    let (_, list, _) = call(&home, &["list"]);
    assert!(list.contains("tiny-q8_0 * "), "{list}");
    home.set("MODEL", "small");
    let (_, stdout, stderr) = call(&home, &["pull"]);
    assert!(stdout.is_empty() && stderr.contains("stenogram: small: "), "{stdout}{stderr}");
    assert_eq!(fs::read_to_string(models.join("chosen-model")).expect("read"), "tiny-q8_0\n");
}

#[test]
fn a_model_that_is_installed_is_kept_and_nothing_is_chosen() {
    let server = empty_mirror();
    let mut home = home(&server.url());
    home.set("MODEL", "");
    let base = catalogue().find(|spec| spec.name == "base").expect("it is there");
    let models = home.path().join("models");
    hollow(&base.path(&models), base.bytes);
    let (code, stdout, stderr) = call(&home, &["pull", "--missing"]);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "", ""));
    let (_, list, _) = call(&home, &["list"]);
    assert!(list.contains("base * "), "{list}");
    assert!(!models.join("chosen-model").exists());
}

#[test]
fn a_recommendation_says_why_and_changes_nothing() {
    let home = home("http://127.0.0.1:1");
    let (code, stdout, stderr) = call(&home, &["recommend"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with("The model for this machine is "), "{stdout}");
    assert!(stdout.ends_with("measures those that are installed.\n"), "{stdout}");
    assert!(!home.path().join("models/chosen-model").exists());
}
