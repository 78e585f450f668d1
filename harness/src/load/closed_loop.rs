//! The closed loop: c clients, each with one request in flight. A client is no task: its next
//! request is sent where its last was answered, so the loop costs almost nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use protocol_core::{
    Answers, Cluster, Command, CommandId, CommandSource, Committed, IdSet, Reply, Request, SubmitError,
};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::SpanTotals;
use crate::safety::Registers;

/// After a failure a client pauses this long, so that a cluster without a leader is not flooded.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(1);

/// Why a closed loop did not end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClosedLoopError {
    /// Not all commands were acknowledged in time.
    #[error("{acknowledged} of {wanted} commands acknowledged within {timeout:?}; last error: {last_error}")]
    TimedOut {
        /// Commands acknowledged.
        acknowledged: u64,
        /// Commands wanted.
        wanted: u64,
        /// The limit.
        timeout: Duration,
        /// The latest refusal, if any.
        last_error: String,
    },
}

/// A closed loop on one cluster. Rounds may follow each other; ids go on.
pub struct ClosedLoop {
    shared: Arc<Shared>,
}

struct Shared {
    me: Weak<Shared>,
    cluster: Arc<dyn Cluster>,
    runtime: Handle,
    payload: Vec<u8>,
    deadline: Duration,
    round_over: Notify,
    round: Mutex<Round>,
}

/// Where the loop stands. One lock, taken once per command: a loop of atomics costs more.
#[derive(Default)]
struct Round {
    next_id: u64,
    /// Commands of this round still to be sent, and still to be acknowledged.
    to_send: u64,
    to_acknowledge: u64,
    commands: CommandSource,
    acknowledged: IdSet,
    last_error: Option<SubmitError>,
    /// How long commands took; none when no one asked.
    timed: Option<Timed>,
    /// Where the time of commands went; none when no one asked.
    spans: Option<SpanTotals>,
    /// Iterations of a loop that does nothing, after every acknowledged command.
    burn: u64,
    /// With the epoch of their times; none when the protocol has none.
    registers: Option<(Instant, Registers)>,
}

/// When commands were sent, and how long those took that were acknowledged.
#[derive(Default)]
struct Timed {
    /// Id of the first one.
    first: u64,
    sent: Vec<Instant>,
    took: Vec<Duration>,
}

impl Timed {
    fn acknowledged(&mut self, id: CommandId) {
        // What an earlier round left behind is none of it.
        let index = id.0.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(sent) = index.and_then(|index| self.sent.get(index)) {
            self.took.push(sent.elapsed());
        }
    }
}

impl Round {
    fn next_command(&mut self, payload: &[u8]) -> Command {
        let id = CommandId(self.next_id);
        self.next_id += 1;
        if let Some(timed) = &mut self.timed {
            timed.sent.push(Instant::now());
        }
        if let Some((epoch, registers)) = &mut self.registers {
            registers.invoke(id, epoch.elapsed().as_nanos() as u64);
        }
        self.commands.command(id, payload)
    }

    fn answered(&mut self, id: CommandId, outcome: &Result<Committed, SubmitError>) {
        if let Some((epoch, registers)) = &mut self.registers {
            let output = outcome.as_ref().ok().map(|committed| committed.output);
            registers.answer(id, epoch.elapsed().as_nanos() as u64, output);
        }
        if let (Some(spans), Ok(committed)) = (&mut self.spans, outcome) {
            spans.record(&committed.phases);
        }
    }
}

impl ClosedLoop {
    /// Clients of `cluster`, which lives on `runtime`, with commands of `payload_bytes`; they tell the
    /// registers of every operation, where there are some.
    pub fn new(
        cluster: Arc<dyn Cluster>,
        runtime: Handle,
        payload_bytes: usize,
        deadline: Duration,
        registers: Option<Registers>,
    ) -> Self {
        let registers = registers.map(|registers| (Instant::now(), registers));
        ClosedLoop {
            shared: Arc::new_cyclic(|me| Shared {
                me: me.clone(),
                cluster,
                runtime,
                payload: vec![0x5A; payload_bytes],
                deadline,
                round_over: Notify::new(),
                round: Mutex::new(Round { registers, ..Round::default() }),
            }),
        }
    }

