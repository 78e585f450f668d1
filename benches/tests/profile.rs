//! Profiles as a user makes, finds and compares them; and one line for whatever is wrong.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    fn run(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_consensus-bench"))
            .args(arguments.split_whitespace())
            .current_dir(self.path())
            .env("CONSENSUS_BENCH_HOME", self.home())
            .output()
            .unwrap()
    }

    fn json(&self, arguments: &str) -> serde_json::Value {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn runs(&self) -> usize {
        std::fs::read_dir(self.home()).map_or(0, Iterator::count)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn share(profile: &serde_json::Value, kind: &str) -> f64 {
    let kinds = profile["kinds"].as_array().unwrap();
    kinds.iter().find(|share| share["of"] == kind).unwrap()["share"].as_f64().unwrap()
}

#[test]
fn bad_input_gets_one_line_and_its_exit_code_and_leaves_nothing() {
    let place = Place::new();
    std::fs::write(place.path().join("notes.txt"), "hello").unwrap();
    std::fs::create_dir_all(place.path().join("later/profile")).unwrap();
    std::fs::write(place.path().join("later/profile/profile.json"), "{\"schema_version\": 9}").unwrap();
    for (arguments, code, expected) in [
        ("profile", 2, "what to profile?"),
        ("profile high_load", 2, "what to profile?"),
        ("profile medium raft-rs", 2, "no scenario `medium`"),
        ("profile high_load zab", 2, "no protocol `zab`"),
        ("profile cost raft-rs", 2, "scenario `cost` runs in virtual time"),
        ("profile high_load swim", 2, "swim has no closed loop"),
        ("profile high_load raft-rs --clients 0", 2, "`--clients 0` is outside 1 to 100000"),
        ("profile high_load raft-rs --rate -5", 2, "`--rate -5` is outside 1 to 10000000"),
        ("profile high_load raft-rs --time soon", 2, "`--time soon` is no time from 100ms to 10m"),
        ("profile high_load raft-rs --time 1ms", 2, "`--time 1ms` is no time"),
        ("profile high_load raft-rs --set batch=3", 2, "has no setting `batch`"),
        ("profile high_load raft-rs --set batch", 2, "is not NAME=VALUE"),
        ("profile high_load raft-rs --file nowhere.toml", 2, "nowhere.toml: "),
        ("profile diff nowhere latest", 2, "`nowhere` is no profile"),
        ("profile diff latest latest", 2, "`latest` is no profile"),
        ("profile diff notes.txt latest", 2, "notes.txt: not JSON"),
        ("profile diff later later", 2, "written by a later version (schema 9"),
    ] {
        let output = place.run(arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {told}");
        assert!(told.contains(expected) && told.trim_end().lines().count() == 1, "{arguments}: {told}");
    }
    assert_eq!(place.runs(), 0);
}

#[test]
fn a_build_without_the_heap_profiler_says_how_to_get_one() {
    let place = Place::new();
    let output = place.run("profile high_load raft-rs --allocations --time 200ms");
    let told = text(&output.stderr);
    if cfg!(feature = "dhat") {
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert!(text(&output.stdout).contains("allocations and "), "{}", text(&output.stdout));
    } else {
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("--features dhat") && told.trim_end().lines().count() == 1, "{told}");
        assert_eq!(place.runs(), 0);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_profile_is_made_found_and_compared() {
    let place = Place::new();
    // Few samples are as good as none, and leave nothing behind.
    let few = place.run("profile low_load raft-rs --rate 1 --time 100ms");
    assert_eq!(few.status.code(), Some(1), "{}", text(&few.stderr));
    assert!(text(&few.stderr).contains("are too few, 100 are needed"), "{}", text(&few.stderr));
    assert_eq!(place.runs(), 0);

    let plain = place.json("profile high_load raft-rs --time 1500ms --format json");
    let shares: f64 =
        plain["kinds"].as_array().unwrap().iter().map(|kind| kind["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-9);
    assert!(share(&plain, "protocol_logic") > 0.0 && share(&plain, "unknown") < 0.1, "{plain}");
    assert!(plain["profiled"]["commits"].as_u64().unwrap() > 0);
    let cpu = &plain["cpu_ns_per_commit"];
    assert!(cpu["lower"].as_f64().unwrap() > 0.0 && cpu["upper"].as_f64() >= cpu["value"].as_f64());
    let waits = plain["waits"]["phases"].as_array().unwrap();
    let parts: f64 = waits.iter().map(|phase| phase["share"].as_f64().unwrap()).sum();
    assert!((parts - 1.0).abs() < 1e-9);
    assert!(plain["runtime"]["busy"].as_f64().unwrap() > 0.0);

    // Under an open loop, and of a protocol whose work is known: it signs.
    let output = place.run("profile high_load pbft-signed --rate 500 --time 1500ms");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    assert!(told.contains("500 requests/s in an open loop") && told.contains("per CPU second"), "{told}");

    let first = std::fs::read_dir(place.home()).unwrap().map(|run| run.unwrap().path()).min().unwrap();
    let difference = place.json(&format!("profile diff {} latest --format json", first.display()));
    assert_eq!(difference["measured"], "ns_per_commit");
    let kinds = difference["kinds"].as_array().unwrap();
    let crypto = kinds.iter().find(|change| change["of"] == "hashing and crypto").unwrap();
    assert!(crypto["change"]["lower"].as_f64().unwrap() > 0.0, "{crypto}");
    assert!(difference["notes"][0].as_str().unwrap().contains("high_load/pbft-signed"));

    let last = std::fs::read_dir(place.home()).unwrap().map(|run| run.unwrap().path()).max().unwrap();
    for file in ["profile.json", "profile.pb", "stacks.folded", "flamegraph.svg", "flamegraph-diff.svg"] {
        let size = last.join("profile").join(file).metadata().unwrap().len();
        assert!(size > 0, "{file}");
    }
}
