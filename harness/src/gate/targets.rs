//! Tier 3: thresholds on real runs, each met, missed or not to be told by its interval.

use std::collections::BTreeSet;

use super::policy::Policy;
use super::report::{Effect, Finding, FindingVerdict, Tier};
use crate::compare::row_of;
use crate::results::{Better, Metric, Outcome, ScenarioResult};
use crate::store::reason_not_to_compare;
use crate::table::quantity::of_metric;
use crate::threshold::{Kept, kept};

/// Judges the results of real runs; how many metrics have a target, and what came of them. A metric with a target
/// that other rows have and one has not is missing there, and so are all of a run that failed.
pub fn judge_targets(results: &[ScenarioResult], policy: &Policy) -> (usize, Vec<Finding>) {
    let names: BTreeSet<&str> =
        results.iter().flat_map(|result| &result.metrics).map(|metric| metric.name.as_str()).collect();
    let mut findings = Vec::new();
    for result in results {
        let row = row_of(result);
        if let Some(reason) = reason_not_to_compare(result) {
            findings.push(without_numbers(&row, result, reason, policy));
            continue;
        }
        findings.extend(names.iter().filter_map(|name| match result.metric(name) {
            Some(metric) => judge(&row, metric, result, policy),
            None => absent(&row, name, policy),
        }));
    }
    (findings.len(), findings)
}

fn without_numbers(row: &str, result: &ScenarioResult, reason: String, policy: &Policy) -> Finding {
    let effect = policy.ruling(Tier::Targets, row, "").effect;
    let (verdict, effect) = match result.outcome {
        Outcome::Unsafe => (FindingVerdict::Unsafe, policy.safety.effect),
        Outcome::Failed { .. } | Outcome::Interrupted => (FindingVerdict::Missing, effect),
        Outcome::Completed => (FindingVerdict::Inconclusive, effect),
    };
    Finding { verdict, reason: Some(reason), ..Finding::about(row, effect) }
}

fn absent(row: &str, metric: &str, policy: &Policy) -> Option<Finding> {
    let ruling = policy.ruling(Tier::Targets, row, metric);
    if ruling.effect == Effect::Ignore || !ruling.is_target() {
        return None;
    }
    let reason = Some("this metric was not measured".to_string());
    let about = Finding::about(row, ruling.effect);
    Some(Finding {
        metric: metric.into(),
        owner: ruling.owner,
        verdict: FindingVerdict::Missing,
        reason,
        ..about
    })
}

