//! One replica: what it knows, and the way in and out of it.
//!
//! The protocol's parts are in files of their own, each a set of methods of [`PbftReplica`]: `exchange` (proofs,
//! and what waits for the disk), `agreement` (the three phases and execution), `checkpoint` (garbage collection
//! and state transfer), `view_change`, `retransmission` (what others may lack, and requests that this replica
//! lacks), `recovery` (its log).

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use protocol_core::{
    Application, Boot, Command, CommandId, Effects, IdSet, Input, LaunchError, Misbehaviour, Replica,
    ReplicaId, Slot, Time, TimerId, View,
};

use crate::authenticator::{Authentication, Keyring};
use crate::certificates::{NewView, ViewChange};
use crate::checkpoint::Checkpoints;
use crate::client::SealKind;
use crate::exchange::{Durability, HeldVote};
use crate::log::Log;
use crate::messages::{Body, PbftMessage, primary_of};
use crate::pool::Pool;
use crate::quorums::Quorums;
use crate::records::Record;
use crate::setup::{Options, Setup};

/// What this replica wants done.
pub(crate) type Out = Effects<PbftReplica>;

pub(crate) const TICK: TimerId = TimerId(0);
pub(crate) const SUSPICION: TimerId = TimerId(1);
pub(crate) const FETCH: TimerId = TimerId(2);

/// What the suspicion timer was set for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspicion {
    /// This request is to be executed.
    Request(CommandId),
    /// The primary of this view is to begin it.
    View(u64),
}

/// One replica.
#[derive(Debug)]
pub struct PbftReplica {
    pub(crate) id: ReplicaId,
    pub(crate) replicas: usize,
    pub(crate) quorums: Quorums,
    pub(crate) keys: Keyring,
    pub(crate) seal: SealKind,
    pub(crate) options: Options,
    pub(crate) application: Application,

    /// The view that it is in, or waits to enter.
    pub(crate) view: u64,
    /// Whether it has entered it.
    pub(crate) active: bool,
    pub(crate) log: Log,
    /// The last sequence number that it executed.
    pub(crate) executed: u64,
    /// The requests that took effect, and the slot of the last one.
    pub(crate) executed_ids: IdSet,
    pub(crate) last_slot: Option<Slot>,
    /// The sequence number that it gives out next, as primary.
    pub(crate) next: u64,
    pub(crate) pool: Pool,
    pub(crate) checkpoints: Checkpoints,

    /// The latest view change of each replica.
    pub(crate) changes: Vec<Option<Arc<ViewChange>>>,
    /// How the view that it is in began; none for view 0.
    pub(crate) new_view: Option<Arc<NewView>>,
    /// Sequence numbers up to here were decided when the view began.
    pub(crate) settled: u64,
    /// Views that failed one after the other.
    pub(crate) failures: u32,
    pub(crate) suspicion: Option<Suspicion>,

    /// What was executed at the last tick.
    pub(crate) executed_at_tick: u64,
    /// The view that was entered or awaited at the last tick.
    pub(crate) view_at_tick: u64,
    /// What each replica says to have executed.
    pub(crate) claimed: Vec<u64>,
    /// Whose turn it is to be asked.
    pub(crate) turn: u32,
    /// Whether the timer for missing requests is set.
    pub(crate) fetching: bool,
    /// Sequence numbers whose batch waits for requests.
    pub(crate) incomplete: BTreeSet<u64>,

    /// Signed messages of this round, to be checked together.
    pub(crate) unchecked: Vec<(ReplicaId, PbftMessage)>,
    pub(crate) durability: Durability,
    pub(crate) held: VecDeque<HeldVote>,
    accused: BTreeSet<(ReplicaId, &'static str)>,
}

impl PbftReplica {
    /// A replica that continues where its records end.
    pub fn new(boot: Boot<Record>, setup: &Setup) -> Result<Self, LaunchError> {
        let Boot { id, replicas, application, records } = boot;
        let mut replica = PbftReplica {
            id,
            replicas,
            quorums: setup.quorums,
            keys: setup.keys.keyring(id),
            seal: SealKind { authentication: setup.client_authentication, replicas },
            options: setup.options,
            application,
            view: 0,
            active: true,
            log: Log::new(setup.options.log_window),
            executed: 0,
            executed_ids: IdSet::default(),
            last_slot: None,
            next: 1,
            pool: Pool::new(),
            checkpoints: Checkpoints::new(replicas),
            changes: vec![None; replicas],
            new_view: None,
            settled: 0,
            failures: 0,
            suspicion: None,
            executed_at_tick: 0,
            view_at_tick: 0,
            claimed: vec![0; replicas],
            turn: id.0,
            fetching: false,
            incomplete: BTreeSet::new(),
            unchecked: Vec::new(),
            durability: Durability::default(),
            held: VecDeque::new(),
            accused: BTreeSet::new(),
        };
        replica.recover(records)?;
        Ok(replica)
    }

    pub(crate) fn primary(&self) -> ReplicaId {
        primary_of(self.view, self.replicas)
    }

    pub(crate) fn leads(&self) -> bool {
        self.active && self.primary() == self.id
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        let me = self.id;
        ReplicaId::all(self.replicas).filter(move |&peer| peer != me)
    }

    /// The next peer in turn.
    pub(crate) fn next_peer(&mut self) -> ReplicaId {
        self.turn = (self.turn + 1) % self.replicas as u32;
        if self.turn == self.id.0 {
            self.turn = (self.turn + 1) % self.replicas as u32;
        }
        ReplicaId(self.turn)
    }

