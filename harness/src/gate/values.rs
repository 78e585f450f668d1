//! Values that don't vary, against those they should have: every difference is told, and those beyond the
//! tolerance are judged.

use super::policy::Policy;
use super::report::{Effect, Finding, FindingVerdict, Tier};
use crate::compare::ExactValues;
use crate::results::Better;

/// Room for the rounding of a relative change, far below one in any count.
const ROUNDING: f64 = 1e-12;

/// What is known about a metric beside its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Unit.
    pub unit: String,
    /// Which way it is better.
    pub better: Better,
}

/// Where the values come from that others are held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference<'a> {
    /// They are committed: any change has to be committed too, by this command.
    Committed(&'a str),
    /// They were measured on the base commit: what is not worse is welcome.
    Base,
}

/// Judges values row by row and metric by metric; how many were, and what is worth telling.
pub fn judge_values(
    tier: Tier,
    old: &ExactValues,
    new: &ExactValues,
    reference: Reference<'_>,
    known: impl Fn(&str, &str) -> Option<Known>,
    policy: &Policy,
) -> (usize, Vec<Finding>) {
    let mut judged = 0;
    let mut findings = Vec::new();
    let blank = |row: &str, metric: &str| {
        let ruling = policy.ruling(tier, row, metric);
        let known = known(row, metric).unwrap_or(Known { unit: String::new(), better: Better::Neither });
        Finding {
            metric: metric.into(),
            unit: known.unit,
            better: known.better,
            base: old.get(row, metric),
            head: new.get(row, metric),
            tolerance: ruling.tolerance,
            owner: ruling.owner,
            ..Finding::about(row, ruling.effect)
        }
    };
    for row in old.rows().filter(|row| new.row(row).is_none()) {
        let reason = Some("this row is gone".to_string());
        findings.push(Finding { verdict: FindingVerdict::Missing, reason, ..blank(row, "") });
    }
    for row in new.rows() {
        let Some(values) = old.row(row) else {
            findings.push(unknown(blank(row, ""), "this row", reference));
            continue;
        };
        for metric in values.keys() {
            judged += 1;
            findings.extend(judge_value(blank(row, metric), reference));
        }
        let others = new.row(row).into_iter().flatten().filter(|(metric, _)| !values.contains_key(*metric));
        findings.extend(others.map(|(metric, _)| unknown(blank(row, metric), "this metric", reference)));
    }
    findings.retain(|finding| finding.effect != Effect::Ignore);
    (judged, findings)
}

/// Something that only the new side has.
fn unknown(finding: Finding, what: &str, reference: Reference<'_>) -> Finding {
    match reference {
        Reference::Committed(command) => {
            let reason = Some(format!("{what} is not committed; `{command}` adds it"));
            Finding { verdict: FindingVerdict::Missing, reason, ..finding }
        }
        Reference::Base => Finding { verdict: FindingVerdict::New, ..finding },
    }
}

