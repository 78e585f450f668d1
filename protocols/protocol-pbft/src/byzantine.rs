//! Replicas that lie: an honest core behind something that rewrites what it sends.
//!
//! For tests and benchmarks. A liar has its own keys and no others, so it can say anything in its own name
//! and nothing in another's.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol_core::{
    Boot, Effects, Input, LaunchError, Replica, ReplicaId, Slot, SyncToken, Time, TimerId,
};

use crate::authenticator::{Digest, Proof, Signature};
use crate::batch::Batch;
use crate::certificates::{CheckpointVote, NewView, Seen, ViewChange};
use crate::messages::{Body, PbftMessage, Vote};
use crate::records::Record;
use crate::replica::PbftReplica;
use crate::setup::Setup;

/// What a liar does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behaviour {
    /// Sends nothing.
    Silent,
    /// Sends everything late.
    Slow,
    /// Tells one half of the replicas something else than the other: other batches, other votes.
    Equivocate,
    /// Sends proofs that are none, in every other message.
    CorruptSignatures,
    /// Leaves what it prepared out of view changes, makes up other things that it claims to have prepared,
    /// and as new primary begins with what it likes.
    LyingViewChange,
    /// Sends old messages again, to anyone.
    Replay,
    /// Leaves out some receivers of each message.
    SelectiveSending,
    /// Votes for checkpoints that never were, and hands out a state of its own making.
    WrongState,
    /// Tells clients wrong slots.
    WrongAnswers,
}

impl Behaviour {
    /// All of them.
    pub const ALL: [Behaviour; 9] = [
        Behaviour::Silent,
        Behaviour::Slow,
        Behaviour::Equivocate,
        Behaviour::CorruptSignatures,
        Behaviour::LyingViewChange,
        Behaviour::Replay,
        Behaviour::SelectiveSending,
        Behaviour::WrongState,
        Behaviour::WrongAnswers,
    ];
}

/// The liar's own timer; the core's have small numbers.
const LATE: TimerId = TimerId(1_000);
/// How late [`Behaviour::Slow`] is.
const DELAY: Duration = Duration::from_millis(200);
/// Messages that [`Behaviour::Replay`] remembers.
const REMEMBERED: usize = 256;

/// A replica that may lie.
#[derive(Debug)]
pub struct Byzantine {
    inner: PbftReplica,
    replicas: usize,
    /// None is honest.
    behaviour: Option<Behaviour>,
    random: Random,
    effects: Effects<PbftReplica>,
    late: VecDeque<(Time, ReplicaId, PbftMessage)>,
    sent: Vec<PbftMessage>,
    /// What the other half is told instead of a batch, by sequence number and digest.
    twins: BTreeMap<(u64, Digest), Digest>,
}

impl Byzantine {
    /// A replica that behaves so, or is honest. The seed decides what it makes up.
    pub fn new(
        boot: Boot<Record>,
        setup: &Setup,
        behaviour: Option<Behaviour>,
        seed: u64,
    ) -> Result<Self, LaunchError> {
        let (id, replicas) = (boot.id, boot.replicas);
        Ok(Byzantine {
            inner: PbftReplica::new(boot, setup)?,
            replicas,
            behaviour,
            random: Random(seed ^ (u64::from(id.0) << 32)),
            effects: Effects::default(),
            late: VecDeque::new(),
            sent: Vec::new(),
            twins: BTreeMap::new(),
        })
    }

    /// Passes on what the core wants done, rewritten.
    fn pass_on(&mut self, now: Time, out: &mut Effects<Self>) {
        let Some(behaviour) = self.behaviour else { return out.absorb(&mut self.effects) };
        if behaviour == Behaviour::WrongAnswers {
            for (slot, command) in self.effects.delivered() {
                out.reply(command.id(), Slot(slot.0 + 1), 1);
            }
        }
        for (token, to, message) in self.effects.take_sends() {
            self.rewrite(behaviour, now, token, to, message, out);
        }
        // What rewriting counted, and all that is no message.
        out.absorb(&mut self.effects);
    }

    fn rewrite(
        &mut self,
        behaviour: Behaviour,
        now: Time,
        token: Option<SyncToken>,
        to: ReplicaId,
        message: PbftMessage,
        out: &mut Effects<Self>,
    ) {
        let other_half = fixed_half(to, self.inner.id);
        let body = match (behaviour, message.body.clone()) {
            (Behaviour::Silent, _) => return,
            (Behaviour::Slow, _) => {
                self.late.push_back((now + DELAY, to, message));
                return out.set_timer(LATE, DELAY);
            }
            (Behaviour::SelectiveSending, _) if self.random.one_in(2) => return,
            (Behaviour::CorruptSignatures, _) if self.random.one_in(2) => {
                return post(token, to, corrupted(message), out);
            }
            (Behaviour::Replay, _) => return self.replay(token, to, message, out),
            (Behaviour::Equivocate, body) if other_half => {
                if self.random.one_in(16) {
                    // Now and then it gets them mixed up.
                    post(token, to, message.clone(), out);
                }
                self.twin(body)
            }
            (Behaviour::LyingViewChange, Body::ViewChange(change)) => self.lie_about(&change),
            (Behaviour::LyingViewChange, Body::NewView(new_view)) if other_half => self.begin_otherwise(&new_view),
            (Behaviour::WrongState, Body::Checkpoint(vote)) => {
                Body::Checkpoint(CheckpointVote::new(vote.seq, Digest::of(b"made up"), &self.inner.keys))
            }
            (Behaviour::WrongState, Body::State { certificate, snapshot }) => {
                let mut bytes = snapshot.to_vec();
                bytes.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
                Body::State { certificate, snapshot: Bytes::from(bytes) }
            }
            (Behaviour::WrongState, Body::Committed { seq, .. }) => {
                Body::Committed { seq, digest: Batch::null().digest() }
            }
            _ => return post(token, to, message, out),
        };
        // The core authenticates whatever it is told to.
        self.inner.send(to, body, &mut self.effects);
        for (_, to, message) in self.effects.take_sends() {
            post(token, to, message, out);
        }
    }

