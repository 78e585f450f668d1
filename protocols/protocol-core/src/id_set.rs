//! A set of command ids as a bit set; ids are dense, so it takes about one bit per command.

use crate::command::CommandId;

/// A set of command ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdSet {
    words: Vec<u64>,
    len: u64,
}

impl IdSet {
    /// Ids from here on can't have been handed out by a run, and are never stored: they would take
    /// 128 MiB of bits.
    pub const LIMIT: u64 = 1 << 30;

    /// Adds an id; false when it was there already or is at or above [`IdSet::LIMIT`].
    pub fn insert(&mut self, id: CommandId) -> bool {
        if id.0 >= Self::LIMIT {
            return false;
        }
        let (word, bit) = ((id.0 / 64) as usize, 1u64 << (id.0 % 64));
        if word >= self.words.len() {
            self.words.resize((word + 1).max(self.words.len() * 2), 0);
        }
        let fresh = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.len += u64::from(fresh);
        fresh
    }

    /// Whether the id is in the set.
    pub fn contains(&self, id: CommandId) -> bool {
        self.words.get((id.0 / 64) as usize).is_some_and(|word| word & (1 << (id.0 % 64)) != 0)
    }

    /// Number of ids.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Ids of this set that the other lacks, ascending.
    pub fn difference<'a>(&'a self, other: &'a IdSet) -> impl Iterator<Item = CommandId> + 'a {
        self.words.iter().enumerate().flat_map(move |(index, word)| {
            let mut missing = word & !other.words.get(index).copied().unwrap_or(0);
            std::iter::from_fn(move || {
                (missing != 0).then(|| {
                    let bit = missing.trailing_zeros();
                    missing &= missing - 1;
                    CommandId(index as u64 * 64 + u64::from(bit))
                })
            })
        })
    }

    /// The bits, lowest id first, without trailing zeros.
    pub(crate) fn words(&self) -> &[u64] {
        let used = self.words.iter().rposition(|&word| word != 0).map_or(0, |last| last + 1);
        &self.words[..used]
    }

    pub(crate) fn from_words(words: Vec<u64>) -> Self {
        let len = words.iter().map(|word| u64::from(word.count_ones())).sum();
        IdSet { words, len }
    }
}

impl FromIterator<CommandId> for IdSet {
    fn from_iter<I: IntoIterator<Item = CommandId>>(ids: I) -> Self {
        let mut set = IdSet::default();
        for id in ids {
            set.insert(id);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_like_an_ordered_set(a in proptest::collection::btree_set(0u64..5_000, 0..200),
                                       b in proptest::collection::btree_set(0u64..5_000, 0..200)) {
            let set = |ids: &BTreeSet<u64>| ids.iter().map(|&id| CommandId(id)).collect::<IdSet>();
            let (left, right) = (set(&a), set(&b));
            prop_assert_eq!(left.len(), a.len() as u64);
            let difference: Vec<u64> = left.difference(&right).map(|id| id.0).collect();
            prop_assert_eq!(difference, a.difference(&b).copied().collect::<Vec<_>>());
            let copy = IdSet::from_words(left.words().to_vec());
            prop_assert_eq!((copy.len(), copy.words()), (left.len(), left.words()));
        }
    }

    #[test]
    fn an_id_that_no_run_hands_out_takes_no_memory() {
        let mut set = IdSet::default();
        assert!(!set.insert(CommandId(u64::MAX)));
        assert!(set.is_empty() && set.words().is_empty());
    }
}
