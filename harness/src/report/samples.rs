//! A stored run with everything in it that a report can show, and a way to spoil it.

use std::path::{Path, PathBuf};

use super::material::Material;
use crate::files::read_results;
use crate::results::RunResults;
use crate::store::Store;

/// Where the stored run is.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/report-run")
}

/// Its results.
pub fn run() -> RunResults {
    read_results(&folder().join("results.json")).unwrap()
}

/// The run with what lies beside it, but without a history.
pub fn material() -> Material {
    let store = Store { home: folder().join("nowhere"), committed: None, fingerprint: String::new() };
    Material::of_run(&store, run(), &folder())
}
