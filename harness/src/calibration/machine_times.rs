//! What a request meets on this machine whatever the protocol: threads that have to be woken, links that
//! deliver late, a disk that flushes. Measured with the very parts that real runs are made of.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol_core::{
    Command, CommandId, LinkSpec, Message, Network, NetworkSpec, ReplicaId, Wal, Wire, WireError,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::load::{Pacer, Schedule};
use crate::machine::{Side, keep_to_cores_of};
use crate::run::RunError;
use crate::scenario::Arrivals;
use crate::stats::Spread;

/// Requests per second that find the cluster asleep.
const PROBES_PER_S: f64 = 1_000.0;
/// One-way delays of the links that are timed.
const DELAYS: [Duration; 3] =
    [Duration::from_micros(250), Duration::from_millis(1), Duration::from_millis(5)];
/// Logs that are flushed at the same time, as those of a cluster of three are.
const LOGS: usize = 3;
/// Rounds of flushes are fewer than probes: on a disk each takes milliseconds.
const PROBES_PER_FLUSH: usize = 8;
/// Bytes of what is sent and logged.
const PAYLOAD: [u8; 128] = [0x5A; 128];

/// What threads, links and the disk add on this machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineTimes {
    /// From a hand-over by the generator's thread until a task on the cluster's sleeping thread has it,
    /// where that is all that either does.
    pub resume: Spread,
    /// From the moment that a request is due until an idle cluster has it, less the median of `resume`:
    /// how late the generator's own sleep ends.
    pub hand_over: Spread,
    /// How much later than its delay a message arrives over a delayed link, less the same.
    pub link_lateness: Spread,
    /// An append and its flush, three logs at once, less the same.
    pub flush: Spread,
}