    /// The same message about another batch: the requests in reverse, or none if there is but one.
    fn twin(&mut self, body: Body) -> Body {
        let twins = &mut self.twins;
        let told = |vote: Vote, twins: &BTreeMap<(u64, Digest), Digest>| {
            let digest = twins.get(&(vote.seq, vote.digest)).copied().unwrap_or(Digest::of(b"made up"));
            Vote { digest, ..vote }
        };
        match body {
            Body::PrePrepare { view, seq, batch } => {
                let mut entries: Vec<_> = batch.entries().collect();
                entries.reverse();
                entries.truncate(if entries.len() == 1 { 0 } else { entries.len() });
                let twin = Batch::of(entries);
                twins.insert((seq, batch.digest()), twin.digest());
                Body::PrePrepare { view, seq, batch: twin }
            }
            Body::Prepare(vote) => Body::Prepare(told(vote, twins)),
            Body::Commit(vote) => Body::Commit(told(vote, twins)),
            other => other,
        }
    }

    /// A view change without what was prepared, and with other things instead.
    fn lie_about(&mut self, change: &ViewChange) -> Body {
        let low = change.low();
        let made_up = |seq| Seen { seq, view: change.view - 1, digest: Digest::of(b"made up") };
        let seqs: Vec<u64> = (low + 1..=low + 4).filter(|_| self.random.one_in(2)).collect();
        let claims: Vec<Seen> = seqs.into_iter().map(made_up).collect();
        let lie = ViewChange { prepared: claims.clone(), preprepared: claims, ..change.clone() };
        Body::ViewChange(Arc::new(lie.signed(&self.inner.keys)))
    }

    /// A new view that begins with nothing.
    fn begin_otherwise(&mut self, new_view: &NewView) -> Body {
        let lie = NewView { chosen: Vec::new(), ..new_view.clone() };
        Body::NewView(Arc::new(lie.signed(&self.inner.keys)))
    }

    fn replay(
        &mut self,
        token: Option<SyncToken>,
        to: ReplicaId,
        message: PbftMessage,
        out: &mut Effects<Self>,
    ) {
        if self.sent.len() < REMEMBERED {
            self.sent.push(message.clone());
        } else {
            let place = self.random.below(REMEMBERED as u64) as usize;
            self.sent[place] = message.clone();
        }
        post(token, to, message, out);
        if self.random.one_in(3) {
            let old = self.sent[self.random.below(self.sent.len() as u64) as usize].clone();
            let to = ReplicaId(self.random.below(self.replicas as u64) as u32);
            if to != self.inner.id {
                // Tags of old messages to others convince no one; those made anew do.
                self.inner.send(to, old.body, &mut self.effects);
                for (_, to, message) in self.effects.take_sends() {
                    post(token, to, message, out);
                }
            }
        }
    }

    fn send_late(&mut self, now: Time, out: &mut Effects<Self>) {
        while self.late.front().is_some_and(|(due, ..)| *due <= now) {
            if let Some((_, to, message)) = self.late.pop_front() {
                out.send(to, message);
            }
        }
        if let Some((due, ..)) = self.late.front() {
            out.set_timer(LATE, Duration::from_nanos(due.0.saturating_sub(now.0)));
        }
    }
}

/// Which replicas an equivocator tells something else, always the same ones.
fn fixed_half(to: ReplicaId, liar: ReplicaId) -> bool {
    (to.0 + liar.0).is_multiple_of(2)
}

fn post(token: Option<SyncToken>, to: ReplicaId, message: PbftMessage, out: &mut Effects<Byzantine>) {
    match token {
        Some(token) => out.send_after_sync(token, to, message),
        None => out.send(to, message),
    }
}

fn corrupted(mut message: PbftMessage) -> PbftMessage {
    let spoil = |signature: &Signature| {
        let mut bytes = signature.to_bytes();
        bytes[40] ^= 1;
        Signature::from_bytes(&bytes)
    };
    message.proof = match message.proof {
        Proof::Tag(mut tag) => {
            tag[0] ^= 1;
            Proof::Tag(tag)
        }
        Proof::Signature(signature) => Proof::Signature(spoil(&signature)),
        Proof::Inside => Proof::Inside,
    };
    message.body = match message.body {
        Body::Checkpoint(vote) => {
            Body::Checkpoint(CheckpointVote { signature: spoil(&vote.signature), ..vote })
        }
        Body::ViewChange(change) => {
            Body::ViewChange(Arc::new(ViewChange { signature: spoil(&change.signature), ..(*change).clone() }))
        }
        Body::NewView(new_view) => {
            Body::NewView(Arc::new(NewView { signature: spoil(&new_view.signature), ..(*new_view).clone() }))
        }
        other => other,
    };
    message
}

impl Replica for Byzantine {
    type Message = PbftMessage;
    type Record = Record;

    fn step(&mut self, now: Time, input: Input<PbftMessage>, out: &mut Effects<Self>) {
        if matches!(input, Input::Timer(LATE)) {
            return self.send_late(now, out);
        }
        self.inner.step(now, input, &mut self.effects);
        self.pass_on(now, out);
    }

    fn flush(&mut self, now: Time, out: &mut Effects<Self>) {
        self.inner.flush(now, &mut self.effects);
        self.pass_on(now, out);
    }
}

/// SplitMix64: what a liar makes up is repeatable.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
