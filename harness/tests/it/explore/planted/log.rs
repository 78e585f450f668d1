//! The replicated log in memory. Indices count from 1 (figure 2); index 0, of term 0, stands for the
//! beginning, which all logs share.

use super::messages::Entry;

/// Entries by index.
#[derive(Debug, Default)]
pub struct Log {
    entries: Vec<Entry>,
}

impl Log {
    /// Index of the last entry, 0 when there is none.
    pub fn last_index(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Term of the last entry, 0 when there is none.
    pub fn last_term(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.term)
    }

    /// Term of the entry at `index`, if the log reaches that far.
    pub fn term(&self, index: u64) -> Option<u64> {
        if index == 0 { Some(0) } else { self.get(index).map(|entry| entry.term) }
    }

    /// The entry at `index`.
    pub fn get(&self, index: u64) -> Option<&Entry> {
        self.entries.get(index.checked_sub(1)? as usize)
    }

    /// At most `limit` entries from `first` on.
    pub fn from(&self, first: u64, limit: usize) -> Vec<Entry> {
        self.entries.iter().skip(first.saturating_sub(1) as usize).take(limit).cloned().collect()
    }

    /// Puts `entries` at `first` and after, in place of all that was there.
    pub fn write(&mut self, first: u64, entries: &[Entry]) {
        self.entries.truncate(first.saturating_sub(1) as usize);
        self.entries.extend_from_slice(entries);
    }

    /// What an append after `prev_index` has to write: from the first entry on that is missing or of
    /// another term (figure 2, AppendEntries 3 and 4). Nothing when all is there; an append that was
    /// overtaken must not cut off what its successor brought.
    pub fn novel(&self, prev_index: u64, entries: Vec<Entry>) -> Option<(u64, Vec<Entry>)> {
        let known = (prev_index + 1..).zip(&entries);
        let known = known.take_while(|&(index, entry)| self.term(index) == Some(entry.term)).count();
        let novel = entries.into_iter().skip(known).collect::<Vec<_>>();
        (!novel.is_empty()).then_some((prev_index + 1 + known as u64, novel))
    }

    /// Where the leader should try next when `prev_index` did not match: behind a log that is too
    /// short, or at the first entry of the conflicting term (end of §5.3).
    pub fn retreat(&self, prev_index: u64) -> u64 {
        let Some(conflicting) = self.term(prev_index) else { return self.last_index() + 1 };
        let mut first = prev_index;
        while first > 1 && self.term(first - 1) == Some(conflicting) {
            first -= 1;
        }
        first
    }
}
