//! What two profiles of the same work differ in: which kinds of work and which crates grew or shrank.

use std::collections::BTreeSet;

use serde::Serialize;

use super::attribution::whole;
use super::{Attribution, Bounded, Share};
use crate::stats::wilson_interval;
use crate::table::quantity;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measured {
    /// CPU time per commit, in nanoseconds.
    NsPerCommit,
    /// Shares of the CPU time, 0 to 1, because a profile does not know its commits.
    Share,
}

impl Measured {
    /// A number in its unit. Of shares tenths of a per cent: samples tell no more.
    pub fn number(self, value: f64) -> String {
        match self {
            Measured::NsPerCommit => quantity::in_unit(value, "ns"),
            Measured::Share => format!("{:.1} %", value * 100.0),
        }
    }

    /// The same with its sign.
    pub fn signed(self, value: f64) -> String {
        let sign = if value > 0.0 { "+" } else { "" };
        format!("{sign}{}", self.number(value))
    }
}

/// One kind of work or crate in both profiles.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Name.
    pub of: String,
    /// In the first profile.
    pub before: Bounded,
    /// In the second.
    pub after: Bounded,
    /// The second less the first.
    pub change: Bounded,
}

/// The difference of two profiles. Intervals hold what the sampling and the rounds of each run leave open,
/// and not what differs from one process to the next.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// What the numbers are.
    pub measured: Measured,
    /// Everything together; none when shares are compared.
    pub total: Option<Change>,
    /// Kinds of work, the largest change first.
    pub kinds: Vec<Change>,
    /// Crates, the largest change first.
    pub crates: Vec<Change>,
    /// Why the two can hardly be compared, in words; empty when they can.
    pub notes: Vec<String>,
}

impl Change {
    fn of(of: &str, before: Bounded, after: Bounded) -> Change {
        Change { of: of.into(), before, after, change: after.minus(before) }
    }

    /// Whether either profile saw any of it.
    pub fn is_seen(&self) -> bool {
        self.before.value > 0.0 || self.after.value > 0.0
    }

    /// Whether the interval of the change says that there is one.
    pub fn is_certain(&self) -> bool {
        self.change.lower > 0.0 || self.change.upper < 0.0
    }
}

/// Compares two profiles, per commit where both know their commits.
pub fn difference(before: &Attribution, after: &Attribution) -> Difference {
    let totals = before.cpu_ns_per_commit.zip(after.cpu_ns_per_commit);
    let measured = if totals.is_some() { Measured::NsPerCommit } else { Measured::Share };
    let named = |profile: &Attribution| -> Vec<Share<String>> {
        profile.kinds.iter().map(|share| share.called(share.of.name().to_string())).collect()
    };
    let sides = |before_shares: &[Share<String>], after_shares: &[Share<String>]| {
        let names: BTreeSet<&str> =
            before_shares.iter().chain(after_shares).map(|share| share.of.as_str()).collect();
        let change = |name: &&str| {
            let (a, b) =
                (part(before, before_shares, name, measured), part(after, after_shares, name, measured));
            Change::of(name, a, b)
        };
        let mut changes: Vec<Change> = names.iter().map(change).collect();
        changes.sort_by(|a, b| b.change.value.abs().total_cmp(&a.change.value.abs()));
        changes
    };
    Difference {
        measured,
        total: totals.map(|(before, after)| Change::of("all", before, after)),
        kinds: sides(&named(before), &named(after)),
        crates: sides(&before.crates, &after.crates),
        notes: notes(before, after),
    }
}

/// What a name has in a profile; nothing seen is a share too.
fn part(profile: &Attribution, shares: &[Share<String>], name: &str, measured: Measured) -> Bounded {
    let share = match shares.iter().find(|share| share.of == name) {
        Some(share) => Bounded { value: share.share, lower: share.lower, upper: share.upper },
        None => {
            let (lower, upper) = wilson_interval(0, profile.sampling.samples);
            Bounded { value: 0.0, lower, upper }
        }
    };
    match (measured, profile.cpu_ns_per_commit) {
        (Measured::NsPerCommit, Some(cpu)) => share.times(cpu),
        _ => share,
    }
}

