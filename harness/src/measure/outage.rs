//! What a fault did to the clients, from the end of every single request.

use super::metric;
use crate::load::Ended;
use crate::results::{Better, Class, FaultCycle, FaultResult, FaultTimeline, Metric};
use crate::stats::{self, bootstrap_interval};

/// Back means so much of the rate before …
const BACK_AT: f64 = 0.95;
/// … in two windows of this length, one after the other, so that a burst is not taken for it.
const WINDOW_NS: u64 = 100_000_000;
/// The windows are tried at every multiple of this.
const STEP_NS: u64 = 10_000_000;
const RESAMPLES: usize = 500;
/// Length of a timeline's bins: several fit into an outage of a tenth of a second …
const BIN_NS: u64 = 20_000_000;
/// … and a longer observation has longer ones, so that no timeline has more than this many.
const MOST_BINS: u64 = 250;

/// When what happened in one cycle, in nanoseconds since the load's epoch.
#[derive(Clone, Debug)]
pub struct FaultMarks {
    /// Replicas that were hit.
    pub replicas: Vec<u32>,
    /// Start of the undisturbed time.
    pub calm_ns: u64,
    /// Before the fault was given.
    pub fault_ns: u64,
    /// The fault is in full force.
    pub held_ns: u64,
    /// Before it was taken back.
    pub end_ns: u64,
    /// It is over.
    pub ended_ns: u64,
    /// End of the observation.
    pub watched_ns: u64,
    /// Whether the cluster is to go on during the fault.
    pub tolerated: bool,
    /// New views from the fault on.
    pub views: u64,
}

/// One cycle in numbers. `trace` holds the ends of requests in the order in which they came.
pub fn fault_cycle(trace: &[Ended], marks: &FaultMarks) -> FaultCycle {
    let cycle = Cycle::of(trace, marks);
    // A cluster that can't go on during the fault is watched from its end on.
    let since = if marks.tolerated { marks.fault_ns } else { marks.end_ns };
    let rate_before_per_s = cycle.acks_in(marks.calm_ns, marks.fault_ns) as f64 * 1e9
        / (marks.fault_ns - marks.calm_ns).max(1) as f64;
    let first_ack = cycle.first_ack(since, marks.tolerated);
    let recovered = first_ack.and_then(|first| cycle.back_at(first, rate_before_per_s));
    FaultCycle {
        replicas: marks.replicas.clone(),
        fault_ns: marks.ended_ns - marks.fault_ns,
        rate_before_per_s,
        unavailability_ns: cycle.longest_gap(),
        first_commit_ns: first_ack.map(|at| at - since),
        recovered_ns: recovered.map(|at| at - since),
        backlog_drain_ns: first_ack.and_then(|first| cycle.drained_after(first)),
        p99_before_ns: cycle.p99_of_due(marks.calm_ns, marks.fault_ns),
        p99_during_ns: cycle.p99_of_due(marks.fault_ns, marks.end_ns),
        failed: cycle.due(marks.fault_ns, marks.watched_ns).filter(|one| !one.acknowledged).count() as u64,
        acknowledged_during: cycle
            .due(marks.held_ns, marks.end_ns)
            .filter(|one| one.acknowledged && one.ended_ns < marks.end_ns)
            .count() as u64,
        views: marks.views,
        seed: None,
        caught_up_ns: None,
        timeline: Some(cycle.timeline()),
    }
}

/// Takes the timelines of all cycles but the one whose outage is the middle of all: pictures of the others
/// would say the same, and there may be a thousand.
pub fn keep_one_timeline(cycles: &mut [FaultCycle]) {
    let mut by_outage: Vec<usize> = (0..cycles.len()).collect();
    by_outage.sort_by_key(|&index| cycles[index].unavailability_ns);
    let middle = by_outage.get(by_outage.len().saturating_sub(1) / 2).copied();
    for (index, cycle) in cycles.iter_mut().enumerate() {
        if Some(index) != middle {
            cycle.timeline = None;
        }
    }
}

struct Cycle<'a> {
    marks: &'a FaultMarks,
    /// Requests due from the calm time to the end of the observation.
    requests: Vec<Ended>,
    /// When acknowledgements came in the same time, whenever they were due; ascending.
    acks: Vec<u64>,
}

