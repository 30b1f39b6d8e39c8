//! `stenogram bench`: the real binary, the real whisper.cpp with the test model. What it measures is this
//! machine's; held here is that it measures what it says.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use serde_json::Value;
use support::daemon::Home;
use support::official;
use support::speech::{self, MODEL, fixtures, say, silence};
use support::terminal::Terminal;

fn bench(home: &Home, args: &[&str]) -> Command {
    let mut command = home.command();
    command.env("LOG_LEVEL", "warn").env("LANGUAGE", "en").arg("bench").args(args);
    command
}

/// Exit code, standard output, standard error.
fn outcome(home: &Home, args: &[&str]) -> (Option<i32>, String, String) {
    let output = bench(home, args).output().expect("run stenogram");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The standard output of a call that is right.
fn stdout(home: &Home, args: &[&str]) -> String {
    let (code, stdout, stderr) = outcome(home, args);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args:?}: {stdout}");
    stdout
}

fn json(home: &Home, args: &[&str]) -> Value {
    let stdout = stdout(home, &[&["--json"], args].concat());
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    serde_json::from_str(&stdout).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn each_number_of_threads_has_a_row_and_there_is_advice() {
    let home = Home::empty();
    let stdout = stdout(&home, &["--seconds", "1,2", "--runs", "1"]);
    let cores = available_parallelism().expect("the number of cores").get();
    let mut lines = stdout.lines();
    assert!(lines.next().expect("the machine").starts_with(&format!("{cores} cores")), "{stdout}");
    let clips = "Clips of a built-in message, spoken by espeak-ng; language en.";
    assert_eq!(lines.next(), Some(clips), "{stdout}");

    let table: Vec<Vec<&str>> = lines
        .skip(2)
        .take_while(|line| !line.is_empty())
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(table[0], ["MODEL", "THREADS", "CONTEXT", "FLASH", "LOAD", "1 s", "2 s", "MEMORY", "PEAK"]);
    let settings: Vec<(usize, &str)> =
        table[1..].iter().map(|row| (row[1].parse().expect("a number"), row[2])).collect();
    let threads: Vec<usize> = settings.iter().map(|(threads, _)| *threads).collect();
    assert_eq!((threads[0], *threads.last().unwrap()), (1, cores));
    assert!(threads.is_sorted_by(|a, b| a < b), "{threads:?}");
    assert!(settings.iter().all(|(_, context)| *context == "auto"), "{settings:?}");
    for row in &table[1..] {
        assert_eq!(row[0], "micro-q8_0");
        let number = |cell: &str| cell.split(' ').next().unwrap().parse::<f64>().expect("a number");
        assert_eq!(row[3], "off");
        assert!(number(row[5]) > 0.0 && number(row[6]) > 0.0, "{stdout}");
        assert!(number(row[7]) > 5.0 && number(row[8]) >= number(row[7]), "{stdout}");
    }
    assert!(stdout.contains(&format!("\nFor this machine: MODEL={MODEL}, THREADS=")), "{stdout}");
}

#[test]
fn json_has_all_of_it_and_texts_only_to_compare() {
    let home = Home::empty();
    let fixture = fixtures("en").into_iter().max_by_key(|fixture| fixture.text.len()).expect("a text");
    fs::write(home.path().join("a.ogg"), say(fixture.text, fixture.voice)).expect("write a recording");
    let length = speech::pcm(fixture.text, fixture.voice).len().div_ceil(16_000).to_string();

    let args = ["--seconds", &length, "--runs", "2", "--threads", "1", "--context", "full", "a.ogg"];
    let report = json(&home, &args);
    assert_eq!(report["recordings"], serde_json::json!(["a.ogg"]));
    assert_eq!(report["language"], "en");
    assert!(number(&report["machine"]["cores"]) >= 1.0);
    assert_eq!(report["models"].as_array().expect("a list").len(), 1);
    let model = &report["models"][0];
    assert_eq!((&model["model"], &model["value"]), (&"micro-q8_0".into(), &MODEL.into()));
    assert_eq!(model["settings"].as_array().expect("a list").len(), 1);
    let setting = &model["settings"][0];
    assert_eq!((&setting["threads"], &setting["audio_context"]), (&1.into(), &"full".into()));
    assert!(number(&setting["load"]) > 0.0);
    assert!(number(&setting["peak_mib"]) >= number(&setting["resident_mib"]));
    let clip = &setting["clips"][0];
    // Once only where that took long, on a busy machine.
    assert!((1.0..=2.0).contains(&number(&clip["runs"])) && clip["text"].is_null(), "{clip}");
    let (seconds, took, ratio) = (number(&clip["seconds"]), number(&clip["took"]), number(&clip["ratio"]));
    assert!(took > 0.0 && (ratio - took / seconds).abs() < 1e-9, "{clip}");
    let advice = &report["advice"];
    assert_eq!((&advice["value"], &advice["threads"]), (&MODEL.into(), &1.into()));
    assert_eq!((number(&advice["ratio"]), advice["keeps_up"].as_bool()), (ratio, Some(ratio <= 0.5)));

    let report = json(&home, &[&args[..], &["--compare"]].concat());
    // The clip is longer than the recording, which begins anew.
    let text = report["models"][0]["settings"][0]["clips"][0]["text"].as_str().expect("a text");
    assert!(text.starts_with(fixture.text), "{text}");
}

#[test]
fn texts_are_compared_between_settings() {
    let home = Home::empty();
    let args = ["--seconds", "3", "--runs", "1", "--threads", "1,1", "--context", "full", "--compare"];
    let stdout = stdout(&home, &args);
    assert!(stdout.contains("\n\nEach model gives the same texts with all settings.\n"), "{stdout}");
}

#[test]
fn flash_attention_is_measured_beside_none() {
    let home = Home::empty();
    let args = ["--seconds", "3", "--runs", "1", "--threads", "1", "--context", "full"];
    let report = json(&home, &[&args[..], &["--flash-attention", "off,on"]].concat());
    assert_eq!(report["machine"]["gpu"], Value::Null);
    let settings = report["models"][0]["settings"].as_array().expect("a list");
    let flash: Vec<_> = settings.iter().map(|setting| setting["flash_attention"].as_bool()).collect();
    assert_eq!(flash, [Some(false), Some(true)]);
}

#[test]
fn all_models_that_are_here_are_measured_and_a_bad_one_is_named() {
    let mut home = Home::with_voice_activity();
    let models = home.path().join("models");
    fs::copy(MODEL, models.join("own.bin")).expect("copy the model");
    fs::write(models.join("ggml-tiny.bin"), "lmgg").expect("write a file");
    fs::write(models.join("junk.bin"), "junk").expect("write a file");
    fs::write(models.join("ggml-base.bin.part"), "half").expect("write a file");
    home.set("MODEL", "base");
    let (code, stdout, stderr) = outcome(&home, &["--seconds", "1", "--runs", "1", "--threads", "1"]);
    assert_eq!(code, Some(1), "{stderr}");
    let complaints: Vec<&str> = stderr.lines().collect();
    assert_eq!(complaints.len(), 2, "{stderr}");
    assert!(
        complaints.iter().any(|line| line.contains("ggml-tiny.bin has 4 bytes and should have 77691713"))
    );
    assert!(complaints.iter().any(|line| line.contains("junk.bin is no ggml file")), "{stderr}");
    let rows = stdout.lines().filter(|line| line.contains(" auto ")).count();
    assert_eq!(rows, 1, "neither the voice activity model nor half a model: {stdout}");
    assert!(stdout.contains("\nown  "), "{stdout}");
    assert!(stdout.contains("\nFor this machine: MODEL=./models/own.bin, THREADS=1\n"), "{stdout}");
}

#[test]
fn what_cannot_be_measured_is_said() {
    let mut home = Home::empty();
    fs::write(home.path().join("silence.ogg"), silence(2.0)).expect("write a recording");
    fs::write(home.path().join("notes.txt"), "these are no sounds").expect("write a file");
    let (code, stdout, stderr) = outcome(&home, &["missing.ogg", "silence.ogg", "notes.txt"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines[0], "stenogram: missing.ogg: No such file or directory (os error 2)");
    assert_eq!(lines[1], "stenogram: silence.ogg: there is nothing to hear in it");
    assert!(lines[2].starts_with("stenogram: notes.txt: not audio: "), "{stderr}");

    let (code, stdout, stderr) = outcome(&home, &["--model", "bass"]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.starts_with("stenogram: there is no model \"bass\": "), "{stderr}");

    let (code, _, stderr) = outcome(&home, &["--threads", "100000"]);
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("stenogram: 100000 threads are left out: there are "), "{stderr}");

    home.set("MODEL", "base");
    let (code, stdout, stderr) = outcome(&home, &[]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert_eq!(
        stderr,
        "stenogram: no model is in ./models; `stenogram models pull base` fetches a good one [model-unusable]\n"
    );
}

/// A home with two recordings that the test model understands, one in another language, and one of silence.
fn voices() -> Home {
    let home = Home::with_voice_activity();
    let folder = home.path().join("voices");
    fs::create_dir(&folder).expect("make a folder");
    let mut lines = String::new();
    let mut add = |name: &str, bytes: &[u8], text: &str, language: &str| {
        fs::write(folder.join(name), bytes).expect("write a recording");
        let line = serde_json::json!({ "audio": name, "text": text, "language": language });
        lines += &format!("{line}\n");
    };
    let [english, russian] = ["en", "ru"].map(|language| fixtures(language).swap_remove(0));
    add("right.ogg", &say(english.text, english.voice), &english.text.to_uppercase(), "en");
    add("wrong.ogg", &say(english.text, english.voice), &format!("{} and no more", english.text), "en");
    add("russian.ogg", &say(russian.text, russian.voice), russian.text, "ru");
    add("silence.ogg", &silence(2.0), "", "");
    fs::write(folder.join("manifest.jsonl"), lines).expect("write the manifest");
    home
}

#[test]
fn mistakes_are_counted_beside_those_of_another_program() {
    let home = voices();
    let english = fixtures("en").swap_remove(0).text;
    let line = |file: &str, text: &str| format!("{}\n", serde_json::json!({ "file": file, "text": text }));
    let others =
        [("right.ogg", english), ("wrong.ogg", ""), ("russian.ogg", english), ("silence.ogg", "Thanks")];
    let others: String = others.into_iter().map(|(file, text)| line(file, text)).collect();
    fs::write(home.path().join("voices/other.jsonl"), others).expect("write texts");
    let args = ["--language", "auto", "--eval", "voices/manifest.jsonl", "--beside", "voices/other.jsonl"];

    let report = json(&home, &args);
    assert_eq!((&report["manifest"], &report["language"]), (&"voices/manifest.jsonl".into(), &"auto".into()));
    let (ours, theirs) = (&report["systems"][0], &report["systems"][1]);
    assert_eq!((&ours["name"], &ours["value"]), (&"micro-q8_0".into(), &MODEL.into()));
    assert!(number(&ours["load"]) > 0.0 && number(&ours["peak_mib"]) > 5.0, "{ours}");
    assert_eq!((&theirs["name"], &theirs["load"]), (&"other".into(), &Value::Null));
    let groups = report["groups"].as_array().expect("a list");
    let names: Vec<_> = groups.iter().filter_map(|group| group["name"].as_str()).collect();
    assert_eq!(names[..3], ["all", "en", "ru"], "{names:?}");
    let (all, their) = (&groups[0]["systems"][0], &groups[0]["systems"][1]);
    let words = english.split(' ').count();
    assert_eq!(
        (&all["texts"], &all["exact"], &all["word_edits"]),
        (&3.into(), &2.into(), &3.into()),
        "{report}"
    );
    assert_eq!((&all["silent"], &all["false_texts"], &all["unanswered"]), (&1.into(), &0.into(), &0.into()));
    assert_eq!((&all["languages"], &all["languages_right"]), (&3.into(), &3.into()), "{report}");
    assert!(number(&all["took"]) > 0.0 && number(&all["cpu"]) > 0.0, "{all}");
    let factor = number(&all["took"]) / number(&all["seconds"]);
    assert!((number(&all["real_time_factor"]) - factor).abs() < 1e-9, "{all}");
    assert_eq!((&their["unanswered"], &their["false_texts"]), (&1.into(), &1.into()), "{their}");
    assert_eq!((&their["languages"], &their["real_time_factor"]), (&0.into(), &Value::Null), "{their}");
    let clip = &report["clips"][1];
    assert_eq!((&clip["audio"], &clip["heard"][0]["text"]), (&"wrong.ogg".into(), &english.into()), "{clip}");
    let wer = number(&groups[1]["systems"][0]["wer"]);
    assert!((wer - 300.0 / (2 * words + 3) as f64).abs() < 1e-9, "three words of two recordings: {wer}");

    let stdout = stdout(&home, &[&args[..], &["--compare"]].concat());
    assert!(stdout.contains("4 recordings of voices/manifest.jsonl, "), "{stdout}");
    for words in
        ["RECORDINGS", "\nall ", "\nen ", "\nru ", " other ", "micro-q8_0: ", " MiB of memory at most"]
    {
        assert!(stdout.contains(words), "{words} in {stdout}");
    }
    assert!(stdout.contains("  wrong.ogg, micro-q8_0: ") && stdout.contains("[-and no more-]"), "{stdout}");
    assert!(stdout.contains("  silence.ogg, other: {+thanks+}\n"), "{stdout}");
    assert!(!stdout.contains("right.ogg, micro-q8_0"), "{stdout}");
}

#[test]
fn a_manifest_with_mistakes_is_refused_and_a_recording_that_is_none_is_left_out() {
    let home = voices();
    let manifest = home.path().join("voices/manifest.jsonl");
    let good = fs::read_to_string(&manifest).expect("read the manifest");
    fs::write(
        &manifest,
        format!("{good}{{\"audio\": \"right.ogg\n{{\"audio\": \"gone.ogg\", \"text\": \"\"}}\n"),
    )
    .expect("write the manifest");
    let (code, stdout, stderr) = outcome(&home, &["--eval", "voices/manifest.jsonl"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(lines[0].starts_with("stenogram: voices/manifest.jsonl:5: not a JSON object: "), "{stderr}");
    assert_eq!(lines[1..], ["stenogram: voices/manifest.jsonl:6: there is no file voices/gone.ogg"]);

    fs::write(home.path().join("voices/notes.txt"), "these are no sounds").expect("write a file");
    fs::write(&manifest, format!("{good}{{\"audio\": \"notes.txt\", \"text\": \"one\"}}\n")).expect("write");
    let (code, stdout, stderr) = outcome(&home, &["--eval", "voices/manifest.jsonl", "--json"]);
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("stenogram: voices/notes.txt: not audio: "), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(report["groups"][0]["systems"][0]["texts"], 3, "the others are counted");

    fs::write(home.path().join("other.jsonl"), "{\"file\": \"right.ogg\", \"text\": \"\"}\n").expect("write");
    let args = ["--eval", "voices/manifest.jsonl", "--beside", "other.jsonl"];
    let (code, stdout, stderr) = outcome(&home, &args);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert_eq!(stderr, "stenogram: other.jsonl: it has no text for wrong.ogg and 3 more\n");
}

/// A few recordings of people: `base` mistakes a word or two of them on some processors.
#[test]
fn official_weights_hear_people() {
    let Some(model) = official::model("ggml-base.bin") else { return };
    let home = Home::with_voice_activity();
    let mut lines = String::new();
    for (file, text, language) in [
        (
            "speech/jfk.wav",
            "And so, my fellow Americans: ask not what your country can do for you, ask what you can do for your \
             country.",
            "en",
        ),
        ("eval/stp_en_what_is_the_Outdoor_Humidity.wav", "What is the outdoor humidity?", "en"),
    ] {
        let Some(recording) = official::shared(file) else { return };
        let recording = recording.canonicalize().expect("it exists");
        lines +=
            &format!("{}\n", serde_json::json!({ "audio": recording, "text": text, "language": language }));
    }
    fs::write(home.path().join("m.jsonl"), lines).expect("write the manifest");
    let model = model.canonicalize().expect("it exists");
    let args = ["--language", "auto", "--eval", "m.jsonl", "--model", model.to_str().expect("UTF-8")];
    let report = json(&home, &args);
    let all = &report["groups"][0]["systems"][0];
    assert_eq!((&all["texts"], &all["languages_right"]), (&2.into(), &2.into()), "{report}");
    assert!(number(&all["word_edits"]) <= 2.0, "{report}");
}

#[test]
fn its_help_explains_the_columns() {
    let help = stdout(&Home::empty(), &["--help"]);
    for words in [
        "LOAD",
        "seconds of work per second of audio",
        "MEMORY",
        "--compare",
        "Stop the daemon",
        "Examples:",
        "WER",
    ] {
        assert!(help.contains(words), "{words} in {help}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 110), "{help}");
}

#[test]
fn progress_is_shown_at_a_terminal_only() {
    let home = Home::empty();
    let args = ["--seconds", "1,2", "--runs", "1", "--threads", "1"];
    let mut terminal = Terminal::start(&bench(&home, &args));
    assert_eq!(terminal.ends().code(), Some(0), "{}", terminal.shown());
    terminal.shows("micro-q8_0, 1 thread, auto context", 1);
    terminal.shows("0/2", 1);
    terminal.shows("For this machine: ", 1);
}
