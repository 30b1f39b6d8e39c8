//! whisper.cpp's and ggml's log, through tracing under the target `whisper`.
//!
//! Not `whisper_rs::install_logging_hooks`: its tracing backend gives some thirty lines at `info`
//! for every model loaded, and errors for every recognition that we abort ourselves. Neither
//! library logs recognised text in the way we call them (`print_realtime` off, `WHISPER_DEBUG` not
//! compiled).

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::panic::catch_unwind;
use std::sync::Once;

use tracing::{debug, error, trace, warn};
use whisper_rs::GGMLLogLevel;

const TARGET: &str = "whisper";

thread_local! {
    /// We asked this thread's recognition to stop, so that what whisper.cpp then reports as a
    /// failure is none.
    static ABORTING: Cell<bool> = const { Cell::new(false) };
}

/// Takes the log over; the first call does it, before anything is loaded.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: `forward` reads only the text, lets no panic out and lives as long as the
        // process.
        unsafe { whisper_rs::set_log_callback(Some(forward), std::ptr::null_mut()) };
    });
}

/// Whether failures that whisper.cpp logs on this thread are of our own making.
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
    // A subscriber that panics (standard error closed, say) must not unwind into C++.
    let _ = catch_unwind(|| match GGMLLogLevel::from(level) {
        GGMLLogLevel::Error if ABORTING.get() => debug!(target: TARGET, "{text}"),
        GGMLLogLevel::Error => error!(target: TARGET, "{text}"),
        GGMLLogLevel::Warn => warn!(target: TARGET, "{text}"),
        // What they call information is a model's every parameter.
        GGMLLogLevel::Info => debug!(target: TARGET, "{text}"),
        _ => trace!(target: TARGET, "{text}"),
    });
}
