//! The tuner against an exhaustive grid, in virtual time: what it finds is nearly the best there is, for a fraction
//! of the runs. METHODOLOGY.md shows the table that `--nocapture` prints.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use consensus_bench::calibration::WorkCosts;
use consensus_bench::results::Better;
use consensus_bench::run::Limits;
use consensus_bench::scenario::{CostsConfig, ExactPlan, Measure, Scenario, StorageConfig};
use consensus_bench::trial::{Goal, LoadKind, NOMINAL, SettingValues, Trial};
use consensus_bench::tune::{Finalist, LiveOptions, Space, TuneOptions, conditions, live, search, tune};

const SEEDS: std::ops::Range<u64> = 1..5;

/// A protocol under a scenario with a goal, and the tunables of its grid.
struct Case {
    protocol: &'static str,
    topology: &'static str,
    storage: StorageConfig,
    load: Load,
    goal: Goal,
    /// What is set at the start, where that is not the default.
    detuned: &'static [(&'static str, f64)],
    tunables: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Load {
    Clients(usize),
    PerSecond(f64),
}

const CASES: [Case; 4] = [
    Case {
        protocol: "raft-rs",
        topology: "wan3",
        storage: StorageConfig::Memory,
        load: Load::Clients(256),
        goal: Goal::MaxThroughput,
        detuned: &[("max_inflight_messages", 2.0), ("largest_proposal_commands", 8.0)],
        tunables: &["max_inflight_messages", "largest_proposal_commands"],
    },
    Case {
        protocol: "pbft",
        topology: "wan3",
        storage: StorageConfig::Memory,
        load: Load::Clients(256),
        goal: Goal::MaxThroughput,
        detuned: &[],
        tunables: &["window_batches", "largest_batch_commands"],
    },
    Case {
        protocol: "omnipaxos",
        topology: "lan",
        storage: StorageConfig::Memory,
        load: Load::PerSecond(40_000.0),
        goal: Goal::MinCost,
        detuned: &[],
        tunables: &["batch_commands", "linger_us"],
    },
    Case {
        protocol: "raft-rs",
        topology: "lan",
        storage: StorageConfig::Wal,
        load: Load::PerSecond(40_000.0),
        goal: Goal::MinCost,
        detuned: &[],
        tunables: &["linger_us", "largest_proposal_commands"],
    },
];

impl Case {
    fn trial(&self) -> Trial {
        let suite = consensus_bench_suite::suite();
        let registration = suite.get(self.protocol).unwrap();
        let (clients, rates_per_s) = match self.load {
            Load::Clients(clients) => (vec![clients], vec![]),
            Load::PerSecond(rate) => (vec![1], vec![rate]),
        };
        let plan = ExactPlan {
            topologies: vec![self.topology.into()],
            replicas: registration.sizes_near(&[3]),
            clients,
            warm_up_commits: 50,
            commits: 600,
            costs: CostsConfig::Table(WorkCosts { fsync_ns: 200_000.0, ..NOMINAL }),
            cores: 1,
            rates_per_s,
            ..ExactPlan::default()
        };
        let scenario =
            Scenario { storage: self.storage, measure: Measure::Exact(plan), ..Scenario::named("grid") };
        let mut pair = registration.pair(&scenario, Limits::default());
        pair.settings.extend(self.detuned.iter().map(|(name, value)| (name.to_string(), *value)));
        Trial::of(pair, self.goal)
    }

    fn options(&self, seed: u64, most_blocks: usize) -> TuneOptions {
        TuneOptions {
            budget: Duration::from_secs(3_600),
            most_blocks,
            tunables: self.tunables.iter().map(|name| name.to_string()).collect(),
            seed,
            ..TuneOptions::default()
        }
    }
}

fn value(trial: &Trial, settings: &SettingValues, seed: u64) -> Option<f64> {
    trial.block(settings, Duration::ZERO, seed).ok()?.metric(trial.goal.metric())
}

/// Every point of a space.
fn points(space: &Space) -> impl Iterator<Item = Vec<usize>> {
    let sizes: Vec<usize> = space.dimensions().iter().map(|one| one.levels.len()).collect();
    (0..space.size()).map(move |mut index| {
        let level = |size: &usize| {
            let level = index % size;
            index /= size;
            level
        };
        sizes.iter().map(level).collect()
    })
}

