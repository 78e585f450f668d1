//! critcmp as it is installed here, for the tests: the one reader whose word on its files counts.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;

/// What critcmp says to some arguments; none where it is not installed, which is told.
pub(crate) fn critcmp(arguments: &[&Path], here: &Path) -> Option<String> {
    let output = match Command::new("critcmp").args(arguments).current_dir(here).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Not through `eprintln`, which the test runner keeps to itself when a test passes.
            writeln!(
                std::io::stderr(),
                "critcmp was not asked: `cargo install critcmp --locked` installs it"
            )
            .ok();
            return None;
        }
        Err(error) => panic!("critcmp does not start: {error}"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}
