//! The study of the performance model: how wrong it is on settings that it was not told, in virtual time with
//! fixed costs, where the same numbers come out on every machine. `-- --nocapture` shows the whole of it.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use consensus_bench::calibration::WorkCosts;
use consensus_bench::model::cells::cells;
use consensus_bench::model::folds::summaries;
use consensus_bench::model::{HeldOut, Measured, PlaceModel, Quantity, Standing};
use consensus_bench::progress::Progress;
use consensus_bench::results::{Outcome, ScenarioResult};
use consensus_bench::run::Limits;
use consensus_bench::scenario::{CostsConfig, ExactPlan, Measure, Scenario};

/// Like those that `calibrate` finds on machines of today.
const COSTS: WorkCosts = WorkCosts {
    wake_up_ns: 1_500.0,
    message_ns: 300.0,
    byte_ns: 0.2,
    request_ns: 400.0,
    delivery_ns: 250.0,
    sign_ns: 0.0,
    verify_ns: 0.0,
    mac_ns: 200.0,
    fsync_ns: 0.0,
};
/// How large the median error on held-out settings may be.
const AIM_THROUGHPUT: f64 = 0.15;
const AIM_P99: f64 = 0.25;
/// Offered rates, as shares of what 1,024 clients get on the second smallest cluster.
const SHARES: [f64; 8] = [0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.6];

fn measure(protocol: &str, plan: ExactPlan) -> ScenarioResult {
    let suite = consensus_bench_suite::suite().select(&[protocol.to_string()]).unwrap();
    let scenario = Scenario { measure: Measure::Exact(plan), ..Scenario::named("model_study") };
    let pair = suite.pairs(&[scenario], Limits::default()).unwrap().remove(0);
    let result = pair.run(Path::new("unused"), &Progress::default());
    assert_eq!(result.outcome, Outcome::Completed, "{protocol}");
    result
}

fn plan(replicas: &[usize], clients: &[usize], rates_per_s: Vec<f64>) -> ExactPlan {
    ExactPlan {
        topologies: vec!["lan".into()],
        replicas: replicas.into(),
        clients: clients.into(),
        warm_up_commits: 1_000,
        commits: 5_000,
        recovery: false,
        costs: CostsConfig::Table(COSTS),
        cores: 1,
        rates_per_s,
    }
}

fn study(protocol: &str, sizes: &[usize]) -> PlaceModel {
    let pilot = measure(protocol, plan(&sizes[1..2], &[1_024], Vec::new()));
    let peak = pilot.exact.unwrap().cells[0].metric("throughput_per_s").unwrap().value;
    let rates: Vec<f64> = SHARES.iter().map(|share| (share * peak).round()).collect();
    let result = measure(protocol, plan(sizes, &[1, 4, 16, 64, 256, 1_024, 2_048], rates));
    let measured: Vec<Measured> = cells(protocol, &[result]);
    assert_eq!(measured.len(), 1, "one place");
    PlaceModel::fit(protocol, measured.into_iter().next().unwrap())
}

/// Median and worst error over all that was held out, or over what is no extrapolation.
fn errors(place: &PlaceModel, quantity: Quantity) -> (f64, f64) {
    let closed = place.closed.iter().flat_map(|chosen| chosen.held_out());
    let open = place.open.iter().flat_map(|chosen| chosen.held_out());
    let held: Vec<&HeldOut> = closed.chain(open).filter(|held| held.quantity == quantity).collect();
    let mut sizes: Vec<f64> = held.iter().map(|held| held.error().abs()).collect();
    sizes.sort_by(f64::total_cmp);
    (sizes[sizes.len() / 2], *sizes.last().unwrap())
}

/// Fails when the model's median errors are larger than they may be.
fn judge(protocol: &str, sizes: &[usize]) {
    {
        let place = study(protocol, sizes);
        println!("{}", consensus_bench::model::place_text(protocol, &place));
        let (throughput, worst_throughput) = errors(&place, Quantity::Throughput);
        let (p99, worst_p99) = errors(&place, Quantity::P99);
        println!(
            "{protocol}: all held out: throughput {throughput:.3} (worst {worst_throughput:.3}), p99 {p99:.3} (worst {worst_p99:.3})"
        );
        if let Ok(dump) = std::env::var("MODEL_DUMP") {
            std::fs::write(format!("{dump}/{protocol}.json"), serde_json::to_string(&place).unwrap())
                .unwrap();
        }
        let open: Vec<&HeldOut> = place.open.iter().flat_map(|chosen| chosen.held_out()).collect();
        let of_open = summaries(open.into_iter());
        assert!(of_open.iter().any(|summary| summary.standing == Standing::Inside), "{protocol}");
        assert!(throughput <= AIM_THROUGHPUT && p99 <= AIM_P99, "{protocol}: {throughput} {p99}");
    }
}

#[test]
fn raft_rs_is_predicted() {
    judge("raft-rs", &[3, 5, 7, 9]);
}

#[test]
fn openraft_is_predicted() {
    judge("openraft", &[3, 5, 7, 9]);
}

#[test]
fn pbft_is_predicted() {
    judge("pbft", &[4, 7, 10, 13]);
}

#[test]
fn abd_is_predicted() {
    judge("abd", &[3, 5, 7, 9]);
}
