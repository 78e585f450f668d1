//! The command line.

fn main() -> std::process::ExitCode {
    consensus_bench::cli::main(&consensus_bench_suite::protocols())
}
