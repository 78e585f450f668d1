//! One look at everything, and what the difference of two looks says.

use std::collections::BTreeMap;

use protocol_core::{Counters, MessageKind, Traffic};

use crate::results::ResourceSample;

/// Time of all cores, in a unit of the system's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct CoreTime {
    /// Spent on something.
    pub(super) busy: u64,
    /// Passed.
    pub(super) all: u64,
}

/// What the system says at one moment: levels, and counts that only grow. None where it does not tell.
#[derive(Clone, Debug, Default)]
pub(super) struct SystemReading {
    pub(super) machine_cpu: Option<CoreTime>,
    pub(super) process_cpu_ns: Option<u64>,
    /// By name; names that came later are at the end, so that two readings agree on the first ones.
    pub(super) thread_cpu_ns: Vec<u64>,
    pub(super) run_delay_ns: Option<u64>,
    pub(super) load_average_1m: Option<f64>,
    pub(super) memory_used_bytes: Option<u64>,
    pub(super) rss_bytes: Option<u64>,
    pub(super) network_bytes: Option<u64>,
    pub(super) storage_write_bytes: Option<u64>,
    /// Of cpu, io and memory, in microseconds.
    pub(super) pressure_us: [Option<u64>; 3],
}

/// One look at everything.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// When, in nanoseconds since the epoch.
    pub(super) at_ns: u64,
    pub(super) system: SystemReading,
    pub(super) heap_live_bytes: Option<u64>,
    pub(super) counters: Counters,
}

/// Readings until now. They are cumulative, so any of them can be left out: the difference of its
/// neighbours is then the mean over the longer time, and nothing is lost but detail.
#[derive(Debug)]
pub(super) struct Readings {
    readings: Vec<Reading>,
    most: usize,
}

impl Readings {
    /// No readings, and never more than `most`.
    pub(super) fn new(most: usize) -> Self {
        // One more than stays, and all at once: growing would show as memory of what is measured.
        Readings { readings: Vec::with_capacity(most + 1), most }
    }

    /// Keeps a reading. True when every second one was dropped for it, and the next should come after
    /// twice the time: a run of any length then fits, in equal steps.
    pub(super) fn push(&mut self, reading: Reading) -> bool {
        self.readings.push(reading);
        if self.readings.len() <= self.most {
            return false;
        }
        let mut index = 0;
        self.readings.retain(|_| {
            index += 1;
            index % 2 == 1
        });
        true
    }

    /// Keeps the last reading of all. One that comes soon after another replaces it: rates over a
    /// few microseconds say nothing.
    pub(super) fn finish(&mut self, last: Reading, shortest_ns: u64) {
        if let [.., _, previous] = &self.readings[..]
            && last.at_ns.saturating_sub(previous.at_ns) < shortest_ns
        {
            self.readings.pop();
        }
        self.push(last);
    }

    /// A sample for every two neighbours, with the threads' names.
    pub(super) fn samples(&self, names: &[String]) -> Vec<ResourceSample> {
        self.readings.windows(2).filter_map(|pair| sample(&pair[0], &pair[1], names)).collect()
    }
}

/// What happened between two readings; none when no time passed.
fn sample(before: &Reading, after: &Reading, names: &[String]) -> Option<ResourceSample> {
    let elapsed_ns = after.at_ns.checked_sub(before.at_ns).filter(|&elapsed| elapsed > 0)?;
    let elapsed_s = elapsed_ns as f64 / 1e9;
    let per_s = |amount: u64| amount as f64 / elapsed_s;
    let grown =
        |of: fn(&SystemReading) -> Option<u64>| Some(of(&after.system)?.saturating_sub(of(&before.system)?));
    let share_of_time = |of: fn(&SystemReading) -> Option<u64>, unit_ns: f64| {
        Some(grown(of)? as f64 * unit_ns / elapsed_ns as f64)
    };
    let counted = after.counters - before.counters;
    let traffic = MessageKind::ALL.into_iter().fold(Traffic::default(), |sum, kind| Traffic {
        messages: sum.messages + counted.of(kind).messages,
        bytes: sum.bytes + counted.of(kind).bytes,
    });
    Some(ResourceSample {
        at_s: after.at_ns as f64 / 1e9,
        interval_s: elapsed_s,
        cpu_machine: machine_share(before.system.machine_cpu, after.system.machine_cpu),
        cpu_process: share_of_time(|system| system.process_cpu_ns, 1.0),
        cpu_threads: thread_cores(before, after, names, elapsed_ns),
        run_delay: share_of_time(|system| system.run_delay_ns, 1.0),
        load_average_1m: after.system.load_average_1m,
        memory_used_bytes: after.system.memory_used_bytes,
        rss_bytes: after.system.rss_bytes,
        heap_live_bytes: after.heap_live_bytes,
        os_network_bytes_per_s: grown(|system| system.network_bytes).map(per_s),
        transport_bytes_per_s: per_s(traffic.bytes),
        transport_messages_per_s: per_s(traffic.messages),
        log_bytes_per_s: per_s(counted.log_bytes),
        syncs_per_s: per_s(counted.syncs),
        storage_write_bytes_per_s: grown(|system| system.storage_write_bytes).map(per_s),
        pressure_cpu: share_of_time(|system| system.pressure_us[0], 1e3),
        pressure_io: share_of_time(|system| system.pressure_us[1], 1e3),
        pressure_memory: share_of_time(|system| system.pressure_us[2], 1e3),
    })
}

