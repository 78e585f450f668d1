//! Trials of real protocols: what settings do, by themselves and side by side, in virtual and in real time.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use consensus_bench::calibration::WorkCosts;
use consensus_bench::progress::Progress;
use consensus_bench::results::{Effect, Outcome};
use consensus_bench::run::Limits;
use consensus_bench::scenario::{CostsConfig, ExactPlan, Measure, Phase, PhaseKind, Scenario, StorageConfig};
use consensus_bench::trial::{
    Goal, LoadKind, NOMINAL, P99Target, Plan, SettingValues, SideBySide, Trial, Verdict, side_by_side, twin,
};

const ROUNDS: Plan = Plan { rounds: 6, block: Duration::from_millis(40), seed: 3 };

fn trial(protocol: &str, scenario: &Scenario, goal: Goal) -> Trial {
    let suite = consensus_bench_suite::suite();
    Trial::of(suite.get(protocol).unwrap().pair(scenario, Limits::default()), goal)
}

/// Three replicas that share a core, whose work costs something.
fn counted(storage: StorageConfig, rates_per_s: Vec<f64>) -> Scenario {
    let plan = ExactPlan {
        topologies: vec!["lan".into()],
        replicas: vec![3],
        clients: vec![64],
        commits: 2_000,
        costs: CostsConfig::Table(WorkCosts { fsync_ns: 200_000.0, ..NOMINAL }),
        cores: 1,
        rates_per_s,
        ..ExactPlan::default()
    };
    Scenario { storage, measure: Measure::Exact(plan), ..Scenario::named("counted") }
}

fn set(values: &[(&str, f64)]) -> SettingValues {
    values.iter().map(|(name, value)| ((*name).into(), *value)).collect()
}

fn compared(trial: &Trial, changed: &[(&str, f64)]) -> SideBySide {
    side_by_side(trial, &BTreeMap::new(), &set(changed), &ROUNDS).unwrap()
}

fn on<'a>(found: &'a SideBySide, metric: &str) -> &'a Effect {
    found.effects.iter().find(|effect| effect.metric == metric).unwrap()
}

#[test]
fn a_setting_known_to_be_bad_is_worse_and_undoing_it_is_better_again() {
    let trial = trial("raft-rs", &counted(StorageConfig::Memory, vec![]), Goal::MaxThroughput);
    let worse = compared(&trial, &[("max_size_per_msg_bytes", 0.0)]);
    assert_eq!(worse.verdict, Verdict::Worse, "{worse:?}");
    let bad = set(&[("max_size_per_msg_bytes", 0.0)]);
    let good = set(&[("max_size_per_msg_bytes", 1_048_576.0)]);
    let better = side_by_side(&trial, &bad, &good, &ROUNDS).unwrap();
    assert_eq!(better.verdict, Verdict::Better);
    let (worse, better) = (worse.effect.unwrap(), better.effect.unwrap());
    assert!((worse.ratio * better.ratio - 1.0).abs() < 1e-9, "{worse:?} {better:?}");
    assert!(better.lower > 1.0 && better.basis == "6 pairs of blocks in virtual time", "{better:?}");
    assert_eq!(compared(&trial, &[("max_size_per_msg_bytes", 0.0)]).effect.unwrap(), worse);
}

#[test]
fn a_change_to_what_is_set_already_is_no_change() {
    let trial = trial("raft-rs", &counted(StorageConfig::Memory, vec![]), Goal::MaxThroughput);
    let same =
        compared(&trial, &[("max_inflight_messages", 256.0), ("linger_us", 0.0), ("group_commit_flag", 1.0)]);
    assert_eq!((same.verdict, same.p), (Verdict::Undecided, 1.0));
    assert!(
        same.effects.iter().all(|effect| (effect.lower, effect.upper) == (1.0, 1.0)),
        "{:?}",
        same.effects
    );
}

#[test]
fn without_group_commit_a_log_on_disk_is_slower_for_everyone_who_keeps_one() {
    for protocol in ["raft-rs", "openraft", "omnipaxos", "abd"] {
        let trial = trial(protocol, &counted(StorageConfig::Wal, vec![10_000.0]), Goal::MinP99);
        let found = compared(&trial, &[("group_commit_flag", 0.0)]);
        assert_eq!(found.verdict, Verdict::Worse, "{protocol}: {found:?}");
        assert!(found.effect.unwrap().lower > 1.5, "{protocol}");
    }
}

#[test]
fn lingering_makes_commits_cheaper_and_answers_later() {
    for protocol in ["raft-rs", "omnipaxos", "pbft", "abd"] {
        let mut scenario = counted(StorageConfig::Memory, vec![20_000.0]);
        if let (Measure::Exact(plan), "pbft") = (&mut scenario.measure, protocol) {
            (plan.replicas, plan.rates_per_s) = (vec![4], vec![4_000.0]);
        }
        let found = compared(&trial(protocol, &scenario, Goal::MinCost), &[("linger_us", 2_000.0)]);
        assert_eq!(found.verdict, Verdict::Better, "{protocol}: {:?}", found.effects);
        assert!(on(&found, "cpu_ns_per_commit").upper < 0.9, "{protocol}: {:?}", found.effects);
        assert!(on(&found, "response_ns_p50").lower > 1.2, "{protocol}: {:?}", found.effects);
    }
}

