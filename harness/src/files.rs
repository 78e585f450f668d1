//! Files that are whole or not there: written aside, synced and renamed; and result files read back
//! with errors that say which file, where in it, and what to do.

use std::fs::{File, Permissions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use thiserror::Error;

use crate::output::printable;
use crate::results::{RunResults, SCHEMA_VERSION};

/// Why a file was not written or not understood. One line that names the file.
#[derive(Debug, Error)]
pub enum FileError {
    /// No such file.
    #[error("{}: there is no such file", path.display())]
    Missing {
        /// File.
        path: PathBuf,
    },
    /// The system doesn't let us read it.
    #[error("{}: can't be read: {source}", path.display())]
    Unreadable {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The system doesn't let us write it. What had that name before is untouched.
    #[error("{}: can't be written: {source}", path.display())]
    Unwritable {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The text ends in the middle.
    #[error("{}: cut off ({reason}); measure again, or fetch the whole file", path.display())]
    CutOff {
        /// File.
        path: PathBuf,
        /// What was expected, with line and column.
        reason: String,
    },
    /// The text is not JSON.
    #[error("{}: not JSON: {reason}", path.display())]
    NotJson {
        /// File.
        path: PathBuf,
        /// What and where, on one line.
        reason: String,
    },
    /// The writer knew a schema that this version doesn't.
    #[error(
        "{}: written by a later version (schema {found}, this one reads up to {known}): \
         update consensus-bench",
        path.display()
    )]
    LaterVersion {
        /// File.
        path: PathBuf,
        /// Schema of the file.
        found: u64,
        /// The latest schema that this version reads.
        known: u32,
    },
    /// JSON, but not what the file should hold.
    #[error("{}: no {what}: {reason}", path.display())]
    WrongShape {
        /// File.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What and where, on one line.
        reason: String,
    },
    /// These results could be written, but never read back.
    #[error("{}: not written, for it could not be read back: {reason}", path.display())]
    NotReadableBack {
        /// File.
        path: PathBuf,
        /// What stands in the way.
        reason: String,
    },
}

/// Writes a file that is whole under its name, or not there: never half.
///
/// The bytes go to a temporary file in the same folder, are synced, and take the name by a rename;
/// then the folder is synced, so that the name survives a power cut too. The folder must exist.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let attempt = || -> std::io::Result<()> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        if let Some(permissions) = permissions_of_a_plain_file() {
            builder.permissions(permissions);
        }
        let mut aside = builder.tempfile_in(folder)?;
        aside.write_all(bytes)?;
        aside.as_file().sync_all()?;
        aside.persist(path).map_err(|failure| failure.error)?;
        sync_folder(folder)
    };
    attempt().map_err(|source| FileError::Unwritable { path: path.into(), source })
}

/// Temporary files are private by default; results are for others too, as far as the umask allows.
#[cfg(unix)]
fn permissions_of_a_plain_file() -> Option<Permissions> {
    Some(std::os::unix::fs::PermissionsExt::from_mode(0o666))
}

#[cfg(not(unix))]
fn permissions_of_a_plain_file() -> Option<Permissions> {
    None
}

/// Makes a rename last. Where folders can't be opened or synced there is nothing more to do.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        outcome => outcome,
    }
}

/// Writes results as JSON, whole or not at all.
///
/// What would not read back is refused: JSON has no word for infinity, and a file that fails weeks
/// later, as a baseline, costs more than an error now.
pub fn write_results(path: &Path, results: &RunResults) -> Result<(), FileError> {
    let refused = |reason| FileError::NotReadableBack { path: path.into(), reason };
    let mut bytes = serde_json::to_vec_pretty(results).map_err(|error| refused(error.to_string()))?;
    bytes.push(b'\n');
    parse_results(path, &bytes).map_err(|error| match error {
        FileError::WrongShape { reason, .. } => refused(reason),
        other => refused(other.to_string()),
    })?;
    write_atomically(path, &bytes)
}

/// A kind of file that says by which version of its schema it was written, in a field `schema_version`.
#[derive(Clone, Copy, Debug)]
pub struct Document {
    /// What it holds, as it follows "no" in an error.
    pub what: &'static str,
    /// The latest version that is read.
    pub version: u32,
}

/// A run's `results.json`.
const RESULTS: Document = Document { what: "results of a run", version: SCHEMA_VERSION };

impl Document {
    /// Reads a file of this kind.
    pub fn read<T: DeserializeOwned>(self, path: &Path) -> Result<T, FileError> {
        let text = std::fs::read(path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => FileError::Missing { path: path.into() },
            _ => FileError::Unreadable { path: path.into(), source },
        })?;
        self.parse(path, &text)
    }

    /// Reads the text of one; `path` names it in errors.
    pub fn parse<T: DeserializeOwned>(self, path: &Path, text: &[u8]) -> Result<T, FileError> {
        /// The one field that every version has, so that a later version is told from a broken file.
        #[derive(Deserialize)]
        struct Version {
            schema_version: u64,
        }
        let unread = |error| self.unread(path, &error);
        let version: Version = serde_json::from_slice(text).map_err(unread)?;
        if version.schema_version > u64::from(self.version) {
            let (found, known) = (version.schema_version, self.version);
            return Err(FileError::LaterVersion { path: path.into(), found, known });
        }
        serde_json::from_slice(text).map_err(unread)
    }

    /// Something that reads as JSON and still can't be meant.
    pub fn wrong(self, path: &Path, reason: impl Into<String>) -> FileError {
        FileError::WrongShape { path: path.into(), what: self.what, reason: reason.into() }
    }

    fn unread(self, path: &Path, error: &serde_json::Error) -> FileError {
        // The message may quote the file, control characters included.
        let reason = printable(&error.to_string());
        match error.classify() {
            Category::Eof => FileError::CutOff { path: path.into(), reason },
            Category::Syntax | Category::Io => FileError::NotJson { path: path.into(), reason },
            Category::Data => self.wrong(path, reason),
        }
    }
}

