//! When a replica's entries passed a point on their way, such as the network or the disk.
//!
//! The library tells when an entry is committed and when it is applied, but not when it was sent or
//! flushed. Both pass through this adapter many entries at a time, so the time is noted once for the
//! last of them and looked up by each.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;

use crate::network::held;
use crate::types::LogId;

/// Marks kept when no one looks them up, as while nothing is committed. The oldest go first; their
/// entries count with the next mark, which is later.
const KEPT_MARKS: usize = 16_384;

/// Points in time by the last entry that had passed. Entries of one leader pass in the order of their
/// ids.
#[derive(Debug, Default)]
pub(crate) struct Marks(Mutex<VecDeque<(LogId, Instant)>>);

impl Marks {
    /// Everything up to this entry has passed now. Nothing is noted when it had before.
    pub(crate) fn passed(&self, last: LogId) {
        let mut marks = held(&self.0);
        if marks.back().is_some_and(|&(known, _)| known >= last) {
            return;
        }
        if marks.len() >= KEPT_MARKS {
            marks.pop_front();
        }
        #[expect(clippy::disallowed_methods, reason = "the adapter measures real time")]
        marks.push_back((last, Instant::now()));
    }

    /// When this entry had passed, if it has. Entries are looked up in order: what is known of
    /// earlier ones is forgotten.
    pub(crate) fn time_of(&self, entry: LogId) -> Option<Instant> {
        let mut marks = held(&self.0);
        while marks.front().is_some_and(|&(last, _)| last < entry) {
            // The latest one stays: it tells what was noted before.
            if marks.len() == 1 {
                return None;
            }
            marks.pop_front();
        }
        marks.front().map(|&(_, time)| time)
    }
}

#[cfg(test)]
mod tests {
    use openraft::vote::leader_id_std::CommittedLeaderId;

    use super::*;

    fn log_id(term: u64, index: u64) -> LogId {
        LogId { leader_id: CommittedLeaderId::new(term), index }
    }

    #[test]
    fn an_entry_passes_with_the_first_mark_at_or_behind_it() {
        let marks = Marks::default();
        assert_eq!(marks.time_of(log_id(1, 1)), None);
        marks.passed(log_id(1, 3));
        let first = marks.time_of(log_id(1, 1)).unwrap();
        marks.passed(log_id(1, 7));
        assert_eq!(marks.time_of(log_id(1, 3)), Some(first));
        let second = marks.time_of(log_id(1, 4)).unwrap();
        assert!(second >= first);
        // The same entries go to a second peer, and are sent again to the first.
        marks.passed(log_id(1, 7));
        marks.passed(log_id(1, 3));
        assert_eq!(marks.time_of(log_id(1, 7)), Some(second));
        assert_eq!(marks.time_of(log_id(1, 8)), None);
        marks.passed(log_id(1, 7));
        assert_eq!(marks.time_of(log_id(1, 8)), None, "entries that passed before are not noted anew");
        // A leader of a later term starts behind the entries it found in its log.
        marks.passed(log_id(3, 6));
        assert!(marks.time_of(log_id(3, 6)).is_some());
    }

    #[test]
    fn marks_that_no_one_looks_up_are_few() {
        let marks = Marks::default();
        (0..2 * KEPT_MARKS as u64).for_each(|index| marks.passed(log_id(1, index)));
        assert_eq!(held(&marks.0).len(), KEPT_MARKS);
        assert!(marks.time_of(log_id(1, 2 * KEPT_MARKS as u64 - 1)).is_some());
    }
}