#[test]
fn a_change_that_misses_the_target_is_refused_whatever_it_brings() {
    let mut trial = trial("raft-rs", &counted(StorageConfig::Memory, vec![20_000.0]), Goal::MinCost);
    trial.target = Some("p99<2ms".parse::<P99Target>().unwrap());
    let found = compared(&trial, &[("linger_us", 5_000.0)]);
    let Verdict::Refused { reason } = &found.verdict else { panic!("{found:?}") };
    assert!(reason.starts_with("misses p99<2ms: p99 is "), "{reason}");
    assert!(!reason.contains("without the change"), "{reason}");
    // Neither holds it.
    trial.target = Some("p99<1us".parse::<P99Target>().unwrap());
    let found = compared(&trial, &[("linger_us", 5_000.0)]);
    let Verdict::Refused { reason } = &found.verdict else { panic!("{found:?}") };
    assert!(reason.ends_with(" ms without the change"), "{reason}");
}

#[test]
fn holding_a_target_that_is_missed_now_is_better_whatever_it_takes() {
    let mut trial = trial("raft-rs", &counted(StorageConfig::Memory, vec![20_000.0]), Goal::MinCost);
    let (lingering, prompt) = (set(&[("linger_us", 5_000.0)]), set(&[("linger_us", 0.0)]));
    let compared = |trial: &Trial| side_by_side(trial, &lingering, &prompt, &ROUNDS).unwrap();
    assert_eq!(compared(&trial).verdict, Verdict::Worse);
    let target = "p99<4ms".parse().unwrap();
    trial.target = Some(target);
    let found = compared(&trial);
    assert_eq!(found.verdict, Verdict::Better, "{found:?}");
    assert!(found.base_misses(target).is_some() && on(&found, "cpu_ns_per_commit").lower > 1.0, "{found:?}");
}

#[test]
fn in_real_time_both_loads_are_measured_and_few_rounds_decide_nothing() {
    let phase = |kind| Phase { kind, duration_s: 1.0, requests: None, rate_per_s: 500.0, ramp: None };
    let scenario = Scenario { phases: vec![phase(PhaseKind::Steady)], clients: 8, ..Scenario::named("real") };
    for (goal, load) in [
        (Goal::MaxThroughput, LoadKind::Closed { clients: 8 }),
        (Goal::MinP99, LoadKind::Open { rate_per_s: 500.0 }),
    ] {
        let trial = trial("raft-rs", &scenario, goal);
        assert_eq!(trial.load, load);
        let plan = Plan { rounds: 2, ..ROUNDS };
        let found = side_by_side(&trial, &BTreeMap::new(), &set(&[("linger_us", 300.0)]), &plan).unwrap();
        assert_eq!((&found.verdict, &found.effect, found.failed), (&Verdict::Undecided, &None, [0, 0]));
        for sample in found.base.iter().chain(&found.changed) {
            assert!(sample.throughput_per_s > 0.0 && sample.success > 0.0, "{sample:?}");
            assert!(sample.response_ns_p50 > 0.0 && sample.response_ns_p50 <= sample.response_ns_p99);
        }
    }
}

#[test]
fn a_twin_has_the_scenarios_links_and_logs_and_no_twin_of_its_own() {
    let mut scenario = Scenario { storage: StorageConfig::Wal, clients: 8, ..Scenario::named("real") };
    scenario.network.delay_ms = 10.0;
    let real = trial("raft-rs", &scenario, Goal::MaxThroughput);
    let simulated = twin(&real, None).unwrap();
    assert!(simulated.is_virtual() && twin(&simulated, None).is_none());
    let found = simulated.block(&BTreeMap::new(), Duration::ZERO, 1).unwrap();
    // A round trip between replicas, and no less than a flush.
    assert!(found.response_ns_p50 > 20e6 && found.response_ns_p50 < 30e6, "{found:?}");
}

#[test]
fn shared_tunables_are_in_force_in_real_time_and_results_tell_the_times() {
    let phase = |kind| Phase { kind, duration_s: 0.2, requests: None, rate_per_s: 200.0, ramp: None };
    let scenario = Scenario {
        storage: StorageConfig::Wal,
        phases: vec![phase(PhaseKind::Steady)],
        ..Scenario::named("real")
    };
    let folder = tempfile::tempdir().unwrap();
    let shared = [
        ("heartbeat_ms", 40.0),
        ("election_min_ms", 250.0),
        ("linger_us", 400.0),
        ("group_commit_flag", 0.0),
    ];
    for registration in consensus_bench_suite::suite().all() {
        let tunables = registration.protocol.descriptor().tunables;
        let has = |name: &str| tunables.iter().any(|tunable| tunable.name == name);
        let mut pair = registration.pair(&scenario, Limits::default());
        pair.settings = set(&shared.into_iter().filter(|(name, _)| has(name)).collect::<Vec<_>>());
        let result = pair.run(folder.path(), &Progress::default());
        assert_eq!(result.outcome, Outcome::Completed, "{}", pair.name);
        assert!(
            result.safety.checked && result.safety.acknowledged > 0,
            "{}: {:?}",
            pair.name,
            result.safety
        );
        assert_eq!(
            result.timing.heartbeat_ms,
            if has("heartbeat_ms") { 40.0 } else { 50.0 },
            "{}",
            pair.name
        );
        assert_eq!(result.timing.election_min_ms, if has("election_min_ms") { 250.0 } else { 300.0 });
    }
}
