//! What the benches print, read back: gungraun's summaries, one JSON object per line, and the workloads' report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::InstructionsError;
use crate::compare::ExactValues;

/// Of gungraun's summaries. Another one may mean other things by the same names.
const SUMMARY_VERSION: &str = "7";
const ROW_PREFIX: &str = "instructions/";

/// What a workload's counts are told per.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// A client's command, from submission to answer, on all replicas together.
    Commit,
    /// One call, or one event of the simulator.
    Operation,
}

impl Per {
    /// The end of a metric's name.
    fn suffix(self) -> &'static str {
        match self {
            Per::Commit => "per_commit",
            Per::Operation => "per_operation",
        }
    }
}

/// One workload's run without valgrind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// What the counts are told per.
    pub per: Per,
    /// How many of those the run had.
    pub operations: u64,
    /// What they took from the heap: allocations and bytes.
    pub allocations: u64,
    /// Bytes of those.
    pub allocated_bytes: u64,
}

/// As gungraun writes it; what is not looked at is left out.
#[derive(Deserialize)]
struct Summary {
    version: String,
    id: Option<String>,
    profiles: Vec<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    tool: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    total: Total,
}

#[derive(Deserialize)]
struct Total {
    metrics: serde_json::Value,
}

impl Summary {
    /// Instructions of this run; none when they were not counted.
    fn instructions(&self) -> Option<u64> {
        let callgrind = self.profiles.iter().find(|profile| profile.tool == "Callgrind")?;
        // `new` stands alone or beside `old`, which is what the same target folder held before.
        callgrind.data.total.metrics.pointer("/Ir/values/new")?.as_u64()
    }
}

/// Sets both texts against each other: every workload must be in both.
pub(super) fn values(workloads: &str, summaries: &str) -> Result<ExactValues, InstructionsError> {
    let workloads: BTreeMap<String, Counted> = serde_json::from_str(workloads)
        .map_err(|error| not_understood("the workloads' report", error.to_string()))?;
    let mut instructions = instructions(summaries)?;
    let mut values = Vec::new();
    for (name, counted) in workloads {
        let Counted { per, operations, allocations, allocated_bytes } = counted;
        let count = instructions.remove(&name).ok_or_else(|| no_summary(&name))?;
        if operations == 0 {
            return Err(not_understood(&format!("the workload {name}"), "it did nothing".into()));
        }
        let counts =
            [("instructions", count), ("allocations", allocations), ("allocated_bytes", allocated_bytes)];
        for (what, count) in counts {
            let metric = format!("{what}_{}", per.suffix());
            values.push((format!("{ROW_PREFIX}{name}"), metric, count as f64 / operations as f64));
        }
    }
    match instructions.pop_first() {
        Some((name, _)) => Err(not_understood(
            "gungraun's summaries",
            format!("there is one of {name}, which the workloads' report does not have"),
        )),
        None => Ok(values.into_iter().collect()),
    }
}

/// Instructions by workload.
fn instructions(summaries: &str) -> Result<BTreeMap<String, u64>, InstructionsError> {
    let mut found = BTreeMap::new();
    for (index, line) in summaries.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let what = format!("gungraun's summary {}", index + 1);
        let summary: Summary =
            serde_json::from_str(line).map_err(|error| not_understood(&what, error.to_string()))?;
        if summary.version != SUMMARY_VERSION {
            let reason = format!("its schema is {}, and {SUMMARY_VERSION} is read here", summary.version);
            return Err(not_understood(&what, reason));
        }
        let id = summary.id.as_deref().ok_or_else(|| not_understood(&what, "it has no id".into()))?;
        let count = summary
            .instructions()
            .ok_or_else(|| not_understood(&what, format!("{id} has no count of instructions")))?;
        // Ids are names of functions, which can't have the dashes of a protocol's name.
        if found.insert(id.replace('_', "-"), count).is_some() {
            return Err(not_understood(&what, format!("{id} was there before")));
        }
    }
    Ok(found)
}

fn no_summary(name: &str) -> InstructionsError {
    not_understood("gungraun's summaries", format!("there is none of {name}"))
}

fn not_understood(what: &str, reason: String) -> InstructionsError {
    InstructionsError::NotUnderstood { what: what.into(), reason }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As gungraun 0.20 printed them, one alone and one with the run before it in the same folder.
    const SUMMARIES: &str = include_str!("summaries.jsonl");
    const WORKLOADS: &str = r#"{
        "raft-rs": { "per": "commit", "operations": 1024, "allocations": 1421, "allocated_bytes": 2709808 },
        "record": { "per": "operation", "operations": 10000, "allocations": 0, "allocated_bytes": 0 }
    }"#;

    fn error_of(workloads: &str, summaries: &str) -> String {
        let error = values(workloads, summaries).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    }

    #[test]
    fn counts_are_those_of_this_run_by_operation_and_zeros_are_kept() {
        insta::assert_snapshot!(values(WORKLOADS, SUMMARIES).unwrap().to_text().unwrap());
    }

    #[test]
    fn what_is_not_whole_is_an_error_that_says_what_is_missing() {
        let one = SUMMARIES.lines().next().unwrap();
        let half = &one[..one.len() / 2];
        assert!(error_of(WORKLOADS, half).contains("gungraun's summary 1: EOF"));
        let cut = &SUMMARIES[..SUMMARIES.len() - 100];
        assert!(error_of(WORKLOADS, cut).contains("gungraun's summary 2: EOF"));
        assert!(error_of(WORKLOADS, one).contains("gungraun's summaries: there is none of record"));
        assert!(error_of(WORKLOADS, "").contains("there is none of raft-rs"));
        let cut = &WORKLOADS[..WORKLOADS.len() / 2];
        assert!(error_of(cut, SUMMARIES).contains("the workloads' report: EOF"));
    }

    #[test]
    fn what_is_otherwise_than_expected_is_an_error_that_names_it() {
        for (from, to, expected) in [
            (r#""version":"7""#, r#""version":"8""#, "its schema is 8, and 7 is read here"),
            (r#""tool":"Callgrind""#, r#""tool":"DHAT""#, "raft_rs has no count of instructions"),
            (r#""id":"raft_rs","#, "", "it has no id"),
            (r#""id":"record""#, r#""id":"raft_rs""#, "raft_rs was there before"),
            (r#""id":"record""#, r#""id":"other""#, "there is none of record"),
        ] {
            let summaries = SUMMARIES.replace(from, to);
            assert_ne!(summaries, SUMMARIES, "{from}");
            let error = error_of(WORKLOADS, &summaries);
            assert!(error.contains(expected), "{error}");
        }
        let extra = SUMMARIES.replacen(r#""id":"raft_rs""#, r#""id":"abd""#, 1);
        let both = format!("{SUMMARIES}{}", extra.lines().next().unwrap());
        assert!(error_of(WORKLOADS, &both).contains("there is one of abd, which"));
        let idle = WORKLOADS.replace("10000", "0");
        assert!(error_of(&idle, SUMMARIES).contains("the workload record: it did nothing"));
    }

    proptest! {
        #[test]
        fn summaries_cut_anywhere_are_an_error(share in 0.0f64..1.0) {
            // All but the closing brace and the line break after it.
            let cut = (share * (SUMMARIES.len() - 2) as f64) as usize;
            prop_assert!(values(WORKLOADS, &SUMMARIES[..cut]).is_err());
        }
    }
}
