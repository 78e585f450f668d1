//! Whether certificates hold: enough different replicas, each with a proof of its own vote.

use std::collections::BTreeSet;

use malachitebft_core_types::{
    CertificateError, Context, NilOrVal, PolkaCertificate, RoundCertificate, RoundCertificateType,
    ThresholdParam, VoteType, VotingPower,
};
use protocol_core::ReplicaId;

use crate::context::{Address, Chain, Vote};
use crate::keys::{Keyring, vote_bytes};
use crate::messages::Decision;

type Verdict = Result<(), CertificateError<Chain>>;

/// Votes of a certificate, each voter once.
struct Tally<'a> {
    keys: &'a mut Keyring,
    replicas: usize,
    voters: BTreeSet<ReplicaId>,
}

impl<'a> Tally<'a> {
    fn new(keys: &'a mut Keyring, replicas: usize) -> Self {
        Tally { keys, replicas, voters: BTreeSet::new() }
    }

    /// Whether the proof is its voter's own; a second vote or a stranger's is an error.
    fn holds(&mut self, vote: &Vote, proof: &[u8]) -> Result<bool, CertificateError<Chain>> {
        let Address(voter) = vote.voter;
        if voter.index() >= self.replicas {
            return Err(CertificateError::UnknownValidator(vote.voter));
        }
        if !self.voters.insert(voter) {
            return Err(CertificateError::DuplicateVote(vote.voter));
        }
        Ok(self.keys.holds(voter, &vote_bytes(vote), proof))
    }

    fn reaches(&self, threshold: ThresholdParam) -> Verdict {
        let (signed, total) = (self.voters.len() as VotingPower, self.replicas as VotingPower);
        if threshold.is_met(signed, total) {
            return Ok(());
        }
        let expected = threshold.min_expected(total);
        Err(CertificateError::NotEnoughVotingPower { signed, total, expected })
    }
}

/// +2/3 prevoted for the batch.
pub(crate) fn check_polka(
    keys: &mut Keyring,
    replicas: usize,
    certificate: &PolkaCertificate<Chain>,
) -> Verdict {
    let mut tally = Tally::new(keys, replicas);
    for signature in &certificate.polka_signatures {
        let batch = NilOrVal::Val(certificate.value_id);
        let vote = Chain.new_prevote(certificate.height, certificate.round, batch, signature.address);
        if !tally.holds(&vote, &signature.signature)? {
            return Err(CertificateError::InvalidPolkaSignature(signature.clone()));
        }
    }
    tally.reaches(ThresholdParam::TWO_F_PLUS_ONE)
}

/// +2/3 precommitted in a round, whatever for; or more than a third voted in a later one.
pub(crate) fn check_round(
    keys: &mut Keyring,
    replicas: usize,
    certificate: &RoundCertificate<Chain>,
) -> Verdict {
    let precommits = certificate.cert_type == RoundCertificateType::Precommit;
    let mut tally = Tally::new(keys, replicas);
    for (signature, vote) in certificate.round_signatures.iter().zip(certificate.votes(&Chain)) {
        if precommits && signature.vote_type != VoteType::Precommit {
            return Err(CertificateError::InvalidVoteType(signature.address));
        }
        if !tally.holds(&vote.message, &vote.signature)? {
            return Err(CertificateError::InvalidRoundSignature(signature.clone()));
        }
    }
    let threshold = if precommits { ThresholdParam::TWO_F_PLUS_ONE } else { ThresholdParam::F_PLUS_ONE };
    tally.reaches(threshold)
}

/// Whether +2/3 precommitted the batch, and the batch is the one they named.
pub(crate) fn is_decided(keys: &mut Keyring, replicas: usize, decision: &Decision) -> bool {
    let id = malachitebft_core_types::Value::id(&decision.batch);
    let mut tally = Tally::new(keys, replicas);
    let signed = decision.certificate.iter().all(|(signer, proof)| {
        let (height, round) = (decision.height, decision.round);
        let vote = Chain.new_precommit(height, round, NilOrVal::Val(id), Address(*signer));
        tally.holds(&vote, proof).unwrap_or(false)
    });
    signed && tally.reaches(ThresholdParam::TWO_F_PLUS_ONE).is_ok() && decision.batch.is_genuine()
}
