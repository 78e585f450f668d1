//! One replica: the library's state machine between clients, peers and log.
//!
//! No height begins without a reason, so nothing is proposed and no time-out runs while no one wants
//! anything. A reason is a command that waits here, or messages of that height from f + 1 replicas, of
//! which one is honest and has a reason.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use malachitebft_core_consensus::{Error, Input as CoreInput, LocallyProposedValue, Params, State, process};
use malachitebft_core_types::{
    CommitCertificate, Round, ThresholdParam, ThresholdParams, Timeout, TimeoutKind, ValuePayload,
    VoteExtensionPolicy, VotingPower,
};
use protocol_core::{
    Boot, Command, Effects, Input, LaunchError, Rejection, Replica, ReplicaId, SyncToken, Time, TimerId, View,
};

use crate::LARGEST_BATCH;
use crate::context::{Address, Chain, Height, Validators, proposer};
use crate::host::Host;
use crate::keys::{Keyring, proposal_bytes};
use crate::ledger::{Ledger, Queues};
use crate::messages::{Decision, Snapshot, TendermintMessage};
use crate::records::Record;
use crate::recovery::Recovery;
use crate::setup::TendermintSetup;
use crate::sync::Sync;

/// Timers below these are the library's.
const TICK: TimerId = TimerId(4);
const CHECKPOINT: TimerId = TimerId(5);
/// Heights ahead of which messages are kept.
const HEIGHTS_AHEAD: u64 = 16;
/// Commands told to others at once when a round makes no progress.
const RELAYED: usize = 256;

/// One validator.
pub struct TendermintReplica {
    pub(crate) host: Host,
    core: State<Chain>,
    sync: Sync,
    validators: Validators,
    /// Whether the library is at work on the next height, or waits for a reason.
    running: bool,
    /// By replica, the latest height of which it said something.
    active: Vec<Height>,
    heartbeat: Duration,
    largest_batch: usize,
    recovery: Option<Recovery>,
    /// Whether a wake-up for the checkpoint that is due was asked for.
    awaits_checkpoint: bool,
}

impl TendermintReplica {
    /// A replica that continues where its records end.
    pub fn new(boot: Boot<Record>, setup: &TendermintSetup) -> Result<Self, LaunchError> {
        let Boot { id, replicas, application, records } = boot;
        let keys = Keyring::new(setup.authentication, id, replicas, setup.seed);
        let quorum = ThresholdParam::TWO_F_PLUS_ONE.min_expected(replicas as VotingPower) as usize;
        let ledger = Ledger::new(application, keys.seal_bytes(), quorum * keys.proof_bytes());
        let recovery = Recovery::of(records)?;
        let validators = Validators::new(replicas);
        let params = Params {
            address: Address(id),
            threshold_params: ThresholdParams::default(),
            value_payload: ValuePayload::ProposalOnly,
            enabled: true,
        };
        let (heights, inputs) = (HEIGHTS_AHEAD as usize, 8 * replicas + 16);
        Ok(TendermintReplica {
            host: Host::new((id, replicas), (setup.durable, setup.timeouts()), keys, ledger),
            core: State::new(Chain, Height(1), validators.clone(), params, heights, inputs),
            sync: Sync::new(id, replicas),
            validators,
            running: false,
            active: vec![Height(0); replicas],
            heartbeat: setup.timing.heartbeat,
            largest_batch: setup.settings.get(&LARGEST_BATCH) as usize,
            recovery,
            awaits_checkpoint: false,
        })
    }

    /// Gives the library an input. A refused proposal is answered as one that did not come in time.
    fn feed(&mut self, input: CoreInput<Chain>, effects: &mut Queues) {
        let (core, host) = (&mut self.core, &mut self.host);
        let done: Result<(), Error<Chain>> = process!(
            input: input, state: core, metrics: &(),
            with: effect => Ok::<_, Infallible>(host.carry_out(effect, effects))
        );
        if let Err(error) = done {
            self.host.ledger.violate(format!("malachite: {error}"));
        }
        if let Some(round) = self.host.refused.take()
            && self.core.round() == round
            && self.core.driver.step_is_propose()
        {
            self.feed(CoreInput::TimeoutElapsed(Timeout::propose(round)), effects);
        }
    }

