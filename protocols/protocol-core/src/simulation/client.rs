//! The clients of a simulated cluster: they ask, follow redirects, gather answers and try again by the
//! rules of [`SharedClient`](crate::SharedClient), in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Answered, Spread};
use crate::client::{ClientRule, Verdict, Votes};
use crate::cluster::SubmitError;
use crate::command::{Command, CommandId};
use crate::replica::{ReplicaId, Slot, Time};

/// How long clients wait before they ask again when no one knows a leader.
const BACKOFF_NS: u64 = 5_000_000;

/// A command on its way. Times are in nanoseconds.
#[derive(Clone, Debug)]
pub struct Pending {
    /// What to agree on.
    pub command: Command,
    /// When the client sent it first.
    pub submitted: u64,
    /// When a replica took it up last.
    pub taken_up: u64,
    /// When the client stops trying.
    pub deadline: u64,
    /// Redirects without a pause. Replicas that point to each other must not hold time still.
    pub(super) redirects: usize,
    /// Whether the replica is only to say when it has delivered the command.
    pub(super) watches: bool,
}

impl Pending {
    /// A command that a client sends at `at`.
    pub fn new(command: Command, at: u64, deadline: u64) -> Self {
        Pending { command, submitted: at, taken_up: at, deadline, redirects: 0, watches: false }
    }

    /// Its end: a replica knew at `decided`, the client at `answered`.
    pub fn answer(&self, decided: u64, answered: u64, outcome: Result<Slot, SubmitError>) -> Answered {
        Answered {
            id: self.command.id(),
            submitted: Time(self.submitted),
            taken_up: Time(self.taken_up),
            decided: Time(decided),
            answered: Time(answered),
            outcome,
            output: 0,
            spread: None,
        }
    }

    /// Its end at a replica that will not answer any more.
    pub(super) fn lost(&self, at: u64) -> Answered {
        self.answer(at, at, Err(SubmitError::Unavailable))
    }
}

/// The answers of several replicas to one command.
#[derive(Debug)]
struct Gather {
    votes: Votes,
    taken_up: Time,
    spread: Spread,
    /// The last success.
    committed: Option<(Slot, u64)>,
}

/// What all clients believe together, and how far they are from each replica.
#[derive(Debug)]
pub struct Clients {
    pub(super) rule: ClientRule,
    delays: Vec<u64>,
    leader: ReplicaId,
    /// Times a command was sent on or sent again.
    pub resubmissions: u64,
    gathers: BTreeMap<CommandId, Gather>,
}

impl Clients {
    /// Clients at these one-way delays from each replica; they believe that the first one leads.
    pub fn new(delays: &[Duration], rule: ClientRule) -> Self {
        let nanos = |delay: &Duration| u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        Clients {
            rule,
            delays: delays.iter().map(nanos).collect(),
            leader: ReplicaId(0),
            resubmissions: 0,
            gathers: BTreeMap::new(),
        }
    }

    /// Nanoseconds one way between the clients and a replica.
    pub fn delay_to(&self, replica: ReplicaId) -> u64 {
        self.delays[replica.index()]
    }

    /// When a client knows what a replica decided. Whoever watches a broadcast sees all replicas at once.
    pub(super) fn hears(&self, of: ReplicaId, decided: u64) -> u64 {
        if self.rule == ClientRule::Broadcast { decided } else { decided.saturating_add(self.delay_to(of)) }
    }

    /// Whom to send a command to, of one replica only.
    pub fn believed(&self, id: CommandId) -> ReplicaId {
        match self.rule {
            ClientRule::Leader => self.leader,
            _ => ClientRule::home(id, self.delays.len()),
        }
    }

    /// Clients learn of a leader without having been refused.
    pub fn leader_is(&mut self, leader: ReplicaId) {
        self.leader = leader;
    }

    /// Whom to ask next after a refusal, and after which pause, in nanoseconds.
    pub fn refused(
        &mut self,
        by: ReplicaId,
        pending: &mut Pending,
        hint: Option<ReplicaId>,
    ) -> (ReplicaId, u64) {
        self.resubmissions += 1;
        pending.redirects += 1;
        let next = ReplicaId((by.0 + 1) % self.delays.len() as u32);
        match (self.rule, hint) {
            (ClientRule::Everyone { .. }, _) => (by, BACKOFF_NS),
            (ClientRule::Coordinator | ClientRule::Broadcast, _) => (next, BACKOFF_NS),
            (ClientRule::Leader, Some(leader)) if leader != by && pending.redirects < self.delays.len() => {
                self.leader = leader;
                (leader, 0)
            }
            (ClientRule::Leader, _) => {
                pending.redirects = 0;
                if self.leader == by {
                    self.leader = next;
                }
                (self.leader, BACKOFF_NS)
            }
        }
    }

    /// Begins to gather the answers of all replicas to a command.
    pub(super) fn gather(&mut self, id: CommandId) {
        let votes = Votes::new(self.rule, self.delays.len());
        let gather = Gather { votes, taken_up: Time(u64::MAX), spread: Spread::default(), committed: None };
        self.gathers.insert(id, gather);
    }

    /// Whether a command needs more answers than it has.
    pub(super) fn awaits(&self, id: CommandId) -> bool {
        self.gathers.contains_key(&id) || !self.gathers_answers()
    }

    fn gathers_answers(&self) -> bool {
        matches!(self.rule, ClientRule::Everyone { .. } | ClientRule::Broadcast)
    }

    /// A replica answered; gives the answer of all when this was the last that it took.
    pub(super) fn heard(&mut self, answered: Answered) -> Option<Answered> {
        if !self.gathers_answers() {
            return Some(answered);
        }
        let replicas = self.delays.len();
        let gather = self.gathers.get_mut(&answered.id)?;
        gather.taken_up = gather.taken_up.min(answered.taken_up);
        let verdict = match answered.outcome {
            Ok(slot) => {
                gather.committed = Some((slot, answered.output));
                gather.votes.accept(slot, answered.output)
            }
            Err(_) => gather.votes.lose(),
        };
        gather.spread.reached(gather.votes.given(), replicas, answered.decided);
        if verdict == Verdict::Open {
            return None;
        }
        let gather = self.gathers.remove(&answered.id)?;
        let spread = (self.rule == ClientRule::Broadcast).then_some(gather.spread);
        let (outcome, output) = match (verdict, gather.committed) {
            (Verdict::Settled, Some((slot, output))) => (Ok(slot), output),
            _ => (Err(answered.outcome.err().unwrap_or(SubmitError::Unavailable)), 0),
        };
        Some(Answered { taken_up: gather.taken_up, outcome, output, spread, ..answered })
    }
}

impl Spread {
    /// The `given`th replica of so many delivered it at this time.
    fn reached(&mut self, given: usize, replicas: usize, at: Time) {
        for (percent, reached) in [(50, &mut self.half), (90, &mut self.most), (99, &mut self.nearly_all)] {
            if given == (replicas * percent).div_ceil(100) {
                *reached = at;
            }
        }
    }
}
