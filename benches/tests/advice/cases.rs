//! The cases: what is planted in each, and which rule has to see it.

use std::sync::Arc;
use std::time::Duration;

use consensus_bench::results::{Better, ScenarioResult};
use consensus_bench::run::{Limits, Pair};
use consensus_bench::scenario::{self, Scenario};

use crate::planted::{Plant, Planted};

/// What work costs, so that something is scarce: in the order of what `calibrate` measures.
const COSTS: &str = "costs = { wake_up_ns = 1500, message_ns = 500, byte_ns = 0.3, request_ns = 400, \
                     delivery_ns = 100, sign_ns = 18000, verify_ns = 36000, mac_ns = 100, fsync_ns = 500000 }";

/// A case.
pub struct Case {
    pub name: &'static str,
    /// What is planted, in words; a setting by its name.
    pub planted: &'static str,
    /// The rule that has to come first.
    pub rule: &'static str,
    /// The detuned pair.
    pub pair: Pair,
    /// How it is known that it was the cause.
    pub proof: Proof,
}

/// How it is known that what was planted was the cause.
pub enum Proof {
    /// The recommendation is a setting: a trial with it.
    Trial,
    /// The same without what was planted, and the number that it is about.
    Without(Box<Pair>, Number),
}

/// A number of a result, with its name and the way in which it is better.
#[derive(Clone, Copy)]
pub struct Number {
    pub name: &'static str,
    pub better: Better,
    pub of: fn(&ScenarioResult) -> f64,
}

const ALLOCATIONS: Number = Number {
    name: "allocations_per_commit",
    better: Better::Lower,
    of: |result| result.exact.as_ref().unwrap().cells[0].metric("allocations_per_commit").unwrap().value,
};

const BEHIND: Number = Number {
    name: "commands behind",
    better: Better::Lower,
    of: |result| {
        let conduct = result.exact.as_ref().unwrap().cells[0].conduct.as_ref().unwrap();
        conduct.replicas.iter().map(|replica| replica.behind_commands).fold(0.0, f64::max)
    },
};

const REACHED: Number = Number {
    name: "achieved_over_offered",
    better: Better::Higher,
    of: |result| result.metric("achieved_over_offered").unwrap().value,
};

struct Virtual<'a> {
    topologies: &'a [&'a str],
    replicas: usize,
    /// The plan's `clients`, and its `rates_per_s` where it has some.
    load: &'a str,
    /// Keys of the scenario itself.
    keys: &'a str,
}

const LAN: Virtual = Virtual { topologies: &["lan"], replicas: 3, load: "clients = [64]", keys: "" };

const WAN_OPEN: Virtual = Virtual {
    topologies: &["wan3"],
    load: "clients = [1]\nrates_per_s = [200]",
    keys: "timeout_ms = 20000",
    ..LAN
};

impl Virtual<'_> {
    fn scenario(&self) -> Scenario {
        let Virtual { topologies, replicas, load, keys } = self;
        let text = format!(
            "[[scenario]]\nname = \"detuned\"\n{keys}\n[scenario.measure]\nkind = \"exact\"\n\
             topologies = {topologies:?}\nreplicas = [{replicas}]\n{load}\nwarm_up_commits = 500\n\
             commits = 2000\nrecovery = false\n{COSTS}\ncores = 1\n"
        );
        scenario::parse("study", &text).unwrap().remove(0)
    }
}

pub fn pair(protocol: &str, scenario: &Scenario, settings: &[(&str, f64)]) -> Pair {
    let suite = consensus_bench_suite::suite();
    let mut pair = suite.get(protocol).unwrap().pair(scenario, Limits::default());
    pair.settings = settings.iter().map(|&(name, value)| (name.to_string(), value)).collect();
    pair
}

/// A case of settings.
fn set(
    name: &'static str,
    rule: &'static str,
    planted: &'static str,
    protocol: &str,
    place: &Virtual,
    settings: &[(&str, f64)],
) -> Case {
    Case { name, planted, rule, pair: pair(protocol, &place.scenario(), settings), proof: Proof::Trial }
}

