//! The summary as a reader meets it.

use super::*;
use crate::report::samples;

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
