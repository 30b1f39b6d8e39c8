//! What is said where a feature's toolkit is missing: .cargo/toolkits.cmake, as whisper.cpp's build runs it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use support::skipped;

struct Feature {
    name: &'static str,
    /// What whisper-rs-sys tells cmake.
    definitions: &'static [&'static str],
    /// Files of its toolkit, and what is in them.
    files: &'static [(&'static str, &'static str)],
    /// Where the script looks besides.
    elsewhere: &'static [&'static str],
}

const FEATURES: [Feature; 4] = [
    Feature {
        name: "cuda",
        definitions: &["-DGGML_CUDA=ON"],
        files: &[("bin/nvcc", "")],
        elsewhere: &["/usr/local/cuda", "/opt/cuda"],
    },
    Feature { name: "hipblas", definitions: &["-DGGML_HIP=ON"], files: &[("bin/hipcc", "")], elsewhere: &[] },
    Feature {
        name: "vulkan",
        definitions: &["-DGGML_VULKAN=ON"],
        files: &[
            ("bin/glslc", ""),
            ("include/vulkan/vulkan.h", ""),
            ("include/vulkan/vulkan_core.h", "#define VK_EXT_layer_settings 1\n"),
        ],
        elsewhere: &[],
    },
    Feature {
        name: "openblas",
        definitions: &["-DGGML_BLAS=ON", "-DGGML_BLAS_VENDOR=OpenBLAS"],
        files: &[("include/cblas.h", "")],
        elsewhere: &[],
    },
];

/// What cmake says, and whether it goes on. PATH is the toolkit's alone.
fn configure(definitions: &[&str], toolkit: &Path) -> (bool, String) {
    let cmake = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("cmake"))
        .find(|path| path.exists())
        .expect("cmake, which builds whisper.cpp");
    let output = Command::new(cmake)
        .args(definitions)
        .arg(format!("-DBLAS_INCLUDE_DIRS={}", toolkit.join("include").display()))
        .args(["-P", concat!(env!("CARGO_MANIFEST_DIR"), "/.cargo/toolkits.cmake")])
        .env_clear()
        .env("PATH", toolkit.join("bin"))
        .env("VULKAN_SDK", toolkit)
        .output()
        .expect("run cmake");
    // It breaks lines at will.
    let words: Vec<String> =
        String::from_utf8_lossy(&output.stderr).split_whitespace().map(str::to_owned).collect();
    (output.status.success(), words.join(" "))
}

/// A file, and a program as far as its mode goes.
fn install(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("make a folder");
    fs::write(path, text).expect("write a file");
    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("make it a program");
}

#[test]
fn a_missing_toolkit_is_named_and_one_that_is_there_is_found() {
    for Feature { name, definitions, files, elsewhere } in FEATURES {
        if elsewhere.iter().any(|folder| Path::new(folder).exists()) {
            skipped(format!("{name} has a toolkit here"));
            continue;
        }
        let toolkit = tempfile::tempdir().expect("a folder");
        let (goes_on, says) = configure(definitions, toolkit.path());
        assert!(!goes_on, "{name}");
        assert!(says.contains(&format!("stenogram's feature {name} wants ")), "{says}");
        files.iter().for_each(|(file, text)| install(&toolkit.path().join(file), text));
        assert_eq!(configure(definitions, toolkit.path()), (true, String::new()), "{name}");
    }
}

/// whisper.cpp's build fails over them with a dozen errors of the compiler, minutes later.
#[test]
fn headers_of_vulkan_that_are_too_old_are_named() {
    let toolkit = tempfile::tempdir().expect("a folder");
    install(&toolkit.path().join("bin/glslc"), "");
    install(&toolkit.path().join("include/vulkan/vulkan.h"), "");
    for core in ["", "#define VK_HEADER_VERSION 239\n"] {
        install(&toolkit.path().join("include/vulkan/vulkan_core.h"), core);
        let (goes_on, says) = configure(&["-DGGML_VULKAN=ON"], toolkit.path());
        assert!(!goes_on && says.contains("stenogram's feature vulkan wants newer headers"), "{says}");
    }
}

#[test]
fn metal_is_for_macs_and_a_plain_build_wants_nothing() {
    let toolkit = tempfile::tempdir().expect("a folder");
    if !cfg!(target_vendor = "apple") {
        let (goes_on, says) = configure(&["-DGGML_METAL=ON"], toolkit.path());
        assert!(!goes_on && says.contains("stenogram's feature metal wants a Mac"), "{says}");
    }
    assert_eq!(configure(&["-DGGML_METAL=OFF"], toolkit.path()), (true, String::new()));
}

#[test]
fn cargo_hands_the_script_to_cmake() {
    // whisper-rs-sys hands on whatever begins with CMAKE_; what cargo sets for it, it sets for tests too.
    let handed = std::env::var("CMAKE_PROJECT_INCLUDE_BEFORE").expect("it is in .cargo/config.toml");
    assert!(Path::new(&handed).is_absolute() && handed.ends_with(".cargo/toolkits.cmake"), "{handed}");
    assert!(Path::new(&handed).exists());
}

/// With its feature `vulkan` whisper-rs wants more than the bindings have that come with it, and does not compile.
#[test]
fn vulkan_is_asked_of_whisper_cpp_and_not_of_its_bindings() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal", "--features", "vulkan"])
        .args(["--package", "stenogram", "--depth", "1", "--prefix", "none", "--format", "{p}: {f}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("run cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).expect("it is text");
    let has_it = |name: &str| {
        let line = tree.lines().find(|line| line.split(' ').next() == Some(name)).expect(name);
        line.rsplit(": ").next().expect("features").split(',').any(|feature| feature == "vulkan")
    };
    assert!(has_it("whisper-rs-sys") && !has_it("whisper-rs"), "{tree}");
}
