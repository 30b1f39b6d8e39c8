//! Reads Prometheus' text format strictly, and holds it to the rules that promtool has for names.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use support::skipped;

/// Samples by family.
#[derive(Debug, Default)]
pub struct Metrics {
    samples: BTreeMap<String, f64>,
    pub families: BTreeMap<String, String>,
}

impl Metrics {
    /// The value of a sample, written as in the text.
    pub fn value(&self, sample: &str) -> f64 {
        *self.samples.get(sample).unwrap_or_else(|| panic!("no {sample} in {:#?}", self.samples))
    }

    /// The names of all samples, without labels.
    pub fn names(&self) -> BTreeSet<&str> {
        self.samples.keys().map(|sample| sample.split('{').next().unwrap_or_default()).collect()
    }
}

/// Panics where the text breaks a rule.
pub fn parse(text: &str) -> Metrics {
    assert!(text.ends_with('\n'), "the last line has no end");
    let mut metrics = Metrics::default();
    let (mut family, mut helped) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect(line);
            assert!(!help.is_empty() && !metrics.families.contains_key(name), "{line}");
            helped = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect(line);
            assert!(name == helped && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            metrics.families.insert(name.to_owned(), kind.to_owned());
            family = name.to_owned();
        } else {
            sample(line, &family, &mut metrics);
        }
    }
    metrics
}

fn sample(line: &str, family: &str, metrics: &mut Metrics) {
    let (key, value) = line.rsplit_once(' ').expect(line);
    let value: f64 = value.parse().expect(line);
    let (name, labels) = match key.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}').expect(line)),
        None => (key, ""),
    };
    let histogram = metrics.families[family] == "histogram";
    let belongs = match name.strip_prefix(family).unwrap_or_else(|| panic!("{line} among {family}")) {
        "" => !histogram,
        "_bucket" | "_sum" | "_count" => histogram,
        _ => false,
    };
    let is_name = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    assert!(belongs && is_name(name) && value >= 0.0 && !value.is_nan(), "{line}");
    for label in labels.split(',').filter(|label| !label.is_empty()) {
        let (label, value) = label.split_once('=').expect(line);
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).expect(line);
        assert!(is_name(label) && !value.contains(['"', '\\']), "{line}");
        // A number among the labels would be a job, a chat or a message: series without end.
        let digits = value.bytes().filter(u8::is_ascii_digit).count();
        assert!(label == "le" || label == "version" || digits == 0, "{line}");
    }
    assert!(metrics.samples.insert(key.to_owned(), value).is_none(), "twice: {line}");
    if name.ends_with("_count") {
        let bucket = format!("{family}_bucket{{{labels},le=\"+Inf\"}}");
        assert_eq!(metrics.samples.get(&bucket), Some(&value), "{line}");
    }
}

/// What Prometheus' own tool says to it, where that is installed.
pub fn promtool(arguments: &[&str], input: &str) {
    let tool = Command::new("promtool").args(arguments).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut tool) = tool else {
        return skipped(format!("promtool {}: promtool is not installed", arguments.join(" ")));
    };
    tool.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let output = tool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{arguments:?}: {said}\n{input}");
}
