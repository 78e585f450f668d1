//! Proofs of who said what: signatures, or vectors of BLAKE3 authentication codes.
//!
//! A vector holds one code per replica, made with the key that its maker shares with that replica
//! (Castro and Liskov, "Practical Byzantine Fault Tolerance", OSDI 1999, section 5.2). A replica can
//! check its own code, also in a message that a third one passed on; that the other codes hold, it can't
//! know. All keys come from the run's seed, and a replica is given its own ones only.

use bytes::Bytes;
use malachitebft_core_types::{NilOrVal, Round, VoteType};
use protocol_core::{Command, ReplicaId, Seal};

use crate::context::{Proposal, Vote};
use crate::signature::{SIGNATURE_BYTES, Signer, Verifier};

/// How messages are proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Ed25519 signatures: anyone can check them, and pass them on as proof. Always these in real time.
    Signatures,
    /// Signatures without cryptography ([`IdealKey`](protocol_core::IdealKey)), as long and as many: for
    /// virtual time, where they are charged for and need not be made.
    IdealSignatures,
    /// A BLAKE3 code for each receiver: a hundred times cheaper, and proof to that receiver only.
    Codes,
}

impl Authentication {
    /// The same to count and to send, with signatures that take no cryptography.
    pub(crate) fn ideal(self) -> Self {
        match self {
            Authentication::Signatures | Authentication::IdealSignatures => Authentication::IdealSignatures,
            Authentication::Codes => Authentication::Codes,
        }
    }
}

/// Bytes of one authentication code.
pub(crate) const CODE_BYTES: usize = 16;

type Key = [u8; 32];

/// Whoever has keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Party {
    Replica(ReplicaId),
    /// All clients in one.
    Clients,
}

impl Party {
    fn number(self) -> u64 {
        match self {
            Party::Replica(id) => id.0.into(),
            Party::Clients => u64::MAX,
        }
    }
}

fn derived(purpose: &str, seed: u64, parties: &[Party]) -> Key {
    let mut material = seed.to_le_bytes().to_vec();
    parties.iter().for_each(|party| material.extend_from_slice(&party.number().to_le_bytes()));
    blake3::derive_key(purpose, &material)
}

fn signing_key(seed: u64, of: Party) -> Key {
    derived("consensus-bench tendermint signing key", seed, &[of])
}

fn shared_key(seed: u64, a: Party, b: Party) -> Key {
    derived("consensus-bench tendermint shared key", seed, &[a.min(b), a.max(b)])
}

fn code(key: &Key, message: &[u8]) -> [u8; CODE_BYTES] {
    let mut code = [0; CODE_BYTES];
    code.copy_from_slice(&blake3::keyed_hash(key, message).as_bytes()[..CODE_BYTES]);
    code
}

/// Compares in a time that does not depend on where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

enum Keys {
    Signatures { own: Signer, replicas: Vec<Verifier>, clients: Box<Verifier> },
    Codes { replicas: Vec<Key>, clients: Key },
}

/// The keys of one replica, and how many proofs it made and checked since it was last asked.
pub struct Keyring {
    me: ReplicaId,
    authentication: Authentication,
    keys: Keys,
    /// The latest own proof and what it is of: the library has own messages checked too.
    latest: (Vec<u8>, Bytes),
    made: u64,
    checked: u64,
}

impl Keyring {
    /// The keys of replica `me` of so many in the run with this seed.
    pub fn new(authentication: Authentication, me: ReplicaId, replicas: usize, seed: u64) -> Self {
        let all = || ReplicaId::all(replicas).map(Party::Replica);
        let signatures = |signer: fn(&Key) -> Signer| Keys::Signatures {
            own: signer(&signing_key(seed, Party::Replica(me))),
            replicas: all().map(|party| signer(&signing_key(seed, party)).verifier()).collect(),
            clients: Box::new(signer(&signing_key(seed, Party::Clients)).verifier()),
        };
        let keys = match authentication {
            Authentication::Signatures => signatures(Signer::ed25519),
            Authentication::IdealSignatures => signatures(Signer::ideal),
            Authentication::Codes => Keys::Codes {
                replicas: all().map(|party| shared_key(seed, Party::Replica(me), party)).collect(),
                clients: shared_key(seed, Party::Replica(me), Party::Clients),
            },
        };
        Keyring { me, authentication, keys, latest: (Vec::new(), Bytes::new()), made: 0, checked: 0 }
    }

