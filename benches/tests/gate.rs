//! The gate as a pull request meets it: verdicts, exit codes, one-line errors, and what is left behind.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

/// One scenario, one schedule and no real runs: the gate in seconds.
const BRIEF_POLICY: &str = r#"
[safety]
schedules = 2
[exact]
scenarios = ["cost"]
seeded_scenarios = []
[instructions]
effect = "ignore"
[targets]
effect = "ignore"
"#;

/// A repository with a workspace, the committed counts of one protocol, and a brief policy.
struct Repository(tempfile::TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Repository(tempfile::tempdir().unwrap());
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for folder in ["baselines", "ci"] {
            std::fs::create_dir(repository.path().join(folder)).unwrap();
        }
        repository.write("Cargo.toml", "[workspace]\n");
        repository.write(".gitignore", "target\n");
        repository.write("ci/policy.toml", BRIEF_POLICY);
        let counts = std::fs::read_to_string(workspace.join("baselines/exact.json")).unwrap();
        repository.write("baselines/exact.json", &counts_of_one_row(&counts, "cost/raft-rs"));
        for arguments in [
            &["init", "--quiet", "--initial-branch", "main"][..],
            &["config", "user.name", "a"],
            &["config", "user.email", "a@example.org"],
        ] {
            repository.git(arguments);
        }
        repository.commit();
        repository
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path().join(file), text).unwrap();
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path().join(file)).unwrap()
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git").current_dir(self.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "x"]);
    }

    fn run(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_consensus-bench"))
            .args(arguments.split_whitespace())
            .current_dir(self.path())
            .env("CONSENSUS_BENCH_HOME", self.path().join("target/home"))
            .env_remove("CARGO_MANIFEST_DIR")
            .output()
            .unwrap()
    }

    fn gate(&self, arguments: &str) -> (Option<i32>, String) {
        let output = self.run(&format!("gate --protocol raft-rs {arguments}"));
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn counts_of_one_row(counts: &str, row: &str) -> String {
    let mut counts: serde_json::Value = serde_json::from_str(counts).unwrap();
    counts["rows"].as_object_mut().unwrap().retain(|name, _| name == row);
    serde_json::to_string_pretty(&counts).unwrap()
}

#[test]
fn what_is_as_committed_passes_and_what_is_not_does_not() {
    let repository = Repository::new();
    let (code, told) = repository.gate("--tier safety,exact");
    assert_eq!(code, Some(0), "{told}");
    assert!(told.starts_with("pass"), "{told}");

    // One message less is committed than is sent.
    let committed = repository.read("baselines/exact.json");
    let metric = "\"lan_replicas_3_clients_1_messages_per_commit\": 8";
    assert!(committed.contains(metric));
    repository.write("baselines/exact.json", &committed.replace(metric, &metric.replace('8', "7")));
    let (code, told) =
        repository.gate("--tier exact --write junit=target/gate.xml --write markdown=target/gate.md");
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("messages_per_commit"), "{told}");
    assert!(repository.read("target/gate.xml").contains("<failure"));
    assert!(repository.read("target/gate.md").starts_with("<!-- consensus-bench gate -->"));

    // One message more: better now, and the committed count would hide the next change.
    repository.write("baselines/exact.json", &committed.replace(metric, &metric.replace('8', "9")));
    assert_eq!(repository.gate("--tier exact").0, Some(5));
    let output = repository.run("baseline exact --protocol raft-rs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let again: serde_json::Value = serde_json::from_str(&repository.read("baselines/exact.json")).unwrap();
    assert_eq!(again, serde_json::from_str::<serde_json::Value>(&committed).unwrap());
}

#[test]
fn a_change_that_the_committed_counts_declare_is_told_and_passes() {
    let repository = Repository::new();
    let now = repository.read("baselines/exact.json");
    let metric = "\"lan_replicas_3_clients_1_messages_per_commit\": 8";
    repository.write("baselines/exact.json", &now.replace(metric, &metric.replace('8', "7")));
    repository.commit();
    repository.write("baselines/exact.json", &now);
    repository.commit();
    let (code, told) = repository.gate("--tier exact --base HEAD~1");
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("declared"), "{told}");
}

