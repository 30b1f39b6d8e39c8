//! What is tried, and what it has to give.

use std::path::Path;

use stenogram::domain::score::{Heard, Said, Tally, percent};
use support::speech::Random;

use crate::ears::{Bare, Equipment, Stenogram};
use crate::folder;
use crate::made::{CONDITIONS, Condition, message, no_speech};
use crate::table::{HEAD, line};

/// Points of exact matches that may be lost to bare whisper.cpp on clean input.
const MAY_LOSE: f64 = 2.0;
/// Languages in percent that have to be right where the model itself ranks the right one first.
const LANGUAGES_RIGHT: f64 = 99.0;
/// Mistakes that are shown of each kind.
const SHOWN: usize = 10;

/// What a trial has found.
#[derive(Default)]
pub struct Findings {
    /// Lines of the table, below [`HEAD`], and what else there is to say.
    pub lines: Vec<String>,
    /// Bars that are missed.
    pub missed: Vec<String>,
    /// Tallies by name.
    pub tallies: Vec<(String, Tally)>,
}

impl Findings {
    fn tally(&mut self, name: &str, tally: Tally) {
        self.lines.push(line(name, &tally));
        self.tallies.push((name.to_owned(), tally));
    }

    fn bar(&mut self, held: bool, what: String) {
        self.lines.push(format!("{}: {what}", if held { "held" } else { "MISSED" }));
        if !held {
            self.missed.push(what);
        }
    }

    /// The table.
    pub fn text(&self) -> String {
        format!("{HEAD}\n{}\n", self.lines.join("\n"))
    }
}

/// The first few mistakes of a kind.
#[derive(Default)]
struct Mistakes(Vec<String>);

impl Mistakes {
    fn add(&mut self, name: &str, said: &Said, heard: &Heard) {
        let language = |language: &Option<String>| language.clone().unwrap_or_else(|| "-".to_owned());
        let wanted = said.text.as_deref().unwrap_or("(unknown)");
        self.0.push(format!(
            "  {name}: {} {wanted:?} was heard as {} {:?}",
            language(&said.language),
            language(&heard.language),
            heard.text.trim()
        ));
    }

    fn into_lines(self) -> impl Iterator<Item = String> {
        let more = self.0.len().saturating_sub(SHOWN);
        self.0.into_iter().take(SHOWN).chain((more > 0).then(|| format!("  and {more} more")))
    }
}

/// Messages of 3 to 8 digits, their language given, in every condition. whisper.cpp alone hears them clean,
/// and in the others with `bare`: long silences cost it many times what they cost us.
pub fn digits(
    equipment: &Equipment,
    count: usize,
    with_bare: bool,
    random: &mut Random,
) -> Result<Findings, String> {
    let stenogram = Stenogram::start(equipment)?;
    let mut bare = Bare::start(&equipment.model, equipment.threads)?;
    let mut tallies = CONDITIONS.map(|_| (Tally::default(), Tally::default()));
    let mut mistakes = Mistakes::default();
    for n in 0..count {
        let message = message(n, 3..=8, random);
        let language = message.said.language.as_deref();
        // It is given, so nothing is learnt of it.
        let said = Said { language: None, ..message.said.clone() };
        for ((condition, name), (alone, ours)) in CONDITIONS.iter().zip(&mut tallies) {
            let pcm = message.in_condition(*condition, random);
            let compared = with_bare || *condition == Condition::Clean;
            let others = compared.then(|| bare.hear(&pcm, language)).transpose()?;
            let mistaken = others.is_some_and(|heard| !alone.add(&said, &heard));
            let heard = stenogram.hear(&pcm, language)?;
            // Where whisper.cpp is wrong too, it is the model.
            if !ours.add(&said, &heard) && !mistaken {
                mistakes.add(name, &message.said, &heard);
            }
        }
        told("digits", n + 1, count);
    }
    let mut findings = Findings::default();
    let least = percent(tallies[0].0.exact, tallies[0].0.texts) - MAY_LOSE;
    for ((_, name), (alone, ours)) in CONDITIONS.iter().zip(tallies) {
        if alone.texts > 0 {
            findings.tally(&format!("whisper.cpp, {name}"), alone);
        }
        let exact = percent(ours.exact, ours.texts);
        findings.tally(&format!("stenogram, {name}"), ours);
        findings.bar(exact >= least, format!("{name}: {exact:.1} % exact, at least {least:.1} % wanted"));
    }
    findings.lines.extend(mistakes.into_lines());
    Ok(findings)
}

