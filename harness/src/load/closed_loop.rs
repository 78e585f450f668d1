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
}

impl Round {
    fn next_command(&mut self, payload: &[u8]) -> Command {
        self.next_id += 1;
        self.commands.command(CommandId(self.next_id - 1), payload)
    }
}

impl ClosedLoop {
    /// Clients of `cluster`, which lives on `runtime`, with commands of `payload_bytes`.
    pub fn new(cluster: Arc<dyn Cluster>, runtime: Handle, payload_bytes: usize, deadline: Duration) -> Self {
        ClosedLoop {
            shared: Arc::new_cyclic(|me| Shared {
                me: me.clone(),
                cluster,
                runtime,
                payload: vec![0x5A; payload_bytes],
                deadline,
                round_over: Notify::new(),
                round: Mutex::default(),
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

    /// Ids handed out so far; they are 0 to this.
    pub fn submitted(&self) -> u64 {
        self.shared.round().next_id
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
            if let Err(error) = outcome {
                round.last_error = Some(error);
                drop(round);
                return self.submit_after_pause();
            }
            round.acknowledged.insert(id);
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
