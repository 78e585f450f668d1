//! A stored run with everything in it that a report can show, and a way to spoil it.

use std::path::{Path, PathBuf};

use super::material::{Material, RunProfile};
use crate::files::read_results;
use crate::profile::{FoundProfile, Frame, ProfileFiles, Profiled, Samples, Stack, attribute};
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

/// A profile of raft-rs under the load `stress`.
pub fn profile(folder: &Path, hashing: u64) -> RunProfile {
    let profiled = Profiled { scenario: "stress".into(), protocol: "raft-rs".into(), ..Profiled::default() };
    profile_of(profiled, folder, hashing)
}

/// A profile in a folder: 400 samples of the protocol, and some of hashing.
pub fn profile_of(profiled: Profiled, folder: &Path, hashing: u64) -> RunProfile {
    let stack = |function: &str, samples| Stack {
        thread: "cluster".into(),
        frames: vec![Frame { function: function.into(), file: String::new() }],
        samples,
    };
    let stacks = vec![stack("raft::raft::step", 400), stack("blake3::hash", hashing)];
    let samples = Samples { stacks, cpu_s: Some(1.0), wall_s: 1.0, ..Samples::default() };
    let attribution = attribute(&samples, profiled, None);
    let files = ProfileFiles::write(folder, &samples, &attribution).unwrap();
    let svg = std::fs::read_to_string(files.flame_graph()).unwrap();
    RunProfile { profile: FoundProfile { files, attribution }, svg }
}
