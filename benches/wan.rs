//! Latency and recovery on every topology, counted in virtual time.

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios(&["wan"], &consensus_bench_suite::suite())
}