#[test]
fn what_the_base_branch_gained_is_not_held_against_a_change() {
    let repository = Repository::new();
    let now = repository.read("baselines/exact.json");
    let metric = "\"lan_replicas_3_clients_1_messages_per_commit\": 8";
    repository.git(&["branch", "change"]);
    repository.write("baselines/exact.json", &now.replace(metric, &metric.replace('8', "7")));
    repository.commit();
    repository.git(&["checkout", "--quiet", "change"]);
    repository.write("README.md", "a change");
    repository.commit();
    let (code, told) = repository.gate("--tier exact --base main");
    assert_eq!(code, Some(0), "{told}");
    assert!(
        !told.contains("declared") && told.contains("`main` has gone on since this change left it"),
        "{told}"
    );
}

#[test]
fn a_tier_that_fails_takes_nothing_from_what_others_found() {
    let repository = Repository::new();
    let committed = repository.read("baselines/exact.json");
    let metric = "\"lan_replicas_3_clients_1_messages_per_commit\": 8";
    repository.write("baselines/exact.json", &committed.replace(metric, &metric.replace('8', "7")));
    repository.commit();
    // Nothing here builds.
    let (code, told) = repository.gate(
        "--tier exact,paired --base HEAD --write markdown=target/gate.md --write json=target/gate.json",
    );
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("messages_per_commit") && told.contains("base HEAD does not build"), "{told}");
    assert!(repository.read("target/gate.md").contains("does not build"));
    repository.write("baselines/exact.json", &committed);
    repository.commit();
    let (code, told) = repository.gate("--tier exact,paired --base HEAD");
    assert_eq!(code, Some(5), "{told}");
}

#[test]
fn what_can_not_be_judged_is_told_on_one_line_with_its_exit_code() {
    let repository = Repository::new();
    let committed = repository.read("baselines/exact.json");
    let told_of = |arguments: &str| {
        let (code, told) = repository.gate(arguments);
        assert_eq!(told.trim_end().lines().count(), 1, "{told}");
        (code.unwrap(), told)
    };
    let expect = |arguments: &str, code: i32, words: &str| {
        let (found, told) = told_of(arguments);
        assert!(found == code && told.contains(words), "{arguments}: {found}: {told}");
    };
    expect("--base no-such-commit", 2, "no commit `no-such-commit` here");
    expect("--base=--all", 2, "no commit");
    expect("--policy nowhere.toml", 2, "policy nowhere.toml: ");
    expect("--tier exact --protocol zab,raft-rs", 2, "no protocol `zab`");
    repository.write("other.toml", "[[rule]]\ntier = \"exact\"\nmetric = \"mesages*\"\neffect = \"warn\"");
    expect("--tier exact --policy other.toml", 2, "rule 1: nothing in tier exact is called `mesages*`");
    repository.write("other.toml", "[exact]\nscenarios = [\"costs\"]");
    expect("--tier exact --policy other.toml", 2, "no scenario `costs`");
    repository.write("other.toml", "[[rule]]\nprotocol = \"no-such\"\neffect = \"warn\"");
    expect("--tier exact --policy other.toml", 2, "rule 1: no protocol is called `no-such`");
    expect("--tier paired", 5, "paired: there is no base: give one with `--base`");
    repository.write("baselines/exact.json", "{}");
    expect("--tier paired --base HEAD", 2, "the working tree has changes");
    for (broken, code, words) in [
        (&committed[..committed.len() / 2], 5, "exact.json: cut off"),
        ("{\"schema_version\": 1, \"rows\": 3}", 5, "exact.json: no exact counts"),
        ("{\"schema_version\": 9}", 5, "written by a later version (schema 9"),
        ("nonsense", 5, "exact.json: not JSON"),
    ] {
        repository.write("baselines/exact.json", broken);
        expect("--tier exact", code, words);
        assert_eq!(repository.read("baselines/exact.json"), broken, "a baseline was touched");
    }
    std::fs::remove_file(repository.path().join("baselines/exact.json")).unwrap();
    expect("--tier exact", 5, "exact.json: there is no such file");
}