/// None when there is nothing to tell.
fn judge_value(finding: Finding, reference: Reference<'_>) -> Option<Finding> {
    let Some((old, new)) = finding.base.zip(finding.head) else {
        let reason = Some("this metric is gone".to_string());
        return Some(Finding { verdict: FindingVerdict::Missing, reason, ..finding });
    };
    // Of nothing, anything is too much.
    if new == old || (new - old).abs() <= old.abs() * (finding.tolerance + ROUNDING) {
        return None;
    }
    let worse = match finding.better {
        Better::Lower => new > old,
        Better::Higher => new < old,
        Better::Neither => false,
    };
    let (verdict, reason) = match (worse, reference) {
        (true, _) => (FindingVerdict::Regressed, None),
        (false, Reference::Committed(command)) => {
            (FindingVerdict::Changed, Some(format!("not committed; `{command}` commits it")))
        }
        (false, Reference::Base) if finding.better == Better::Neither => (FindingVerdict::New, None),
        (false, Reference::Base) => (FindingVerdict::Improved, None),
    };
    Some(Finding { verdict, reason, ..finding })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    fn values(rows: &[(&str, &[(&str, f64)])]) -> ExactValues {
        let row = |(name, metrics): &(&str, &[(&str, f64)])| {
            (name.to_string(), metrics.iter().map(|(name, value)| (name.to_string(), *value)).collect())
        };
        ExactValues::from(rows.iter().map(row).collect::<BTreeMap<_, _>>())
    }

    fn verdicts(reference: Reference<'_>, policy: &str) -> Vec<(String, FindingVerdict)> {
        let old = values(&[
            ("cost/a", &[("gone", 1.0), ("less", 4.0), ("more", 4.0), ("odd", 4.0), ("same", 4.0)]),
            ("cost/b", &[("same", 1.0)]),
        ]);
        let new = values(&[
            ("cost/a", &[("fresh", 1.0), ("less", 2.0), ("more", 5.0), ("odd", 5.0), ("same", 4.0)]),
            ("cost/c", &[("same", 1.0)]),
        ]);
        let known = |_: &str, metric: &str| {
            let better = if metric == "odd" { Better::Neither } else { Better::Lower };
            Some(Known { unit: "1".into(), better })
        };
        let policy = Policy::parse(Path::new("p"), policy).unwrap();
        let (judged, found) = judge_values(Tier::Exact, &old, &new, reference, known, &policy);
        assert_eq!(judged, 5);
        let name = |finding: &Finding| format!("{} {}", finding.row, finding.metric).trim().to_string();
        found.iter().map(|finding| (name(finding), finding.verdict)).collect()
    }

    #[test]
    fn nothing_that_differs_from_what_is_committed_passes() {
        use FindingVerdict::{Changed, Missing, Regressed};
        let found = verdicts(Reference::Committed("cargo consensus-bench baseline exact"), "");
        let expected = [
            ("cost/b", Missing),
            ("cost/a gone", Missing),
            ("cost/a less", Changed),
            ("cost/a more", Regressed),
            ("cost/a odd", Changed),
            ("cost/a fresh", Missing),
            ("cost/c", Missing),
        ];
        assert_eq!(found, expected.map(|(name, verdict)| (name.to_string(), verdict)));
    }

    #[test]
    fn beside_the_base_only_what_is_worse_or_gone_counts_against_a_change() {
        use FindingVerdict::{Improved, Missing, New, Regressed};
        let found = verdicts(Reference::Base, "");
        let expected = [
            ("cost/b", Missing),
            ("cost/a gone", Missing),
            ("cost/a less", Improved),
            ("cost/a more", Regressed),
            ("cost/a odd", New),
            ("cost/a fresh", New),
            ("cost/c", New),
        ];
        assert_eq!(found, expected.map(|(name, verdict)| (name.to_string(), verdict)));
    }

    #[test]
    fn a_change_is_judged_from_just_beyond_the_tolerance_on() {
        let one = |before, now, tolerance: &str| {
            let side = |value| values(&[("cost/a", &[("m", value)])]);
            let policy = Policy::parse(Path::new("p"), &format!("[exact]\ntolerance = {tolerance}")).unwrap();
            let known = |_: &str, _: &str| Some(Known { unit: "1".into(), better: Better::Lower });
            let judge = judge_values(Tier::Exact, &side(before), &side(now), Reference::Base, known, &policy);
            judge.1.first().map(|finding| finding.verdict)
        };
        assert_eq!(one(1000.0, 1000.0, "0.01"), None);
        assert_eq!(one(1000.0, 1010.0, "0.01"), None);
        assert_eq!(one(1000.0, 1010.001, "0.01"), Some(FindingVerdict::Regressed));
        assert_eq!(one(1000.0, 990.0, "0.01"), None);
        assert_eq!(one(1000.0, 989.999, "0.01"), Some(FindingVerdict::Improved));
        assert_eq!(one(0.0, 0.001, "0.01"), Some(FindingVerdict::Regressed));
        assert_eq!(one(0.0, 0.0, "0.01"), None);
        // A product that is not exact in binary: 0.07 · 1.01.
        assert_eq!(one(0.07, 0.0707, "0.01"), None);
        assert_eq!(one(3.0, 3.0 + 1.0 / 1024.0, "0.0"), Some(FindingVerdict::Regressed));
    }

    #[test]
    fn beside_the_base_a_count_may_leave_nothing_and_come_back_to_it() {
        let side = |lost: f64, mended: f64| values(&[("faults/a", &[("lost", lost), ("mended", mended)])]);
        let known = |_: &str, _: &str| Some(Known { unit: "1".into(), better: Better::Lower });
        let policy = Policy::shipped().unwrap();
        let (_, found) =
            judge_values(Tier::Exact, &side(0.0, 3.0), &side(2.0, 0.0), Reference::Base, known, &policy);
        let verdicts: Vec<_> =
            found.iter().map(|finding| (finding.metric.as_str(), finding.verdict)).collect();
        assert_eq!(verdicts, [("lost", FindingVerdict::Regressed), ("mended", FindingVerdict::Improved)]);
    }

    #[test]
    fn what_the_policy_puts_up_with_or_ignores_is_not_told() {
        let policy = "[exact]\ntolerance = 0.25\n[[rule]]\nmetric = \"less\"\neffect = \"ignore\"";
        let told = verdicts(Reference::Base, policy);
        assert!(told.iter().all(|(name, _)| name != "cost/a more" && name != "cost/a less"), "{told:?}");
    }
}
