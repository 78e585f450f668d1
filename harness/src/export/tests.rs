//! Every format against what its reader takes: a schema, a structure, or the tool itself where it is
//! installed.

use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;

use super::installed::critcmp;
use super::*;
use crate::results::{Better, Class, Outcome};

/// As Bencher documents its format, and its limits on names.
const BENCHER_SCHEMA: &str = include_str!("bencher.schema.json");
/// As github-action-benchmark documents its two formats.
const ACTION_SCHEMA: &str = include_str!("action_benchmark.schema.json");

fn exported(recorded: &Recorded, format: ToolFormat) -> Export {
    export(recorded, format, Path::new("numbers.json")).unwrap()
}

/// All that a person may look at.
fn shown(export: &Export) -> String {
    let files = export.files.iter().map(|file| format!("{}\n{}", file.path.display(), file.text));
    let told = |what: &str, left: &Remark| format!("{what}: {}: {}", left.name, left.reason);
    files
        .chain(export.left_out.iter().map(|left| told("left out", left)))
        .chain(export.disturbed.iter().map(|row| told("disturbed", row)))
        .collect::<Vec<_>>()
        .join("\n")
}

fn errors(schema: &str, text: &str) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let instance: Value = serde_json::from_str(text).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator.iter_errors(&instance).map(|error| format!("{error} in {text}")).collect()
}

