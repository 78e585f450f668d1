//! From samples to the numbers of a phase.

use super::{CLUSTER_THREAD, GENERATOR_THREAD, SAMPLER_THREAD};
use crate::results::{Better, Class, MemoryLevel, Metric, ResourceSample};
use crate::stats::{Estimate, bootstrap_interval, theil_sen};

/// Samples next to each other are alike: a queue or a full page cache lasts longer than one. So they
/// are put together into this many stretches of time, which are the blocks of every interval, as the
/// intervals of a phase are for what clients see.
const BLOCKS: usize = 12;
/// A stretch holds at least so many samples; fewer samples make fewer stretches.
const SHORTEST_BLOCK: usize = 2;
const RESAMPLES: usize = 200;

/// The samples that lie within a stretch of time, given in seconds on the samples' own clock.
pub fn within(samples: &[ResourceSample], from_s: f64, until_s: f64) -> &[ResourceSample] {
    let start = samples.partition_point(|sample| sample.at_s - sample.interval_s < from_s);
    let end = samples.partition_point(|sample| sample.at_s <= until_s);
    samples.get(start..end).unwrap_or_default()
}

/// The numbers of a phase from its samples: rates and shares as means over time with bootstrap
/// intervals over stretches of it, levels as their highest sample. What the system does not tell is
/// left out.
pub fn resource_metrics(samples: &[ResourceSample], seed: u64) -> Vec<Metric> {
    let phase = Phase { samples, seed };
    let thread = |name: &'static str| move |sample: &ResourceSample| sample.cpu_threads.get(name).copied();
    let rate = |of: fn(&ResourceSample) -> f64| move |sample: &ResourceSample| Some(of(sample));
    let (cpu, wall) = (Class::Cpu, Class::Wall);
    let mut metrics = vec![
        phase.mean("cpu_process_cores", "cores", cpu, |sample| sample.cpu_process),
        phase.mean("cpu_machine_share", "1", cpu, |sample| sample.cpu_machine),
        phase.mean("cluster_thread_cores", "cores", cpu, thread(CLUSTER_THREAD)),
        phase.mean("generator_thread_cores", "cores", cpu, thread(GENERATOR_THREAD)),
        phase.mean("sampler_thread_cores", "cores", cpu, thread(SAMPLER_THREAD)),
        phase.mean("run_delay_share", "1", wall, |sample| sample.run_delay),
        phase.highest("rss_bytes_max", |sample| sample.rss_bytes),
        phase.highest("heap_live_bytes_max", |sample| sample.heap_live_bytes),
        phase.highest("memory_used_bytes_max", |sample| sample.memory_used_bytes),
        phase.growth(),
        phase.mean("os_network_bytes_per_s", "bytes/s", wall, |sample| sample.os_network_bytes_per_s),
        phase.mean("transport_bytes_per_s", "bytes/s", wall, rate(|sample| sample.transport_bytes_per_s)),
        phase.mean("transport_messages_per_s", "1/s", wall, rate(|sample| sample.transport_messages_per_s)),
        phase.mean("log_bytes_per_s", "bytes/s", wall, rate(|sample| sample.log_bytes_per_s)),
        phase.mean("syncs_per_s", "1/s", wall, rate(|sample| sample.syncs_per_s)),
        phase.mean("storage_write_bytes_per_s", "bytes/s", wall, |sample| sample.storage_write_bytes_per_s),
        phase.mean("cpu_pressure_share", "1", wall, |sample| sample.pressure_cpu),
        phase.mean("io_pressure_share", "1", wall, |sample| sample.pressure_io),
        phase.mean("memory_pressure_share", "1", wall, |sample| sample.pressure_memory),
    ];
    // It is itself a mean over a minute, so its samples are no basis for an interval.
    let load = phase.mean("load_average", "1", wall, |sample| sample.load_average_1m);
    metrics.push(load.map(|load| Metric { lower: None, upper: None, ..load }));
    metrics.into_iter().flatten().collect()
}

/// How fast memory grew.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryGrowth {
    /// The level that grew: the heap where it is counted, resident memory elsewhere.
    pub of: MemoryLevel,
    /// Bytes per second, with the 95 % interval.
    pub bytes_per_s: Estimate,
}

