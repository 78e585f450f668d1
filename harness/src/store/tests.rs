use std::fs;

use proptest::prelude::*;

use super::*;
use crate::results::Outcome;

fn run() -> RunResults {
    files::parse_results(Path::new("sample"), files::SAMPLE).unwrap()
}

/// A store of its own, with a workspace to promote to.
fn store(folder: &tempfile::TempDir) -> Store {
    let root = folder.path();
    Store {
        home: root.join("home"),
        committed: Some(root.join("baselines")),
        fingerprint: "0f3a9c21d4e7".into(),
    }
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn located(variables: &[(&str, &Path)], executable: &Path, here: &Path) -> Store {
    let variable = |name: &str| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_os_str().to_os_string())
    };
    Store::located(variable, Some(executable), here, "f")
}

#[test]
fn the_home_is_where_the_environment_or_the_executable_says() {
    let folder = scratch();
    let root = folder.path();
    let here = root.join("here");
    fs::create_dir_all(root.join("odd/debug")).unwrap();
    fs::write(root.join("odd/CACHEDIR.TAG"), "").unwrap();
    let (tagged, named, installed) =
        (root.join("odd/debug/bench"), root.join("target/release/bench"), root.join("bin/bench"));
    let absolute = root.join("elsewhere");

    let home = |variables: &[(&str, &Path)], executable: &Path| located(variables, executable, &here).home;
    assert_eq!(home(&[], &tagged), root.join("odd/consensus-bench"));
    assert_eq!(home(&[], &named), root.join("target/consensus-bench"));
    assert_eq!(home(&[], &installed), here.join("target/consensus-bench"));
    let from_cargo: [(&str, &Path); 1] = [("CARGO_TARGET_DIR", &absolute)];
    assert_eq!(home(&from_cargo, &named), absolute.join("consensus-bench"));
    // Meant from where cargo was called, which need not be here.
    let from_cargo: [(&str, &Path); 1] = [("CARGO_TARGET_DIR", Path::new("odd"))];
    assert_eq!(home(&from_cargo, &tagged), root.join("odd/consensus-bench"));
    assert_eq!(home(&from_cargo, &installed), here.join("odd/consensus-bench"));
    let ours: [(&str, &Path); 2] =
        [("CONSENSUS_BENCH_HOME", &absolute), ("CARGO_TARGET_DIR", Path::new("odd"))];
    assert_eq!(home(&ours, &tagged), absolute);
    let empty: [(&str, &Path); 1] = [("CONSENSUS_BENCH_HOME", Path::new(""))];
    assert_eq!(home(&empty, &named), root.join("target/consensus-bench"));
}

#[test]
fn committed_baselines_are_in_the_workspace_above() {
    let folder = scratch();
    let root = folder.path();
    let (package, outside) = (root.join("workspace/package"), root.join("outside"));
    fs::create_dir_all(root.join("workspace/baselines")).unwrap();
    fs::create_dir_all(package.join("baselines")).unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(root.join("workspace/Cargo.toml"), "[workspace]\nmembers = []\n").unwrap();
    fs::write(package.join("Cargo.toml"), "[package]\n").unwrap();

    let executable = root.join("bin/bench");
    let expected = Some(root.join("workspace/baselines"));
    assert_eq!(located(&[], &executable, &package).committed, expected);
    assert_eq!(located(&[("CARGO_MANIFEST_DIR", &package)], &executable, &outside).committed, expected);
    assert_eq!(located(&[], &executable, &outside).committed, None);
}

#[test]
fn the_latest_run_is_the_newest_that_can_be_read() {
    let folder = scratch();
    let store = store(&folder);
    let error = store.latest().unwrap_err().to_string();
    assert!(error.contains("no run with readable results in"), "{error}");

    let write = |id: &str, text: &[u8]| {
        fs::create_dir_all(store.home.join(id)).unwrap();
        fs::write(store.home.join(id).join(RESULTS_FILE), text).unwrap();
    };
    write("20261121T114500.123Z-quick", files::SAMPLE);
    write("20261121T114501.000Z-cut", &files::SAMPLE[..900]);
    write("zzz-no-run", files::SAMPLE);
    fs::create_dir(store.home.join("20261121T114502.000Z-killed")).unwrap();
    assert_eq!(store.latest().unwrap().run_id, "20261121T114500.123Z-quick");
    assert_eq!(store.load("latest").unwrap().name, "20261121T114500.123Z-quick");

    // A mere test is no run.
    let test = store.create_test("quick").unwrap();
    fs::write(test.results_path(), files::SAMPLE).unwrap();
    assert_eq!(store.latest().unwrap().run_id, "20261121T114500.123Z-quick");
    assert!(store.load(&test.id).is_err());

    let new = store.create_run("quick").unwrap();
    let mut results = run();
    results.run_id = new.id.clone();
    results.complete = false;
    new.write_results(&results).unwrap();
    assert_eq!(store.latest().unwrap(), results);
}

