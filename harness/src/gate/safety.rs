//! Tier 0: a few seeded schedules of faults for every protocol, with and without a liar. The same seeds every
//! time, so a change that breaks a promise under one of them is always told of.

use protocol_core::{LaunchError, Settings};

use super::policy::SafetyPolicy;
use super::report::{Finding, FindingVerdict};
use crate::explore::{self, ExploreError, Plan, Sweep, sweep};
use crate::suite::{Registration, Suite};

/// Runs that shrinking a schedule may take: the command that replays it shrinks it further.
const SHRINK_BUDGET: usize = 0;

/// Runs the schedules; how many were run, what they found, and what could not be run.
pub fn judge_safety(
    suite: &Suite,
    policy: &SafetyPolicy,
    progress: impl Fn(&str),
) -> Result<(usize, Vec<Finding>, Vec<String>), ExploreError> {
    let (mut judged, mut findings, mut notes) = (0, Vec::new(), Vec::new());
    for registration in suite.all() {
        let protocol = registration.protocol.descriptor();
        let replicas = Plan::default().replicas.max(protocol.cluster_sizes.0);
        let settings = Settings::checked(registration.settings.clone(), &protocol)?;
        let bears_liars =
            !protocol.particulars.behaviours.is_empty() && (protocol.tolerates)(replicas, &settings) > 0;
        for liars in 0..=usize::from(bears_liars) {
            progress(&format!("safety/{} with {liars} liars", registration.name));
            let behaviours = protocol.particulars.behaviours;
            let plan = Plan { replicas, liars, behaviours, ..Plan::default() };
            match explored(registration, &settings, plan, policy.schedules) {
                Ok(found) => {
                    judged += policy.schedules as usize;
                    findings.extend(found.iter().map(|found| finding(registration, &plan, found, policy)));
                }
                Err(ExploreError::Launch(error @ LaunchError::NotSimulated { .. })) => {
                    notes.push(format!("{}: not explored: {error}", registration.name));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok((judged, findings, notes))
}

fn explored(
    registration: &Registration,
    settings: &Settings,
    plan: Plan,
    schedules: u64,
) -> Result<Vec<explore::Finding>, ExploreError> {
    let protocol = &*registration.protocol;
    let options = Sweep { plan, seeds: schedules, shrink_budget: SHRINK_BUDGET };
    Ok(sweep(protocol, settings, &options, || {})?.findings)
}

fn finding(
    registration: &Registration,
    plan: &Plan,
    found: &explore::Finding,
    policy: &SafetyPolicy,
) -> Finding {
    let name = &registration.name;
    let broken: Vec<String> =
        found.violations.iter().map(|found| format!("{}: {}", found.promise.name(), found.what)).collect();
    let liars = if plan.liars > 0 { format!(" --liars {}", plan.liars) } else { String::new() };
    let replay = format!(
        "cargo consensus-bench explore --protocol {name} --first-seed {} --seeds 1{liars}",
        found.seed
    );
    Finding {
        verdict: FindingVerdict::Unsafe,
        reason: Some(format!("{}; `{replay}`", broken.join("; "))),
        ..Finding::about(&format!("safety/{name}/seed={}", found.seed), policy.effect)
    }
}
