//! Measured costs as a user meets them: calibrated, simulated with, held against real time, refused.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A workspace of its own, so that nothing is written to this one.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        std::fs::write(place.path().join("Cargo.toml"), "[workspace]\n").unwrap();
        std::fs::create_dir(place.path().join("baselines")).unwrap();
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_consensus-bench"))
            .args(arguments.split_whitespace())
            .current_dir(self.path())
            .env("CARGO_MANIFEST_DIR", self.path())
            .env("CONSENSUS_BENCH_HOME", self.path().join("home"))
            .output()
            .unwrap()
    }

    fn json(&self, arguments: &str) -> Value {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Where the costs of this machine are looked for.
    fn costs(&self) -> PathBuf {
        let fingerprint = consensus_bench::machine::describe().fingerprint;
        self.path().join("baselines").join(fingerprint).join("costs.json")
    }

    /// Costs measured for a moment, where those of this machine are looked for.
    fn calibrate(&self, protocols: &str) -> Value {
        let costs = self.costs();
        let path = costs.to_str().unwrap();
        self.json(&format!("calibrate --brief --output {path} --protocol {protocols} --format json"))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Exit code and the only line on standard error.
fn refusal(output: &Output) -> (Option<i32>, String) {
    let error = text(&output.stderr);
    assert_eq!(error.lines().count(), 1, "{error}");
    (output.status.code(), error)
}

#[test]
fn costs_are_measured_used_and_held_against_real_time() {
    let place = Place::new();
    for arguments in
        ["run --profile calibrated --protocol raft-rs", "validate --brief --protocol raft-rs --load open_low"]
    {
        let (code, error) = refusal(&place.run(arguments));
        assert_eq!(code, Some(5), "{arguments}: {error}");
        assert!(error.contains("run `cargo consensus-bench calibrate`"), "{arguments}: {error}");
    }

    let report = place.calibrate("raft-rs,openraft");
    let costs = &report["calibration"]["protocols"][0];
    assert_eq!(costs["protocol"], "raft-rs");
    assert!(
        costs["costs"]["delivery_ns"].as_f64().unwrap() > 0.0
            || costs["costs"]["request_ns"].as_f64().unwrap() > 0.0
    );
    assert_eq!(costs["cells"].as_array().unwrap().len(), 12);
    assert!(report["calibration"]["machine_times"]["flush"]["n"].as_u64().unwrap() > 0);
    for disturbed in [&report["calibration"]["disturbed"], &costs["disturbed"]] {
        assert!(disturbed[0].as_str().unwrap().contains("--brief"), "{disturbed}");
    }
    let file: Value = serde_json::from_slice(&std::fs::read(place.costs()).unwrap()).unwrap();
    assert_eq!(file, report["calibration"]);

    check_cost_per_commit(&place, &costs["cells"]);

    let validation =
        place.json("validate --brief --protocol raft-rs --load open_low,closed_64,wal_low --format json");
    let rows = validation["comparisons"].as_array().unwrap();
    let quantities: Vec<_> =
        rows.iter().map(|row| (row["load"].as_str().unwrap(), row["quantity"].as_str().unwrap())).collect();
    let expected = [
        ("open_low", "p50"),
        ("open_low", "p99"),
        ("closed_64", "throughput"),
        ("closed_64", "per_cpu_second"),
        ("wal_low", "p50"),
        ("wal_low", "p99"),
    ];
    assert_eq!(quantities, expected);
    for row in rows {
        let number = |key: &str| row[key].as_f64().unwrap();
        assert!(number("real") > 0.0 && number("simulated") > 0.0, "{row}");
        assert!((number("simulated") / number("real") - 1.0 - number("error")).abs() < 1e-9, "{row}");
    }
    let folders = std::fs::read_dir(place.path().join("home")).unwrap();
    let kept = folders.filter(|folder| folder.as_ref().unwrap().path().join("validation.json").is_file());
    assert_eq!(kept.count(), 1);
}

/// Closed loops in real time, and one in virtual time where work is free.
const LOADS: &str = r#"
[[scenario]]
name = "brief"
measure = { kind = "scalability", replicas = [3], clients = [1, 32], rounds = 2, round_s = 0.02 }

[[scenario]]
name = "free"

[scenario.measure]
kind = "exact"
topologies = ["lan"]
replicas = [3]
clients = [1]
warm_up_commits = 100
commits = 500
recovery = false
"#;

/// The model says what a commit costs: with an interval in such loads as were calibrated, without one in
/// others, and why there is none at all.
fn check_cost_per_commit(place: &Place, cells: &Value) {
    std::fs::write(place.path().join("loads.toml"), LOADS).unwrap();
    place.json("run -q --file loads.toml --protocol raft-rs --no-history --format json");
    let cost = |protocol: &str, arguments: &str, index: usize| {
        let found = place.json(&format!("model {protocol} latest --simulate {arguments} --format json"));
        found["predictions"][index]["prediction"]["cost"].clone()
    };
    let closed = cost("raft-rs", "--predict clients=32", 0);
    let at = |key: &str| closed["cpu_ns"][key].as_f64().unwrap();
    assert!(0.0 < at("lower") && at("lower") < at("value") && at("value") < at("upper"), "{closed}");
    let like = |cell: &&Value| (cell["replicas"].as_u64(), cell["clients"].as_u64()) == (Some(3), Some(32));
    let measured = cells.as_array().unwrap().iter().find(like).unwrap()["measured_ns"].as_f64().unwrap();
    assert!((0.2..5.0).contains(&(at("value") / measured)), "{closed}, measured {measured}");
    assert!(closed["note"].as_str().unwrap().contains("--brief"), "{closed}");
    let open = cost("raft-rs", "--predict rate=1000", 0);
    assert!(open["cpu_ns"]["value"].as_f64().unwrap() > 0.0 && open["cpu_ns"]["lower"].is_null(), "{open}");
    assert!(open["note"].as_str().unwrap().contains("no interval"), "{open}");
    let free = cost("raft-rs", "--predict clients=32", 1);
    assert!(free["cpu_ns"].is_null() && free["note"].as_str().unwrap().contains("free"), "{free}");
}

#[test]
fn costs_that_are_broken_or_of_the_future_are_refused() {
    let place = Place::new();
    place.calibrate("raft-rs");
    let path = place.costs();
    let good = std::fs::read_to_string(&path).unwrap();
    let later = good.replacen("\"schema_version\": 2", "\"schema_version\": 7", 1);
    let elsewhere = {
        let mut file: Value = serde_json::from_str(&good).unwrap();
        file["machine"]["fingerprint"] = "000000000000".into();
        file.to_string()
    };
    for (content, expected) in [
        (later, "written by a later version (schema 7, this one reads up to 2)"),
        (good[..good.len() / 2].to_string(), "costs.json: cut off (EOF"),
        (elsewhere, "measured on another machine (000000000000"),
    ] {
        std::fs::write(&path, content).unwrap();
        for arguments in
            ["run --profile calibrated --protocol raft-rs", "validate --brief --protocol raft-rs"]
        {
            let (code, error) = refusal(&place.run(arguments));
            assert_eq!(code, Some(5), "{arguments}: {error}");
            assert!(error.contains(expected), "{arguments}: {error}");
        }
    }
    for (arguments, expected) in [
        ("calibrate --protocol zab", "no protocol `zab`"),
        ("validate --load storm", "no load `storm`; there are: open_low"),
        ("validate --block-s 0", "--block-s = 0 is outside 0.05 to 3600"),
    ] {
        let (code, error) = refusal(&place.run(arguments));
        assert_eq!(code, Some(2), "{arguments}: {error}");
        assert!(error.contains(expected), "{arguments}: {error}");
    }
}

/// One scenario with costs of its own, so that its numbers depend on nothing measured.
const SATURATING: &str = r#"
[[scenario]]
name = "saturating"

[scenario.measure]
kind = "exact"
topologies = ["lan"]
replicas = [3]
clients = [1, 64, 1024]
rates_per_s = [1000, 1000000]
warm_up_commits = 3000
commits = 20000
recovery = false
cores = 1
costs = { wake_up_ns = 1000, message_ns = 500, request_ns = 2000, delivery_ns = 1000 }
"#;

#[test]
fn with_costs_throughput_saturates_and_latency_grows() {
    let place = Place::new();
    std::fs::write(place.path().join("costs.toml"), SATURATING).unwrap();
    let results = place.json("run -q --file costs.toml --protocol raft-rs --no-history --format json");
    let metrics = results["results"][0]["metrics"].as_array().unwrap();
    let value = |name: &str| {
        let name = format!("lan_replicas_3_{name}");
        metrics.iter().find(|metric| metric["name"] == *name).unwrap()["value"].as_f64().unwrap()
    };
    let at = |load: &str, metric: &str| value(&format!("{load}_{metric}"));
    let throughput = |load: &str| at(load, "throughput_per_s");
    let p99 = |load: &str| at(load, "client_latency_ns_p99");
    // A command costs 2 µs to take up and 1 µs on each of three replicas: no more than 200,000 a second.
    assert!(throughput("clients_64") > 20.0 * throughput("clients_1"));
    assert!((150_000.0..200_000.0).contains(&throughput("clients_1024")), "{}", throughput("clients_1024"));
    assert!(throughput("clients_1024") < 4.0 * throughput("clients_64"));
    assert!(p99("clients_1") < p99("clients_64") && p99("clients_64") * 5.0 < p99("clients_1024"));
    // Offered a thousand it serves a thousand; offered a million it serves what it can.
    assert!((throughput("rate_1000") / 1_000.0 - 1.0).abs() < 0.05);
    assert!(throughput("rate_1000000") < 200_000.0 && p99("rate_1000000") > 10.0 * p99("rate_1000"));
}
