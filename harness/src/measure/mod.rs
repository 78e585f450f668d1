//! From records to numbers: the metrics of a phase, with intervals from its blocks of time.

mod blocks;
mod conduct;
mod dissemination;
mod exact;
mod latency;
mod outage;
mod target;
mod virtual_faults;

use hdrhistogram::Histogram;
use protocol_core::{Counters, Floors, MessageKind};

pub use conduct::{LinkTimes, Looks, conduct, conduct_of_phase};
pub use dissemination::{Churn, Dissemination, dissemination_metrics};
pub use exact::{ExactRecord, Latencies, exact_metrics, growth_fits, growth_metrics};
pub use latency::latency_metrics;
pub use outage::{FaultMarks, fault_cycle, fault_metrics, fault_metrics_of_scenario, keep_one_timeline};
pub use target::{Steadiness, derived_metrics, generator_kept_up};
pub use virtual_faults::virtual_fault_metrics;

use blocks::BlockCounts;

use crate::load::{IntervalRecord, PhaseRecord, Recorder};
use crate::machine::CpuTimes;
use crate::resources::HeapSpent;
use crate::results::{Better, Class, Interval, Metric};
use crate::stats::bootstrap_interval;

const RESAMPLES: usize = 200;

/// Wall-clock numbers are not to be trusted beyond these.
const LATENESS_FLOOR_NS: f64 = 100_000.0;
const LATENESS_SHARE_OF_P50: f64 = 0.1;
pub(crate) const ACHIEVED_AT_LEAST: f64 = 0.995;
pub(crate) const RUN_DELAY_AT_MOST: f64 = 0.02;

/// The metrics of one phase.
pub fn phase_metrics(record: &PhaseRecord, floors: Floors, seed: u64) -> Vec<Metric> {
    let phase = PhaseTotals { record, seed };
    let mut metrics = vec![phase.throughput()];
    for (name, quantile) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)] {
        let name = format!("response_ns_{name}");
        metrics.push(phase.quantile(&name, quantile, |recorder| &recorder.response));
    }
    metrics.push(phase.quantile("service_ns_p50", 0.5, |recorder| &recorder.service));
    metrics.push(phase.quantile("service_ns_p99", 0.99, |recorder| &recorder.service));
    metrics.push(phase.quantile("queue_delay_ns_p99", 0.99, |recorder| &recorder.queue_delay));
    metrics.push(phase.success());
    metrics.extend(phase.costs(floors));
    metrics.extend(phase.conduct());
    metrics.retain(|metric| metric.value.is_finite());
    metrics
}

/// Why a phase's wall-clock numbers are not to be trusted, from its metrics.
pub fn disturbances(metrics: &[Metric]) -> Vec<String> {
    let value = |name: &str| metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value);
    let mut reasons = Vec::new();
    if let (Some(lateness), Some(p50)) = (value("lateness_ns_p99"), value("response_ns_p50")) {
        let limit = LATENESS_FLOOR_NS.max(LATENESS_SHARE_OF_P50 * p50);
        if lateness > limit {
            reasons.push(format!(
                "1 % of requests were sent more than {:.0} µs late (limit {:.0} µs)",
                lateness / 1e3,
                limit / 1e3
            ));
        }
    }
    if let Some(achieved) = value("achieved_over_offered").filter(|&achieved| achieved < ACHIEVED_AT_LEAST) {
        reasons.push(format!("the generator reached {:.1} % of the offered load", achieved * 100.0));
    }
    if let Some(delay) = value("run_delay_ratio").filter(|&delay| delay > RUN_DELAY_AT_MOST) {
        reasons
            .push(format!("threads waited for a core during {:.1} % of the time (limit 2 %)", delay * 100.0));
    }
    reasons
}

/// The interval as results show it.
pub fn interval(record: &IntervalRecord, phase_start_ns: u64) -> Interval {
    let recorder = &record.recorder;
    let spent = spent(record);
    let protocol = spent.of(MessageKind::Protocol);
    Interval {
        start_s: (record.start_ns - phase_start_ns) as f64 / 1e9,
        duration_s: record.duration_ns as f64 / 1e9,
        offered_per_s: record.offered_per_s,
        sent: recorder.sent,
        succeeded: recorder.succeeded,
        failed: recorder.failed(),
        mean_ns: if recorder.response.is_empty() { 0.0 } else { recorder.response.mean() },
        p95_ns: recorder.response.value_at_quantile(0.95),
        p99_ns: recorder.response.value_at_quantile(0.99),
        p50_ns: recorder.response.value_at_quantile(0.5),
        cpu_ns: record.cpu.map(|cpu| cpu.others_ns()),
        messages: protocol.messages,
        bytes: protocol.bytes,
        syncs: spent.syncs,
        reached: record.covered_ns as f64 / record.duration_ns.max(1) as f64,
    }
}

