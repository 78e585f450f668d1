//! Advice in a run's folder, and what that folder knows beside results.

use std::path::Path;

use super::facts::Background;
use crate::files::{FileError, write_atomically};
use crate::results::Advice;

/// The advice on a run, within its folder.
pub const ADVICE_FILE: &str = "advice.json";

/// Writes the advice on a run into its folder, whole or not at all.
pub fn write(folder: &Path, advice: &Advice) -> Result<(), FileError> {
    let path = folder.join(ADVICE_FILE);
    let mut bytes = serde_json::to_vec_pretty(advice)
        .map_err(|error| FileError::NotReadableBack { path: path.clone(), reason: error.to_string() })?;
    bytes.push(b'\n');
    write_atomically(&path, &bytes)
}

/// The advice that is kept in a run's folder; none when there is no such file.
pub fn read(folder: &Path) -> Result<Option<Advice>, FileError> {
    let path = folder.join(ADVICE_FILE);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(FileError::Unreadable { path, source }),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| FileError::WrongShape {
        path,
        what: "advice on a run",
        reason: crate::output::printable(&error.to_string()),
    })
}

/// What the folder of a run knows beside its results.
pub fn background_of(_folder: &Path) -> Background {
    Background::default()
}
