use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::scenario::{CostsConfig, NetworkConfig, StorageConfig};

fn surroundings(topology: Option<&str>) -> Surroundings {
    Surroundings {
        topology: topology.map(String::from),
        network: NetworkConfig::default(),
        storage: StorageConfig::Memory,
        payload_bytes: 128,
        costs: CostsConfig::default(),
        cores: 0,
        settings: BTreeMap::new(),
    }
}

/// Links of a millisecond, and a server that does 300,000 ÷ n commits a second, one by one.
fn cells() -> Vec<Cell> {
    let cell = |replicas: usize, load, throughput_per_s, times: Option<(f64, f64)>, saturated| Cell {
        replicas,
        load,
        throughput_per_s,
        noise: None,
        p50_ns: times.map(|times| times.0),
        p99_ns: times.map(|times| times.1),
        saturated,
        scenario: "s".into(),
    };
    let mut cells = Vec::new();
    for replicas in [3usize, 5, 7] {
        let (n, service) = (replicas as f64, replicas as f64 / 3e5);
        for clients in [1usize, 4, 16, 64, 256, 1_024] {
            let cycle = 1e-3 + service * clients as f64;
            cells.push(cell(replicas, Load::Clients(clients), clients as f64 / cycle, None, false));
        }
        for share in [0.05, 0.2, 0.4, 0.6, 0.8, 0.9] {
            let rate = share * 3e5 / n;
            let time = |factor: f64| 1e6 + factor * service * 1e9 / (1.0 - share);
            let times = Some((time(2f64.ln()), time(100f64.ln())));
            cells.push(cell(replicas, Load::Rate(rate), rate, times, false));
        }
        cells.push(cell(replicas, Load::Rate(1e6 / n), 3e5 / n, None, true));
    }
    cells
}

fn model() -> Model {
    let place =
        |surroundings, cells| PlaceModel::fit("toy", Measured { surroundings, cells, disturbed: Vec::new() });
    let few: Vec<Cell> = cells().into_iter().take(3).collect();
    Model {
        schema_version: file::SCHEMA_VERSION,
        protocol: "toy".into(),
        runs: vec!["20260101-000000-model".into()],
        machine: "0123456789ab".into(),
        places: vec![place(surroundings(None), cells()), place(surroundings(Some("lan")), few)],
    }
}

fn predict(place: &PlaceModel, replicas: usize, load: Load) -> Prediction {
    place.predict(Setting { replicas, load }, None).unwrap()
}

#[test]
fn times_of_several_machines_are_refused_and_those_of_several_commits_told_of() {
    let mut run = crate::files::parse_results(Path::new("sample"), crate::files::SAMPLE).unwrap();
    run.results[0].scenario.phases.iter_mut().for_each(|phase| phase.ramp = None);
    let mut other = run.clone();
    let fit = |other: &RunResults| Model::fit("raft-rs", &[run.clone(), other.clone()]);
    assert_eq!(fit(&other).unwrap().places[0].disturbed, [""; 0]);
    other.manifest.commit = Some("0badc0de".into());
    assert_eq!(fit(&other).unwrap().places[0].disturbed, ["runs of several commits: 0badc0de, 4da0dbb+"]);
    other.manifest.machine.fingerprint = "another".into();
    let error = fit(&other).unwrap_err().to_string();
    assert_eq!(
        error,
        "times of raft-rs from several machines (0f3a9c21d4e7, another): give runs of one machine alone"
    );
    // A run without such times is of any machine.
    other.results.retain(|result| result.protocol != "raft-rs");
    assert!(fit(&other).is_ok());
}

