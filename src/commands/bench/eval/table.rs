//! The results of an evaluation: sums for each language and length of recordings, as a table for
//! people and as JSON.

use std::io::{self, Write};

use serde::Serialize;

use crate::commands::bench::measured::Memory;
use crate::domain::score::{Heard, Said, Tally};

/// The classes of length: the first seconds that no longer belong to a class, and its name.
const LENGTHS: [(f64, &str); 4] =
    [(2.0, "below 2 s"), (15.0, "2 to 15 s"), (60.0, "15 to 60 s"), (f64::INFINITY, "60 s and over")];

/// What was said in a recording, and what each system heard.
pub struct Scored<'a> {
    pub name: &'a str,
    pub said: &'a Said,
    /// In the order of the systems.
    pub heard: Vec<&'a Heard>,
}

/// A model, or another program.
#[derive(Debug, Serialize)]
pub struct System {
    pub name: String,
    /// The value of MODEL that selects it. None for another program.
    pub value: Option<String>,
    /// The time to load the model, in seconds.
    pub load: Option<f64>,
    /// The memory of the whole program.
    #[serde(flatten)]
    pub memory: Option<Memory>,
    /// Whether it says in which language it recognised a recording.
    #[serde(skip)]
    pub tells_language: bool,
}

/// Recordings that are counted together.
#[derive(Debug, Serialize)]
pub struct Group {
    /// What they have in common: `all`, `language` or `length`.
    pub by: &'static str,
    pub name: String,
    /// In the order of the systems.
    pub systems: Vec<Sums>,
}

/// The sums of a system, and what follows from them.
#[derive(Debug, Serialize)]
pub struct Sums {
    #[serde(flatten)]
    pub tally: Tally,
    pub wer: Option<f64>,
    pub cer: Option<f64>,
    pub real_time_factor: Option<f64>,
}

impl From<Tally> for Sums {
    fn from(tally: Tally) -> Self {
        let (wer, cer, real_time_factor) = (tally.wer(), tally.cer(), tally.real_time_factor());
        Self { tally, wer, cer, real_time_factor }
    }
}

