//! The committed JSON Schema: what it says is what the types say, and real files agree with it.

use std::path::Path;

use consensus_bench::files;
use consensus_bench::results::RunResults;
use serde_json::{Value, json};

/// A run of schema version 1. It is not refreshed: later versions must go on reading it.
const STORED_RUN: &str = include_str!("results-v1.json");

/// Refreshes the schema, and compares with what it finds otherwise.
const UPDATE: &str = "UPDATE_SCHEMA";

fn schema() -> Value {
    schemars::schema_for!(RunResults).to_value()
}

fn errors_in(results: &Value) -> Vec<String> {
    match jsonschema::validator_for(&schema()) {
        Ok(validator) => validator.iter_errors(results).map(|error| error.to_string()).collect(),
        Err(error) => vec![format!("no usable schema: {error}")],
    }
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("results.schema.json");
    let expected = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os(UPDATE).is_some() {
        files::write_atomically(&path, expected.as_bytes()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == expected,
        "results.schema.json is not what the types say. If the change is meant, refresh it with\n    \
         {UPDATE}=1 cargo test -p consensus-bench --test it schema\nand raise SCHEMA_VERSION if \
         older versions can't read the new files."
    );
}

#[test]
fn a_stored_run_is_read_and_validates_before_and_after() {
    let stored: Value = serde_json::from_str(STORED_RUN).unwrap();
    assert_eq!(errors_in(&stored), Vec::<String>::new());

    let results = files::parse_results(Path::new("results-v1.json"), STORED_RUN.as_bytes()).unwrap();
    assert_eq!(results.results.len(), 2);
    let written = serde_json::to_value(&results).unwrap();
    assert_eq!(errors_in(&written), Vec::<String>::new());
    assert_eq!(lost("", &stored, &written), Vec::<String>::new());

    let mut changed = written.clone();
    changed["results"][1]["metrics"][0]["value"] = json!(1.0);
    changed["results"][0]["phases"].as_array_mut().unwrap().pop();
    changed["manifest"].as_object_mut().unwrap().remove("commit");
    let found = ["/manifest/commit", "/results/0/phases", "/results/1/metrics/0/value"];
    assert_eq!(lost("", &stored, &changed), found);
}

/// Where `written` does not say what `stored` says. It may say more: what later versions added.
fn lost(at: &str, stored: &Value, written: &Value) -> Vec<String> {
    let inner = |key: &str, stored: &Value, written: Option<&Value>| {
        let at = format!("{at}/{key}");
        written.map_or_else(|| vec![at.clone()], |written| lost(&at, stored, written))
    };
    match (stored, written) {
        (Value::Object(stored), Value::Object(written)) => {
            stored.iter().flat_map(|(key, value)| inner(key, value, written.get(key))).collect()
        }
        (Value::Array(stored), Value::Array(written)) if stored.len() == written.len() => stored
            .iter()
            .zip(written)
            .enumerate()
            .flat_map(|(index, (stored, written))| inner(&index.to_string(), stored, Some(written)))
            .collect(),
        (stored, written) if stored == written => Vec::new(),
        _ => vec![at.to_string()],
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