/// How fast memory grew: the Theil–Sen slope through the means of stretches of time. Logs that a
/// protocol keeps in memory are in it, and what the harness keeps to check them. None with fewer than
/// two stretches.
pub fn memory_growth(samples: &[ResourceSample]) -> Option<MemoryGrowth> {
    let slope = |level: fn(&ResourceSample) -> Option<u64>| -> Option<Estimate> {
        let points: Option<Vec<(f64, f64)>> = blocks(samples).map(|block| mean_point(block, level)).collect();
        theil_sen(&points?)
    };
    let heap = slope(|sample| sample.heap_live_bytes);
    match heap {
        Some(bytes_per_s) => Some(MemoryGrowth { of: MemoryLevel::Heap, bytes_per_s }),
        None => {
            let bytes_per_s = slope(|sample| sample.rss_bytes)?;
            Some(MemoryGrowth { of: MemoryLevel::Rss, bytes_per_s })
        }
    }
}

/// Mean time and mean level of a stretch; none when a sample does not know the level.
fn mean_point(block: &[ResourceSample], level: fn(&ResourceSample) -> Option<u64>) -> Option<(f64, f64)> {
    let mut sum = (0.0, 0.0);
    for sample in block {
        sum = (sum.0 + sample.at_s, sum.1 + level(sample)? as f64);
    }
    let count = block.len() as f64;
    Some((sum.0 / count, sum.1 / count))
}

/// Samples by stretches of time.
fn blocks(samples: &[ResourceSample]) -> impl Iterator<Item = &[ResourceSample]> {
    samples.chunks(samples.len().div_ceil(BLOCKS).max(SHORTEST_BLOCK))
}

struct Phase<'a> {
    samples: &'a [ResourceSample],
    seed: u64,
}

impl Phase<'_> {
    /// The mean over time; none when no sample knows it.
    fn mean(
        &self,
        name: &str,
        unit: &str,
        class: Class,
        of: impl Fn(&ResourceSample) -> Option<f64>,
    ) -> Option<Metric> {
        // Of each stretch: the sum over its time, and that time.
        let parts: Vec<(f64, f64)> = blocks(self.samples)
            .map(|block| {
                block.iter().fold((0.0, 0.0), |sum, sample| match of(sample) {
                    Some(value) => (sum.0 + value * sample.interval_s, sum.1 + sample.interval_s),
                    None => sum,
                })
            })
            .filter(|part| part.1 > 0.0)
            .collect();
        let mean = |parts: &[&(f64, f64)]| {
            let (sum, time) = parts.iter().fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
            sum / time
        };
        let value = mean(&parts.iter().collect::<Vec<_>>());
        let bounds = bootstrap_interval(&parts, RESAMPLES, self.seed, mean);
        let known = self.samples.iter().filter(|sample| of(sample).is_some()).count();
        metric(name, unit, (Better::Neither, class), value, bounds, known)
    }

    fn highest(&self, name: &str, of: impl Fn(&ResourceSample) -> Option<u64>) -> Option<Metric> {
        let known = self.samples.iter().filter_map(&of).count();
        let highest = self.samples.iter().filter_map(of).max()?;
        metric(name, "bytes", (Better::Lower, Class::Wall), highest as f64, None, known)
    }

    fn growth(&self) -> Option<Metric> {
        let Estimate { value, interval } = memory_growth(self.samples)?.bytes_per_s;
        let kind = (Better::Lower, Class::Wall);
        metric("memory_growth_bytes_per_s", "bytes/s", kind, value, interval, self.samples.len())
    }
}

