//! What is published: the packed program with the licences and the list of what is in it, and the
//! base images it is built from.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use support::http::{Reply, Server};
use support::skipped;

use crate::pages::PROJECT;

fn run(folder: &Path, script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(folder.join(script));
    command.args(arguments).current_dir(folder).envs(variables.iter().copied()).output().unwrap()
}

#[track_caller]
fn succeeded(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_licences_are_those_of_all_that_is_in_the_program() {
    let list = succeeded(run(Path::new(PROJECT), "scripts/third-party.sh", &[], &[]));
    for (name, licence) in
        [("symphonia-format-isomp4 ", "MPL-2.0"), ("grammers-client ", "MIT"), ("tokio ", "MIT")]
    {
        let line = list.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
        assert!(line.contains(licence), "{line}");
    }
    for text in ["whisper.cpp/LICENSE", "opus/COPYING", "Mozilla Public License Version 2.0"] {
        assert!(list.contains(text), "no {text}");
    }
    // Tests and build scripts are not in the program.
    for name in ["criterion ", "proptest ", "cmake ", "stenogram "] {
        assert!(!list.lines().any(|line| line.starts_with(name)), "{name}");
    }
}

#[test]
fn what_is_packed_can_be_installed() {
    if !Command::new("cargo")
        .args(["cyclonedx", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
    {
        skipped("cargo-cyclonedx is not installed");
        return;
    }
    let project = Path::new(PROJECT);
    succeeded(run(project, "scripts/release.sh", &["--binary", env!("CARGO_BIN_EXE_stenogram")], &[]));
    let files = project.join("target/release-files");
    succeeded(
        Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&files).output().unwrap(),
    );
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("stenogram-{version}-{}-linux", std::env::consts::ARCH);
    let folder = tempfile::tempdir().unwrap();
    let mut unpack = Command::new("tar");
    unpack.arg("-xzf").arg(files.join(format!("{name}.tar.gz"))).current_dir(&folder);
    succeeded(unpack.output().unwrap());
    let packed = folder.path().join(name);

    let bom: serde_json::Value =
        serde_json::from_slice(&fs::read(packed.join("sbom.cdx.json")).unwrap()).unwrap();
    assert_eq!(bom["bomFormat"], "CycloneDX");
    assert_eq!(bom["metadata"]["component"]["version"], version);
    let components: Vec<_> =
        bom["components"].as_array().unwrap().iter().map(|one| one["name"].as_str()).collect();
    for name in ["whisper-rs-sys", "opusic-sys", "symphonia-core", "grammers-client"] {
        assert!(components.contains(&Some(name)), "no {name}");
    }
    assert!(!components.contains(&Some("criterion")), "tests are not in the program");

    let root = folder.path().join("root");
    let install = ["--binary", "./stenogram", "--root", root.to_str().unwrap()];
    succeeded(run(&packed, "deploy/install.sh", &install, &[]));
    succeeded(Command::new(root.join("usr/local/bin/stenogram")).arg("--version").output().unwrap());
    assert!(root.join("usr/local/share/doc/stenogram/THIRD-PARTY.txt").exists());
    succeeded(run(&packed, "deploy/install.sh", &["uninstall", "--root", root.to_str().unwrap()], &[]));
    assert!(!root.join("usr/local/share/doc/stenogram").exists());
}

/// A copy of what names base images, with the script that renews them.
fn images() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("scripts")).unwrap();
    let composes = ["docker-compose.yml", "docker-compose.family.yml"];
    for file in ["Dockerfile", "scripts/setup.sh", "scripts/renew-images.sh"].into_iter().chain(composes) {
        fs::copy(Path::new(PROJECT).join(file), folder.path().join(file)).unwrap();
    }
    folder
}

/// A registry that has `digest` of everything it is asked for, for those who show its token.
fn registry(digest: String) -> Server {
    Server::start(move |request, _| {
        if request.path.starts_with("/models/token?") {
            assert!(request.path.contains("&scope=repository:library/"), "{}", request.path);
            return Reply::new(200, br#"{"token":"let-me-in","expires_in":300}"#);
        }
        assert!(request.path.contains("/v2/library/"), "{}", request.path);
        assert_eq!(request.header("authorization"), Some("Bearer let-me-in"));
        assert!(request.header("accept").unwrap().contains("application/vnd.oci.image.index.v1+json"));
        Reply::new(200, b"").with("Docker-Content-Digest", digest.clone())
    })
}

#[test]
fn base_images_are_pinned_and_renewed() {
    let folder = images();
    let digest = format!("sha256:{}", "0a".repeat(32));
    let registry = registry(digest.clone());
    let (url, tokens) = (registry.url(), format!("{}token?service=registry.docker.io", registry.url()));
    let variables = [("IMAGE_REGISTRY", url.trim_end_matches('/')), ("IMAGE_TOKENS", tokens.as_str())];
    let renew = |arguments: &[&str]| run(folder.path(), "scripts/renew-images.sh", arguments, &variables);
    let read = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();

    let before = (read("Dockerfile"), read("docker-compose.yml"));
    assert_eq!(renew(&["--check"]).status.code(), Some(1));
    assert_eq!((read("Dockerfile"), read("docker-compose.yml")), before, "--check changes nothing");

    succeeded(renew(&[]));
    let (dockerfile, compose) = (read("Dockerfile"), read("docker-compose.yml"));
    for line in dockerfile.lines().filter(|line| line.starts_with("ARG") && line.contains("_IMAGE=")) {
        assert!(line.ends_with(&format!("@{digest}")), "{line}");
    }
    for compose in [compose, read("docker-compose.family.yml")] {
        assert!(compose.contains(&format!("image: redis:7.4-bookworm@{digest}")));
    }
    succeeded(renew(&["--check"]));
    assert_eq!(
        registry.requests().len(),
        3 * 3 * 2,
        "three times, three images, a token and a digest for each"
    );
}

#[test]
fn a_registry_that_does_not_answer_changes_no_image() {
    let folder = images();
    let server = Server::start(|_, _| Reply::new(503, b""));
    let (url, before) = (server.url(), fs::read_to_string(folder.path().join("Dockerfile")).unwrap());
    let variables =
        [("IMAGE_REGISTRY", url.as_str()), ("IMAGE_TOKENS", url.as_str()), ("IMAGE_RETRIES", "0")];
    let output = run(folder.path(), "scripts/renew-images.sh", &[], &variables);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the registry does not answer for"));
    assert_eq!(fs::read_to_string(folder.path().join("Dockerfile")).unwrap(), before);
}
