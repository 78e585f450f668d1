//! The three phases, and execution (OSDI '99 §4.2).

use protocol_core::{ReplicaId, Slot};

use crate::authenticator::Digest;
use crate::batch::Batch;
use crate::log::{Cast, Content};
use crate::messages::{Body, Vote, primary_of};
use crate::records::Record;
use crate::replica::{Out, PbftReplica};

/// Slots per sequence number, and so requests per batch at most.
pub(crate) const SLOTS_PER_BATCH: u64 = 1 << 16;

impl PbftReplica {
    /// As primary, gives batches of waiting requests the next sequence numbers, for as long as the window
    /// and the watermarks allow.
    pub(crate) fn propose(&mut self, out: &mut Out) {
        while self.leads()
            && self.next <= self.log.high()
            && self.next.saturating_sub(self.executed + 1) < self.options.window
        {
            let entries = self.pool.next_batch(self.options.largest_batch);
            if entries.is_empty() {
                return;
            }
            let (view, seq, batch) = (self.view, self.next, Batch::of(entries));
            self.next += 1;
            let Some(slot) = self.log.entry(seq) else { return };
            slot.proposal = Some(batch.digest());
            slot.contents.push(Content::new(batch.clone()));
            out.proposed_batch(batch.len() as u64);
            self.complete(seq, out);
            self.broadcast(Body::PrePrepare { view, seq, batch }, out);
        }
    }

    /// PRE-PREPARE: accepted when it is of the current view's primary, between the watermarks, and the
    /// first for its sequence number in this view.
    pub(crate) fn on_pre_prepare(
        &mut self,
        from: ReplicaId,
        view: u64,
        seq: u64,
        batch: Batch,
        out: &mut Out,
    ) {
        if from != primary_of(view, self.replicas) {
            return self.accuse(from, "sent a PRE-PREPARE in a view that it does not lead", out);
        }
        let (current, active, settled) = (self.view, self.active, self.settled);
        let Some(slot) = self.log.entry(seq) else { return };
        if view > current || (view == current && !active) {
            // The NEW-VIEW may be on its way; without this the batch would wait for a retransmission.
            if slot.early.as_ref().is_none_or(|(early, _)| *early < view) {
                slot.early = Some((view, batch));
            }
            return;
        }
        let digest = batch.digest();
        let is_known = slot.content(&digest).is_some();
        if batch.len() as u64 > SLOTS_PER_BATCH || !(is_known || batch.is_genuine()) {
            return self.accuse(from, "sent a batch that is not what its digest says", out);
        }
        if view == current {
            match slot.proposal {
                Some(accepted) if accepted != digest => {
                    return self.accuse(from, "proposed two batches for one sequence number", out);
                }
                // The view began with something else, if only with nothing.
                None if seq <= settled => {
                    return self.accuse(from, "proposed anew what its NEW-VIEW had settled", out);
                }
                _ => slot.proposal = Some(digest),
            }
        }
        if slot.wanted() == Some(digest) {
            self.offer(seq, batch);
            self.complete(seq, out);
        }
    }

    /// Takes a batch's list of names, which is genuine.
    pub(crate) fn offer(&mut self, seq: u64, batch: Batch) {
        if let Some(slot) = self.log.entry(seq)
            && slot.content(&batch.digest()).is_none()
        {
            slot.contents.push(Content::new(batch));
        }
    }

    /// Looks for what a sequence number's batch still misses, and goes on when nothing is.
    pub(crate) fn complete(&mut self, seq: u64, out: &mut Out) {
        let Some(slot) = self.log.get_mut(seq) else { return };
        let Some(digest) = slot.wanted() else { return };
        let complete = slot.content_mut(&digest).is_some_and(|content| {
            if !content.is_complete() {
                content.fill(&self.executed_ids, |_, entry| self.pool.find(entry));
            }
            content.is_complete()
        });
        if complete {
            self.incomplete.remove(&seq);
            self.accept(seq, out);
        } else {
            self.incomplete.insert(seq);
            self.fetch_later(out);
        }
    }

    /// Clients' requests came in: maybe batches waited for them.
    pub(crate) fn complete_batches(&mut self, out: &mut Out) {
        for seq in std::mem::take(&mut self.incomplete) {
            self.complete(seq, out);
        }
    }

    /// Sends PREPARE for what the primary proposed, once each of its requests is known to be its client's:
    /// by the client's own seal, or because f + 1 replicas, one of them honest, stand behind the batch.
    /// The primary's PRE-PREPARE takes its PREPARE's place.
    fn accept(&mut self, seq: u64, out: &mut Out) {
        let (view, primary, honest) = (self.view, self.primary(), self.quorums.honest());
        let Some(slot) = self.log.get_mut(seq).filter(|slot| self.active && !slot.sent_prepare) else {
            return;
        };
        let Some(digest) = slot.proposal else { return };
        let Some(content) = slot.content(&digest).filter(|content| content.is_complete()) else { return };
        let backers = slot.prepares.backers(&digest) | 1 << primary.0;
        if !(slot.chosen || content.is_authentic() || backers.count_ones() as usize >= honest) {
            return;
        }
        let persisted = slot.preprepared.iter().any(|(known, _)| *known == digest);
        slot.sent_prepare = true;
        slot.preprepare(view, digest);
        let vote = Vote { view, seq, digest };
        if !persisted {
            self.persist_content(seq, &digest, out);
        }
        self.persist(out, || Record::PrePrepared(vote));
        if primary != self.id {
            self.vote(Body::Prepare(vote), out);
        }
        self.check_prepared(seq, out);
    }

