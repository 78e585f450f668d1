mod file;

use proptest::prelude::*;

use super::*;
use crate::files;
use crate::results::PhaseResult;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn run() -> RunResults {
    files::parse_results(Path::new("sample"), files::SAMPLE).unwrap()
}

fn result_of(protocol: &str, scenario: &str, p99_ns: f64) -> ScenarioResult {
    let mut result = run().results.remove(0);
    result.protocol = protocol.into();
    result.scenario.name = scenario.into();
    result.metrics.iter_mut().find(|metric| metric.name == "response_ns_p99").unwrap().value = p99_ns;
    result
}

fn in_namespace(name: &str) -> Retention {
    Retention { namespace: name.into(), ..Retention::default() }
}

fn keep_for(age: Duration) -> Retention {
    Retention { keep_for: Some(age), ..Retention::default() }
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("home/history.sqlite")
    }

    fn open(&self) -> History {
        History::open(&self.path()).unwrap()
    }

    fn holding(&self, bytes: &[u8]) -> PathBuf {
        std::fs::create_dir_all(self.folder.path().join("home")).unwrap();
        std::fs::write(self.path(), bytes).unwrap();
        self.path()
    }
}

#[test]
fn the_environment_says_the_namespace_and_how_long_entries_are_kept() {
    let of = |name: &'static str, value: &'static str| {
        Retention::of_variables(move |asked| (asked == name).then(|| value.into()))
    };
    assert_eq!(of("OTHER", "x").unwrap(), keep_for(90 * DAY));
    assert_eq!(of(KEEP_FOR_VARIABLE, "365d").unwrap(), keep_for(365 * DAY));
    assert_eq!(of(NAMESPACE_VARIABLE, "nightly").unwrap(), in_namespace("nightly"));
    let error = of(KEEP_FOR_VARIABLE, "long").unwrap_err().to_string();
    assert!(error.starts_with("`CONSENSUS_BENCH_KEEP_FOR=long` is no age"), "{error}");
    assert!(of(NAMESPACE_VARIABLE, "a/b").is_err());
}

fn ids(history: &History, filter: &Filter) -> Vec<i64> {
    history.list(filter).unwrap().iter().map(|entry| entry.id.0).collect()
}

#[test]
fn an_entry_says_where_it_is_from_and_when_it_goes() {
    let place = Place::new();
    let mut history = place.open();
    let (run, mut result) = (run(), result_of("raft-rs", "high_load", 5e6));
    result.disturbed = vec!["run delay".into()];
    let id = history.record_at(&run, &result, &in_namespace("ci"), 10 * DAY_MS).unwrap();
    let entry = history.get(id).unwrap();
    assert_eq!(entry.result, result);
    let expected = Summary {
        id: EntryId(1),
        namespace: "ci".into(),
        key: "high_load/raft-rs/channel/memory".into(),
        scenario: "high_load".into(),
        protocol: "raft-rs".into(),
        run_id: "20261121T114500.123Z-quick".into(),
        recorded_unix_ms: 10 * DAY_MS,
        expires_unix_ms: Some(100 * DAY_MS),
        pinned: false,
        commit: Some("4da0dbb+".into()),
        fingerprint: "0f3a9c21d4e7".into(),
        outcome: "completed".into(),
        disturbed: true,
        throughput_per_s: result.metric("throughput_per_s").map(|metric| metric.value),
        response_ns_p99: Some(5e6),
    };
    assert_eq!(entry.summary, expected);
    assert_eq!(history.list(&Filter::default()).unwrap(), [expected]);
    let missing = history.get(EntryId(7)).unwrap_err().to_string();
    assert_eq!(missing, "no entry 7; `cargo consensus-bench history list` shows which there are");
}

