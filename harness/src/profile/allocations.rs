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

use super::attribution::kind_of_function;
#[cfg(any(feature = "dhat", test))]
use super::attribution::whose;
#[cfg(any(feature = "dhat", test))]
use super::{Frame, Stack};
use super::{Kind, Profiled};
use crate::files::{Document, FileError, write_atomically};

/// Version of the schema of [`AllocationSites`].
const ALLOCATIONS_SCHEMA_VERSION: u32 = 1;
/// Sites that are kept, the most frequent first.
const SITES_KEPT: usize = 40;
/// Frames of each stack that dhat keeps: enough to get out of the standard library.
#[cfg(feature = "dhat")]
const FRAMES_KEPT: usize = 32;

#[cfg(any(feature = "dhat", test))]
const HEAP: &str = "dhat-heap.json";
pub(super) const SITES: &str = "allocations.json";
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
    /// Crate.
    pub krate: String,
    /// Function, with its crate and file.
    pub function: String,
    /// Share of all allocations, 0 to 1.
    pub share: f64,
    /// Allocations per commit.
    pub allocations_per_commit: f64,
    /// Bytes of those.
    pub bytes_per_commit: f64,
}

/// The heap, while it is watched.
#[cfg(feature = "dhat")]
pub struct HeapProfile {
    path: PathBuf,
    profiler: dhat::Profiler,
}

/// Nothing: this build can't watch the heap.
#[cfg(not(feature = "dhat"))]
pub struct HeapProfile(std::convert::Infallible);

#[cfg(feature = "dhat")]
impl HeapProfile {
    /// Whether this build can watch the heap.
    pub const IS_BUILT: bool = true;

    /// Watches from now on; what was seen will be in `folder`, which has to exist.
    pub fn start(folder: &Path) -> Result<HeapProfile, HeapProfileError> {
        let path = folder.join(HEAP);
        let builder = dhat::Profiler::builder().file_name(&path).trim_backtraces(Some(FRAMES_KEPT));
        Ok(HeapProfile { path, profiler: builder.build() })
    }

    /// Writes what was seen, and reads who took the memory.
    pub fn stop(self) -> Result<SeenHeap, HeapProfileError> {
        drop(self.profiler);
        SeenHeap::read(&self.path, named)
    }
}

#[cfg(not(feature = "dhat"))]
impl HeapProfile {
    /// Whether this build can watch the heap.
    pub const IS_BUILT: bool = false;

    /// Watches from now on; what was seen will be in `folder`, which has to exist.
    pub fn start(_folder: &Path) -> Result<HeapProfile, HeapProfileError> {
        Err(HeapProfileError::NotBuilt)
    }

    /// Writes what was seen, and reads who took the memory.
    pub fn stop(self) -> Result<SeenHeap, HeapProfileError> {
        match self.0 {}
    }
}

/// The functions at an address of this process, the innermost first.
#[cfg(feature = "dhat")]
fn named(address: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    backtrace::resolve(address as *mut _, |symbol| {
        let file = symbol.filename().map(|path| path.display().to_string()).unwrap_or_default();
        let function = symbol.name().map(|name| format!("{name:#}")).unwrap_or_default();
        frames.push(Frame { function, file });
    });
    frames
}

/// What was taken from the heap while it was watched.
#[derive(Clone, Debug)]
pub struct SeenHeap {
    /// dhat's own file.
    pub path: PathBuf,
    /// Allocations and bytes, by crate and function.
    by_site: BTreeMap<(String, String), (u64, u64)>,
}

/// What dhat writes, as far as it is read here. Its names are short because the file is long.
#[cfg(any(feature = "dhat", test))]
#[derive(Deserialize)]
struct DhatFile {
    /// Program points.
    pps: Vec<ProgramPoint>,
    /// Frames, as text: `0x1234: function (file:line:column)`, with paths cut to their last three parts.
    ftbl: Vec<String>,
}

#[cfg(any(feature = "dhat", test))]
#[derive(Deserialize)]
struct ProgramPoint {
    /// Total bytes.
    tb: u64,
    /// Total blocks.
    tbk: u64,
    /// Stack: indices of frames, the innermost first.
    fs: Vec<usize>,
}

#[cfg(any(feature = "dhat", test))]
impl SeenHeap {
    /// Reads what dhat wrote. Its names lack the crate of a function, so that `named` finds them again by their
    /// addresses.
    fn read(path: &Path, named: impl Fn(usize) -> Vec<Frame>) -> Result<SeenHeap, HeapProfileError> {
        let unreadable = |reason: String| HeapProfileError::Unreadable { path: path.into(), reason };
        let text = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        let file: DhatFile = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        let mut known: BTreeMap<usize, Vec<Frame>> = BTreeMap::new();
        let mut by_site: BTreeMap<_, (u64, u64)> = BTreeMap::new();
        for point in &file.pps {
            let mut addresses: Vec<usize> =
                point.fs.iter().filter_map(|&index| address(file.ftbl.get(index)?)).collect();
            // One address has a frame for each function that was inlined there.
            addresses.dedup();
            let frames = addresses
                .into_iter()
                .flat_map(|address| known.entry(address).or_insert_with(|| named(address)).clone());
            let stack = Stack { thread: String::new(), frames: frames.collect(), samples: point.tbk };
            let whose = whose(&stack);
            let counts = by_site.entry((whose.krate, whose.function)).or_default();
            *counts = (counts.0 + point.tbk, counts.1 + point.tb);
        }
        Ok(SeenHeap { path: path.into(), by_site })
    }
}

