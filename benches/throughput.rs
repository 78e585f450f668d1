//! Throughput under a rising load, the highest rate that holds the target, latency against rate.

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios(&["throughput"], &consensus_bench_suite::suite())
}
