//! Numbers about a target: how fast, how steady, where it breaks, how it comes back.

use super::blocks::BlockCounts;
use super::metric;
use crate::load::PhaseRecord;
use crate::results::{
    Better, Class, CurvePoint, Interval, Knee, KneeLimit, Metric, PhaseResult, ScenarioResult,
    ThroughputSummary,
};
use crate::scenario::{PhaseKind, Scenario, Target};

/// The generator kept up when it reached this share of the offered load. Being late for the rest only
/// makes responses longer, which count from when they were due.
const KEPT_UP: f64 = 0.97;
/// Recovered means within this factor of the steady 99th percentile …
const RECOVERED_WITHIN: f64 = 1.1;
/// … for so many intervals in a row, so that one lucky interval is not taken for recovery.
const RECOVERED_FOR: usize = 3;

/// How a whole phase at one rate went.
#[derive(Clone, Copy, Debug)]
pub struct Steadiness {
    /// Commits per second within the phase.
    pub achieved_per_s: f64,
    /// Share of what was sent that succeeded within the phase: a backlog that grows counts against it.
    pub success_within: f64,
    /// Median of the response time, what ended later included.
    pub p50_ns: u64,
    /// 99th percentile of the same.
    pub p99_ns: u64,
    /// Whether the generator reached the rate.
    pub generator_kept_up: bool,
}

impl Steadiness {
    /// Of a record whose tail is in.
    pub fn of(record: &PhaseRecord) -> Self {
        let blocks = &record.intervals;
        let recorders = || blocks.iter().map(|block| &block.recorder);
        let seconds = blocks.iter().map(|block| block.duration_ns as f64 / 1e9).sum::<f64>();
        let succeeded: u64 = recorders().map(|recorder| recorder.succeeded).sum();
        let asked: u64 = recorders().map(|recorder| recorder.sent + recorder.shed).sum();
        let covered: u64 = blocks.iter().map(|block| block.covered_ns).sum();
        let lasted: u64 = blocks.iter().map(|block| block.duration_ns).sum();
        let responses: Vec<_> = recorders().chain(&record.tail).map(|recorder| &recorder.response).collect();
        let counts = BlockCounts::of(&responses);
        let all: Vec<usize> = (0..responses.len()).collect();
        let quantile = |quantile| counts.quantile(quantile, &all.iter().collect::<Vec<_>>()) as u64;
        Steadiness {
            achieved_per_s: succeeded as f64 / seconds.max(f64::MIN_POSITIVE),
            success_within: succeeded as f64 / asked.max(1) as f64,
            p50_ns: quantile(0.5),
            p99_ns: quantile(0.99),
            generator_kept_up: covered as f64 >= KEPT_UP * lasted as f64,
        }
    }
}

/// Adds what follows from the phases together: the throughput summary, the breaking point, the time
/// of recovery.
pub fn derived_metrics(
    scenario: &Scenario,
    knee: Option<(Knee, Vec<CurvePoint>)>,
    result: &mut ScenarioResult,
) {
    if let Some((knee, curve)) = knee {
        let measured = scenario.measured_phase().and_then(|index| result.phases.get(index));
        let intervals = measured.map_or(&[][..], |phase| &phase.intervals);
        let summary = throughput_summary(intervals, &scenario.target, knee, curve);
        result.metrics.extend(summary_metrics(&summary));
        result.throughput = Some(summary);
    }
    let mut found = Vec::new();
    for phase in &result.phases {
        let before = result.phases.iter().take_while(|other| !std::ptr::eq(*other, phase));
        found.push(match phase.phase {
            PhaseKind::Stress => breaking_point(&phase.intervals, &scenario.target),
            PhaseKind::Recovery => recovery(phase, steady_p99(before)),
            _ => None,
        });
    }
    for (phase, metric) in result.phases.iter_mut().zip(found) {
        phase.metrics.extend(metric.clone());
        result.metrics.extend(metric);
    }
}

fn within(interval: &Interval) -> f64 {
    let asked = interval.sent.max(interval.succeeded).max(1);
    (interval.succeeded as f64 / asked as f64).min(1.0)
}

fn achieved(interval: &Interval) -> f64 {
    interval.succeeded as f64 / interval.duration_s
}

fn throughput_summary(
    intervals: &[Interval],
    target: &Target,
    knee: Knee,
    curve: Vec<CurvePoint>,
) -> ThroughputSummary {
    let seconds: f64 = intervals.iter().map(|interval| interval.duration_s).sum();
    let succeeded: u64 = intervals.iter().map(|interval| interval.succeeded).sum();
    let best = |wanted: &dyn Fn(&Interval) -> bool| {
        intervals.iter().filter(|interval| wanted(interval)).map(achieved).max_by(f64::total_cmp)
    };
    ThroughputSummary {
        average_per_s: if seconds > 0.0 { succeeded as f64 / seconds } else { 0.0 },
        maximum_per_s: best(&|_| true).unwrap_or(0.0),
        optimal_per_s: best(&|interval| within(interval) >= target.success),
        knee,
        curve,
    }
}

fn summary_metrics(summary: &ThroughputSummary) -> Vec<Metric> {
    let rate =
        |name: &str, value: f64, bounds| metric(name, "1/s", (Better::Higher, Class::Wall), value, bounds, 1);
    let mut metrics = vec![rate("maximum_per_s", summary.maximum_per_s, None)];
    metrics.extend(summary.optimal_per_s.map(|value| rate("optimal_per_s", value, None)));
    let knee = &summary.knee;
    metrics.extend(knee.sustainable_per_s.map(|held| {
        // The bracket is the interval: the knee is somewhere in it.
        let bounds =
            knee.broke_at_per_s.filter(|_| knee.limit == KneeLimit::Target).map(|broke| (held, broke));
        rate("sustainable_per_s", held, bounds)
    }));
    metrics
}

