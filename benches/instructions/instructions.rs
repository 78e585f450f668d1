//! Instructions of every workload, counted by callgrind: `cargo bench -p consensus-bench-instructions`.
//! METHODOLOGY.md says what is counted; `consensus-bench gate` compares.

#![expect(
    missing_docs,
    unused_qualifications,
    reason = "gungraun's macros write whole paths and no documents"
)]

use std::hint::black_box;

use consensus_bench_instructions::Workload;
// The macros call it by this name.
use iai_callgrind as gungraun;
use iai_callgrind::{Callgrind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};

fn prepare(name: &str) -> Box<dyn Workload> {
    consensus_bench_instructions::prepare(name).unwrap_or_else(|error| panic!("{error}"))
}

fn check(mut done: Box<dyn Workload>) {
    done.check().unwrap_or_else(|what| panic!("counts are withheld: {what}"));
}

// Names are those of the rows, with `_` for `-`. Only the function's own instructions are counted, not those of
// making ready, of checking and of dropping.
#[library_benchmark(setup = prepare, teardown = check)]
#[bench::raft_rs("raft-rs")]
#[bench::openraft("openraft")]
#[bench::omnipaxos("omnipaxos")]
#[bench::pbft("pbft")]
#[bench::pbft_signed("pbft-signed")]
#[bench::tendermint_mac("tendermint-mac")]
#[bench::tendermint("tendermint")]
#[bench::plumtree("plumtree")]
#[bench::swim("swim")]
#[bench::abd("abd")]
#[bench::dynamo("dynamo")]
#[bench::record("record")]
#[bench::answer("answer")]
#[bench::schedule("schedule")]
#[bench::encode("encode")]
#[bench::decode("decode")]
#[bench::simulator("simulator")]
fn workload(mut ready: Box<dyn Workload>) -> Box<dyn Workload> {
    black_box(ready.run());
    ready
}

library_benchmark_group!(name = counts, benchmarks = workload);

// A simulated cache costs time and says nothing that lasts.
main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"]));
    library_benchmark_groups = counts
);