#[test]
fn a_baseline_is_what_was_saved_row_by_row() {
    let folder = scratch();
    let store = store(&folder);
    let first = run();
    let report = store.save_baseline("main", &first).unwrap();
    assert!(report.not_saved.is_empty());
    let names: Vec<_> = report.saved.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["high_load.raft-rs.channel-memory.json", "high_load.openraft.channel-memory.json"]);

    // A later run replaces its own rows only.
    let mut second = run();
    second.run_id = "20261122T000000.000Z-again".into();
    second.results.truncate(1);
    store.save_baseline("main", &second).unwrap();
    let loaded = store.load_baseline("main").unwrap();
    let of: Vec<_> =
        loaded.runs.iter().map(|run| (run.results[0].protocol.as_str(), run.run_id.as_str())).collect();
    assert_eq!(of, [("openraft", first.run_id.as_str()), ("raft-rs", second.run_id.as_str())]);
    assert_eq!(loaded.runs[1], second);
    assert_eq!(store.load("main").unwrap(), loaded);
}

#[test]
fn only_completed_results_are_saved_and_the_others_named() {
    let folder = scratch();
    let store = store(&folder);
    let mut run = run();
    let like = run.results[0].clone();
    run.results = [
        Outcome::Interrupted,
        Outcome::Failed { reason: "no leader after 10 s".into() },
        Outcome::Unsafe,
        Outcome::Completed,
        Outcome::Completed,
    ]
    .into_iter()
    .map(|outcome| crate::results::ScenarioResult { outcome, ..like.clone() })
    .collect();
    let mut unchecked = like.clone();
    unchecked.safety.checked = false;
    let mut nameless = like;
    nameless.protocol = "../raft".into();
    run.results.extend([unchecked, nameless]);

    let report = store.save_baseline("main", &run).unwrap();
    assert_eq!(report.saved.len(), 1);
    let reasons: Vec<_> = report.not_saved.iter().map(|left| left.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "it was interrupted",
            "it failed: no leader after 10 s",
            "it violated safety",
            "the run has this row twice",
            "its safety was not checked",
            "its scenario or protocol has a name that can't be part of a file's",
        ]
    );
    assert_eq!(report.not_saved[0].row, "high_load raft-rs [channel, memory]");
}

#[test]
fn promoted_baselines_are_found_on_the_machine_that_measured_them() {
    let folder = scratch();
    let store = store(&folder);
    store.save_baseline("main", &run()).unwrap();
    let local = store.load_baseline("main").unwrap();
    let committed = folder.path().join("baselines/0f3a9c21d4e7/main");
    let names = ["high_load.openraft.channel-memory.json", "high_load.raft-rs.channel-memory.json"];
    assert_eq!(store.promote("main").unwrap(), names.map(|name| committed.join(name)));

    let places: Vec<_> =
        store.list_baselines().unwrap().iter().map(|entry| (entry.place.name(), entry.rows)).collect();
    assert_eq!(places, [("local", 2), ("committed", 2)]);
    store.remove("main").unwrap();
    assert_eq!(store.load_baseline("main").unwrap(), local);
    let error = store.remove("main").unwrap_err().to_string();
    assert!(error.starts_with("baseline `main` is committed: remove it with `git rm -r "), "{error}");

    let other = Store { fingerprint: "another".into(), ..store.clone() };
    assert!(matches!(other.load_baseline("main"), Err(StoreError::UnknownBaseline { .. })));
    other.save_baseline("main", &run()).unwrap();
    let error = other.promote("main").unwrap_err().to_string();
    assert!(
        error.ends_with("another machine (0f3a9c21d4e7, this one is another): measure it again here"),
        "{error}"
    );
    assert!(!folder.path().join("baselines/another").exists());
    let nowhere = Store { committed: None, ..store };
    assert!(matches!(nowhere.promote("main"), Err(StoreError::NoWorkspace)));
}