/// None where the clock that counts cores' time did not tick in between.
fn machine_share(before: Option<CoreTime>, after: Option<CoreTime>) -> Option<f64> {
    let (before, after) = (before?, after?);
    let all = after.all.checked_sub(before.all).filter(|&all| all > 0)?;
    Some((after.busy.saturating_sub(before.busy) as f64 / all as f64).min(1.0))
}

fn thread_cores(
    before: &Reading,
    after: &Reading,
    names: &[String],
    elapsed_ns: u64,
) -> BTreeMap<String, f64> {
    let earlier = before.system.thread_cpu_ns.iter().copied().chain(std::iter::repeat(0));
    let cores = |(now, earlier): (&u64, u64)| now.saturating_sub(earlier) as f64 / elapsed_ns as f64;
    names.iter().cloned().zip(after.system.thread_cpu_ns.iter().zip(earlier).map(cores)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at_ms: u64) -> Reading {
        let mut counters = Counters { syncs: at_ms, log_bytes: 10 * at_ms, ..Counters::default() };
        counters.traffic.fill(Traffic { messages: at_ms, bytes: 100 * at_ms });
        Reading {
            at_ns: at_ms * 1_000_000,
            system: SystemReading {
                machine_cpu: Some(CoreTime { busy: at_ms, all: 2 * at_ms }),
                process_cpu_ns: Some(at_ms * 1_300_000),
                thread_cpu_ns: vec![at_ms * 250_000],
                run_delay_ns: Some(at_ms * 10_000),
                load_average_1m: Some(0.5),
                memory_used_bytes: Some(1_000),
                rss_bytes: Some(at_ms),
                network_bytes: None,
                storage_write_bytes: Some(7 * at_ms),
                pressure_us: [Some(at_ms * 20), None, Some(0)],
            },
            heap_live_bytes: Some(3 * at_ms),
            counters,
        }
    }

    #[test]
    fn rates_are_differences_over_the_time_between_and_levels_are_the_later_ones() {
        let mut readings = Readings::new(10);
        readings.push(reading(100));
        let mut later = reading(150);
        // A thread whose name was not seen before.
        later.system.thread_cpu_ns.push(5_000_000);
        readings.push(later);
        let samples = readings.samples(&["cluster".into(), "wal".into()]);
        let [sample] = &samples[..] else { panic!("one sample of two readings: {samples:?}") };
        let near = |value: f64, expected: f64| {
            assert!((value - expected).abs() < 1e-9 * expected.abs().max(1.0), "{value} is not {expected}")
        };
        near(sample.at_s, 0.15);
        near(sample.interval_s, 0.05);
        near(sample.cpu_machine.unwrap(), 0.5);
        near(sample.cpu_process.unwrap(), 1.3);
        near(sample.cpu_threads["cluster"], 0.25);
        near(sample.cpu_threads["wal"], 0.1);
        near(sample.run_delay.unwrap(), 0.01);
        let kinds = MessageKind::ALL.len() as f64;
        near(sample.transport_messages_per_s, kinds * 1_000.0);
        near(sample.transport_bytes_per_s, kinds * 100_000.0);
        near(sample.log_bytes_per_s, 10_000.0);
        near(sample.syncs_per_s, 1_000.0);
        near(sample.storage_write_bytes_per_s.unwrap(), 7_000.0);
        near(sample.pressure_cpu.unwrap(), 0.02);
        assert_eq!((sample.pressure_io, sample.pressure_memory), (None, Some(0.0)));
        assert_eq!(sample.os_network_bytes_per_s, None);
        assert_eq!((sample.rss_bytes, sample.heap_live_bytes), (Some(150), Some(450)));
    }

    #[test]
    fn memory_is_bounded_and_thinning_loses_no_time() {
        let mut readings = Readings::new(8);
        let (mut at, mut step, mut thinned) = (0, 1, 0);
        while at < 1_000 {
            if readings.push(reading(at)) {
                step *= 2;
                thinned += 1;
            }
            assert!(readings.readings.len() <= 8);
            at += step;
        }
        readings.finish(reading(1_000), 0);
        assert!(thinned > 5);
        let samples = readings.samples(&["cluster".into()]);
        let covered: f64 = samples.iter().map(|sample| sample.interval_s).sum();
        assert!((covered - 1.0).abs() < 1e-9, "{covered}");
        let syncs: f64 = samples.iter().map(|sample| sample.syncs_per_s * sample.interval_s).sum();
        assert!((syncs - 1_000.0).abs() < 1e-6, "{syncs}");
    }

    #[test]
    fn the_last_reading_takes_the_place_of_one_just_before_it() {
        let of = |last| {
            let mut readings = Readings::new(8);
            for at in [0, 50, 100] {
                readings.push(reading(at));
            }
            readings.finish(reading(last), 25_000_000);
            readings.samples(&[]).iter().map(|sample| (sample.at_s * 1e3) as u64).collect::<Vec<_>>()
        };
        assert_eq!(of(110), [50, 110]);
        assert_eq!(of(130), [50, 100, 130]);
        let mut alone = Readings::new(8);
        alone.push(reading(5));
        alone.finish(reading(5), 25_000_000);
        assert_eq!(alone.samples(&[]), [], "no time passed");
    }
}
