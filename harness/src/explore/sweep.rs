//! Many seeds of one plan, on all cores; what they found, in order of seed whoever ran them.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use protocol_core::{Protocol, Settings, check_size};
use serde::{Deserialize, Serialize};

use super::run::{ExploreError, Violation, run};
use super::schedule::{Plan, Schedule};
use super::shrink::shrink;

/// Which seeds to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// What schedules are drawn from; its seed is the first one.
    pub plan: Plan,
    /// How many seeds, from the plan's on.
    pub seeds: u64,
    /// Runs that shrinking a schedule may take.
    pub shrink_budget: usize,
}

/// A seed that broke a promise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The seed.
    pub seed: u64,
    /// What its schedule broke.
    pub violations: Vec<Violation>,
    /// A smaller schedule that breaks the first of these promises too, and how. Only the first
    /// finding of each promise has one.
    pub shrunk: Option<(Schedule, Vec<Violation>)>,
}

/// What a sweep found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepReport {
    /// What schedules were drawn from; its seed is the first one.
    pub plan: Plan,
    /// Seeds that were run: fewer than were asked for after Ctrl-C.
    pub seeds: u64,
    /// Wall-clock time, without that of shrinking.
    pub elapsed_s: f64,
    /// Events of all runs.
    pub events: u64,
    /// Events per second of wall-clock time.
    pub events_per_s: f64,
    /// Commands acknowledged in all runs: a sweep that acknowledged nothing has tested nothing.
    pub acknowledged: u64,
    /// Seeds that broke a promise, ascending.
    pub findings: Vec<Finding>,
}

/// What threads add up.
#[derive(Default)]
struct Tally {
    seeds: u64,
    events: u64,
    acknowledged: u64,
    findings: Vec<Finding>,
    /// The lowest seed that could not be run.
    error: Option<(u64, ExploreError)>,
}

/// Runs all seeds, and shrinks what they found. `progress` hears of each finished seed.
pub fn sweep(
    protocol: &dyn Protocol,
    settings: &Settings,
    sweep: &Sweep,
    progress: impl Fn() + Sync,
) -> Result<SweepReport, ExploreError> {
    check_size(&protocol.descriptor(), sweep.plan.replicas)?;
    let begin = Instant::now();
    let (next, tally) = (AtomicU64::new(0), Mutex::new(Tally::default()));
    let work = || {
        loop {
            let index = next.fetch_add(1, Relaxed);
            if index >= sweep.seeds || crate::interrupt::requested() {
                return;
            }
            let seed = sweep.plan.seed.wrapping_add(index);
            let ran = run(protocol, settings, &Schedule::draw(&Plan { seed, ..sweep.plan }));
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            match ran {
                Ok(outcome) => {
                    tally.seeds += 1;
                    tally.events += outcome.events;
                    tally.acknowledged += outcome.acknowledged;
                    if !outcome.violations.is_empty() {
                        let violations = outcome.violations;
                        tally.findings.push(Finding { seed, violations, shrunk: None });
                    }
                }
                Err(error) => {
                    // A lower seed may still be under way elsewhere, and its error is the one to tell.
                    next.store(sweep.seeds, Relaxed);
                    if tally.error.as_ref().is_none_or(|(lowest, _)| index < *lowest) {
                        tally.error = Some((index, error));
                    }
                }
            }
            drop(tally);
            progress();
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    let Tally { seeds, events, acknowledged, mut findings, error } =
        tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, error)) = error {
        return Err(error);
    }
    let elapsed_s = begin.elapsed().as_secs_f64();
    findings.sort_by_key(|finding| finding.seed);
    shrink_first_of_each(protocol, settings, sweep, &mut findings)?;
    let events_per_s = if elapsed_s > 0.0 { events as f64 / elapsed_s } else { 0.0 };
    let plan = sweep.plan;
    Ok(SweepReport { plan, seeds, elapsed_s, events, events_per_s, acknowledged, findings })
}

fn shrink_first_of_each(
    protocol: &dyn Protocol,
    settings: &Settings,
    sweep: &Sweep,
    findings: &mut [Finding],
) -> Result<(), ExploreError> {
    let mut shrunk = Vec::new();
    for finding in findings {
        let Some(promise) = finding.violations.first().map(|violation| violation.promise) else { continue };
        if shrunk.contains(&promise) {
            continue;
        }
        shrunk.push(promise);
        let schedule = Schedule::draw(&Plan { seed: finding.seed, ..sweep.plan });
        let fails = |candidate: &Schedule| {
            run(protocol, settings, candidate).is_ok_and(|outcome| outcome.breaks(promise))
        };
        let smallest = shrink(&schedule, sweep.shrink_budget, fails).schedule;
        let violations = run(protocol, settings, &smallest)?.violations;
        finding.shrunk = Some((smallest, violations));
    }
    Ok(())
}