    /// Commits `commands` with `clients` requests in flight, and returns how long that took. A
    /// refused command is replaced by another; only acknowledged ones count.
    pub async fn round(
        &self,
        clients: usize,
        commands: u64,
        timeout: Duration,
    ) -> Result<Duration, ClosedLoopError> {
        let shared = &self.shared;
        let first_wave: Vec<Command> = {
            let mut round = shared.round();
            let first_wave = commands.min(clients as u64);
            round.to_send = commands - first_wave;
            round.to_acknowledge = commands;
            (0..first_wave).map(|_| round.next_command(&shared.payload)).collect()
        };
        let started = Instant::now();
        first_wave.into_iter().for_each(|command| shared.submit(command));
        let over = tokio::time::timeout(timeout, shared.round_over.notified()).await;
        let took = started.elapsed();
        if over.is_ok() {
            return Ok(took);
        }
        let mut round = shared.round();
        // Answers that come later must not start a new command.
        round.to_send = 0;
        Err(ClosedLoopError::TimedOut {
            acknowledged: commands - round.to_acknowledge,
            wanted: commands,
            timeout,
            last_error: round.last_error.map_or("none".into(), |error| error.to_string()),
        })
    }

    /// The same; also how long each of the commands took, which costs two readings of the clock for each.
    pub async fn timed_round(
        &self,
        clients: usize,
        commands: u64,
        timeout: Duration,
    ) -> Result<(Duration, Vec<Duration>), ClosedLoopError> {
        {
            let mut round = self.shared.round();
            round.timed = Some(Timed { first: round.next_id, ..Timed::default() });
        }
        let ended = self.round(clients, commands, timeout).await;
        let timed = self.shared.round().timed.take();
        ended.map(|took| (took, timed.map(|timed| timed.took).unwrap_or_default()))
    }

    /// From now on every acknowledged command costs so many iterations of a loop more, on the thread that
    /// answers it: a slow-down on purpose, to see whether it is found.
    pub fn burn(&self, iterations: u64) {
        self.shared.round().burn = iterations;
    }

    /// From now on sums up where the time of acknowledged commands goes.
    pub fn watch_spans(&self) {
        self.shared.round().spans = Some(SpanTotals::default());
    }

    /// The sums since [`watch_spans`](ClosedLoop::watch_spans), without the service time; none when no one
    /// asked. Watching is over.
    pub fn take_spans(&self) -> Option<SpanTotals> {
        self.shared.round().spans.take()
    }

    /// Ids handed out so far; they are 0 to this.
    pub fn submitted(&self) -> u64 {
        self.shared.round().next_id
    }

    /// The registers, with every operation so far; none when the protocol has none.
    pub fn registers(&self) -> Option<Registers> {
        self.shared.round().registers.as_ref().map(|(_, registers)| registers.clone())
    }

    /// The commands that were acknowledged.
    pub fn acknowledged(&self) -> IdSet {
        self.shared.round().acknowledged.clone()
    }
}

impl Shared {
    fn round(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, command: Command) {
        // Whoever calls holds the loop, so the upgrade succeeds.
        let Some(answers) = self.me.upgrade() else { return };
        let sent = Instant::now();
        let reply = Reply::new(command.id(), answers);
        self.cluster.submit(Request::new(command, sent, sent + self.deadline, reply));
    }

    /// On the runtime and not here: a cluster that refuses at once must not recurse.
    fn submit_after_pause(&self) {
        let Some(again) = self.me.upgrade() else { return };
        self.runtime.spawn(async move {
            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            let next = {
                let mut round = again.round();
                (round.to_acknowledge > 0).then(|| round.next_command(&again.payload))
            };
            if let Some(next) = next {
                again.submit(next);
            }
        });
    }
}

impl Answers for Shared {
    fn answer(&self, id: CommandId, outcome: Result<Committed, SubmitError>) {
        let (next, over) = {
            let mut round = self.round();
            round.answered(id, &outcome);
            if let Err(error) = outcome {
                round.last_error = Some(error);
                drop(round);
                return self.submit_after_pause();
            }
            round.acknowledged.insert(id);
            burn(round.burn);
            if let Some(timed) = &mut round.timed {
                timed.acknowledged(id);
            }
            let over = round.to_acknowledge == 1;
            round.to_acknowledge = round.to_acknowledge.saturating_sub(1);
            let next = (round.to_send > 0).then(|| {
                round.to_send -= 1;
                round.next_command(&self.payload)
            });
            (next, over)
        };
        if let Some(next) = next {
            self.submit(next);
        }
        if over {
            self.round_over.notify_one();
        }
    }
}

/// Iterations that the compiler can neither shorten nor leave out.
pub fn burn(iterations: u64) {
    for iteration in 0..iterations {
        std::hint::black_box(iteration);
    }
}
