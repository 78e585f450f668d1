//! From results to advice: rules look at the facts of every result, and what they find is ranked by what mending it
//! could bring. Pure, but for the files that advice and its background are read from and written to.

mod explain;
mod facts;
mod file;
mod finding;
mod rules;
mod text;
mod tunables;
mod verify;

use std::cmp::Reverse;

use protocol_core::Descriptor;

pub use explain::{page, pages};
pub use facts::{Background, Facts, Places};
pub use file::{ADVICE_FILE, background_of, read, write};
pub use finding::Finding;
pub use rules::{GENERATOR_LIMITED, RULES, Rule, find};
pub use text::{markdown, text};
pub use tunables::Knob;
pub use verify::{goal_of, pair_of, verify};

use crate::results::{
    Advice, Bottleneck, Change, Confidence, Outcome, Recommendation, RunResults, ScenarioResult, Status,
    Symptom, Withheld,
};

/// What could bring less than this is not worth a change.
const WORTH_IT: f64 = 0.05;

/// Advice on all results of a run. `descriptor` knows protocols by name: without its descriptor nothing is known of a
/// protocol's tunables.
pub fn advise(
    results: &RunResults,
    descriptor: impl Fn(&str) -> Option<Descriptor>,
    background: &Background,
) -> Advice {
    let mut advice = Advice::default();
    for result in &results.results {
        let descriptor = descriptor(&result.protocol);
        let found = findings(result, descriptor.as_ref(), background);
        let reason = reason_to_withhold(result);
        let heard = match (&reason, &result.outcome) {
            (None, _) => found,
            // The generator is why it was disturbed, or time-outs why nothing was served.
            (Some(_), Outcome::Completed) => with_rule(found, GENERATOR_LIMITED),
            (Some(_), Outcome::Failed { .. }) => found,
            (Some(_), _) => Vec::new(),
        };
        match reason {
            Some(reason) if heard.is_empty() => advice.withheld.push(Withheld {
                protocol: result.protocol.clone(),
                scenario: result.scenario.name.clone(),
                reason,
            }),
            _ => heard.into_iter().for_each(|finding| add(&mut advice, result, finding)),
        }
    }
    rank(&mut advice.recommendations);
    advice
}

/// What held a result back, the gravest first; nothing of one whose generator did not keep up, but that.
pub fn bottlenecks(result: &ScenarioResult, descriptor: Option<&Descriptor>) -> Vec<Bottleneck> {
    let mut found: Vec<Bottleneck> =
        findings(result, descriptor, &Background::default()).iter().map(Finding::bottleneck).collect();
    // Stable: within a severity, in the order of the rules.
    found.sort_by_key(|found| Reverse(found.severity));
    found
}

/// What the rules find in a result: of each rule and change once, where it matters most.
fn findings(
    result: &ScenarioResult,
    descriptor: Option<&Descriptor>,
    background: &Background,
) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    for found in Facts::of_result(result, descriptor, background).iter().flat_map(find) {
        match kept.iter_mut().find(|other| is_same(other, &found)) {
            Some(other) if other.impact < found.impact => *other = found,
            Some(_) => {}
            None => kept.push(found),
        }
    }
    // A guess is not heard beside a sure cause of the same shortage.
    let sure: Vec<_> = kept
        .iter()
        .filter(|found| found.change.is_some() && found.confidence == Confidence::High)
        .map(|found| found.resource)
        .collect();
    kept.retain(|found| found.confidence != Confidence::Low || !sure.contains(&found.resource));
    kept
}

/// Whether two findings are of the same rule, about the same.
fn is_same(a: &Finding, b: &Finding) -> bool {
    let tunable = |found: &Finding| match &found.change {
        Some(Change::Setting { name, .. }) => Some(name.clone()),
        _ => None,
    };
    a.rule == b.rule && a.resource == b.resource && tunable(a) == tunable(b)
}

fn with_rule(found: Vec<Finding>, rule: &str) -> Vec<Finding> {
    found.into_iter().filter(|found| found.rule == rule).collect()
}

/// Why nothing may rest on a result; none when something may.
fn reason_to_withhold(result: &ScenarioResult) -> Option<String> {
    match &result.outcome {
        Outcome::Unsafe => Some("its safety check failed".into()),
        Outcome::Interrupted => Some("it was interrupted".into()),
        Outcome::Failed { reason } => Some(format!("it failed: {reason}")),
        Outcome::Completed if !result.disturbed.is_empty() => {
            Some(format!("it was disturbed: {}", result.disturbed.join("; ")))
        }
        Outcome::Completed => None,
    }
}

fn add(advice: &mut Advice, result: &ScenarioResult, finding: Finding) {
    let (protocol, scenario) = (result.protocol.clone(), result.scenario.name.clone());
    match finding.change {
        None => advice.symptoms.push(Symptom { protocol, scenario, bottleneck: finding.bottleneck() }),
        Some(_) if finding.impact < WORTH_IT => {}
        Some(change) => advice.recommendations.push(Recommendation {
            rule: finding.rule.into(),
            protocol,
            scenario,
            cell: finding.cell,
            severity: finding.severity,
            impact: finding.impact,
            change,
            with: finding.with,
            reason: finding.reason,
            evidence: finding.evidence,
            expected: finding.expected,
            confidence: finding.confidence,
            status: Status::Untested,
        }),
    }
}

/// Takes over from earlier advice on the same run what was tried.
pub fn carry_over(before: &Advice, advice: &mut Advice) {
    for one in &mut advice.recommendations {
        let same = |other: &&Recommendation| {
            (&other.rule, &other.protocol, &other.scenario, &other.cell, &other.change)
                == (&one.rule, &one.protocol, &one.scenario, &one.cell, &one.change)
        };
        if let Some(tried) = before.recommendations.iter().find(same) {
            one.status = tried.status.clone();
        }
    }
}

/// Sorts by what a change could bring times how sure it is; an overloaded generator comes before all else, and what was
/// tried in vain after it.
pub fn rank(recommendations: &mut [Recommendation]) {
    let score = |one: &Recommendation| {
        let sure = match one.confidence {
            Confidence::High => 1.0,
            Confidence::Medium => 0.6,
            Confidence::Low => 0.3,
        };
        match one.status {
            _ if one.rule == GENERATOR_LIMITED => f64::INFINITY,
            Status::Refuted { .. } | Status::Refused { .. } => 0.0,
            _ => sure * one.impact,
        }
    };
    // Stable: of two that are worth the same, the one found first.
    recommendations.sort_by(|a, b| score(b).total_cmp(&score(a)));
}

#[cfg(test)]
mod tests;
