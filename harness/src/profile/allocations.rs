//! Where memory is taken, per commit: dhat's profile of the heap, read back and given to functions.
//!
//! Watching takes an allocator that notes the stack of every allocation, so it is only in builds with the
//! feature `dhat`; reading is in every build. While it watches, everything is many times slower, so only
//! counts per commit come of it, and no times.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::rules::kind_of;
use super::{Frame, Kind, Origin, Profiled};
use crate::files::{Document, FileError, write_atomically};

/// Version of the schema of [`AllocationSites`].
const ALLOCATIONS_SCHEMA_VERSION: u32 = 1;
/// Sites that are kept, the most frequent first.
const SITES_KEPT: usize = 40;
/// Frames of each stack that dhat keeps: enough to get out of the standard library.
#[cfg(feature = "dhat")]
const FRAMES_KEPT: usize = 32;
/// Nobody's crate.
const NO_CRATE: &str = "(none)";

#[cfg(any(feature = "dhat", test))]
const HEAP: &str = "dhat-heap.json";
const SITES: &str = "allocations.json";
const DOCUMENT: Document = Document { what: "profile of allocations", version: ALLOCATIONS_SCHEMA_VERSION };

/// Why the heap was not watched.
#[derive(Debug, Error)]
pub enum HeapProfileError {
    /// This build's allocator does not tell.
    #[error(
        "this build can't tell where memory is taken; one that can: \
         `cargo run --release -p consensus-bench-suite --features dhat --bin consensus-bench -- profile …`"
    )]
    NotBuilt,
    /// What dhat wrote can't be read.
    #[error("{}: no profile of the heap: {reason}", path.display())]
    Unreadable {
        /// File.
        path: PathBuf,
        /// What and where, on one line.
        reason: String,
    },
}

/// Where memory was taken: `allocations.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AllocationSites {
    /// Version of the writer's schema.
    pub schema_version: u32,
    /// What ran while the heap was watched.
    pub profiled: Profiled,
    /// Commands committed meanwhile.
    pub commits: u64,
    /// Allocations per commit, of the whole process.
    pub allocations_per_commit: f64,
    /// Bytes of those.
    pub bytes_per_commit: f64,
    /// Functions that took memory, the most frequent first; the rest is left out.
    pub sites: Vec<AllocationSite>,
}

/// A function that took memory, or had the standard library take it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AllocationSite {
    /// Crate, by the function's name.
    pub krate: String,
    /// Function.
    pub function: String,
    /// The end of its file's path, and the line: `src/raft.rs:120`.
    pub place: String,
    /// Share of all allocations, 0 to 1.
    pub share: f64,
    /// Allocations per commit.
    pub allocations_per_commit: f64,
    /// Bytes of those.
    pub bytes_per_commit: f64,
}

/// The heap, while it is watched.
pub struct HeapProfile {
    path: PathBuf,
    #[cfg(feature = "dhat")]
    profiler: dhat::Profiler,
}

impl HeapProfile {
    /// Whether this build can watch the heap.
    pub fn is_built() -> bool {
        cfg!(feature = "dhat")
    }

    /// Watches from now on; what was seen will be in `folder`, which has to exist.
    #[cfg(feature = "dhat")]
    pub fn start(folder: &Path) -> Result<HeapProfile, HeapProfileError> {
        let path = folder.join(HEAP);
        let builder = dhat::Profiler::builder().file_name(&path).trim_backtraces(Some(FRAMES_KEPT));
        Ok(HeapProfile { path, profiler: builder.build() })
    }

    /// Watches from now on; what was seen will be in `folder`, which has to exist.
    #[cfg(not(feature = "dhat"))]
    pub fn start(_folder: &Path) -> Result<HeapProfile, HeapProfileError> {
        Err(HeapProfileError::NotBuilt)
    }

    /// Writes what was seen; where it is.
    pub fn stop(self) -> PathBuf {
        #[cfg(feature = "dhat")]
        drop(self.profiler);
        self.path
    }
}

/// What dhat writes, as far as it is read here. Its names are short because the file is long.
#[derive(Deserialize)]
struct DhatFile {
    /// Program points.
    pps: Vec<ProgramPoint>,
    /// Frames, as text: `0x1234: function (file:line:column)`.
    ftbl: Vec<String>,
}

#[derive(Deserialize)]
struct ProgramPoint {
    /// Total bytes.
    tb: u64,
    /// Total blocks.
    tbk: u64,
    /// Stack: indices of frames, the innermost first.
    fs: Vec<usize>,
}

impl AllocationSites {
    /// Makes something of what dhat wrote while `commits` commands were committed.
    pub fn of(heap: &Path, profiled: Profiled, commits: u64) -> Result<AllocationSites, HeapProfileError> {
        let unreadable = |reason: String| HeapProfileError::Unreadable { path: heap.into(), reason };
        let text = std::fs::read(heap).map_err(|error| unreadable(error.to_string()))?;
        let file: DhatFile = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        let per_commit = |count: u64| count as f64 / commits.max(1) as f64;
        let all: u64 = file.pps.iter().map(|point| point.tbk).sum();
        // By function and place, blocks and bytes.
        let mut by_site: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
        for point in &file.pps {
            let stack = point.fs.iter().filter_map(|&index| file.ftbl.get(index)).map(|text| parts(text));
            let counts = by_site.entry(owner(stack)).or_default();
            *counts = (counts.0 + point.tbk, counts.1 + point.tb);
        }
        let mut sites: Vec<_> = by_site.into_iter().collect();
        sites.sort_by_key(|(_, (blocks, _))| std::cmp::Reverse(*blocks));
        let site = |((function, place), (blocks, bytes)): ((&str, &str), (u64, u64))| AllocationSite {
            krate: crate_of(function),
            function: function.into(),
            place: place.into(),
            share: blocks as f64 / all.max(1) as f64,
            allocations_per_commit: per_commit(blocks),
            bytes_per_commit: per_commit(bytes),
        };
        Ok(AllocationSites {
            schema_version: ALLOCATIONS_SCHEMA_VERSION,
            profiled,
            commits,
            allocations_per_commit: per_commit(all),
            bytes_per_commit: per_commit(file.pps.iter().map(|point| point.tb).sum()),
            sites: sites.into_iter().take(SITES_KEPT).map(site).collect(),
        })
    }

