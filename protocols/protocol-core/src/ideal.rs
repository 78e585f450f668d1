//! Ideal signatures: what a simulated cluster signs with in place of real ones.
//!
//! The model is perfect cryptography, as proofs about protocols assume it (Dolev and Yao, "On the security of
//! public key protocols", 1983): only the holder of a key makes signatures that hold under it, and anyone can
//! check them. Here that rests on conduct and not on hardness. The code that checks knows the secret too, and
//! simulated liars sign with their own key only, replay and spoil what they have, and don't search for
//! collisions.
//!
//! In virtual time only counts, bytes and rules matter: what a signature costs is charged by
//! [`Costs::sign_ns`](crate::Costs::sign_ns) and [`Costs::verify_ns`](crate::Costs::verify_ns), whatever the
//! machine that simulates spends on it. With real signatures it would spend nearly all of its time on them. In
//! real time nothing is ideal: there, protocols that sign use Ed25519.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

/// A key that signs and checks without cryptography. For simulations only: it keeps nothing secret.
///
/// ```
/// use protocol_core::IdealKey;
///
/// let (key, other) = (IdealKey::new(b"secret"), IdealKey::new(b"another"));
/// let signature = key.sign(b"yes");
/// assert!(key.holds(b"yes", &signature));
/// assert!(!key.holds(b"no", &signature) && !other.holds(b"yes", &signature));
/// ```
#[derive(Clone, Copy)]
pub struct IdealKey {
    seed: u64,
}

impl IdealKey {
    /// Bytes of a signature: as many as Ed25519's, so that messages are as long as in real time.
    pub const SIGNATURE_BYTES: usize = 64;

    /// The key that goes with this secret, of any length. Keys are told apart by 64 bits of it.
    pub fn new(secret: &[u8]) -> Self {
        IdealKey { seed: xxh3_64(secret) }
    }

    /// The signature of a message: the XXH3-128 digest that this key gives it, four times.
    pub fn sign(&self, message: &[u8]) -> [u8; Self::SIGNATURE_BYTES] {
        let digest = xxh3_128_with_seed(message, self.seed).to_le_bytes();
        let mut signature = [0; Self::SIGNATURE_BYTES];
        signature.chunks_exact_mut(digest.len()).for_each(|part| part.copy_from_slice(&digest));
        signature
    }

    /// Whether this key made the signature of this message. One of another length does not hold.
    pub fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        signature == self.sign(message)
    }
}

/// Keys stay out of logs.
impl std::fmt::Debug for IdealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdealKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_key_and_message_and_not_when_a_bit_is_changed() {
        // XXH3 treats short, middling and long messages differently.
        for length in [0, 1, 9, 33, 200, 241, 5_000] {
            let (key, message) = (IdealKey::new(&[7; 32]), vec![1; length]);
            let signature = key.sign(&message);
            assert!(IdealKey::new(&[7; 32]).holds(&message, &signature), "{length} bytes");
            assert!(!IdealKey::new(&[8; 32]).holds(&message, &signature), "{length} bytes");
            for bit in 0..8 * signature.len() {
                let mut spoilt = signature;
                spoilt[bit / 8] ^= 1 << (bit % 8);
                assert!(!key.holds(&message, &spoilt), "{length} bytes, bit {bit}");
            }
            for bit in 0..8 * length.min(300) {
                let mut other = message.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(!key.holds(&other, &signature), "{length} bytes, bit {bit} of the message");
            }
            assert!(!key.holds(&[&message[..], &[1]].concat(), &signature), "{length} bytes and one more");
            assert!(!key.holds(&message, &signature[1..]) && !key.holds(&message, &[]));
        }
    }
}
