//! The dashboard and the alerts in deploy/ name metrics that there are.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use stenogram::health::server;

use super::exposition::{Metrics, parse, promtool};
use super::http::{free_address, get};
use crate::in_process::workplace::{Plan, Workplace};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(DEPLOY).join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

async fn metrics() -> Metrics {
    let place = Workplace::new(|queue| queue).await;
    for plan in [Plan::Speech(3, 10), Plan::Silence, Plan::Noise, Plan::Gone] {
        place.hear(plan).await;
    }
    place.idle().await;
    place.health.recognisers_started(&["local".into()]);
    let at = free_address();
    let listener = server::bind(at).await.expect("a free port");
    tokio::spawn(server::serve(listener, Arc::clone(&place.health)));
    parse(&get(at, "/metrics").await.body)
}

/// The names of our metrics in an expression.
fn named(expression: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c| !is_part(c));
    let ours = |word: &&str| word.starts_with("stenogram_") || word.starts_with("process_");
    words.filter(ours).map(str::to_owned).collect()
}

/// The expressions of the dashboard's panels, however deep they lie.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| expressions(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_outcome_and_stage_is_counted() {
    let metrics = metrics().await;
    for outcome in ["answered", "silent", "rejected", "gone"] {
        assert_eq!(
            metrics.value(&format!("stenogram_jobs_total{{outcome=\"{outcome}\"}}")),
            1.0,
            "{outcome}"
        );
    }
    assert_eq!(metrics.value("stenogram_audio_seconds_total"), 7.0);
    assert_eq!(metrics.value("stenogram_stage_duration_seconds_count{stage=\"fetch\"}"), 3.0);
    assert_eq!(metrics.value("stenogram_dropped_texts_total{reason=\"known_phrase\"}"), 0.0);
}

#[tokio::test]
async fn the_alerts_name_metrics_that_there_are() {
    let alerts = read("alerts.yml");
    let known = metrics().await;
    let mut named_in_rules = BTreeSet::new();
    for line in alerts.lines().filter_map(|line| line.trim().strip_prefix("expr:")) {
        named_in_rules.extend(named(line));
    }
    assert!(named_in_rules.len() >= 5, "{named_in_rules:?}");
    let unknown: Vec<_> =
        named_in_rules.iter().filter(|name| !known.names().contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    promtool(&["check", "rules", &format!("{DEPLOY}/alerts.yml")], "");
    promtool(&["test", "rules", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/health/alerts.yml")], "");
}

#[tokio::test]
async fn the_dashboard_names_metrics_that_there_are() {
    let dashboard: Value = serde_json::from_str(&read("grafana-dashboard.json")).expect("JSON");
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    let named: BTreeSet<String> = found.iter().flat_map(|expression| named(expression)).collect();
    assert!(named.len() >= 10, "{named:?}");
    let known = metrics().await;
    let unknown: Vec<_> = named.iter().filter(|name| !known.names().contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    // Prometheus' tool reads expressions in rules only.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("rules.json");
    let rule = |expression: &String| serde_json::json!({ "record": "panel", "expr": expression.replace("$__rate_interval", "5m") });
    let rules: Vec<Value> = found.iter().map(rule).collect();
    let rules = serde_json::json!({ "groups": [{ "name": "panels", "rules": rules }] });
    std::fs::write(&file, rules.to_string()).expect("write the rules");
    promtool(&["check", "rules", "--lint=none", file.to_str().expect("UTF-8")], "");
    let mut ids: Vec<&Value> =
        dashboard["panels"].as_array().expect("panels").iter().map(|panel| &panel["id"]).collect();
    let count = ids.len();
    ids.sort_by_key(|id| id.as_u64());
    ids.dedup();
    assert_eq!(ids.len(), count, "a panel's id is there twice");
}