#[test]
fn targets_are_held_by_those_of_the_policys_protocols_that_were_asked_for() {
    let repository = Repository::new();
    let policy = "[targets]\nscenarios = [\"low_load\"]\nprotocols = [\"raft-rs\", \"openraft\"]\n\
                  [[rule]]\ntier = \"targets\"\nmetric = \"success_ratio\"\nat_least = 0.1\n";
    repository.write("targets.toml", policy);
    let (code, told) = repository.gate("--tier targets --policy targets.toml --format json");
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("low_load/raft-rs") && !told.contains("low_load/openraft"), "{told}");
    repository.write("targets.toml", &policy.replace("\"raft-rs\", ", ""));
    let (code, told) = repository.gate("--tier targets --policy targets.toml");
    assert!(code == Some(0) && told.contains("none of openraft was asked for"), "{told}");
    repository.write("targets.toml", &policy.replace("openraft", "zab"));
    let (code, told) = repository.gate("--tier safety,targets --policy targets.toml");
    assert!(code == Some(2) && told.contains("targets.toml: [targets]: no protocol `zab`"), "{told}");
}

#[test]
fn a_base_that_does_not_build_is_no_pass_and_leaves_no_worktree() {
    let repository = Repository::new();
    let (code, told) = repository.gate("--tier paired --base HEAD");
    assert_eq!(code, Some(5), "{told}");
    assert!(told.starts_with("error: base HEAD does not build:"), "{told}");
    assert_eq!(repository.git(&["worktree", "list"]).lines().count(), 1);
    assert!(!repository.path().join("target/home/gate/base").exists());
}

#[test]
fn programs_are_measured_against_each_other_and_nothing_blocks_where_noise_is_not_known() {
    let repository = Repository::new();
    repository.write(
        "ci/policy.toml",
        "[paired]\nblock_ms = 60\nscreen_pairs = 5\nconfirm_pairs = 10\ntolerance = 1.0\n",
    );
    let program = env!("CARGO_BIN_EXE_consensus-bench");
    let output = repository.run(&format!("pair {program} {program} --protocol raft-rs --format json"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["tiers"][0]["findings"].as_array().unwrap();
    let cpu = &findings[0];
    assert_eq!((&cpu["row"], &cpu["metric"]), (&"commit/raft-rs".into(), &"cpu_ns_per_commit".into()));
    // Nothing was promoted on this machine, so nothing may block.
    assert!(findings.iter().all(|finding| finding["effect"] == "warn"), "{findings:?}");
    assert!(cpu["base"].as_f64().unwrap() > 0.0 && cpu["shift"]["pairs"].as_u64().unwrap() >= 5);
    // Twice the CPU time is put up with here: noise that makes even that of a program and itself is no noise.
    assert_eq!(cpu["verdict"], "passed", "{cpu}");
    assert_eq!(report["tiers"][0]["control"]["alarms"], serde_json::json!([]));
    assert!(report["tiers"][0]["control"]["judged"].as_u64().unwrap() >= 1);

    let nothing = repository.run(&format!("pair /bin/false {program} --protocol raft-rs"));
    assert_eq!(nothing.status.code(), Some(5), "{}", text(&nothing.stderr));
    assert!(text(&nothing.stderr).starts_with("error: base: its binary measures no such block"));
    assert_eq!(repository.run(&format!("pair /nowhere {program}")).status.code(), Some(1));
}
