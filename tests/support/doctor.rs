//! `stenogram doctor` of the real binary, and what it found.

use std::process::{Command, Output};

use serde::Deserialize;

/// What the doctor said.
#[derive(Debug)]
pub struct Report {
    pub exit: Option<i32>,
    pub findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
pub struct Finding {
    pub check: String,
    pub outcome: String,
    pub says: String,
    pub remedy: Option<String>,
}

#[derive(Deserialize)]
struct Json {
    outcome: String,
    findings: Vec<Finding>,
}

impl Report {
    /// Runs `doctor --json` by a command of the binary, and holds the report to what is promised of each.
    pub fn by(command: Command) -> Self {
        Self::by_with(command, &[])
    }

    /// The same with more arguments.
    pub fn by_with(mut command: Command, arguments: &[&str]) -> Self {
        let Output { status, stdout, stderr } =
            command.args(["doctor", "--json"]).args(arguments).output().expect("run the doctor");
        assert_eq!(String::from_utf8_lossy(&stderr), "", "nothing but the report");
        let Json { outcome, findings } = serde_json::from_slice(&stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&stdout)));
        let report = Self { exit: status.code(), findings };
        let there_is = |outcome: &str| report.findings.iter().any(|finding| finding.outcome == outcome);
        let worst = ["fail", "warn", "ok"].into_iter().find(|outcome| there_is(outcome));
        assert_eq!(Some(outcome.as_str()), worst);
        assert_eq!(report.exit, Some(i32::from(there_is("fail"))), "{report:#?}");
        for finding in &report.findings {
            assert_eq!(finding.remedy.is_some(), finding.outcome != "ok", "{finding:?}");
        }
        report
    }

    /// There is a finding of this check and outcome that says this and has this remedy.
    pub fn has(&self, check: &str, outcome: &str, says: &str, remedy: &str) {
        let fits = |finding: &&Finding| {
            let advice = finding.remedy.as_deref().unwrap_or_default();
            finding.check == check
                && finding.outcome == outcome
                && finding.says.contains(says)
                && advice.contains(remedy)
        };
        let found = self.findings.iter().find(fits);
        assert!(found.is_some(), "no {outcome} of {check} that says {says:?} and {remedy:?} in {self:#?}");
    }

    /// Nothing has failed but what is named, and what hangs on it.
    pub fn fails_only(&self, checks: &[&str]) {
        let others: Vec<_> = self.of("fail").filter(|it| !checks.contains(&it.check.as_str())).collect();
        assert!(others.is_empty(), "{others:#?}");
    }

    pub fn of<'a>(&'a self, outcome: &'a str) -> impl Iterator<Item = &'a Finding> {
        self.findings.iter().filter(move |finding| finding.outcome == outcome)
    }
}
