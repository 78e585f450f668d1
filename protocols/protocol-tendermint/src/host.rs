//! What the library asks of its host: to send, to prove and check, to remember, to wait.

use std::collections::BTreeSet;
use std::sync::Arc;

use malachitebft_core_consensus::{
    ConsensusMsg, Effect, Input, LivenessMsg, MisbehaviorEvidence, Resumable, Resume, SignedConsensusMsg,
};
use malachitebft_core_types::{CommitCertificate, LinearTimeouts, Round, SignedMessage, Value};
use protocol_core::{Command, Misbehaviour, ReplicaId, SyncToken, Time, View};

use crate::certificates::{check_polka, check_round};
use crate::context::{Batch, BatchId, Chain, Height, Proposal};
use crate::keys::{Authentication, Keyring, proposal_bytes, vote_bytes};
use crate::ledger::{Ledger, Queues};
use crate::mempool::Mempool;
use crate::messages::TendermintMessage;
use crate::records::Record;
use crate::timers::Timers;

/// Commands in one batch that any setting allows; a proposal with more is refused.
pub(crate) const MOST_COMMANDS: usize = 65_536;

/// Everything of a replica that is not the library's.
pub(crate) struct Host {
    pub(crate) me: ReplicaId,
    pub(crate) replicas: usize,
    pub(crate) durable: bool,
    pub(crate) timers: Timers,
    pub(crate) now: Time,
    pub(crate) keys: Keyring,
    pub(crate) mempool: Mempool,
    pub(crate) ledger: Ledger,
    /// The library waits for a batch for this height and round.
    pub(crate) wanted: Option<(Height, Round)>,
    /// The library decided, and the decision is yet to be executed.
    pub(crate) decided: Option<CommitCertificate<Chain>>,
    /// A proposal of this round was refused for what is in it.
    pub(crate) refused: Option<Round>,
    /// What the log holds of the height that is being replayed.
    pub(crate) replayed: Vec<Record>,
    /// Rounds that failed at heights decided so far.
    pub(crate) failed_rounds: u64,
    /// The batch of this height that was found in order last.
    checked: Option<BatchId>,
    accused: BTreeSet<(ReplicaId, &'static str)>,
    /// The last sync asked for, and the last one that is over.
    asked: SyncToken,
    synced: SyncToken,
    /// Whether messages wait for the sync that this round is to ask for.
    wants_sync: bool,
}

impl Host {
    pub(crate) fn new(
        (me, replicas): (ReplicaId, usize),
        (durable, timeouts): (bool, LinearTimeouts),
        keys: Keyring,
        ledger: Ledger,
    ) -> Self {
        Host {
            me,
            replicas,
            durable,
            timers: Timers::new(timeouts),
            now: Time(0),
            keys,
            mempool: Mempool::default(),
            ledger,
            wanted: None,
            decided: None,
            refused: None,
            replayed: Vec::new(),
            failed_rounds: 0,
            checked: None,
            accused: BTreeSet::new(),
            asked: SyncToken(0),
            synced: SyncToken(0),
            wants_sync: false,
        }
    }

