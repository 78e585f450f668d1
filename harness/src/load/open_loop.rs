//! One phase of the open loop, on the thread that calls it.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use protocol_core::{Answers, Cluster, CommandSource, Observation, Reply, Request};

use super::book::{Book, Recorder};
use super::{Pacer, Schedule};
use crate::interrupt;
use crate::machine::{CpuTimes, run_delay_ns};
use crate::progress::Progress;
use crate::resources::{HeapCounts, HeapSpent};
use crate::scenario::{Arrivals, Phase, PhaseKind, Ramp};

/// A phase without a ramp is cut into this many intervals, the blocks of its statistics.
const BLOCKS: f64 = 12.0;
/// One of so many requests is cut finer: they divide evenly, and its percentiles are what it is for.
const BLOCKS_OF_REQUESTS: f64 = 20.0;
/// Recovery is looked for in time, so its intervals are short.
const BLOCKS_OF_RECOVERY: f64 = 40.0;
/// Requests that wait for their time-out are looked for this often.
const GIVE_UP_EVERY_NS: u64 = 10_000_000;
/// The ramp rises above this share of success, and falls below that one.
const RAMP_UP_ABOVE: f64 = 0.95;
const RAMP_DOWN_BELOW: f64 = 0.8;

/// What was recorded in one interval.
pub struct IntervalRecord {
    /// Start, in nanoseconds since the run's epoch.
    pub start_ns: u64,
    /// Length in nanoseconds.
    pub duration_ns: u64,
    /// How much of the schedule was sent, as time; less than the length when the generator fell behind.
    pub covered_ns: u64,
    /// Requests per second that were to be sent.
    pub offered_per_s: f64,
    /// What happened to requests.
    pub recorder: Recorder,
    /// The cluster at the start and at the end.
    pub observed: (Observation, Observation),
    /// CPU time spent, with the sending thread as the thread; none where the system does not tell.
    pub cpu: Option<CpuTimes>,
    /// What was taken from the heap, with the sending thread as the thread; none where nothing counts.
    pub heap: Option<HeapSpent>,
}

/// What was recorded in one phase.
pub struct PhaseRecord {
    /// Its intervals.
    pub intervals: Vec<IntervalRecord>,
    /// What ended after the phase's end, when nothing was sent any more.
    pub tail: Option<Recorder>,
    /// Sent against intended, in nanoseconds.
    pub lateness: Histogram<u64>,
    /// Time that threads of this process were ready and waited for a core, over the phase's time;
    /// none where the system does not tell.
    pub run_delay_ratio: Option<f64>,
}

/// What a phase needs.
pub struct OpenLoop<'a> {
    /// The system under test.
    pub cluster: &'a Arc<dyn Cluster>,
    /// Where requests are entered.
    pub book: &'a Arc<Book>,
    /// Arrival process.
    pub arrivals: Arrivals,
    /// Payload of every command.
    pub payload: &'a [u8],
    /// When clients stop waiting.
    pub timeout: Duration,
    /// Seed of the arrivals.
    pub seed: u64,
    /// Who wants to know how it goes.
    pub progress: &'a Progress,
}

/// Runs one phase on this thread. Ends early, with what it has, when the run is interrupted.
pub fn run_phase(pacer: &Pacer, load: &OpenLoop<'_>, phase: &Phase) -> PhaseRecord {
    let length = interval_length(phase);
    load.progress.phase(phase.kind.name(), Duration::from_secs_f64(phase.duration_s));
    let count = (phase.duration_s / length).round().max(1.0) as usize;
    // Allocated ahead: an interval must not begin with a page fault.
    let mut spare: Vec<Recorder> = (0..=count).map(|_| Recorder::new(load.timeout)).collect();
    let mut lateness = Recorder::new(load.timeout).queue_delay;
    let mut intervals: Vec<IntervalRecord> = Vec::with_capacity(count);
    let mut rate = phase.rate_per_s;
    let run_delay = run_delay_ns();
    let mut observed = load.cluster.observe();
    let (mut cpu, mut heap) = (CpuTimes::now(), HeapCounts::now());
    let mut start_ns = pacer.now_ns();
    let phase_start = start_ns;
    load.book.turn(spare.pop().unwrap_or_else(|| Recorder::new(load.timeout)));
    for index in 0..count {
        let schedule = Schedule::new(load.arrivals, rate, length, load.seed.wrapping_add(index as u64));
        let planned_ns = (length * 1e9) as u64;
        let covered_ns = send_all(pacer, load, (start_ns, planned_ns), schedule, &mut lateness);
        if !interrupt::requested() {
            pacer.sleep_until(start_ns + planned_ns);
        }
        load.book.give_up_overdue();
        let recorder = load.book.turn(spare.pop().unwrap_or_else(|| Recorder::new(load.timeout)));
        let (end_ns, observed_now, cpu_now) = (pacer.now_ns(), load.cluster.observe(), CpuTimes::now());
        let heap_now = HeapCounts::now();
        let success = ramp_success(&recorder);
        load.progress.interval(rate, &recorder, end_ns - start_ns);
        intervals.push(IntervalRecord {
            start_ns,
            duration_ns: end_ns - start_ns,
            covered_ns,
            offered_per_s: rate,
            recorder,
            observed: (observed, observed_now.clone()),
            cpu: cpu_now.zip(cpu).map(|(now, before)| now - before),
            heap: heap_now.zip(heap).map(|(now, before)| now - before),
        });
        (start_ns, observed, cpu, heap) = (end_ns, observed_now, cpu_now, heap_now);
        rate = next_rate(rate, phase.ramp, success);
        if interrupt::requested() {
            break;
        }
    }
    let waited = run_delay_ns().zip(run_delay).map(|(after, before)| after.saturating_sub(before));
    let elapsed = (pacer.now_ns() - phase_start).max(1);
    PhaseRecord {
        intervals,
        tail: None,
        lateness,
        run_delay_ratio: waited.map(|waited| waited as f64 / elapsed as f64),
    }
}

