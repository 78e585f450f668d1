//! Reports as a user meets them: where they are, what they say, and what wrong words lead to.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SCENARIOS: &str = r#"
[[scenario]]
name = "counted"
[scenario.measure]
kind = "exact"
replicas = [3, 5]
clients = [1]
warm_up_commits = 5
commits = 10
"#;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        std::fs::write(place.0.path().join("scenarios.toml"), SCENARIOS).unwrap();
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_consensus-bench"))
            .args(arguments.split_whitespace())
            .current_dir(self.path())
            .env("CONSENSUS_BENCH_HOME", self.path().join("home"))
            .output()
            .unwrap()
    }

    fn measured(&self, format: &str) -> String {
        let ran = self.run(&format!(
            "run --file scenarios.toml --protocol raft-rs,omnipaxos --quiet --no-history --format {format}"
        ));
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn page_of(output: &str) -> PathBuf {
    PathBuf::from(output.lines().last().unwrap().strip_prefix("report: ").unwrap())
}

#[test]
fn a_run_ends_with_its_page_and_the_page_can_be_made_again() {
    let place = Place::new();
    let output = place.measured("text");
    let page = page_of(&output);
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.contains("What does a commit cost?") && text.contains("omnipaxos"));
    assert!(output.contains("Summary\n") && output.contains("Try next: "), "{output}");

    std::fs::remove_file(&page).unwrap();
    assert_eq!(page_of(&told(&place.run("report"))), page);
    assert!(page.is_file());
    let elsewhere = place.run("report latest --output here.html --data numbers");
    assert_eq!(page_of(&told(&elsewhere)), Path::new("here.html"));
    let tables: Vec<_> = std::fs::read_dir(place.path().join("numbers")).unwrap().collect();
    assert!(tables.len() > 2 && tables.len() % 2 == 0, "a CSV and a JSON for each chart");

    let text = told(&place.run("report --format text"));
    assert!(text.starts_with("Summary") && !text.contains('\u{1b}'), "{text}");
    let cards: serde_json::Value = serde_json::from_slice(&place.run("report --format json").stdout).unwrap();
    assert_eq!(cards[0]["id"], "cost");
    let metrics = told(&place.run("report --format openmetrics"));
    assert!(metrics.starts_with("# TYPE consensus_bench_") && metrics.ends_with("\n# EOF\n"), "{metrics}");
}

#[test]
fn what_a_program_reads_stands_alone() {
    let place = Place::new();
    place.measured("text");
    let ran = place.run("report --format json --data numbers");
    assert!(serde_json::from_slice::<serde_json::Value>(&ran.stdout).is_ok(), "{}", told(&ran));
    assert!(String::from_utf8_lossy(&ran.stderr).starts_with("data of "));
    assert!(place.run("report --format text --output a.txt").stdout.is_empty());
}

#[test]
fn a_page_goes_where_its_run_is_and_over_no_other() {
    let place = Place::new();
    let [first, second] = [page_of(&place.measured("text")), page_of(&place.measured("text"))];
    let (before, mine) = (std::fs::read(&second).unwrap(), place.path().join("report.html"));
    std::fs::write(&mine, "mine").unwrap();
    let elsewhere = place.path().join("copied");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::copy(first.with_file_name("results.json"), elsewhere.join("results.json")).unwrap();
    assert_eq!(page_of(&told(&place.run("report copied"))), Path::new("copied/report.html"));
    let [a, b] = [&first, &second].map(|page| page.parent().unwrap().display().to_string());
    let together = page_of(&told(&place.run(&format!("report {a} {b} --together"))));
    assert_eq!(together, place.path().join("home/together.html"));
    assert_eq!((std::fs::read(&second).unwrap(), std::fs::read(&mine).unwrap()), (before, b"mine".to_vec()));

    place.run(&format!("report {a} {b} --data numbers"));
    for side in ["A", "B"] {
        assert!(std::fs::read_dir(place.path().join("numbers").join(side)).unwrap().count() > 1);
    }
}

#[test]
fn json_on_standard_output_stands_alone() {
    let place = Place::new();
    let results: serde_json::Value = serde_json::from_str(&place.measured("json")).unwrap();
    let page = place.path().join("home").join(results["run_id"].as_str().unwrap()).join("report.html");
    assert!(page.is_file(), "the page is written all the same");
}

#[test]
fn two_runs_are_compared_and_several_can_be_one() {
    let place = Place::new();
    let folders = [page_of(&place.measured("text")), page_of(&place.measured("text"))];
    let [a, b] = folders.each_ref().map(|page| page.parent().unwrap().display().to_string());
    let page = page_of(&told(&place.run(&format!("report {a} {b}"))));
    assert!(page.ends_with("compare.html"));
    let text = std::fs::read_to_string(page).unwrap();
    assert!(text.contains("A against B") && text.contains("Every count is what it was."));
    let together = place.run(&format!("report {a} {b} {a} --together --output one.html"));
    assert_eq!(page_of(&told(&together)), Path::new("one.html"));
}

#[test]
fn wrong_words_are_one_line_and_exit_with_two() {
    let place = Place::new();
    place.measured("text");
    for wrong in [
        "report nonsense",
        "report latest nonsense",
        "report latest latest latest",
        "report latest latest --format text",
        "report --output ..",
        "report --format pictures",
    ] {
        let ran = place.run(wrong);
        let error = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(2), "{wrong}: {error}");
        assert!(error.starts_with("error: ") && ran.stdout.is_empty(), "{wrong}: {error}");
        if !wrong.contains("pictures") {
            assert_eq!(error.lines().count(), 1, "{wrong}: {error}");
        }
    }
}
