//! The CPU instructions that this build of whisper.cpp needs.
//!
//! ggml can tell with which instructions it was compiled, but does not check whether the CPU has
//! them: on a CPU that lacks one, SIGILL would end the process at its first recognition.

/// A set of instructions that ggml was compiled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instructions {
    pub name: &'static str,
    /// Whether this CPU has it.
    pub supported: bool,
}

/// The instructions that this build needs. Empty for the slow baseline, which runs on every CPU of
/// the architecture.
#[cfg(target_arch = "x86_64")]
pub fn needed() -> Vec<Instructions> {
    use std::arch::is_x86_feature_detected as supported;
    use whisper_rs::whisper_rs_sys as ggml;

    // SAFETY: each function returns a constant.
    let compiled = unsafe {
        [
            ("SSE3", ggml::ggml_cpu_has_sse3(), supported!("sse3")),
            ("SSSE3", ggml::ggml_cpu_has_ssse3(), supported!("ssse3")),
            ("AVX", ggml::ggml_cpu_has_avx(), supported!("avx")),
            ("AVX2", ggml::ggml_cpu_has_avx2(), supported!("avx2")),
            ("FMA", ggml::ggml_cpu_has_fma(), supported!("fma")),
            ("F16C", ggml::ggml_cpu_has_f16c(), supported!("f16c")),
            ("BMI2", ggml::ggml_cpu_has_bmi2(), supported!("bmi2")),
            ("AVX-VNNI", ggml::ggml_cpu_has_avx_vnni(), supported!("avxvnni")),
            ("AVX512F", ggml::ggml_cpu_has_avx512(), supported!("avx512f")),
            ("AVX512-VBMI", ggml::ggml_cpu_has_avx512_vbmi(), supported!("avx512vbmi")),
            ("AVX512-VNNI", ggml::ggml_cpu_has_avx512_vnni(), supported!("avx512vnni")),
            ("AVX512-BF16", ggml::ggml_cpu_has_avx512_bf16(), supported!("avx512bf16")),
        ]
    };
    let needed = compiled.into_iter().filter(|(_, compiled, _)| *compiled != 0);
    needed.map(|(name, _, supported)| Instructions { name, supported }).collect()
}

/// Not checked on other architectures.
#[cfg(not(target_arch = "x86_64"))]
pub fn needed() -> Vec<Instructions> {
    Vec::new()
}

/// The names of the `needed` instructions that this CPU lacks, if any.
pub fn missing(needed: &[Instructions]) -> Option<String> {
    let missing: Vec<_> = needed.iter().filter(|it| !it.supported).map(|it| it.name).collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_cpu_has_what_this_build_needs() {
        assert_eq!(missing(&needed()), None);
    }

    /// If this fails, whisper.cpp was built before `.cargo/config.toml` asked for it. Run
    /// `cargo clean -p whisper-rs-sys`.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn this_build_has_llamafile_matrix_multiplication() {
        // SAFETY: the function returns a constant.
        assert_ne!(unsafe { whisper_rs::whisper_rs_sys::ggml_cpu_has_llamafile() }, 0);
    }
}