/// Whether the generator sent what the interval was to offer.
pub fn generator_kept_up(interval: &Interval) -> bool {
    interval.reached >= KEPT_UP
}

/// The offered rate of the first interval that broke the target, with the last that held before it
/// as its lower end; none when none broke while the generator kept up.
fn breaking_point(intervals: &[Interval], target: &Target) -> Option<Metric> {
    let broke = intervals.iter().position(|interval| !target.holds(interval.p99_ns, within(interval)))?;
    if !intervals[..=broke].iter().all(generator_kept_up) {
        return None;
    }
    let rate = intervals[broke].offered_per_s;
    let held = intervals[..broke].last().map_or(0.0, |interval| interval.offered_per_s);
    let better = (Better::Higher, Class::Wall);
    Some(metric("breaking_point_per_s", "1/s", better, rate, Some((held, rate)), 1))
}

/// The 99th percentile to come back to: that of the latest steady phase.
fn steady_p99<'a>(phases: impl Iterator<Item = &'a PhaseResult>) -> Option<f64> {
    let steady = phases.filter(|phase| phase.phase == PhaseKind::Steady).last()?;
    steady.metrics.iter().find(|metric| metric.name == "response_ns_p99").map(|metric| metric.value)
}

/// From the start of the recovery phase to the first of several intervals whose 99th percentile is
/// within a tenth of the steady one; none when it did not come back.
fn recovery(phase: &PhaseResult, steady_p99: Option<f64>) -> Option<Metric> {
    let limit = steady_p99? * RECOVERED_WITHIN;
    let calm = |interval: &Interval| interval.succeeded > 0 && interval.p99_ns as f64 <= limit;
    let back = phase.intervals.windows(RECOVERED_FOR).find(|window| window.iter().all(calm))?;
    let less = (Better::Lower, Class::Wall);
    let first = &back[0];
    let end = first.start_s + first.duration_s;
    let value = first.start_s * 1e9;
    Some(metric("recovery_ns", "ns", less, value, Some((value, end * 1e9)), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(index: usize, offered: f64, succeeded: u64, p99_ns: u64) -> Interval {
        Interval {
            start_s: index as f64 * 0.5,
            duration_s: 0.5,
            offered_per_s: offered,
            sent: (offered * 0.5) as u64,
            succeeded,
            failed: 0,
            mean_ns: 0.0,
            p95_ns: 0,
            p99_ns,
            p50_ns: 0,
            cpu_ns: None,
            messages: 0,
            bytes: 0,
            syncs: 0,
            reached: 1.0,
        }
    }

    fn phase(kind: PhaseKind, intervals: Vec<Interval>, p99: f64) -> PhaseResult {
        let metrics = vec![metric("response_ns_p99", "ns", (Better::Lower, Class::Wall), p99, None, 1)];
        PhaseResult { phase: kind, duration_s: 1.0, intervals, metrics, histograms: Default::default() }
    }

    #[test]
    fn the_breaking_point_is_the_first_rate_that_breaks_by_latency_or_success() {
        let target = Target::default();
        let slow = [interval(0, 100.0, 50, 1_000), interval(1, 200.0, 100, 200_000_000)];
        let point = breaking_point(&slow, &target).unwrap();
        assert_eq!((point.lower, point.value), (Some(100.0), 200.0));
        let failing = [interval(0, 100.0, 50, 1_000), interval(1, 200.0, 90, 1_000)];
        assert_eq!(breaking_point(&failing, &target).unwrap().value, 200.0);
        assert_eq!(breaking_point(&slow[..1], &target), None);
        let mut late = slow;
        late[1].reached = 0.8;
        assert_eq!(breaking_point(&late, &target), None, "it was the generator that broke");
    }

    #[test]
    fn recovery_wants_several_calm_intervals_within_a_tenth_of_steady() {
        let p99s = [900, 105, 900, 110, 109, 90, 111];
        let intervals: Vec<Interval> =
            p99s.iter().enumerate().map(|(index, &p99)| interval(index, 100.0, 50, p99)).collect();
        let steady = phase(PhaseKind::Steady, Vec::new(), 100.0);
        let recovering = phase(PhaseKind::Recovery, intervals.clone(), 0.0);
        let found = recovery(&recovering, steady_p99([&steady].into_iter())).unwrap();
        assert_eq!((found.value, found.upper), (1.5e9, Some(2e9)));
        let never = phase(PhaseKind::Recovery, intervals[..5].to_vec(), 0.0);
        assert_eq!(recovery(&never, Some(100.0)), None);
        assert_eq!(recovery(&recovering, None), None, "without a steady phase there is nothing to reach");
    }

    #[test]
    fn the_summary_tells_average_maximum_and_optimum_apart() {
        let intervals = [interval(0, 100.0, 50, 1), interval(1, 200.0, 100, 1), interval(2, 400.0, 150, 1)];
        let knee = Knee {
            target_p99_ms: 100.0,
            target_success: 0.95,
            sustainable_per_s: Some(180.0),
            broke_at_per_s: Some(190.0),
            limit: KneeLimit::Target,
        };
        let summary = throughput_summary(&intervals, &Target::default(), knee, Vec::new());
        assert_eq!((summary.average_per_s, summary.maximum_per_s), (200.0, 300.0));
        assert_eq!(summary.optimal_per_s, Some(200.0));
        let metrics = summary_metrics(&summary);
        let sustainable = metrics.iter().find(|metric| metric.name == "sustainable_per_s").unwrap();
        assert_eq!((sustainable.lower, sustainable.upper), (Some(180.0), Some(190.0)));
    }
}
