//! What Criterion leaves behind, as other tools read it.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::export::installed::critcmp;

#[test]
fn a_mere_test_leaves_neither_a_page_nor_a_place_among_the_targets() {
    let options = |test| session_options(&BenchArgs { test, ..BenchArgs::default() }, true).unwrap();
    assert_eq!((options(true).is_test, options(true).call), (true, None));
    assert!(!options(false).is_test);
}

#[test]
fn critcmp_itself_reads_what_a_bench_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(5))
        .measurement_time(Duration::from_millis(20))
        .without_plots()
        .output_directory(&target.join("criterion"))
        .save_baseline("main".into());
    let mut group = criterion.benchmark_group("commit");
    group.throughput(Throughput::Elements(1));
    group.bench_function("raft-rs/clients=1", |bencher| bencher.iter(|| black_box(7u64).pow(3)));
    group.finish();
    let arguments = [Path::new("--target-dir"), &target, Path::new("main")];
    let Some(table) = critcmp(&arguments, folder.path()) else { return };
    let line = table.lines().find(|line| line.starts_with("commit/raft-rs/clients=1"));
    assert!(line.is_some_and(|line| line.contains("Elem/sec")), "{table}");
}