    /// Which kind of proofs these keys make.
    pub fn authentication(&self) -> Authentication {
        self.authentication
    }

    /// Proves that this replica said these bytes.
    pub fn prove(&mut self, message: Vec<u8>) -> Bytes {
        let (proof, made) = self.proof(&message);
        self.made += made;
        self.latest = (message, proof.clone());
        proof
    }

    /// A proof, and how many signatures or codes it took.
    pub(crate) fn proof(&self, message: &[u8]) -> (Bytes, u64) {
        match &self.keys {
            Keys::Signatures { own, .. } => (Bytes::copy_from_slice(&own.sign(message)), 1),
            Keys::Codes { replicas, .. } => {
                let codes: Vec<u8> = replicas.iter().flat_map(|key| code(key, message)).collect();
                (codes.into(), replicas.len() as u64)
            }
        }
    }

    /// Whether a replica said these bytes.
    pub fn holds(&mut self, by: ReplicaId, message: &[u8], proof: &[u8]) -> bool {
        if by == self.me && self.latest.0 == message && self.latest.1 == proof {
            return true;
        }
        self.checked += 1;
        match &self.keys {
            Keys::Signatures { replicas, .. } => {
                replicas.get(by.index()).is_some_and(|key| key.verify(message, proof))
            }
            Keys::Codes { replicas, .. } => {
                let size = proof.len() == CODE_BYTES * replicas.len();
                let own = proof.chunks_exact(CODE_BYTES).nth(self.me.index());
                let key = replicas.get(by.index());
                size && own.zip(key).is_some_and(|(own, key)| same(own, &code(key, message)))
            }
        }
    }

    /// Bytes of a client's seal.
    pub fn seal_bytes(&self) -> usize {
        self.proof_bytes()
    }

    /// Bytes of a proof: a signature, or a code for each replica.
    pub fn proof_bytes(&self) -> usize {
        match &self.keys {
            Keys::Signatures { .. } => SIGNATURE_BYTES,
            Keys::Codes { replicas, .. } => CODE_BYTES * replicas.len(),
        }
    }

    /// Whether a client sealed this command.
    pub fn is_sealed(&mut self, command: &Command) -> bool {
        let Ok((bare, seal)) = command.unsealed(self.seal_bytes()) else { return false };
        self.checked += 1;
        match &self.keys {
            Keys::Signatures { clients, .. } => clients.verify(bare.encoded(), &seal),
            Keys::Codes { clients, .. } => {
                let own = seal.chunks_exact(CODE_BYTES).nth(self.me.index());
                own.is_some_and(|own| same(own, &code(clients, bare.encoded())))
            }
        }
    }

    /// Proofs made and checked since the last call.
    pub(crate) fn take_counts(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.made), std::mem::take(&mut self.checked))
    }
}

/// What clients append to their commands: a signature, or a code for each replica.
pub fn client_seal(authentication: Authentication, replicas: usize, seed: u64) -> Seal {
    let signed = |signer: fn(&Key) -> Signer| {
        let key = signer(&signing_key(seed, Party::Clients));
        Seal::new(move |command| Bytes::copy_from_slice(&key.sign(command.encoded())))
    };
    match authentication {
        Authentication::Signatures => signed(Signer::ed25519),
        Authentication::IdealSignatures => signed(Signer::ideal),
        Authentication::Codes => {
            let key = |id| shared_key(seed, Party::Replica(id), Party::Clients);
            let keys: Vec<Key> = ReplicaId::all(replicas).map(key).collect();
            Seal::new(move |command| {
                keys.iter().flat_map(|key| code(key, command.encoded())).collect::<Vec<u8>>().into()
            })
        }
    }
}