#[test]
fn settings_that_were_not_run_come_out_as_the_truth_has_them() {
    let model = model();
    let place = &model.places[0];
    // 6 replicas were never measured: a cycle of 1 ms and 100 clients of 20 µs each.
    let closed = predict(place, 6, Load::Clients(100));
    assert!((closed.throughput_per_s.value / (100.0 / 3e-3) - 1.0).abs() < 0.02, "{closed:?}");
    assert!(closed.beyond.is_empty() && closed.p99_ns.is_none());
    let rate = 25_000.0;
    let open = predict(place, 6, Load::Rate(rate));
    let p99 = 1e6 + 100f64.ln() * 2e4 / 0.5;
    let found = open.p99_ns.unwrap();
    assert!((found.value / p99 - 1.0).abs() < 0.1, "{open:?} {p99}");
    assert!(found.lower.unwrap() <= found.value && found.value <= found.upper.unwrap());
    assert_eq!((open.throughput_per_s.value, open.saturated), (rate, false));
}

#[test]
fn what_is_beyond_is_said_and_what_saturates_has_no_latency() {
    let model = model();
    let place = &model.places[0];
    let far = predict(place, 9, Load::Clients(5_000));
    assert_eq!(
        far.beyond,
        ["9 replicas, where 3 to 7 were measured", "5.00k clients, where 1.00 to 1.02k were measured"]
    );
    let over = predict(place, 3, Load::Rate(5e5));
    assert!(over.saturated && over.p99_ns.is_none(), "{over:?}");
    assert!((over.throughput_per_s.value / 1e5 - 1.0).abs() < 0.1, "{over:?}");
}

#[test]
fn another_place_takes_longer_by_its_links() {
    let model = model();
    let by = Move { p50_ns: 9e6, p99_ns: 9e6 };
    let place = &model.places[0];
    let moved = place.predict(Setting { replicas: 3, load: Load::Clients(1) }, Some(by)).unwrap();
    assert!((moved.throughput_per_s.value / 99.9 - 1.0).abs() < 0.02, "{moved:?}");
    let moved = place.predict(Setting { replicas: 3, load: Load::Rate(10_000.0) }, Some(by)).unwrap();
    assert!((9.5e6..11.5e6).contains(&moved.p50_ns.unwrap().value), "{moved:?}");
}

#[test]
fn a_part_without_data_says_what_to_run() {
    let model = model();
    let error = model.places[1].predict(Setting { replicas: 3, load: Load::Rate(1.0) }, None).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("virtual, lan") && error.contains("more `rates_per_s`"), "{error}");
    let real = PlaceModel::fit(
        "toy",
        Measured { surroundings: surroundings(None), cells: Vec::new(), disturbed: Vec::new() },
    );
    assert!(real.missing[0].ends_with("--protocol toy --scenario scalability"), "{:?}", real.missing);
    assert!(real.missing[1].ends_with("--protocol toy --scenario throughput"), "{:?}", real.missing);
    assert!(real.predict(Setting { replicas: 3, load: Load::Clients(1) }, None).is_err());
}

#[test]
fn a_model_reads_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.json");
    let model = model();
    file::write(&path, &model).unwrap();
    assert_eq!(file::read(&path).unwrap(), model);
    let good = serde_json::to_string(&model).unwrap();
    for (text, expected) in [
        (good.replacen("\"schema_version\":1", "\"schema_version\":9", 1), "written by a later version"),
        (good.replacen("\"weights\":[", "\"weights\":[-1.0,", 1), "weights that no time has"),
        (good.replacen("\"protocol\"", "\"protocoll\"", 1), "no performance model"),
        (good[..good.len() / 2].to_string(), "cut off"),
    ] {
        let error = file::parse(Path::new("model.json"), text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn the_text_says_what_was_fitted_how_wrong_it_is_and_what_is_predicted() {
    let model = model();
    let place = &model.places[0];
    let mut found: Vec<(String, Prediction)> =
        [(6, Load::Clients(100)), (3, Load::Rate(50_000.0)), (3, Load::Rate(5e5))]
            .map(|(replicas, load)| (place.surroundings.name(), predict(place, replicas, load)))
            .into();
    found[0].1.cost = Some(CommitCost {
        cpu_ns: Some(Estimate { value: 9e3, lower: Some(8e3), upper: Some(1.1e4) }),
        note: None,
    });
    found[1].1.cost = Some(CommitCost::unknown("work is free in this place"));
    insta::assert_snapshot!(format!("{}\n\n{}", text(&model), predictions(&found)));
}
