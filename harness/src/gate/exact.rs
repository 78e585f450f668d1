//! Tier 1: what is counted in virtual time. The same on every machine, so whatever differs was changed by
//! someone.

use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::policy::{ExactPolicy, Policy};
use super::report::{Effect, Finding, FindingVerdict, Tier};
use super::values::{Known, Reference, judge_values};
use crate::compare::{ExactValues, row_of};
use crate::progress::Progress;
use crate::results::{Metric, Outcome, ScenarioResult};
use crate::run::{Limits, Pair};
use crate::scenario::{self, Scenario, ScenarioError};
use crate::store::reason_not_to_compare;
use crate::suite::{Suite, SuiteError};

/// How the committed counts are made what was counted.
const COMMIT_THEM: &str = "cargo consensus-bench baseline exact";

/// What was counted.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// The results, in the order of scenarios and protocols.
    pub results: Vec<ScenarioResult>,
}

/// What the policy asks to be counted: its scenarios, and some of them again under other seeds.
pub fn scenarios_of(policy: &ExactPolicy) -> Result<Vec<Scenario>, ScenarioError> {
    let all = scenario::profile("quick")?;
    let named = |name: &String| scenario::find(&all, name).cloned();
    let mut found = policy.scenarios.iter().map(named).collect::<Result<Vec<_>, _>>()?;
    for name in &policy.seeded_scenarios {
        let scenario = named(name)?;
        found.extend(policy.seeds.iter().map(|&seed| Scenario { seed, ..scenario.clone() }));
    }
    Ok(found)
}

/// Counts everything that a policy asks for, on all cores: no clock is in it, so they can't disturb each other.
/// `progress` hears of each row that is done.
pub fn count(
    suite: &Suite,
    scenarios: &[Scenario],
    progress: impl Fn(&str) + Sync,
) -> Result<Counted, SuiteError> {
    let pairs = suite.pairs(scenarios, Limits::default())?;
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(pairs.len())));
    let work = || {
        while let Some((index, pair)) = next_pair(&pairs, &next) {
            let result = pair.run(Path::new("."), &Progress::default());
            progress(&pair.id());
            done.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    Ok(Counted { results: done.into_iter().map(|(_, result)| result).collect() })
}

fn next_pair<'a>(pairs: &'a [Pair], next: &AtomicUsize) -> Option<(usize, &'a Pair)> {
    let index = next.fetch_add(1, Relaxed);
    let pair = pairs.get(index).filter(|_| !crate::interrupt::requested())?;
    Some((index, pair))
}

impl Counted {
    /// The values of all rows that are complete and safe, zeros among them.
    pub fn values(&self) -> ExactValues {
        ExactValues::with_zeros(self.results.iter().filter(|result| reason_not_to_compare(result).is_none()))
    }

    /// Rows that broke a promise, and those that did not come to their end; virtual time does not fail by chance.
    fn broken(&self, policy: &Policy) -> Vec<Finding> {
        let finding = |result: &ScenarioResult, verdict, reason: String| {
            let ruling = policy.ruling(Tier::Exact, &row_of(result), "");
            Finding { verdict, reason: Some(reason), ..Finding::about(&row_of(result), ruling.effect) }
        };
        let of = |result: &ScenarioResult| match &result.outcome {
            Outcome::Unsafe => {
                let found = finding(result, FindingVerdict::Unsafe, result.safety.violations.join("; "));
                Some(Finding { effect: policy.safety.effect, ..found })
            }
            Outcome::Failed { reason } => {
                Some(finding(result, FindingVerdict::Missing, format!("it failed: {reason}")))
            }
            Outcome::Interrupted => {
                Some(finding(result, FindingVerdict::Missing, "it was interrupted".into()))
            }
            Outcome::Completed => None,
        };
        self.results.iter().filter_map(of).collect()
    }

    /// Why some rows have no counts, a line each.
    pub fn not_simulated(&self) -> Vec<String> {
        let why = |result: &ScenarioResult| {
            let why = result.exact.as_ref()?.not_simulated.clone()?;
            Some(format!("{}: {why}", row_of(result)))
        };
        self.results.iter().filter_map(why).collect()
    }

    fn known(&self, row: &str, metric: &str) -> Option<Known> {
        let result = self.results.iter().find(|result| row_of(result) == row)?;
        let Metric { unit, better, .. } = result.metric(metric)?;
        Some(Known { unit: unit.clone(), better: *better })
    }
}

/// Judges what was counted against the committed counts, or those of the base commit. `base_committed` are the
/// counts that the base has committed: where the head's own differ, the change has been declared.
pub fn judge_counts(
    counted: &Counted,
    reference: &ExactValues,
    committed: bool,
    base_committed: Option<&ExactValues>,
    policy: &Policy,
) -> (usize, Vec<Finding>) {
    let source = if committed { Reference::Committed(COMMIT_THEM) } else { Reference::Base };
    let known = |row: &str, metric: &str| counted.known(row, metric);
    let mut findings = counted.broken(policy);
    let broken: Vec<String> = findings.iter().map(|finding| finding.row.clone()).collect();
    // The committed file leaves zeros out.
    let now = if committed { counted.values().without_zeros() } else { counted.values() };
    let (judged, found) = judge_values(Tier::Exact, reference, &now, source, known, policy);
    findings.extend(found.into_iter().filter(|finding| !broken.contains(&finding.row)));
    if let Some(before) = base_committed {
        let (_, declared) = judge_values(Tier::Exact, before, reference, Reference::Base, known, policy);
        findings.extend(declared.into_iter().map(|finding| Finding {
            verdict: FindingVerdict::Declared,
            effect: Effect::Warn,
            reason: Some("the committed counts say so: whoever reviews them decides".into()),
            ..finding
        }));
    }
    (judged, findings)
}
