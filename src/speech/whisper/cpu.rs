//! What this build of whisper.cpp needs of the CPU.
//!
//! ggml's sources say at run time with which instructions they were compiled, and use them without
//! looking: on a CPU that lacks one the program would be ended by SIGILL at its first recognition.

/// Instructions that ggml was compiled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instructions {
    pub name: &'static str,
    /// Whether this CPU has them.
    pub here: bool,
}

/// Those that this build needs. Empty for the slow baseline that runs on every CPU of its kind.
#[cfg(target_arch = "x86_64")]
pub fn needed() -> Vec<Instructions> {
    use std::arch::is_x86_feature_detected as here;
    use whisper_rs::whisper_rs_sys as ggml;

    // SAFETY: each returns a number that the compiler has put there.
    let compiled = unsafe {
        [
            ("SSE3", ggml::ggml_cpu_has_sse3(), here!("sse3")),
            ("SSSE3", ggml::ggml_cpu_has_ssse3(), here!("ssse3")),
            ("AVX", ggml::ggml_cpu_has_avx(), here!("avx")),
            ("AVX2", ggml::ggml_cpu_has_avx2(), here!("avx2")),
            ("FMA", ggml::ggml_cpu_has_fma(), here!("fma")),
            ("F16C", ggml::ggml_cpu_has_f16c(), here!("f16c")),
            ("BMI2", ggml::ggml_cpu_has_bmi2(), here!("bmi2")),
            ("AVX-VNNI", ggml::ggml_cpu_has_avx_vnni(), here!("avxvnni")),
            ("AVX512F", ggml::ggml_cpu_has_avx512(), here!("avx512f")),
            ("AVX512-VBMI", ggml::ggml_cpu_has_avx512_vbmi(), here!("avx512vbmi")),
            ("AVX512-VNNI", ggml::ggml_cpu_has_avx512_vnni(), here!("avx512vnni")),
            ("AVX512-BF16", ggml::ggml_cpu_has_avx512_bf16(), here!("avx512bf16")),
        ]
    };
    let needed = compiled.into_iter().filter(|(_, compiled, _)| *compiled != 0);
    needed.map(|(name, _, here)| Instructions { name, here }).collect()
}

/// Not looked into for other kinds of CPU.
#[cfg(not(target_arch = "x86_64"))]
pub fn needed() -> Vec<Instructions> {
    Vec::new()
}

/// The names of those `needed` that this CPU lacks, if any.
pub fn missing(needed: &[Instructions]) -> Option<String> {
    let missing: Vec<_> = needed.iter().filter(|it| !it.here).map(|it| it.name).collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_run_on_a_cpu_that_this_build_fits() {
        assert_eq!(missing(&needed()), None);
    }

    /// Where it does not, whisper.cpp was built before `.cargo/config.toml` asked for it:
    /// `cargo clean -p whisper-rs-sys`.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn this_build_multiplies_block_by_block() {
        // SAFETY: it returns a number that the compiler has put there.
        assert_ne!(unsafe { whisper_rs::whisper_rs_sys::ggml_cpu_has_llamafile() }, 0);
    }
}