    fn persist_content(&mut self, seq: u64, digest: &Digest, out: &mut Out) {
        if !self.options.durable {
            return;
        }
        let record =
            self.log.get(seq).and_then(|slot| slot.content(digest)).map(|content| content.record(seq));
        if let Some(record) = record {
            self.persist(out, || record);
        }
    }

    /// PREPARE of a backup.
    pub(crate) fn on_prepare(&mut self, from: ReplicaId, vote: Vote, out: &mut Out) {
        let Some(slot) = self.log.entry(vote.seq) else { return };
        if slot.prepares.cast(vote.view, vote.digest, from) == Cast::Contradiction {
            return self.accuse(from, "prepared two batches for one sequence number", out);
        }
        if vote.view == self.view && self.active {
            // It may be the one that makes f + 1.
            self.accept(vote.seq, out);
            self.check_prepared(vote.seq, out);
        }
    }

    /// *prepared*: the PRE-PREPARE and 2f PREPAREs that match it are in the log. Then COMMIT.
    fn check_prepared(&mut self, seq: u64, out: &mut Out) {
        let (view, needed) = (self.view, self.quorums.prepares());
        let Some(slot) = self.log.get_mut(seq) else { return };
        let Some(digest) = slot.proposal.filter(|_| slot.sent_prepare && !slot.sent_commit) else { return };
        if slot.prepares.count(view, &digest) < needed {
            return;
        }
        slot.sent_commit = true;
        slot.prepared = Some((view, digest));
        let vote = Vote { view, seq, digest };
        self.persist(out, || Record::Prepared(vote));
        self.vote(Body::Commit(vote), out);
    }

    /// COMMIT. A quorum of them in one view, f + 1 of them honest, proves *committed* by itself: a replica
    /// that missed the phases before needs no more to execute.
    pub(crate) fn on_commit(&mut self, from: ReplicaId, vote: Vote, out: &mut Out) {
        let needed = self.quorums.commits();
        let Some(slot) = self.log.entry(vote.seq) else { return };
        if slot.commits.cast(vote.view, vote.digest, from) == Cast::Contradiction {
            return self.accuse(from, "committed two batches for one sequence number", out);
        }
        if slot.committed.is_none() && slot.commits.elected(needed).is_some() {
            slot.committed = slot.commits.elected(needed);
            self.complete(vote.seq, out);
        }
    }

    /// Another replica knows this batch committed.
    pub(crate) fn on_committed(&mut self, from: ReplicaId, seq: u64, digest: Digest, out: &mut Out) {
        let honest = self.quorums.honest();
        let Some(slot) = self.log.entry(seq).filter(|slot| slot.committed.is_none()) else { return };
        // Views don't matter: what is committed in one is committed in all.
        slot.claims.cast(0, digest, from);
        if slot.claims.elected(honest) == Some(digest) {
            slot.committed = Some(digest);
            self.complete(seq, out);
        }
    }

    /// Executes what is committed, in order of sequence numbers, each request once.
    pub(crate) fn execute(&mut self, out: &mut Out) {
        // At a checkpoint nothing more is executed until its state is taken.
        while self.take_checkpoint(out) {
            let seq = self.executed + 1;
            let Some(slot) = self.log.get(seq) else { break };
            let Some(digest) = slot.committed else { break };
            if slot.content(&digest).is_none_or(|content| !content.is_executable(&self.executed_ids)) {
                self.complete(seq, out);
                break;
            }
            self.execute_batch(seq, &digest, out);
            self.failures = 0;
        }
        if self.options.tentative {
            self.answer_early(out);
        }
    }

    fn execute_batch(&mut self, seq: u64, digest: &Digest, out: &mut Out) {
        let PbftReplica { log, executed_ids, pool, seal, last_slot, .. } = self;
        let content = log.get(seq).and_then(|slot| slot.content(digest));
        let requests = content.into_iter().flat_map(|content| &content.requests);
        for (slot, request) in slots(seq).zip(requests) {
            // Those without a request were executed before; so were some others, if a primary repeats one.
            let Some(request) = request else { continue };
            let Some(command) = seal.strip(&request.command) else { continue };
            if executed_ids.insert(command.id()) {
                pool.executed(command.id(), slot);
                *last_slot = Some(slot);
                out.deliver(slot, command);
            }
        }
        self.executed = seq;
        self.incomplete.remove(&seq);
    }

    /// Tentative execution (TOCS 2002 §5.1.2): answers clients when a batch is prepared and all before it are
    /// executed. Clients then wait for a quorum of equal answers, so that a quorum has prepared it. The
    /// application itself sees a batch only once it is committed, so there is nothing to undo.
    fn answer_early(&mut self, out: &mut Out) {
        let seq = self.executed + 1;
        let executed_ids = &self.executed_ids;
        let Some(slot) = self.log.get_mut(seq).filter(|slot| slot.sent_commit && !slot.tentative) else {
            return;
        };
        let Some(digest) = slot.proposal else { return };
        let Some(content) = slot.content(&digest).filter(|content| content.is_complete()) else { return };
        for (place, request) in slots(seq).zip(&content.requests) {
            if let Some(request) = request.as_ref().filter(|it| !executed_ids.contains(it.command.id())) {
                out.reply(request.command.id(), place, 0);
            }
        }
        slot.tentative = true;
    }
}

/// The slots of a sequence number's requests: the same on every replica, whatever it skips.
fn slots(seq: u64) -> impl Iterator<Item = Slot> {
    (seq * SLOTS_PER_BATCH..(seq + 1) * SLOTS_PER_BATCH).map(Slot)
}
