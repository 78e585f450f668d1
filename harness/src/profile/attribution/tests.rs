//! Literal stacks as a sampling of a protocol gives them, innermost first.

use super::super::Frame;
use super::*;

const REGISTRY: &str = "/c/registry/src/index-1";
const STD: &str = "/rustc/1/library";
const OURS: &str = "/w/protocols";

fn frames(of: &[(&str, &str)]) -> Vec<Frame> {
    of.iter()
        .map(|(function, file)| Frame { function: function.to_string(), file: file.to_string() })
        .collect()
}

fn stack(of: &[(&str, &str)], samples: u64) -> Stack {
    Stack { thread: "cluster".into(), frames: frames(of), samples }
}

/// The outer end of every stack of a replica: its driver in a task of the runtime.
fn in_a_replica(inner: &[(&str, String)]) -> Stack {
    let outer = [
        ("Driver::run", format!("{OURS}/protocol-core/src/replica_cluster/driver.rs")),
        ("block_on", format!("{REGISTRY}/tokio-1.54.1/src/runtime/scheduler/current_thread/mod.rs")),
        ("start", format!("{STD}/std/src/thread/mod.rs")),
        ("clone3", String::new()),
    ];
    let all: Vec<(&str, &str)> =
        inner.iter().chain(&outer).map(|(name, file)| (*name, file.as_str())).collect();
    stack(&all, 1)
}

fn given_to(stack: &Stack) -> (Kind, String, String) {
    let Whose { kind, krate, function } = whose(stack);
    (kind, krate, function)
}

fn is(kind: Kind, krate: &str, function: &str) -> (Kind, String, String) {
    (kind, krate.into(), function.into())
}

#[test]
fn the_innermost_function_that_is_known_decides_the_kind() {
    let raft = ("step", format!("{REGISTRY}/raft-0.7.0/src/raft.rs"));
    let adapter = ("Replica::step", format!("{OURS}/protocol-raft-rs/src/lib.rs"));
    let copied = ("__memmove_avx_unaligned_erms", String::new());
    let encoder = ("write_to", format!("{REGISTRY}/protobuf-2.28.0/src/stream.rs"));
    let grown = ("realloc", String::new());
    let vec = ("push", format!("{STD}/alloc/src/vec/mod.rs"));

    let logic = in_a_replica(&[raft.clone(), adapter.clone()]);
    assert_eq!(given_to(&logic), is(Kind::ProtocolLogic, "raft", "raft/src/raft.rs: step"));
    let encoding = in_a_replica(&[copied.clone(), encoder.clone(), raft.clone()]);
    assert_eq!(given_to(&encoding), is(Kind::Encoding, "protobuf", "protobuf/src/stream.rs: write_to"));
    // The heap's work is its own kind, but who asked for it is who could change it.
    let allocation = in_a_replica(&[copied, grown, vec, encoder, raft]);
    assert_eq!(given_to(&allocation), is(Kind::Allocation, "protobuf", "protobuf/src/stream.rs: write_to"));
    assert_eq!(
        given_to(&in_a_replica(&[])),
        is(Kind::Runtime, "protocol-core", "protocol-core/src/replica_cluster/driver.rs: Driver::run")
    );
}

#[test]
fn a_crate_that_only_a_name_tells_is_the_same_crate() {
    let deliver = stack(&[("protocol_core::applied::Applied::deliver", "")], 1);
    assert_eq!(
        given_to(&deliver),
        is(Kind::Harness, "protocol-core", "protocol_core::applied::Applied::deliver")
    );
}

#[test]
fn our_own_allocator_is_nobodys_crate() {
    let counted = [
        ("malloc", String::new()),
        ("CountingAllocator::alloc", "/w/harness/src/resources/allocator.rs".into()),
        ("alloc", format!("{STD}/alloc/src/alloc.rs")),
        ("Entry::clone", format!("{REGISTRY}/raft-proto-0.7.0/src/protos.rs")),
    ];
    assert_eq!(
        given_to(&in_a_replica(&counted)),
        is(Kind::Allocation, "raft-proto", "raft-proto/src/protos.rs: Entry::clone")
    );
}

#[test]
fn hashing_inside_of_a_map_is_hashing_for_whoever_has_the_map() {
    let hashed = [
        ("c_rounds", format!("{STD}/core/src/hash/sip.rs")),
        ("make_hash", "/rust/deps/hashbrown-0.16.1/src/map.rs".to_string()),
        ("Log::entry", format!("{OURS}/protocol-pbft/src/log.rs")),
    ];
    assert_eq!(
        given_to(&in_a_replica(&hashed)),
        is(Kind::HashingAndCrypto, "protocol-pbft", "protocol-pbft/src/log.rs: Log::entry")
    );
}