/// The address that a frame's text begins with.
#[cfg(any(feature = "dhat", test))]
fn address(frame: &str) -> Option<usize> {
    usize::from_str_radix(frame.split_once(':')?.0.strip_prefix("0x")?, 16).ok()
}

impl AllocationSites {
    /// What was seen while `commits` commands were committed.
    pub fn of(heap: &SeenHeap, profiled: Profiled, commits: u64) -> AllocationSites {
        let per_commit = |count: u64| count as f64 / commits.max(1) as f64;
        let all: u64 = heap.by_site.values().map(|(blocks, _)| blocks).sum();
        let mut sites: Vec<_> = heap.by_site.iter().collect();
        sites.sort_by_key(|(_, (blocks, _))| std::cmp::Reverse(*blocks));
        let site = |((krate, function), &(blocks, bytes)): (&(String, String), &(u64, u64))| AllocationSite {
            krate: krate.clone(),
            function: function.clone(),
            share: blocks as f64 / all.max(1) as f64,
            allocations_per_commit: per_commit(blocks),
            bytes_per_commit: per_commit(bytes),
        };
        AllocationSites {
            schema_version: ALLOCATIONS_SCHEMA_VERSION,
            profiled,
            commits,
            allocations_per_commit: per_commit(all),
            bytes_per_commit: per_commit(heap.by_site.values().map(|(_, bytes)| bytes).sum()),
            sites: sites.into_iter().take(SITES_KEPT).map(site).collect(),
        }
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

    /// The sites that are not the benchmark's own, the most frequent first.
    pub fn beside_harness(&self) -> impl Iterator<Item = &AllocationSite> {
        self.sites.iter().filter(|site| kind_of_function(&site.function) != Some(Kind::Harness))
    }

    /// How it is called: `scenario/protocol`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.profiled.scenario, self.profiled.protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAP_FILE: &str = r#"{"dhatFileVersion":2,"mode":"rust-heap","pps":[
        {"tb":6400,"tbk":100,"tl":1,"fs":[1,2,2,3]},
        {"tb":1000,"tbk":300,"tl":1,"fs":[1,2,4]},
        {"tb":600,"tbk":100,"tl":1,"fs":[1,3]},
        {"tb":7,"tbk":1,"tl":1,"fs":[1]}],
        "ftbl":["[root]","0x1: alloc (benches/src/lib.rs:11:1)","0x2: grow_one (src/raw_vec/mod.rs:340:9)",
        "0x3a: send_append (raft-0.7.0/src/raft.rs:812:22)","0x4: bytes (src/rt.rs:12:5)"]}"#;

    fn functions(address: usize) -> Vec<Frame> {
        let frame = |function: &str, file: &str| Frame { function: function.into(), file: file.into() };
        match address {
            1 => vec![
                frame("alloc", "/w/harness/src/resources/allocator.rs"),
                frame("__rustc::__rust_alloc", "/w/benches/src/lib.rs"),
            ],
            2 => vec![
                frame("alloc", "/rustc/1/library/alloc/src/alloc.rs"),
                frame("grow_one", "/rustc/1/library/alloc/src/raw_vec/mod.rs"),
            ],
            0x3a => vec![frame("send_append", "/c/registry/src/i/raft-0.7.0/src/raft.rs")],
            _ => vec![frame("bytes", "/c/registry/src/i/protobuf-2.28.0/src/rt.rs")],
        }
    }

    #[test]
    fn sites_are_the_innermost_functions_that_someone_could_change() {
        let folder = tempfile::tempdir().unwrap();
        let heap = folder.path().join(HEAP);
        std::fs::write(&heap, HEAP_FILE).unwrap();
        let heap = SeenHeap::read(&heap, functions).unwrap();
        let sites = AllocationSites::of(&heap, Profiled::default(), 100);
        assert_eq!((sites.allocations_per_commit, sites.bytes_per_commit), (5.01, 80.07));
        let shown: Vec<_> = sites.sites.iter().map(|site| site.function.as_str()).collect();
        assert_eq!(shown[..2], ["protobuf/src/rt.rs: bytes", "raft/src/raft.rs: send_append"]);
        let raft = &sites.sites[1];
        assert_eq!(
            (raft.krate.as_str(), raft.allocations_per_commit, raft.bytes_per_commit),
            ("raft", 2.0, 70.0)
        );
        assert!((raft.share - 200.0 / 501.0).abs() < 1e-12);

        let path = sites.write(folder.path()).unwrap();
        assert_eq!(AllocationSites::read(&path).unwrap(), sites);
    }

    #[test]
    fn what_is_no_profile_of_the_heap_is_told_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let heap = folder.path().join(HEAP);
        std::fs::write(&heap, "{}").unwrap();
        let error = SeenHeap::read(&heap, functions).unwrap_err().to_string();
        assert!(error.contains("no profile of the heap: missing field `pps`") && error.lines().count() == 1);
        let error = AllocationSites::read(&heap).unwrap_err().to_string();
        assert!(error.contains("no profile of allocations"), "{error}");
    }
}
