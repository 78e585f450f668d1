//! `tune` on the command line: what it finds is written down, applied, remembered, and told in one line when it
//! can't be found.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

/// In virtual time, so that it takes no time: a pipeline that is far too narrow for its links.
const SCENARIO: &str = r#"
[[scenario]]
name = "narrow"

[scenario.measure]
kind = "exact"
topologies = ["wan3"]
replicas = [3]
clients = [64]
commits = 300
costs = { wake_up_ns = 1500, message_ns = 500, request_ns = 400, delivery_ns = 100 }
cores = 1
"#;

/// The same on several clusters.
const WIDE: &str = r#"
[[scenario]]
name = "wide"

[scenario.measure]
kind = "exact"
topologies = ["lan", "wan3"]
replicas = [3, 5]
clients = [64]
commits = 300
"#;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s.toml"), format!("{SCENARIO}{WIDE}")).unwrap();
        Place(folder)
    }

    fn run(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_consensus-bench"))
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .env("CONSENSUS_BENCH_HOME", self.0.path().join("home"))
            .output()
            .unwrap()
    }

    fn says(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &str) -> serde_json::Value {
        serde_json::from_str(&self.says(arguments)).unwrap()
    }

    fn refused(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    }
}

const TUNE: &str = "tune raft-rs --file s.toml --scenario narrow --goal max-throughput \
                    --set max_inflight_messages=1 --tunable max_inflight_messages --trials 16";

#[test]
fn what_is_found_is_applied_and_the_next_tuning_starts_from_it() {
    let place = Place::new();
    let text = place.says(&format!("{TUNE} --apply tuned.toml"));
    assert!(text.contains("nothing known from earlier"), "{text}");
    assert!(text.contains("Better, on fresh blocks: max_inflight_messages 1 → "), "{text}");
    assert!(text.contains("written to tuned.toml"), "{text}");

    let tuned = place.0.path().join("tuned.toml");
    let applied = std::fs::read_to_string(&tuned).unwrap();
    assert!(applied.contains("[settings.raft-rs]\nmax_inflight_messages = "), "{applied}");
    let command = "run --file s.toml --protocol raft-rs --settings tuned.toml --format json --quiet";
    let set = place.json(command)["results"][0]["settings"]["max_inflight_messages"].as_f64().unwrap();
    assert!(set > 1.0);
    let on_top = place.json(&format!("{command} --set max_inflight_messages=3"));
    assert_eq!(on_top["results"][0]["settings"]["max_inflight_messages"], 3.0);

    let trials = place.json("history trials --protocol raft-rs --format json");
    let tried = trials.as_array().unwrap().len();
    assert!(tried > 4 && trials[0]["is_virtual"] == true, "{trials}");
    let again = place.json(&format!("{TUNE} --format json"));
    assert_eq!(again["known"], tried, "{again}");
    assert!(place.says("history trials").contains("max_inflight_messages="));
    let other = place.json(&format!("{TUNE} --clients 32 --format json"));
    assert_eq!(other["known"], 0, "another load, another answer");

    // A default that stands leaves the file as it is.
    let stands = "tune raft-rs --file s.toml --scenario narrow --goal max-throughput \
                  --tunable batch_append_flag --trials 4 --apply tuned.toml";
    let text = place.says(stands);
    assert!(text.contains("The default stands") && text.contains("nothing to write to tuned.toml"), "{text}");
    assert_eq!(std::fs::read_to_string(&tuned).unwrap(), applied);
    let pruned = place.says("history prune --older-than 0s");
    assert!(pruned.ends_with(" trials of `tune` removed\n") && !pruned.contains(" 0 trials"), "{pruned}");
    assert!(place.says("history trials").contains("no trial matches"));
    assert_eq!(place.json(&format!("{TUNE} --format json"))["known"], 0);
}

#[test]
fn of_a_scenario_with_several_clusters_one_is_chosen_and_told() {
    let place = Place::new();
    let tune = "tune raft-rs --file s.toml --scenario wide --goal max-throughput \
                --tunable batch_append_flag --trials 4 --no-history";
    let error = place.refused(tune);
    assert!(error.contains("name one with `--topology`, of: lan, wan3"), "{error}");
    let error = place.refused(&format!("{tune} --topology wan3"));
    assert!(error.contains("name one with `--replicas`, of: 3, 5"), "{error}");
    let text = place.says(&format!("{tune} --topology wan3 --replicas 5"));
    assert!(text.starts_with("wide/raft-rs: max-throughput, 64 clients; wan3, 5 replicas\n"), "{text}");
    let error = place.refused("tune raft-rs --scenario low_load --goal min-p99 --topology wan3");
    assert!(error.contains("`--delay-ms` sets the links of others"), "{error}");
}

#[test]
fn a_value_followed_live_is_a_table_over_time() {
    let place = Place::new();
    let text = place.says(
        "tune raft-rs --file s.toml --scenario narrow --live --target p99<400ms --tunable linger_us \
         --rate-per-s 500 --intervals 12 --interval-ms 200",
    );
    assert!(text.starts_with("narrow/raft-rs: linger_us follows p99<400ms"), "{text}");
    assert_eq!(text.lines().count(), 15, "{text}");
    assert!(text.contains("(last third of the intervals)"), "{text}");
}

#[test]
fn what_can_not_be_tuned_is_told_in_one_line() {
    let place = Place::new();
    for (arguments, expected) in [
        (
            "--goal min-p99 --tunable window",
            "raft-rs has no tunable `window`; it has: max_size_per_msg_bytes",
        ),
        ("--goal min-p99 --target p99=4", "`p99=4` is no target: write p99<TIME"),
        ("--goal min-p99 --budget soon", "`--budget soon` is no time"),
        ("--goal min-p99 --set heartbeat_ms=5000", "election_min_ms = 2239.05"),
        (
            "--live --target p99<1s --rate-per-s 9 --tunable batch_append_flag",
            "does not change while a cluster runs",
        ),
        ("--live --target p99<1s", "live mode needs an offered rate"),
        (
            "--live --target p99<1s --rate-per-s 9 --tunable linger_us --tunable max_inflight_messages",
            "`--live` adapts one tunable",
        ),
        ("--goal min-p99 --rate-per-s 0", "0 requests/s are no load"),
        ("--goal min-p99 --rate-per-s nan", "NaN requests/s are no load"),
        ("--goal max-throughput --clients 0", "0 clients ask for nothing"),
        ("--goal min-p99 --apply s.toml", "s.toml: "),
    ] {
        let error = place.refused(&format!("tune raft-rs --file s.toml --scenario narrow {arguments}"));
        assert!(error.contains(expected), "{arguments}: {error}");
    }
    let gossip = "tune plumtree --file s.toml --scenario narrow --goal max-throughput";
    assert!(place.refused(gossip).contains("so no closed loop ends; choose the goal min-p99"));
    std::fs::write(place.0.path().join("bad.toml"), "[settings.raft]\nlinger_us = 1\n").unwrap();
    let error = place.refused("run --file s.toml --protocol raft-rs --settings bad.toml");
    assert!(error.contains("bad.toml: no protocol `raft`"), "{error}");
}
