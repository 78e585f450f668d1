//! Exit codes, the same for every way in.

use crate::files::FileError;
use crate::store::StoreError;

/// Everything ran.
pub const EXIT_OK: u8 = 0;
/// The tool or a system under test failed.
pub const EXIT_TOOL: u8 = 1;
/// The command line or a file it names is wrong.
pub const EXIT_USAGE: u8 = 2;
/// Something is worse than is put up with.
pub const EXIT_REGRESSION: u8 = 3;
/// It can't be told whether something is worse, and that was to count as a failure.
pub const EXIT_INCONCLUSIVE: u8 = 4;
/// A baseline is missing or can't be compared with.
pub const EXIT_BASELINE: u8 = 5;
/// A safety check failed; numbers are withheld.
pub const EXIT_UNSAFE: u8 = 6;

/// The code of an error of a file to compare with: the system failed, or what it holds is missing or unusable.
pub fn exit_code_of_file(error: &FileError) -> u8 {
    match error {
        FileError::Unreadable { .. } | FileError::Unwritable { .. } => EXIT_TOOL,
        _ => EXIT_BASELINE,
    }
}

/// The code of an error of the store: what was asked for is missing or unusable, was asked for
/// wrongly, or the system failed.
pub fn exit_code_of(error: &StoreError) -> u8 {
    match error {
        StoreError::File(error) => exit_code_of_file(error),
        StoreError::Folder { .. } => EXIT_TOOL,
        StoreError::BadName { .. }
        | StoreError::NoWorkspace
        | StoreError::Committed { .. }
        | StoreError::OtherMachine { .. } => EXIT_USAGE,
        _ => EXIT_BASELINE,
    }
}

/// Tells what a failed safety check found.
pub fn print_violations(what: &str, violations: &[String]) {
    eprintln!("SAFETY VIOLATION in {what}: numbers are withheld");
    violations.iter().for_each(|violation| eprintln!("  {violation}"));
}