/// Reads the results of a run.
pub fn read_results(path: &Path) -> Result<RunResults, FileError> {
    RESULTS.read(path)
}

/// Reads the results of a run from text; `path` names it in errors.
pub fn parse_results(path: &Path, text: &[u8]) -> Result<RunResults, FileError> {
    RESULTS.parse(path, text)
}

/// The stored run that tests start from, and that later versions must still read.
#[cfg(test)]
pub(crate) const SAMPLE: &[u8] = include_bytes!("../tests/it/results-v1.json");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::results::{Metric, Outcome};

    fn sample() -> RunResults {
        parse_results(Path::new("sample.json"), SAMPLE).unwrap()
    }

    fn error_of(text: &str) -> String {
        let error = parse_results(Path::new("r.json"), text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");

        // A folder can't be replaced by a file: the rename is what fails.
        let taken = folder.path().join("taken");
        std::fs::create_dir(&taken).unwrap();
        let error = write_atomically(&taken, b"new").unwrap_err().to_string();
        assert!(error.contains("taken: can't be written: "), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "a temporary file was left");

        let nowhere = folder.path().join("no-folder/results.json");
        assert!(matches!(write_atomically(&nowhere, b"x"), Err(FileError::Unwritable { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_what_was_written() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        write_atomically(&ours, b"x").unwrap();
        std::fs::write(&plain, b"x").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }

    #[test]
    fn errors_say_which_file_where_and_what_to_do() {
        let text = String::from_utf8(SAMPLE.to_vec()).unwrap();
        for (broken, expected) in [
            ("", "r.json: cut off (EOF while parsing a value at line 1 column 0); measure again"),
            (&text[..text.len() / 2], "r.json: cut off (EOF while parsing"),
            ("hello", "r.json: not JSON: expected value at line 1 column 1"),
            ("[]", "r.json: no results of a run: "),
            ("{}", "r.json: no results of a run: missing field `schema_version` at line 1 column 2"),
            (
                "{\"schema_version\": 1}",
                "r.json: no results of a run: missing field `run_id` at line 1 column 21",
            ),
            (
                &text.replace("\"schema_version\": 1", "\"schema_version\": 7"),
                "r.json: written by a later version (schema 7, this one reads up to 3): update consensus-bench",
            ),
            (
                &text.replace("\"status\": \"completed\"", "\"status\": \"com\\npleted\""),
                "unknown variant `com pleted`",
            ),
        ] {
            let error = error_of(broken);
            assert!(error.contains(expected), "{error}");
        }
        let missing = read_results(Path::new("/nowhere/r.json")).unwrap_err().to_string();
        assert_eq!(missing, "/nowhere/r.json: there is no such file");
    }

    #[test]
    fn numbers_that_json_has_no_word_for_are_refused_before_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let mut results = sample();
        results.results[0].metrics[0].value = f64::NAN;
        let error = write_results(&path, &results).unwrap_err().to_string();
        assert!(error.contains("not written, for it could not be read back: invalid type: null"), "{error}");
        assert!(!path.exists());
    }

    fn finite() -> impl Strategy<Value = f64> {
        use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
        POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            Just(Outcome::Completed),
            Just(Outcome::Interrupted),
            any::<String>().prop_map(|reason| Outcome::Failed { reason }),
            Just(Outcome::Unsafe),
        ]
    }

    proptest! {
        #[test]
        fn a_results_file_reads_back_as_it_was_written(
            strings in proptest::array::uniform4(any::<String>()),
            numbers in proptest::collection::vec((finite(), proptest::option::of(finite()), any::<u64>()), 0..20),
            outcome in outcome(),
        ) {
            let mut results = sample();
            let [run_id, command, setting, violation] = strings;
            results.run_id = run_id;
            results.manifest.command = vec![command];
            let result = &mut results.results[0];
            result.outcome = outcome;
            result.safety.violations = vec![violation];
            result.settings = [(setting, numbers.first().map_or(0.0, |number| number.0))].into();
            let like = result.metrics[0].clone();
            result.metrics = numbers
                .into_iter()
                .map(|(value, lower, n)| Metric { value, lower, upper: lower, n, ..like.clone() })
                .collect();

            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("results.json");
            write_results(&path, &results).unwrap();
            prop_assert_eq!(read_results(&path).unwrap(), results);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse_results(Path::new("r.json"), &bytes).ok();
        }

        #[test]
        fn a_file_cut_anywhere_is_an_error(share in 0.0f64..1.0) {
            // All but the closing brace and the line break after it.
            let cut = (share * (SAMPLE.len() - 2) as f64) as usize;
            let error = parse_results(Path::new("r.json"), &SAMPLE[..cut]).unwrap_err();
            // Half a number is an invalid one, wherever it stands.
            let is_told = matches!(error, FileError::CutOff { .. } | FileError::NotJson { .. });
            prop_assert!(is_told, "{}", error);
        }

        #[test]
        fn a_damaged_file_never_makes_the_reader_panic(at in 0..SAMPLE.len(), byte in any::<u8>()) {
            let mut bytes = SAMPLE.to_vec();
            bytes[at] = byte;
            parse_results(Path::new("r.json"), &bytes).ok();
        }
    }
}
