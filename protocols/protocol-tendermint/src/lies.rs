//! How a validator's messages can be twisted with its own keys.

use std::sync::Arc;

use bytes::Bytes;
use malachitebft_core_types::{
    NilOrVal, PolkaCertificate, Round, RoundCertificate, SignedMessage, SignedProposal, SignedVote,
};
use protocol_core::Corruptible;

use crate::context::{Address, Batch, BatchId, Chain, Proposal, Vote};
use crate::keys::{proposal_bytes, vote_bytes};
use crate::messages::{Decision, Snapshot, TendermintMessage};
use crate::replica::TendermintReplica;

/// The id of no batch that exists.
const INVENTED: BatchId = BatchId([0xEE; BatchId::BYTES]);

impl TendermintReplica {
    fn is_own(&self, author: Address) -> bool {
        author == Address(self.host.me)
    }

    fn signed_vote(&self, vote: Vote) -> TendermintMessage {
        let (proof, _) = self.host.keys.proof(&vote_bytes(&vote));
        TendermintMessage::Vote(SignedMessage::new(vote, proof))
    }

    fn signed_proposal(&self, proposal: Proposal) -> TendermintMessage {
        let (proof, _) = self.host.keys.proof(&proposal_bytes(&proposal));
        TendermintMessage::Proposal(SignedMessage::new(proposal, proof))
    }

    /// Hides the round in which the batch had +2/3 of the prevotes, or invents one.
    fn with_other_past(&self, proposal: &SignedProposal<Chain>) -> Option<TendermintMessage> {
        let Proposal { round, pol_round, proposer, .. } = proposal.message;
        let earlier = round.as_u32()?.checked_sub(1)?;
        let pol_round = if pol_round.is_defined() { Round::Nil } else { Round::new(earlier) };
        let proposal = Proposal { pol_round, ..proposal.message.clone() };
        self.is_own(proposer).then(|| self.signed_proposal(proposal))
    }
}

/// The batch without its last command.
fn shortened(batch: &Batch) -> Batch {
    let kept = batch.commands().len().saturating_sub(1);
    Batch::new(batch.commands()[..kept].to_vec())
}

fn changed(decisions: &[Arc<Decision>]) -> TendermintMessage {
    let other = |decision: &Arc<Decision>| {
        Arc::new(Decision { batch: shortened(&decision.batch), ..(**decision).clone() })
    };
    TendermintMessage::Decisions(decisions.iter().map(other).collect())
}

fn spoilt(proof: &Bytes) -> Bytes {
    proof.iter().map(|byte| !byte).collect::<Vec<u8>>().into()
}

fn with_spoilt<M: Clone>(message: &SignedMessage<Chain, M>) -> SignedMessage<Chain, M> {
    SignedMessage::new(message.message.clone(), spoilt(&message.signature))
}

fn spoilt_polka(polka: &PolkaCertificate<Chain>) -> PolkaCertificate<Chain> {
    let mut polka = polka.clone();
    polka.polka_signatures.iter_mut().for_each(|signed| signed.signature = spoilt(&signed.signature));
    polka
}

fn spoilt_round(round: &RoundCertificate<Chain>) -> RoundCertificate<Chain> {
    let mut round = round.clone();
    round.round_signatures.iter_mut().for_each(|signed| signed.signature = spoilt(&signed.signature));
    round
}

fn spoilt_decision(decision: &Decision) -> Arc<Decision> {
    let certificate = decision.certificate.iter().map(|(signer, proof)| (*signer, spoilt(proof)));
    Arc::new(Decision { certificate: certificate.collect(), ..decision.clone() })
}

impl Corruptible for TendermintReplica {
    fn contradict(&self, message: &TendermintMessage) -> Option<TendermintMessage> {
        match message {
            TendermintMessage::Vote(SignedVote { message: vote, .. }) if self.is_own(vote.voter) => {
                let batch = match vote.batch {
                    NilOrVal::Nil => NilOrVal::Val(INVENTED),
                    NilOrVal::Val(_) => NilOrVal::Nil,
                };
                Some(self.signed_vote(Vote { batch, ..*vote }))
            }
            TendermintMessage::Proposal(SignedProposal { message: proposal, .. })
                if self.is_own(proposal.proposer) =>
            {
                let batch = shortened(&proposal.batch);
                Some(self.signed_proposal(Proposal { batch, ..proposal.clone() }))
            }
            TendermintMessage::Decisions(decisions) => Some(changed(decisions)),
            TendermintMessage::Snapshot(Snapshot { height, state }) => {
                Some(TendermintMessage::Snapshot(Snapshot { height: *height, state: spoilt(state) }))
            }
            _ => None,
        }
    }

    fn spoil(&self, message: &TendermintMessage) -> Option<TendermintMessage> {
        Some(match message {
            TendermintMessage::Vote(vote) => TendermintMessage::Vote(with_spoilt(vote)),
            TendermintMessage::Proposal(proposal) => TendermintMessage::Proposal(with_spoilt(proposal)),
            TendermintMessage::Polka(polka) => TendermintMessage::Polka(Arc::new(spoilt_polka(polka))),
            TendermintMessage::Round(round) => TendermintMessage::Round(Arc::new(spoilt_round(round))),
            TendermintMessage::Decisions(decisions) => {
                let spoilt = decisions.iter().map(|decision| spoilt_decision(decision));
                TendermintMessage::Decisions(spoilt.collect())
            }
            _ => return None,
        })
    }

    /// What was in earlier rounds, and at earlier heights.
    fn rewrite_history(&self, message: &TendermintMessage) -> Option<TendermintMessage> {
        match message {
            TendermintMessage::Proposal(proposal) => self.with_other_past(proposal),
            TendermintMessage::Polka(polka) => {
                let polka = PolkaCertificate { value_id: INVENTED, ..(**polka).clone() };
                Some(TendermintMessage::Polka(Arc::new(polka)))
            }
            TendermintMessage::Round(round) => {
                let mut round = (**round).clone();
                round.round_signatures.retain(|signed| self.is_own(signed.address));
                Some(TendermintMessage::Round(Arc::new(round)))
            }
            TendermintMessage::Decisions(decisions) => Some(changed(decisions)),
            _ => None,
        }
    }
}