fn notes(before: &Attribution, after: &Attribution) -> Vec<String> {
    let mut notes = Vec::new();
    let (a, b) = (&before.profiled, &after.profiled);
    let mut differs = |what: &str, same: bool, one: String, other: String| {
        if !same {
            notes.push(format!("{what} differs: {one} and {other}"));
        }
    };
    differs("what ran", before.name() == after.name(), before.name(), after.name());
    differs("the load", a.load == b.load, a.load.in_words(), b.load.in_words());
    differs("the machine", a.machine == b.machine, a.machine.clone(), b.machine.clone());
    for (which, profile) in [("the first", before), ("the second", after)] {
        notes.extend(profile.disturbed.iter().map(|reason| format!("{which} was disturbed: {reason}")));
    }
    notes
}

/// By how much the samples of a profile have to be multiplied so that both profiles are in one unit:
/// nanoseconds per 1,000 commits, or parts of a million.
pub(super) fn scale(profile: &Attribution, measured: Measured) -> f64 {
    let whole = match measured {
        Measured::NsPerCommit => whole(profile) * 1e3,
        Measured::Share => 1e6,
    };
    whole / profile.sampling.samples.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::{Frame, Profiled, ProfiledLoad, Samples, Stack, attribute};
    use super::*;

    fn profile(of: &[(&str, u64)], cpu_ns_per_commit: Option<Bounded>) -> Attribution {
        let stack = |(krate, samples): &(&str, u64)| Stack {
            thread: "cluster".into(),
            frames: vec![Frame { function: format!("{krate}::f"), file: String::new() }],
            samples: *samples,
        };
        let samples =
            Samples { stacks: of.iter().map(stack).collect(), asked_per_s: 997.0, ..Samples::default() };
        attribute(&samples, Profiled::default(), cpu_ns_per_commit)
    }

    fn of<'a>(changes: &'a [Change], name: &str) -> &'a Change {
        changes.iter().find(|change| change.of == name).unwrap()
    }

    #[test]
    fn what_doubled_is_found_and_what_stayed_is_not_though_its_share_fell() {
        // Signatures cost 2 µs more; the rest is as it was.
        let before = profile(&[("raft", 2_000), ("blake3", 2_000)], Some(Bounded::exactly(4_000.0)));
        let after = profile(&[("raft", 1_340), ("blake3", 2_660)], Some(Bounded::exactly(6_000.0)));
        let difference = difference(&before, &after);
        assert_eq!(difference.measured, Measured::NsPerCommit);
        let blake3 = of(&difference.crates, "blake3");
        assert!((blake3.change.value - 1_990.0).abs() < 1e-6 && blake3.is_certain(), "{blake3:?}");
        let raft = of(&difference.crates, "raft");
        assert!((raft.change.value - 10.0).abs() < 1e-6 && !raft.is_certain(), "{raft:?}");
        assert_eq!(difference.crates[0].of, "blake3");
        assert_eq!(difference.kinds[0].of, "hashing and crypto");
        assert!(!of(&difference.kinds, "storage").is_certain());
        assert_eq!(difference.total.as_ref().unwrap().change.value, 2_000.0);
        assert!(difference.notes.is_empty(), "{:?}", difference.notes);
    }

    #[test]
    fn without_commits_shares_are_compared_and_what_came_new_counts() {
        let before = profile(&[("raft", 500)], None);
        let mut after = profile(&[("raft", 400), ("protobuf", 100)], Some(Bounded::exactly(1.0)));
        after.profiled.load = ProfiledLoad::Closed { clients: 8 };
        let difference = difference(&before, &after);
        assert_eq!((difference.measured, &difference.total), (Measured::Share, &None));
        let new = of(&difference.crates, "protobuf");
        assert_eq!((new.before.value, new.after.value), (0.0, 0.2));
        assert!(new.is_certain());
        assert_eq!(difference.notes, ["the load differs: an unknown load and 8 clients in a closed loop"]);
    }

    #[test]
    fn the_widths_of_both_graphs_are_in_one_unit() {
        let before = profile(&[("raft", 400)], Some(Bounded::exactly(4_000.0)));
        assert_eq!(scale(&before, Measured::NsPerCommit) * 400.0, 4_000_000.0);
        assert_eq!(scale(&before, Measured::Share) * 400.0, 1_000_000.0);
    }
}