#[test]
fn what_expired_goes_when_the_next_is_recorded_and_what_is_pinned_stays() {
    let place = Place::new();
    let mut history = place.open();
    let (run, result) = (run(), result_of("raft-rs", "high_load", 5e6));
    let record = |history: &mut History, retention: &Retention, now| {
        history.record_at(&run, &result, retention, now).unwrap()
    };
    let short = record(&mut history, &keep_for(DAY), 0);
    let pinned = record(&mut history, &Retention { pinned: true, ..keep_for(DAY) }, 0);
    let pinned_later = record(&mut history, &keep_for(DAY), 0);
    let for_ever = record(&mut history, &Retention { keep_for: None, ..Retention::default() }, 0);
    let longest = record(&mut history, &keep_for(Duration::MAX), 0);
    history.pin(pinned_later).unwrap();

    assert_eq!(history.prune_at(Prune::Expired, DAY_MS - 1).unwrap().entries, 0);
    let newest = record(&mut history, &Retention::default(), DAY_MS);
    let left = [newest, longest, for_ever, pinned_later, pinned].map(|id| id.0);
    assert_eq!(ids(&history, &Filter::default()), left);
    assert!(matches!(history.get(short), Err(HistoryError::UnknownEntry { id }) if id == short));
    let metrics: i64 = history
        .connection
        .query_row("SELECT count(*) FROM metrics WHERE entry = ?", [short.0], |row| row.get(0))
        .unwrap();
    assert_eq!(metrics, 0, "the metrics of an entry go with it");

    // It does not expire at once, although it was recorded in 1970.
    history.unpin(pinned, 2 * DAY).unwrap();
    let unpinned = history.get(pinned).unwrap().summary;
    let left_ms = unpinned.expires_unix_ms.unwrap() - now_unix_ms();
    assert!(!unpinned.pinned && left_ms > DAY_MS && left_ms <= 2 * DAY_MS, "{left_ms}");
    for outcome in [history.pin(short), history.unpin(short, DAY)] {
        assert!(matches!(outcome, Err(HistoryError::UnknownEntry { id }) if id == short));
    }
}

#[test]
fn pruning_by_age_takes_what_has_not_expired_and_never_what_is_pinned() {
    let place = Place::new();
    let mut history = place.open();
    let (run, result) = (run(), result_of("raft-rs", "high_load", 5e6));
    let now = now_unix_ms();
    for (age, pinned) in [(40, false), (40, true), (20, false), (0, false)] {
        let retention = Retention { keep_for: None, pinned, ..Retention::default() };
        history.record_at(&run, &result, &retention, now - age * DAY_MS).unwrap();
    }
    let month = Prune::OlderThan(30 * DAY);
    assert_eq!(history.would_prune(month).unwrap().entries, 1);
    assert_eq!(ids(&history, &Filter::default()), [4, 3, 2, 1]);
    assert_eq!(history.prune(month).unwrap().entries, 1);
    let none = Pruned { entries: 0, trials: 0 };
    assert_eq!((history.would_prune(month).unwrap(), history.prune(Prune::Expired).unwrap()), (none, none));
    assert_eq!(ids(&history, &Filter::default()), [4, 3, 2]);
    assert_eq!(history.prune(Prune::OlderThan(Duration::MAX)).unwrap(), none);

    // Ids are not given again.
    assert_eq!(history.prune_at(Prune::OlderThan(Duration::ZERO), now + 1).unwrap().entries, 2);
    let next = history.record(&run, &result, &Retention::default()).unwrap();
    assert!(next > EntryId(4), "{next}");
}

