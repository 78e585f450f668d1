//! What links take from a command, by prediction and in the simulator, and the ranking of quorums as a user
//! meets it.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use consensus_bench::model::by_simulation::spec_at;
use consensus_bench::model::quorum_latency::{Access, Pattern, Sites};
use consensus_bench::quorum_choice::{Choice, Latency, Wishes, rank, verify};
use protocol_core::{Protocol, Settings};
use serde_json::Value;

/// A choice that sets nothing: the protocol's own quorums.
fn as_it_is(protocol: &dyn Protocol, replicas: usize) -> (Choice, Pattern) {
    let settings = Settings::default();
    let pattern = Pattern::of(&protocol.descriptor(), &settings, replicas).unwrap().unwrap();
    let nothing = Latency::of(&[]);
    let choice = Choice {
        read: 0,
        write: 0,
        settings: Default::default(),
        reads: nothing,
        writes: nothing,
        mean_ns: 0.0,
        reads_survive: 0,
        writes_survive: 0,
        may_be_stale: false,
        is_default: true,
    };
    (choice, pattern)
}

#[test]
fn links_take_what_is_predicted_from_every_family() {
    for (name, sizes, topologies) in [
        ("raft-rs", [3, 5], ["wan3", "wan5"]),
        ("omnipaxos", [3, 5], ["lan", "wan5"]),
        ("openraft", [3, 5], ["wan3", "wan5"]),
        ("pbft", [4, 7], ["wan5", "planet13"]),
        ("abd", [3, 5], ["wan3", "wan5"]),
        ("dynamo", [3, 5], ["lan", "wan5"]),
    ] {
        let suite = consensus_bench_suite::suite();
        let protocol = &*suite.get(name).unwrap().protocol;
        for (replicas, topology) in sizes.into_iter().zip(topologies) {
            let spec = spec_at(topology, replicas, 1).unwrap();
            let (choice, pattern) = as_it_is(protocol, replicas);
            let found = verify(protocol, &Settings::default(), &choice, &spec, 0.5).unwrap();
            let sites = Sites::of(&spec);
            let at: Vec<usize> = match found.leader {
                Some(leader) => vec![leader],
                None => (0..replicas).collect(),
            };
            let predicted = |access| {
                let times = at.iter().flat_map(|&at| pattern.times_ns(access, &sites, at, 1));
                Latency::of(&times.collect::<Vec<_>>()).mean_ns
            };
            let error = |predicted: f64, simulated: f64| predicted / simulated - 1.0;
            let writes = error(predicted(Access::Write), found.writes.mean_ns);
            let reads = found.reads.map(|reads| error(predicted(Access::Read), reads.mean_ns));
            println!(
                "{name} on {replicas} of {topology}, led by {:?}: writes {writes:+.4}, reads {reads:+.4?}",
                found.leader
            );
            // A read meets a write on its way now and then, and stores what it read.
            assert!(writes.abs() < 0.02, "{name} on {topology}: {writes}");
            assert!(reads.is_none_or(|error| error.abs() < 0.1), "{name} on {topology}: {reads:?}");
        }
    }
}

#[test]
fn the_first_pair_is_no_slower_than_the_default_in_the_simulator_too() {
    let suite = consensus_bench_suite::suite();
    for (name, read_share) in [("abd", 0.9), ("abd", 0.1), ("omnipaxos", 0.5), ("dynamo", 0.9)] {
        let protocol = &*suite.get(name).unwrap().protocol;
        let spec = spec_at("wan5", 5, 1).unwrap();
        let wishes = Wishes { replicas: 5, read_share, tolerate: 1, leader: None, seed: 1 };
        let base = Settings::default();
        let ranked = rank(&protocol.descriptor(), &base, &Sites::of(&spec), &wishes).unwrap();
        let (best, usual) = (&ranked.choices[0], ranked.default_choice().unwrap());
        assert!(!best.may_be_stale && best.reads_survive.min(best.writes_survive) >= 1, "{best:?}");
        let mean = |choice| {
            let found = verify(protocol, &base, choice, &spec, read_share).unwrap();
            let reads = found.reads.map_or(found.writes.mean_ns, |reads| reads.mean_ns);
            read_share * reads + (1.0 - read_share) * found.writes.mean_ns
        };
        let (of_best, of_usual) = (mean(best), mean(usual));
        println!(
            "{name}, {read_share} reads: {} and {}: {of_best:.0} ns, default {of_usual:.0} ns",
            best.read, best.write
        );
        assert!(of_best <= of_usual * 1.001, "{name}: {of_best} against {of_usual}");
    }
}

