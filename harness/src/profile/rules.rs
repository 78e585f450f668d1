//! What kind of work a function does: one table, in which the first rule that fits decides.
//!
//! The standard library and the libraries that are not in the table work for whoever calls them, and so no
//! rule is needed for them. A package of the workspace that is not in the table is one that someone measures:
//! its work is the protocol's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Frame, Origin};

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The protocol itself: the library under test and its adapter.
    ProtocolLogic,
    /// Messages and records to bytes and back.
    Encoding,
    /// Hashes, checksums, authentication codes, signatures.
    HashingAndCrypto,
    /// Taking memory from the heap and giving it back.
    Allocation,
    /// Links between replicas.
    Network,
    /// Logs of replicas, in memory or on disk.
    Storage,
    /// Tasks, channels and timers, and the loop that drives a state machine.
    Runtime,
    /// The benchmark: load, clients, the application that is replicated, recording.
    Harness,
    /// What no rule knows.
    Unknown,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 9] = [
        Kind::ProtocolLogic,
        Kind::Encoding,
        Kind::HashingAndCrypto,
        Kind::Allocation,
        Kind::Network,
        Kind::Storage,
        Kind::Runtime,
        Kind::Harness,
        Kind::Unknown,
    ];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Kind::ProtocolLogic => "protocol logic",
            Kind::Encoding => "encoding",
            Kind::HashingAndCrypto => "hashing and crypto",
            Kind::Allocation => "allocation",
            Kind::Network => "network",
            Kind::Storage => "storage",
            Kind::Runtime => "runtime",
            Kind::Harness => "harness itself",
            Kind::Unknown => "unknown",
        }
    }
}

/// A line of the table. A pattern is a whole name, or the beginning of one before `*`; an empty list fits
/// everything.
struct Rule {
    kind: Kind,
    crates: &'static [&'static str],
    files: &'static [&'static str],
    functions: &'static [&'static str],
}

/// Every function of these crates.
const fn crates(kind: Kind, crates: &'static [&'static str]) -> Rule {
    Rule { kind, crates, files: &[], functions: &[] }
}

/// These files of these crates.
const fn files(kind: Kind, crates: &'static [&'static str], files: &'static [&'static str]) -> Rule {
    Rule { kind, crates, files, functions: &[] }
}

/// Functions of the C library, the compiler and assembler, which have a name and nothing else.
const fn functions(kind: Kind, functions: &'static [&'static str]) -> Rule {
    Rule { kind, crates: &[""], files: &[], functions }
}

