//! Faults under load: how long no one is served, and that nothing is lost.

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios(&["fault_tolerance"], &consensus_bench_suite::suite())
}
