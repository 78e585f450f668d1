//! The history on the command line: exit codes, one-line errors, what programs read.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use consensus_bench::files;
use consensus_bench::history::{History, Retention, before, now_unix_ms};

const RUN: &[u8] = include_bytes!("../../harness/tests/it/results-v1.json");

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    /// With an entry of each protocol, of which the first is pinned.
    fn recorded() -> Self {
        let place = Place::new();
        let run = files::parse_results(Path::new("results-v1.json"), RUN).unwrap();
        let mut history = History::open(&place.database()).unwrap();
        for (result, pinned) in run.results.iter().zip([true, false]) {
            history.record(&run, result, &Retention { pinned, ..Retention::default() }).unwrap();
        }
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn database(&self) -> PathBuf {
        self.path().join("home/history.sqlite")
    }

    fn run(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_consensus-bench"))
            .arg("history")
            .args(arguments.split_whitespace())
            .current_dir(self.path())
            .env("CONSENSUS_BENCH_HOME", self.path().join("home"))
            .output()
            .unwrap()
    }

    /// What a command says that must work.
    fn says(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {}", text(&output.stderr));
        assert!(output.stderr.is_empty(), "{arguments}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn json(&self, arguments: &str) -> serde_json::Value {
        serde_json::from_str(&self.says(arguments)).unwrap()
    }

    /// The one line of a command that must not work.
    fn refuses(&self, arguments: &str, code: i32) -> String {
        let output = self.run(arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {error}");
        assert!(output.stdout.is_empty(), "{arguments}: {}", text(&output.stdout));
        assert_eq!(error.lines().count(), 1, "{arguments}: {error}");
        error
    }
}

/// The run that is recorded, as this version writes it.
fn stored() -> serde_json::Value {
    serde_json::to_value(files::parse_results(Path::new("results-v1.json"), RUN).unwrap()).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn without_a_run_there_is_nothing_and_it_is_said_how_to_make_one() {
    let place = Place::new();
    let expected = "no run was recorded yet";
    assert!(place.says("list").contains(expected));
    assert!(place.says("list").contains("`cargo consensus-bench run` records one"));
    assert_eq!(place.says("list --format json"), "[]\n");
    for arguments in
        ["show 1", "query --metric response_ns_p99", "trend", "prune", "pin 1", "unpin 1", "export"]
    {
        assert!(place.refuses(arguments, 2).contains(expected), "{arguments}");
    }
    assert!(!place.path().join("home").exists(), "looking made something");
}

#[test]
fn bad_input_gets_one_line_and_its_exit_code() {
    let place = Place::recorded();
    for (arguments, code, expected) in [
        ("show 9", 2, "no entry 9; `cargo consensus-bench history list` shows which there are"),
        ("show newest", 2, "`newest` is no entry's id: "),
        ("pin 9", 2, "no entry 9"),
        ("unpin 9", 2, "no entry 9"),
        ("unpin 1 --keep-for long", 2, "`--keep-for long` is no age: write a number with its unit, as in 7d"),
        (
            "query --metric response_p99",
            2,
            "no metric `response_p99`; the nearest there are: response_ns_p99",
        ),
        ("query --metric latency", 2, "no metric `latency`; there are: achieved_over_offered, "),
        ("query --metric response_ns_p99 --since 7", 2, "`--since 7` is no age"),
        ("trend --metric latency", 2, "no metric `latency`; there are: achieved_over_offered, "),
        (
            "trend --protocol paxos",
            2,
            "no entry matches; there are: namespaces default; protocols openraft, raft-rs",
        ),
        ("trend --significance 2", 2, "`--significance 2` is outside 0.001 to 0.1"),
        ("trend --significance NaN", 2, "`--significance NaN` is outside 0.001 to 0.1"),
        ("trend --since 7", 2, "`--since 7` is no age"),
        ("list --namespace a/b", 2, "`a/b` is no name for a namespace"),
        ("prune --older-than week", 2, "`--older-than week` is no age"),
        ("export --output nowhere/history.json", 1, "nowhere/history.json: can't be written"),
    ] {
        let error = place.refuses(arguments, code);
        assert!(error.contains(expected), "{arguments}: {error}");
    }
    let other = Place::new();
    std::fs::create_dir_all(other.path().join("home")).unwrap();
    std::fs::write(other.database(), "These are not the bytes of a database.").unwrap();
    for arguments in ["list", "prune", "export"] {
        let error = other.refuses(arguments, 2);
        assert!(error.contains("history.sqlite: no database; move this file away, and"), "{error}");
    }
    assert_eq!(text(&std::fs::read(other.database()).unwrap()), "These are not the bytes of a database.");
}

#[test]
fn a_trend_says_how_many_runs_it_needs() {
    let place = Place::recorded();
    let shown = place.says("trend");
    assert!(
        shown.contains("series with less than the 12 runs that are needed; the longest has 1"),
        "{shown}"
    );
    let shown = place.says("trend --metric response_ns_p99 --protocol raft-rs");
    assert!(shown.contains("\n1 run; 12 are needed to find a change\n"), "{shown}");
    let trends = place.json("trend --metric response_ns_p99 --format json");
    assert_eq!(
        (&trends["judged"], &trends["too_few"], &trends["entries"]),
        (&0.into(), &2.into(), &2.into())
    );
    assert_eq!(trends["trends"][0]["changes"], serde_json::json!([]));
}

#[test]
fn entries_are_listed_shown_and_queried() {
    let place = Place::recorded();
    let listed = place.json("list --format json");
    let ids: Vec<_> = listed.as_array().unwrap().iter().map(|entry| entry["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [2, 1]);
    assert_eq!(listed[1]["key"], "high_load/raft-rs/channel/memory");
    assert!(listed[1]["pinned"] == true && listed[1]["expires_unix_ms"].is_null());
    let kept =
        listed[0]["expires_unix_ms"].as_i64().unwrap() - listed[0]["recorded_unix_ms"].as_i64().unwrap();
    assert_eq!(kept, 90 * 24 * 60 * 60 * 1_000);

    let first = place.says("list --limit 1");
    assert!(first.contains("openraft") && !first.contains("raft-rs"), "{first}");
    assert!(first.contains("There are older ones: `--limit N` shows more than 1"), "{first}");
    assert!(!place.says("list --limit 2").contains("older"));
    let none = place.says("list --namespace nightly");
    let expected =
        "no entry matches; there are: namespaces default; protocols openraft, raft-rs; scenarios high_load\n";
    assert_eq!(none, expected);

    let run = stored();
    assert!(place.json("show 1 --format json")["result"] == run["results"][0]);
    let shown = place.says("show 2");
    assert!(shown.contains("entry 2: high_load/openraft/channel/memory in namespace default"), "{shown}");
    assert!(shown.contains("queue_delay_ns_p99"), "{shown}");

    let points =
        place.json("query --metric response_ns_p99 --protocol raft-rs --since 1h --limit 5 --format json");
    assert_eq!(points.as_array().unwrap().len(), 1);
    let metrics = run["results"][0]["metrics"].as_array().unwrap();
    let metric = metrics.iter().find(|metric| metric["name"] == "response_ns_p99").unwrap();
    for field in ["value", "lower", "upper", "unit"] {
        assert_eq!(points[0][field], metric[field], "{field}");
    }
    assert_eq!(points[0]["run_id"], run["run_id"]);
    assert!(place.says("query --metric response_ns_p99").contains("95 % interval"));
    assert!(place.says("query --metric response_ns_p99 --scenario x").starts_with("no entry matches"));
}

#[test]
fn pins_decide_what_pruning_removes() {
    let place = Place::recorded();
    assert_eq!(place.says("prune"), "0 entries and 0 trials of `tune` removed\n");
    assert_eq!(
        place.says("prune --older-than 0s --dry-run"),
        "1 entry and 0 trials of `tune` would be removed\n"
    );
    assert_eq!(place.says("pin 2"), "entry 2 is kept until it is unpinned\n");
    assert_eq!(place.says("prune --older-than 0s"), "0 entries and 0 trials of `tune` removed\n");
    assert_eq!(place.says("unpin 1 --keep-for 30d"), "entry 1 expires in 30days\n");
    let expires = place.json("show 1 --format json")["expires_unix_ms"].as_i64().unwrap();
    assert!(before(expires, std::time::Duration::from_secs(29 * 24 * 60 * 60)) > now_unix_ms());
    assert_eq!(place.says("prune --older-than 0s"), "1 entry and 0 trials of `tune` removed\n");
    let left = place.json("list --format json");
    assert_eq!((left.as_array().unwrap().len(), &left[0]["id"]), (1, &2.into()));
}

#[test]
fn exports_are_complete_and_go_to_a_file_whole() {
    let place = Place::recorded();
    let run = stored();
    let entries = place.json("export");
    let results: Vec<_> = entries.as_array().unwrap().iter().map(|entry| entry["result"].clone()).collect();
    assert!(serde_json::Value::from(results) == run["results"]);
    assert_eq!(place.json("export --protocol openraft").as_array().unwrap().len(), 1);

    std::fs::write(place.path().join("history.csv"), "old").unwrap();
    assert_eq!(place.says("export --format csv --output history.csv"), "");
    let csv = std::fs::read_to_string(place.path().join("history.csv")).unwrap();
    assert_eq!(csv, place.says("export --to csv"));
    assert!(csv.starts_with("id,recorded,namespace,key,scenario,protocol,run_id,commit,"), "{csv}");
    let metrics: usize =
        (0..2).map(|result| run["results"][result]["metrics"].as_array().unwrap().len()).sum();
    assert_eq!(csv.lines().count(), 1 + metrics);
    assert_eq!(place.says("export --format csv --namespace nightly").lines().count(), 1);
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let place = Place::new();
    for command in ["list", "show", "query", "prune", "pin", "unpin", "export"] {
        let help = place.says(&format!("{command} --help"));
        assert!(help.contains(&format!("Example: cargo consensus-bench history {command}")), "{help}");
    }
}
