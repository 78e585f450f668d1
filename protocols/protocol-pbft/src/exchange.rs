//! What goes out and comes in: proofs are made and checked here, and what binds this replica waits until it
//! is durable.

use std::collections::BTreeMap;

use protocol_core::{ReplicaId, SyncToken};

use crate::authenticator::{Authentication, Claim, Proof};
use crate::messages::{Body, PbftMessage, Statement, Vote, primary_of};
use crate::records::Record;
use crate::replica::{Out, PbftReplica};

/// Which records are durable.
#[derive(Debug, Default)]
pub(crate) struct Durability {
    /// The last sync that was asked for.
    asked: u64,
    /// The last that was asked for because of records.
    needed: u64,
    /// The last that was done.
    done: u64,
    /// Whether there are records after the last sync that was asked for.
    dirty: bool,
    /// Bytes written since the log was last rewritten.
    pub(crate) bytes: usize,
}

impl Durability {
    /// The sync that makes everything written so far durable; none when it is.
    fn pending(&self) -> Option<SyncToken> {
        let last = if self.dirty { self.asked + 1 } else { self.needed };
        (last > self.done).then_some(SyncToken(last))
    }

    /// Whether there are records after the last sync that was asked for.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Asks for a sync.
    pub(crate) fn ask(&mut self) -> SyncToken {
        self.asked += 1;
        if std::mem::take(&mut self.dirty) {
            self.needed = self.asked;
        }
        SyncToken(self.asked)
    }

    /// The log was replaced, which has to be synced like anything written.
    pub(crate) fn rewritten(&mut self) {
        self.dirty = true;
    }
}

/// A vote of this replica that does not count before its records are durable.
#[derive(Debug)]
pub(crate) struct HeldVote {
    until: SyncToken,
    body: Body,
}

impl PbftReplica {
    /// Writes what must survive a crash.
    pub(crate) fn persist(&mut self, out: &mut Out, record: impl FnOnce() -> Record) {
        if self.options.durable {
            let record = record();
            self.durability.bytes += protocol_core::Wire::encoded_len(&record);
            self.durability.dirty = true;
            out.persist(record);
        }
    }

    pub(crate) fn send(&mut self, to: ReplicaId, body: Body, out: &mut Out) {
        let proof = self.prove(to, &body, &body.statement(), out);
        self.post(to, PbftMessage { body, proof }, out);
    }

    pub(crate) fn broadcast(&mut self, body: Body, out: &mut Out) {
        let statement = body.statement();
        if self.options.authentication == Authentication::Mac && !body.proves_itself() {
            for to in self.peers() {
                let proof = self.prove(to, &body, &statement, out);
                self.post(to, PbftMessage { body: body.clone(), proof }, out);
            }
            return;
        }
        let proof = self.prove(self.id, &body, &statement, out);
        for to in self.peers() {
            self.post(to, PbftMessage { body: body.clone(), proof }, out);
        }
    }

    fn prove(&self, to: ReplicaId, body: &Body, statement: &Statement, out: &mut Out) -> Proof {
        match self.options.authentication {
            _ if body.proves_itself() => Proof::Inside,
            Authentication::Mac => {
                out.maced(1);
                Proof::Tag(self.keys.tag(to, statement.bytes()))
            }
            Authentication::Signature => {
                out.signed(1);
                Proof::Signature(self.keys.sign(statement.bytes()))
            }
        }
    }

    fn post(&self, to: ReplicaId, message: PbftMessage, out: &mut Out) {
        match self.durability.pending().filter(|_| message.body.is_promise()) {
            Some(token) => out.send_after_sync(token, to, message),
            None => out.send(to, message),
        }
    }

    /// Sends a vote to all, and counts it here once it can't be forgotten.
    pub(crate) fn vote(&mut self, body: Body, out: &mut Out) {
        self.broadcast(body.clone(), out);
        match self.durability.pending() {
            Some(until) => self.held.push_back(HeldVote { until, body }),
            None => self.take(self.id, body, out),
        }
    }