impl<'a> Cycle<'a> {
    fn of(trace: &[Ended], marks: &'a FaultMarks) -> Self {
        let span = marks.calm_ns..marks.watched_ns;
        let mut requests: Vec<Ended> =
            trace.iter().filter(|one| span.contains(&one.intended_ns)).copied().collect();
        requests.sort_by_key(|one| one.intended_ns);
        let in_time = trace.iter().filter(|one| one.acknowledged && span.contains(&one.ended_ns));
        let mut acks: Vec<u64> = in_time.map(|one| one.ended_ns).collect();
        acks.sort_unstable();
        Cycle { marks, requests, acks }
    }

    fn due(&self, from: u64, to: u64) -> impl Iterator<Item = &Ended> {
        self.requests.iter().filter(move |one| (from..to).contains(&one.intended_ns))
    }

    fn acks_in(&self, from: u64, to: u64) -> usize {
        self.acks.partition_point(|&at| at < to) - self.acks.partition_point(|&at| at < from)
    }

    /// Acknowledgements from the calm time to the end of the observation. The fault begins a bin, so that no bin
    /// mixes what was before it with what was after; a last bin that is not whole is left out.
    fn timeline(&self) -> FaultTimeline {
        let FaultMarks { calm_ns, fault_ns, watched_ns, .. } = *self.marks;
        let longer = (watched_ns - calm_ns).div_ceil(BIN_NS * MOST_BINS).max(1);
        let bin = BIN_NS * longer;
        let before = (fault_ns - calm_ns) / bin;
        let after = watched_ns.saturating_sub(fault_ns) / bin;
        let start = fault_ns - before * bin;
        let commits = (0..before + after)
            .map(|index| self.acks_in(start + index * bin, start + (index + 1) * bin) as u64)
            .collect();
        FaultTimeline { from_s: -((before * bin) as f64 / 1e9), bin_s: bin as f64 / 1e9, commits }
    }

    /// The first acknowledgement after `since`; of a command due after it, when the cluster was to go
    /// on: what was under way may still be answered by a replica that is gone.
    fn first_ack(&self, since: u64, due_after: bool) -> Option<u64> {
        if !due_after {
            return self.acks.get(self.acks.partition_point(|&at| at < since)).copied();
        }
        let ended = self.due(since, self.marks.watched_ns).filter(|one| one.acknowledged);
        ended.map(|one| one.ended_ns).filter(|&at| at < self.marks.watched_ns).min()
    }

    /// The longest time without an acknowledgement, from the fault to the end of the observation.
    fn longest_gap(&self) -> u64 {
        let from = self.acks.partition_point(|&at| at < self.marks.fault_ns);
        let mut last = self.marks.fault_ns;
        let mut longest = 0;
        for &at in self.acks[from..].iter().chain([&self.marks.watched_ns]) {
            longest = longest.max(at - last);
            last = at;
        }
        longest
    }

    fn back_at(&self, first: u64, rate_before_per_s: f64) -> Option<u64> {
        let wanted = BACK_AT * rate_before_per_s * WINDOW_NS as f64 / 1e9;
        let last = self.marks.watched_ns.checked_sub(2 * WINDOW_NS)?;
        (first..=last).step_by(STEP_NS as usize).find(|&at| {
            let (middle, end) = (at + WINDOW_NS, at + 2 * WINDOW_NS);
            self.acks_in(at, middle) as f64 >= wanted && self.acks_in(middle, end) as f64 >= wanted
        })
    }

    /// From `first` until no more requests are open than at the worst moment before the fault.
    fn drained_after(&self, first: u64) -> Option<u64> {
        let mut ends: Vec<u64> = self.requests.iter().map(|one| one.ended_ns).collect();
        ends.sort_unstable();
        let mut steps: Vec<(u64, i64)> = self.requests.iter().map(|one| (one.intended_ns, 1)).collect();
        steps.extend(ends.into_iter().map(|at| (at, -1)));
        // At the same instant an end comes before a beginning.
        steps.sort_unstable();
        let (mut open, mut most_before) = (0, 1);
        for (at, change) in steps {
            open += change;
            if at < self.marks.fault_ns {
                most_before = most_before.max(open);
            } else if at >= first && open <= most_before {
                return Some(at - first);
            }
        }
        None
    }

