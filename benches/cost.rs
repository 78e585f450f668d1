//! What a commit costs, counted in virtual time.

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios(&["cost"], &consensus_bench_suite::suite())
}
