//! The command line as a user meets it: exit codes, one-line errors, files left behind.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const SCENARIOS: &str = r#"
[[scenario]]
name = "brief"

[[scenario.phase]]
kind = "steady"
duration_s = 0.3
rate_per_s = 500

[[scenario]]
name = "long"

[[scenario.phase]]
kind = "steady"
duration_s = 600
rate_per_s = 100
"#;

const VIRTUAL_FAULTS: &str = r#"[[scenario]]
name = "faults"
storage = "wal"
[scenario.measure]
kind = "virtual_fault_tolerance"
topology = "lan"
[[scenario.measure.fault]]
kind = "crash"
target = "majority"
"#;

/// Files that hold it with one fault of their own.
const VIRTUAL_FAULTS_BUT: [(&str, &str, &str); 7] = [
    ("crowded.toml", "\"lan\"", "\"pair.toml\""),
    ("nowhere.toml", "\"lan\"", "\"mars\""),
    ("stranger.toml", "\"majority\"", "\"replica 7\""),
    ("lonely.toml", "storage", "replicas = 1\nstorage"),
    ("forgetful.toml", "\"wal\"", "\"memory\""),
    ("again.toml", "\"majority\"", "\"majority\"\ncycles = 3"),
    ("wired.toml", "storage", "network = { delay_ms = 2 }\nstorage"),
];

/// A load in virtual time whose work costs something.
const DETUNED: &str = r#"
[[scenario]]
name = "detuned"

