//! Says what a feature for a GPU, or for OpenBLAS, wants, before the build of whisper.cpp fails over the lack of it
//! with a page of cmake's words.

use std::env;
use std::path::{Path, PathBuf};

/// A toolkit that a feature wants.
struct Toolkit {
    feature: &'static str,
    /// Programs and headers.
    wanted: &'static [&'static str],
    /// Variables that name the toolkit's folder or the very thing, and where it is often.
    variables: &'static [&'static str],
    folders: &'static [&'static str],
    /// Reads on from "the feature F wants".
    what: &'static str,
}

const TOOLKITS: [Toolkit; 4] = [
    Toolkit {
        feature: "cuda",
        wanted: &["nvcc"],
        variables: &["CUDACXX", "CUDA_PATH", "CUDA_HOME", "CUDAToolkit_ROOT"],
        folders: &["/usr/local/cuda", "/opt/cuda"],
        what: "NVIDIA's CUDA toolkit, whose compiler nvcc is not in PATH: install it (Debian: nvidia-cuda-toolkit), or set \
               CUDA_PATH to its folder",
    },
    Toolkit {
        feature: "hipblas",
        wanted: &["hipcc"],
        variables: &["HIP_PATH", "ROCM_PATH"],
        folders: &["/opt/rocm"],
        what: "AMD's ROCm, whose compiler hipcc is not in PATH: install it with hipblas and rocblas, and put its bin folder \
               into PATH",
    },
    Toolkit {
        feature: "vulkan",
        wanted: &["glslc", "vulkan/vulkan.h"],
        variables: &["VULKAN_SDK"],
        folders: &["/usr", "/usr/local"],
        what: "the shader compiler glslc and Vulkan's headers: apt-get install glslc libvulkan-dev (Ubuntu 22.04: the Vulkan \
               SDK, with VULKAN_SDK set to its folder)",
    },
    Toolkit {
        feature: "openblas",
        wanted: &["cblas.h"],
        // whisper-rs-sys asks for it, wherever the header is.
        variables: &["BLAS_INCLUDE_DIRS"],
        folders: &[],
        what: "OpenBLAS, and BLAS_INCLUDE_DIRS set to the folder of its cblas.h: apt-get install libopenblas-dev, then \
               /usr/include/x86_64-linux-gnu/openblas-pthread",
    },
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for Toolkit { feature, wanted, variables, folders, what } in &TOOLKITS {
        if !is_on(feature) {
            continue;
        }
        for variable in *variables {
            println!("cargo::rerun-if-env-changed={variable}");
        }
        println!("cargo::rerun-if-env-changed=PATH");
        let places = places(variables, folders);
        if !wanted.iter().all(|name| is_there(name, &places)) {
            println!("cargo::error=the feature {feature} wants {what}");
        }
    }
    if is_on("metal") && env::var("CARGO_CFG_TARGET_VENDOR").as_deref() != Ok("apple") {
        println!(
            "cargo::error=the feature metal is for Apple's machines; for others there are cuda, hipblas and vulkan"
        );
    }
}

fn is_on(feature: &str) -> bool {
    env::var_os(format!("CARGO_FEATURE_{}", feature.to_uppercase())).is_some()
}

/// Where a program or a header may be.
fn places(variables: &[&str], folders: &[&str]) -> Vec<PathBuf> {
    let named = variables.iter().filter_map(env::var_os).map(PathBuf::from);
    let roots: Vec<PathBuf> = named.chain(folders.iter().map(PathBuf::from)).collect();
    let path = env::var_os("PATH").unwrap_or_default();
    let within = roots.iter().flat_map(|root| [root.clone(), root.join("bin"), root.join("include")]);
    // A variable may name the program itself.
    let beside = roots.iter().filter_map(|root| root.parent()).map(Path::to_owned);
    env::split_paths(&path).chain(within).chain(beside).collect()
}

fn is_there(name: &str, places: &[PathBuf]) -> bool {
    places.iter().any(|place| place.join(name).is_file())
}