/// A round in eight bytes.
fn round_bytes(round: Round) -> [u8; 8] {
    round.as_i64().to_le_bytes()
}

/// What the proof of a vote is of.
pub(crate) fn vote_bytes(vote: &Vote) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.push(match vote.kind {
        VoteType::Prevote => 1,
        VoteType::Precommit => 2,
    });
    bytes.extend_from_slice(&vote.voter.0.0.to_le_bytes());
    bytes.extend_from_slice(&vote.height.0.to_le_bytes());
    bytes.extend_from_slice(&round_bytes(vote.round));
    if let NilOrVal::Val(id) = vote.batch {
        bytes.extend_from_slice(&id.0);
    }
    bytes
}

/// What the proof of a proposal is of.
pub(crate) fn proposal_bytes(proposal: &Proposal) -> Vec<u8> {
    use malachitebft_core_types::Value;
    let mut bytes = Vec::with_capacity(64);
    bytes.push(3);
    bytes.extend_from_slice(&proposal.proposer.0.0.to_le_bytes());
    bytes.extend_from_slice(&proposal.height.0.to_le_bytes());
    bytes.extend_from_slice(&round_bytes(proposal.round));
    bytes.extend_from_slice(&round_bytes(proposal.pol_round));
    bytes.extend_from_slice(&proposal.batch.id().0);
    bytes
}

#[cfg(test)]
mod tests {
    use protocol_core::CommandId;

    use super::*;

    const KINDS: [Authentication; 3] =
        [Authentication::Signatures, Authentication::IdealSignatures, Authentication::Codes];

    fn keyring(kind: Authentication, id: u32, seed: u64) -> Keyring {
        Keyring::new(kind, ReplicaId(id), 4, seed)
    }

    #[test]
    fn a_proof_holds_for_its_author_and_its_bytes_at_every_replica() {
        for kind in KINDS {
            let proof = keyring(kind, 1, 7).prove(b"said".to_vec());
            assert_eq!(proof.len(), keyring(kind, 1, 7).proof_bytes());
            for id in 0..4 {
                let mut keys = keyring(kind, id, 7);
                assert!(keys.holds(ReplicaId(1), b"said", &proof), "{kind:?} at {id}");
                assert!(!keys.holds(ReplicaId(2), b"said", &proof), "{kind:?} at {id}");
                assert!(!keys.holds(ReplicaId(1), b"sait", &proof), "{kind:?} at {id}");
                assert!(!keys.holds(ReplicaId(1), b"said", &proof[1..]), "{kind:?} at {id}");
                assert!(!keys.holds(ReplicaId(9), b"said", &proof), "{kind:?} at {id}");
                assert_eq!(keys.take_counts(), (0, 5));
            }
            assert!(!keyring(kind, 0, 8).holds(ReplicaId(1), b"said", &proof), "keys of another run");
        }
    }

    #[test]
    fn the_latest_own_proof_needs_no_second_look_but_an_altered_one_does() {
        for kind in KINDS {
            let mut keys = keyring(kind, 1, 7);
            let proof = keys.prove(b"said".to_vec());
            assert!(keys.holds(ReplicaId(1), b"said", &proof));
            let made = if kind == Authentication::Codes { 4 } else { 1 };
            assert_eq!(keys.take_counts(), (made, 0));
            assert!(!keys.holds(ReplicaId(1), b"unsaid", &proof));
            assert_eq!(keys.take_counts(), (0, 1));
        }
    }

    #[test]
    fn a_seal_holds_at_every_replica_and_for_no_other_command() {
        for kind in KINDS {
            let seal = client_seal(kind, 4, 7);
            let command = seal.apply(&Command::new(CommandId(3), b"payload"));
            let moved = Command::new(CommandId(4), command.payload());
            for id in 0..4 {
                let mut keys = keyring(kind, id, 7);
                assert!(keys.is_sealed(&command) && !keys.is_sealed(&moved));
                assert!(!keys.is_sealed(&Command::new(CommandId(3), b"")));
            }
        }
    }
}