[scenario.measure]
kind = "exact"
topologies = ["lan"]
replicas = [4]
clients = [64]
warm_up_commits = 200
commits = 1000
recovery = false
costs = { wake_up_ns = 1500, message_ns = 500, request_ns = 400, delivery_ns = 100, mac_ns = 100 }
cores = 1
"#;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        std::fs::write(place.path().join("scenarios.toml"), SCENARIOS).unwrap();
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consensus-bench"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.path())
            .env("CONSENSUS_BENCH_HOME", self.path().join("home"));
        command
    }

    fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The one result file of the only run.
    fn results(&self) -> serde_json::Value {
        let runs = std::fs::read_dir(self.path().join("home")).unwrap();
        let files: Vec<_> =
            runs.map(|run| run.unwrap().path().join("results.json")).filter(|path| path.exists()).collect();
        assert_eq!(files.len(), 1);
        serde_json::from_slice(&std::fs::read(&files[0]).unwrap()).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn bad_input_gets_one_line_and_its_exit_code() {
    let place = Place::new();
    std::fs::write(place.path().join("bad.toml"), SCENARIOS.replace("rate_per_s = 500", "rate_per_s = -5"))
        .unwrap();
    std::fs::write(
        place.path().join("large.toml"),
        SCENARIOS.replacen("name =", "payload_bytes = 5000\nname =", 1),
    )
    .unwrap();
    std::fs::write(
        place.path().join("pair.toml"),
        "name = \"pair\"\nregions = [\"a\"]\none_way_ms = [[1]]\nplacement = [\"a\", \"a\"]\n",
    )
    .unwrap();
    std::fs::write(
        place.path().join("small.toml"),
        "[[scenario]]\nname = \"small\"\nmeasure = { kind = \"exact\", topologies = [\"pair.toml\"], replicas = [3] }\n",
    )
    .unwrap();
    for (file, from, to) in VIRTUAL_FAULTS_BUT {
        assert!(VIRTUAL_FAULTS.contains(from));
        std::fs::write(place.path().join(file), VIRTUAL_FAULTS.replace(from, to)).unwrap();
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (arguments, code, expected) in [
        (
            "run --protocol zab",
            2,
            "no protocol `zab`; there are: raft-rs, openraft, omnipaxos, pbft, pbft-signed, tendermint-mac, tendermint, plumtree, swim, abd, dynamo",
        ),
        ("run --scenario medium", 2, "no scenario `medium`; there are: low_load, high_load, stress"),
        ("run --profile slow", 2, "no profile `slow`; there are: quick, full"),
        ("run --baseline old", 5, "no baseline `old`"),
        ("run --save a/b", 2, "`a/b` is no name for a baseline"),
        ("run --file missing.toml", 2, "missing.toml: No such file"),
        (
            "run --file bad.toml",
            2,
            "bad.toml: scenario `brief`: phase 1 (steady): rate_per_s = -5 is outside",
        ),
        ("run --replicas 0", 2, "replicas = 0 is outside 1 to 1000"),
        ("run --protocol pbft --replicas 5", 2, "with n = 3f + 1; nearest to it: 4 and 7"),
        ("run --protocol tendermint --replicas 3", 2, "with n ≥ 3f + 1 for f liars; nearest to it: 4"),
        ("run --replicas 900", 2, "raft-rs can't run 900 replicas: it takes 1 to 101"),
        ("run --delay-ms -1", 2, "network.delay_ms = -1 is outside 0 to 60000"),
        ("run --set batch=3", 2, "has no setting `batch`; it has: "),
        ("run --protocol raft-rs --set max_inflight_messages=0", 2, "is outside 1 to 65536"),
        ("run --set max_inflight_messages", 2, "is not NAME=VALUE"),
        ("run --keep-for soon", 2, "`--keep-for soon` is no age"),
        ("run --namespace a/b", 2, "a/b"),
        (
            "run --scenario fault_tolerance --storage memory",
            2,
            "fault 1 (crash_leader): kind = crash is outside",
        ),
        (
            "run --scenario cost --network tcp",
            2,
            "scenario `cost`: network = a setting of its own is outside no network",
        ),
        (
            "run --file large.toml --protocol plumtree",
            2,
            "scenario `brief`: payload_bytes: plumtree can't carry payloads of 5000 bytes: its library takes at \
             most 4016",
        ),
        (
            "run --file small.toml",
            2,
            "measure.topologies: topology `pair`: placement has 2 regions for 3 replicas",
        ),
        (
            "run --file crowded.toml",
            2,
            "crowded.toml: scenario `faults`: measure.topology: topology `pair`: placement has 2 regions for 3",
        ),
        (
            "run --file nowhere.toml",
            2,
            "nowhere.toml: scenario `faults`: measure.topology: no topology `mars`; there are: lan, metro",
        ),
        (
            "run --file stranger.toml",
            2,
            "stranger.toml: line 4 (`[scenario.measure]`): fault.target: unknown",
        ),
        (
            "run --file lonely.toml",
            2,
            "lonely.toml: scenario `faults`: fault 1 (crash_majority): replicas = 1 is outside 3 to 1000",
        ),
        (
            "run --file forgetful.toml",
            2,
            "forgetful.toml: scenario `faults`: fault 1 (crash_majority): kind = crash is outside",
        ),
        (
            "run --file again.toml",
            2,
            "again.toml: scenario `faults`: fault 1 (crash_majority): cycles = 3 is outside none: each seed",
        ),
        (
            "run --file wired.toml",
            2,
            "wired.toml: scenario `faults`: network = a setting of its own is outside",
        ),
        ("run --scenario virtual_scalability --replicas 900", 2, "can't run 900 replicas"),
        ("compare latest exact", 2, "the committed counts come first: `compare exact latest`"),
        ("compare exact latest", 5, "no run with readable results"),
        ("recommend", 2, "no run with readable results"),
        ("recommend nowhere", 2, "`nowhere` is no results file"),
        ("explain everything", 2, "no rule `everything`; there are: allocation-heavy, batch-too-small"),
        ("run --save exact", 2, "`exact` is no name for a baseline"),
        ("explore --replicas 300 --protocol raft-rs", 2, "can't run 300 replicas"),
        ("explore --liars 1 --protocol raft-rs", 2, "raft-rs of 3 replicas survives 0 that lie"),
        ("compare latest latest", 5, "no run with readable results"),
        ("compare old new", 5, "`old` is no results file, run's folder, baseline or run"),
        ("baseline show old", 5, "no baseline `old`"),
        ("baseline promote old", 5, "no baseline `old`"),
    ] {
        let output = place.run(arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {error}");
        assert!(error.contains(expected), "{arguments}: {error}");
        assert_eq!(error.lines().count(), 1, "{arguments}: {error}");
    }
    let output = place.run(&format!(
        "run -q --file scenarios.toml --scenario brief --protocol raft-rs --network tcp --base-port {port}"
    ));
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains(&format!("network 127.0.0.1:{port}: Address already in use")), "{error}");
}

#[test]
fn a_run_is_saved_compared_and_listed() {
    let place = Place::new();
    let brief = "run -q --file scenarios.toml --scenario brief --protocol raft-rs,openraft";
    let first = place.run(&format!("{brief} --save before"));
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    let table = text(&first.stdout);
    assert!(
        table.contains("raft-rs [channel, memory]") && table.contains("openraft [channel, memory]"),
        "{table}"
    );
    assert!(table.contains("baseline `before`: 2 rows saved"), "{table}");
    assert_eq!(place.results()["complete"], true);
    let second = place.run(&format!("{brief} --baseline before"));
    assert_eq!(second.status.code(), Some(0), "{}", text(&second.stderr));
    assert!(text(&second.stdout).contains("throughput_per_s"), "{}", text(&second.stdout));
    let compared = place.run("compare before latest --format json");
    let comparison: serde_json::Value = serde_json::from_slice(&compared.stdout).unwrap();
    assert_eq!(comparison["rows"].as_array().unwrap().len(), 2);
    let apart = place.run("run -q --file scenarios.toml --scenario brief --protocol pbft --baseline before");
    assert_eq!(apart.status.code(), Some(5), "nothing was compared: {}", text(&apart.stdout));
    assert!(text(&apart.stderr).contains("baseline `before`: it has no row"), "{}", text(&apart.stderr));
    assert!(text(&place.run("baseline list").stdout).starts_with("before (local, 2 rows)"));
    assert!(text(&place.run("baseline show before").stdout).contains("brief"));
    assert_eq!(place.run("baseline rm before").status.code(), Some(0));
    assert_eq!(place.run("baseline show before").status.code(), Some(5));
}

#[test]
fn a_run_that_is_detuned_is_advised_on_and_the_advice_is_tried_and_kept() {
    let place = Place::new();
    std::fs::write(place.path().join("detuned.toml"), DETUNED).unwrap();
    let ran = place.run("run -q --file detuned.toml --protocol raft-rs,pbft --set largest_batch_commands=1");
    assert_eq!(ran.status.code(), Some(2), "raft-rs has no such setting");
    let ran = place.run("run -q --file detuned.toml --protocol pbft --set largest_batch_commands=1");
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    let line = "Try next: set largest_batch_commands from 1 to 1024 (pbft, detuned)";
    assert!(text(&ran.stdout).contains(line), "{}", text(&ran.stdout));
    // With a part of the run too, what was tried is kept.
    let advised = place.run("recommend --verify=1 --protocol pbft --format json");
    assert_eq!(advised.status.code(), Some(0), "{}", text(&advised.stderr));
    let advice: serde_json::Value = serde_json::from_slice(&advised.stdout).unwrap();
    let first = &advice["recommendations"][0];
    assert_eq!((&first["rule"], &first["status"]["status"]), (&"batch-too-small".into(), &"verified".into()));
    // What was tried is kept in the run's folder.
    let again = text(&place.run("recommend latest --protocol pbft").stdout);
    assert!(again.starts_with("1. pbft, detuned: set largest_batch_commands from 1 to 1024"), "{again}");
    assert!(again.contains("; verified: throughput_per_s"), "{again}");
    assert!(text(&place.run("recommend --format markdown").stdout).starts_with("| | protocol |"));
    // A trial that can't be run takes nothing with it, neither what was printed nor what was found before.
    let mut results = place.results();
    let mut nowhere = results["results"][0].clone();
    nowhere["scenario"]["name"] = "nowhere".into();
    nowhere["exact"]["cells"][0]["topology"] = "nowhere.toml".into();
    results["results"].as_array_mut().unwrap().push(nowhere);
    std::fs::create_dir(place.path().join("two")).unwrap();
    std::fs::write(place.path().join("two/results.json"), results.to_string()).unwrap();
    let both = place.run("recommend two --verify=2");
    assert_eq!(both.status.code(), Some(1), "{}", text(&both.stderr));
    assert!(text(&both.stderr).contains("nowhere.toml"), "{}", text(&both.stderr));
    let told = text(&both.stdout);
    assert!(told.contains("verified: ") && told.contains("2. pbft, nowhere: "), "{told}");
    assert!(text(&place.run("recommend two").stdout).contains("verified: "));
    let absent = place.run("recommend --protocol raft-rs");
    assert_eq!(absent.status.code(), Some(2));
    assert!(text(&absent.stderr).contains("has no results of protocol `raft-rs`"));
    let page = text(&place.run("explain batch-too-small").stdout);
    assert!(page.starts_with("# batch-too-small\n"), "{page}");
    assert!(text(&place.run("explain").stdout).contains("batch-too-small"));
    let healthy = place.run("run -q --file detuned.toml --protocol pbft");
    assert!(text(&healthy.stdout).contains("Try next: nothing"), "{}", text(&healthy.stdout));
    let nothing = text(&place.run("recommend --verify latest").stdout);
    assert!(nothing.starts_with("nothing to recommend: "), "{nothing}");
}

#[test]
fn a_run_is_exported_for_other_tools() {
    let place = Place::new();
    let run = place.run("run -q --file scenarios.toml --scenario brief --protocol raft-rs");
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(place.path().join(name)).unwrap()).unwrap()
    };
    for format in ["bencher", "action-benchmark", "critcmp"] {
        let output = place.run(&format!("export latest --format {format} --output {format}.json"));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    let own = place.results();
    let metric = own["results"][0]["metrics"].as_array().unwrap().iter();
    let median = metric.clone().find(|metric| metric["name"] == "response_ns_p50").unwrap();
    assert_eq!(read("bencher.json")["brief/raft-rs"]["response_ns_p50"]["value"], median["value"]);
    let better = |way: &str| metric.clone().filter(|metric| metric["better"] == way).count();
    assert_eq!(read("action-benchmark.smaller.json").as_array().unwrap().len(), better("lower"));
    assert_eq!(read("action-benchmark.bigger.json").as_array().unwrap().len(), better("higher"));
    let estimates = &read("critcmp.json")["benchmarks"]["brief/raft-rs/response_ns_p50"];
    assert_eq!(estimates["criterion_estimates_v1"]["mean"]["point_estimate"], median["value"]);

    for (arguments, code, expected) in [
        ("export nothing --format bencher --output x.json", 5, "`nothing` is no results file"),
        ("export latest --format bencher --output ..", 2, "--output .. names no file"),
        ("export latest --format bencher --output no/x.json", 1, "no/x.json: can't be written"),
    ] {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        let told = text(&output.stderr);
        assert!(told.starts_with(&format!("error: {expected}")) && told.lines().count() == 1, "{told}");
    }
}

#[test]
fn a_run_in_virtual_time_is_compared_with_the_committed_counts() {
    let place = Place::new();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    // Below a workspace, whose committed counts can be changed without harm.
    std::fs::write(place.path().join("Cargo.toml"), "[workspace]\n").unwrap();
    std::fs::create_dir(place.path().join("baselines")).unwrap();
    let committed = std::fs::read_to_string(workspace.join("baselines/exact.json")).unwrap();
    let commit = |text: &str| std::fs::write(place.path().join("baselines/exact.json"), text).unwrap();
    let compare = |arguments: &str| {
        place.command(&format!("compare exact latest {arguments}")).env_remove("CARGO_MANIFEST_DIR").output()
    };
    commit(&committed);
    let run = place.run("run -q --scenario cost --protocol raft-rs");
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let same = compare("").unwrap();
    assert_eq!(same.status.code(), Some(0), "{}", text(&same.stderr));
    assert!(text(&same.stdout).contains("no exact metric changed ("), "{}", text(&same.stdout));
    assert!(text(&same.stdout).contains("rows of cost, virtual_byzantine"), "{}", text(&same.stdout));

    let share = "\"lan_replicas_3_clients_1_rounds_per_commit\": 2.0";
    let (others, own) = committed.split_at(committed.find("\"cost/raft-rs\"").unwrap());
    assert!(own.contains(share));
    let changed = own.replacen(share, "\"lan_replicas_3_clients_1_rounds_per_commit\": 3.0", 1);
    commit(&format!("{others}{changed}"));
    let changed = compare("--format json").unwrap();
    assert_eq!(changed.status.code(), Some(0), "a comparison tells, and does not judge");
    let found: serde_json::Value = serde_json::from_slice(&changed.stdout).unwrap();
    assert_eq!(found["changed"].as_array().unwrap().len(), 1);
    assert_eq!((&found["changed"][0]["old"], &found["changed"][0]["new"]), (&3.0.into(), &2.0.into()));

    // Counts of another seed are a row of their own, which this scenario has none of.
    assert_eq!(place.run("run -q --scenario cost --protocol raft-rs --seed 2").status.code(), Some(0));
    let other = compare("").unwrap();
    assert_eq!(other.status.code(), Some(5));
    let told = text(&other.stdout);
    assert!(told.contains("not in the old one: cost/raft-rs/seed=2"), "{told}");

    std::fs::remove_file(place.path().join("baselines/exact.json")).unwrap();
    let missing = compare("").unwrap();
    assert_eq!(missing.status.code(), Some(5));
    assert!(text(&missing.stderr).contains("exact.json: there is no such file"), "{}", text(&missing.stderr));
}

#[test]
fn scenarios_that_differ_are_not_compared() {
    let place = Place::new();
    let brief = "run -q --file scenarios.toml --scenario brief --protocol raft-rs";
    place.run(&format!("{brief} --save three"));
    place.run(&format!("{brief} --replicas 5 --save five"));
    let output = place.run("compare three five");
    assert_eq!(output.status.code(), Some(5));
    assert!(text(&output.stdout).contains("replicas 3 ≠ 5"), "{}", text(&output.stdout));
}

#[test]
fn every_network_and_storage_runs() {
    let check = |arguments: &str| {
        let place = Place::new();
        let output = place.run(&format!("run -q --file scenarios.toml --scenario brief {arguments}"));
        assert_eq!(output.status.code(), Some(0), "{arguments}: {}", text(&output.stderr));
        let results = place.results();
        let wal = arguments.contains("wal");
        for result in results["results"].as_array().unwrap() {
            assert_eq!(result["fsync"].is_null(), !wal, "{arguments}");
            assert_eq!(result["safety"]["violations"].as_array().unwrap().len(), 0);
        }
    };
    // At the same time: they mostly wait.
    std::thread::scope(|scope| {
        for arguments in ["--network tcp", "--storage wal", "--network tcp --storage wal --delay-ms 5"] {
            let check = &check;
            scope.spawn(move || check(arguments));
        }
    });
}

#[test]
fn machines_read_json_and_the_history_remembers() {
    let place = Place::new();
    let output =
        place.run("run --file scenarios.toml --scenario brief --protocol raft-rs,openraft --format json -q --namespace nightly --pin");
    assert_eq!(text(&output.stderr), "");
    let results: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(results, place.results());
    let rankings = results["analysis"]["rankings"].as_array().unwrap();
    assert!(rankings.iter().any(|ranking| ranking["metric"] == "response_ns_p50"));
    let listed = place.run("history list --namespace nightly --format json");
    let entries: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let keys: Vec<&str> =
        entries.as_array().unwrap().iter().filter_map(|entry| entry["key"].as_str()).collect();
    assert_eq!(keys, ["brief/openraft/channel/memory", "brief/raft-rs/channel/memory"]);
    assert!(entries.as_array().unwrap().iter().all(|entry| entry["pinned"] == true));
    let forgotten =
        place.run("run --file scenarios.toml --scenario brief --protocol raft-rs -q --no-history");
    assert_eq!(forgotten.status.code(), Some(0));
    let listed = place.run("history list --format json");
    let entries: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(entries.as_array().unwrap().len(), 2);
}

#[test]
fn a_history_that_can_not_be_written_fails_the_run_and_loses_nothing_else() {
    let place = Place::new();
    let home = place.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("history.sqlite"), "this is no database, and long enough not to be a new one")
        .unwrap();
    let output = place.run("run -q --file scenarios.toml --scenario brief --protocol raft-rs");
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("FAILED history: ") && error.contains("history.sqlite"), "{error}");
    assert_eq!(place.results()["results"][0]["outcome"]["status"], "completed");
    let untouched = std::fs::read_to_string(home.join("history.sqlite")).unwrap();
    assert!(untouched.starts_with("this is no database"));
}