#[test]
fn a_fifth_of_the_grids_runs_finds_nearly_the_grids_best() {
    println!("| protocol | goal | grid points | start ÷ best | found ÷ best, worst seed | blocks, most |");
    let mut worst_of_all = f64::INFINITY;
    for case in &CASES {
        let trial = case.trial();
        let names: Vec<String> = case.tunables.iter().map(|name| name.to_string()).collect();
        let space = Space::of(&trial, &names).unwrap();
        assert!(space.size() >= 100, "{}: {} points", case.protocol, space.size());
        let seed = SEEDS.start;
        let grid = points(&space).filter_map(|point| value(&trial, &space.settings(&point), seed));
        let higher = case.goal.better() == Better::Higher;
        let best =
            grid.fold(if higher { 0.0 } else { f64::INFINITY }, if higher { f64::max } else { f64::min });
        // As a share of the best, however the goal counts.
        let share = |value: f64| if higher { value / best } else { best / value };
        let (mut worst, mut most) = (f64::INFINITY, 0);
        for seed in SEEDS {
            let allowed = space.size() / 5;
            let found = search(&trial, &case.options(seed, allowed), None, &[], |_| {}).unwrap();
            assert!(found.blocks <= allowed, "{}: {} of {allowed} blocks", case.protocol, found.blocks);
            let settings = found.finalists.first().map(|best| best.settings.clone()).unwrap_or_default();
            worst = worst.min(share(value(&trial, &settings, SEEDS.start).unwrap()));
            most = most.max(found.blocks);
        }
        let default = share(value(&trial, &BTreeMap::new(), seed).unwrap());
        println!(
            "| {} {}{} | {} | {} | {default:.3} | {worst:.3} | {most} |",
            case.protocol,
            case.topology,
            if case.storage == StorageConfig::Wal { ", wal" } else { "" },
            case.goal.name(),
            space.size(),
        );
        worst_of_all = worst_of_all.min(worst);
    }
    assert!(worst_of_all >= 0.95, "{worst_of_all:.3} of the best");
}

#[test]
fn a_tuning_in_virtual_time_is_proven_small_and_the_same_again() {
    let case = &CASES[2];
    let trial = case.trial();
    let options = case.options(7, 40);
    let (mut tried, mut again) = (Vec::new(), Vec::new());
    let tuning = tune(&trial, &options, None, &[], |one| tried.push(one.clone())).unwrap();
    let best = tuning.best.as_ref().unwrap();
    let effect = best.effect.as_ref().unwrap();
    assert!(effect.upper < 1.0 && effect.basis.contains("virtual time"), "{tuning}");
    assert!(!best.changes.is_empty() && tuning.known == 0, "{tuning}");
    assert_eq!(tried.len(), tuning.trials);
    assert_eq!(tune(&trial, &options, None, &[], |one| again.push(one.clone())).unwrap(), tuning);
    assert_eq!(again, tried);
    // What one tuning learned, the next need not try.
    let known = tried.iter().filter_map(|one| Some((one.settings.clone(), one.sample.clone()?)));
    let known: Vec<_> = known.collect();
    let later = search(&trial, &case.options(8, 4), None, &known, |_| {}).unwrap();
    assert!(later.known == known.len() && later.blocks <= 4, "{later:?}");
    assert!(!later.finalists.is_empty());
}

#[test]
fn a_change_that_does_nothing_is_dropped_side_by_side_whatever_the_search_saw_in_it() {
    let case = Case { tunables: &["linger_us", "max_inflight_messages"], ..CASES[3] };
    let trial = case.trial();
    // An earlier tuning swears by both, and there is budget for the default alone.
    let both: SettingValues =
        [("linger_us".to_string(), 256.0), ("max_inflight_messages".to_string(), 512.0)].into();
    let mut sample = trial.block(&both, Duration::ZERO, 1).unwrap();
    sample.cpu_ns_per_commit = sample.cpu_ns_per_commit.map(|cpu| cpu / 4.0);
    let tuning = tune(&trial, &case.options(1, 1), None, &[(both, sample)], |_| {}).unwrap();
    let named = |found: &Finalist| -> Vec<String> {
        found.changes.iter().map(|change| change.name.clone()).collect()
    };
    assert_eq!(named(&tuning.finalists[0]), ["linger_us", "max_inflight_messages"], "{tuning}");
    assert_eq!(tuning.dropped, ["max_inflight_messages"], "{tuning}");
    let best = tuning.best.as_ref().unwrap();
    assert_eq!((named(best), best.expected), (vec!["linger_us".to_string()], None), "{tuning}");
    // What was promised stands beside what it was.
    let effect = tuning.finalists[0].effect.as_ref().unwrap();
    assert!(tuning.finalists[0].expected.unwrap() < 0.5 * effect.ratio, "{tuning}");
}

