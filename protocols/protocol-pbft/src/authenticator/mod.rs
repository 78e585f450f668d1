//! Who says what: the keys of a replica, and the proofs that it makes and checks with them.
//!
//! Two kinds of proof, as in the paper (OSDI '99 §5.2). A *message authentication code* is made for one
//! receiver with a key that only the two share: it costs next to nothing and convinces nobody else. A
//! *signature* convinces everybody. CHECKPOINT, VIEW-CHANGE and NEW-VIEW are relayed inside other messages,
//! so they are signed under either setting; the rest is as the setting says.
//!
//! The paper's replicas multicast one vector of codes to all. Links here have two ends, so each receiver is
//! sent its own entry of that vector and not those of the others: the same work, fewer bytes.

mod mac;
mod signature;

use std::sync::Arc;

use ed25519_dalek::{SigningKey, VerifyingKey};
use protocol_core::ReplicaId;

pub use ed25519_dalek::Signature;
pub(crate) use mac::MacKey;
pub use mac::Tag;
pub(crate) use signature::Claim;

/// A BLAKE3 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; Digest::BYTES]);

impl Digest {
    /// Bytes of a digest.
    pub const BYTES: usize = 32;

    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How messages that are not relayed are authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// By message authentication codes (keyed BLAKE3, 128 bits).
    Mac,
    /// By signatures (Ed25519).
    Signature,
}

/// What convinces the receiver that a message is its sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A code for this receiver.
    Tag(Tag),
    /// A signature of the sender.
    Signature(Signature),
    /// The message carries signatures of its own.
    Inside,
}

/// Everyone's public keys.
#[derive(Debug)]
pub struct Directory {
    pub(crate) replicas: Vec<VerifyingKey>,
    pub(crate) client: VerifyingKey,
}

/// Makes the keys of a cluster out of its seed, the same on every machine.
#[derive(Clone, Debug)]
pub struct KeySource {
    seed: u64,
    directory: Arc<Directory>,
}

impl KeySource {
    /// Keys for so many replicas.
    pub fn new(seed: u64, replicas: usize) -> Self {
        let public = |owner: Owner| signing_key(seed, owner).verifying_key();
        let of_replica = |id| public(Owner::Replica(id));
        let replicas = ReplicaId::all(replicas).map(of_replica).collect();
        let directory = Directory { replicas, client: public(Owner::Client) };
        KeySource { seed, directory: Arc::new(directory) }
    }

    /// What replica `id` knows: its own secret keys, the keys that it shares with each peer and with the
    /// client, and everyone's public keys.
    pub fn keyring(&self, id: ReplicaId) -> Keyring {
        let replicas = self.directory.replicas.len();
        let shared = |from, to| mac_key(self.seed, from, to);
        let (me, peer) = (Owner::Replica(id), Owner::Replica);
        Keyring {
            id,
            to: ReplicaId::all(replicas).map(|to| shared(me, peer(to))).collect(),
            from: ReplicaId::all(replicas).map(|from| shared(peer(from), me)).collect(),
            client: shared(Owner::Client, me),
            signing: signing_key(self.seed, me),
            directory: self.directory.clone(),
        }
    }

    /// The keys that the client shares with each replica.
    pub(crate) fn client_keys(&self) -> Vec<MacKey> {
        let replicas = ReplicaId::all(self.directory.replicas.len());
        replicas.map(|to| mac_key(self.seed, Owner::Client, Owner::Replica(to))).collect()
    }

    /// The key that the client signs with.
    pub(crate) fn client_signing_key(&self) -> SigningKey {
        signing_key(self.seed, Owner::Client)
    }
}

/// The keys of one replica.
#[derive(Clone, Debug)]
pub struct Keyring {
    id: ReplicaId,
    to: Vec<MacKey>,
    from: Vec<MacKey>,
    client: MacKey,
    signing: SigningKey,
    directory: Arc<Directory>,
}

impl Keyring {
    /// Whose keys they are.
    pub fn id(&self) -> ReplicaId {
        self.id
    }

    /// A code that convinces `to`.
    pub fn tag(&self, to: ReplicaId, statement: &[u8]) -> Tag {
        self.to[to.index()].tag(statement)
    }

    /// Whether `from` made this code for us.
    pub fn check_tag(&self, from: ReplicaId, statement: &[u8], tag: &Tag) -> bool {
        self.from[from.index()].check(statement, tag)
    }

