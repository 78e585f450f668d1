//! Signatures: Ed25519, checked one by one or many at once.
//!
//! The library's check of many draws its random factors from a hash of all that is checked, so it is
//! repeatable. It is also the more lenient one: a signer may craft a signature that passes in some company
//! and not in other. A replica that acts on its own may live with that; what is shown to others is either
//! checked strictly, or as exactly the same batch by everyone.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey, verify_batch};
use protocol_core::ReplicaId;

/// That someone signed something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) by: ReplicaId,
    pub(crate) statement: &'a [u8],
    pub(crate) signature: &'a Signature,
}

pub(super) fn sign(key: &SigningKey, statement: &[u8]) -> Signature {
    key.sign(statement)
}

pub(super) fn verify_all(keys: &[VerifyingKey], claims: &[Claim<'_>]) -> bool {
    let known: Option<Vec<VerifyingKey>> =
        claims.iter().map(|claim| keys.get(claim.by.index()).copied()).collect();
    let Some(known) = known else { return false };
    let statements: Vec<&[u8]> = claims.iter().map(|claim| claim.statement).collect();
    let signatures: Vec<Signature> = claims.iter().map(|claim| *claim.signature).collect();
    claims.is_empty() || verify_batch(&statements, &signatures, &known).is_ok()
}
