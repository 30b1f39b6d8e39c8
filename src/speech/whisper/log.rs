//! Forwards the logs of whisper.cpp and ggml to tracing, under the target `whisper`.
//!
//! We do not use `whisper_rs::install_logging_hooks`: its tracing backend logs some thirty lines at
//! `info` for every loaded model, and errors for every recognition that we abort ourselves. As we
//! call them (without `print_realtime` and `WHISPER_DEBUG`), neither library logs recognised text.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::panic::catch_unwind;
use std::sync::Once;

use tracing::{debug, error, trace, warn};
use whisper_rs::GGMLLogLevel;

const TARGET: &str = "whisper";

thread_local! {
    /// Whether we ended this thread's recognition ourselves, so that what whisper.cpp then logs as
    /// an error is none.
    static ABORTING: Cell<bool> = const { Cell::new(false) };
}

/// Installs the callback. Only the first call, before anything is loaded, does something.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: `forward` only reads the text, does not unwind, and lives as long as the process.
        unsafe { whisper_rs::set_log_callback(Some(forward), std::ptr::null_mut()) };
    });
}

/// Says whether we caused the errors that whisper.cpp logs on this thread.
pub(crate) fn set_aborting(aborting: bool) {
    ABORTING.set(aborting);
}

unsafe extern "C" fn forward(level: u32, text: *const c_char, _user_data: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: both libraries pass a NUL-terminated string that lives during the call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    // If a subscriber panics, for instance because standard error is closed, the panic must not
    // unwind into C++.
    let _ = catch_unwind(|| match GGMLLogLevel::from(level) {
        GGMLLogLevel::Error if ABORTING.get() => debug!(target: TARGET, "{text}"),
        GGMLLogLevel::Error => error!(target: TARGET, "{text}"),
        GGMLLogLevel::Warn => warn!(target: TARGET, "{text}"),
        // At this level they log every parameter of a model.
        GGMLLogLevel::Info => debug!(target: TARGET, "{text}"),
        _ => trace!(target: TARGET, "{text}"),
    });
}