    /// Doubles with every view that failed (OSDI '99 §4.5.2).
    pub(crate) fn patience(&self) -> Duration {
        self.options.patience * 2u32.saturating_pow(self.failures.min(Options::MOST_DOUBLINGS))
    }

    /// Reports a peer, once for each thing that it does.
    pub(crate) fn accuse(&mut self, replica: ReplicaId, what: &'static str, out: &mut Out) {
        if self.accused.insert((replica, what)) {
            out.misbehaviour(Misbehaviour { replica, what: what.to_string() });
        }
    }

    /// A believable message, of a peer or of this replica itself.
    pub(crate) fn take(&mut self, from: ReplicaId, body: Body, out: &mut Out) {
        match body {
            Body::PrePrepare { view, seq, batch } => self.on_pre_prepare(from, view, seq, batch, out),
            Body::Prepare(vote) => self.on_prepare(from, vote, out),
            Body::Commit(vote) => self.on_commit(from, vote, out),
            Body::Committed { seq, digest } => self.on_committed(from, seq, digest, out),
            Body::Checkpoint(vote) => self.on_checkpoint(from, vote, out),
            Body::ViewChange(change) => self.on_view_change(from, change, out),
            Body::NewView(new_view) => self.on_new_view(new_view, out),
            Body::Status(status) => self.on_status(from, status, out),
            Body::Stable(certificate) => self.on_certificate(from, certificate, out),
            Body::Fetch { seq, digest, missing } => self.on_fetch(from, seq, digest, &missing, out),
            Body::Content { seq, batch, requests } => self.on_content(seq, batch, requests, out),
            Body::FetchState { seq } => self.on_fetch_state(from, seq, out),
            Body::State { certificate, snapshot } => self.on_state(from, certificate, snapshot, out),
        }
    }

    /// Clients' requests (OSDI '99 §4.1). They come to every replica, and every replica answers.
    fn on_requests(&mut self, commands: Vec<Command>, out: &mut Out) {
        match self.seal.authentication {
            Authentication::Mac => out.maced(commands.len() as u64),
            Authentication::Signature => out.verified(commands.len() as u64),
        }
        for command in commands {
            let id = command.id();
            if id.0 >= IdSet::LIMIT {
                continue;
            }
            if self.executed_ids.contains(id) {
                // Whoever asks late, or twice, gets the answer that there is (§4.1: the last reply is kept).
                if let Some(slot) = self.pool.answer(id) {
                    out.reply(id, slot, 0);
                }
                continue;
            }
            let Some(opened) = self.seal.open(&command, &self.keys) else { continue };
            if opened.authentic && self.pool.insert(command, opened.digest) && self.leads() {
                self.pool.enqueue(id);
            }
        }
        self.complete_batches(out);
    }

    /// Moves the suspicion timer to what this replica waits for now (OSDI '99 §4.4, §4.5.2).
    fn mind_suspicion(&mut self, out: &mut Out) {
        let wanted = if self.active {
            let still = match self.suspicion {
                Some(Suspicion::Request(id)) if self.pool.waits(id) => Some(id),
                _ => self.pool.oldest(),
            };
            still.map(Suspicion::Request)
        } else {
            let asked_for = self.changes.iter().flatten().filter(|change| change.view >= self.view);
            let enough = asked_for.count() >= self.quorums.certificate();
            enough.then_some(Suspicion::View(self.view))
        };
        if wanted == self.suspicion {
            return;
        }
        self.suspicion = wanted;
        match wanted {
            Some(_) => out.set_timer(SUSPICION, self.patience()),
            None => out.cancel_timer(SUSPICION),
        }
    }

    fn on_timer(&mut self, timer: TimerId, out: &mut Out) {
        match timer {
            TICK => self.on_tick(out),
            FETCH => self.on_fetch_timer(out),
            SUSPICION => self.on_suspicion(out),
            _ => {}
        }
    }

    fn start(&mut self, out: &mut Out) {
        out.set_timer(TICK, self.options.tick);
        self.restore_application(out);
        if self.active {
            out.new_view(View(self.view), Some(self.primary()));
        } else {
            out.new_view(View(self.view), None);
        }
    }
}

impl Replica for PbftReplica {
    type Message = PbftMessage;
    type Record = Record;

    fn step(&mut self, _now: Time, input: Input<PbftMessage>, out: &mut Out) {
        match input {
            Input::Start => self.start(out),
            Input::Message { from, message } => self.receive(from, message, out),
            Input::Timer(timer) => self.on_timer(timer, out),
            Input::Requests(commands) => self.on_requests(commands, out),
            Input::Synced(token) => self.synced(token, out),
            // What a peer missed while its link was down it asks for by its next status.
            Input::Link { .. } => {}
            Input::Tune { name, value } => self.options.tune(name, value),
            // Lies are told by the wrapper around this replica.
            Input::Corrupt(_) => {}
        }
    }

    fn flush(&mut self, _now: Time, out: &mut Out) {
        self.check_signatures(out);
        self.execute(out);
        self.propose(out);
        self.mind_suspicion(out);
        if self.durability.is_dirty() | self.awaits_application() {
            // Without a log this returns within the round; either way it comes after the deliveries.
            out.sync(self.durability.ask());
        }
    }
}