struct PhaseTotals<'a> {
    record: &'a PhaseRecord,
    seed: u64,
}

impl PhaseTotals<'_> {
    /// Sum of `numerator` over sum of `denominator`, with the bootstrap interval of that ratio.
    fn ratio(
        &self,
        name: &str,
        unit: &str,
        (better, class): (Better, Class),
        numerator: impl Fn(&IntervalRecord) -> f64,
        denominator: impl Fn(&IntervalRecord) -> f64,
    ) -> Metric {
        let blocks = self.record.intervals.iter().map(|block| (numerator(block), denominator(block)));
        self.ratio_of(name, unit, (better, class), &blocks.collect::<Vec<_>>())
    }

    /// The same over all requests that ended: what ended after the phase counts as one more block.
    fn ratio_of_ended(
        &self,
        name: &str,
        unit: &str,
        kind: (Better, Class),
        of: impl Fn(&Recorder) -> (f64, f64),
    ) -> Metric {
        let within = self.record.intervals.iter().map(|block| &block.recorder);
        let blocks: Vec<(f64, f64)> = within.chain(&self.record.tail).map(of).collect();
        self.ratio_of(name, unit, kind, &blocks)
    }

    fn ratio_of(&self, name: &str, unit: &str, kind: (Better, Class), blocks: &[(f64, f64)]) -> Metric {
        let total = |blocks: &[&(f64, f64)]| {
            let (above, below) =
                blocks.iter().fold((0.0, 0.0), |sum, block| (sum.0 + block.0, sum.1 + block.1));
            above / below
        };
        let value = total(&blocks.iter().collect::<Vec<_>>());
        let bounds = bootstrap_interval(blocks, RESAMPLES, self.seed, total);
        let n = blocks.iter().map(|block| block.1).sum::<f64>() as u64;
        metric(name, unit, kind, value, bounds, n)
    }

    fn throughput(&self) -> Metric {
        self.ratio(
            "throughput_per_s",
            "1/s",
            (Better::Higher, Class::Wall),
            |block| block.recorder.succeeded as f64,
            |block| block.duration_ns as f64 / 1e9,
        )
    }

    fn quantile(&self, name: &str, quantile: f64, of: impl Fn(&Recorder) -> &Histogram<u64>) -> Metric {
        let tail = self.record.tail.iter();
        let blocks: Vec<&Histogram<u64>> =
            self.record.intervals.iter().map(|block| &block.recorder).chain(tail).map(of).collect();
        let counts = BlockCounts::of(&blocks);
        let all: Vec<usize> = (0..blocks.len()).collect();
        let value = counts.quantile(quantile, &all.iter().collect::<Vec<_>>());
        let bounds = bootstrap_interval(&all, RESAMPLES, self.seed, |drawn| counts.quantile(quantile, drawn));
        let n = blocks.iter().map(|histogram| histogram.len()).sum();
        metric(name, "ns", (Better::Lower, Class::Wall), value, bounds, n)
    }

    /// Share of requests that were acknowledged, of those that ended.
    fn success(&self) -> Metric {
        self.ratio_of_ended("success_ratio", "1", (Better::Higher, Class::Wall), |recorder| {
            let succeeded = recorder.succeeded as f64;
            (succeeded, succeeded + recorder.failed() as f64)
        })
    }

    /// What a commit costs.
    fn costs(&self, floors: Floors) -> Vec<Metric> {
        let commits = |block: &IntervalRecord| block.recorder.succeeded as f64;
        let protocol = |block: &IntervalRecord| spent(block).of(MessageKind::Protocol);
        let less = (Better::Lower, Class::Wall);
        let messages =
            self.ratio("messages_per_commit", "1", less, |block| protocol(block).messages as f64, commits);
        let batch = self.ratio(
            "commands_per_proposal",
            "1",
            (Better::Neither, Class::Wall),
            |block| spent(block).proposed_commands as f64,
            |block| spent(block).proposals as f64,
        );
        let floor = floors.messages_per_batch / batch.value;
        let over_floor = Metric {
            name: "messages_per_commit_over_floor".into(),
            value: messages.value / floor,
            lower: messages.lower.map(|lower| lower / floor),
            upper: messages.upper.map(|upper| upper / floor),
            ..messages.clone()
        };
        // Only gossip has any, and others need not show it.
        let control = |block: &IntervalRecord| spent(block).of(MessageKind::Control).messages as f64;
        let control = self.ratio("control_messages_per_commit", "1", less, control, commits);
        let control = Some(control).filter(|control| control.value > 0.0);
        let costs = vec![
            messages,
            over_floor,
            self.ratio("bytes_per_commit", "bytes", less, |block| protocol(block).bytes as f64, commits),
            self.ratio(
                "heartbeats_per_s",
                "1/s",
                (Better::Neither, Class::Wall),
                |block| spent(block).of(MessageKind::Heartbeat).messages as f64,
                |block| block.duration_ns as f64 / 1e9,
            ),
            batch,
            self.ratio(
                "messages_per_wake_up",
                "1",
                (Better::Neither, Class::Wall),
                |block| spent(block).drained_messages as f64,
                |block| spent(block).wake_ups as f64,
            ),
            self.ratio("syncs_per_commit", "1", less, |block| spent(block).syncs as f64, commits),
            self.ratio("log_bytes_per_commit", "bytes", less, |block| spent(block).log_bytes as f64, commits),
            self.ratio(
                "allocations_per_commit",
                "1",
                less,
                |block| heap(block, HeapSpent::allocations_of_others),
                commits,
            ),
            self.ratio(
                "allocated_bytes_per_commit",
                "bytes",
                less,
                |block| heap(block, HeapSpent::allocated_bytes_of_others),
                commits,
            ),
            self.ratio(
                "cpu_ns_per_commit",
                "ns",
                (Better::Lower, Class::Cpu),
                |block| cpu(block, |cpu| cpu.others_ns()),
                commits,
            ),
            self.ratio(
                "generator_cpu_ns_per_request",
                "ns",
                (Better::Neither, Class::Cpu),
                |block| cpu(block, |cpu| cpu.thread_ns),
                |block| block.recorder.sent as f64,
            ),
        ];
        costs.into_iter().chain(control).collect()
    }

    /// How well the generator kept its promise, and how undisturbed the run was.
    fn conduct(&self) -> Vec<Metric> {
        let lateness = &self.record.lateness;
        let describes = (Better::Neither, Class::Wall);
        let late = lateness.value_at_quantile(0.99) as f64;
        let mut metrics = vec![
            metric("lateness_ns_p99", "ns", describes, late, None, lateness.len()),
            // Falling short of the rate shows as taking longer, or as leaving part of the schedule out.
            self.ratio(
                "achieved_over_offered",
                "1",
                describes,
                |block| block.covered_ns as f64,
                |block| block.duration_ns as f64,
            ),
        ];
        if let Some(ratio) = self.record.run_delay_ratio {
            metrics.push(metric("run_delay_ratio", "1", describes, ratio, None, 1));
        }
        metrics
    }
}

