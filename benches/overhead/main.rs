//! What the harness itself costs: each library through its adapter, beside the same library in the
//! barest program that does the same work, in one run.
//!
//! Channel network, memory, one thread, three replicas, 256 clients, 128-byte payload.
#![expect(clippy::expect_used, reason = "the bare programs have no one to report to")]

mod bare_openraft;
mod bare_raft_rs;

use std::process::ExitCode;

use consensus_bench::bench::{BenchArgs, commit_closed_loop, criterion};
use criterion::{BenchmarkId, Throughput};

const GROUP: &str = "overhead";
/// Clients of every loop.
pub const CLIENTS: usize = 256;
/// Bytes of every payload.
pub const PAYLOAD: usize = 128;

fn main() -> ExitCode {
    let suite = consensus_bench_suite::suite();
    let protocol = |name: &str| suite.get(name).expect("the suite has it");
    let mut criterion = criterion();
    let args = BenchArgs::from_env();
    let mut group = criterion.benchmark_group(GROUP);
    group.throughput(Throughput::Elements(1));
    let parameter = format!("clients={CLIENTS}");
    group.bench_function(BenchmarkId::new("bare-raft-rs", &parameter), |bencher| {
        let bare = bare_raft_rs::Bare::launch(CLIENTS, PAYLOAD);
        bencher.iter_custom(|commands| bare.commit(commands));
    });
    let mut outcome = commit_closed_loop(&mut group, GROUP, &args, protocol("raft-rs"), CLIENTS);
    group.bench_function(BenchmarkId::new("bare-openraft", &parameter), |bencher| {
        let bare = bare_openraft::Bare::launch(CLIENTS, PAYLOAD);
        bencher.iter_custom(|commands| bare.commit(commands));
    });
    outcome = outcome.and(commit_closed_loop(&mut group, GROUP, &args, protocol("openraft"), CLIENTS));
    group.finish();
    criterion.final_summary();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}