fn interval_length(phase: &Phase) -> f64 {
    let blocks = match phase {
        Phase { ramp: Some(ramp), .. } => return ramp.interval_s,
        Phase { requests: Some(_), .. } => BLOCKS_OF_REQUESTS,
        Phase { kind: PhaseKind::Recovery, .. } => BLOCKS_OF_RECOVERY,
        _ => BLOCKS,
    };
    phase.duration_s / blocks
}

/// Sends what is due, on time or as soon after as possible, but for no longer than twice the interval:
/// a rate beyond the generator must not make the run endless. Returns how much of the schedule it sent,
/// in nanoseconds of the schedule.
fn send_all(
    pacer: &Pacer,
    load: &OpenLoop<'_>,
    (start_ns, planned_ns): (u64, u64),
    schedule: Schedule,
    lateness: &mut Histogram<u64>,
) -> u64 {
    let answers: Arc<dyn Answers> = load.book.clone();
    let mut commands = CommandSource::default();
    let mut give_up_at = start_ns + GIVE_UP_EVERY_NS;
    for offset in schedule {
        let intended = start_ns + offset;
        let mut now = pacer.now_ns();
        if now < intended {
            if interrupt::requested() {
                return offset;
            }
            if now >= give_up_at {
                load.book.give_up_overdue();
                give_up_at = now + GIVE_UP_EVERY_NS;
            }
            pacer.sleep_until(intended);
            now = pacer.now_ns();
        }
        if now > start_ns + 2 * planned_ns {
            return offset;
        }
        lateness.saturating_record(now.saturating_sub(intended));
        if let Some(id) = load.book.send(intended, now) {
            let sent = pacer.epoch() + Duration::from_nanos(now);
            let command = commands.command(id, load.payload);
            let reply = Reply::new(id, answers.clone());
            load.cluster.submit(Request::new(command, sent, sent + load.timeout, reply));
        }
    }
    planned_ns
}

/// Share of what was sent that succeeded within the interval: a backlog that grows shows at once,
/// long before the first time-out.
fn ramp_success(recorder: &Recorder) -> f64 {
    let asked = recorder.sent + recorder.shed;
    if asked == 0 {
        return 1.0;
    }
    (recorder.succeeded as f64 / asked as f64).min(1.0)
}

fn next_rate(rate: f64, ramp: Option<Ramp>, success: f64) -> f64 {
    match ramp {
        Some(ramp) if success > RAMP_UP_ABOVE => rate + ramp.increment_per_s,
        Some(ramp) if success < RAMP_DOWN_BELOW => (rate - ramp.increment_per_s).max(1.0),
        _ => rate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ramp_rises_holds_and_falls_but_not_below_one() {
        let ramp = Some(Ramp { increment_per_s: 5.0, interval_s: 1.0 });
        assert_eq!(next_rate(10.0, ramp, 1.0), 15.0);
        assert_eq!(next_rate(10.0, ramp, 0.9), 10.0);
        assert_eq!(next_rate(10.0, ramp, 0.5), 5.0);
        assert_eq!(next_rate(3.0, ramp, 0.5), 1.0);
        assert_eq!(next_rate(10.0, None, 0.0), 10.0);
    }
}