/// A case of something planted in a protocol.
fn hidden(
    name: &'static str,
    rule: &'static str,
    planted: &'static str,
    (plant, number): (Plant, Number),
) -> Case {
    let healthy = pair("raft-rs", &LAN.scenario(), &[]);
    let protocol = Arc::new(Planted { protocol: healthy.protocol.clone(), plant });
    let detuned = Pair { protocol, ..pair("raft-rs", &LAN.scenario(), &[]) };
    Case { name, planted, rule, pair: detuned, proof: Proof::Without(Box::new(healthy), number) }
}

/// The cases of virtual time, which are the same on every machine.
pub fn in_virtual_time() -> Vec<Case> {
    let many = Virtual { load: "clients = [256]", ..LAN };
    let four = Virtual { replicas: 4, ..LAN };
    let thirteen = Virtual { replicas: 13, load: "clients = [1]", ..LAN };
    let wal = Virtual { keys: "storage = \"wal\"", ..LAN };
    let wan = Virtual { topologies: &["wan3"], load: "clients = [16]", ..LAN };
    let one = "batch-too-small";
    vec![
        set(
            "raft-rs, an entry a message",
            one,
            "max_size_per_msg_bytes",
            "raft-rs",
            &many,
            &[("max_size_per_msg_bytes", 0.0)],
        ),
        set(
            "openraft, a command at a time",
            one,
            "max_payload_entries",
            "openraft",
            &many,
            &[("api_batch_entries", 1.0), ("max_payload_entries", 1.0)],
        ),
        set(
            "pbft, a command a batch",
            one,
            "largest_batch_commands",
            "pbft",
            &four,
            &[("largest_batch_commands", 1.0)],
        ),
        set(
            "elections within a round trip",
            "election-too-twitchy",
            "election_min_ms",
            "raft-rs",
            &wan,
            &[("heartbeat_ms", 20.0), ("election_min_ms", 60.0), ("election_max_ms", 120.0)],
        ),
        set(
            "a storm of heartbeats",
            "heartbeat-storm",
            "heartbeat_ms",
            "raft-rs",
            &thirteen,
            &[("heartbeat_ms", 1.0)],
        ),
        set(
            "a flush for every command",
            "group-commit-off",
            "group_commit_flag",
            "raft-rs",
            &wal,
            &[("group_commit_flag", 0.0)],
        ),
        set(
            "a window of one on a WAN",
            "window-too-small",
            "max_inflight_messages",
            "raft-rs",
            &WAN_OPEN,
            &[("max_inflight_messages", 1.0)],
        ),
        set("a linger of 20 ms", "linger-too-long", "linger_us", "raft-rs", &LAN, &[("linger_us", 20_000.0)]),
        set(
            "batches that never fill",
            "linger-too-long",
            "batch_commands",
            "omnipaxos",
            &LAN,
            &[("batch_commands", 1_000.0), ("flush_batch_ticks", 20.0)],
        ),
        hidden("a hot allocation", "allocation-heavy", "allocations", (Plant::Allocations(200), ALLOCATIONS)),
        hidden(
            "a slow follower",
            "slow-replica",
            "replica 2",
            (Plant::SlowFollower(Duration::from_millis(20)), BEHIND),
        ),
    ]
}

/// A window of one in these places.
pub fn window_in(topologies: &[&str]) -> Pair {
    let places = Virtual { topologies, ..WAN_OPEN };
    pair("raft-rs", &places.scenario(), &[("max_inflight_messages", 1.0)])
}

/// The case that takes a clock: an open loop at a rate that no generator sends.
pub fn overloaded_generator() -> Case {
    let at = |rate: f64| {
        let text = format!(
            "[[scenario]]\nname = \"flood\"\narrivals = \"constant\"\n[[scenario.phase]]\nkind = \"steady\"\n\
             duration_s = 0.3\nrate_per_s = {rate}\n"
        );
        pair("raft-rs", &scenario::parse("study", &text).unwrap()[0], &[])
    };
    Case {
        name: "an overloaded generator",
        planted: "offer less",
        rule: "generator-limited",
        pair: at(1e7),
        proof: Proof::Without(Box::new(at(1e3)), REACHED),
    }
}
