//! The zones against a search through all orders, on small histories.

use std::collections::BTreeSet;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// An operation on one register; a write without an answer may have taken effect or not.
#[derive(Clone, Copy, Debug)]
struct Op {
    writes: bool,
    value: Value,
    invoked: u64,
    answered: Option<u64>,
}

fn write(value: Value, invoked: u64, answered: u64) -> Op {
    Op { writes: true, value, invoked, answered: Some(answered) }
}

fn read(value: Value, invoked: u64, answered: u64) -> Op {
    Op { writes: false, ..write(value, invoked, answered) }
}

fn pending(value: Value, invoked: u64) -> Op {
    Op { answered: None, ..write(value, invoked, 0) }
}

/// Wing and Gong 1993, with the memory of Lowe 2017: takes any operation that none left precedes, and
/// goes back where that leads nowhere.
fn search(ops: &[Op]) -> bool {
    let ended: u32 =
        (0..ops.len()).filter(|&index| ops[index].answered.is_some()).map(|index| 1 << index).sum();
    let (mut seen, mut open) = (BTreeSet::new(), vec![(0u32, 0)]);
    while let Some((taken, holds)) = open.pop() {
        if taken & ended == ended {
            return true;
        }
        if !seen.insert((taken, holds)) {
            continue;
        }
        let left = |index: &usize| taken & (1 << index) == 0;
        let first_response =
            (0..ops.len()).filter(left).filter_map(|index| ops[index].answered).min().unwrap_or(u64::MAX);
        for index in (0..ops.len()).filter(left) {
            let op = ops[index];
            // A response comes before the invocations of its moment.
            let precedes = op.invoked >= first_response;
            match (op.writes, op.answered) {
                _ if precedes && op.answered != Some(first_response) => {}
                (false, None) => {}
                (true, _) => open.push((taken | 1 << index, op.value)),
                (false, Some(_)) if op.value == holds => open.push((taken | 1 << index, holds)),
                (false, Some(_)) => {}
            }
        }
    }
    false
}

/// The same by zones, told in order of time, looking and forgetting on the way when asked to.
fn zones(ops: &[Op], forgets: bool) -> (bool, usize) {
    let mut register = Register::default();
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (index, op) in ops.iter().enumerate() {
        events.push((op.invoked, true, index));
        events.extend(op.answered.map(|at| (at, false, index)));
    }
    events.sort_unstable();
    let mut open: BTreeSet<u64> = BTreeSet::new();
    for (at, invoked, index) in events {
        let op = ops[index];
        match (op.writes, invoked) {
            (true, true) => register.write_invoked(op.value, at),
            (true, false) => register.write_answered(op.value, op.invoked, at),
            (false, true) => {}
            (false, false) => register.read_answered(op.value, op.invoked, at),
        }
        // Reads that never end return nothing.
        match invoked {
            true if op.answered.is_some() => drop(open.insert(op.invoked)),
            false => drop(open.remove(&op.invoked)),
            true => {}
        }
        if forgets {
            register.look(open.first().copied().unwrap_or(at + 1));
        }
    }
    (register.check().is_none(), register.kept())
}

fn verdict(ops: &[Op]) -> bool {
    let found = zones(ops, false).0;
    assert_eq!(found, search(ops), "{ops:?}");
    assert_eq!(found, zones(ops, true).0, "{ops:?}, with forgetting");
    found
}

#[test]
fn what_is_known_to_be_wrong_is_found() {
    let wrong: [(&str, &[Op]); 8] = [
        ("a stale read", &[write(1, 0, 10), write(2, 20, 30), read(1, 40, 50)]),
        ("a read of nothing after a write", &[write(1, 0, 10), read(0, 20, 30)]),
        ("a lost write", &[write(1, 0, 10), write(2, 20, 30), read(2, 40, 50), read(1, 60, 70)]),
        ("new, then old", &[write(1, 0, 10), write(2, 20, 90), read(2, 30, 40), read(1, 50, 60)]),
        ("a value from nowhere", &[write(1, 0, 10), read(7, 20, 30)]),
        ("a value from the future", &[read(1, 0, 10), write(1, 20, 30)]),
        ("an unanswered write, undone", &[pending(1, 0), read(1, 10, 20), read(0, 30, 40)]),
        (
            "two orders of two writes",
            &[write(1, 0, 10), write(2, 0, 10), read(1, 20, 30), read(2, 40, 50), read(1, 60, 70)],
        ),
    ];
    for (name, ops) in wrong {
        assert!(!verdict(ops), "{name}");
    }
    let right: [(&str, &[Op]); 6] = [
        ("nothing", &[]),
        ("nothing written", &[read(0, 0, 10), read(0, 20, 30)]),
        ("reads during a write", &[write(1, 0, 10), write(2, 20, 90), read(1, 30, 40), read(2, 50, 60)]),
        ("an unanswered write that came late", &[pending(1, 0), read(0, 10, 20), read(1, 30, 40)]),
        ("an unanswered write that never came", &[pending(1, 0), write(2, 10, 20), read(2, 30, 40)]),
        ("two writes at once", &[write(1, 0, 50), write(2, 0, 50), read(2, 60, 70), read(2, 80, 90)]),
    ];
    for (name, ops) in right {
        assert!(verdict(ops), "{name}");
    }
}

