//! The command line over the suite's protocols.

fn main() -> std::process::ExitCode {
    consensus_bench::cli::main(&consensus_bench_suite::suite())
}