#[test]
fn a_library_that_is_not_in_the_table_works_for_its_caller_and_for_the_runtime_it_is_unknown() {
    let bytes = ("slice", format!("{REGISTRY}/bytes-1.11.0/src/bytes.rs"));
    let adapter = ("take", format!("{OURS}/protocol-swim/src/updates.rs"));
    let called = in_a_replica(&[bytes.clone(), adapter]);
    let slice = "bytes/src/bytes.rs: slice";
    assert_eq!(given_to(&called), is(Kind::ProtocolLogic, "bytes", slice));
    // The driver calls libraries itself; a runtime only polls what someone gave it.
    let driver = in_a_replica(std::slice::from_ref(&bytes));
    assert_eq!(given_to(&driver), is(Kind::Runtime, "bytes", slice));
    let poll = ("poll", format!("{REGISTRY}/tokio-1.54.1/src/runtime/task/core.rs"));
    let polled = in_a_replica(&[bytes, poll]);
    assert_eq!(given_to(&polled), is(Kind::Unknown, "bytes", slice));
}

#[test]
fn a_stack_without_names_is_unknown_and_says_so() {
    assert_eq!(given_to(&stack(&[], 1)), is(Kind::Unknown, NO_CRATE, NO_CRATE));
    assert_eq!(given_to(&stack(&[("", ""), ("clone3", "")], 1)), is(Kind::Unknown, NO_CRATE, "clone3"));
}

fn samples() -> Samples {
    let busy = (REGISTRY.to_string() + "/blake3-1.8.7/src/lib.rs", 30);
    let idle = (REGISTRY.to_string() + "/tokio-1.54.1/src/runtime/park.rs", 10);
    let of = |(file, samples): &(String, u64)| stack(&[("f", file)], *samples);
    Samples {
        stacks: [busy, idle].iter().map(of).collect(),
        asked_per_s: 997.0,
        cpu_s: Some(0.16),
        wall_s: 0.2,
        ..Samples::default()
    }
}

#[test]
fn shares_add_up_have_intervals_and_are_parts_of_the_cpu_time_of_a_commit() {
    let cpu = Bounded { value: 4_000.0, lower: 3_900.0, upper: 4_100.0 };
    let attribution = attribute(&samples(), Profiled::default(), Some(cpu));
    assert_eq!(attribution.kinds.len(), Kind::ALL.len());
    assert_eq!(attribution.kinds.iter().map(|kind| kind.samples).sum::<u64>(), 40);
    assert_eq!(attribution.crates.iter().map(|one| one.share).sum::<f64>(), 1.0);
    let crypto = &attribution.kinds[0];
    assert_eq!((crypto.of, crypto.samples, crypto.share), (Kind::HashingAndCrypto, 30, 0.75));
    let (lower, upper) = wilson_interval(30, 40);
    assert_eq!((crypto.lower, crypto.upper), (lower, upper));
    let ns = crypto.ns_per_commit.unwrap();
    assert_eq!(ns.value, 3_000.0);
    // 4 µs times the share's own interval, and a little for that of the 4 µs.
    assert!((ns.lower - (3_000.0 - (4_000.0 * (0.75 - lower)).hypot(75.0))).abs() < 1e-9);
    assert!(attribution.kind(Kind::Storage).unwrap().upper < 0.1);
    // 40 samples of 0.16 CPU seconds: the tick is 250 Hz, and so not what was asked for.
    assert_eq!(attribution.sampling.per_cpu_s, Some(250.0));
    assert!(attribution.sampling.capped);
    assert_eq!(attribution.threads[0].of, "cluster");
}

#[test]
fn differences_are_as_uncertain_as_both_sides() {
    let (a, b) =
        (Bounded { value: 5.0, lower: 2.0, upper: 6.0 }, Bounded { value: 1.0, lower: 0.5, upper: 5.0 });
    let less = a.minus(b);
    assert_eq!((less.value, less.lower, less.upper), (4.0, 4.0 - 5.0, 4.0 + 1.0_f64.hypot(0.5)));
    assert_eq!(Bounded::exactly(2.0).times(Bounded::exactly(3.0)), Bounded::exactly(6.0));
}

#[test]
fn what_was_written_is_read_and_what_can_not_be_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile.json");
    let attribution = attribute(&samples(), Profiled::default(), None);
    let json = serde_json::to_string(&attribution).unwrap();
    std::fs::write(&path, &json).unwrap();
    assert_eq!(Attribution::read(&path).unwrap(), attribution);
    for (from, to, expected) in [
        ("\"schema_version\":1", "\"schema_version\":9", "written by a later version (schema 9"),
        ("\"share\":0.75", "\"share\":7.5", "no profile: `hashing and crypto`: a share outside of 0 to 1"),
        ("\"hashing_and_crypto\"", "\"lunch\"", "no profile: unknown variant `lunch`"),
    ] {
        assert!(json.contains(from), "{from}");
        std::fs::write(&path, json.replace(from, to)).unwrap();
        let error = Attribution::read(&path).unwrap_err().to_string();
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
    }
}
