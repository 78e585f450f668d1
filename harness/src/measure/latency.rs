//! Latency in detail: all percentiles, mean and spread, and the parts that it is made of.

use super::{PhaseTotals, RESAMPLES, metric};
use crate::load::{Part, PhaseRecord, Recorder};
use crate::results::{Better, Class, Metric};
use crate::stats::bootstrap_interval;

const LESS: (Better, Class) = (Better::Lower, Class::Wall);

/// Metrics of one phase beside those that every phase has.
pub fn latency_metrics(record: &PhaseRecord, seed: u64) -> Vec<Metric> {
    let phase = PhaseTotals { record, seed };
    let mut metrics = Vec::new();
    for (name, quantile) in [("p75", 0.75), ("p90", 0.9), ("p9999", 0.9999)] {
        let name = format!("response_ns_{name}");
        metrics.push(phase.quantile(&name, quantile, |recorder| &recorder.response));
    }
    let moments = Moments::of(record);
    metrics.push(moments.metric("response_ns_mean", seed, Sum::mean));
    metrics.push(moments.metric("response_ns_sd", seed, Sum::deviation));
    metrics.push(phase.mean("service_ns_mean", |recorder| recorder.service_total_ns));
    for part in Part::ALL {
        let name = part.name();
        metrics.push(phase.mean(&format!("{name}_ns_mean"), |recorder| recorder.parts.total_ns(part)));
        for (suffix, quantile) in [("p50", 0.5), ("p99", 0.99)] {
            let name = format!("{name}_ns_{suffix}");
            metrics.push(phase.quantile(&name, quantile, |recorder| recorder.parts.histogram(part)));
        }
    }
    metrics.push(phase.mean("consensus_ns_mean", |recorder| {
        recorder.parts.total_ns(Part::Replication) + recorder.parts.total_ns(Part::QuorumWait)
    }));
    metrics.retain(|metric| metric.value.is_finite());
    metrics
}

impl PhaseTotals<'_> {
    /// Mean over acknowledged requests of a time whose sum is known exactly.
    fn mean(&self, name: &str, total_ns: impl Fn(&Recorder) -> u64) -> Metric {
        self.ratio_of_ended(name, "ns", LESS, |recorder| {
            (total_ns(recorder) as f64, recorder.succeeded as f64)
        })
    }
}

/// Sums of powers of a block's response times, from its histogram.
#[derive(Clone, Copy, Default)]
struct Sum {
    count: f64,
    first: f64,
    second: f64,
}

impl Sum {
    fn mean(self) -> f64 {
        self.first / self.count
    }

    fn deviation(self) -> f64 {
        (self.second / self.count - self.mean().powi(2)).max(0.0).sqrt()
    }
}

struct Moments(Vec<Sum>);

impl Moments {
    fn of(record: &PhaseRecord) -> Self {
        let recorders = record.intervals.iter().map(|block| &block.recorder).chain(record.tail.iter());
        let sum = |recorder: &Recorder| {
            let mut sum = Sum::default();
            for step in recorder.response.iter_recorded() {
                let (value, count) = (step.value_iterated_to() as f64, step.count_at_value() as f64);
                sum.count += count;
                sum.first += count * value;
                sum.second += count * value * value;
            }
            sum
        };
        Moments(recorders.map(sum).collect())
    }

    fn metric(&self, name: &str, seed: u64, of: impl Fn(Sum) -> f64) -> Metric {
        let total = |blocks: &[&Sum]| {
            let add = |a: Sum, b: &&Sum| Sum {
                count: a.count + b.count,
                first: a.first + b.first,
                second: a.second + b.second,
            };
            of(blocks.iter().fold(Sum::default(), add))
        };
        let value = total(&self.0.iter().collect::<Vec<_>>());
        let bounds = bootstrap_interval(&self.0, RESAMPLES, seed, total);
        metric(name, "ns", LESS, value, bounds, self.0.iter().map(|sum| sum.count).sum::<f64>() as u64)
    }
}