    /// Begins the next height.
    fn start_height(&mut self, replays: bool, effects: &mut Queues) {
        self.running = true;
        let (height, validators) = (self.host.ledger.next(), self.validators.clone());
        let extensions = VoteExtensionPolicy::Disabled;
        self.feed(CoreInput::StartHeight(height, validators, replays, None, extensions), effects);
    }

    /// Goes on after a restart: what was decided is delivered again, and the library is told again what
    /// it knew of the height at hand.
    fn recover(&mut self, recovery: Recovery, effects: &mut Queues) {
        if let Some(snapshot) = recovery.snapshot {
            match self.host.ledger.install(snapshot) {
                Ok(state) => effects.restore(state),
                Err(error) => self.host.ledger.violate(format!("log: {error}")),
            }
        }
        for decision in recovery.decisions {
            self.host.failed_rounds += u64::from(decision.round.as_u32().unwrap_or(0));
            if self.host.ledger.is_checkpoint_due() {
                self.host.ledger.pass_checkpoint();
            }
            self.host.ledger.execute(decision, effects);
        }
        let next = self.host.ledger.next();
        self.host.replayed = recovery.records.into_iter().filter(|record| record.height() == next).collect();
        if !self.host.replayed.is_empty() {
            let known = self.host.replayed.clone();
            let inputs: Vec<_> = known.into_iter().filter_map(Record::into_input).collect();
            self.core.index_wal_entries(&inputs);
            self.start_height(true, effects);
            inputs.into_iter().for_each(|input| self.feed(input, effects));
            self.core.reset_entries_index();
            self.host.replayed.clear();
            // What the library asked for first, it may have got since.
            if !self.core.driver.step_is_propose() {
                self.host.wanted = None;
            }
        }
        self.sync.ask(next, effects);
    }

    fn requests(&mut self, commands: Vec<Command>, effects: &mut Queues) {
        for command in commands {
            let id = command.id();
            match self.host.ledger.place_of(id) {
                Some(slot) => effects.reply(id, slot, 0),
                None if self.host.mempool.holds(&command) || self.host.admit(&command) => {}
                None => effects.reject(Rejection { command: id, leader: None }),
            }
        }
    }

    fn message(&mut self, from: ReplicaId, message: TendermintMessage, effects: &mut Queues) {
        match message {
            TendermintMessage::Vote(vote) => {
                let (height, voter) = (vote.message.height, vote.message.voter);
                if voter == Address(from) && self.concerns(from, height) {
                    self.feed(CoreInput::Vote(vote), effects);
                }
            }
            TendermintMessage::Proposal(proposal) => {
                if !self.concerns(from, proposal.message.height) {
                    return;
                }
                let author = proposal.message.proposer.0;
                if author != from {
                    // Passed on, so its author is not to blame when it is forged.
                    let bytes = proposal_bytes(&proposal.message);
                    if !self.host.keys.holds(author, &bytes, &proposal.signature) {
                        return self.host.accuse(from, "a message whose proof does not hold", effects);
                    }
                }
                self.consider(&proposal.message);
                self.feed(CoreInput::Proposal(proposal), effects);
            }
            TendermintMessage::Polka(certificate) => {
                if self.concerns(from, certificate.height) && self.is_at(certificate.height) {
                    self.feed(CoreInput::PolkaCertificate(Arc::unwrap_or_clone(certificate)), effects);
                }
            }
            TendermintMessage::Round(certificate) => {
                if self.concerns(from, certificate.height) && self.is_at(certificate.height) {
                    self.feed(CoreInput::RoundCertificate(Arc::unwrap_or_clone(certificate)), effects);
                }
            }
            TendermintMessage::Relay(commands) => {
                for command in commands.iter().take(RELAYED) {
                    self.host.admit(command);
                }
            }
            TendermintMessage::Status(height) => {
                self.sync.heard(from, height);
                let pause = (self.host.now, self.heartbeat);
                self.sync.help(from, height, &self.host.ledger, pause, effects);
            }
            TendermintMessage::Decisions(decisions) => self.decisions(from, &decisions, effects),
            TendermintMessage::Snapshot(snapshot) => self.snapshot(from, snapshot, effects),
        }
    }

