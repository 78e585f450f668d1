//! Both programs of the package, started as cargo and the gate start them.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use consensus_bench::gate::instructions::Counted;
use consensus_bench_instructions::names;

#[test]
fn without_valgrind_the_runner_says_how_to_get_it_and_is_no_failure() {
    let mut runner = Command::new(env!("CARGO_BIN_EXE_gungraun-runner"));
    let empty = std::env::temp_dir().join("a-folder-that-there-is-not");
    let output = runner.env("PATH", empty).stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert_eq!(told, "not run: valgrind is missing: `apt-get install valgrind` installs it\n");
}

#[test]
fn the_report_has_every_workload_and_is_the_same_each_time() {
    let report = || {
        let output = Command::new(env!("CARGO_BIN_EXE_instruction-workloads")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<BTreeMap<String, Counted>>(&output.stdout).unwrap()
    };
    let found = report();
    let mut expected: Vec<&str> = names().into_iter().map(|(name, _)| name).collect();
    expected.sort_unstable();
    assert_eq!(found.keys().collect::<Vec<_>>(), expected);
    assert!(found["raft-rs"].allocations > 0 && found["record"].allocations == 0);
    assert_eq!(report(), found);
}