/// Noises that are computed, and the recordings of a folder; nothing may be heard in them.
pub fn noises(
    equipment: &Equipment,
    count: usize,
    recordings: Option<&Path>,
    random: &mut Random,
) -> Result<Findings, String> {
    let stenogram = Stenogram::start(equipment)?;
    let mut bare = Bare::start(&equipment.model, equipment.threads)?;
    let (mut ours, mut alone, mut mistakes) = (Tally::default(), Tally::default(), Mistakes::default());
    let nothing = Said { text: Some(String::new()), language: None };
    for n in 0..count {
        let (kind, pcm) = no_speech(n, random);
        let heard = stenogram.hear(&pcm, None)?;
        if !ours.add(&nothing, &heard) {
            mistakes.add(&format!("{kind:?}"), &nothing, &heard);
        }
        alone.add(&nothing, &bare.hear(&pcm, None)?);
        told("noises", n + 1, count);
    }
    let mut files = Tally::default();
    for path in recordings.map(list).transpose()?.unwrap_or_default() {
        let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let heard = stenogram.hear_file(bytes)?;
        if !files.add(&nothing, &heard) {
            mistakes.add(&path.display().to_string(), &nothing, &heard);
        }
    }
    let mut findings = Findings::default();
    let invented = ours.false_texts + files.false_texts;
    findings.tally("whisper.cpp, noises", alone);
    findings.tally("stenogram, noises", ours);
    if files.silent > 0 {
        findings.tally("stenogram, recordings", files);
    }
    findings.bar(invented == 0, format!("{invented} texts were invented, none wanted"));
    findings.lines.extend(mistakes.into_lines());
    Ok(findings)
}

fn list(folder: &Path) -> Result<Vec<std::path::PathBuf>, String> {
    let read = || -> std::io::Result<Vec<_>> {
        let mut paths: Vec<_> =
            std::fs::read_dir(folder)?.map(|entry| entry.map(|it| it.path())).collect::<Result<_, _>>()?;
        paths.sort();
        Ok(paths)
    };
    read().map_err(|error| format!("{}: {error}", folder.display()))
}

/// Clips of one to three words in one of two languages, nothing known of the speaker.
pub fn languages(equipment: &Equipment, count: usize, random: &mut Random) -> Result<Findings, String> {
    const CANDIDATES: [&str; 2] = ["ru", "en"];
    let languages = CANDIDATES.map(|code| code.parse().expect("a code")).into();
    let stenogram = Stenogram::start(&Equipment { languages, ..equipment.clone() })?;
    let mut bare = Bare::start(&equipment.model, equipment.threads)?;
    let (mut all, mut alone, mut mistakes) = (Tally::default(), Tally::default(), Mistakes::default());
    // Where the model itself is right: how often, and how often so are we.
    let (mut model_right, mut both_right, mut no_text) = (0, 0, 0);
    for n in 0..count {
        let message = message(n, 1..=3, random);
        let said = message.said.language.as_deref();
        alone.add(&message.said, &bare.hear(&message.clean, None)?);
        let ranked_first = Some(bare.likelier(&message.clean, &CANDIDATES)?) == said;
        let heard = stenogram.hear(&message.clean, None)?;
        let right = heard.language.as_deref() == said;
        model_right += usize::from(ranked_first);
        both_right += usize::from(ranked_first && right);
        no_text += usize::from(heard.text.is_empty());
        if !all.add(&message.said, &heard) && !right {
            mistakes.add(if ranked_first { "clip" } else { "clip, the model too" }, &message.said, &heard);
        }
        told("languages", n + 1, count);
    }
    let mut findings = Findings::default();
    findings.tally("whisper.cpp, any of 99", alone);
    findings.tally("stenogram, ru or en", all);
    let share = percent(both_right, model_right);
    let what = format!(
        "{both_right} of the {model_right} clips whose language the model ranks first are right, {share:.1} %, at \
         least {LANGUAGES_RIGHT} % wanted; {no_text} clips without a text"
    );
    findings.bar(share >= LANGUAGES_RIGHT, what);
    findings.lines.extend(mistakes.into_lines());
    Ok(findings)
}

/// Recordings of the owner's; bare whisper.cpp hears them too if it is asked for.
pub fn recordings(
    equipment: &Equipment,
    folder: &Path,
    with_bare: bool,
    show: bool,
) -> Result<Findings, String> {
    let samples = folder::read(folder)?;
    let stenogram = Stenogram::start(equipment)?;
    let mut bare = with_bare.then(|| Bare::start(&equipment.model, equipment.threads)).transpose()?;
    let (mut ours, mut alone) = (Tally::default(), Tally::default());
    let mut findings = Findings::default();
    let mut mistakes = Vec::new();
    for (n, sample) in samples.iter().enumerate() {
        let name = sample.path.strip_prefix(folder).unwrap_or(&sample.path).display().to_string();
        let bytes = std::fs::read(&sample.path).map_err(|error| format!("{name}: {error}"))?;
        let heard = bare.as_mut().map(|bare| bare.hear_file(&bytes)).transpose();
        let both = heard.and_then(|alone| Ok((stenogram.hear_file(bytes)?, alone)));
        match both {
            Ok((heard, other)) => {
                if !ours.add(&sample.said, &heard) && show {
                    let mut mistake = Mistakes::default();
                    mistake.add(&name, &sample.said, &heard);
                    mistakes.extend(mistake.into_lines());
                }
                if let Some(heard) = other {
                    alone.add(&sample.said, &heard);
                }
            }
            // Said, and the others are gone on with; it counts as a failure.
            Err(error) => findings.bar(false, format!("{name}: {error}")),
        }
        told("recordings", n + 1, samples.len());
    }
    if with_bare {
        findings.tally("whisper.cpp", alone);
    }
    findings.tally("stenogram", ours);
    findings.lines.extend(mistakes);
    Ok(findings)
}

/// How far it is, for whoever waits.
fn told(what: &str, done: usize, all: usize) {
    if done.is_multiple_of(20) || done == all {
        eprintln!("{what}: {done} of {all}");
    }
}