/// None when the value is no number.
fn metric(
    name: &str,
    unit: &str,
    (better, class): (Better, Class),
    value: f64,
    bounds: Option<(f64, f64)>,
    n: usize,
) -> Option<Metric> {
    value.is_finite().then(|| Metric {
        name: name.into(),
        value,
        lower: bounds.map(|bounds| bounds.0),
        upper: bounds.map(|bounds| bounds.1),
        unit: unit.into(),
        better,
        class,
        n: n as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(index: u32, interval_s: f64) -> ResourceSample {
        ResourceSample {
            at_s: f64::from(index + 1) * interval_s,
            interval_s,
            cpu_process: Some(1.0 + 0.1 * f64::from(index % 3)),
            cpu_threads: [(CLUSTER_THREAD.to_string(), 0.75)].into(),
            rss_bytes: Some(1_000 + u64::from(index % 7)),
            transport_bytes_per_s: 100.0,
            load_average_1m: Some(2.0),
            ..ResourceSample::default()
        }
    }

    fn samples(count: u32) -> Vec<ResourceSample> {
        (0..count).map(|index| sample(index, 0.05)).collect()
    }

    fn named<'a>(metrics: &'a [Metric], name: &str) -> Option<&'a Metric> {
        metrics.iter().find(|metric| metric.name == name)
    }

    #[test]
    fn a_stretch_of_time_holds_the_samples_that_lie_within_it() {
        let samples: Vec<_> = (0..10).map(|index| sample(index, 1.0)).collect();
        let ends = |from, until| {
            within(&samples, from, until).iter().map(|sample| sample.at_s as u32).collect::<Vec<_>>()
        };
        assert_eq!(ends(2.0, 5.0), [3, 4, 5]);
        assert_eq!(ends(2.5, 4.5), [4]);
        assert_eq!(ends(-1.0, 99.0).len(), 10);
        assert!(ends(9.5, 9.9).is_empty() && ends(5.0, 2.0).is_empty());
    }

    #[test]
    fn means_are_over_time_and_levels_are_the_highest() {
        let mut uneven = samples(60);
        // Three times as long as the others.
        uneven.push(ResourceSample {
            at_s: 3.15,
            interval_s: 0.15,
            cpu_process: Some(4.1),
            ..sample(0, 0.05)
        });
        let metrics = resource_metrics(&uneven, 1);
        let cpu = named(&metrics, "cpu_process_cores").unwrap();
        assert!((cpu.value - (60.0 * 1.1 + 3.0 * 4.1) / 63.0).abs() < 1e-12, "{cpu:?}");
        assert!(cpu.lower.unwrap() < cpu.value && cpu.value < cpu.upper.unwrap());
        assert_eq!((cpu.n, cpu.class), (61, Class::Cpu));
        assert_eq!(named(&metrics, "rss_bytes_max").unwrap().value, 1_006.0);
        let cluster = named(&metrics, "cluster_thread_cores").unwrap();
        assert!((cluster.value - 0.75).abs() < 1e-12);
        let load = named(&metrics, "load_average").unwrap();
        assert_eq!((load.value, load.lower), (2.0, None));
    }

    #[test]
    fn what_the_system_does_not_tell_is_left_out() {
        let metrics = resource_metrics(&samples(60), 1);
        for name in
            ["generator_thread_cores", "heap_live_bytes_max", "io_pressure_share", "cpu_machine_share"]
        {
            assert!(named(&metrics, name).is_none(), "{name}");
        }
        assert_eq!(named(&metrics, "syncs_per_s").unwrap().value, 0.0);
        assert_eq!(resource_metrics(&[], 1), []);
        let one = resource_metrics(&samples(1), 1);
        assert_eq!(named(&one, "transport_bytes_per_s").unwrap().lower, None);
        assert!(named(&one, "memory_growth_bytes_per_s").is_none());
    }

    #[test]
    fn the_interval_is_wider_for_neighbours_that_are_alike() {
        let width = |of: fn(u32) -> bool| {
            let wave = (0..120).map(|index| ResourceSample {
                cpu_process: Some(if of(index) { 2.0 } else { 0.0 }),
                ..sample(index, 0.05)
            });
            let metrics = resource_metrics(&wave.collect::<Vec<_>>(), 3);
            let cpu = named(&metrics, "cpu_process_cores").unwrap();
            assert!((cpu.value - 1.0).abs() < 1e-9);
            cpu.upper.unwrap() - cpu.lower.unwrap()
        };
        // The same values: one after the other, and half a minute of each.
        assert!(width(|index| index % 2 == 0) < 0.01);
        assert!(width(|index| index % 60 < 30) > 0.5);
    }

    #[test]
    fn growth_is_of_the_heap_where_it_is_known_and_of_resident_memory_elsewhere() {
        let mut samples = samples(60);
        for (index, sample) in samples.iter_mut().enumerate() {
            sample.rss_bytes = Some(1_000_000);
            sample.heap_live_bytes = Some(500_000 + 1_000 * index as u64 + (index as u64 * 37) % 11);
        }
        let heap = memory_growth(&samples).unwrap();
        assert_eq!(heap.of, MemoryLevel::Heap);
        // A thousand bytes every 50 ms.
        assert!((heap.bytes_per_s.value - 20_000.0).abs() < 20.0, "{heap:?}");
        let (low, high) = heap.bytes_per_s.interval.unwrap();
        assert!(low <= 20_000.0 && 20_000.0 <= high, "{heap:?}");
        samples[30].heap_live_bytes = None;
        let rss = memory_growth(&samples).unwrap();
        assert_eq!((rss.of, rss.bytes_per_s.value), (MemoryLevel::Rss, 0.0));
    }
}
