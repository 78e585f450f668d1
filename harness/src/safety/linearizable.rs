//! Whether the operations on one register are linearizable (Herlihy and Wing, 1990).
//!
//! No two writes of a run write the same value, so every read tells which write it saw, and the question
//! is no longer hard (Gibbons and Korach, "Testing Shared Memories", 1997, with a read-mapping). The
//! operations of one value, its write and its reads, stand together in any order that explains the
//! history. So the value must be there from the first response among them to the last invocation: its
//! *zone*. A history is linearizable if no read precedes its write and no two values have to be there
//! both before and after each other.
//!
//! A value whose zone is closed by another's, and that no open read can return, is forgotten: a read that
//! returns it later is wrong whatever else happened. So the whole of a run is checked in memory for what
//! is going on at once.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

/// What a register holds: 0 for nothing, and else what was written. Writes write different values.
pub type Value = u64;

/// A register is looked at again when it has twice as many values as were left last time, and at least
/// so many.
const LOOK_AT: usize = 64;
const NEVER: u64 = u64::MAX;

/// How a history can't be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A read returned a value before anyone wrote it, or one that others had replaced before it began.
    NoSuchValue {
        /// What it returned.
        value: Value,
    },
    /// Of each of two values an operation ended before one of the other began.
    BothBeforeEachOther {
        /// The two.
        values: [Value; 2],
    },
}

/// The operations of one value. Moments are doubled nanoseconds, see [`response`] and [`invocation`].
#[derive(Clone, Copy, Debug)]
struct Zone {
    /// Invocation of its write.
    wrote_from: u64,
    /// Response of its write; never when there was none.
    wrote_until: u64,
    /// First response of any of its operations.
    first_response: u64,
    /// Last invocation of any of its operations that had a response, the write always included.
    last_invocation: u64,
}

/// What is known of one register.
#[derive(Clone, Debug)]
pub struct Register {
    zones: BTreeMap<Value, Zone>,
    look_at: usize,
    broken: Option<Broken>,
    /// The write that was answered last: from, until.
    newest_write: Option<(u64, u64)>,
    stale_reads: u64,
}

impl Default for Register {
    /// No one wrote yet: as if nothing had been written before all time.
    fn default() -> Self {
        let nothing = Zone { wrote_from: 0, wrote_until: 0, first_response: 0, last_invocation: 0 };
        Register {
            zones: [(0, nothing)].into(),
            look_at: LOOK_AT,
            broken: None,
            newest_write: None,
            stale_reads: 0,
        }
    }
}

/// A response comes before the invocations of the same nanosecond: those that it caused. But no
/// operation ends before it began.
fn response(invoked_ns: u64, answered_ns: u64) -> u64 {
    (2 * answered_ns).max(2 * invoked_ns + 2)
}

fn invocation(at_ns: u64) -> u64 {
    2 * at_ns + 1
}

impl Register {
    /// A write begins. It may take effect from now on, answered or not.
    pub fn write_invoked(&mut self, value: Value, at_ns: u64) {
        let from = invocation(at_ns);
        let zone =
            Zone { wrote_from: from, wrote_until: NEVER, first_response: NEVER, last_invocation: from };
        self.zones.insert(value, zone);
    }

    /// A write was answered.
    pub fn write_answered(&mut self, value: Value, invoked_ns: u64, answered_ns: u64) {
        let until = response(invoked_ns, answered_ns);
        self.newest_write = Some((invocation(invoked_ns), until));
        if let Some(zone) = self.zones.get_mut(&value) {
            zone.wrote_until = until;
            zone.first_response = zone.first_response.min(until);
        }
    }

    /// A read was answered.
    pub fn read_answered(&mut self, value: Value, invoked_ns: u64, answered_ns: u64) {
        let (from, until) = (invocation(invoked_ns), response(invoked_ns, answered_ns));
        let zone = self.zones.get_mut(&value).filter(|zone| zone.wrote_from < until);
        let Some(zone) = zone else {
            self.stale_reads += 1;
            self.broken.get_or_insert(Broken::NoSuchValue { value });
            return;
        };
        zone.first_response = zone.first_response.min(until);
        zone.last_invocation = zone.last_invocation.max(from);
        let wrote_until = zone.wrote_until;
        if self
            .newest_write
            .is_some_and(|(newer_from, newer_until)| wrote_until < newer_from && newer_until < from)
        {
            self.stale_reads += 1;
        }
    }

    /// Whether it is time to [`look`](Register::look).
    pub fn is_large(&self) -> bool {
        self.zones.len() >= self.look_at
    }

    /// Compares the values, and forgets those that are over: every operation that has no response yet
    /// began at this time or later.
    pub fn look(&mut self, oldest_open_ns: u64) {
        self.check();
        self.forget(invocation(oldest_open_ns));
        self.look_at = LOOK_AT.max(2 * self.zones.len());
    }

    /// Compares the values; how the history can't be explained, if it can't.
    pub fn check(&mut self) -> Option<Broken> {
        if self.broken.is_none() {
            self.broken = conflict(&self.zones);
        }
        self.broken
    }

    /// Reads, at the least, that returned a value although a later write had been answered before they
    /// began.
    pub fn stale_reads(&self) -> u64 {
        self.stale_reads
    }

    #[cfg(test)]
    fn kept(&self) -> usize {
        self.zones.len()
    }

    /// A value may be forgotten once another, all of whose operations ended before `open`, had one that
    /// began after one of its own ended: a read from `open` on that returned it would put both before
    /// each other. Values that stay began to be there no earlier than those that go, and so what is yet
    /// to come can't conflict with one that went.
    fn forget(&mut self, open: u64) {
        let ended = |zone: &&Zone| zone.first_response.max(zone.last_invocation) < open;
        let mut latest: Vec<u64> =
            self.zones.values().filter(ended).map(|zone| zone.last_invocation).collect();
        latest.sort_unstable();
        let mut latest = latest.into_iter().rev();
        let (Some(first), Some(second)) = (latest.next(), latest.next()) else { return };
        self.zones.retain(|_, zone| {
            let own = zone.last_invocation == first && ended(&&*zone);
            let others = if own { second } else { first };
            zone.first_response >= others
        });
    }
}

/// Two values that have to be there both before and after each other. One of two such zones ends after
/// it begins (*forward*), and those must not overlap; the other may begin after it ends (*backward*), and
/// must not lie within a forward one.
fn conflict(zones: &BTreeMap<Value, Zone>) -> Option<Broken> {
    // A write that no one answered and no one saw may never have happened.
    let effective = zones.iter().filter(|(_, zone)| zone.first_response != NEVER);
    let zones = effective.map(|(&value, zone)| (zone.first_response, zone.last_invocation, value));
    let (mut forward, backward): (Vec<_>, Vec<_>) = zones.partition(|&(first, last, _)| first < last);
    forward.sort_unstable();
    for pair in forward.windows(2) {
        if pair[1].0 < pair[0].1 {
            return Some(Broken::BothBeforeEachOther { values: [pair[0].2, pair[1].2] });
        }
    }
    backward.into_iter().find_map(|(first, last, value)| {
        let before = forward.partition_point(|&(begins, ..)| begins < last);
        let &(_, ends, other) = forward.get(before.checked_sub(1)?)?;
        (first < ends).then_some(Broken::BothBeforeEachOther { values: [other, value] })
    })
}
