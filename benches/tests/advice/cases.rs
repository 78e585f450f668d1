//! The cases: what is planted in each, and which rule has to see it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use consensus_bench::run::{Limits, Pair};
use consensus_bench::scenario::{self, Scenario};

use crate::planted::{Plant, Planted};

/// What work costs, so that something is scarce: in the order of what `calibrate` measures.
const COSTS: &str = "costs = { wake_up_ns = 1500, message_ns = 500, byte_ns = 0.3, request_ns = 400, \
                     delivery_ns = 100, mac_ns = 100, fsync_ns = 500000 }\ncores = 1";

/// A case.
pub struct Case {
    pub name: &'static str,
    /// The rule that has to come first.
    pub rule: &'static str,
    /// What is planted, in words.
    pub planted: &'static str,
    pub pair: Pair,
}

/// A scenario in virtual time; `load` says clients or rates, `more` adds to the scenario.
fn virtual_time(topology: &str, replicas: usize, load: &str, more: &str) -> Scenario {
    let text = format!(
        "[[scenario]]\nname = \"detuned\"\n{more}\n[scenario.measure]\nkind = \"exact\"\ntopologies = [\"{topology}\"]\n\
         replicas = [{replicas}]\n{load}\nwarm_up_commits = 500\ncommits = 2000\nrecovery = false\n{COSTS}\n"
    );
    scenario::parse("study", &text).unwrap().remove(0)
}

fn pair(protocol: &str, scenario: &Scenario, settings: &[(&str, f64)]) -> Pair {
    let suite = consensus_bench_suite::suite();
    let mut pair = suite.get(protocol).unwrap().pair(scenario, Limits::default());
    pair.settings = settings.iter().map(|&(name, value)| (name.to_string(), value)).collect::<BTreeMap<_, _>>();
    pair
}

fn planted(protocol: &str, scenario: &Scenario, plant: Plant) -> Pair {
    let inner = pair(protocol, scenario, &[]);
    Pair { protocol: Arc::new(Planted { protocol: inner.protocol.clone(), plant }), ..inner }
}

/// All cases.
pub fn all() -> Vec<Case> {
    let lan = virtual_time("lan", 3, "clients = [64]", "");
    let wan = virtual_time("wan3", 3, "clients = [1]\nrates_per_s = [200]", "timeout_ms = 20000");
    let four = virtual_time("lan", 4, "clients = [64]", "");
    let storm = virtual_time("lan", 13, "clients = [64]", "timing = { heartbeat_ms = 1, election_min_ms = 300, election_max_ms = 600 }");
    let twitchy = virtual_time("wan3", 3, "clients = [16]", "timing = { heartbeat_ms = 20, election_min_ms = 100, election_max_ms = 400 }");
    vec![
        Case { name: "raft-rs without batches", rule: "batch-too-small", planted: "max_size_per_msg_bytes = 0",
            pair: pair("raft-rs", &lan, &[("max_size_per_msg_bytes", 0.0)]) },
        Case { name: "openraft one by one", rule: "batch-too-small", planted: "api_batch_entries = 1",
            pair: pair("openraft", &lan, &[("api_batch_entries", 1.0), ("max_payload_entries", 1.0)]) },
        Case { name: "pbft one by one", rule: "batch-too-small", planted: "largest_batch_commands = 1",
            pair: pair("pbft", &four, &[("largest_batch_commands", 1.0)]) },
        Case { name: "window of one on a WAN", rule: "window-too-small", planted: "max_inflight_messages = 1",
            pair: pair("raft-rs", &wan, &[("max_inflight_messages", 1.0)]) },
        Case { name: "batches that never fill", rule: "linger-too-long", planted: "batch_commands = 1000, flush_batch_ticks = 20",
            pair: pair("omnipaxos", &lan, &[("batch_commands", 1000.0), ("flush_batch_ticks", 20.0)]) },
        Case { name: "heartbeat storm", rule: "heartbeat-storm", planted: "heartbeat of 1 ms", pair: pair("omnipaxos", &storm, &[]) },
        Case { name: "elections within a round trip", rule: "election-too-twitchy", planted: "elections after 100 ms", pair: pair("raft-rs", &twitchy, &[]) },
        Case { name: "a hot allocation", rule: "allocation-heavy", planted: "200 allocations per command", pair: planted("raft-rs", &lan, Plant::Allocations(200)) },
        Case { name: "a slow follower", rule: "slow-replica", planted: "20 ms more to and from replica 2", pair: planted("raft-rs", &lan, Plant::SlowFollower(Duration::from_millis(20))) },
    ]
}
