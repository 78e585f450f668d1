//! Checkpoints, garbage collection (OSDI '99 §4.3) and state transfer.
//!
//! A checkpoint's digest is that of the application's snapshot, so a certificate also tells a replica that
//! fell behind whether the state that it was given is the right one.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use protocol_core::{Application, ReplicaId};

use crate::authenticator::Digest;
use crate::certificates::{Certificate, CheckpointVote};
use crate::messages::Body;
use crate::records::Record;
use crate::replica::{Out, PbftReplica};

/// Bytes appended to a log on disk before it is rewritten without what is void.
const REWRITE_BYTES: usize = 64 << 20;

/// Checkpoints of this replica and of others.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    /// This replica's own since the last stable one.
    own: BTreeMap<u64, (Digest, Bytes)>,
    /// The latest votes of each replica. Their signatures are looked at once there is a quorum.
    votes: Vec<BTreeMap<u64, CheckpointVote>>,
    /// The last stable one, with the state there.
    pub(crate) stable: Option<(Arc<Certificate>, Bytes)>,
    /// A stable checkpoint that this replica has yet to reach.
    pub(crate) ahead: Option<Arc<Certificate>>,
    /// The checkpoint whose deliveries are still on their way to the application.
    awaited: Option<u64>,
    /// Whether a sync was asked for, after which they have arrived.
    called: bool,
}

impl Checkpoints {
    /// Votes kept per replica.
    const KEPT_VOTES: usize = 8;

    pub(crate) fn new(replicas: usize) -> Self {
        let votes = vec![BTreeMap::new(); replicas];
        Checkpoints { own: BTreeMap::new(), votes, stable: None, ahead: None, awaited: None, called: false }
    }

    fn keep(&mut self, vote: CheckpointVote) {
        let votes = &mut self.votes[vote.replica.index()];
        votes.entry(vote.seq).or_insert(vote);
        if votes.len() > Self::KEPT_VOTES {
            votes.pop_first();
        }
    }

    /// A state that so many replicas voted for, with their votes in order of replica.
    fn elected(&self, seq: u64, quorum: usize) -> Option<(Digest, Vec<CheckpointVote>)> {
        let votes: Vec<CheckpointVote> =
            self.votes.iter().filter_map(|votes| votes.get(&seq)).copied().collect();
        votes.iter().find_map(|candidate| {
            let same = votes.iter().filter(|vote| vote.state == candidate.state);
            let same: Vec<CheckpointVote> = same.copied().take(quorum).collect();
            (same.len() == quorum).then_some((candidate.state, same))
        })
    }
}

impl PbftReplica {
    /// After every so many sequence numbers, votes for the state there. False while the application has
    /// yet to apply what was delivered before.
    pub(crate) fn take_checkpoint(&mut self, out: &mut Out) -> bool {
        let seq = self.executed;
        if !seq.is_multiple_of(self.options.checkpoint_interval)
            || seq == self.log.low()
            || self.checkpoints.own.contains_key(&seq)
        {
            return true;
        }
        if self.application.log().last_slot() != self.last_slot {
            if self.checkpoints.awaited != Some(seq) {
                (self.checkpoints.awaited, self.checkpoints.called) = (Some(seq), false);
            }
            return false;
        }
        self.checkpoints.awaited = None;
        let (_, snapshot) = self.application.snapshot();
        let state = Digest::of(&snapshot);
        let vote = CheckpointVote::new(seq, state, &self.keys);
        out.signed(1);
        self.checkpoints.own.insert(seq, (state, snapshot));
        self.broadcast(Body::Checkpoint(vote), out);
        self.checkpoints.keep(vote);
        self.check_stable(seq, out);
        if let Some(ahead) = self.checkpoints.ahead.take_if(|ahead| ahead.seq <= seq) {
            self.on_proof(ahead, out);
        }
        true
    }

    /// Whether the application is being waited for, and no one has been asked to say when it is ready.
    pub(crate) fn awaits_application(&mut self) -> bool {
        self.checkpoints.awaited.is_some() && !std::mem::replace(&mut self.checkpoints.called, true)
    }

    /// CHECKPOINT.
    pub(crate) fn on_checkpoint(&mut self, from: ReplicaId, vote: CheckpointVote, out: &mut Out) {
        if vote.replica != from || !vote.seq.is_multiple_of(self.options.checkpoint_interval) {
            return self.accuse(from, "sent a CHECKPOINT that is not its own or of no checkpoint", out);
        }
        self.checkpoints.keep(vote);
        self.check_stable(vote.seq, out);
    }

    /// Makes a certificate of a quorum's votes. When their signatures don't hold together, finds out whose
    /// is false, and tries without.
    fn check_stable(&mut self, seq: u64, out: &mut Out) {
        let quorum = self.quorums.certificate();
        if seq <= self.log.low() || self.checkpoints.ahead.as_ref().is_some_and(|ahead| ahead.seq >= seq) {
            return;
        }
        while let Some((state, votes)) = self.checkpoints.elected(seq, quorum) {
            let signatures = votes.iter().map(|vote| (vote.replica, vote.signature)).collect();
            let certificate = Certificate { seq, state, votes: signatures };
            if self.believes(&certificate, out) {
                return self.on_proof(Arc::new(certificate), out);
            }
            out.verified(votes.len() as u64);
            let liars: Vec<_> = votes.iter().filter(|vote| !vote.is_signed(&self.keys)).collect();
            if liars.is_empty() {
                return;
            }
            for liar in liars {
                self.checkpoints.votes[liar.replica.index()].remove(&seq);
                self.accuse(liar.replica, "sent a CHECKPOINT with a false signature", out);
            }
        }
    }

