//! Why two rows of one name can't be compared: the first reason that is found, on one line.

use serde::Serialize;
use serde_json::Value;

use super::Row;
use crate::scenario::Scenario;
use crate::store::reason_not_to_compare;

/// An error says why the rows can't be compared.
pub(super) fn check(a: Row, b: Row) -> Result<(), String> {
    let (run_a, run_b) = (a.run, b.run);
    same("results schema", &run_a.schema_version, &run_b.schema_version)?;
    for (side, row) in [("A", a), ("B", b)] {
        if let Some(reason) = reason_not_to_compare(row.result) {
            return Err(format!("{side}: {reason}"));
        }
    }
    same("family", &a.result.family, &b.result.family)?;
    same("what a commit means", &a.result.commit_means, &b.result.commit_means)?;
    same("clients", &run_a.manifest.client_placement, &run_b.manifest.client_placement)?;
    same_scenario(&a.result.scenario, &b.result.scenario)?;
    same("timing", &a.result.timing, &b.result.timing)
}

/// An error says what differs. What a scenario says about itself changes nothing that is measured.
pub(crate) fn same_scenario(a: &Scenario, b: &Scenario) -> Result<(), String> {
    let silent = |scenario: &Scenario| Scenario { about: String::new(), ..scenario.clone() };
    same("scenario", &silent(a), &silent(b))
}

fn same<T: Serialize>(what: &str, a: &T, b: &T) -> Result<(), String> {
    let as_value = |value: &T| serde_json::to_value(value).map_err(|error| format!("{what}: {error}"));
    match first_difference("", &as_value(a)?, &as_value(b)?) {
        Some((key, difference)) if key.is_empty() => Err(format!("{what} differs: {difference}")),
        Some((key, difference)) => Err(format!("{what} differs: {key} {difference}")),
        None => Ok(()),
    }
}

/// The first key whose values differ, as `phase[1].rate_per_s`, and both values.
fn first_difference(key: &str, a: &Value, b: &Value) -> Option<(String, String)> {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => a.keys().chain(b.keys()).find_map(|name| {
            let below = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            let of = |side: &serde_json::Map<String, Value>| side.get(name).cloned().unwrap_or(Value::Null);
            first_difference(&below, &of(a), &of(b))
        }),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(index, (a, b))| first_difference(&format!("{key}[{index}]"), a, b)),
        (a, b) if a == b => None,
        (a, b) => Some((key.into(), format!("{} ≠ {}", shown(a), shown(b)))),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) => text.clone(),
        Value::Array(entries) => format!("{} entries", entries.len()),
        other => other.to_string(),
    }
}