/// CPU time of an interval; not a number, and so no metric, where the system does not tell.
fn cpu(block: &IntervalRecord, part: impl Fn(&CpuTimes) -> u64) -> f64 {
    block.cpu.as_ref().map_or(f64::NAN, |cpu| part(cpu) as f64)
}

/// What an interval took from the heap; not a number, and so no metric, where nothing counts.
fn heap(block: &IntervalRecord, part: impl Fn(&HeapSpent) -> u64) -> f64 {
    block.heap.as_ref().map_or(f64::NAN, |heap| part(heap) as f64)
}

/// What the cluster did during an interval.
fn spent(block: &IntervalRecord) -> Counters {
    block.observed.1.total() - block.observed.0.total()
}

fn metric(
    name: &str,
    unit: &str,
    (better, class): (Better, Class),
    value: f64,
    bounds: Option<(f64, f64)>,
    n: u64,
) -> Metric {
    let bounds = bounds.filter(|(lower, upper)| lower.is_finite() && upper.is_finite());
    Metric {
        name: name.into(),
        value,
        lower: bounds.map(|bounds| bounds.0),
        upper: bounds.map(|bounds| bounds.1),
        unit: unit.into(),
        better,
        class,
        n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, value: f64) -> Metric {
        metric(name, "", (Better::Neither, Class::Wall), value, None, 1)
    }

    #[test]
    fn a_run_is_disturbed_by_lateness_shortfall_or_run_delay() {
        let run = |lateness, p50, achieved, delay| {
            disturbances(&[
                named("lateness_ns_p99", lateness),
                named("response_ns_p50", p50),
                named("achieved_over_offered", achieved),
                named("run_delay_ratio", delay),
            ])
            .len()
        };
        assert_eq!(run(90_000.0, 10_000.0, 1.0, 0.01), 0);
        assert_eq!(run(110_000.0, 10_000.0, 1.0, 0.01), 1);
        assert_eq!(run(110_000.0, 2_000_000.0, 1.0, 0.01), 0, "a tenth of the median is allowed");
        assert_eq!(run(90_000.0, 10_000.0, 0.99, 0.01), 1);
        assert_eq!(run(90_000.0, 10_000.0, 1.0, 0.03), 1);
    }
}
