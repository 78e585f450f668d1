//! Everything over everything: all scenarios of the profile, all protocols. Only when asked for by name.

fn main() -> std::process::ExitCode {
    consensus_bench::bench::comprehensive(&consensus_bench_suite::suite())
}
