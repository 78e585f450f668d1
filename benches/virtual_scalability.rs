//! What a commit costs from 3 replicas to 101, counted in virtual time.

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios(&["virtual_scalability"], &consensus_bench_suite::suite())
}