#[test]
fn pairs_that_the_protocol_refuses_are_no_choices() {
    let suite = consensus_bench_suite::suite();
    let spec = spec_at("wan5", 5, 1).unwrap();
    let wishes = Wishes { replicas: 5, read_share: 0.5, tolerate: 0, leader: None, seed: 1 };
    let ranked = |name: &str| {
        let descriptor = suite.get(name).unwrap().protocol.descriptor();
        rank(&descriptor, &Settings::default(), &Sites::of(&spec), &wishes).unwrap().choices
    };
    assert!(ranked("abd").iter().all(|choice| choice.read + choice.write > 5));
    assert_eq!(ranked("abd").len(), 15, "half of 25 and the diagonal");
    assert!(ranked("omnipaxos").iter().all(|choice| choice.read >= choice.write && choice.write >= 2));
    let dynamo = ranked("dynamo");
    assert_eq!(dynamo.len(), 25);
    let first_stale = dynamo.iter().position(|choice| choice.may_be_stale).unwrap();
    assert!(dynamo[first_stale..].iter().all(|choice| choice.may_be_stale) && first_stale == 15);
}

fn run(arguments: &str) -> Output {
    let home = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_consensus-bench"))
        .args(arguments.split_whitespace())
        .current_dir(home.path())
        .env("CONSENSUS_BENCH_HOME", home.path())
        .output()
        .unwrap()
}

#[test]
fn quorums_are_ranked_priced_and_verified_on_the_command_line() {
    let output = run("quorums abd --topology wan5 --read-share 0.9 --verify");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for expected in [
        "abd on 5 replicas of wan5, 90 % reads",
        "Price, in replicas: reads go on with",
        "coordinator",
        "simulated mean/p99",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    println!("{text}");
    let output = run("quorums omnipaxos --topology wan5 --format json");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((json["replicas"].as_u64(), json["ranked"]["is_log"].as_bool()), (Some(5), Some(true)));
    assert!(json["ranked"]["choices"][0]["write"].as_u64().unwrap() < 3, "a commit waits for fewer");
    println!("{}", String::from_utf8(run("quorums omnipaxos --topology wan5 --leader 3").stdout).unwrap());
    println!("{}", String::from_utf8(run("quorums dynamo --topology wan3 --tolerate 0").stdout).unwrap());
}

#[test]
fn wrong_wishes_are_refused_in_one_line() {
    for (arguments, code, expected) in [
        ("quorums raft-rs --topology wan5", 2, "its quorums can't be set"),
        ("quorums zab --topology wan5", 2, "no protocol `zab`"),
        ("quorums abd --topology mars", 2, "no topology `mars`"),
        ("quorums abd --topology wan5 --read-share 1.5", 2, "outside 0 to 1"),
        ("quorums abd --topology wan5 --tolerate 3", 2, "survive 3 failures; the most is 2"),
        ("quorums omnipaxos --topology wan5 --leader 5", 2, "they count from 0 to 4"),
        ("quorums abd --topology wan5 --leader 0", 2, "abd has no leader"),
        ("quorums dynamo --topology wan5 --leader 9", 2, "they count from 0 to 4"),
        ("quorums abd --topology wan5 --replicas 200", 2, "can't run 200 replicas"),
        ("model raft-rs", 5, "no run with readable results"),
        ("model zab", 2, "no protocol `zab`"),
        ("model raft-rs --set window=3", 2, "give --predict too"),
        ("model raft-rs nowhere", 5, "`nowhere` is no results file"),
    ] {
        let output = run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments}: {error}");
        assert!(error.contains(expected) && error.lines().count() == 1, "{arguments}: {error}");
    }
    let output = run("model raft-rs --predict clients=0");
    assert_eq!(output.status.code(), Some(2));
}
