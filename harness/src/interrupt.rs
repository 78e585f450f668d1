//! Ctrl-C and termination: asked once, a run ends at the next chance and keeps what it has.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Exit status after an interrupt, as shells have it.
pub const EXIT_INTERRUPTED: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Listens for Ctrl-C and termination from now on. The second one ends the process at once.
pub fn listen() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Relaxed) {
            std::process::exit(i32::from(EXIT_INTERRUPTED));
        }
        eprintln!("interrupted: keeping what was measured; once more to stop at once");
    })
}

/// Whether someone asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Relaxed)
}
