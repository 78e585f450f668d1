//! `model.json`: a model as it is kept, so that others predict by it without the runs.

use std::path::Path;

use super::Model;
use crate::files::{Document, FileError, write_atomically};

/// Version of the shape of [`Model`]. Files of a later version are refused.
pub const SCHEMA_VERSION: u32 = 1;

const MODEL: Document = Document { what: "performance model", version: SCHEMA_VERSION };

/// Writes a model, whole or not at all.
pub fn write(path: &Path, model: &Model) -> Result<(), FileError> {
    let unwritable = |source| FileError::Unwritable { path: path.into(), source };
    let text = serde_json::to_string_pretty(model).map_err(|error| unwritable(error.into()))?;
    // What would be refused when it is read must not be kept.
    parse(path, text.as_bytes())?;
    write_atomically(path, (text + "\n").as_bytes())
}

/// Reads a model.
pub fn read(path: &Path) -> Result<Model, FileError> {
    check(path, MODEL.read(path)?)
}

/// Reads a model from text; `path` names it in errors.
pub fn parse(path: &Path, text: &[u8]) -> Result<Model, FileError> {
    check(path, MODEL.parse(path, text)?)
}

/// Laws that would predict no time, or panic, are refused.
fn check(path: &Path, model: Model) -> Result<Model, FileError> {
    for place in &model.places {
        let closed = place.closed.iter().all(|chosen| chosen.laws().all(|law| law.is_valid()));
        let open = place.open.iter().all(|chosen| chosen.laws().all(|law| law.is_valid()));
        let capacity = place.capacity.iter().all(|capacity| capacity.is_valid());
        if !(closed && open && capacity) {
            let reason =
                format!("{}: a law with weights that no time has; fit it again", place.surroundings.name());
            return Err(MODEL.wrong(path, reason));
        }
    }
    Ok(model)
}