/// None when the metric has no target.
fn judge(row: &str, metric: &Metric, result: &ScenarioResult, policy: &Policy) -> Option<Finding> {
    let ruling = policy.ruling(Tier::Targets, row, &metric.name);
    if ruling.effect == Effect::Ignore || !ruling.is_target() {
        return None;
    }
    let (most, least) =
        (ruling.at_most.unwrap_or(f64::INFINITY), ruling.at_least.unwrap_or(f64::NEG_INFINITY));
    let verdict = match kept(result, metric, least, most) {
        Kept::Yes => FindingVerdict::Passed,
        Kept::No => FindingVerdict::Regressed,
        Kept::Unknown => FindingVerdict::Inconclusive,
    };
    let told = |value: f64| of_metric(&metric.name, value, &metric.unit);
    let target = match (ruling.at_most, ruling.at_least) {
        (Some(most), Some(least)) => format!("target: {} to {}", told(least), told(most)),
        (Some(most), None) => format!("target: at most {}", told(most)),
        (None, least) => format!("target: at least {}", told(least.unwrap_or_default())),
    };
    let disturbed = result.disturbed.join("; ");
    let disturbed = if disturbed.is_empty() { disturbed } else { format!("; disturbed: {disturbed}") };
    Some(Finding {
        row: row.into(),
        metric: metric.name.clone(),
        unit: metric.unit.clone(),
        better: if ruling.at_most.is_some() { Better::Lower } else { Better::Higher },
        verdict,
        effect: ruling.effect,
        base: ruling.at_most.or(ruling.at_least),
        head: Some(metric.value),
        shift: None,
        tolerance: 0.0,
        owner: ruling.owner,
        reason: Some(format!("{target}{disturbed}")),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::files;
    use crate::results::{Class, RunResults};

    const TARGET: &str = "[[rule]]\ntier = \"targets\"\nmetric = \"response_ns_p99\"\nat_most = 100.0\n";

    /// A row of two metrics, of which one has a target.
    fn result(protocol: &str, value: f64, lower: f64, upper: f64) -> ScenarioResult {
        let run: RunResults = files::parse_results(Path::new("sample"), files::SAMPLE).unwrap();
        let mut result = run.results[0].clone();
        result.protocol = protocol.into();
        (result.outcome, result.disturbed) = (Outcome::Completed, Vec::new());
        result.metrics.truncate(2);
        for (metric, name) in result.metrics.iter_mut().zip(["response_ns_p99", "other_ns"]) {
            metric.name = name.into();
            (metric.class, metric.unit) = (Class::Wall, "ns".into());
            (metric.value, metric.lower, metric.upper) = (value, Some(lower), Some(upper));
        }
        result
    }

    fn verdicts(results: &[ScenarioResult], policy: &str) -> Vec<(String, FindingVerdict, Effect)> {
        let policy = Policy::parse(Path::new("p"), policy).unwrap();
        let told = |finding: &Finding| {
            (format!("{} {}", finding.row, finding.metric), finding.verdict, finding.effect)
        };
        judge_targets(results, &policy).1.iter().map(told).collect()
    }

    #[test]
    fn the_whole_interval_decides() {
        let one = |lower, upper| verdicts(&[result("a", 99.0, lower, upper)], TARGET)[0].1;
        assert_eq!(one(90.0, 100.0), FindingVerdict::Passed);
        assert_eq!(one(90.0, 101.0), FindingVerdict::Inconclusive);
        assert_eq!(one(100.5, 101.0), FindingVerdict::Regressed);
        let disturbed = ScenarioResult { disturbed: vec!["busy".into()], ..result("a", 500.0, 400.0, 600.0) };
        let policy = Policy::parse(Path::new("p"), TARGET).unwrap();
        let (_, found) = judge_targets(&[disturbed], &policy);
        assert_eq!(found[0].verdict, FindingVerdict::Inconclusive);
        assert_eq!(found[0].reason.as_deref(), Some("target: at most 100 ns; disturbed: busy"));
    }

    #[test]
    fn a_broken_promise_blocks_whatever_the_policy_says_of_targets() {
        let broken = ScenarioResult { outcome: Outcome::Unsafe, ..result("a", 50.0, 40.0, 60.0) };
        let found = verdicts(&[broken], &format!("[targets]\neffect = \"warn\"\n{TARGET}"));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].1, found[0].2), (FindingVerdict::Unsafe, Effect::Block));
    }

    #[test]
    fn a_run_that_failed_and_a_metric_that_is_gone_are_missing() {
        let failed = Outcome::Failed { reason: "no leader".into() };
        let failed = ScenarioResult { outcome: failed, ..result("a", 50.0, 40.0, 60.0) };
        let mut without = result("b", 50.0, 40.0, 60.0);
        without.metrics.remove(0);
        let whole = result("c", 50.0, 40.0, 60.0);
        let found = verdicts(&[failed, without, whole], TARGET);
        let found: Vec<_> = found.iter().map(|(name, verdict, _)| (name.as_str(), *verdict)).collect();
        use FindingVerdict::{Missing, Passed};
        let scenario = &result("a", 1.0, 1.0, 1.0).scenario.name;
        let expected = [("a ", Missing), ("b response_ns_p99", Missing), ("c response_ns_p99", Passed)];
        let expected = expected.map(|(name, verdict)| (format!("{scenario}/{name}"), verdict));
        assert_eq!(found, expected.each_ref().map(|(name, verdict)| (name.as_str(), *verdict)));
    }
}