    pub(crate) fn synced(&mut self, token: SyncToken, out: &mut Out) {
        self.durability.done = self.durability.done.max(token.0);
        while self.held.front().is_some_and(|held| held.until <= token) {
            if let Some(HeldVote { body, .. }) = self.held.pop_front() {
                self.take(self.id, body, out);
            }
        }
    }

    /// A message came in. Tags are checked here, signatures of a whole round together.
    pub(crate) fn receive(&mut self, from: ReplicaId, message: PbftMessage, out: &mut Out) {
        if from.index() >= self.replicas || from == self.id || self.needs_not(from, &message.body) {
            return;
        }
        let PbftMessage { body, proof } = &message;
        match (self.options.authentication, proof) {
            _ if body.proves_itself() => self.take(from, message.body, out),
            (Authentication::Mac, Proof::Tag(tag)) => {
                out.maced(1);
                if self.keys.check_tag(from, body.statement().bytes(), tag) {
                    self.take(from, message.body, out);
                } else {
                    self.accuse(from, "sent a message with a false authentication code", out);
                }
            }
            (Authentication::Signature, Proof::Signature(_)) => self.unchecked.push((from, message)),
            _ => self.accuse(from, "sent a message without the proof that is asked for", out),
        }
    }

    /// Checks the round's signatures as one batch. When it fails, one by one, to find who is lying. Of votes
    /// no more are checked than can be needed; the rest is looked at again after them.
    pub(crate) fn check_signatures(&mut self, out: &mut Out) {
        while !self.unchecked.is_empty() {
            let round = self.next_unchecked();
            let statements: Vec<Statement> =
                round.iter().map(|(_, message)| message.body.statement()).collect();
            let claims: Vec<Claim<'_>> = round
                .iter()
                .zip(&statements)
                .filter_map(|((by, message), statement)| match &message.proof {
                    Proof::Signature(signature) => {
                        Some(Claim { by: *by, statement: statement.bytes(), signature })
                    }
                    Proof::Tag(_) | Proof::Inside => None,
                })
                .collect();
            out.verified(claims.len() as u64);
            let valid: Vec<bool> = if self.keys.verify_all(&claims) {
                vec![true; claims.len()]
            } else {
                out.verified(claims.len() as u64);
                claims.iter().map(|it| self.keys.verify(it.by, it.statement, it.signature)).collect()
            };
            for ((from, message), valid) in round.into_iter().zip(valid) {
                if valid {
                    self.take(from, message.body, out);
                } else {
                    self.accuse(from, "sent a message with a false signature", out);
                }
            }
        }
    }

    /// The signed messages to check next: all but votes beyond a quorum, which stay for another time.
    fn next_unchecked(&mut self) -> Vec<(ReplicaId, PbftMessage)> {
        let quorum = self.quorums.certificate() - 1;
        let mut votes: BTreeMap<(bool, u64, u64), usize> = BTreeMap::new();
        let waiting = std::mem::take(&mut self.unchecked);
        let needed = waiting.into_iter().filter(|(from, message)| !self.needs_not(*from, &message.body));
        let (round, later) = needed.partition(|(_, message)| {
            let (commits, vote) = match &message.body {
                Body::Prepare(vote) => (false, vote),
                Body::Commit(vote) => (true, vote),
                _ => return true,
            };
            let votes = votes.entry((commits, vote.view, vote.seq)).or_default();
            *votes += 1;
            *votes <= quorum
        });
        self.unchecked = later;
        round
    }

    /// Whether a vote came too late to matter: then its proof is not looked at.
    fn needs_not(&self, from: ReplicaId, body: &Body) -> bool {
        let slot = |vote: &Vote| self.log.get(vote.seq);
        match body {
            Body::Prepare(vote) => {
                vote.seq <= self.log.low()
                    || vote.view < self.view
                    || from == primary_of(vote.view, self.replicas)
                    || (vote.view == self.view && slot(vote).is_some_and(|slot| slot.sent_commit))
            }
            Body::Commit(vote) => {
                vote.seq <= self.executed || slot(vote).is_some_and(|slot| slot.committed.is_some())
            }
            Body::Committed { seq, .. } => *seq <= self.executed,
            Body::Checkpoint(vote) => vote.seq <= self.log.low(),
            _ => false,
        }
    }
}