    /// Whether a message of this height is of use. Those of decided heights come late all the time.
    fn concerns(&mut self, from: ReplicaId, height: Height) -> bool {
        let next = self.host.ledger.next();
        self.sync.heard(from, height);
        let active = &mut self.active[from.index()];
        *active = height.max(*active);
        let open = height > next || (height == next && self.host.decided.is_none());
        open && height.0 <= next.0 + HEIGHTS_AHEAD
    }

    fn is_at(&self, height: Height) -> bool {
        self.running && height == self.host.ledger.next()
    }

    /// A proposal of the height that waits for a reason is one, if its commands are in order.
    fn consider(&mut self, proposal: &crate::context::Proposal) {
        let due = proposer(proposal.height, proposal.round, self.host.replicas);
        if !self.running && proposal.height == self.host.ledger.next() && proposal.proposer.0 == due {
            let commands = proposal.batch.commands();
            commands.iter().take(self.largest_batch).all(|command| self.host.admit(command));
        }
    }

    fn decisions(&mut self, from: ReplicaId, decisions: &[Arc<Decision>], effects: &mut Queues) {
        let next = self.host.ledger.next();
        if !self.sync.learn(from, decisions, next, &mut self.host.keys) {
            self.host.accuse(from, "a decision that is none", effects);
        }
    }

    fn snapshot(&mut self, from: ReplicaId, snapshot: Snapshot, effects: &mut Queues) {
        let next = self.host.ledger.next();
        let Some(snapshot) = self.sync.learn_snapshot(from, snapshot, next) else { return };
        match self.host.ledger.install(snapshot.clone()) {
            Ok(state) => effects.restore(state),
            Err(_) => return self.host.accuse(from, "a snapshot that is none", effects),
        }
        if self.host.durable {
            effects.checkpoint(vec![Record::Snapshot(snapshot)]);
        }
        let ledger = &self.host.ledger;
        self.host.mempool.retain(|id| !ledger.has_executed(id));
        self.leave_height(effects);
        self.sync.ask(self.host.ledger.next(), effects);
    }

    fn timer(&mut self, timer: TimerId, effects: &mut Queues) {
        match timer {
            TICK => {
                self.sync.tick(self.host.ledger.next(), effects);
                effects.set_timer(TICK, self.heartbeat);
            }
            CHECKPOINT => self.awaits_checkpoint = false,
            timer => {
                let Some(timeout) = self.host.timers.ran_out(timer) else { return };
                if timeout.kind == TimeoutKind::Rebroadcast && !self.host.mempool.is_empty() {
                    let waiting = TendermintMessage::Relay(self.host.mempool.oldest(RELAYED).into());
                    effects.broadcast(self.host.me, self.host.replicas, &waiting);
                }
                self.feed(CoreInput::TimeoutElapsed(timeout), effects);
            }
        }
    }

    /// Does what can be done now, until nothing more can.
    fn go_on(&mut self, effects: &mut Queues) {
        let mut learned = false;
        while self.host.ledger.is_checkpoint_due() && self.take_checkpoint(effects)
            || !self.host.ledger.is_checkpoint_due()
        {
            let next = self.host.ledger.next();
            if let Some(decision) = self.sync.take(next) {
                learned = true;
                self.persist(Record::Learned((*decision).clone()), effects);
                self.execute(decision, effects);
            } else if self.host.decided.is_some() {
                // What a client is told must not be lost with the promises that it rests on.
                if !self.host.is_synced() {
                    break;
                }
                self.commit(effects);
            } else if !self.running && self.has_reason() {
                self.start_height(false, effects);
            } else if !self.propose(effects) {
                break;
            }
        }
        if learned && self.sync.is_behind(self.host.ledger.next()) {
            self.sync.ask(self.host.ledger.next(), effects);
        }
    }

