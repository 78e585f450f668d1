//! Tier 3: thresholds on real runs, each met, missed or not to be told by its interval.

use std::path::Path;

use super::policy::{Policy, PolicyError};
use super::report::{Effect, Finding, FindingVerdict, Tier};
use crate::compare::row_of;
use crate::results::{Better, Metric, ScenarioResult};
use crate::store::reason_not_to_compare;

/// Judges the results of real runs; how many metrics have a target, and what came of them.
pub fn judge_targets(
    results: &[ScenarioResult],
    path: &Path,
    policy: &Policy,
) -> Result<(usize, Vec<Finding>), PolicyError> {
    let rows: Vec<(String, &ScenarioResult)> =
        results.iter().map(|result| (row_of(result), result)).collect();
    let named = rows.iter().flat_map(|(row, result)| result.metrics.iter().map(move |metric| (row, metric)));
    let known = named.map(|(row, metric)| (row.as_str(), metric.name.as_str()));
    if results.iter().all(|result| reason_not_to_compare(result).is_none()) {
        policy.check_names(path, Tier::Targets, known)?;
    }
    let mut findings = Vec::new();
    for (row, result) in &rows {
        if let Some(reason) = reason_not_to_compare(result) {
            let effect = policy.ruling(Tier::Targets, row, "").effect;
            let verdict = FindingVerdict::Inconclusive;
            findings.push(Finding { verdict, reason: Some(reason), ..Finding::about(row, effect) });
            continue;
        }
        findings.extend(result.metrics.iter().filter_map(|metric| judge(row, metric, result, policy)));
    }
    Ok((findings.len(), findings))
}

/// None when the metric has no target.
fn judge(row: &str, metric: &Metric, result: &ScenarioResult, policy: &Policy) -> Option<Finding> {
    let ruling = policy.ruling(Tier::Targets, row, &metric.name);
    if ruling.effect == Effect::Ignore || (ruling.at_most.is_none() && ruling.at_least.is_none()) {
        return None;
    }
    let (lower, upper) = (metric.lower.unwrap_or(metric.value), metric.upper.unwrap_or(metric.value));
    let (most, least) =
        (ruling.at_most.unwrap_or(f64::INFINITY), ruling.at_least.unwrap_or(f64::NEG_INFINITY));
    let verdict = if !result.disturbed.is_empty() {
        FindingVerdict::Inconclusive
    } else if upper <= most && lower >= least {
        FindingVerdict::Passed
    } else if lower > most || upper < least {
        FindingVerdict::Regressed
    } else {
        FindingVerdict::Inconclusive
    };
    let target = match (ruling.at_most, ruling.at_least) {
        (Some(most), Some(least)) => format!("target: {least} to {most}"),
        (Some(most), None) => format!("target: at most {most}"),
        (None, least) => format!("target: at least {}", least.unwrap_or_default()),
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
        reason: Some(format!("{target} {}{disturbed}", metric.unit)),
    })
}
