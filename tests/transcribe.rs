//! `stenogram transcribe`: the real binary, real recordings, the real whisper.cpp.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use support::bombs;
use support::daemon::Home;
use support::model_file::ModelFile;
use support::peak::{peak, peak_and_status};
use support::speech::{self, Fixture, MODEL, fixtures, say, silence};
use support::terminal::Terminal;

/// A home with `a.ogg`, English, and `b.ogg`, Russian, and what is said in them.
fn recordings() -> (Home, Fixture, Fixture) {
    let home = Home::with_voice_activity();
    let first = |language| fixtures(language).into_iter().next().expect("a text in each language");
    let (english, russian) = (first("en"), first("ru"));
    for (file, fixture) in [("a.ogg", &english), ("b.ogg", &russian)] {
        fs::write(home.path().join(file), say(fixture.text, fixture.voice)).expect("write a recording");
    }
    (home, english, russian)
}

fn transcribe(home: &Home, args: &[&str]) -> Command {
    let mut command = home.command();
    // Nothing of the log but what the owner has to know; and to detect the language takes as long as the
    // rest, so only those tests do it that need it.
    command.env("LOG_LEVEL", "info").env("LANGUAGE", "en").arg("transcribe").args(args);
    command
}

/// Exit code, standard output, standard error.
fn outcome(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("run stenogram");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The standard output of a call that is right.
fn stdout(home: &Home, args: &[&str]) -> String {
    let (code, stdout, stderr) = outcome(&mut transcribe(home, args));
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args:?}: {stdout}");
    stdout
}

#[test]
fn each_format_has_the_exact_words() {
    let (home, english, russian) = recordings();
    assert_eq!(stdout(&home, &["a.ogg"]), format!("{}\n", english.text));

    let srt = stdout(&home, &["--format", "srt", "a.ogg"]);
    let lines: Vec<&str> = srt.lines().collect();
    assert!(lines.len() == 4 && lines[0] == "1" && lines[2] == english.text && lines[3].is_empty(), "{srt}");
    let (start, end) = lines[1].split_once(" --> ").expect("two times");
    assert!(start < end && start.len() == 12 && start.contains(','), "{srt}");

    let vtt = stdout(&home, &["--format", "vtt", "a.ogg"]);
    assert!(vtt.starts_with("WEBVTT\n\n00:00:0"), "{vtt}");
    assert!(vtt.ends_with(&format!("\n{}\n\n", english.text)), "{vtt}");

    let json = stdout(&home, &["--language", "auto", "--format", "json", "b.ogg", "a.ogg"]);
    let lines: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for (line, (file, fixture)) in lines.iter().zip([("b.ogg", &russian), ("a.ogg", &english)]) {
        assert_eq!(line["file"], file);
        assert_eq!(line["language"], fixture.language);
        assert_eq!(line["text"], fixture.text);
        assert_eq!(line["segments"][0]["text"], fixture.text);
        let end = line["segments"][0]["end_ms"].as_f64().expect("a time") / 1000.0;
        let duration = line["duration"].as_f64().expect("a length");
        assert!(duration > 1.0 && end <= duration, "{line}");
    }
    assert_eq!(lines.len(), 2);
}

#[test]
fn a_long_recording_is_recognised_in_stretches_and_keeps_its_times() {
    let home = Home::with_voice_activity();
    let fixtures = fixtures("en");
    let texts: Vec<_> = fixtures.iter().take(3).map(|fixture| (fixture.text, fixture.voice)).collect();
    fs::write(home.path().join("long.ogg"), speech::say_now_and_then(&texts, 120))
        .expect("write a recording");

    let json = stdout(&home, &["--format", "json", "long.ogg"]);
    let line: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let segments = line["segments"].as_array().expect("a list");
    let said: Vec<_> = segments.iter().map(|segment| segment["text"].as_str().expect("a text")).collect();
    let expected: Vec<_> = texts.iter().map(|(text, _)| *text).collect();
    assert_eq!(said, expected);
    for (n, segment) in segments.iter().enumerate() {
        let start = segment["start_ms"].as_u64().expect("a time") as usize;
        assert!((n * 120_000..n * 120_000 + 1500).contains(&start), "{segment}");
    }
}