/// The sums over all recordings, over those of each language, and over those of each length.
pub fn groups(systems: &[System], scored: &[Scored<'_>]) -> Vec<Group> {
    let mut groups: Vec<(&'static str, String, Vec<Tally>)> = Vec::new();
    let mut languages: Vec<&str> = scored.iter().filter_map(|clip| clip.said.language.as_deref()).collect();
    languages.sort_unstable();
    languages.dedup();
    let add = |groups: &mut Vec<_>, by, name: &str, fits: &dyn Fn(&Scored<'_>) -> bool| {
        let mut tallies = vec![Tally::default(); systems.len()];
        let clips: Vec<_> = scored.iter().filter(|clip| fits(clip)).collect();
        for clip in &clips {
            for ((tally, system), heard) in tallies.iter_mut().zip(systems).zip(&clip.heard) {
                tally.add(&expected(clip.said, system), heard);
            }
        }
        if !clips.is_empty() {
            groups.push((by, name.to_owned(), tallies));
        }
    };
    add(&mut groups, "all", "all", &|_| true);
    for language in languages {
        add(&mut groups, "language", language, &|clip| clip.said.language.as_deref() == Some(language));
    }
    let mut from = 0.0;
    for (to, name) in LENGTHS {
        // All systems heard the same recording, so the first one's length counts.
        let length = |clip: &Scored<'_>| clip.heard.first().map_or(0.0, |heard| heard.seconds);
        add(&mut groups, "length", name, &|clip| (from..to).contains(&length(clip)));
        from = to;
    }
    let sums = |tallies: Vec<Tally>| tallies.into_iter().map(Sums::from).collect();
    groups.into_iter().map(|(by, name, tallies)| Group { by, name, systems: sums(tallies) }).collect()
}

/// What a system can be expected to say: of a recording in which nobody speaks it has no language,
/// and some systems never say it.
fn expected(said: &Said, system: &System) -> Said {
    let speaks = said.text.as_deref().is_some_and(|text| !text.trim().is_empty());
    let language = said.language.clone().filter(|_| speaks && system.tells_language);
    Said { language, ..said.clone() }
}

/// Writes the table, with what cannot be told as a dash.
pub fn write(systems: &[System], groups: &[Group], out: &mut impl Write) -> io::Result<()> {
    let widest = |names: Vec<&str>, head: &str| {
        names.iter().map(|name| name.chars().count()).chain([head.len()]).max().unwrap_or_default()
    };
    let group_width = widest(groups.iter().map(|group| &*group.name).collect(), "RECORDINGS");
    let width = widest(systems.iter().map(|system| &*system.name).collect(), "SYSTEM");
    writeln!(
        out,
        "{:group_width$}  {:width$} {:>6} {:>8} {:>8} {:>10} {:>9} {:>10} {:>8} {:>8} {:>7}",
        "RECORDINGS",
        "SYSTEM",
        "CLIPS",
        "WER",
        "CER",
        "LANGUAGE",
        "INVENTED",
        "UNANSWERED",
        "TIME",
        "CPU",
        "FACTOR"
    )?;
    for Group { by, name, systems: sums } in groups {
        if *by != "all" {
            writeln!(out)?;
        }
        for (n, (system, Sums { tally, wer, cer, real_time_factor })) in systems.iter().zip(sums).enumerate()
        {
            let percent = |value: &Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1} %"));
            let of = |part: usize, whole: usize| match whole {
                0 => "-".to_owned(),
                _ => format!("{part} of {whole}"),
            };
            let seconds = |time: f64| if time > 0.0 { format!("{time:.1} s") } else { "-".to_owned() };
            writeln!(
                out,
                "{:group_width$}  {:width$} {:>6} {:>8} {:>8} {:>10} {:>9} {:>10} {:>8} {:>8} {:>7}",
                if n == 0 { name } else { "" },
                system.name,
                tally.texts + tally.silent,
                percent(wer),
                percent(cer),
                of(tally.languages - tally.languages_right, tally.languages),
                of(tally.false_texts, tally.silent),
                of(tally.unanswered, tally.texts),
                seconds(tally.took),
                seconds(tally.cpu),
                real_time_factor.map_or("-".to_owned(), |factor| format!("{factor:.3}")),
            )?;
        }
    }
    let mut first = "\n";
    for System { name, load, memory, .. } in systems {
        if let (Some(load), Some(memory)) = (load, memory) {
            let peak = memory.peak_mib;
            writeln!(out, "{first}{name}: {peak} MiB of memory at most, loaded in {load:.2} s")?;
            first = "";
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, language: Option<&str>) -> Said {
        Said { text: Some(text.into()), language: language.map(str::to_owned) }
    }

    fn heard(text: &str, language: Option<&str>, seconds: f64, took: f64) -> Heard {
        let language = language.map(str::to_owned);
        Heard { text: text.into(), language, seconds, took, cpu: took * 1.5 }
    }

    fn system(name: &str, memory: Option<Memory>) -> System {
        let value = memory.map(|_| name.to_owned());
        let load = memory.map(|_| 0.25);
        System { name: name.into(), value, load, memory, tells_language: memory.is_some() }
    }

    #[test]
    fn each_language_and_length_has_a_row_for_each_system() {
        let systems = [
            system("base", Some(Memory { resident_mib: 300, peak_mib: 388 })),
            system("faster-whisper", None),
        ];
        let said =
            [said("One two.", Some("en")), said("три", Some("ru")), said("", None), said("four", Some("en"))];
        let ours = [
            heard("one to", Some("en"), 3.0, 1.0),
            heard("", None, 1.0, 0.5),
            heard("Thanks", Some("en"), 20.0, 2.0),
            heard("four", Some("ru"), 3.0, 1.0),
        ];
        let theirs = [
            heard("one two", None, 3.0, 0.0),
            heard("три", None, 1.0, 0.0),
            heard("", None, 20.0, 0.0),
            heard("four", None, 3.0, 0.0),
        ];
        let scored: Vec<_> = (0..4)
            .map(|n| Scored { name: "a.ogg", said: &said[n], heard: vec![&ours[n], &theirs[n]] })
            .collect();
        let groups = groups(&systems, &scored);
        let mut out = Vec::new();
        write(&systems, &groups, &mut out).unwrap();
        let table = String::from_utf8(out).unwrap();
        let rows: Vec<String> =
            table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            rows,
            [
                "RECORDINGS SYSTEM CLIPS WER CER LANGUAGE INVENTED UNANSWERED TIME CPU FACTOR",
                "all base 4 50.0 % 28.6 % 2 of 3 1 of 1 1 of 3 4.5 s 6.8 s 0.167",
                "faster-whisper 4 0.0 % 0.0 % - 0 of 1 0 of 3 - - -",
                "",
                "en base 2 33.3 % 9.1 % 1 of 2 - 0 of 2 2.0 s 3.0 s 0.333",
                "faster-whisper 2 0.0 % 0.0 % - - 0 of 2 - - -",
                "",
                "ru base 1 100.0 % 100.0 % 1 of 1 - 1 of 1 0.5 s 0.8 s 0.500",
                "faster-whisper 1 0.0 % 0.0 % - - 0 of 1 - - -",
                "",
                "below 2 s base 1 100.0 % 100.0 % 1 of 1 - 1 of 1 0.5 s 0.8 s 0.500",
                "faster-whisper 1 0.0 % 0.0 % - - 0 of 1 - - -",
                "",
                "2 to 15 s base 2 33.3 % 9.1 % 1 of 2 - 0 of 2 2.0 s 3.0 s 0.333",
                "faster-whisper 2 0.0 % 0.0 % - - 0 of 2 - - -",
                "",
                "15 to 60 s base 1 - - - 1 of 1 - 2.0 s 3.0 s 0.100",
                "faster-whisper 1 - - - 0 of 1 - - - -",
                "",
                "base: 388 MiB of memory at most, loaded in 0.25 s",
            ]
        );
        let widths: Vec<usize> = table.lines().take(3).map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{table}");
    }
}