#[test]
fn filters_of_a_query_combine() {
    let place = Place::new();
    let mut history = place.open();
    let run = run();
    for (id, (namespace, protocol, scenario)) in (1..).zip([
        ("default", "raft-rs", "high_load"),
        ("default", "openraft", "high_load"),
        ("default", "raft-rs", "low_load"),
        ("ci", "raft-rs", "high_load"),
        ("default", "raft-rs", "high_load"),
    ]) {
        let result = result_of(protocol, scenario, id as f64 * 1e6);
        history.record_at(&run, &result, &in_namespace(namespace), id * DAY_MS).unwrap();
    }
    let name = |name: &str| Some(name.to_string());
    for (filter, expected) in [
        (Filter::default(), vec![1, 2, 3, 4, 5]),
        (Filter { namespace: name("default"), ..Filter::default() }, vec![1, 2, 3, 5]),
        (Filter { protocol: name("raft-rs"), ..Filter::default() }, vec![1, 3, 4, 5]),
        (Filter { scenario: name("low_load"), ..Filter::default() }, vec![3]),
        (Filter { since_unix_ms: Some(3 * DAY_MS), ..Filter::default() }, vec![3, 4, 5]),
        (Filter { limit: Some(2), ..Filter::default() }, vec![4, 5]),
        (
            Filter {
                namespace: name("default"),
                protocol: name("raft-rs"),
                scenario: name("high_load"),
                since_unix_ms: None,
                limit: Some(1),
            },
            vec![5],
        ),
        (Filter { namespace: name("nightly"), ..Filter::default() }, vec![]),
    ] {
        let points = history.query("response_ns_p99", &filter).unwrap();
        let found: Vec<_> = points.iter().map(|point| point.summary.id.0).collect();
        assert_eq!(found, expected, "{filter:?}");
        assert!(points.iter().all(|point| point.value == point.summary.id.0 as f64 * 1e6), "{filter:?}");
        let newest_first: Vec<_> = expected.iter().rev().copied().collect();
        assert_eq!(ids(&history, &filter), newest_first, "{filter:?}");
        let entries = history.entries(&filter).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.summary.id.0).collect::<Vec<_>>(), expected);
    }
    let error = |metric: &str| history.query(metric, &Filter::default()).unwrap_err().to_string();
    assert_eq!(error("response_p999"), "no metric `response_p999`; the nearest there are: response_ns_p999");
    assert!(
        error("latency").starts_with("no metric `latency`; there are: achieved_over_offered, bytes_per_c")
    );
    assert_eq!(history.namespaces().unwrap(), ["ci", "default"]);
    assert_eq!(history.protocols().unwrap(), ["openraft", "raft-rs"]);
    assert_eq!(history.scenarios().unwrap(), ["high_load", "low_load"]);
}

#[test]
fn withheld_numbers_are_not_found_and_of_two_of_a_name_the_first_counts() {
    let place = Place::new();
    let mut history = place.open();
    let (run, mut result) = (run(), result_of("raft-rs", "high_load", 5e6));
    let like = result.metric("response_ns_p99").unwrap().clone();
    // The first of two of one name counts.
    result.metrics.push(Metric { value: 1.0, ..like });
    history.record(&run, &result, &Retention::default()).unwrap();

    let mut hidden = vec![result.clone(); 3];
    hidden[0].outcome = Outcome::Unsafe;
    hidden[1].outcome = Outcome::Failed { reason: "no leader".into() };
    hidden[2].safety.checked = false;
    for result in &hidden {
        let id = history.record(&run, result, &Retention::default()).unwrap();
        let entry = history.get(id).unwrap();
        assert_eq!((entry.summary.throughput_per_s, entry.summary.response_ns_p99), (None, None));
        assert_eq!(entry.result, *result);
    }
    let values = |metric: &str| -> Vec<f64> {
        history.query(metric, &Filter::default()).unwrap().iter().map(|point| point.value).collect()
    };
    assert_eq!(values("response_ns_p99"), [5e6]);
}

#[test]
fn what_can_not_be_recorded_is_refused_and_nothing_is_written() {
    let place = Place::new();
    let mut history = place.open();
    let (run, good) = (run(), result_of("raft-rs", "high_load", 5e6));
    for name in ["", "a/b", ".hidden", "latest"] {
        let error = history.record(&run, &good, &in_namespace(name)).unwrap_err().to_string();
        assert!(error.contains("is no name for a namespace: use letters"), "{error}");
    }
    let bad = result_of("raft-rs", "high_load", f64::NAN);
    let error = history.record(&run, &bad, &Retention::default()).unwrap_err().to_string();
    assert!(error.starts_with("high_load/raft-rs/channel/memory: not recorded, for it"), "{error}");

    // Whatever fails on the way takes the entry with it.
    history.connection.execute_batch("DROP TABLE metrics").unwrap();
    let error = history.record(&run, &good, &Retention::default()).unwrap_err();
    assert!(matches!(error, HistoryError::Database { .. }), "{error}");
    let entries: i64 =
        history.connection.query_row("SELECT count(*) FROM entries", [], |row| row.get(0)).unwrap();
    assert_eq!(entries, 0);
}