#[test]
fn a_value_that_follows_a_target_settles_below_what_breaks_it() {
    for (protocol, tunable) in [("raft-rs", "linger_us"), ("omnipaxos", "linger_us"), ("abd", "linger_us")] {
        let case = Case { protocol, load: Load::PerSecond(8_000.0), ..CASES[2] };
        let options = LiveOptions {
            tunable: Some(tunable.into()),
            target: "p99<4ms".parse().unwrap(),
            intervals: 60,
            interval_s: 0.05,
        };
        let run = live(&case.trial(), &options).unwrap();
        assert_eq!(live(&case.trial(), &options).unwrap(), run);
        assert!(run.settled && run.held >= 0.5, "{run}");
        // A commit waits for the linger at one replica, and for two where reads write back.
        let last = run.intervals.last().unwrap().value;
        assert!((700.0..4_000.0).contains(&last), "{run}");
        assert!(run.intervals.iter().any(|interval| !interval.holds(options.target.below_ns)), "{run}");
    }
}

#[test]
fn a_default_that_misses_the_target_gives_way_whatever_the_goal_loses() {
    // Lingering saves work, and answers come too late for it.
    let case = Case { detuned: &[("linger_us", 5_000.0)], tunables: &["linger_us"], ..CASES[2] };
    let mut trial = case.trial();
    let stands = tune(&trial, &case.options(1, 20), None, &[], |_| {}).unwrap();
    let without = stands.best.map(|best| best.changes[0].to);
    assert!(without.is_none_or(|linger_us| linger_us > 5_000.0), "{without:?}");

    let target = "p99<4ms".parse().unwrap();
    trial.target = Some(target);
    let tuning = tune(&trial, &case.options(1, 20), None, &[], |_| {}).unwrap();
    let best = tuning.best.as_ref().unwrap();
    assert!(best.changes[0].to < 5_000.0 && best.effect.as_ref().unwrap().lower > 1.0, "{tuning}");
    assert!(tuning.now_p99_ns.unwrap() > target.below_ns, "{tuning}");
    assert!(tuning.to_string().contains("Holds p99<4ms, on fresh blocks: linger_us 5000 → "), "{tuning}");

    // Where nothing holds it, that is said.
    trial.target = Some("p99<1us".parse().unwrap());
    let tuning = tune(&trial, &case.options(1, 20), None, &[], |_| {}).unwrap();
    let text = tuning.to_string();
    assert!(text.contains("what is set now misses p99<0.001ms: p99 is ") && tuning.best.is_none(), "{text}");
    assert!(text.contains("The default stands: none of the best few holds p99<0.001ms either"), "{text}");
}

#[test]
fn quorums_that_are_named_are_searched_though_most_values_break_their_constraint() {
    // Half of the commands write: a quorum of all for reads makes one replica enough for writes.
    let case = Case {
        protocol: "abd",
        topology: "wan5",
        load: Load::Clients(8),
        tunables: &["read_quorum", "write_quorum"],
        ..CASES[0]
    };
    let case = Case { detuned: &[], goal: Goal::MinP99, ..case };
    let mut served = Vec::new();
    search(&case.trial(), &case.options(1, 12), None, &[], |one| served.push(one.clone())).unwrap();
    let served: Vec<_> = served.iter().filter(|one| one.sample.is_some()).collect();
    assert!(served.len() > 5, "{served:?}");
}