#[rustfmt::skip]
const RULES: &[Rule] = &[
    // The heap.
    functions(Kind::Allocation, &[
        "malloc", "malloc_consolidate", "calloc", "realloc", "reallocarray", "free", "cfree", "aligned_alloc",
        "posix_memalign", "memalign", "_int_malloc", "_int_free*", "_int_realloc", "_int_memalign",
        "unlink_chunk*", "sysmalloc*", "systrim*", "tcache_*", "brk", "sbrk", "default_morecore",
        "__rust_alloc*", "__rust_dealloc", "__rust_realloc", "__rdl_*", "__rg_*",
    ]),
    // These have the file of the binary that chose the allocator.
    Rule { kind: Kind::Allocation, crates: &[], files: &[], functions: &["__rustc::__r*", "__rust_alloc*"] },
    files(Kind::Allocation, &["alloc"], &["src/alloc.rs"]),
    files(Kind::Allocation, &["std"], &["src/alloc.rs", "src/sys/alloc/*"]),
    files(Kind::Allocation, &["consensus-bench"], &["src/resources/allocator.rs"]),
    crates(Kind::Allocation, &["dhat"]),

    // Hashes and cryptography.
    functions(Kind::HashingAndCrypto, &["blake3_*", "_blake3_*", "sha256_*", "sha512_*"]),
    files(Kind::HashingAndCrypto, &["core", "std"], &["src/hash/*"]),
    files(Kind::HashingAndCrypto, &["protocol-pbft"], &["src/authenticator/*"]),
    files(Kind::HashingAndCrypto, &["protocol-tendermint"], &["src/keys.rs", "src/signature.rs"]),
    crates(Kind::HashingAndCrypto, &[
        "ahash", "blake3", "crc32fast", "curve25519-dalek", "digest", "ed25519", "ed25519-dalek", "foldhash",
        "fxhash", "hmac", "keccak", "merlin", "rapidhash", "ring", "rustc-hash", "sha1", "sha2", "sha3", "siphasher",
        "twox-hash", "xxhash-rust",
    ]),

    // Bytes.
    files(Kind::Encoding, &["protocol-core"], &["src/wire.rs"]),
    files(Kind::Encoding, &["protocol-*"], &["src/codec.rs", "src/encoding.rs", "src/messages.rs", "src/packet.rs"]),
    crates(Kind::Encoding, &[
        "base64", "bincode", "bincode-*", "borsh", "ciborium", "cobs", "postcard", "prost", "protobuf", "raft-proto", "rkyv",
        "rmp", "rmp-serde", "serde", "serde_core", "serde_json",
    ]),

    // Logs.
    functions(Kind::Storage, &["fdatasync", "fsync", "pread64", "preadv", "pwrite64", "pwritev", "ftruncate64"]),
    files(Kind::Storage, &["std"], &["src/fs.rs", "src/sys/fs/*"]),
    files(Kind::Storage, &["protocol-*"], &["src/storage.rs", "src/storage/*", "src/log_store.rs"]),

    // Links.
    functions(Kind::Network, &["send", "sendto", "sendmsg", "sendmmsg", "recv", "recvfrom", "recvmsg", "recvmmsg"]),
    files(Kind::Network, &["std"], &["src/net/*", "src/sys/net/*"]),
    files(Kind::Network, &["mio", "tokio"], &["src/net/*"]),
    files(Kind::Network, &["tokio-util"], &["src/codec/*"]),
    files(Kind::Network, &["protocol-*"], &["src/network.rs", "src/network/*", "src/append_stream.rs"]),
    crates(Kind::Network, &["socket2"]),

    // Tasks.
    files(Kind::Runtime, &["protocol-core"], &["src/replica_cluster/*", "src/timers.rs"]),
    crates(Kind::Runtime, &[
        "async-channel", "crossbeam-channel", "flume", "futures-channel", "futures-core", "futures-executor",
        "futures-util", "mio", "openraft-rt", "openraft-rt-*", "signal-hook-registry", "smol", "tokio",
        "tokio-macros", "tokio-stream", "tokio-util",
    ]),

    // The benchmark, after the parts of the contract's crate that do replicas' work.
    crates(Kind::Harness, &[
        "consensus-bench", "consensus-bench-*", "criterion", "gungraun", "hdrhistogram", "plotters", "pprof",
        "protocol-core", "rayon", "rayon-core",
    ]),

    // Protocols, last: what is left of their crates.
    crates(Kind::ProtocolLogic, &[
        "arc-malachitebft-*", "foca", "informalsystems-malachitebft-*", "iroh-gossip", "malachitebft-*",
        "omnipaxos", "omnipaxos_*", "openraft", "openraft-macros", "protocol-*", "quorum-set", "raft",
    ]),
];

/// The kind of work that a function does; none for what works for whoever calls it.
pub(super) fn kind_of(frame: &Frame, origin: Origin<'_>) -> Option<Kind> {
    // A name can't have dashes where a package has them.
    let dashed = origin.krate.replace('_', "-");
    let fits = |rule: &&Rule| {
        (any(rule.crates, origin.krate) || any(rule.crates, &dashed))
            && any(rule.files, origin.file)
            && (any(rule.functions, &frame.function) || any(rule.functions, c_name(&frame.function)))
    };
    RULES.iter().find(fits).map(|rule| rule.kind).or(origin.is_local.then_some(Kind::ProtocolLogic))
}

/// The name that a function of the C library has for programs: `__GI___libc_malloc` is malloc.
fn c_name(function: &str) -> &str {
    ["__GI_", "__", "libc_"].iter().fold(function, |name, prefix| name.strip_prefix(prefix).unwrap_or(name))
}