    fn p99_of_due(&self, from: u64, to: u64) -> u64 {
        let mut times: Vec<u64> =
            self.due(from, to).map(|one| one.ended_ns.saturating_sub(one.intended_ns)).collect();
        times.sort_unstable();
        let rank = (times.len() as f64 * 0.99).ceil() as usize;
        times.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    }
}

/// Medians over the cycles of one fault, with intervals from resampled cycles.
pub fn fault_metrics(cycles: &[FaultCycle], tolerated: bool, seed: u64) -> Vec<Metric> {
    let median_of = |name: &str, unit: &str, of: &dyn Fn(&FaultCycle) -> Option<f64>| {
        let values: Vec<f64> = cycles.iter().filter_map(of).collect();
        let value = median(&values.iter().collect::<Vec<_>>());
        let bounds = bootstrap_interval(&values, RESAMPLES, seed, median);
        metric(name, unit, (Better::Lower, Class::Wall), value, bounds, values.len() as u64)
    };
    let time = |name: &str, of: &dyn Fn(&FaultCycle) -> Option<u64>| {
        median_of(name, "ns", &|cycle| of(cycle).map(|time| time as f64))
    };
    let mut metrics = vec![
        time("unavailability_ns", &|cycle| Some(cycle.unavailability_ns)),
        time("first_commit_ns", &|cycle| cycle.first_commit_ns),
        time("recovered_ns", &|cycle| cycle.recovered_ns),
        time("backlog_drain_ns", &|cycle| cycle.backlog_drain_ns),
        time("response_ns_p99_before", &|cycle| Some(cycle.p99_before_ns)),
        median_of("failed_requests", "1", &|cycle| Some(cycle.failed as f64)),
        median_of("new_views", "1", &|cycle| Some(cycle.views as f64)),
    ];
    if tolerated {
        // Beyond tolerance every request waits for the end of the fault, however long that is.
        metrics.push(time("response_ns_p99_during", &|cycle| Some(cycle.p99_during_ns)));
    }
    metrics.retain(|metric| metric.value.is_finite());
    metrics
}

/// The metrics of all faults under one roof, each with its fault's name in front.
pub fn fault_metrics_of_scenario(faults: &[FaultResult]) -> Vec<Metric> {
    let named = |fault: &FaultResult, metric: &Metric| Metric {
        name: format!("{}_{}", fault.fault, metric.name),
        ..metric.clone()
    };
    faults.iter().flat_map(|fault| fault.metrics.iter().map(move |metric| named(fault, metric))).collect()
}