    /// Reads an `allocations.json`.
    pub fn read(path: &Path) -> Result<AllocationSites, FileError> {
        DOCUMENT.read(path)
    }

    /// Writes it into a folder; where it is then.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, FileError> {
        let path = folder.join(SITES);
        let refused = |error: serde_json::Error| FileError::NotReadableBack {
            path: path.clone(),
            reason: error.to_string(),
        };
        write_atomically(&path, &serde_json::to_vec_pretty(self).map_err(refused)?)?;
        Ok(path)
    }

    /// How it is called: `scenario/protocol`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.profiled.scenario, self.profiled.protocol)
    }
}

/// Function and place of a frame's text.
fn parts(frame: &str) -> (&str, &str) {
    let named = frame.split_once(": ").map_or(frame, |(_, named)| named);
    let Some((function, place)) = named.rsplit_once(" (") else { return (named, "") };
    let place = place.strip_suffix(')').unwrap_or(place);
    // Without the column.
    (function, place.rsplit_once(':').map_or(place, |(place, _)| place))
}

/// The innermost function that is neither the standard library's nor an allocator's.
fn owner<'a>(stack: impl Iterator<Item = (&'a str, &'a str)>) -> (&'a str, &'a str) {
    let mut innermost = None;
    for (function, place) in stack {
        innermost = innermost.or(Some((function, place)));
        let frame = Frame { function: function.into(), file: String::new() };
        let origin = Origin::of(&frame);
        let allocates =
            function.contains("GlobalAlloc>::") || kind_of(&frame, origin) == Some(Kind::Allocation);
        if !(origin.krate.is_empty() || origin.is_standard() || allocates) {
            return (function, place);
        }
    }
    innermost.unwrap_or((NO_CRATE, ""))
}

fn crate_of(function: &str) -> String {
    let frame = Frame { function: function.into(), file: String::new() };
    let krate = Origin::of(&frame).krate;
    if krate.is_empty() { NO_CRATE.into() } else { krate.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAP_FILE: &str = r#"{"dhatFileVersion":2,"mode":"rust-heap","pps":[
        {"tb":6400,"tbk":100,"tl":1,"fs":[6,1,2,3,4]},
        {"tb":1000,"tbk":300,"tl":1,"fs":[1,2,3,5]},
        {"tb":600,"tbk":100,"tl":1,"fs":[1,4]},
        {"tb":7,"tbk":1,"tl":1,"fs":[1]}],
        "ftbl":["[root]",
        "0x1: <consensus_bench::resources::allocator::CountingAllocator as core::alloc::global::GlobalAlloc>::alloc (src/resources/allocator.rs:130:9)",
        "0x2: <alloc::raw_vec::RawVec<T,A>>::grow_one (src/raw_vec/mod.rs:340:9)",
        "0x3: <T as core::convert::Into<U>>::into (src/convert/mod.rs:776:9)",
        "0x4: raft::raft::Raft<T>::send_append (raft-0.7.0/src/raft.rs:812:22)",
        "0x5: protobuf::rt::bytes (src/rt.rs:12:5)",
        "0x6: __rustc::__rust_alloc (benches/src/lib.rs:11:1)"]}"#;

    #[test]
    fn sites_are_the_innermost_functions_that_someone_could_change() {
        let folder = tempfile::tempdir().unwrap();
        let heap = folder.path().join(HEAP);
        std::fs::write(&heap, HEAP_FILE).unwrap();
        let sites = AllocationSites::of(&heap, Profiled::default(), 100).unwrap();
        assert_eq!((sites.allocations_per_commit, sites.bytes_per_commit), (5.01, 80.07));
        let shown: Vec<_> =
            sites.sites.iter().map(|site| (site.krate.as_str(), site.place.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("protobuf", "src/rt.rs:12"),
                ("raft", "raft-0.7.0/src/raft.rs:812"),
                ("consensus_bench", "src/resources/allocator.rs:130")
            ]
        );
        let raft = &sites.sites[1];
        assert_eq!((raft.allocations_per_commit, raft.bytes_per_commit), (2.0, 70.0));
        assert!((raft.share - 200.0 / 501.0).abs() < 1e-12);

        let path = sites.write(folder.path()).unwrap();
        assert_eq!(AllocationSites::read(&path).unwrap(), sites);
    }

    #[test]
    fn what_is_no_profile_of_the_heap_is_told_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let heap = folder.path().join(HEAP);
        std::fs::write(&heap, "{}").unwrap();
        let error = AllocationSites::of(&heap, Profiled::default(), 1).unwrap_err().to_string();
        assert!(error.contains("no profile of the heap: missing field `pps`") && error.lines().count() == 1);
        let error = AllocationSites::read(&heap).unwrap_err().to_string();
        assert!(error.contains("no profile of allocations"), "{error}");
    }
}
