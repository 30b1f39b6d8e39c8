//! The GPU that recognises, if this build supports GPUs and there is one.

use std::ffi::CStr;

use whisper_rs::whisper_rs_sys as ggml;

use super::log;

/// The features for GPUs that this program was built with.
pub const BUILT_FOR: &[&str] = &[
    #[cfg(feature = "cuda")]
    "cuda",
    #[cfg(feature = "hipblas")]
    "hipblas",
    #[cfg(feature = "metal")]
    "metal",
    #[cfg(feature = "vulkan")]
    "vulkan",
];

/// The name of the GPU that whisper.cpp uses, which is the first one. None: the CPU recognises.
pub fn gpu() -> Option<String> {
    log::install();
    // SAFETY: ggml registers its devices once, and they live as long as the process.
    unsafe {
        let devices = (0..ggml::ggml_backend_dev_count()).map(|n| ggml::ggml_backend_dev_get(n));
        let mut gpus = devices.filter(|&device| {
            matches!(
                ggml::ggml_backend_dev_type(device),
                ggml::ggml_backend_dev_type_GGML_BACKEND_DEVICE_TYPE_GPU
                    | ggml::ggml_backend_dev_type_GGML_BACKEND_DEVICE_TYPE_IGPU
            )
        });
        let description = ggml::ggml_backend_dev_description(gpus.next()?);
        Some(CStr::from_ptr(description).to_string_lossy().trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_feature_for_it_no_gpu_is_found() {
        if BUILT_FOR.is_empty() {
            assert_eq!(gpu(), None);
        }
    }
}
