//! The closed loop: c clients, each with one request in flight. A client is no task: its next
//! request is sent where its last was answered, so the loop costs almost nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use protocol_core::{Answers, Cluster, Command, CommandId, Committed, IdSet, Reply, Request, SubmitError};
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
    next_id: AtomicU64,
    /// Commands of this round still to be sent, and still to be acknowledged.
    to_send: AtomicU64,
    to_acknowledge: AtomicU64,
    round_over: Notify,
    acknowledged: Mutex<(IdSet, Option<SubmitError>)>,
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
                next_id: AtomicU64::new(0),
                to_send: AtomicU64::new(0),
                to_acknowledge: AtomicU64::new(0),
                round_over: Notify::new(),
                acknowledged: Mutex::default(),
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
        let first_wave = commands.min(clients as u64);
        shared.to_send.store(commands - first_wave, Relaxed);
        shared.to_acknowledge.store(commands, Relaxed);
        let started = Instant::now();
        for _ in 0..first_wave {
            shared.submit();
        }
        let over = tokio::time::timeout(timeout, shared.round_over.notified()).await;
        let took = started.elapsed();
        match over {
            Ok(()) => Ok(took),
            Err(_) => {
                // Answers that come later must not start a new command.
                shared.to_send.store(0, Relaxed);
                let last_error = shared.acknowledged().1;
                Err(ClosedLoopError::TimedOut {
                    acknowledged: commands - shared.to_acknowledge.load(Relaxed).min(commands),
                    wanted: commands,
                    timeout,
                    last_error: last_error.map_or("none".into(), |error| error.to_string()),
                })
            }
        }
    }

    /// Ids handed out so far; they are 0 to this.
    pub fn submitted(&self) -> u64 {
        self.shared.next_id.load(Relaxed)
    }

    /// The commands that were acknowledged.
    pub fn acknowledged(&self) -> IdSet {
        self.shared.acknowledged().0.clone()
    }
}

impl Shared {
    fn acknowledged(&self) -> std::sync::MutexGuard<'_, (IdSet, Option<SubmitError>)> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self) {
        // Whoever calls holds the loop, so the upgrade succeeds.
        let Some(answers) = self.me.upgrade() else { return };
        let id = CommandId(self.next_id.fetch_add(1, Relaxed));
        let sent = Instant::now();
        self.cluster.submit(Request {
            command: Command::new(id, &self.payload),
            sent,
            deadline: sent + self.deadline,
            reply: Reply::new(id, answers),
        });
    }

    /// On the runtime and not here: a cluster that refuses at once must not recurse.
    fn submit_after_pause(&self) {
        let Some(again) = self.me.upgrade() else { return };
        self.runtime.spawn(async move {
            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            if again.to_acknowledge.load(Relaxed) > 0 {
                again.submit();
            }
        });
    }
}

impl Answers for Shared {
    fn answer(&self, id: CommandId, outcome: Result<Committed, SubmitError>) {
        if let Err(error) = outcome {
            self.acknowledged().1 = Some(error);
            self.submit_after_pause();
            return;
        }
        self.acknowledged().0.insert(id);
        let sending = self.to_send.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        if sending.is_ok() {
            self.submit();
        }
        let left = self.to_acknowledge.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        if left == Ok(1) {
            self.round_over.notify_one();
        }
    }
}