fn any(patterns: &[&str], name: &str) -> bool {
    let fits = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => *pattern == name,
    };
    patterns.is_empty() || patterns.iter().any(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(function: &str, file: &str) -> Option<Kind> {
        let frame = Frame { function: function.into(), file: file.into() };
        kind_of(&frame, Origin::of(&frame))
    }

    #[test]
    fn the_table_knows_its_own_crates_by_their_files() {
        for (file, expected) in [
            ("/w/protocols/protocol-core/src/wire.rs", Kind::Encoding),
            ("/w/protocols/protocol-core/src/network/tcp.rs", Kind::Network),
            ("/w/protocols/protocol-core/src/storage/wal.rs", Kind::Storage),
            ("/w/protocols/protocol-core/src/replica_cluster/driver.rs", Kind::Runtime),
            ("/w/protocols/protocol-core/src/applied.rs", Kind::Harness),
            ("/w/protocols/protocol-pbft/src/authenticator/mac.rs", Kind::HashingAndCrypto),
            ("/w/protocols/protocol-pbft/src/codec.rs", Kind::Encoding),
            ("/w/protocols/protocol-pbft/src/agreement.rs", Kind::ProtocolLogic),
            ("/w/protocols/protocol-mine/src/lib.rs", Kind::ProtocolLogic),
            ("/w/somebodys-raft/src/lib.rs", Kind::ProtocolLogic),
            ("/w/harness/src/load/book.rs", Kind::Harness),
            ("/w/harness/src/resources/allocator.rs", Kind::Allocation),
            ("/w/benches/src/lib.rs", Kind::Harness),
            ("/c/registry/src/i/omnipaxos_macros-0.1.0/src/lib.rs", Kind::ProtocolLogic),
            ("/c/registry/src/i/arc-malachitebft-core-driver-0.8.2/src/driver.rs", Kind::ProtocolLogic),
            ("/c/registry/src/i/tokio-1.54.1/src/net/tcp/stream.rs", Kind::Network),
            ("/c/registry/src/i/tokio-1.54.1/src/sync/mpsc/chan.rs", Kind::Runtime),
            ("/rustc/1/library/core/src/hash/sip.rs", Kind::HashingAndCrypto),
            ("/rustc/1/library/alloc/src/alloc.rs", Kind::Allocation),
        ] {
            assert_eq!(kind("f", file), Some(expected), "{file}");
        }
    }

    #[test]
    fn names_without_files_are_known_where_they_say_what_they_do() {
        for (function, expected) in [
            ("malloc", Some(Kind::Allocation)),
            ("__rust_alloc", Some(Kind::Allocation)),
            ("__rustc::__rust_dealloc", Some(Kind::Allocation)),
            ("fdatasync", Some(Kind::Storage)),
            ("__GI_fdatasync", Some(Kind::Storage)),
            ("__GI___libc_malloc", Some(Kind::Allocation)),
            ("__libc_send", Some(Kind::Network)),
            ("_int_malloc", Some(Kind::Allocation)),
            ("__GI___libc_write", None),
            ("sendto", Some(Kind::Network)),
            ("blake3_hash_many_avx2", Some(Kind::HashingAndCrypto)),
            ("curve25519_dalek::edwards::EdwardsPoint::compress", Some(Kind::HashingAndCrypto)),
            ("__memmove_avx_unaligned_erms", None),
            ("mallory", None),
        ] {
            assert_eq!(kind(function, ""), expected, "{function}");
        }
        assert_eq!(kind("__rustc::__rust_alloc", "/w/benches/src/lib.rs"), Some(Kind::Allocation));
        // The same name as a function of a library is something else.
        assert_eq!(kind("send", "/w/protocols/protocol-pbft/src/exchange.rs"), Some(Kind::ProtocolLogic));
    }

    #[test]
    fn libraries_that_serve_any_caller_have_no_kind_of_their_own() {
        for file in [
            "/c/registry/src/i/bytes-1.11.0/src/bytes.rs",
            "/rustc/1/library/alloc/src/vec/mod.rs",
            "/rust/deps/hashbrown-0.16.1/src/raw.rs",
        ] {
            assert_eq!(kind("f", file), None, "{file}");
        }
    }
}