#[test]
fn memory_does_not_grow_with_a_recordings_length() {
    let home = Home::with_voice_activity();
    // Silence is decoded as speech is, and costs no recognition.
    for (file, seconds) in [("short.ogg", 5.0), ("long.ogg", 1800.0)] {
        fs::write(home.path().join(file), silence(seconds)).expect("write a recording");
    }
    let of = |file| peak(&mut transcribe(&home, &[file]));
    let (short, long) = (of("short.ogg"), of("long.ogg"));
    println!("peak memory: {short} KiB for 5 seconds, {long} KiB for half an hour");
    // Its samples would be 115 MB; one stretch heard, one ready and one in the making are 12.
    assert!(long < short + 40_000, "{short} KiB for 5 seconds, {long} KiB for half an hour");
}

#[test]
fn several_files_and_the_standard_input_have_headings() {
    let (home, english, russian) = recordings();
    let mut command = transcribe(&home, &["--language", "auto", "b.ogg", "-"]);
    let recording = fs::File::open(home.path().join("a.ogg")).expect("open the recording");
    let (code, stdout, stderr) = outcome(command.stdin(recording));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout, format!("==> b.ogg <==\n{}\n\n==> - <==\n{}\n", russian.text, english.text));
}

#[test]
fn a_failure_among_others_is_told_once_and_the_others_are_done() {
    let (home, english, russian) = recordings();
    fs::write(home.path().join("notes.txt"), "these are no sounds").expect("write a file");
    fs::write(home.path().join("empty.ogg"), "").expect("write a file");
    fs::create_dir(home.path().join("folder")).expect("make a folder");
    let args = ["--language", "auto", "missing.ogg", "a.ogg", "notes.txt", "empty.ogg", "folder", "b.ogg"];
    let (code, stdout, stderr) = outcome(&mut transcribe(&home, &args));
    assert_eq!(code, Some(1));
    assert_eq!(stdout, format!("==> a.ogg <==\n{}\n\n==> b.ogg <==\n{}\n", english.text, russian.text));
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 4, "{stderr}");
    assert_eq!(lines[0], "stenogram: missing.ogg: No such file or directory (os error 2)");
    assert!(lines[1].starts_with("stenogram: notes.txt: not audio: "), "{stderr}");
    assert_eq!(lines[2], "stenogram: empty.ogg: the file is empty");
    assert_eq!(lines[3], "stenogram: folder: Is a directory (os error 21)");
}

#[test]
fn a_damaged_recording_is_transcribed_as_far_as_it_goes() {
    let home = Home::with_voice_activity();
    let fixture = fixtures("en").into_iter().max_by_key(|fixture| fixture.text.len()).expect("a text");
    let mut recording = say(fixture.text, fixture.voice);
    recording.truncate(recording.len() * 2 / 3);
    fs::write(home.path().join("torn.ogg"), &recording).expect("write a recording");
    let (code, stdout, stderr) = outcome(&mut transcribe(&home, &["torn.ogg"]));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.starts_with("stenogram: torn.ogg: damaged, going on with the rest: "), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let first = fixture.text.split(' ').next().expect("a word");
    assert!(stdout.starts_with(first), "{stdout}");
}

#[test]
fn silence_has_no_words_in_any_format() {
    let home = Home::with_voice_activity();
    fs::write(home.path().join("silence.ogg"), silence(2.0)).expect("write a recording");
    for (format, expected) in [("text", ""), ("srt", ""), ("vtt", "WEBVTT\n\n")] {
        assert_eq!(stdout(&home, &["--format", format, "silence.ogg"]), expected);
    }
    let json = stdout(&home, &["--format", "json", "silence.ogg"]);
    let line: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&line["text"], &line["language"]), (&"".into(), &serde_json::Value::Null));
    assert_eq!(line["segments"], serde_json::json!([]));
}