/// The middle of what a resample drew.
pub(super) fn median(values: &[&f64]) -> f64 {
    let mut values: Vec<f64> = values.iter().map(|&&value| value).collect();
    stats::median(&mut values).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn marks(tolerated: bool) -> FaultMarks {
        FaultMarks {
            replicas: vec![0],
            calm_ns: 1_000 * MS,
            fault_ns: 2_000 * MS,
            held_ns: 2_001 * MS,
            end_ns: 3_000 * MS,
            ended_ns: 3_002 * MS,
            watched_ns: 4_000 * MS,
            tolerated,
            views: 1,
        }
    }

    /// A request each millisecond, answered after one; those due in the outage are answered one after
    /// the other, two per millisecond, when it is over.
    fn trace(outage: std::ops::Range<u64>) -> Vec<Ended> {
        let mut ended: Vec<Ended> = (500..4_500u64)
            .map(|due| {
                let at = if outage.contains(&due) {
                    outage.end * MS + (due - outage.start + 1) * MS / 2
                } else {
                    // Those behind the backlog wait until it is drained.
                    let drained = outage.end + (outage.end - outage.start);
                    let queued = (outage.end..drained).contains(&due);
                    if queued { outage.end * MS + (due - outage.start + 1) * MS / 2 } else { (due + 1) * MS }
                };
                Ended { intended_ns: due * MS, ended_ns: at.max((due + 1) * MS), acknowledged: true }
            })
            .collect();
        ended.sort_by_key(|one| one.ended_ns);
        ended
    }

    #[test]
    fn an_outage_shows_in_every_number() {
        let cycle = fault_cycle(&trace(2_000..2_300), &marks(true));
        assert_eq!(cycle.rate_before_per_s, 1_000.0);
        // The last answer before came at 2,000 ms, the first after at 2,300.5 ms.
        assert_eq!(cycle.unavailability_ns, 300 * MS + MS / 2);
        assert_eq!(cycle.first_commit_ns, Some(300 * MS + MS / 2));
        assert_eq!(cycle.recovered_ns, cycle.first_commit_ns);
        let drain = cycle.backlog_drain_ns.unwrap();
        assert!((295 * MS..=305 * MS).contains(&drain), "two per millisecond for 300 waiting: {drain}");
        assert_eq!((cycle.p99_before_ns, cycle.failed), (MS, 0));
        assert!(cycle.p99_during_ns > 280 * MS);
    }

    #[test]
    fn without_an_outage_there_is_nothing_to_recover_from() {
        let cycle = fault_cycle(&trace(0..0), &marks(true));
        assert_eq!((cycle.unavailability_ns, cycle.first_commit_ns), (MS, Some(MS)));
        assert_eq!(cycle.recovered_ns, Some(MS));
        assert!(cycle.backlog_drain_ns.unwrap() <= MS);
    }

    #[test]
    fn a_cluster_that_never_comes_back_has_no_recovery() {
        let mut lost = trace(0..0);
        lost.retain(|one| one.ended_ns <= 2_000 * MS);
        let cycle = fault_cycle(&lost, &marks(true));
        assert_eq!((cycle.first_commit_ns, cycle.recovered_ns, cycle.backlog_drain_ns), (None, None, None));
        assert_eq!(cycle.unavailability_ns, 2_000 * MS);
        let metrics = fault_metrics(&[cycle], true, 1);
        assert!(metrics.iter().all(|metric| metric.name != "first_commit_ns"));
    }

    #[test]
    fn beyond_tolerance_time_counts_from_the_end_and_an_answer_is_a_lie() {
        let honest = fault_cycle(&trace(2_000..3_100), &marks(false));
        assert_eq!((honest.acknowledged_during, honest.first_commit_ns), (0, Some(100 * MS + MS / 2)));
        let lying = fault_cycle(&trace(0..0), &marks(false));
        // Due from 2,001 ms on, answered before 3,000 ms.
        assert_eq!(lying.acknowledged_during, 998);
    }

    #[test]
    fn an_outage_is_a_row_of_empty_bins_that_begins_with_the_fault() {
        let cycle = fault_cycle(&trace(2_000..2_300), &marks(true));
        let timeline = cycle.timeline.unwrap();
        assert_eq!((timeline.from_s, timeline.bin_s), (-1.0, 0.02));
        assert_eq!(timeline.commits.len(), 150);
        let empty: Vec<usize> =
            (0..timeline.commits.len()).filter(|&bin| timeline.commits[bin] == 0).collect();
        assert_eq!(
            empty,
            (51..65).collect::<Vec<_>>(),
            "the answer to the last request before it is in bin 50"
        );
        assert_eq!(timeline.commits[..50], [20; 50]);
    }

    #[test]
    fn the_middle_outage_keeps_its_timeline() {
        let of = |outage: u64| fault_cycle(&trace(2_000..2_000 + outage), &marks(true));
        let mut cycles = vec![of(500), of(100), of(300), of(400)];
        keep_one_timeline(&mut cycles);
        let kept: Vec<bool> = cycles.iter().map(|cycle| cycle.timeline.is_some()).collect();
        assert_eq!(kept, [false, false, true, false]);
        keep_one_timeline(&mut []);
    }

    #[test]
    fn medians_leave_out_cycles_without_the_number_and_say_how_many_had_it() {
        let whole = fault_cycle(&trace(2_000..2_300), &marks(true));
        let never = FaultCycle { first_commit_ns: None, ..whole.clone() };
        let metrics = fault_metrics(&[whole.clone(), never, whole], true, 1);
        let first = metrics.iter().find(|metric| metric.name == "first_commit_ns").unwrap();
        assert_eq!((first.n, first.value), (2, 300.5e6));
    }
}
