//! Time per commit in a closed loop with 1, 64 and 256 clients.

fn main() -> std::process::ExitCode {
    consensus_bench::bench::commit(&consensus_bench_suite::suite())
}