    /// Does what the library asks, and has it go on.
    pub(crate) fn carry_out(&mut self, effect: Effect<Chain>, effects: &mut Queues) -> Resume<Chain> {
        match effect {
            Effect::CancelAllTimeouts(r) => {
                self.timers.cancel_all(effects);
                r.resume_with(())
            }
            Effect::CancelTimeout(timeout, r) => {
                self.timers.cancel(timeout, effects);
                r.resume_with(())
            }
            Effect::ScheduleTimeout(timeout, r) => {
                self.timers.set(timeout, effects);
                r.resume_with(())
            }
            Effect::StartRound(_, round, proposer, _, r) => {
                let view = self.failed_rounds + u64::from(round.as_u32().unwrap_or(0));
                effects.new_view(View(view), Some(proposer.0));
                r.resume_with(())
            }
            Effect::PublishConsensusMsg(message, r) => {
                self.publish(
                    match message {
                        SignedConsensusMsg::Vote(vote) => TendermintMessage::Vote(vote),
                        SignedConsensusMsg::Proposal(proposal) => TendermintMessage::Proposal(proposal),
                    },
                    effects,
                );
                r.resume_with(())
            }
            Effect::PublishLivenessMsg(message, r) => {
                self.publish(
                    match message {
                        LivenessMsg::Vote(vote) => TendermintMessage::Vote(vote),
                        LivenessMsg::PolkaCertificate(polka) => TendermintMessage::Polka(Arc::new(polka)),
                        LivenessMsg::SkipRoundCertificate(round) => TendermintMessage::Round(Arc::new(round)),
                    },
                    effects,
                );
                r.resume_with(())
            }
            Effect::RepublishVote(vote, r) => {
                self.publish(TendermintMessage::Vote(vote), effects);
                r.resume_with(())
            }
            Effect::RepublishRoundCertificate(certificate, r) => {
                self.publish(TendermintMessage::Round(Arc::new(certificate)), effects);
                r.resume_with(())
            }
            Effect::GetValue(height, round, _, r) => {
                self.wanted = Some((height, round));
                r.resume_with(())
            }
            Effect::Decide(certificate, _, r) => {
                self.decided = Some(certificate);
                r.resume_with(())
            }
            Effect::Finalize(_, _, evidence, r) => {
                self.report(evidence, effects);
                r.resume_with(())
            }
            Effect::WalAppend(height, input, r) => {
                self.log(height, &input, effects);
                r.resume_with(())
            }
            Effect::SignVote(vote, r) => {
                let proof = self.keys.prove(vote_bytes(&vote));
                r.resume_with(SignedMessage::new(vote, proof))
            }
            Effect::SignProposal(proposal, r) => {
                let proof = self.keys.prove(proposal_bytes(&proposal));
                r.resume_with(SignedMessage::new(proposal, proof))
            }
            Effect::VerifySignature(message, _, r) => r.resume_with(self.accepts(&message, effects)),
            Effect::VerifyPolkaCertificate(certificate, _, _, r) => {
                r.resume_with(check_polka(&mut self.keys, self.replicas, &certificate))
            }
            Effect::VerifyRoundCertificate(certificate, _, _, r) => {
                r.resume_with(check_round(&mut self.keys, self.replicas, &certificate))
            }
            // The library made it of votes that it had checked one by one.
            Effect::VerifyCommitCertificate(_, _, _, r) => r.resume_with(Ok(())),
            // Proposals come whole, and are published again beside this.
            Effect::RestreamProposal(.., r) => r.resume_with(()),
            // Nothing is synced through the library, and votes have no extensions, so these don't come.
            Effect::CertVerifiedSyncValue(_, _, r) | Effect::CertRejectedSyncValue(_, _, _, r) => {
                r.resume_with(())
            }
            Effect::VerifyExtendedCommitCertificate(.., r) => r.resume_with(Ok(())),
            Effect::ExtendVote(.., r) => r.resume_with(None),
            Effect::VerifyVoteExtension(.., r) => r.resume_with(Ok(())),
        }
    }

    /// Sends to all others, once what this replica promises by it is durable.
    fn publish(&mut self, message: TendermintMessage, effects: &mut Queues) {
        if !self.durable {
            return effects.broadcast(self.me, self.replicas, &message);
        }
        self.wants_sync = true;
        for to in ReplicaId::all(self.replicas).filter(|&to| to != self.me) {
            effects.send_after_sync(self.coming_sync(), to, message.clone());
        }
    }

    fn coming_sync(&self) -> SyncToken {
        SyncToken(self.asked.0 + u64::from(self.wants_sync))
    }

    /// Asks for the sync that messages of this round wait for.
    pub(crate) fn end_round(&mut self, effects: &mut Queues) {
        if std::mem::take(&mut self.wants_sync) {
            self.asked = SyncToken(self.asked.0 + 1);
            effects.sync(self.asked);
        }
        let (made, checked) = self.keys.take_counts();
        match self.keys.authentication() {
            Authentication::Signatures | Authentication::IdealSignatures => {
                effects.signed(made);
                effects.verified(checked);
            }
            Authentication::Codes => effects.maced(made + checked),
        }
    }

