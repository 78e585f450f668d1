use std::sync::Arc;

use async_trait::async_trait;
use protocol_core::{
    Cluster, Descriptor, Family, FaultModel, Floors, LaunchSpec, Operation, Protocol, Role, Scale, Tunable,
    no_quorums,
};

use super::*;
use crate::run::Limits;
use crate::scenario::{ExactPlan, FaultPlan, Phase, PhaseKind};

const SPEED: Tunable = Tunable {
    name: "speed_commands",
    role: Role::Other,
    about: "nothing",
    range: (1.0, 9.0),
    scale: Scale::Linear,
    default: 3.0,
    live: false,
    trades: None,
};

struct Described(Order);

#[async_trait]
impl Protocol for Described {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "described",
            family: Family::Raft,
            implementation: "tests",
            fault_model: FaultModel::Crash,
            tolerates: |_, _| 0,
            cluster_sizes: (1, 9),
            order: self.0,
            operation: Operation::append,
            commit_means: "nothing",
            quorums: no_quorums,
            floors: |_| Floors::without_cryptography(0.0, 0.0),
            tunables: &[SPEED, Timing::HEARTBEAT],
            constraints: &[Timing::ELECTION_AFTER_HEARTBEAT],
            particulars: Default::default(),
        }
    }

    async fn launch(&self, _: LaunchSpec) -> Result<Arc<dyn Cluster>, LaunchError> {
        Err(LaunchError::Library("never launched".into()))
    }
}

fn trial(order: Order, scenario: Scenario, goal: Goal) -> Trial {
    let (protocol, settings) = (Arc::new(Described(order)), SettingValues::new());
    let name = "described".into();
    Trial::of(Pair { name, protocol, scenario, settings, limits: Limits::default() }, goal)
}

fn offered() -> Scenario {
    let phase = |kind, rate_per_s| Phase { kind, duration_s: 1.0, requests: None, rate_per_s, ramp: None };
    let phases = vec![phase(PhaseKind::WarmUp, 10.0), phase(PhaseKind::Steady, 700.0)];
    Scenario { phases, clients: 9, ..Scenario::named("s") }
}

fn counted(rates_per_s: Vec<f64>) -> Scenario {
    let plan = ExactPlan { rates_per_s, clients: vec![1, 32, 8], ..ExactPlan::default() };
    Scenario { measure: Measure::Exact(plan), ..Scenario::named("s") }
}

fn set(name: &str, value: f64) -> SettingValues {
    SettingValues::from([(name.into(), value)])
}

#[test]
fn the_load_is_the_scenarios_as_far_as_it_suits_the_goal() {
    let load = |scenario, goal| trial(Order::Total, scenario, goal).load;
    let open = |rate_per_s| LoadKind::Open { rate_per_s };
    assert_eq!(load(offered(), Goal::MaxThroughput), LoadKind::Closed { clients: 9 });
    assert_eq!(load(offered(), Goal::MinP99), open(700.0));
    assert_eq!(load(offered(), Goal::MinCost), open(700.0));
    assert_eq!(load(counted(vec![]), Goal::MinP99), LoadKind::Closed { clients: 32 });
    assert_eq!(load(counted(vec![50.0, 60.0]), Goal::MinP99), open(50.0));
    assert_eq!(load(counted(vec![50.0]), Goal::MaxThroughput), LoadKind::Closed { clients: 32 });
}

#[test]
fn what_no_trial_can_measure_is_refused_in_one_line() {
    let gossip = trial(Order::Set, offered(), Goal::MaxThroughput).check().unwrap_err().to_string();
    assert!(gossip.contains("no closed loop ends; choose the goal min-p99"), "{gossip}");
    assert!(trial(Order::Set, offered(), Goal::MinP99).check().is_ok());
    let faults =
        FaultPlan { rate_per_s: 1.0, before_s: 1.0, for_s: 1.0, after_s: 1.0, cycles: 1, faults: Vec::new() };
    let faulty = Scenario { measure: Measure::FaultTolerance(faults), ..Scenario::named("f") };
    let error = trial(Order::Total, faulty, Goal::MinP99).check().unwrap_err().to_string();
    assert!(error.starts_with("f/described: a trial measures a load without faults"), "{error}");
}

