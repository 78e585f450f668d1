//! One command at a time, for tests and first steps; the harness has its own, faster ways.
#![allow(clippy::disallowed_methods, reason = "a client of the real clock, not a replica")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::cluster::{Answers, Cluster, Committed, Reply, Request, SubmitError};
use crate::command::{Command, CommandId};

/// How long [`submit_and_wait`] tries.
pub const SUBMIT_DEADLINE: Duration = Duration::from_secs(10);

struct Once(Mutex<Option<oneshot::Sender<Result<Committed, SubmitError>>>>);

impl Answers for Once {
    fn answer(&self, _: CommandId, outcome: Result<Committed, SubmitError>) {
        if let Some(waiter) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waiter.send(outcome).ok();
        }
    }
}

/// Submits a command and waits for its outcome, at most [`SUBMIT_DEADLINE`].
pub async fn submit_and_wait(cluster: &dyn Cluster, command: Command) -> Result<Committed, SubmitError> {
    let (sender, outcome) = oneshot::channel();
    let sent = Instant::now();
    let reply = Reply::new(command.id(), Arc::new(Once(Mutex::new(Some(sender)))));
    cluster.submit(Request::new(command, sent, sent + SUBMIT_DEADLINE, reply));
    match tokio::time::timeout(SUBMIT_DEADLINE, outcome).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(SubmitError::Unavailable),
        Err(_) => Err(SubmitError::TimedOut),
    }
}