    fn take_checkpoint(&mut self, effects: &mut Queues) -> bool {
        match self.host.ledger.take_checkpoint() {
            Some(snapshot) => self.cut_log(snapshot, effects),
            None if !self.awaits_checkpoint => {
                // The driver applies what was delivered before it hands over anything else.
                self.awaits_checkpoint = true;
                effects.set_timer(CHECKPOINT, Duration::ZERO);
                false
            }
            None => false,
        }
    }

    fn cut_log(&mut self, snapshot: Snapshot, effects: &mut Queues) -> bool {
        if self.host.durable {
            effects.checkpoint(vec![Record::Snapshot(snapshot)]);
        }
        true
    }

    /// Proposes what waits here, if the library wants something to propose.
    fn propose(&mut self, effects: &mut Queues) -> bool {
        if self.host.mempool.is_empty() {
            return false;
        }
        let Some((height, round)) = self.host.wanted.take() else { return false };
        let current = self.is_at(height) && self.core.round() == round && self.core.driver.step_is_propose();
        if current {
            let value = self.host.batch(self.largest_batch);
            effects.proposed_batch(value.commands().len() as u64);
            self.feed(CoreInput::Propose(LocallyProposedValue { height, round, value }), effects);
        }
        current
    }

    fn has_reason(&self) -> bool {
        let next = self.host.ledger.next();
        let active = self.active.iter().filter(|&&height| height >= next).count();
        !self.host.mempool.is_empty() || active > (self.host.replicas - 1) / 3
    }

    /// Executes what the library decided.
    fn commit(&mut self, effects: &mut Queues) {
        let (Some(certificate), Some((_, batch))) = (self.host.decided.take(), self.core.decided_value())
        else {
            return;
        };
        let CommitCertificate { height, round, value_id, commit_signatures } = certificate;
        let proofs = commit_signatures.into_iter().map(|commit| (commit.address.0, commit.signature));
        let certificate: Vec<_> = proofs.collect();
        let record = Record::Decided { height, round, batch: value_id, certificate: certificate.clone() };
        self.persist(record, effects);
        self.execute(Arc::new(Decision { height, round, batch, certificate }), effects);
    }

    fn execute(&mut self, decision: Arc<Decision>, effects: &mut Queues) {
        for command in decision.batch.commands() {
            self.host.mempool.remove(command.id());
        }
        self.host.failed_rounds += u64::from(decision.round.as_u32().unwrap_or(0));
        self.host.ledger.execute(decision, effects);
        self.leave_height(effects);
    }

    fn leave_height(&mut self, effects: &mut Queues) {
        self.running = false;
        // Whose turn comes is who is missed next.
        let next = proposer(self.host.ledger.next(), Round::ZERO, self.host.replicas);
        effects.new_view(View(self.host.failed_rounds), Some(next));
        self.host.end_height(effects);
        self.sync.forget_before(self.host.ledger.next());
    }

    fn persist(&self, record: Record, effects: &mut Queues) {
        if self.host.durable {
            effects.persist(record);
        }
    }
}

impl Replica for TendermintReplica {
    type Message = TendermintMessage;
    type Record = Record;

    fn step(&mut self, now: Time, input: Input<TendermintMessage>, effects: &mut Effects<Self>) {
        self.host.now = now;
        match input {
            Input::Start => {
                effects.set_timer(TICK, self.heartbeat);
                if let Some(recovery) = self.recovery.take() {
                    self.recover(recovery, effects);
                }
            }
            Input::Message { from, message } => self.message(from, message, effects),
            Input::Timer(timer) => self.timer(timer, effects),
            Input::Requests(commands) => {
                self.requests(commands, effects);
                self.go_on(effects);
            }
            Input::Link { peer, up: true } => {
                effects.send(peer, TendermintMessage::Status(self.host.ledger.next()));
            }
            Input::Tune { .. } | Input::Link { up: false, .. } | Input::Corrupt(_) => {}
            Input::Synced(SyncToken(token)) => self.host.synced(SyncToken(token)),
        }
    }

    fn flush(&mut self, _now: Time, effects: &mut Effects<Self>) {
        self.go_on(effects);
        self.host.end_round(effects);
    }
}
