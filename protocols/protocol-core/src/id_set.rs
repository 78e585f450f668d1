//! A set of command ids as a bit set; ids are dense, so it takes about one bit per command.

use std::collections::VecDeque;

use crate::command::CommandId;

/// A set of command ids. Words of which all ids are there are counted and not kept, so a set of ids that
/// mostly come in order takes next to nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdSet {
    /// Leading words with every bit set.
    full: u64,
    /// The words behind them; the last is not zero.
    words: VecDeque<u64>,
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
        let Some(index) = (id.0 / 64).checked_sub(self.full) else { return false };
        let (index, bit) = (index as usize, 1u64 << (id.0 % 64));
        if index >= self.words.len() {
            self.words.resize(index + 1, 0);
        }
        let fresh = self.words[index] & bit == 0;
        self.words[index] |= bit;
        self.len += u64::from(fresh);
        self.drop_full();
        fresh
    }

    fn drop_full(&mut self) {
        while self.words.front() == Some(&u64::MAX) {
            self.words.pop_front();
            self.full += 1;
        }
    }

    /// Whether the id is in the set.
    pub fn contains(&self, id: CommandId) -> bool {
        self.word(id.0 / 64) & (1 << (id.0 % 64)) != 0
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
        let end = self.full + self.words.len() as u64;
        (other.full..end).flat_map(move |index| {
            let mut missing = self.word(index) & !other.word(index);
            std::iter::from_fn(move || {
                (missing != 0).then(|| {
                    let bit = missing.trailing_zeros();
                    missing &= missing - 1;
                    CommandId(index * 64 + u64::from(bit))
                })
            })
        })
    }

    fn word(&self, index: u64) -> u64 {
        match index.checked_sub(self.full) {
            None => u64::MAX,
            Some(behind) => self.words.get(behind as usize).copied().unwrap_or(0),
        }
    }

    /// How many words are full, and those behind them.
    pub(crate) fn parts(&self) -> (u64, Vec<u64>) {
        (self.full, self.words.iter().copied().collect())
    }

    pub(crate) fn from_parts(full: u64, words: Vec<u64>) -> Self {
        let len = full * 64 + words.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
        IdSet { full, words: words.into(), len }
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
            prop_assert!((0..5_100).all(|id| left.contains(CommandId(id)) == a.contains(&id)));
            let (full, words) = left.parts();
            prop_assert_eq!(&IdSet::from_parts(full, words), &left);
        }
    }

    #[test]
    fn ids_that_come_in_order_take_no_memory() {
        // Each of 64 clients is a little ahead of the one before.
        let mut set: IdSet = (0..102_400).map(|id| CommandId(id ^ 63)).collect();
        assert!(set.words.len() <= 2 && set.len() == 102_400, "{} words", set.words.len());
        assert!(!set.insert(CommandId(17)) && set.contains(CommandId(17)));
        let rest: IdSet = (0..102_390).map(CommandId).collect();
        assert_eq!(set.difference(&rest).count(), 10);
        assert_eq!(rest.difference(&set).count(), 0);
    }

    #[test]
    fn an_id_that_no_run_hands_out_takes_no_memory() {
        let mut set = IdSet::default();
        assert!(!set.insert(CommandId(u64::MAX)));
        assert!(set.is_empty() && set.words.is_empty());
    }
}