#[test]
fn trials_of_other_links_of_the_same_name_or_of_another_build_are_not_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let links = |delay_ms: f64| {
        let text = format!("name = \"mine\"\nregions = [\"a\"]\none_way_ms = [[{delay_ms}]]\n");
        std::fs::write(&path, text).unwrap();
        let mut trial = CASES[2].trial();
        if let Measure::Exact(plan) = &mut trial.pair.scenario.measure {
            plan.topologies = vec![path.display().to_string()];
        }
        trial
    };
    let one = conditions(&links(1.0), "build", "here");
    assert_eq!(conditions(&links(1.0), "build", "here"), one);
    assert_ne!(conditions(&links(1.0), "rebuild", "here").digest, one.digest);
    assert_ne!(conditions(&links(2.0), "build", "here").digest, one.digest);
}

#[test]
fn in_real_time_a_value_follows_its_target_and_the_run_is_safe() {
    let suite = consensus_bench_suite::suite();
    for (protocol, tunable) in [
        ("raft-rs", "max_inflight_messages"),
        ("raft-rs", "largest_proposal_commands"),
        ("pbft", "window_batches"),
    ] {
        let registration = suite.get(protocol).unwrap();
        let pair = registration.pair(&Scenario::named("live"), Limits::default());
        let mut trial = Trial::of(pair, Goal::MinP99);
        trial.load = LoadKind::Open { rate_per_s: 300.0 };
        let options = LiveOptions {
            tunable: Some(tunable.into()),
            // Nothing holds this, so that the value has to go down.
            target: "p99<1ns".parse().unwrap(),
            intervals: 6,
            interval_s: 0.05,
        };
        let run = live(&trial, &options).unwrap();
        assert_eq!((run.intervals.len(), run.held), (6, 0.0), "{run}");
        assert!(run.intervals[5].value <= run.intervals[0].value, "{run}");
    }
}

#[test]
fn in_real_time_a_cluster_does_what_the_value_says() {
    let suite = consensus_bench_suite::suite();
    for protocol in ["raft-rs", "omnipaxos", "pbft", "abd"] {
        let mut pair = suite.get(protocol).unwrap().pair(&Scenario::named("live"), Limits::default());
        pair.settings.insert("linger_us".into(), 200_000.0);
        let mut trial = Trial::of(pair, Goal::MinP99);
        trial.load = LoadKind::Open { rate_per_s: 100.0 };
        let options = LiveOptions {
            tunable: Some("linger_us".into()),
            // Nothing holds this, so that the value goes down to a sixth.
            target: "p99<1ns".parse().unwrap(),
            intervals: 6,
            interval_s: 0.4,
        };
        let run = live(&trial, &options).unwrap();
        let (first, last) = (run.intervals[0], run.intervals[5]);
        assert!(last.value < 0.2 * first.value, "{run}");
        // Requests wait for the linger, and for little else.
        assert!(last.response_ns_p50 < 0.5 * first.response_ns_p50, "{run}");
    }
}

#[test]
fn what_does_not_change_live_is_refused_in_one_line() {
    let options = |tunable: Option<&str>| LiveOptions {
        tunable: tunable.map(Into::into),
        target: "p99<4ms".parse().unwrap(),
        intervals: 6,
        interval_s: 0.05,
    };
    let error = |protocol, tunable| {
        let case = Case { protocol, ..CASES[2] };
        live(&case.trial(), &options(tunable)).unwrap_err().to_string()
    };
    let found = error("raft-rs", Some("batch_append_flag"));
    assert!(
        found.starts_with("raft-rs: `batch_append_flag` does not change while a cluster runs"),
        "{found}"
    );
    assert!(found.contains("linger_us") && found.lines().count() == 1, "{found}");
    assert!(error("openraft", None).ends_with("what does: nothing"), "{}", error("openraft", None));
}

#[test]
fn a_default_that_nothing_beats_stands() {
    let case = Case { goal: Goal::MinP99, tunables: &["group_commit_flag"], ..CASES[3] };
    let tuning = tune(&case.trial(), &case.options(1, 20), None, &[], |_| {}).unwrap();
    assert_eq!((tuning.best.as_ref(), tuning.trials), (None, 2), "{tuning}");
    assert!(tuning.to_string().contains("The default stands: the search found nothing better"), "{tuning}");
}
