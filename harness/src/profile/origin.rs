//! Which crate a function is from, and which file of it: by the path of its source, which, unlike its name,
//! also tells where generic code was written.

use super::Frame;

/// Crates of the standard library.
const STANDARD: [&str; 3] = ["alloc", "core", "std"];

/// Packages whose folder is not called as they are.
const FOLDERS: [(&str, &str); 2] = [("harness", "consensus-bench"), ("benches", "consensus-bench-suite")];

/// Where a function was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The crate; empty when nothing tells.
    pub krate: &'a str,
    /// The file within it: `src/raft.rs`; empty when nothing tells.
    pub file: &'a str,
    /// Whether its sources are a workspace's own or a git checkout's, and not a registry's or the compiler's.
    pub is_local: bool,
}

impl<'a> Origin<'a> {
    /// Of a frame: by its file, or else by its function's name.
    pub fn of(frame: &'a Frame) -> Origin<'a> {
        let by_file = of_path(&frame.file);
        if by_file.krate.is_empty() { of_name(&frame.function) } else { by_file }
    }

    /// Whether it is from the standard library.
    pub fn is_standard(self) -> bool {
        STANDARD.contains(&self.krate)
    }
}

/// Reads the paths that cargo and rustc give to sources.
fn of_path(path: &str) -> Origin<'_> {
    let after = |mark: &str| path.split_once(mark).map(|(_, rest)| rest);
    let library =
        if path.starts_with("/rustc/") { after("/library/") } else { after("/rustlib/src/rust/library/") };
    if let Some((krate, file)) = library.and_then(|rest| rest.split_once('/')) {
        return Origin { krate, file, is_local: false };
    }
    // What the standard library is made of, such as the map behind its maps.
    if let Some(file) = path.strip_prefix("/rust/deps/") {
        return Origin { krate: "std", file, is_local: false };
    }
    // REGISTRY/CRATE-VERSION/FILE.
    let unpacked = after("/registry/src/").and_then(|rest| rest.split_once('/')).map(|(_, rest)| rest);
    if let Some((folder, file)) = unpacked.and_then(|rest| rest.split_once('/')) {
        return Origin { krate: without_version(folder), file, is_local: false };
    }
    // What a build script wrote: build/CRATE-HASH/out/FILE.
    if let Some((before, file)) = path.split_once("/out/")
        && let Some((_, folder)) = before.rsplit_once("/build/")
        && let Some((krate, _)) = folder.rsplit_once('-')
    {
        return Origin { krate, file, is_local: false };
    }
    // A package of a workspace or of a git checkout: the folder that its sources' folder is in.
    let Some(at) = ["/src/", "/tests/", "/benches/"].iter().filter_map(|folder| path.rfind(folder)).max()
    else {
        return Origin::default();
    };
    let package = checked_out(&path[..at]).or(path[..at].rsplit('/').next()).unwrap_or_default();
    let krate = FOLDERS.iter().find(|(folder, _)| *folder == package).map_or(package, |(_, name)| name);
    Origin { krate, file: &path[at + 1..], is_local: true }
}

/// `…/git/checkouts/NAME-HASH/REVISION` is NAME; a package in a folder below that is called as its folder.
fn checked_out(package: &str) -> Option<&str> {
    let (_, checkout) = package.split_once("/git/checkouts/")?;
    let (repository, revision) = checkout.split_once('/')?;
    let (name, _) = repository.rsplit_once('-')?;
    (!revision.contains('/')).then_some(name)
}

/// `curve25519-dalek-4.1.3` is curve25519-dalek: the version is three numbers after a dash, and what may
/// follow them after another.
fn without_version(folder: &str) -> &str {
    let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let dashes = folder.match_indices('-').map(|(at, _)| at);
    let mut versions = dashes.filter(|at| {
        let numbers = folder[at + 1..].split(['-', '+']).next().unwrap_or_default().split('.');
        numbers.clone().count() == 3 && numbers.clone().all(is_number)
    });
    versions.next().map_or(folder, |at| &folder[..at])
}

/// The first part of a path such as `tokio::runtime::park`; in `<raft::Raft<T> as Trait>::f` that of the
/// type. C functions and operators have no parts, and so no crate.
fn of_name(name: &str) -> Origin<'_> {
    let bare = name.trim_start_matches(['<', '&', '*', '_', ' ', '[', '(']);
    let bare = bare.strip_prefix("mut ").or(bare.strip_prefix("dyn ")).unwrap_or(bare);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match bare.split_once("::") {
        Some((first, _)) if !first.is_empty() && first.chars().all(is_name) => {
            Origin { krate: first, ..Origin::default() }
        }
        _ => Origin::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(function: &str, file: &str) -> (String, String) {
        let frame = Frame { function: function.into(), file: file.into() };
        let Origin { krate, file, .. } = Origin::of(&frame);
        (krate.into(), file.into())
    }

    #[test]
    fn a_path_tells_crate_and_file() {
        for (path, krate, file) in [
            ("/home/u/.cargo/registry/src/index.example-19cf/raft-0.7.0/src/raft.rs", "raft", "src/raft.rs"),
            ("/c/registry/src/i-1/curve25519-dalek-4.1.3/src/field.rs", "curve25519-dalek", "src/field.rs"),
            (
                "/c/registry/src/i-1/openraft-0.10.0-alpha.37/src/core/raft_core.rs",
                "openraft",
                "src/core/raft_core.rs",
            ),
            (
                "/c/registry/src/i-1/arc-malachitebft-core-3-1.2.3/src/a.rs",
                "arc-malachitebft-core-3",
                "src/a.rs",
            ),
            ("/rustc/0123abc/library/core/src/hash/sip.rs", "core", "src/hash/sip.rs"),
            ("/x/toolchains/t/lib/rustlib/src/rust/library/alloc/src/vec/mod.rs", "alloc", "src/vec/mod.rs"),
            ("/rust/deps/hashbrown-0.16.1/src/raw.rs", "std", "hashbrown-0.16.1/src/raw.rs"),
            ("/w/protocols/protocol-core/src/storage/wal.rs", "protocol-core", "src/storage/wal.rs"),
            ("/w/harness/src/load/pacer.rs", "consensus-bench", "src/load/pacer.rs"),
            ("/w/benches/src/bin/consensus-bench.rs", "consensus-bench-suite", "src/bin/consensus-bench.rs"),
            (
                "/w/target/release/build/raft-proto-89ab/out/protos/eraftpb.rs",
                "raft-proto",
                "protos/eraftpb.rs",
            ),
            ("/home/library/src/mine/src/lib.rs", "mine", "src/lib.rs"),
            ("/c/git/checkouts/raft-rs-89ab01/f00ba4/src/raft.rs", "raft-rs", "src/raft.rs"),
            ("/c/git/checkouts/raft-rs-89ab01/f00ba4/proto/src/lib.rs", "proto", "src/lib.rs"),
        ] {
            assert_eq!(of("", path), (krate.into(), file.into()), "{path}");
        }
    }

    #[test]
    fn without_a_file_the_name_tells_the_crate() {
        for (name, krate) in [
            ("tokio::runtime::park::Inner::park", "tokio"),
            ("<raft::raft::Raft<T> as raft::Step>::step", "raft"),
            ("<&mut foca::Foca<T> as X>::y", "foca"),
            ("malloc", ""),
            ("blake3_hash_many_avx2", ""),
            ("", ""),
        ] {
            assert_eq!(of(name, "").0, krate, "{name}");
        }
    }
}
