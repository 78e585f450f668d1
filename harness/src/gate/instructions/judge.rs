//! Counts against counts. They don't vary, so there is no statistics in it: only what is put up with.

use std::collections::BTreeSet;

use crate::compare::ExactValues;
use crate::gate::policy::{Policy, Ruling};
use crate::gate::report::{Effect, Finding, FindingVerdict, Tier};
use crate::results::Better;

/// Room for the rounding of a relative change, far below one instruction in any count.
const ROUNDING: f64 = 1e-12;

/// What is to be said of counts at head against those at base. What is the same is not told, and what the policy
/// ignores is not even looked at. A row that only one side has is told as a whole.
pub fn judge(base: &ExactValues, head: &ExactValues, policy: &Policy) -> Vec<Finding> {
    let mut findings = Vec::new();
    let rows: BTreeSet<&str> = base.rows().chain(head.rows()).collect();
    for row in rows {
        let metrics: BTreeSet<&str> =
            base.metrics(row).chain(head.metrics(row)).map(|(metric, _)| metric).collect();
        if base.metrics(row).next().is_none() {
            findings.extend(finding(policy, row, "", FindingVerdict::New, (None, None)));
            continue;
        }
        if head.metrics(row).next().is_none() {
            findings.extend(finding(policy, row, "", FindingVerdict::Missing, (None, None)));
            continue;
        }
        for metric in metrics {
            let values = (base.get(row, metric), head.get(row, metric));
            let tolerance = ruling(policy, row, metric).tolerance;
            if let Some(verdict) = verdict(values, tolerance) {
                findings.extend(finding(policy, row, metric, verdict, values));
            }
        }
    }
    findings
}

/// None when nothing changed.
fn verdict(values: (Option<f64>, Option<f64>), tolerance: f64) -> Option<FindingVerdict> {
    let (before, now) = match values {
        (None, _) => return Some(FindingVerdict::New),
        (_, None) => return Some(FindingVerdict::Missing),
        (Some(before), Some(now)) => (before, now),
    };
    let limit = before * (tolerance + ROUNDING);
    Some(match now - before {
        0.0 => return None,
        more if more > limit => FindingVerdict::Regressed,
        less if less < -limit => FindingVerdict::Improved,
        _ => FindingVerdict::Passed,
    })
}

fn ruling(policy: &Policy, row: &str, metric: &str) -> Ruling {
    policy.ruling(Tier::Instructions, row, metric)
}

/// None when the policy ignores it.
fn finding(
    policy: &Policy,
    row: &str,
    metric: &str,
    verdict: FindingVerdict,
    (base, head): (Option<f64>, Option<f64>),
) -> Option<Finding> {
    let Ruling { effect, tolerance, owner, .. } = ruling(policy, row, metric);
    let reason = match verdict {
        FindingVerdict::New => Some("the base does not have it"),
        FindingVerdict::Missing => Some("the head no longer has it"),
        _ => None,
    };
    // As everywhere, a metric's name ends in its unit: counts have none.
    let unit = if metric.starts_with("allocated_bytes") { "B" } else { "1" };
    (effect != Effect::Ignore).then(|| Finding {
        row: row.into(),
        metric: metric.into(),
        unit: if metric.is_empty() { String::new() } else { unit.into() },
        better: Better::Lower,
        verdict,
        effect,
        base,
        head,
        shift: None,
        tolerance,
        owner,
        reason: reason.map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn values(rows: &[(&str, &str, f64)]) -> ExactValues {
        rows.iter().map(|(row, metric, value)| (row.to_string(), metric.to_string(), *value)).collect()
    }

    fn judged(base: &[(&str, &str, f64)], head: &[(&str, &str, f64)], policy: &str) -> Vec<String> {
        let policy = Policy::parse(Path::new("policy.toml"), policy).unwrap();
        let tell = |found: Finding| format!("{} {} {}", found.row, found.metric, found.verdict.name());
        judge(&values(base), &values(head), &policy).into_iter().map(tell).collect()
    }

    #[test]
    fn a_change_is_judged_from_just_beyond_the_tolerance_on() {
        let one = |before, now| {
            let side = |value| [("instructions/a", "instructions_per_commit", value)];
            judged(&side(before), &side(now), "[instructions]\ntolerance = 0.01\n").pop()
        };
        let verdict = |name: &str| Some(format!("instructions/a instructions_per_commit {name}"));
        assert_eq!(one(1000.0, 1000.0), None);
        assert_eq!(one(1000.0, 1010.0), verdict("passed"));
        assert_eq!(one(1000.0, 1010.001), verdict("regressed"));
        assert_eq!(one(1000.0, 990.0), verdict("passed"));
        assert_eq!(one(1000.0, 989.999), verdict("improved"));
        // Of no allocations any is too many.
        assert_eq!(one(0.0, 0.001), verdict("regressed"));
        assert_eq!(one(0.0, 0.0), None);
        // A product that is not exact in binary: 0.07 · 1.01.
        assert_eq!(one(0.07, 0.0707), verdict("passed"));
    }

    #[test]
    fn without_a_tolerance_every_change_counts() {
        let side = |value| [("instructions/a", "allocations_per_commit", value)];
        let policy = "[instructions]\ntolerance = 0.0\n";
        let found = judged(&side(3.0), &side(3.0 + 1.0 / 1024.0), policy);
        assert_eq!(found, ["instructions/a allocations_per_commit regressed"]);
    }

    #[test]
    fn what_only_one_side_has_is_told_and_rows_as_a_whole() {
        let base =
            [("instructions/a", "m", 1.0), ("instructions/a", "gone", 1.0), ("instructions/b", "m", 1.0)];
        let head =
            [("instructions/a", "m", 1.0), ("instructions/a", "new", 1.0), ("instructions/c", "m", 1.0)];
        let found = judged(&base, &head, "");
        let expected = [
            "instructions/a gone missing",
            "instructions/a new new",
            "instructions/b  missing",
            "instructions/c  new",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn rules_have_the_last_word() {
        let base = [("instructions/a", "m", 100.0), ("instructions/b", "m", 100.0)];
        let head = [("instructions/a", "m", 150.0), ("instructions/b", "m", 150.0)];
        let rules = "[[rule]]\ntier = \"instructions\"\nprotocol = \"a\"\neffect = \"ignore\"\n\
                     [[rule]]\ntier = \"instructions\"\nprotocol = \"b\"\ntolerance = 0.6\n";
        assert_eq!(judged(&base, &head, rules), ["instructions/b m passed"]);
    }
}
