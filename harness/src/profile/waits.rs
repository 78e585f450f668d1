//! Where requests spent their time whether or not a core worked for them: what a sampling of stacks can't
//! see, from the marks that every request leaves on its way through the cluster; and what the runtime of the
//! cluster's thread did meanwhile.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::load::{Part, SpanTotals};

/// Where the time of requests went, as means over those that were acknowledged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Waits {
    /// Requests acknowledged.
    pub requests: u64,
    /// From sent to answered, in nanoseconds.
    pub service_ns: f64,
    /// How much of it passed without a core that worked for the request, in nanoseconds: at least the service
    /// time less all CPU time per commit. None where the CPU time is not known.
    pub off_cpu_ns_at_least: Option<f64>,
    /// The parts of the service time, in the order of time; they add up to it.
    pub phases: Vec<PhaseWait>,
}

/// A part of the service time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseWait {
    /// Name.
    pub phase: String,
    /// What the request waits for.
    pub waits_for: String,
    /// Mean, in nanoseconds.
    pub mean_ns: f64,
    /// Share of the service time, 0 to 1.
    pub share: f64,
}

impl Waits {
    /// From sums over requests. The quorum wait is cut further: into the flush of the own log, and what of
    /// one round trip of the links is left when that is over. None without requests.
    pub fn of(spans: &SpanTotals, round_trip_ns: f64, cpu_ns_per_commit: Option<f64>) -> Option<Waits> {
        let requests = spans.requests();
        if requests == 0 {
            return None;
        }
        let mean = |part| spans.total_ns(part) as f64 / requests as f64;
        let quorum_wait = mean(Part::QuorumWait);
        let fsync = mean(Part::Fsync).min(quorum_wait);
        let network = (round_trip_ns - fsync).clamp(0.0, quorum_wait - fsync);
        let parts = [
            ("submission", "a replica to take it up: the queue before the leader", mean(Part::Submission)),
            ("replication", "the replica to hand it to the network and the log", mean(Part::Replication)),
            ("fsync", "the replica's own log to be flushed", fsync),
            ("network", "one round trip of the links' configured delay, beyond the flush", network),
            (
                "peers",
                "the other replicas: their work, their logs, further rounds",
                quorum_wait - fsync - network,
            ),
            ("application", "the command to be applied", mean(Part::Application)),
            ("answer", "the answer to reach the client", mean(Part::Answer)),
        ];
        let service_ns: f64 = parts.iter().map(|(_, _, mean_ns)| mean_ns).sum();
        let phase = |&(phase, waits_for, mean_ns): &(&str, &str, f64)| PhaseWait {
            phase: phase.into(),
            waits_for: waits_for.into(),
            mean_ns,
            share: if service_ns > 0.0 { mean_ns / service_ns } else { 0.0 },
        };
        Some(Waits {
            requests,
            service_ns,
            off_cpu_ns_at_least: cpu_ns_per_commit.map(|cpu| (service_ns - cpu).max(0.0)),
            phases: parts.iter().map(phase).collect(),
        })
    }
}

/// What the runtime of the cluster's thread did. Polls are not among the runtime's stable metrics.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeUse {
    /// Share of the time in which the runtime had tasks to run, 0 to 1.
    pub busy: f64,
    /// How often per second it had nothing to do and slept.
    pub parks_per_s: f64,
    /// The same per commit; none where commits were not counted.
    pub parks_per_commit: Option<f64>,
    /// Tasks alive at the end.
    pub tasks: usize,
    /// Tasks that other threads had woken and that waited to be run, at the end.
    pub queued: usize,
}

/// The runtime's counts at one moment.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeLook {
    at: Instant,
    busy: Duration,
    parks: u64,
}

impl RuntimeLook {
    /// Looks at a runtime.
    pub fn at(runtime: &Handle) -> RuntimeLook {
        let metrics = runtime.metrics();
        let workers = 0..metrics.num_workers();
        RuntimeLook {
            at: Instant::now(),
            busy: workers.clone().map(|worker| metrics.worker_total_busy_duration(worker)).sum(),
            parks: workers.map(|worker| metrics.worker_park_count(worker)).sum(),
        }
    }

    /// What the same runtime did since; none when no time passed.
    pub fn until_now(self, runtime: &Handle, commits: Option<u64>) -> Option<RuntimeUse> {
        let now = RuntimeLook::at(runtime);
        let metrics = runtime.metrics();
        let elapsed_s = now.at.duration_since(self.at).as_secs_f64();
        let parks = now.parks.saturating_sub(self.parks) as f64;
        let busy_s = now.busy.saturating_sub(self.busy).as_secs_f64();
        (elapsed_s > 0.0).then(|| RuntimeUse {
            busy: (busy_s / (elapsed_s * metrics.num_workers().max(1) as f64)).min(1.0),
            parks_per_s: parks / elapsed_s,
            parks_per_commit: commits.filter(|&commits| commits > 0).map(|commits| parks / commits as f64),
            tasks: metrics.num_alive_tasks(),
            queued: metrics.global_queue_depth(),
        })
    }
}

#[cfg(test)]
mod tests {
    use protocol_core::Phases;

    use super::*;

    fn spans(fsync_ns: u64) -> SpanTotals {
        let phases = Phases {
            submission_ns: 100,
            replication_ns: 200,
            quorum_wait_ns: 5_000,
            application_ns: 300,
            fsync_ns,
        };
        let mut spans = SpanTotals::default();
        spans.record(&phases);
        spans.record(&phases);
        spans.add_service_ns(2 * 6_000);
        spans
    }

    fn means(waits: &Waits) -> Vec<f64> {
        waits.phases.iter().map(|phase| phase.mean_ns).collect()
    }

    #[test]
    fn the_parts_add_up_and_links_count_only_beyond_the_flush_that_goes_on_meanwhile() {
        let waits = Waits::of(&spans(3_000), 4_000.0, Some(2_000.0)).unwrap();
        assert_eq!(means(&waits), [100.0, 200.0, 3_000.0, 1_000.0, 1_000.0, 300.0, 400.0]);
        assert_eq!((waits.requests, waits.service_ns), (2, 6_000.0));
        assert_eq!(waits.off_cpu_ns_at_least, Some(4_000.0));
        assert_eq!(waits.phases.iter().map(|phase| phase.share).sum::<f64>(), 1.0);

        // Links that are slower than the wait can't be what all of it was for.
        let far = Waits::of(&spans(0), 9_000.0, None).unwrap();
        assert_eq!(means(&far)[2..5], [0.0, 5_000.0, 0.0]);
        let near = Waits::of(&spans(3_000), 0.0, Some(7_000.0)).unwrap();
        assert_eq!(means(&near)[2..5], [3_000.0, 0.0, 2_000.0]);
        assert_eq!(near.off_cpu_ns_at_least, Some(0.0));
        assert_eq!(Waits::of(&SpanTotals::default(), 0.0, None), None);
    }

    #[test]
    fn a_runtime_that_works_is_busy_and_one_that_waits_parks() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let look = RuntimeLook::at(runtime.handle());
        runtime.block_on(async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let used = look.until_now(runtime.handle(), Some(2)).unwrap();
        assert!(used.parks_per_s > 0.0 && used.busy < 1.0, "{used:?}");
        assert!(used.parks_per_commit.unwrap() >= 1.5, "{used:?}");
        assert_eq!(used.queued, 0);
    }
}
