//! Signatures: Ed25519, checked one by one or many at once; in virtual time ideal ones.
//!
//! The library's check of many draws its random factors from a hash of all that is checked, so it is
//! repeatable. It is also the more lenient one: a signer may craft a signature that passes in some company
//! and not in other. A replica that acts on its own may live with that; what is shown to others is either
//! checked strictly, or as exactly the same batch by everyone.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey, verify_batch};
use protocol_core::{IdealKey, ReplicaId};

/// What a cluster signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureScheme {
    /// Ed25519: always in real time.
    Ed25519,
    /// [`IdealKey`]: for virtual time, where signatures are charged for and need not be made. They travel in the
    /// same 64 bytes.
    Ideal,
}

/// A key to sign with.
#[derive(Clone)]
pub(crate) enum Signer {
    Ed25519(Box<SigningKey>),
    Ideal(IdealKey),
}

impl Signer {
    pub(super) fn new(scheme: SignatureScheme, secret: [u8; 32]) -> Self {
        match scheme {
            SignatureScheme::Ed25519 => Signer::Ed25519(Box::new(SigningKey::from_bytes(&secret))),
            SignatureScheme::Ideal => Signer::Ideal(IdealKey::new(&secret)),
        }
    }

    pub(super) fn verifier(&self) -> Verifier {
        match self {
            Signer::Ed25519(key) => Verifier::Ed25519(key.verifying_key()),
            Signer::Ideal(key) => Verifier::Ideal(*key),
        }
    }

    pub(crate) fn sign(&self, statement: &[u8]) -> Signature {
        match self {
            Signer::Ed25519(key) => key.sign(statement),
            Signer::Ideal(key) => Signature::from_bytes(&key.sign(statement)),
        }
    }
}

/// Keys stay out of logs.
impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

/// A key to check with.
#[derive(Clone, Debug)]
pub(crate) enum Verifier {
    Ed25519(VerifyingKey),
    Ideal(IdealKey),
}

impl Verifier {
    /// Strictly: every replica comes to the same result.
    pub(super) fn verify(&self, statement: &[u8], signature: &Signature) -> bool {
        match self {
            Verifier::Ed25519(key) => key.verify_strict(statement, signature).is_ok(),
            Verifier::Ideal(key) => key.holds(statement, &signature.to_bytes()),
        }
    }

    fn ed25519(&self) -> Option<VerifyingKey> {
        match self {
            Verifier::Ed25519(key) => Some(*key),
            Verifier::Ideal(_) => None,
        }
    }
}

/// That someone signed something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) by: ReplicaId,
    pub(crate) statement: &'a [u8],
    pub(crate) signature: &'a Signature,
}

pub(super) fn verify_all(keys: &[Verifier], claims: &[Claim<'_>]) -> bool {
    let known: Option<Vec<&Verifier>> = claims.iter().map(|claim| keys.get(claim.by.index())).collect();
    let Some(known) = known else { return false };
    let ed25519: Option<Vec<VerifyingKey>> = known.iter().map(|key| key.ed25519()).collect();
    match ed25519 {
        Some(keys) => claims.is_empty() || is_valid_batch(&keys, claims),
        // Together is no cheaper than one by one.
        None => known.iter().zip(claims).all(|(key, claim)| key.verify(claim.statement, claim.signature)),
    }
}

fn is_valid_batch(keys: &[VerifyingKey], claims: &[Claim<'_>]) -> bool {
    let statements: Vec<&[u8]> = claims.iter().map(|claim| claim.statement).collect();
    let signatures: Vec<Signature> = claims.iter().map(|claim| *claim.signature).collect();
    verify_batch(&statements, &signatures, keys).is_ok()
}
