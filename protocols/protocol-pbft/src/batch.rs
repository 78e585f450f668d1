//! Batches: what one sequence number stands for. A list of requests' names, without the requests.

use bytes::Bytes;
use protocol_core::CommandId;

use crate::authenticator::Digest;

/// The names of a batch's requests in their order, and the digest of that list.
///
/// A batch from the wire carries the digest that its sender claims; [`is_genuine`](Batch::is_genuine) tells
/// whether that is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    digest: Digest,
    entries: Bytes,
}

/// The name of a request: its id, and the digest of id and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Id.
    pub id: CommandId,
    /// Digest.
    pub digest: Digest,
}

impl Entry {
    const BYTES: usize = 8 + Digest::BYTES;

    fn read(bytes: &[u8]) -> Self {
        let (mut id, mut digest) = ([0; 8], [0; Digest::BYTES]);
        id.copy_from_slice(&bytes[..8]);
        digest.copy_from_slice(&bytes[8..]);
        Entry { id: CommandId(u64::from_le_bytes(id)), digest: Digest(digest) }
    }
}

impl Batch {
    /// A batch of these requests.
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut bytes = Vec::new();
        for entry in entries {
            bytes.extend_from_slice(&entry.id.0.to_le_bytes());
            bytes.extend_from_slice(&entry.digest.0);
        }
        Batch { digest: Digest::of(&bytes), entries: bytes.into() }
    }

    /// The batch without requests, with which a new primary fills gaps (OSDI '99 §4.4).
    pub fn null() -> Self {
        Batch::of([])
    }

    /// A batch as it came over the wire; none when the bytes are no whole number of entries.
    pub fn claimed(digest: Digest, entries: Bytes) -> Option<Self> {
        entries.len().is_multiple_of(Entry::BYTES).then_some(Batch { digest, entries })
    }

    /// Whether the claimed digest is that of the entries.
    pub fn is_genuine(&self) -> bool {
        Digest::of(&self.entries) == self.digest
    }

    /// The digest, as claimed.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The entries' bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.entries
    }

    /// Number of requests.
    pub fn len(&self) -> usize {
        self.entries.len() / Entry::BYTES
    }

    /// Whether it is a null batch.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The names in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.entries.chunks_exact(Entry::BYTES).map(Entry::read)
    }

    /// The name at this place.
    pub fn entry(&self, index: usize) -> Option<Entry> {
        let from = index.checked_mul(Entry::BYTES)?;
        self.entries.get(from..from + Entry::BYTES).map(Entry::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_named_by_what_is_in_it_and_in_which_order() {
        let entry = |id: u64| Entry { id: CommandId(id), digest: Digest::of(&id.to_le_bytes()) };
        let batch = Batch::of([entry(1), entry(2)]);
        assert_eq!(batch.entries().collect::<Vec<_>>(), [entry(1), entry(2)]);
        assert_eq!((batch.len(), batch.entry(1)), (2, Some(entry(2))));
        assert_ne!(batch.digest(), Batch::of([entry(2), entry(1)]).digest());
        assert!(batch.is_genuine() && Batch::null().is_genuine());
        let forged = Batch::claimed(Batch::null().digest(), batch.bytes().clone()).unwrap();
        assert!(!forged.is_genuine());
        assert_eq!(Batch::claimed(batch.digest(), batch.bytes().slice(1..)), None);
    }
}
