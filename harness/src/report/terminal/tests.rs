//! The summary as a reader meets it.

use super::*;
use crate::report::samples;
use crate::results::Outcome;
use crate::scenario::StorageConfig;

#[test]
fn the_summary_is_eighty_columns_and_says_the_same_without_colours() {
    let material = samples::material();
    let plain = summary(&material, false);
    assert!(plain.lines().all(|line| line.chars().count() <= COLUMNS), "{plain}");
    assert!(!plain.contains('\u{1b}'));
    let coloured = summary(&material, true);
    let codes = regex::Regex::new("\u{1b}\\[[0-9]+m").unwrap();
    assert!(codes.is_match(&coloured));
    assert_eq!(codes.replace_all(&coloured, ""), plain);
    insta::assert_snapshot!(plain);
}

#[test]
fn nothing_is_well_while_something_failed() {
    let mut material = samples::material();
    let run = &mut material.runs[0];
    run.results.retain(|result| result.scenario.name == "latency");
    run.results.iter_mut().for_each(|result| result.disturbed.clear());
    let well = "✓ all targets that were measured are met";
    let tell =
        |material: &Material| summary(material, false).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(tell(&material).contains(well), "{}", tell(&material));
    let mut failed = material.clone();
    failed.runs[0].results[1].outcome = Outcome::Failed { reason: "no cluster".into() };
    let mut ended = material.clone();
    ended.runs[0].complete = false;
    let mut interrupted = material.clone();
    interrupted.runs[0].results[1].outcome = Outcome::Interrupted;
    for (material, expected) in [
        (failed, "✗ openraft failed: latency: no cluster"),
        (ended, "did not come to its end"),
        (interrupted, "† 1 of the results were interrupted"),
    ] {
        let told = tell(&material);
        assert!(told.contains(expected) && !told.contains(well), "{told}");
    }
}

#[test]
fn two_rows_of_one_protocol_are_told_apart() {
    let mut material = samples::material();
    let mut durable = material.runs[0].results.iter().find(|one| one.protocol == "raft-rs").unwrap().clone();
    durable.scenario.storage = StorageConfig::Wal;
    material.runs[0].results.retain(|one| one.scenario.name == durable.scenario.name);
    material.runs[0].results.push(durable);
    let told = summary(&material, false);
    assert!(told.contains("[channel, memory]") && told.contains("[channel, wal]"), "{told}");
    assert!(told.lines().all(|line| line.chars().count() <= COLUMNS), "{told}");
}

#[test]
fn a_sparkline_shows_an_outage() {
    let mut commits = vec![40; 100];
    commits[30..60].fill(0);
    assert_eq!(sparkline(&commits, 10), "███   ████");
    assert_eq!(sparkline(&[0, 10, 80, 10, 10], 9), " ▅█▅▅", "a burst does not flatten the rest");
    assert_eq!((sparkline(&[], 9), sparkline(&[0, 0], 9)), (String::new(), "  ".into()));
}

#[test]
fn long_words_are_cut_and_lines_are_wrapped() {
    let lines = wrapped(&format!("{} {}", "word ".repeat(40), "x".repeat(200)), 2);
    assert!(lines.len() > 2 && lines.iter().all(|line| line.chars().count() <= COLUMNS), "{lines:?}");
}
