//! Where the time of one command went.

/// Parts of the time from [`Request::sent`] to the answer, in nanoseconds. The first four are its
/// addends; what is left over is the way of the answer back to the client.
///
/// [`Request::sent`]: crate::Request::sent
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// From the client until a replica took it up.
    pub submission_ns: u64,
    /// From there until that replica had sent it to its peers: handed it to the network and to the
    /// log.
    pub replication_ns: u64,
    /// From there until that replica knew it was committed.
    pub quorum_wait_ns: u64,
    /// From there until it was applied.
    pub application_ns: u64,
    /// The part of `quorum_wait_ns` during which that replica's own log was still flushing it; 0
    /// without a log on disk. Not an addend.
    pub fsync_ns: u64,
}

impl Phases {
    /// From a replica taking the command up until it knew the command was committed, in nanoseconds.
    pub fn consensus_ns(&self) -> u64 {
        self.replication_ns.saturating_add(self.quorum_wait_ns)
    }

    /// The four addends, in nanoseconds. Never more than from [`Request::sent`] to the answer.
    ///
    /// [`Request::sent`]: crate::Request::sent
    pub fn total_ns(&self) -> u64 {
        self.submission_ns.saturating_add(self.consensus_ns()).saturating_add(self.application_ns)
    }
}

/// How far the log of the replica that took a command up was with making it durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flush {
    /// Nothing had to be flushed, as with memory storage.
    #[default]
    None,
    /// It was still flushing when the command was applied.
    Pending,
    /// It was done at this time, in nanoseconds on the clock of the [`Milestones`].
    Done(u64),
}

/// When one command passed from one phase to the next, in nanoseconds on any one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Milestones {
    /// When the client sent it.
    pub sent: u64,
    /// When a replica took it up.
    pub taken_up: u64,
    /// When that replica had sent it to its peers. None when it never did, as a replica alone; then
    /// replication lasts until the commit.
    pub replicated: Option<u64>,
    /// How far that replica's log was.
    pub flush: Flush,
    /// When that replica knew it was committed.
    pub committed: u64,
    /// When it was applied.
    pub applied: u64,
}

impl Milestones {
    /// The times in between. A milestone that seems to lie before an earlier one (stamps are taken on
    /// several threads) counts as being at the same time, so that phases never add up to more than
    /// passed between the client's sending and the last milestone.
    pub fn phases(&self) -> Phases {
        let taken_up = self.taken_up.max(self.sent);
        let committed = self.committed.max(taken_up);
        let replicated = self.replicated.map_or(committed, |at| at.clamp(taken_up, committed));
        let applied = self.applied.max(committed);
        let fsync_ns = match self.flush {
            Flush::None => 0,
            Flush::Pending => committed - replicated,
            Flush::Done(at) => at.clamp(replicated, committed) - replicated,
        };
        Phases {
            submission_ns: taken_up - self.sent,
            replication_ns: replicated - taken_up,
            quorum_wait_ns: committed - replicated,
            application_ns: applied - committed,
            fsync_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IN_ORDER: Milestones = Milestones {
        sent: 100,
        taken_up: 110,
        replicated: Some(130),
        flush: Flush::None,
        committed: 200,
        applied: 207,
    };

    #[test]
    fn every_phase_lasts_from_its_milestone_to_the_next() {
        let phases = IN_ORDER.phases();
        let expected = Phases {
            submission_ns: 10,
            replication_ns: 20,
            quorum_wait_ns: 70,
            application_ns: 7,
            fsync_ns: 0,
        };
        assert_eq!(phases, expected);
        assert_eq!((phases.consensus_ns(), phases.total_ns()), (90, 107));
    }

    #[test]
    fn a_flush_counts_as_far_as_it_kept_the_quorum_waiting() {
        let flushed = |flush| Milestones { flush, ..IN_ORDER }.phases().fsync_ns;
        assert_eq!(flushed(Flush::Done(150)), 20);
        assert_eq!(flushed(Flush::Done(250)), 70, "the quorum was faster than the own disk");
        assert_eq!(flushed(Flush::Pending), 70);
        assert_eq!(flushed(Flush::Done(120)), 0, "it was done before the messages were out");
    }

    #[test]
    fn without_peers_replication_takes_all() {
        let alone = Milestones { replicated: None, flush: Flush::Pending, ..IN_ORDER }.phases();
        assert_eq!((alone.replication_ns, alone.quorum_wait_ns, alone.fsync_ns), (90, 0, 0));
    }

    fn flush() -> impl Strategy<Value = Flush> {
        prop_oneof![Just(Flush::None), Just(Flush::Pending), (0u64..1000).prop_map(Flush::Done)]
    }

    proptest! {
        #[test]
        fn phases_never_add_up_to_more_than_passed(
            (sent, taken_up, committed, applied) in (0u64..1000, 0u64..1000, 0u64..1000, 0u64..1000),
            replicated in proptest::option::of(0u64..1000),
            flush in flush(),
        ) {
            let phases = Milestones { sent, taken_up, replicated, flush, committed, applied }.phases();
            let latest = sent.max(taken_up).max(committed).max(applied);
            prop_assert_eq!(phases.total_ns(), latest - sent);
            prop_assert!(phases.fsync_ns <= phases.quorum_wait_ns);
        }
    }
}
