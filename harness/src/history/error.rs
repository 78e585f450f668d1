//! Why the history does not do what it was asked. One line that says how to go on.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;

use super::schema::{PATIENCE, VERSION};
use super::{EntryId, KEEP_FOR_VARIABLE};
use crate::results::SCHEMA_VERSION;

/// Why something was not recorded or found.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The folder of the database can't be made.
    #[error("{}: can't make this folder: {source}", path.display())]
    Folder {
        /// Folder.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The file holds something else. It is left as it is.
    #[error("{}: no database; move this file away, and the next run starts a new history", path.display())]
    NotADatabase {
        /// File.
        path: PathBuf,
    },
    /// A database, but not one of ours. It is left as it is.
    #[error(
        "{}: a database of another program; move this file away, and the next run starts a new history",
        path.display()
    )]
    NotAHistory {
        /// File.
        path: PathBuf,
    },
    /// The writer knew tables that this version doesn't.
    #[error(
        "{}: written by a later version (history {found}, this one reads up to {VERSION}): \
         update consensus-bench",
        path.display()
    )]
    LaterVersion {
        /// File.
        path: PathBuf,
        /// Version of the file.
        found: i64,
    },
    /// The database contradicts itself.
    #[error(
        "{}: damaged ({reason}); move this file away, and the next run starts a new history",
        path.display()
    )]
    Damaged {
        /// File.
        path: PathBuf,
        /// What SQLite found.
        reason: String,
    },
    /// Another process writes and does not come to an end.
    #[error(
        "{}: another process has kept it locked for {} s; end that process or try again",
        path.display(),
        PATIENCE.as_secs()
    )]
    Busy {
        /// File.
        path: PathBuf,
    },
    /// The system or SQLite failed.
    #[error("{}: can't be used as a database: {source}", path.display())]
    Database {
        /// File.
        path: PathBuf,
        /// Cause.
        source: rusqlite::Error,
    },
    /// Not a time to keep entries for.
    #[error("`{KEEP_FOR_VARIABLE}={text}` is no age: write a number with its unit, as in 90d or 12h")]
    BadAge {
        /// What the variable says.
        text: String,
    },
    /// Not a name for a namespace.
    #[error(
        "`{name}` is no name for a namespace: use letters, digits, `.`, `_` and `-`, not `.` first, \
         and not `latest`"
    )]
    BadNamespace {
        /// Asked for.
        name: String,
    },
    /// Not an id.
    #[error("`{text}` is no entry's id: `cargo consensus-bench history list` shows ids, which are numbers")]
    BadId {
        /// Asked for.
        text: String,
    },
    /// No such entry.
    #[error("no entry {id}; `cargo consensus-bench history list` shows which there are")]
    UnknownEntry {
        /// Asked for.
        id: EntryId,
    },
    /// No entry has such a metric.
    #[error("no metric `{name}`; {known}")]
    UnknownMetric {
        /// Asked for.
        name: String,
        /// The nearest names, as half a sentence.
        known: String,
    },
    /// This result could be recorded, but never read back.
    #[error("{key}: not recorded, for it could not be read back: {reason}")]
    NotReadableBack {
        /// Which result.
        key: String,
        /// What stands in the way.
        reason: String,
    },
    /// The writer of an entry knew a schema of results that this version doesn't.
    #[error(
        "entry {id}: recorded by a later version (schema {found}, this one reads up to {SCHEMA_VERSION}): \
         update consensus-bench"
    )]
    LaterResult {
        /// Entry.
        id: EntryId,
        /// Schema of its result.
        found: u32,
    },
    /// The result of an entry is not one.
    #[error("entry {id}: no result of a run: {reason}; the results file in its run's folder may have it")]
    BadResult {
        /// Entry.
        id: EntryId,
        /// What and where, on one line.
        reason: String,
    },
    /// Entries can't be written as JSON.
    #[error("history as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Entries can't be written as CSV.
    #[error("history as CSV: {0}")]
    Csv(#[from] csv::Error),
}

impl HistoryError {
    /// What an error of SQLite means for its user.
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => HistoryError::NotADatabase { path },
            Some(ErrorCode::DatabaseCorrupt) => HistoryError::Damaged { path, reason: source.to_string() },
            Some(ErrorCode::DatabaseBusy) => HistoryError::Busy { path },
            _ => HistoryError::Database { path, source },
        }
    }
}
