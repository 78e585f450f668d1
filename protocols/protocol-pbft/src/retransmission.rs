//! What keeps a replica going when messages are lost: each says how far it is, and the others send it what
//! it lacks. The receiver asks, as in the library of the TOCS 2002 paper (§5.2), so that nobody sends twice
//! to those who need nothing.

use protocol_core::{Command, ReplicaId, Wire};

use crate::authenticator::Digest;
use crate::batch::Batch;
use crate::log::{Content, Request};
use crate::messages::{Body, Status, Vote};
use crate::replica::{FETCH, Out, PbftReplica, TICK};

/// Sequence numbers whose votes are sent again in answer to one status.
const RESENT: u64 = 16;
/// Bytes of requests in one answer, about.
const CONTENT_BYTES: usize = 4 << 20;
/// Requests that are asked for at once.
const MOST_MISSING: usize = 16_384;

impl PbftReplica {
    /// Tells the others how far it is: one of them in turn, or all when it got nowhere since the last time.
    pub(crate) fn on_tick(&mut self, out: &mut Out) {
        out.set_timer(TICK, self.options.tick);
        let moved = self.executed != self.executed_at_tick || self.view != self.view_at_tick;
        (self.executed_at_tick, self.view_at_tick) = (self.executed, self.view);
        let behind = self.checkpoints.ahead.is_some() || self.others_executed() > self.executed;
        let busy = !self.active || behind || !self.pool.is_empty() || self.log.last() > self.executed;
        let stuck = busy && !moved;
        let status = Body::Status(Status {
            view: self.view,
            active: self.active,
            stable: self.log.low(),
            executed: self.executed,
            stuck,
        });
        if stuck {
            self.broadcast(status, out);
            self.fetch_state(out);
        } else {
            let to = self.next_peer();
            self.send(to, status, out);
        }
    }

    /// What f + 1 others, one of them honest, say to have executed.
    fn others_executed(&self) -> u64 {
        let mut claims = self.claimed.clone();
        claims.sort_unstable_by(|a, b| b.cmp(a));
        claims.get(self.quorums.honest() - 1).copied().unwrap_or(0)
    }

    /// Sends a peer what it may lack.
    pub(crate) fn on_status(&mut self, from: ReplicaId, status: Status, out: &mut Out) {
        let claimed = &mut self.claimed[from.index()];
        *claimed = status.executed.max(*claimed);
        let waits = status.view == self.view && !status.active && status.stuck;
        if status.view < self.view || waits {
            let own = self.changes[self.id.index()].clone().filter(|change| change.view == self.view);
            match (&self.new_view, own) {
                (Some(new_view), _) if self.active => self.send(from, Body::NewView(new_view.clone()), out),
                (_, Some(change)) if !self.active => self.send(from, Body::ViewChange(change), out),
                _ => {}
            }
        }
        if !status.stuck {
            return;
        }
        // Without a certificate its watermarks stay where they are, even if it executed as much.
        if status.stable < self.log.low()
            && let Some((certificate, _)) = &self.checkpoints.stable
        {
            self.send(from, Body::Stable(certificate.clone()), out);
        }
        let last = self.log.last().min(status.executed.saturating_add(RESENT));
        for seq in status.executed.saturating_add(1)..=last {
            self.send_again(from, seq, out);
        }
    }

    /// That a sequence number is committed, or else this replica's own part in it in the current view.
    fn send_again(&mut self, to: ReplicaId, seq: u64, out: &mut Out) {
        let (view, leads) = (self.view, self.leads());
        let Some(slot) = self.log.get(seq) else { return };
        if let Some(digest) = slot.committed {
            return self.send(to, Body::Committed { seq, digest }, out);
        }
        if !self.active {
            return;
        }
        let Some(digest) = slot.proposal else { return };
        let vote = Vote { view, seq, digest };
        let (prepared, committed) = (slot.sent_prepare, slot.sent_commit);
        let batch = slot.content(&digest).map(|content| content.batch.clone());
        match batch {
            Some(batch) if leads => self.send(to, Body::PrePrepare { view, seq, batch }, out),
            _ if prepared && !leads => self.send(to, Body::Prepare(vote), out),
            _ => {}
        }
        if committed {
            self.send(to, Body::Commit(vote), out);
        }
    }

    /// A batch misses something. Clients send to all, so it is likely to be on its way; asked for it is
    /// only after a while.
    pub(crate) fn fetch_later(&mut self, out: &mut Out) {
        if !std::mem::replace(&mut self.fetching, true) {
            out.set_timer(FETCH, self.options.tick / 10);
        }
    }

    /// Asks for what batches miss: the primary, who proposed them, and another in turn.
    pub(crate) fn on_fetch_timer(&mut self, out: &mut Out) {
        self.fetching = false;
        let (me, primary, other) = (self.id, self.primary(), self.next_peer());
        let asked: Vec<u64> = self.incomplete.iter().copied().take(RESENT as usize).collect();
        for seq in asked {
            let Some(slot) = self.log.get(seq) else { continue };
            let Some(digest) = slot.wanted() else { continue };
            let content = slot.content(&digest);
            let missing: Vec<u32> = content
                .map_or(Vec::new(), |content| content.missing.iter().copied().take(MOST_MISSING).collect());
            for to in [primary, other].into_iter().filter(|&to| to != me) {
                self.send(to, Body::Fetch { seq, digest, missing: missing.clone() }, out);
            }
        }
        if !self.incomplete.is_empty() {
            self.fetch_later(out);
        }
    }

    /// Gives what it has of a batch.
    pub(crate) fn on_fetch(
        &mut self,
        from: ReplicaId,
        seq: u64,
        digest: Digest,
        missing: &[u32],
        out: &mut Out,
    ) {
        let Some(content) = self.log.get(seq).and_then(|slot| slot.content(&digest)) else { return };
        let mut bytes = 0;
        let requests = missing.iter().filter_map(|&place| {
            let request = content.requests.get(place as usize)?.as_ref()?;
            Some((place, request.command.clone()))
        });
        let requests = requests.take_while(|(_, command)| {
            let fits = bytes < CONTENT_BYTES;
            bytes += command.encoded_len();
            fits
        });
        let requests = requests.collect();
        let batch = content.batch.clone();
        self.send(from, Body::Content { seq, batch, requests }, out);
    }

    /// What was asked for. Digests tell whether it is the right thing, whoever sends it.
    pub(crate) fn on_content(
        &mut self,
        seq: u64,
        batch: Batch,
        requests: Vec<(u32, Command)>,
        out: &mut Out,
    ) {
        let Some(slot) = self.log.get_mut(seq) else { return };
        let digest = batch.digest();
        if slot.wanted() != Some(digest) {
            return;
        }
        if slot.content(&digest).is_none() {
            if !batch.is_genuine() {
                return;
            }
            self.offer(seq, batch);
        }
        let Some(content) = self.log.get_mut(seq).and_then(|slot| slot.content_mut(&digest)) else { return };
        for (place, command) in requests {
            let Some(entry) = content.batch.entry(place as usize) else { continue };
            let Some(opened) = self.seal.open(&command, &self.keys) else { continue };
            if opened.digest != entry.digest || content.requests[place as usize].is_some() {
                continue;
            }
            if opened.authentic && !self.executed_ids.contains(entry.id) {
                // From here on this replica minds that it is executed, whoever leads.
                self.pool.insert(command.clone(), opened.digest);
            }
            content.requests[place as usize] = Some(Request { command, authentic: opened.authentic });
        }
        let Content { requests, missing, .. } = content;
        missing.retain(|&place| requests[place as usize].is_none());
        self.complete(seq, out);
    }
}
