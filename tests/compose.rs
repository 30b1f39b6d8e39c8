//! The compose files, as files: what docker-compose understands of them, and what they must have in
//! common. tests/docker/run.sh brings them up.

use std::fs;
use std::path::Path;
use std::process::Command;

use support::skipped;

use crate::pages::PROJECT;

/// The services of these files together, as docker-compose prints them; none where it is not
/// installed, which is said aloud.
fn understood(files: &[&str]) -> Option<String> {
    if Command::new("docker-compose").arg("version").output().is_err() {
        skipped("docker-compose is not installed");
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in ["docker-compose.yml", "docker-compose.gpu.yml"].iter().chain(files) {
        fs::copy(Path::new(PROJECT).join(file), folder.path().join(file)).expect("copy a compose file");
    }
    fs::write(folder.path().join(".env"), "").expect("write .env");
    let files = files.iter().flat_map(|file| ["-f", file]);
    let output = Command::new("docker-compose")
        .args(files)
        .arg("config")
        .current_dir(&folder)
        .env_remove("COMPOSE_FILE")
        .output()
        .expect("run docker-compose");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    Some(String::from_utf8(output.stdout).expect("UTF-8"))
}

/// What `config` prints of one service.
fn service(config: &str, name: &str) -> String {
    let (_, services) = config.split_once("\nservices:").expect("services");
    let head = format!("\n  {name}:\n");
    let (_, rest) = services.split_once(&head).unwrap_or_else(|| panic!("no {name}: {config}"));
    rest.lines().take_while(|line| line.starts_with("    ")).collect::<Vec<_>>().join("\n")
}

/// The daemons of a file: their services and what each runs.
fn daemons(config: &str, wanted: &[(&str, &str)]) {
    for (name, role) in wanted {
        let service = service(config, name);
        assert!(service.contains(&format!("command:\n    - {role}\n")), "{name}: {service}");
        for line in [
            "- stenogram-supervise",
            "read_only: true",
            "ENV_FILE: /run/stenogram/env",
            "restart: unless-stopped",
        ] {
            assert!(service.contains(line), "{name} has no {line}: {service}");
        }
        let own = format!("STENOGRAM_RUN_BY: docker-compose {name}");
        assert!(*name == "userbot" || service.contains(&own), "{name}: {service}");
    }
}

#[test]
fn a_gateway_opens_its_redis_to_workers_and_wants_a_password() {
    let Some(config) = understood(&["docker-compose.yml", "docker-compose.gateway.yml"]) else { return };
    daemons(&config, &[("userbot", "gateway")]);
    assert!(service(&config, "setup").contains("SETUP_OPEN_REDIS: '1'"), "{config}");
    let redis = service(&config, "redis");
    assert!(redis.contains("0.0.0.0:6379:6379"), "{redis}");
    for kept in ["/etc/stenogram/redis.conf", "- always", "- noeviction", "queue: {}", "fleet: {}"] {
        assert!(redis.contains(kept), "{kept}: {redis}");
    }
}

#[test]
fn a_worker_has_no_redis_and_no_account_of_its_own() {
    let Some(config) = understood(&["docker-compose.worker.yml"]) else { return };
    daemons(&config, &[("worker", "worker")]);
    let (_, services) = config.split_once("\nservices:\n").unwrap();
    let names: Vec<_> = services
        .lines()
        .take_while(|line| line.starts_with(' '))
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .collect();
    assert_eq!(names, ["  setup:", "  worker:"]);
    assert!(!service(&config, "setup").contains("/out/redis"), "{config}");
    assert!(!service(&config, "worker").contains(":/data"), "{config}");
}

#[test]
fn the_worker_on_a_gpu_is_built_as_the_daemon_is() {
    let Some(config) = understood(&["docker-compose.worker.yml", "docker-compose.worker-gpu.yml"]) else {
        return;
    };
    daemons(&config, &[("worker", "worker")]);
    let worker = service(&config, "worker");
    for line in ["FEATURES: cuda", "driver: nvidia", "image: stenogram:cuda"] {
        assert!(worker.contains(line), "{line}: {worker}");
    }
}

#[test]
fn a_family_shares_a_worker_and_keeps_its_accounts_apart() {
    let Some(config) = understood(&["docker-compose.family.yml"]) else { return };
    daemons(&config, &[("account1", "gateway"), ("account2", "gateway"), ("worker", "worker")]);
    let (first, second) = (service(&config, "account1"), service(&config, "account2"));
    assert!(first.contains("account1:/data") && !first.contains("account2"), "{first}");
    assert!(second.contains("account2:/data") && !second.contains("account1"), "{second}");
    assert!(!service(&config, "redis").contains("ports:"), "{config}");
}
