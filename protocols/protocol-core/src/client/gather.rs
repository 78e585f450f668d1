//! Gathers the answers of several replicas to one command into one answer to its client.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ClientRule;
use super::votes::{Verdict, Votes};
use crate::cluster::{Answers, Committed, Reply, Request, SubmitError};
use crate::command::CommandId;

/// One command on its way to several replicas.
struct Gather {
    open: Mutex<Open>,
}

struct Open {
    votes: Votes,
    /// The last success.
    committed: Option<Committed>,
    /// None once it is answered.
    reply: Option<Reply>,
}

impl Gather {
    /// A panic of another holder does not hide what was gathered.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers for Gather {
    fn answer(&self, _: CommandId, outcome: Result<Committed, SubmitError>) {
        let mut open = self.open();
        let verdict = match outcome {
            Ok(committed) => {
                open.committed = Some(committed);
                open.votes.accept(committed.slot, committed.output)
            }
            Err(_) => open.votes.lose(),
        };
        if verdict == Verdict::Open {
            return;
        }
        let (reply, committed) = (open.reply.take(), open.committed);
        drop(open);
        let outcome = match (verdict, committed) {
            (Verdict::Settled, Some(committed)) => Ok(committed),
            _ => Err(outcome.err().unwrap_or(SubmitError::Unavailable)),
        };
        if let Some(reply) = reply {
            reply.answer(outcome);
        }
    }

    fn is_wanted(&self) -> bool {
        self.open().reply.is_some()
    }
}

/// As many requests for the same command as there are replicas; together they give one answer.
pub(super) fn copies(request: Request, rule: ClientRule, replicas: usize) -> impl Iterator<Item = Request> {
    let Request { command, sent, deadline, watches, reply } = request;
    let id = command.id();
    let open = Open { votes: Votes::new(rule, replicas), committed: None, reply: Some(reply) };
    let gather = Arc::new(Gather { open: Mutex::new(open) });
    (0..replicas).map(move |_| {
        let reply = Reply::new(id, gather.clone());
        Request { command: command.clone(), sent, deadline, watches, reply }
    })
}