/// Operations that took effect one after the other at moments of their own; then some reads are made to
/// return another value, or times are moved.
fn random(random: &mut ChaCha8Rng) -> Vec<Op> {
    let count = random.random_range(1..=9);
    let span = random.random_range(4..60);
    let mut ops: Vec<(u64, Op)> = Vec::new();
    let mut times: BTreeSet<u64> = BTreeSet::new();
    for value in 1..=count {
        // Each moment once: the search compares times and not their order within a moment.
        let mut moment = |range: std::ops::Range<u64>| {
            (0..200).map(|_| random.random_range(range.clone())).find(|at| times.insert(*at))
        };
        let (Some(invoked), Some(effect)) = (moment(0..span * 10), moment(0..span * 10)) else { continue };
        let (invoked, effect) = (invoked.min(effect), invoked.max(effect));
        let Some(answered) = moment(effect + 1..effect + 1 + span * 3) else { continue };
        let writes = random.random_bool(0.5);
        let lost = random.random_bool(0.15);
        let answered = (!lost).then_some(answered);
        ops.push((effect, Op { writes, value, invoked, answered }));
    }
    ops.sort_by_key(|(effect, _)| *effect);
    let (mut holds, mut written) = (0, vec![0, 99]);
    for (_, op) in &mut ops {
        match op.writes {
            // One that was never answered may never have come.
            true if op.answered.is_none() && random.random_bool(0.5) => {}
            true => {
                holds = op.value;
                written.push(holds);
            }
            false => op.value = holds,
        }
    }
    let mutations = random.random_range(0..3);
    for _ in 0..mutations {
        let reads: Vec<usize> = (0..ops.len()).filter(|&index| !ops[index].1.writes).collect();
        if let Some(&index) = reads.get(random.random_range(0..reads.len().max(1))) {
            ops[index].1.value = written[random.random_range(0..written.len())];
        }
    }
    ops.into_iter().map(|(_, op)| op).filter(|op| op.writes || op.answered.is_some()).collect()
}

#[test]
fn zones_and_search_agree_on_random_histories() {
    let mut source = ChaCha8Rng::seed_from_u64(1);
    let mut right = 0;
    const HISTORIES: usize = 20_000;
    for _ in 0..HISTORIES {
        right += usize::from(verdict(&random(&mut source)));
    }
    let share = right as f64 / HISTORIES as f64;
    assert!((0.2..0.8).contains(&share), "{share} of the histories are linearizable");
}

#[test]
fn a_long_history_takes_memory_for_what_goes_on_at_once() {
    let mut register = Register::default();
    for step in 0..100_000u64 {
        let at = step * 10;
        register.write_invoked(step + 1, at);
        register.write_answered(step + 1, at, at + 15);
        register.read_answered(step + 1, at + 16, at + 18);
        if register.is_large() {
            register.look(at + 10);
        }
    }
    assert_eq!(register.check(), None);
    assert!(register.kept() <= 2 * LOOK_AT, "{} values kept", register.kept());
    register.read_answered(17, 2_000_000, 2_000_001);
    assert_eq!(register.check(), Some(Broken::NoSuchValue { value: 17 }));
    assert_eq!(register.stale_reads(), 1);
}

#[test]
fn what_a_response_causes_in_the_same_moment_comes_after_it() {
    assert!(!zones(&[write(1, 0, 10), read(0, 10, 20)], false).0);
    // Operations of no length at one moment may have any order.
    let mut register = Register::default();
    for value in [1, 2] {
        register.write_invoked(value, 5);
        register.write_answered(value, 5, 5);
    }
    [1, 2].into_iter().for_each(|value| register.read_answered(value, 5, 5));
    assert_eq!(register.check(), None);
}
