//! One round trip of a coordinator to all replicas, for a batch of commands.

use std::time::Duration;

use protocol_core::{Command, CommandId, ReplicaId, Slot, Time};

use crate::messages::{Found, RegisterMessage};
use crate::tag::Tag;

/// What is known of a register that was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Newest {
    /// The newest that any answer held.
    pub(crate) found: Option<Found>,
    /// Answers that held it.
    pub(crate) holders: usize,
}

impl Newest {
    fn see(&mut self, found: Found) {
        let tag = self.tag();
        if self.found.is_none() || found.tag > tag {
            (self.found, self.holders) = (Some(found), 1);
        } else if found.tag == tag {
            self.holders += 1;
        }
    }

    pub(crate) fn tag(&self) -> Tag {
        self.found.as_ref().map_or(Tag::NONE, |found| found.tag)
    }
}

/// A command that is over once a write quorum has stored its value.
#[derive(Clone, Debug)]
pub(crate) enum Finishing {
    /// A read, with its answer.
    Read { command: CommandId, slot: Slot, output: u64 },
    /// A write, with its slot.
    Write { slot: Slot, command: Command },
}

/// A round trip.
#[derive(Debug)]
pub(crate) struct Trip {
    /// What was asked, to ask again.
    pub(crate) ask: RegisterMessage,
    pub(crate) begun: Time,
    /// When it is asked again, and how long to wait after that.
    pub(crate) again_at: Time,
    pub(crate) again_after: Duration,
    answered: Vec<bool>,
    pub(crate) answers: usize,
    /// Whether a read quorum is not needed, or was there.
    pub(crate) queried: bool,
    /// Whether a write quorum is not needed, or was there.
    pub(crate) stored: bool,
    /// Reads that wait for a read quorum, with the places of their registers among the queries.
    pub(crate) reads: Vec<(CommandId, usize)>,
    /// Writes that wait for a read quorum, because they have no tag yet.
    pub(crate) writes: Vec<(Command, usize)>,
    /// Commands that wait for a write quorum.
    pub(crate) finishing: Vec<Finishing>,
    /// By query.
    pub(crate) newest: Vec<Newest>,
    /// Tags that replicas answered with, by query, as long as they may have to be repaired.
    pub(crate) tags: Vec<(ReplicaId, Vec<Tag>)>,
}

impl Trip {
    pub(crate) fn new(ask: RegisterMessage, replicas: usize, now: Time, again_after: Duration) -> Self {
        let (queries, stores) = match &ask {
            RegisterMessage::Ask { queries, stores, .. } => (queries.len(), stores.len()),
            RegisterMessage::Answer { .. } | RegisterMessage::Repair { .. } => (0, 0),
        };
        Trip {
            ask,
            begun: now,
            again_at: now + again_after,
            again_after,
            answered: vec![false; replicas],
            answers: 0,
            queried: queries == 0,
            stored: stores == 0,
            reads: Vec::new(),
            writes: Vec::new(),
            finishing: Vec::new(),
            newest: vec![Newest::default(); queries],
            tags: Vec::new(),
        }
    }

    /// Takes an answer; false when this replica had answered before, or answers something else.
    pub(crate) fn answer(&mut self, from: ReplicaId, found: Vec<Found>, keep_tags: bool) -> bool {
        if self.has_answered(from) || found.len() != self.newest.len() {
            return false;
        }
        self.answered[from.index()] = true;
        self.answers += 1;
        if keep_tags && !found.is_empty() {
            self.tags.push((from, found.iter().map(|found| found.tag).collect()));
        }
        for (newest, found) in self.newest.iter_mut().zip(found) {
            newest.see(found);
        }
        true
    }

    pub(crate) fn has_answered(&self, replica: ReplicaId) -> bool {
        self.answered[replica.index()]
    }

    /// Commands that can still be given back to the client: reads, and writes of which nothing was
    /// stored. They are no part of this trip any more.
    pub(crate) fn give_back(&mut self) -> Vec<CommandId> {
        let mut given: Vec<CommandId> = self.reads.drain(..).map(|(id, _)| id).collect();
        given.extend(self.writes.drain(..).map(|(command, _)| command.id()));
        self.finishing.retain(|finishing| match finishing {
            Finishing::Read { command, .. } => {
                given.push(*command);
                false
            }
            Finishing::Write { .. } => true,
        });
        given
    }

    /// Whether no command waits for it.
    pub(crate) fn is_over(&self) -> bool {
        self.reads.is_empty() && self.writes.is_empty() && self.finishing.is_empty()
    }
}