#[test]
fn bencher_gets_every_metric_with_its_interval() {
    let export = exported(&samples::recorded(), ToolFormat::Bencher);
    assert_eq!(errors(BENCHER_SCHEMA, &export.files[0].text), Vec::<String>::new());
    assert!(!errors(BENCHER_SCHEMA, r#"{"a": {"b": {"lower_value": 1}}}"#).is_empty());
    insta::assert_snapshot!(shown(&export));
}

#[test]
fn the_action_gets_a_file_for_either_direction() {
    let export = exported(&samples::recorded(), ToolFormat::ActionBenchmark);
    let paths: Vec<_> = export.files.iter().map(|file| file.path.display().to_string()).collect();
    assert_eq!(paths, ["numbers.smaller.json", "numbers.bigger.json"]);
    for file in &export.files {
        assert_eq!(errors(ACTION_SCHEMA, &file.text), Vec::<String>::new());
        let entries: Vec<Value> = serde_json::from_str(&file.text).unwrap();
        let mut names: Vec<_> = entries.iter().map(|entry| entry["name"].to_string()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), entries.len(), "the action finds a value again by its name");
    }
    assert!(!errors(ACTION_SCHEMA, "[]").is_empty());
    insta::assert_snapshot!(shown(&export));
}

#[test]
fn a_direction_without_metrics_has_no_file() {
    let mut recorded = samples::recorded();
    for result in &mut recorded.runs[0].results {
        result.metrics.retain(|metric| metric.better != Better::Higher);
    }
    let export = exported(&recorded, ToolFormat::ActionBenchmark);
    assert_eq!(export.files.len(), 1);
}

#[test]
fn critcmp_gets_times_and_throughputs() {
    insta::assert_snapshot!(shown(&exported(&samples::recorded(), ToolFormat::Critcmp)));
}

/// Lines of OpenMetrics text as its grammar has them: metadata, samples, and the end.
fn open_metrics_errors(text: &str) -> Vec<String> {
    let name = "[a-zA-Z_][a-zA-Z0-9_]*";
    let label = format!(r#"{name}="(?:[^"\\\n]|\\\\|\\"|\\n)*""#);
    let sample = regex::Regex::new(&format!(r"^({name})\{{{label}(?:,{label})*\}} [-+0-9.eE]+$")).unwrap();
    let metadata = regex::Regex::new(&format!(r"^# (TYPE|HELP) ({name}) .+$")).unwrap();
    let mut errors = Vec::new();
    let (mut family, mut ended) = (String::new(), Vec::new());
    let Some(body) = text.strip_suffix("# EOF\n") else { return vec!["no end".into()] };
    for line in body.split_terminator('\n') {
        if let Some(found) = metadata.captures(line) {
            if family != found[2] {
                ended.push(std::mem::replace(&mut family, found[2].to_string()));
            }
        } else if sample.captures(line).is_none_or(|found| found[1] != family) {
            errors.push(format!("no sample of {family}: {line}"));
        }
        if ended.contains(&family) {
            errors.push(format!("{family} is in two parts"));
        }
    }
    errors
}

#[test]
fn prometheus_gets_a_family_for_each_metric() {
    let export = exported(&samples::recorded(), ToolFormat::OpenMetrics);
    assert_eq!(open_metrics_errors(&export.files[0].text), Vec::<String>::new());
    for wrong in ["a 1\n# EOF\n", "# TYPE a gauge\na{b=\"c\"} 1\n", "# TYPE a gauge\nb{c=\"d\"} 1\n# EOF\n"] {
        assert!(!open_metrics_errors(wrong).is_empty(), "{wrong}");
    }
    insta::assert_snapshot!(shown(&export));
}

#[test]
fn critcmp_itself_compares_two_exports() {
    let folder = tempfile::tempdir().unwrap();
    let before = samples::recorded();
    let mut after = samples::recorded();
    after.name = "after".into();
    let slower = after.runs[0].results[0].metrics.iter_mut().find(|metric| metric.unit == "1/s").unwrap();
    for value in [Some(&mut slower.value), slower.lower.as_mut(), slower.upper.as_mut()].into_iter().flatten()
    {
        *value /= 2.0;
    }
    let mut paths = Vec::new();
    for recorded in [before, after] {
        let path = folder.path().join(format!("{}.json", recorded.name));
        let export = export(&recorded, ToolFormat::Critcmp, &path).unwrap();
        std::fs::write(&path, &export.files[0].text).unwrap();
        paths.push(path);
    }
    let arguments: Vec<&Path> = paths.iter().map(|path| path.as_path()).collect();
    let Some(table) = critcmp(&arguments, folder.path()) else { return };
    let line = table.lines().find(|line| line.starts_with("high_load/raft-rs/throughput_per_s")).unwrap();
    // 24,040 commits/s became half of it.
    for expected in ["2.00", "23.5 KElem/sec", "11.7 KElem/sec"] {
        assert!(line.contains(expected), "{table}");
    }
    assert!(table.lines().next().unwrap().contains("main"), "{table}");
}

#[test]
fn numbers_that_must_not_be_shown_are_not() {
    let mut recorded = samples::recorded();
    recorded.runs[0].results[0].outcome = Outcome::Unsafe;
    recorded.runs[0].results[1].metrics[0].value = f64::NAN;
    for format in ToolFormat::value_variants() {
        let export = exported(&recorded, *format);
        assert!(export.files.iter().all(|file| !file.text.contains("raft-rs")));
        let told: Vec<_> =
            export.left_out.iter().map(|left| (left.name.as_str(), left.reason.as_str())).collect();
        assert_eq!(told[0], ("high_load/raft-rs", "it violated safety"));
        assert_eq!(told[1].1, "it is no finite number");
    }
    recorded.runs[0].results[1].safety.checked = false;
    let error = export(&recorded, ToolFormat::Bencher, Path::new("x")).unwrap_err().to_string();
    assert_eq!(error, "nothing of `main` can be exported: high_load/raft-rs: it violated safety");
}

#[test]
fn rows_of_one_name_are_refused() {
    let mut recorded = samples::recorded();
    recorded.runs.push(recorded.runs[0].clone());
    let error = export(&recorded, ToolFormat::Bencher, Path::new("x")).unwrap_err().to_string();
    assert!(error.starts_with("`main` has high_load/raft-rs twice"), "{error}");
}

proptest! {
    #[test]
    fn no_text_breaks_a_file(
        [scenario, protocol, name, unit] in proptest::array::uniform4(any::<String>()),
        value in any::<f64>(),
        interval in proptest::option::of((any::<f64>(), any::<f64>())),
        better in prop::sample::select(vec![Better::Lower, Better::Higher]),
        class in prop::sample::select(vec![Class::Exact, Class::Wall]),
    ) {
        let mut recorded = samples::recorded();
        let result = &mut recorded.runs[0].results[0];
        result.scenario.name = scenario;
        result.protocol = protocol;
        let (lower, upper) = interval.unzip();
        let unit = if unit.len() % 2 == 0 { "ns".into() } else { unit };
        result.metrics[0] = Metric { name, unit, value, lower, upper, better, class, n: 3 };
        let exported = |format| exported(&recorded, format);
        let bencher = exported(ToolFormat::Bencher);
        prop_assert_eq!(errors(BENCHER_SCHEMA, &bencher.files[0].text), Vec::<String>::new());
        for file in exported(ToolFormat::ActionBenchmark).files {
            prop_assert_eq!(errors(ACTION_SCHEMA, &file.text), Vec::<String>::new());
        }
        let open_metrics = exported(ToolFormat::OpenMetrics);
        prop_assert_eq!(open_metrics_errors(&open_metrics.files[0].text), Vec::<String>::new());
        let critcmp: Value = serde_json::from_str(&exported(ToolFormat::Critcmp).files[0].text).unwrap();
        for (name, benchmark) in critcmp["benchmarks"].as_object().unwrap() {
            prop_assert_eq!(&benchmark["criterion_benchmark_v1"]["full_id"], name);
            for estimate in ["mean", "median", "median_abs_dev", "std_dev"] {
                let estimate = &benchmark["criterion_estimates_v1"][estimate];
                for number in ["point_estimate", "standard_error"] {
                    prop_assert!(estimate[number].is_number(), "{estimate}");
                }
                prop_assert!(estimate["confidence_interval"]["upper_bound"].is_number(), "{estimate}");
            }
        }
    }
}