/// The language that `args` and `environment` make of a Russian recording.
fn language(home: &Home, args: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = transcribe(home, &["--format", "json", "b.ogg"]);
    command.env("LANGUAGE", "auto").args(args).envs(environment.iter().copied());
    let (code, stdout, stderr) = outcome(&mut command);
    assert_eq!(code, Some(0), "{stderr}");
    let line: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    line["language"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_language_is_what_the_command_line_and_then_the_configuration_say() {
    let (home, ..) = recordings();
    let auto = ["--language", "auto"];
    assert_eq!(language(&home, &[], &[]), "ru");
    assert_eq!(language(&home, &[], &[("LANGUAGE", "en")]), "en");
    assert_eq!(language(&home, &["--language", "en"], &[]), "en");
    assert_eq!(language(&home, &["--language", "ru"], &[("LANGUAGE", "en"), ("LANGUAGES", "en")]), "ru");
    assert_eq!(language(&home, &auto, &[("LANGUAGE", "en")]), "ru");
    // What is listed is likely, and another language is taken where it is clear, unless it is ruled out.
    assert_eq!(language(&home, &auto, &[("LANGUAGE", "en"), ("LANGUAGES", "en")]), "ru");
    assert_eq!(language(&home, &auto, &[("LANGUAGE", "en"), ("LANGUAGES", "en!")]), "en");
}

#[test]
fn the_model_may_be_another_and_what_is_wrong_with_one_is_said_once() {
    let (mut home, english, _) = recordings();
    home.set("MODEL", "base");
    assert_eq!(stdout(&home, &["--model", MODEL, "a.ogg"]), format!("{}\n", english.text));

    let (code, stdout, stderr) = outcome(&mut transcribe(&home, &["a.ogg"]));
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert_eq!(
        stderr,
        "stenogram: the model ./models/ggml-base.bin cannot be read: No such file or directory (os error 2); \
         `stenogram models pull base` fetches a good one [model-unusable]\n"
    );
    let (code, _, stderr) = outcome(&mut transcribe(&home, &["--model", "bass", "a.ogg"]));
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("stenogram: there is no model \"bass\": "), "{stderr}");
    let (code, _, stderr) = outcome(&mut transcribe(&home, &["--model", "./a.ogg", "a.ogg"]));
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("stenogram: the model ./a.ogg is no ggml file"), "{stderr}");

    fs::write(home.path().join("models/ggml-base.bin"), "lmgg").expect("write a file");
    let (code, _, stderr) = outcome(&mut transcribe(&home, &["a.ogg"]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("has 4 bytes and should have 147951465"), "{stderr}");
}

#[test]
fn the_task_is_what_the_command_line_and_then_the_configuration_say() {
    let (home, ..) = recordings();
    let task = |args: &[&str], environment: &[(&str, &str)]| {
        let mut command = transcribe(&home, &["--format", "json", "a.ogg"]);
        let (code, stdout, stderr) = outcome(command.args(args).envs(environment.iter().copied()));
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args:?} {environment:?}");
        let line: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
        line["task"].as_str().expect("a task").to_owned()
    };
    assert_eq!(task(&[], &[]), "transcribe");
    assert_eq!(task(&[], &[("TASK", "translate")]), "translate");
    assert_eq!(task(&["--task", "transcribe"], &[("TASK", "translate")]), "transcribe");
    assert_eq!(task(&["--task", "translate"], &[]), "translate");
}

#[test]
fn a_model_that_cannot_translate_is_a_matter_of_configuration() {
    let (home, ..) = recordings();
    let model = home.path().join("small-turbo.bin");
    ModelFile::read(MODEL).with_encoder_of(8).write(model);
    let args = ["--task", "translate", "--model", "./small-turbo.bin", "a.ogg"];
    let (code, stdout, stderr) = outcome(&mut transcribe(&home, &args));
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    let expected = "stenogram: the model ./small-turbo.bin cannot translate: its decoder was cut down";
    assert!(stderr.starts_with(expected), "{stderr}");

    let doctor =
        outcome(home.command().arg("doctor").envs([("TASK", "translate"), ("MODEL", "./small-turbo.bin")]));
    assert!(doctor.1.contains("take large-v3, medium or small, or set TASK=transcribe"), "{doctor:?}");
}

