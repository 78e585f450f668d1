//! The committed JSON Schemas: what they say is what the types say, and real files agree with them.

use std::path::Path;

use consensus_bench::files;
use consensus_bench::gate::report::{GateReport, GateVerdict};
use consensus_bench::profile::Attribution;
use consensus_bench::results::RunResults;
use serde_json::{Value, json};

/// A run of schema version 1. It is not refreshed: later versions must go on reading it.
const STORED_RUN: &str = include_str!("results-v1.json");

/// A report of schema version 1, likewise.
const STORED_GATE: &str = include_str!("gate-v1.json");

/// A profile of schema version 1, likewise.
const STORED_PROFILE: &str = include_str!("profile-v1.json");

/// Refreshes the schemas, and compares with what it finds otherwise.
const UPDATE: &str = "UPDATE_SCHEMA";

fn schema() -> Value {
    schemars::schema_for!(RunResults).to_value()
}

fn gate_schema() -> Value {
    schemars::schema_for!(GateReport).to_value()
}

fn profile_schema() -> Value {
    schemars::schema_for!(Attribution).to_value()
}

fn errors_in(results: &Value) -> Vec<String> {
    errors(&schema(), results)
}

fn errors(schema: &Value, instance: &Value) -> Vec<String> {
    match jsonschema::validator_for(schema) {
        Ok(validator) => validator.iter_errors(instance).map(|error| error.to_string()).collect(),
        Err(error) => vec![format!("no usable schema: {error}")],
    }
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    for (file, schema, version) in [
        ("results.schema.json", schema(), "SCHEMA_VERSION"),
        ("gate.schema.json", gate_schema(), "GATE_SCHEMA_VERSION"),
        ("profile.schema.json", profile_schema(), "PROFILE_SCHEMA_VERSION"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let expected = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os(UPDATE).is_some() {
            files::write_atomically(&path, expected.as_bytes()).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == expected,
            "{file} is not what the types say. If the change is meant, refresh it with\n    \
             {UPDATE}=1 cargo test -p consensus-bench --test it schema\nand raise {version} if older versions \
             can't read the new files."
        );
    }
}

#[test]
fn a_report_of_the_gate_validates_and_what_is_none_does_not() {
    let stored: Value = serde_json::from_str(STORED_GATE).unwrap();
    assert_eq!(errors(&gate_schema(), &stored), Vec::<String>::new());
    let report = GateReport::parse(Path::new("gate-v1.json"), STORED_GATE.as_bytes()).unwrap();
    assert_eq!(report.verdict, GateVerdict::of(&report.tiers));
    let written = serde_json::to_value(&report).unwrap();
    assert_eq!(errors(&gate_schema(), &written), Vec::<String>::new());
    assert_eq!(lacking(&stored, &written, ""), Vec::<String>::new());
    for (pointer, wrong) in [
        ("/verdict", json!("splendid")),
        ("/tiers/0/tier", json!("attic")),
        ("/tiers/0/status", json!({ "status": "not_run" })),
        ("/tiers/0/findings/0/effect", json!(null)),
        ("/head", json!(null)),
    ] {
        let mut broken = stored.clone();
        *broken.pointer_mut(pointer).unwrap() = wrong;
        assert!(!errors(&gate_schema(), &broken).is_empty(), "{pointer}");
    }
}

#[test]
fn a_profile_validates_and_what_is_none_does_not() {
    let stored: Value = serde_json::from_str(STORED_PROFILE).unwrap();
    assert_eq!(errors(&profile_schema(), &stored), Vec::<String>::new());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/profile-v1.json");
    let profile = Attribution::read(&path).unwrap();
    assert_eq!(profile.name(), "high_load/raft-rs");
    let written = serde_json::to_value(&profile).unwrap();
    assert_eq!(errors(&profile_schema(), &written), Vec::<String>::new());
    assert_eq!(lacking(&stored, &written, ""), Vec::<String>::new());
    for (pointer, wrong) in [
        ("/kinds/0/of", json!("lunch")),
        ("/kinds/0/samples", json!(-1)),
        ("/sampling/capped", json!("yes")),
        ("/profiled/load", json!({ "kind": "closed" })),
        ("/waits/phases", json!(null)),
    ] {
        let mut broken = stored.clone();
        *broken.pointer_mut(pointer).unwrap() = wrong;
        assert!(!errors(&profile_schema(), &broken).is_empty(), "{pointer}");
    }
}

#[test]
fn a_run_stored_by_the_first_version_is_read_and_validates_before_and_after() {
    let stored: Value = serde_json::from_str(STORED_RUN).unwrap();
    assert_eq!(errors_in(&stored), Vec::<String>::new());

    let results = files::parse_results(Path::new("results-v1.json"), STORED_RUN.as_bytes()).unwrap();
    assert_eq!(results.results.len(), 2);
    let written = serde_json::to_value(&results).unwrap();
    assert_eq!(errors_in(&written), Vec::<String>::new());
    // What the first version did not know has its default, and nothing else changed.
    assert_eq!(lacking(&stored, &written, ""), Vec::<String>::new());
    let again = files::parse_results(Path::new("again"), written.to_string().as_bytes()).unwrap();
    assert_eq!(again, results);
}

/// Where `new` lacks or changes something that `old` has.
fn lacking(old: &Value, new: &Value, at: &str) -> Vec<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old
            .iter()
            .flat_map(|(key, value)| match new.get(key) {
                Some(other) => lacking(value, other, &format!("{at}/{key}")),
                None => vec![format!("{at}/{key} is gone")],
            })
            .collect(),
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            let pairs = old.iter().zip(new).enumerate();
            pairs.flat_map(|(index, (old, new))| lacking(old, new, &format!("{at}/{index}"))).collect()
        }
        (old, new) if old == new => Vec::new(),
        (old, new) => vec![format!("{at}: {old} became {new}")],
    }
}

#[test]
fn what_is_not_a_run_does_not_validate() {
    let stored: Value = serde_json::from_str(STORED_RUN).unwrap();
    for (pointer, wrong) in [
        ("/schema_version", json!("one")),
        ("/complete", json!(null)),
        ("/manifest/machine/cores", json!(-1)),
        ("/results/0/outcome", json!({ "status": "splendid" })),
        ("/results/0/outcome", json!({ "status": "failed" })),
        ("/results/0/metrics/0/better", json!("sideways")),
        ("/results/0/scenario/phase", json!([{ "kind": "nap" }])),
        ("/results", json!({})),
    ] {
        let mut broken = stored.clone();
        *broken.pointer_mut(pointer).unwrap() = wrong;
        assert!(!errors_in(&broken).is_empty(), "{pointer}");
    }
    let mut incomplete = stored;
    incomplete.as_object_mut().unwrap().remove("manifest");
    assert!(!errors_in(&incomplete).is_empty());
}