    pub(crate) fn believes(&self, certificate: &Certificate, out: &mut Out) -> bool {
        if self.quorums.believes_everything() {
            return true;
        }
        out.verified(certificate.votes.len() as u64);
        certificate.is_proof(&self.quorums, &self.keys)
    }

    /// A certificate that someone shows.
    pub(crate) fn on_certificate(&mut self, from: ReplicaId, certificate: Arc<Certificate>, out: &mut Out) {
        if certificate.seq <= self.log.low() {
            return;
        }
        if self.believes(&certificate, out) {
            self.on_proof(certificate, out);
        } else {
            self.accuse(from, "showed a certificate that proves nothing", out);
        }
    }

    /// A checkpoint is stable: either this replica was there with the same state, or it is behind.
    pub(crate) fn on_proof(&mut self, certificate: Arc<Certificate>, out: &mut Out) {
        let own = self.checkpoints.own.get(&certificate.seq);
        match own {
            Some((state, snapshot)) if *state == certificate.state => {
                let snapshot = snapshot.clone();
                self.collect_garbage(certificate, snapshot, out);
            }
            _ if certificate.seq > self.executed || self.checkpoints.awaited == Some(certificate.seq) => {
                let known = self.checkpoints.ahead.as_ref().map_or(0, |ahead| ahead.seq);
                if certificate.seq > known {
                    self.checkpoints.ahead = Some(certificate);
                }
            }
            _ => {}
        }
    }

    /// Raises the low watermark to a stable checkpoint, and forgets everything below.
    fn collect_garbage(&mut self, certificate: Arc<Certificate>, snapshot: Bytes, out: &mut Out) {
        let seq = certificate.seq;
        if seq <= self.log.low() {
            return;
        }
        self.log.advance(seq);
        let Checkpoints { own, votes, .. } = &mut self.checkpoints;
        own.retain(|&kept, _| kept > seq);
        votes.iter_mut().for_each(|votes| votes.retain(|&kept, _| kept > seq));
        self.incomplete.retain(|&kept| kept > seq);
        self.checkpoints.stable = Some((certificate.clone(), snapshot.clone()));
        self.checkpoints.ahead.take_if(|ahead| ahead.seq <= seq);
        self.next = self.next.max(seq + 1);
        if self.durability.bytes > REWRITE_BYTES {
            self.rewrite_log(out);
        } else {
            self.persist(out, || Record::Stable(certificate, snapshot));
        }
        // Sequence numbers that the view began with may only now be between the watermarks.
        self.adopt_chosen(out);
    }

    /// Asks the next replica for the state that this one is behind.
    pub(crate) fn fetch_state(&mut self, out: &mut Out) {
        if let Some(seq) = self.checkpoints.ahead.as_ref().map(|ahead| ahead.seq) {
            let to = self.next_peer();
            self.send(to, Body::FetchState { seq }, out);
        }
    }

    /// Gives the state of the last stable checkpoint.
    pub(crate) fn on_fetch_state(&mut self, from: ReplicaId, seq: u64, out: &mut Out) {
        let Some((certificate, snapshot)) = &self.checkpoints.stable else { return };
        if certificate.seq >= seq {
            let (certificate, snapshot) = (certificate.clone(), snapshot.clone());
            self.send(from, Body::State { certificate, snapshot }, out);
        }
    }

    /// A state, which is taken over when the certificate is a proof of just that.
    pub(crate) fn on_state(
        &mut self,
        from: ReplicaId,
        certificate: Arc<Certificate>,
        snapshot: Bytes,
        out: &mut Out,
    ) {
        if certificate.seq <= self.executed {
            return;
        }
        let proved = self.believes(&certificate, out);
        let right = self.quorums.believes_everything() || Digest::of(&snapshot) == certificate.state;
        if !proved || !right || !self.load(&snapshot) {
            return self.accuse(from, "sent a state that its certificate does not prove", out);
        }
        out.restore(snapshot.clone());
        self.executed = certificate.seq;
        let executed = &self.executed_ids;
        self.pool.retain(|id| !executed.contains(id));
        self.checkpoints.awaited = None;
        self.collect_garbage(certificate, snapshot, out);
    }

    /// Reads out of a snapshot which requests took effect, and in which slot the last one did.
    pub(crate) fn load(&mut self, snapshot: &Bytes) -> bool {
        let scratch = Application::default();
        if scratch.restore(snapshot.clone()).is_err() {
            return false;
        }
        let log = scratch.log();
        self.executed_ids = log.ids().clone();
        self.last_slot = log.last_slot();
        true
    }
}
