//! Turns panics of the decoders' crates into errors.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// The message of the panic that [`catch`] is catching; `None` outside of it.
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `work`; a panic in it becomes an error with the panic's message and location.
///
/// Such a panic is not printed, because the caller reports it. After a panic, whatever `work` was
/// changing may only be dropped.
pub(super) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    silence_caught_panics();
    CAUGHT.set(Some(String::new()));
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    let message = CAUGHT.take().unwrap_or_default();
    result.map_err(|_| message)
}

/// Installs a panic hook that swallows the panics within [`catch`] and hands on all others.
fn silence_caught_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let caught = CAUGHT.with_borrow_mut(|caught| match caught {
                Some(message) => {
                    *message = describe(info);
                    true
                }
                None => false,
            });
            if !caught {
                next(info);
            }
        }));
    });
}

/// `message (file:line)` on one line.
fn describe(info: &panic::PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let message = payload.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
    let message = message.replace('\n', " ");
    match info.location() {
        Some(at) => {
            let file = at.file().rsplit('/').next().unwrap_or_default();
            format!("{message} ({file}:{})", at.line())
        }
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::catch;

    #[test]
    fn a_panic_is_caught_with_its_message() {
        assert_eq!(catch(|| 7), Ok(7));
        let caught = catch(|| panic!("out of {}", "luck")).unwrap_err();
        assert!(caught.starts_with("out of luck (crash.rs:"), "{caught}");
        assert_eq!(catch(|| 8), Ok(8));
    }
}
