//! A protocol that panics is a finding: its message belongs into the report, and thousands of them not
//! on standard error.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// Message of the latest panic, while this thread catches them.
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Runs `work`; where and with what it panicked, if it did. Other threads' panics are told as ever.
pub(super) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let ours = CAUGHT.with_borrow_mut(|caught| match caught {
                Some(message) => {
                    *message = panic.to_string().replace('\n', " ");
                    true
                }
                None => false,
            });
            if !ours {
                before(panic);
            }
        }));
    });
    CAUGHT.set(Some(String::new()));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    let message = CAUGHT.take().unwrap_or_default();
    outcome.map_err(|_| message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_place_and_its_message() {
        let message = catch(|| -> u32 { panic!("no such {}", "entry") }).unwrap_err();
        assert!(message.contains("panics.rs") && message.ends_with("no such entry"), "{message}");
        assert_eq!(catch(|| 7), Ok(7));
    }
}
