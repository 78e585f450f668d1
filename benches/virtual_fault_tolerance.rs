//! Faults under load in virtual time: how long no one is served, seed by seed.

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios(&["virtual_fault_tolerance"], &consensus_bench_suite::suite())
}
