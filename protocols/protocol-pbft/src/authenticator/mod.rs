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

use protocol_core::ReplicaId;

pub use ed25519_dalek::Signature;
pub(crate) use mac::MacKey;
pub use mac::Tag;
pub use signature::SignatureScheme;
pub(crate) use signature::{Claim, Signer, Verifier};

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
    /// By signatures.
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
    pub(crate) replicas: Vec<Verifier>,
    pub(crate) client: Verifier,
}

/// Makes the keys of a cluster out of its seed, the same on every machine.
#[derive(Clone, Debug)]
pub struct KeySource {
    seed: u64,
    scheme: SignatureScheme,
    directory: Arc<Directory>,
}

impl KeySource {
    /// Keys for so many replicas, which sign by this scheme.
    pub fn new(scheme: SignatureScheme, seed: u64, replicas: usize) -> Self {
        let public = |owner: Owner| signer(scheme, seed, owner).verifier();
        let of_replica = |id| public(Owner::Replica(id));
        let replicas = ReplicaId::all(replicas).map(of_replica).collect();
        let directory = Directory { replicas, client: public(Owner::Client) };
        KeySource { seed, scheme, directory: Arc::new(directory) }
    }

    /// How many replicas have keys.
    pub fn replicas(&self) -> usize {
        self.directory.replicas.len()
    }

    /// What replica `id` knows: its own secret keys, the keys that it shares with each peer and with the
    /// client, and everyone's public keys.
    pub fn keyring(&self, id: ReplicaId) -> Keyring {
        let replicas = self.replicas();
        let shared = |from, to| mac_key(self.seed, from, to);
        let (me, peer) = (Owner::Replica(id), Owner::Replica);
        Keyring {
            id,
            to: ReplicaId::all(replicas).map(|to| shared(me, peer(to))).collect(),
            from: ReplicaId::all(replicas).map(|from| shared(peer(from), me)).collect(),
            client: shared(Owner::Client, me),
            signer: signer(self.scheme, self.seed, me),
            directory: self.directory.clone(),
        }
    }

    /// The keys that the client shares with each replica.
    pub(crate) fn client_keys(&self) -> Vec<MacKey> {
        let replicas = ReplicaId::all(self.replicas());
        replicas.map(|to| mac_key(self.seed, Owner::Client, Owner::Replica(to))).collect()
    }

    /// The key that the client signs with.
    pub(crate) fn client_signer(&self) -> Signer {
        signer(self.scheme, self.seed, Owner::Client)
    }
}

/// The keys of one replica.
#[derive(Clone, Debug)]
pub struct Keyring {
    id: ReplicaId,
    to: Vec<MacKey>,
    from: Vec<MacKey>,
    client: MacKey,
    signer: Signer,
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
        self.signer.sign(statement)
    }

    /// Whether `by` signed this. Every replica comes to the same result.
    pub fn verify(&self, by: ReplicaId, statement: &[u8], signature: &Signature) -> bool {
        let key = self.directory.replicas.get(by.index());
        key.is_some_and(|key| key.verify(statement, signature))
    }

    /// Whether the client signed this.
    pub(crate) fn verify_client(&self, statement: &[u8], signature: &Signature) -> bool {
        self.directory.client.verify(statement, signature)
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

fn signer(scheme: SignatureScheme, seed: u64, owner: Owner) -> Signer {
    let material = [&seed.to_le_bytes()[..], &owner.bytes()].concat();
    Signer::new(scheme, blake3::derive_key("consensus-bench pbft 2026 signing key", &material))
}

/// A key per direction, so that a code can't be sent back to where it came from.
fn mac_key(seed: u64, from: Owner, to: Owner) -> MacKey {
    let material = [&seed.to_le_bytes()[..], &from.bytes(), &to.bytes()].concat();
    MacKey::new(blake3::derive_key("consensus-bench pbft 2026 authentication key", &material))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMES: [SignatureScheme; 2] = [SignatureScheme::Ed25519, SignatureScheme::Ideal];

    #[test]
    fn codes_convince_whom_they_are_for_and_no_one_else() {
        let source = KeySource::new(SignatureScheme::Ed25519, 7, 4);
        let ring = |id| source.keyring(ReplicaId(id));
        let tag = ring(0).tag(ReplicaId(1), b"yes");
        assert!(ring(1).check_tag(ReplicaId(0), b"yes", &tag));
        assert!(!ring(1).check_tag(ReplicaId(0), b"no", &tag));
        assert!(!ring(1).check_tag(ReplicaId(2), b"yes", &tag));
        assert!(!ring(2).check_tag(ReplicaId(0), b"yes", &tag));
        assert!(!ring(0).check_tag(ReplicaId(1), b"yes", &tag), "a code does not work backwards");
    }

    #[test]
    fn signatures_convince_everyone_of_what_was_signed_and_by_whom() {
        for scheme in SCHEMES {
            let source = KeySource::new(scheme, 7, 4);
            let ring = |id| source.keyring(ReplicaId(id));
            let signature = ring(0).sign(b"yes");
            assert!((1..4).all(|id| ring(id).verify(ReplicaId(0), b"yes", &signature)), "{scheme:?}");
            assert!(!ring(1).verify(ReplicaId(0), b"no", &signature), "{scheme:?}");
            assert!(!ring(1).verify(ReplicaId(2), b"yes", &signature), "{scheme:?}");
            assert!(!ring(1).verify(ReplicaId(9), b"yes", &signature), "{scheme:?}: a stranger has no key");
            assert!(!ring(1).verify_client(b"yes", &signature), "{scheme:?}");
            let other = KeySource::new(scheme, 8, 4).keyring(ReplicaId(1));
            assert!(!other.verify(ReplicaId(0), b"yes", &signature), "{scheme:?}");
        }
    }

    #[test]
    fn schemes_do_not_believe_each_other() {
        for [one, other] in [SCHEMES, [SCHEMES[1], SCHEMES[0]]] {
            let signature = KeySource::new(one, 7, 4).keyring(ReplicaId(0)).sign(b"yes");
            let ring = KeySource::new(other, 7, 4).keyring(ReplicaId(1));
            assert!(!ring.verify(ReplicaId(0), b"yes", &signature), "{one:?} under {other:?}");
        }
    }

    #[test]
    fn one_bad_signature_spoils_a_batch() {
        fn claims(signed: &[(ReplicaId, Vec<u8>, Signature)]) -> Vec<Claim<'_>> {
            signed.iter().map(|(by, statement, signature)| Claim { by: *by, statement, signature }).collect()
        }
        for scheme in SCHEMES {
            let source = KeySource::new(scheme, 7, 4);
            let said = |id: u32| {
                (ReplicaId(id), vec![id as u8; 9], source.keyring(ReplicaId(id)).sign(&[id as u8; 9]))
            };
            let signed: Vec<_> = (0..4).map(said).collect();
            let ring = source.keyring(ReplicaId(0));
            assert!(ring.verify_all(&claims(&signed)), "{scheme:?}");
            assert!(ring.verify_all(&[]), "{scheme:?}");
            let mut forged = signed.clone();
            forged[2].1[0] = 99;
            assert!(!ring.verify_all(&claims(&forged)), "{scheme:?}");
            forged[2] = (ReplicaId(17), signed[2].1.clone(), signed[2].2);
            assert!(!ring.verify_all(&claims(&forged)), "{scheme:?}");
        }
    }
}