    pub(crate) fn synced(&mut self, token: SyncToken) {
        self.synced = token;
    }

    /// Whether all that this replica promised is durable.
    pub(crate) fn is_synced(&self) -> bool {
        !self.durable || self.synced >= self.coming_sync()
    }

    /// Writes down what the library has to be told again after a restart.
    fn log(&mut self, height: Height, input: &Input<Chain>, effects: &mut Queues) {
        if !self.durable {
            return;
        }
        if let Some(record) = Record::of_input(height, input).filter(|record| !self.replayed.contains(record))
        {
            effects.persist(record);
        }
    }

    /// Whether a message is its author's, and a proposal in order.
    fn accepts(&mut self, message: &SignedMessage<Chain, ConsensusMsg<Chain>>, effects: &mut Queues) -> bool {
        let (author, bytes) = match &message.message {
            ConsensusMsg::Vote(vote) => (vote.voter.0, vote_bytes(vote)),
            ConsensusMsg::Proposal(proposal) => (proposal.proposer.0, proposal_bytes(proposal)),
        };
        if !self.keys.holds(author, &bytes, &message.signature) {
            self.accuse(author, "a message whose proof does not hold", effects);
            return false;
        }
        match &message.message {
            ConsensusMsg::Proposal(proposal) if author != self.me => self.is_in_order(proposal, effects),
            _ => true,
        }
    }

    /// Whether a proposal's batch is what it claims: commands that clients sealed, none of them executed
    /// and none twice.
    fn is_in_order(&mut self, proposal: &Proposal, effects: &mut Queues) -> bool {
        let batch = &proposal.batch;
        if self.checked == Some(batch.id()) {
            return true;
        }
        let commands = batch.commands();
        let in_order = batch.is_genuine()
            && (1..=MOST_COMMANDS).contains(&commands.len())
            && commands.is_sorted_by(|a, b| a.id() < b.id())
            && commands.iter().all(|command| self.is_fit(command));
        if in_order {
            self.checked = Some(batch.id());
        } else {
            self.refused = Some(proposal.round);
            self.accuse(proposal.proposer.0, "a proposal that is not in order", effects);
        }
        in_order
    }

    /// Whether a command may be decided now.
    fn is_fit(&mut self, command: &Command) -> bool {
        !self.ledger.has_executed(command.id())
            && (self.mempool.holds(command) || self.keys.is_sealed(command))
    }

    /// Has a command that came from elsewhere wait, if it may be decided.
    pub(crate) fn admit(&mut self, command: &Command) -> bool {
        let fit = !self.mempool.is_full() && self.is_fit(command);
        if fit {
            self.mempool.add(command.clone());
        }
        fit
    }

    /// A batch for the library to propose.
    pub(crate) fn batch(&self, most: usize) -> Batch {
        Batch::new(self.mempool.oldest(most))
    }

    fn report(&mut self, evidence: MisbehaviorEvidence<Chain>, effects: &mut Queues) {
        for (voter, _) in &evidence.votes {
            self.accuse(voter.0, "two votes in one step of a round", effects);
        }
        for (proposer, _) in evidence.proposals.iter() {
            self.accuse(proposer.0, "two proposals in one round", effects);
        }
    }

    /// Reports a kind of misbehaviour of a replica, the first time.
    pub(crate) fn accuse(&mut self, replica: ReplicaId, what: &'static str, effects: &mut Queues) {
        if replica != self.me && self.accused.insert((replica, what)) {
            effects.misbehaviour(Misbehaviour { replica, what: what.into() });
        }
    }

    /// Forgets what concerns the height that ended.
    pub(crate) fn end_height(&mut self, effects: &mut Queues) {
        (self.wanted, self.decided, self.refused, self.checked) = (None, None, None, None);
        self.timers.cancel_all(effects);
    }
}

#[cfg(test)]
mod tests {
    use malachitebft_core_types::Round;
    use protocol_core::{Application, CommandId, Seal};

    use super::*;
    use crate::context::Address;
    use crate::keys::client_seal;

    const KINDS_OF_PROOF: [Authentication; 3] =
        [Authentication::Signatures, Authentication::IdealSignatures, Authentication::Codes];

