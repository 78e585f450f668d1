//! The types that the library is generic over: who the validators are, what they agree on, and how a
//! proposal and a vote look.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use malachitebft_core_types::{
    Address as AddressBounds, Context, Height as HeightBounds, LinearTimeouts, NilOrVal,
    Proposal as ProposalBounds, ProposalPart, Round, SignedExtension, SigningScheme,
    Validator as ValidatorBounds, ValidatorSet as ValidatorSetBounds, Value, Vote as VoteBounds, VoteType,
    VotingPower,
};
use protocol_core::{Command, ReplicaId};

/// The library's parameter: everything below by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain;

/// A validator is named by its replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(pub ReplicaId);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl AddressBounds for Address {}

/// Position of a block, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Height(pub u64);

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl HeightBounds for Height {
    const ZERO: Self = Height(0);
    const INITIAL: Self = Height(1);

    fn increment_by(&self, n: u64) -> Self {
        Height(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Height)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

/// BLAKE3 of a batch's encoding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub [u8; 32]);

impl BatchId {
    /// Bytes on the wire.
    pub const BYTES: usize = 32;
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What replicas agree on at one height: clients' commands with their seals. Clones share the commands.
#[derive(Clone, Debug)]
pub struct Batch {
    id: BatchId,
    commands: Arc<[Command]>,
    /// Bytes of all commands together.
    bytes: usize,
}

impl Batch {
    /// A batch, with its id computed.
    pub fn new(commands: Vec<Command>) -> Self {
        let id = Batch::id_of(&commands);
        Batch::claimed(id, commands)
    }

    /// A batch with the id that its sender claims; [`Batch::is_genuine`] says whether it is so.
    pub fn claimed(id: BatchId, commands: Vec<Command>) -> Self {
        let bytes = commands.iter().map(|command| command.encoded().len()).sum();
        Batch { id, commands: commands.into(), bytes }
    }

    /// Whether the id is that of the commands.
    pub fn is_genuine(&self) -> bool {
        Batch::id_of(&self.commands) == self.id
    }

    /// Clients' commands, sealed.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// Bytes of all commands together.
    pub fn command_bytes(&self) -> usize {
        self.bytes
    }

    fn id_of(commands: &[Command]) -> BatchId {
        let mut hasher = blake3::Hasher::new();
        for command in commands {
            hasher.update(&(command.encoded().len() as u32).to_le_bytes());
            hasher.update(command.encoded());
        }
        BatchId(*hasher.finalize().as_bytes())
    }
}

impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Batch {}

impl PartialOrd for Batch {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Batch {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl Value for Batch {
    type Id = BatchId;

    fn id(&self) -> BatchId {
        self.id
    }
}

/// A batch proposed for a height and round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Height.
    pub height: Height,
    /// Round.
    pub round: Round,
    /// What is proposed.
    pub batch: Batch,
    /// The earlier round in which +2/3 prevoted for it, if any.
    pub pol_round: Round,
    /// Who proposes.
    pub proposer: Address,
}

impl ProposalBounds<Chain> for Proposal {
    fn height(&self) -> Height {
        self.height
    }
    fn round(&self) -> Round {
        self.round
    }
    fn value(&self) -> &Batch {
        &self.batch
    }
    fn take_value(self) -> Batch {
        self.batch
    }
    fn pol_round(&self) -> Round {
        self.pol_round
    }
    fn validator_address(&self) -> &Address {
        &self.proposer
    }
}

/// A prevote or a precommit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vote {
    /// Which of the two.
    pub kind: VoteType,
    /// Height.
    pub height: Height,
    /// Round.
    pub round: Round,
    /// For which batch, or for none.
    pub batch: NilOrVal<BatchId>,
    /// Whose vote.
    pub voter: Address,
}

impl VoteBounds<Chain> for Vote {
    fn height(&self) -> Height {
        self.height
    }
    fn round(&self) -> Round {
        self.round
    }
    fn value(&self) -> &NilOrVal<BatchId> {
        &self.batch
    }
    fn take_value(self) -> NilOrVal<BatchId> {
        self.batch
    }
    fn vote_type(&self) -> VoteType {
        self.kind
    }
    fn validator_address(&self) -> &Address {
        &self.voter
    }
    fn extension(&self) -> Option<&SignedExtension<Chain>> {
        None
    }
    fn take_extension(&mut self) -> Option<SignedExtension<Chain>> {
        None
    }
    /// Votes carry no extensions here: the policy that asks for them is off.
    fn extend(self, _: SignedExtension<Chain>) -> Self {
        self
    }
}

/// Proposals come whole, never in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoParts;

impl ProposalPart<Chain> for NoParts {
    fn is_first(&self) -> bool {
        true
    }
    fn is_last(&self) -> bool {
        true
    }
}

/// One replica, with one vote. Keys are held apart, by the replica's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator(Address);

impl ValidatorBounds<Chain> for Validator {
    fn address(&self) -> &Address {
        &self.0
    }
    fn public_key(&self) -> &() {
        &()
    }
    fn voting_power(&self) -> VotingPower {
        1
    }
}

/// All replicas, in order of id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators(Arc<[Validator]>);

impl Validators {
    /// The replicas of a cluster of this size.
    pub fn new(replicas: usize) -> Self {
        Validators(ReplicaId::all(replicas).map(|id| Validator(Address(id))).collect())
    }
}

impl ValidatorSetBounds<Chain> for Validators {
    fn count(&self) -> usize {
        self.0.len()
    }
    fn total_voting_power(&self) -> VotingPower {
        self.0.len() as VotingPower
    }
    fn get_by_address(&self, address: &Address) -> Option<&Validator> {
        self.0.get(address.0.index())
    }
    fn get_by_index(&self, index: usize) -> Option<&Validator> {
        self.0.get(index)
    }
}

/// Proofs are bytes to the library; [`Keyring`](crate::Keyring) makes and checks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proofs;

impl SigningScheme for Proofs {
    type DecodingError = String;
    type Signature = Bytes;
    type PublicKey = ();
    type PrivateKey = ();

    fn decode_signature(bytes: &[u8]) -> Result<Bytes, String> {
        Ok(Bytes::copy_from_slice(bytes))
    }
    fn encode_signature(signature: &Bytes) -> Vec<u8> {
        signature.to_vec()
    }
    fn decode_public_key(_: &[u8]) -> Result<(), String> {
        Ok(())
    }
    fn encode_public_key((): &()) -> Vec<u8> {
        Vec::new()
    }
}

/// The replica that proposes: another one with each height and each round.
pub(crate) fn proposer(height: Height, round: Round, replicas: usize) -> ReplicaId {
    let turn = height.0.wrapping_add(round.as_u32().unwrap_or(0).into());
    ReplicaId((turn % replicas as u64) as u32)
}

impl Context for Chain {
    type Address = Address;
    type Height = Height;
    type ProposalPart = NoParts;
    type Proposal = Proposal;
    type Validator = Validator;
    type ValidatorSet = Validators;
    type Timeouts = LinearTimeouts;
    type Value = Batch;
    type Vote = Vote;
    type Extension = Bytes;
    type SigningScheme = Proofs;

    fn select_proposer<'a>(&self, set: &'a Validators, height: Height, round: Round) -> &'a Validator {
        &set.0[proposer(height, round, set.0.len()).index()]
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        batch: Batch,
        pol_round: Round,
        proposer: Address,
    ) -> Proposal {
        Proposal { height, round, batch, pol_round, proposer }
    }

    fn new_prevote(&self, height: Height, round: Round, batch: NilOrVal<BatchId>, voter: Address) -> Vote {
        Vote { kind: VoteType::Prevote, height, round, batch, voter }
    }

    fn new_precommit(&self, height: Height, round: Round, batch: NilOrVal<BatchId>, voter: Address) -> Vote {
        Vote { kind: VoteType::Precommit, height, round, batch, voter }
    }
}
