//! What the allocator keeps of what is freed, which for glibc is nearly all: good for programs that
//! do the same again and again, and not for one that is idle most of the time and now and then
//! hears an hour of speech.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::ffi::c_int;

    // Numbers of malloc.h.
    pub const M_MMAP_THRESHOLD: c_int = -3;
    pub const M_ARENA_MAX: c_int = -8;

    unsafe extern "C" {
        pub safe fn mallopt(parameter: c_int, value: c_int) -> c_int;
        pub safe fn malloc_trim(pad: usize) -> c_int;
    }
}

/// Has what is large returned as soon as it is freed, and the threads share what is kept; for the
/// whole process, best before anything else.
///
/// glibc maps large pieces on their own too, but with the first that is freed it raises the limit
/// to its size, up to 32 MB: samples and spectra, of another size in each stretch of a long
/// recording, then stay. docs/BENCHMARKS.md has what that cost.
pub fn tune_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        glibc::mallopt(glibc::M_MMAP_THRESHOLD, 1 << 20);
        glibc::mallopt(glibc::M_ARENA_MAX, 2);
    }
}

/// Returns what is freed now: of 90 MB with the model of `tests/idle.rs` 83 stay, with this 15.
pub fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::malloc_trim(0);
}