#[test]
fn a_plan_of_several_places_or_sizes_is_refused_and_one_is_told() {
    let planned = |topologies: &[&str], replicas: &[usize]| {
        let plan = ExactPlan {
            topologies: topologies.iter().map(|name| name.to_string()).collect(),
            replicas: replicas.to_vec(),
            ..ExactPlan::default()
        };
        let scenario = Scenario { measure: Measure::Exact(plan), ..Scenario::named("wan") };
        trial(Order::Total, scenario, Goal::MinP99)
    };
    let refused = |topologies, replicas| planned(topologies, replicas).check().unwrap_err().to_string();
    let error = refused(&["lan", "wan5"], &[5]);
    assert!(error.ends_with("one topology; name one with `--topology`, of: lan, wan5"), "{error}");
    let error = refused(&["wan5"], &[5, 13]);
    assert!(error.ends_with("one size; name one with `--replicas`, of: 5, 13"), "{error}");
    let one = planned(&["wan5"], &[13]);
    assert!(one.check().is_ok());
    assert_eq!((one.place().as_str(), one.replicas()), ("wan5, 13 replicas", 13));
    let mut scenario = Scenario { replicas: 7, ..Scenario::named("real") };
    scenario.network.delay_ms = 20.0;
    assert_eq!(trial(Order::Total, scenario, Goal::MinP99).place(), "channel, 20 ms one way, 7 replicas");
}

#[test]
fn a_load_that_asks_for_nothing_is_refused() {
    let refused = |load| {
        let mut trial = trial(Order::Total, offered(), Goal::MinP99);
        trial.load = load;
        trial.check().unwrap_err().to_string()
    };
    for rate_per_s in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = refused(LoadKind::Open { rate_per_s });
        assert!(error.ends_with("requests/s are no load; offer more than 0"), "{error}");
    }
    assert!(refused(LoadKind::Closed { clients: 0 }).ends_with("0 clients ask for nothing; take at least 1"));
}

#[test]
fn values_in_force_are_the_scenarios_where_a_tunable_stands_for_its_times() {
    let trial = trial(Order::Total, offered(), Goal::MinP99);
    let in_force = |settings: &SettingValues, name| trial.in_force(settings, name);
    let none = SettingValues::new();
    assert_eq!(in_force(&none, "speed_commands"), Some(3.0));
    assert_eq!(in_force(&set("speed_commands", 5.0), "speed_commands"), Some(5.0));
    assert_eq!(in_force(&none, "heartbeat_ms"), Some(50.0));
    assert_eq!(in_force(&set("heartbeat_ms", 20.0), "heartbeat_ms"), Some(20.0));
    assert_eq!(in_force(&none, "election_min_ms"), None);
}

#[test]
fn settings_that_contradict_each_other_are_no_change_to_try_and_no_base() {
    let trial = trial(Order::Total, offered(), Goal::MinP99);
    let (none, broken) = (SettingValues::new(), set("heartbeat_ms", 400.0));
    let found = side_by_side(&trial, &none, &broken, &Plan::default()).unwrap();
    let Verdict::Refused { reason } = &found.verdict else { panic!("{found:?}") };
    assert!(reason.contains("election_min_ms = 300 has to be longer than heartbeat_ms = 400"), "{reason}");
    let error = side_by_side(&trial, &broken, &none, &Plan::default()).unwrap_err();
    assert!(matches!(error, TrialError::Base(_)), "{error}");
    let error = side_by_side(&trial, &set("speed", 1.0), &none, &Plan::default()).unwrap_err().to_string();
    assert!(error.contains("described has no setting `speed`"), "{error}");
}

#[test]
fn a_change_that_serves_no_better_than_a_base_that_never_serves_is_undecided() {
    let trial = trial(Order::Total, counted(vec![]), Goal::MaxThroughput);
    let plan = Plan { rounds: 6, ..Plan::default() };
    let found = side_by_side(&trial, &SettingValues::new(), &set("speed_commands", 1.0), &plan).unwrap();
    assert_eq!((found.verdict, found.failed, found.rounds), (Verdict::Undecided, [6, 6], 6));
}
