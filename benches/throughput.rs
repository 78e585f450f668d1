//! Throughput under a rising load, the highest rate that holds the target, latency against rate.

use consensus_bench_suite::REFERENCES;

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios_of(&["throughput"], &REFERENCES, &consensus_bench_suite::suite())
}
