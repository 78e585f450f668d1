//! Keys of signatures: Ed25519 in real time, ideal ones where signing is charged for and need not be done.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use protocol_core::IdealKey;

/// Bytes of a signature, ideal or not.
pub(crate) const SIGNATURE_BYTES: usize = ed25519_dalek::SIGNATURE_LENGTH;

const _: () = assert!(SIGNATURE_BYTES == IdealKey::SIGNATURE_BYTES);

/// A key to sign with.
pub(crate) enum Signer {
    Ed25519(Box<SigningKey>),
    Ideal(IdealKey),
}

impl Signer {
    pub(crate) fn ed25519(secret: &[u8; 32]) -> Self {
        Signer::Ed25519(Box::new(SigningKey::from_bytes(secret)))
    }

    pub(crate) fn ideal(secret: &[u8; 32]) -> Self {
        Signer::Ideal(IdealKey::new(secret))
    }

    pub(crate) fn verifier(&self) -> Verifier {
        match self {
            Signer::Ed25519(key) => Verifier::Ed25519(key.verifying_key()),
            Signer::Ideal(key) => Verifier::Ideal(*key),
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        match self {
            Signer::Ed25519(key) => key.sign(message).to_bytes(),
            Signer::Ideal(key) => key.sign(message),
        }
    }
}

/// A key to check with.
pub(crate) enum Verifier {
    Ed25519(VerifyingKey),
    Ideal(IdealKey),
}

impl Verifier {
    /// Strictly: every replica comes to the same result.
    pub(crate) fn verify(&self, message: &[u8], proof: &[u8]) -> bool {
        match self {
            Verifier::Ed25519(key) => {
                let strict = |signature| key.verify_strict(message, &signature).is_ok();
                Signature::from_slice(proof).is_ok_and(strict)
            }
            Verifier::Ideal(key) => key.holds(message, proof),
        }
    }
}
