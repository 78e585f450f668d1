//! A thread that looks at everything in equal steps.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use protocol_core::Counters;

#[cfg(target_os = "linux")]
use super::linux::SystemReader;
#[cfg(not(target_os = "linux"))]
use super::portable::SystemReader;
use super::reading::{Reading, Readings};
use super::{HeapCounts, SAMPLER_THREAD};
use crate::results::ResourceSample;

/// Readings kept; beyond it their steps double, in steps of 50 ms after 50 s. Results keep every sample,
/// in some 600 bytes, and a baseline is committed: more would be detail that nobody looks at.
const MOST_READINGS: usize = 1_000;

/// Samples what the machine, this process and the cluster do, on a thread of its own.
///
/// Start it on a thread that is not kept to one side's cores, because its own thread inherits them. It
/// works on files that stay open and into memory that is there already: the allocations that it adds
/// to those of the process are a handful per sample, most of them the caller's `totals`. Dropped without
/// a stop, it ends by itself, and its samples are lost.
#[derive(Debug)]
pub struct Sampler {
    stop: SyncSender<()>,
    thread: JoinHandle<Vec<ResourceSample>>,
}

impl Sampler {
    /// Starts sampling at every `interval` from now on. Samples tell their time as seconds since
    /// `epoch`; `totals` gives the counts of all replicas together, such as those of
    /// [`Observation::total`](protocol_core::Observation::total).
    ///
    /// Fails when the system gives no thread.
    pub fn start(
        epoch: Instant,
        interval: Duration,
        totals: impl Fn() -> Counters + Send + 'static,
    ) -> std::io::Result<Sampler> {
        let (stop, stopping) = sync_channel(1);
        let mut looks = Looks { epoch, totals, system: SystemReader::new() };
        let mut readings = Readings::new(MOST_READINGS);
        // On this thread, so that nothing that is done after the call goes by unseen.
        readings.push(looks.look());
        let thread = std::thread::Builder::new().name(SAMPLER_THREAD.into()).spawn(move || {
            let mut step = interval;
            let mut due = Instant::now() + step;
            while let Err(RecvTimeoutError::Timeout) =
                stopping.recv_timeout(due.saturating_duration_since(Instant::now()))
            {
                if readings.push(looks.look()) {
                    step *= 2;
                }
                // Steps that went by while this thread had no core are left out, not made up for.
                due = (due + step).max(Instant::now());
            }
            readings.finish(looks.look(), step.as_nanos() as u64 / 2);
            readings.samples(&looks.system.thread_names())
        })?;
        Ok(Sampler { stop, thread })
    }

    /// Takes a last sample and ends the thread.
    ///
    /// # Panics
    ///
    /// As `totals` did, if it did.
    pub fn stop(self) -> Vec<ResourceSample> {
        drop(self.stop);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

struct Looks<F> {
    epoch: Instant,
    totals: F,
    system: SystemReader,
}

impl<F: Fn() -> Counters> Looks<F> {
    fn look(&mut self) -> Reading {
        Reading {
            at_ns: self.epoch.elapsed().as_nanos() as u64,
            system: self.system.read(),
            heap_live_bytes: HeapCounts::now().map(|heap| heap.live_bytes),
            counters: (self.totals)(),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;
    use crate::machine::CpuTimes;

    #[test]
    fn what_happened_while_it_ran_is_in_the_samples() {
        let syncs = Arc::new(AtomicU64::new(40));
        let counted = syncs.clone();
        let totals = move || Counters { syncs: counted.load(SeqCst), ..Counters::default() };
        let epoch = Instant::now();
        let before = CpuTimes::now().unwrap();
        let sampler = Sampler::start(epoch, Duration::from_millis(1), totals).unwrap();
        for _ in 0..10 {
            let start = CpuTimes::now().unwrap();
            while (CpuTimes::now().unwrap() - start).thread_ns < 1_000_000 {}
            syncs.fetch_add(5, SeqCst);
        }
        let least_ns = (CpuTimes::now().unwrap() - before).thread_ns;
        let samples = sampler.stop();
        let most_ns = (CpuTimes::now().unwrap() - before).process_ns;

        assert!(!samples.is_empty());
        let sum = |of: &dyn Fn(&ResourceSample) -> f64| -> f64 {
            samples.iter().map(|sample| of(sample) * sample.interval_s).sum()
        };
        assert!((sum(&|sample| sample.syncs_per_s) - 50.0).abs() < 1e-6, "of the first look none is new");
        let cpu_ns = sum(&|sample| sample.cpu_process.unwrap()) * 1e9;
        assert!(cpu_ns <= most_ns as f64 + 1.0, "{cpu_ns} of {most_ns}");
        // The first look is not in it, and of what was burnt nothing else is missing.
        assert!(cpu_ns >= 10e6 && least_ns >= 10_000_000, "{cpu_ns} of {least_ns}");
        assert!(samples.is_sorted_by(|a, b| a.at_s < b.at_s));
        let covered = sum(&|_| 1.0);
        assert!(covered <= samples[samples.len() - 1].at_s && covered <= epoch.elapsed().as_secs_f64());
        assert!(samples.iter().all(|sample| sample.rss_bytes.is_some()));
        assert!(samples[samples.len() - 1].cpu_threads.contains_key(SAMPLER_THREAD));
    }

    #[test]
    fn a_count_that_panics_is_not_kept_quiet() {
        let looks = AtomicU64::new(0);
        let totals = move || {
            assert_eq!(looks.fetch_add(1, SeqCst), 0, "this panic is on purpose");
            Counters::default()
        };
        let sampler = Sampler::start(Instant::now(), Duration::from_millis(1), totals).unwrap();
        let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sampler.stop()));
        assert!(stopped.is_err());
    }
}