#[test]
fn limits_are_named_with_what_sets_them() {
    let (mut home, ..) = recordings();
    let size = fs::metadata(home.path().join("a.ogg")).expect("it is there").len();
    home.set("MAX_FILE_SIZE", "1K");
    let (code, _, stderr) = outcome(&mut transcribe(&home, &["a.ogg"]));
    assert_eq!(code, Some(1));
    let expected = format!("larger than the limit of 1024 bytes: {size} bytes (MAX_FILE_SIZE)");
    assert_eq!(stderr, format!("stenogram: a.ogg: {expected}\n"));
    let recording = fs::File::open(home.path().join("a.ogg")).expect("open the recording");
    let (code, _, stderr) = outcome(transcribe(&home, &["-"]).stdin(recording));
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("stenogram: -: larger than the limit of 1024 bytes"), "{stderr}");

    home.set("MAX_FILE_SIZE", "1M");
    home.set("MAX_DURATION", "1");
    let (code, _, stderr) = outcome(&mut transcribe(&home, &["a.ogg"]));
    assert_eq!(code, Some(1));
    assert_eq!(stderr, "stenogram: a.ogg: longer than the limit of 1 s (MAX_DURATION)\n");
}

#[test]
fn progress_is_shown_at_a_terminal_only() {
    let (home, english, _) = recordings();
    let mut terminal = Terminal::start(&transcribe(&home, &["a.ogg"]));
    assert_eq!(terminal.ends().code(), Some(0), "{}", terminal.shown());
    terminal.shows(english.text, 1);
    terminal.shows("a.ogg [", 1);
    assert!(terminal.shown().contains('%'), "{}", terminal.shown());
    // Elsewhere `stdout` sees that nothing at all is on the standard error.
    stdout(&home, &["a.ogg"]);
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    let (home, ..) = recordings();
    let args = ["a.ogg"; 3];
    let mut command = transcribe(&home, &args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start stenogram");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("read a line");
    assert_eq!(line, "==> a.ogg <==\n");
    let output = child.wait_with_output().expect("wait for it");
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
}

#[test]
fn an_output_that_cannot_be_written_is_a_failure() {
    let (home, ..) = recordings();
    let full = fs::File::options().write(true).open("/dev/full").expect("open /dev/full");
    let (code, _, stderr) = outcome(transcribe(&home, &["a.ogg"]).stdout(full).stderr(Stdio::piped()));
    assert_eq!(code, Some(1));
    assert_eq!(stderr, "stenogram: cannot write the output: No space left on device (os error 28)\n");
}

#[test]
fn a_standard_error_that_is_closed_stops_nothing() {
    let (home, english, _) = recordings();
    let (reader, writer) = std::io::pipe().expect("make a pipe");
    drop(reader);
    let mut command = transcribe(&home, &["missing.ogg", "a.ogg"]);
    let output = command.stdout(Stdio::piped()).stderr(writer).spawn().expect("start stenogram");
    let output = output.wait_with_output().expect("wait for it");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("==> a.ogg <==\n{}\n", english.text));
}

#[test]
fn a_pipe_that_comes_slowly_is_read_to_its_end() {
    let (home, english, _) = recordings();
    let recording = fs::read(home.path().join("a.ogg")).expect("read the recording");
    let mut child = transcribe(&home, &["-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start stenogram");
    let mut stdin = child.stdin.take().expect("it is piped");
    for piece in recording.chunks(1000) {
        stdin.write_all(piece).expect("write to it");
    }
    drop(stdin);
    let output = child.wait_with_output().expect("wait for it");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{}\n", english.text));
}

/// The model takes most of it; without bounds, some of the bombs take gigabytes.
#[test]
fn bombs_take_no_more_memory_than_other_files() {
    const MOST: u64 = 150 << 10;
    let home = Home::with_voice_activity();
    let mut names = Vec::new();
    for (number, (_, bytes)) in bombs::bombs().into_iter().enumerate() {
        names.push(format!("{number}.bin"));
        fs::write(home.path().join(&names[number]), bytes).expect("write a bomb");
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (peak, status) = peak_and_status(transcribe(&home, &names).stderr(Stdio::null()));
    println!("{peak} KiB for {} bombs", names.len());
    assert_eq!(status.code(), Some(1), "some are refused");
    assert!(peak < MOST, "{peak} KiB");
}