#[test]
fn unknown_names_are_answered_with_the_known_ones() {
    let folder = scratch();
    let store = store(&folder);
    let error = |outcome: Result<Recorded, StoreError>| outcome.unwrap_err().to_string();
    assert_eq!(error(store.load_baseline("main")), "no baseline `main`; there are no baselines yet");
    store.save_baseline("v1.0", &run()).unwrap();
    store.save_baseline("main", &run()).unwrap();
    store.promote("main").unwrap();
    assert_eq!(error(store.load_baseline("mian")), "no baseline `mian`; baselines: main, v1.0");
    for second in 0..7 {
        fs::create_dir(store.home.join(format!("20261121T11450{second}.000Z-quick"))).unwrap();
    }
    let message = error(store.load("mian"));
    assert!(message.starts_with("`mian` is no results file, run's folder, baseline or run; "), "{message}");
    assert!(message.contains("baselines: main, v1.0; last runs: 20261121T114506.000Z-quick, "), "{message}");
    assert!(message.contains("T114502") && !message.contains("T114501"), "{message}");
    for name in ["", ".hidden", "a/b", "..", "latest", "a b"] {
        assert!(matches!(store.save_baseline(name, &run()), Err(StoreError::BadName { .. })), "{name}");
    }
    assert!(matches!(store.load(""), Err(StoreError::UnknownReference { .. })));
    assert!(matches!(store.remove("mian"), Err(StoreError::UnknownBaseline { .. })));
}

#[test]
fn a_path_is_loaded_as_it_stands_and_damage_is_reported() {
    let folder = scratch();
    let store = store(&folder);
    let file = folder.path().join(RESULTS_FILE);
    fs::write(&file, files::SAMPLE).unwrap();
    for reference in [file.as_path(), folder.path()] {
        assert_eq!(store.load(reference.to_str().unwrap()).unwrap().runs, [run()]);
    }
    fs::write(&file, &files::SAMPLE[..500]).unwrap();
    assert!(store.load(file.to_str().unwrap()).unwrap_err().to_string().contains("cut off"));

    store.save_baseline("main", &run()).unwrap();
    let row = store.home.join("baselines/main/extra.json");
    fs::write(&row, files::SAMPLE).unwrap();
    let error = store.load_baseline("main").unwrap_err().to_string();
    assert!(error.contains("extra.json: a baseline's file holds one result, this one holds 2"), "{error}");
}

proptest! {
    #[test]
    fn no_reference_makes_the_store_panic(reference in any::<String>()) {
        let folder = scratch();
        let store = store(&folder);
        store.load(&reference).ok();
        store.load_baseline(&reference).ok();
        store.remove(&reference).ok();
    }
}

#[test]
fn counts_of_instructions_are_kept_by_machine_and_are_no_baseline_of_rows() {
    let folder = scratch();
    let store = store(&folder);
    assert_eq!(store.instructions_baseline().unwrap(), None);
    let row = |value| ("instructions/a".to_string(), "instructions_per_commit".to_string(), value);
    let values: ExactValues = [row(0.1 + 0.2)].into_iter().collect();
    let path = store.write_instructions_baseline(&values).unwrap();
    assert_eq!(path, folder.path().join("baselines/0f3a9c21d4e7/instructions.json"));
    assert_eq!(store.instructions_baseline().unwrap(), Some(values));
    assert_eq!(store.list_baselines().unwrap(), []);
    let elsewhere = Store { fingerprint: "000000000000".into(), ..store.clone() };
    assert_eq!(elsewhere.instructions_baseline().unwrap(), None);

    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    let error = store.instructions_baseline().unwrap_err().to_string();
    assert!(error.contains("instructions.json: cut off (EOF"), "{error}");
    // Outside a workspace they are kept beside the runs.
    let nowhere = Store { committed: None, ..store };
    assert_eq!(nowhere.instructions_baseline().unwrap(), None);
}
