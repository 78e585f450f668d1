//! Replicas that lie, in virtual time: what it costs while it lasts. The same numbers on every machine.

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios(&["virtual_byzantine"], &consensus_bench_suite::suite())
}
