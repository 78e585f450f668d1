//! Tells the harness which compiler built it: wall-clock numbers depend on it.

fn main() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = std::process::Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or("unknown".to_string(), |version| version.trim().to_string());
    println!("cargo::rustc-env=CONSENSUS_BENCH_RUSTC={version}");
    println!("cargo::rerun-if-changed=build.rs");
}