    fn host(authentication: Authentication) -> Host {
        let keys = Keyring::new(authentication, ReplicaId(2), 4, 1);
        let ledger = Ledger::new(Application::default(), keys.seal_bytes(), keys.proof_bytes());
        Host::new((ReplicaId(2), 4), (false, LinearTimeouts::default()), keys, ledger)
    }

    fn sealed(seal: &Seal, ids: &[u64]) -> Vec<Command> {
        ids.iter().map(|&id| seal.apply(&Command::new(CommandId(id), b"payload"))).collect()
    }

    /// What replica 1 proposes, with its proof, as the library has it checked.
    fn judge(host: &mut Host, batch: Batch) -> (bool, bool) {
        let proposer = Address(ReplicaId(1));
        let proposal =
            Proposal { height: Height(1), round: Round::new(0), batch, pol_round: Round::Nil, proposer };
        let mut keys = Keyring::new(host.keys.authentication(), ReplicaId(1), 4, 1);
        let proof = keys.prove(proposal_bytes(&proposal));
        let message = SignedMessage::new(ConsensusMsg::Proposal(proposal), proof);
        let mut effects = Queues::default();
        (host.accepts(&message, &mut effects), host.refused.take().is_some())
    }

    #[test]
    fn a_proposal_is_in_order_when_clients_sealed_all_of_it() {
        for kind in KINDS_OF_PROOF {
            let (client, forger) = (client_seal(kind, 4, 1), client_seal(kind, 4, 2));
            let genuine = sealed(&client, &[1, 2, 3]);
            let forged: Vec<_> = sealed(&client, &[1]).into_iter().chain(sealed(&forger, &[2])).collect();
            assert_eq!(judge(&mut host(kind), Batch::new(genuine.clone())), (true, false));
            let refused = [
                Batch::new(forged),
                Batch::new(Vec::new()),
                Batch::new(sealed(&client, &[2, 1])),
                Batch::new(sealed(&client, &[1, 1])),
                Batch::new(vec![Command::new(CommandId(1), b"without a seal")]),
                Batch::claimed(BatchId([1; 32]), genuine),
            ];
            for batch in refused {
                assert_eq!(judge(&mut host(kind), batch.clone()), (false, true), "{kind:?}: {batch:?}");
            }
        }
    }

    #[test]
    fn what_was_executed_is_not_in_order_again() {
        for kind in KINDS_OF_PROOF {
            let (mut host, batch) = (host(kind), Batch::new(sealed(&client_seal(kind, 4, 1), &[1])));
            let (height, round) = (Height(1), Round::new(0));
            let decision =
                crate::messages::Decision { height, round, batch: batch.clone(), certificate: vec![] };
            host.ledger.execute(Arc::new(decision), &mut Queues::default());
            assert_eq!(judge(&mut host, batch), (false, true));
        }
    }

    #[test]
    fn a_forged_command_does_not_wait_to_be_proposed() {
        for kind in KINDS_OF_PROOF {
            let mut host = host(kind);
            assert!(!host.admit(&sealed(&client_seal(kind, 4, 2), &[1])[0]));
            assert!(host.mempool.is_empty());
            assert!(host.admit(&sealed(&client_seal(kind, 4, 1), &[1])[0]));
        }
    }

    #[test]
    fn a_vote_in_the_name_of_another_is_refused() {
        for kind in KINDS_OF_PROOF {
            let mut host = host(kind);
            let mut forger = Keyring::new(kind, ReplicaId(3), 4, 1);
            let vote = |voter| crate::context::Vote {
                kind: malachitebft_core_types::VoteType::Prevote,
                height: Height(1),
                round: Round::new(0),
                batch: malachitebft_core_types::NilOrVal::Nil,
                voter: Address(ReplicaId(voter)),
            };
            let said = |voter, keys: &mut Keyring| {
                let proof = keys.prove(vote_bytes(&vote(voter)));
                SignedMessage::new(ConsensusMsg::Vote(vote(voter)), proof)
            };
            assert!(host.accepts(&said(3, &mut forger), &mut Queues::default()));
            assert!(!host.accepts(&said(1, &mut forger), &mut Queues::default()));
        }
    }
}