    /// Whether the client made this code for us.
    pub(crate) fn check_client_tag(&self, statement: &[u8], tag: &Tag) -> bool {
        self.client.check(statement, tag)
    }

    /// Our signature.
    pub fn sign(&self, statement: &[u8]) -> Signature {
        signature::sign(&self.signing, statement)
    }

    /// Whether `by` signed this. Every replica comes to the same result.
    pub fn verify(&self, by: ReplicaId, statement: &[u8], signature: &Signature) -> bool {
        let key = self.directory.replicas.get(by.index());
        key.is_some_and(|key| key.verify_strict(statement, signature).is_ok())
    }

    /// Whether the client signed this.
    pub(crate) fn verify_client(&self, statement: &[u8], signature: &Signature) -> bool {
        self.directory.client.verify_strict(statement, signature).is_ok()
    }

    /// Whether all of these were signed by whom they name: cheaper than one by one, and without telling
    /// which one was not. The same claims in the same order give the same result at every replica.
    pub(crate) fn verify_all(&self, claims: &[Claim<'_>]) -> bool {
        signature::verify_all(&self.directory.replicas, claims)
    }
}

#[derive(Clone, Copy)]
enum Owner {
    Client,
    Replica(ReplicaId),
}

impl Owner {
    fn bytes(self) -> [u8; 4] {
        match self {
            Owner::Client => u32::MAX.to_le_bytes(),
            Owner::Replica(id) => id.0.to_le_bytes(),
        }
    }
}

fn signing_key(seed: u64, owner: Owner) -> SigningKey {
    let material = [&seed.to_le_bytes()[..], &owner.bytes()].concat();
    SigningKey::from_bytes(&blake3::derive_key("consensus-bench pbft 2026 signing key", &material))
}

/// A key per direction, so that a code can't be sent back to where it came from.
fn mac_key(seed: u64, from: Owner, to: Owner) -> MacKey {
    let material = [&seed.to_le_bytes()[..], &from.bytes(), &to.bytes()].concat();
    MacKey::new(blake3::derive_key("consensus-bench pbft 2026 authentication key", &material))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_convince_whom_they_are_for_and_no_one_else() {
        let source = KeySource::new(7, 4);
        let ring = |id| source.keyring(ReplicaId(id));
        let tag = ring(0).tag(ReplicaId(1), b"yes");
        assert!(ring(1).check_tag(ReplicaId(0), b"yes", &tag));
        assert!(!ring(1).check_tag(ReplicaId(0), b"no", &tag));
        assert!(!ring(1).check_tag(ReplicaId(2), b"yes", &tag));
        assert!(!ring(2).check_tag(ReplicaId(0), b"yes", &tag));
        assert!(!ring(0).check_tag(ReplicaId(1), b"yes", &tag), "a code does not work backwards");
        let signature = ring(0).sign(b"yes");
        assert!((1..4).all(|id| ring(id).verify(ReplicaId(0), b"yes", &signature)));
        assert!(!ring(1).verify(ReplicaId(0), b"no", &signature));
        assert!(!ring(1).verify(ReplicaId(9), b"yes", &signature), "a stranger has no key");
        let other = KeySource::new(8, 4).keyring(ReplicaId(1));
        assert!(!other.verify(ReplicaId(0), b"yes", &signature));
    }

    #[test]
    fn one_bad_signature_spoils_a_batch() {
        let source = KeySource::new(7, 4);
        let signed: Vec<_> = (0..4)
            .map(|id| (ReplicaId(id), vec![id as u8; 9], source.keyring(ReplicaId(id)).sign(&[id as u8; 9])))
            .collect();
        fn claims(signed: &[(ReplicaId, Vec<u8>, Signature)]) -> Vec<Claim<'_>> {
            signed.iter().map(|(by, statement, signature)| Claim { by: *by, statement, signature }).collect()
        }
        let ring = source.keyring(ReplicaId(0));
        assert!(ring.verify_all(&claims(&signed)));
        assert!(ring.verify_all(&[]));
        let mut forged = signed.clone();
        forged[2].1[0] = 99;
        assert!(!ring.verify_all(&claims(&forged)));
        forged[2] = (ReplicaId(17), signed[2].1.clone(), signed[2].2);
        assert!(!ring.verify_all(&claims(&forged)));
    }
}