#[test]
fn an_entry_of_a_later_version_or_without_a_result_is_told_by_its_id() {
    let place = Place::new();
    let mut history = place.open();
    let id = history.record(&run(), &result_of("raft-rs", "high_load", 5e6), &Retention::default()).unwrap();
    let error_with = |sql: &str| {
        history.connection.execute_batch(sql).unwrap();
        history.get(id).unwrap_err().to_string()
    };
    assert_eq!(
        error_with("UPDATE entries SET result_schema = 9"),
        format!(
            "entry 1: recorded by a later version (schema 9, this one reads up to {SCHEMA_VERSION}): update \
             consensus-bench"
        )
    );
    let error = error_with("UPDATE entries SET result_schema = 1, result = '{}'");
    assert!(error.starts_with("entry 1: no result of a run: missing field `protocol`"), "{error}");
}

fn finite() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Completed),
        Just(Outcome::Interrupted),
        any::<String>().prop_map(|reason| Outcome::Failed { reason }),
        Just(Outcome::Unsafe),
    ]
}

prop_compose! {
    /// A result with anything where a user or a library decides what stands there.
    fn any_result()(
        strings in proptest::array::uniform6(any::<String>()),
        numbers in proptest::collection::vec(
            (any::<String>(), finite(), proptest::option::of(finite()), any::<u64>()),
            0..20,
        ),
        outcome in outcome(),
        checked in any::<bool>(),
    ) -> ScenarioResult {
        let mut result = run().results.remove(0);
        let [protocol, scenario, setting, violation, disturbed, unit] = strings;
        result.protocol = protocol;
        result.scenario.name = scenario;
        result.outcome = outcome;
        result.disturbed = vec![disturbed];
        result.safety.checked = checked;
        result.safety.violations = if checked { Vec::new() } else { vec![violation] };
        result.settings = [(setting, numbers.first().map_or(0.0, |number| number.1))].into();
        let like = Metric { unit, ..result.metrics[0].clone() };
        result.metrics = numbers
            .into_iter()
            .map(|(name, value, lower, n)| Metric { name, value, lower, upper: lower, n, ..like.clone() })
            .collect();
        let phase: &mut PhaseResult = &mut result.phases[0];
        phase.metrics = result.metrics.clone();
        result
    }
}

proptest! {
    // Each case makes a database and syncs it.
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_recorded_comes_back_equal(
        results in proptest::collection::vec(any_result(), 1..4),
        run_id in any::<String>(),
        commit in proptest::option::of(any::<String>()),
    ) {
        let place = Place::new();
        let mut history = place.open();
        let mut run = run();
        run.run_id = run_id;
        run.manifest.commit = commit;
        let ids: Vec<EntryId> = results
            .iter()
            .map(|result| history.record(&run, result, &Retention::default()).unwrap())
            .collect();
        drop(history);

        let history = place.open();
        let entries = history.entries(&Filter::default()).unwrap();
        prop_assert_eq!(entries.len(), results.len());
        for ((entry, result), id) in entries.iter().zip(&results).zip(ids) {
            prop_assert_eq!(&entry.result, result);
            prop_assert_eq!(&entry.summary.run_id, &run.run_id);
            prop_assert_eq!(&entry.summary.commit, &run.manifest.commit);
            prop_assert_eq!(&history.get(id).unwrap(), entry);
            for metric in metrics_of(result) {
                let first = result.metric(&metric.name).unwrap();
                let points = history.query(&metric.name, &Filter::default()).unwrap();
                let point = points.iter().find(|point| point.summary.id == id).unwrap();
                prop_assert_eq!(
                    (point.value, point.lower, point.upper, &point.unit),
                    (first.value, first.lower, first.upper, &first.unit)
                );
            }
        }
    }
}