impl MachineTimes {
    /// All spreads by name.
    pub fn spreads(&self) -> [(&'static str, &Spread); 4] {
        [
            ("resume", &self.resume),
            ("hand_over", &self.hand_over),
            ("link_lateness", &self.link_lateness),
            ("flush", &self.flush),
        ]
    }

    /// A link of real time as it is on this machine. Its lateness goes from what one in ten messages
    /// stays below to twice the way from there to the median, evenly: so the median is right, and the
    /// far tail, which is other programs' doing, is left out. A link without delay passes messages on
    /// by a call, and is not late.
    pub fn link(&self, nominal: LinkSpec) -> LinkSpec {
        if nominal.delay.is_zero() && nominal.jitter.is_zero() {
            return nominal;
        }
        let (least, median) = (self.link_lateness.at(0.1), self.link_lateness.median());
        LinkSpec {
            delay: nominal.delay + Duration::from_nanos(least as u64),
            jitter: nominal.jitter + Duration::from_nanos((2.0 * (median - least)) as u64),
            ..nominal
        }
    }
}

/// Measures the machine with so many probes of each kind; logs are kept in `folder` meanwhile. Takes about
/// four milliseconds a probe.
pub fn measure_machine(folder: &Path, probes: usize) -> Result<MachineTimes, RunError> {
    let (resume, hand_over) = on_thread(Side::Generator, move || time_hand_overs(probes))?;
    let link_lateness = on_thread(Side::Cluster, move || time_links(probes))?;
    let resume = Spread::of(resume);
    let woken_ns = resume.median();
    Ok(MachineTimes {
        hand_over: Spread::of(hand_over).less(woken_ns),
        link_lateness: Spread::of(link_lateness).less(woken_ns),
        flush: measure_flushes(folder, probes.div_ceil(PROBES_PER_FLUSH), woken_ns)?,
        resume,
    })
}

/// Times flushes again where logs are kept now: a disk changes by the minute. The median of `resume` is
/// taken off, as in a calibration.
pub fn measure_flushes(folder: &Path, rounds: usize, resume_ns: f64) -> Result<Spread, RunError> {
    let logs = tempfile::tempdir_in(folder).map_err(io("folder for logs in", folder))?;
    let path = logs.path().to_path_buf();
    let times = on_thread(Side::Cluster, move || time_flushes(&path, rounds))?;
    Ok(Spread::of(times).less(resume_ns))
}

/// Runs a measurement on a thread of its own that keeps to its side's cores.
fn on_thread<T: Send>(
    side: Side,
    measure: impl FnOnce() -> Result<T, RunError> + Send,
) -> Result<T, RunError> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            keep_to_cores_of(side);
            measure()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Hands requests over to a sleeping cluster's thread at random times. Times from the hand-over, and from
/// when each was due, until the cluster's task has it.
fn time_hand_overs(probes: usize) -> Result<(Vec<u64>, Vec<u64>), RunError> {
    let (sender, mut receiver) = unbounded_channel::<(u64, u64)>();
    let pacer = Pacer::start();
    let epoch = pacer.epoch();
    std::thread::scope(|scope| {
        let cluster = scope.spawn(move || {
            keep_to_cores_of(Side::Cluster);
            runtime()?.block_on(async move {
                let (mut from_sent, mut from_due) = (Vec::new(), Vec::new());
                while let Some((due, sent)) = receiver.recv().await {
                    let now = nanos(epoch);
                    from_sent.push(now.saturating_sub(sent));
                    from_due.push(now.saturating_sub(due));
                }
                Ok((from_sent, from_due))
            })
        });
        let start = pacer.now_ns();
        let schedule = Schedule::new(Arrivals::Poisson, PROBES_PER_S, f64::MAX, 1);
        for offset in schedule.take(probes) {
            let due = start + offset;
            pacer.sleep_until(due);
            sender.send((due, pacer.now_ns())).ok();
        }
        drop(sender);
        cluster.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Sends messages over delayed links, one at a time; how much later than its delay each reaches a task.
fn time_links(probes: usize) -> Result<Vec<u64>, RunError> {
    runtime()?.block_on(async move {
        let mut late = Vec::new();
        for delay in DELAYS {
            let (arrived, mut arrivals) = unbounded_channel::<()>();
            let link = LinkSpec { delay, fifo: true, ..LinkSpec::default() };
            let inboxes: Vec<protocol_core::Inbox<Probe>> = vec![
                Box::new(|_, _| {}),
                Box::new(move |_, _| {
                    arrived.send(()).ok();
                }),
            ];
            let counters = vec![Arc::default(), Arc::default()];
            let spec = NetworkSpec { link, ..NetworkSpec::channel() };
            let network = Network::open(&spec, inboxes, counters, 1).await?;
            for id in 0..probes.div_ceil(DELAYS.len()) as u64 {
                let sent = Instant::now();
                network.send(ReplicaId(0), ReplicaId(1), Probe(Command::new(CommandId(id), &PAYLOAD)));
                arrivals.recv().await;
                late.push(nanos(sent).saturating_sub(delay.as_nanos() as u64));
            }
            network.close();
        }
        Ok(late)
    })
}

/// Has several logs flush an append each at the same time; how long each takes to reach a task.
fn time_flushes(folder: &Path, rounds: usize) -> Result<Vec<u64>, RunError> {
    let open = |index: usize| Wal::open::<Command>(&folder.join(format!("log-{index}")));
    let logs: Vec<Wal> = (0..LOGS)
        .map(|index| Ok(open(index)?.0))
        .collect::<std::io::Result<_>>()
        .map_err(io("log in", folder))?;
    runtime()?.block_on(async move {
        let (flushed, mut flushes): (_, UnboundedReceiver<std::io::Result<()>>) = unbounded_channel();
        let mut times = Vec::new();
        for round in 0..rounds as u64 {
            let started = Instant::now();
            for log in &logs {
                log.append(&[Command::new(CommandId(round), &PAYLOAD)]);
                let flushed = flushed.clone();
                log.sync(move |outcome| drop(flushed.send(outcome)));
            }
            for _ in &logs {
                if let Some(outcome) = flushes.recv().await {
                    outcome.map_err(io("flush in", folder))?;
                    times.push(nanos(started));
                }
            }
        }
        Ok(times)
    })
}

/// A message without a protocol.
#[derive(Clone)]
struct Probe(Command);

impl Wire for Probe {
    fn encode(&self, buffer: &mut Vec<u8>) {
        self.0.encode(buffer);
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        Command::decode(bytes).map(Probe)
    }

    fn encoded_len(&self) -> usize {
        self.0.encoded_len()
    }
}

impl Message for Probe {}

fn runtime() -> Result<tokio::runtime::Runtime, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| RunError::Host(error.into()))
}

fn nanos(since: Instant) -> u64 {
    since.elapsed().as_nanos() as u64
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> RunError {
    let path = path.to_path_buf();
    move |source| RunError::Io { what, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_of_this_machine_has_the_median_lateness_and_a_perfect_one_has_none() {
        let lateness =
            Spread { n: 2, quantiles_ns: vec![(0.0, 0.0), (0.1, 10.0), (0.5, 40.0), (1.0, 9_000.0)] };
        let times = MachineTimes { link_lateness: lateness, ..MachineTimes::default() };
        let nominal = LinkSpec { delay: Duration::from_micros(1), fifo: true, ..LinkSpec::default() };
        let real = times.link(nominal);
        assert_eq!((real.delay.as_nanos(), real.jitter.as_nanos()), (1_010, 60));
        let perfect = LinkSpec { fifo: true, ..LinkSpec::default() };
        assert_eq!(times.link(perfect), perfect);
    }

    #[test]
    fn every_kind_of_time_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        let times = measure_machine(folder.path(), 24).unwrap();
        assert_eq!(times.spreads().map(|(_, spread)| spread.n), [24, 24, 24, 9]);
        assert!(times.spreads().iter().all(|(_, spread)| spread.is_valid()), "{times:?}");
        assert!(times.resume.median() > 0.0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "logs were left behind");
    }
}