#[cfg(unix)]
#[test]
fn hooks_run_around_each_protocol_and_a_failing_one_stops_the_run() {
    let place = Place::new();
    let with_hooks = |pre: &str, post: &str| {
        let hooks = format!("name = \"brief\"\n[scenario.hooks]\npre = [{pre}]\npost = [{post}]\n");
        std::fs::write(place.path().join("hooked.toml"), SCENARIOS.replacen("name = \"brief\"\n", &hooks, 1))
            .unwrap();
        place.run("run -q --file hooked.toml --scenario brief --protocol raft-rs,openraft")
    };
    let output = with_hooks(
        "'test -d \"$CONSENSUS_BENCH_RUN_FOLDER\"'",
        "'echo $CONSENSUS_BENCH_PROTOCOL $CONSENSUS_BENCH_OUTCOME >> hooked', 'test -s \"$CONSENSUS_BENCH_RESULTS\"'",
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let hooked = std::fs::read_to_string(place.path().join("hooked")).unwrap();
    assert_eq!(hooked, "raft-rs completed\nopenraft completed\n");

    let output = with_hooks("'echo the disk is not mounted; exit 4'", "'touch never'");
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("FAILED brief/raft-rs: pre hook"), "{error}");
    assert!(error.contains("exit status: 4") && error.contains("    the disk is not mounted"), "{error}");
    assert!(!error.contains("openraft"), "nothing more runs: {error}");
    assert!(!place.path().join("never").exists());
}

#[cfg(unix)]
#[test]
fn an_interrupt_keeps_what_was_measured_and_says_so() {
    let place = Place::new();
    let mut child = place
        .command("run --file scenarios.toml --scenario long --protocol raft-rs")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.contains("long/raft-rs: running"), "{line}");
    let interrupted = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
    assert!(interrupted.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let results = place.results();
    assert_eq!(results["complete"], false);
    assert_eq!(results["results"][0]["outcome"]["status"], "interrupted");
}
