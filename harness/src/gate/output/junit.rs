//! A report for CI systems, which know tests: a tier is a suite, a finding is a test case. Each suite has a
//! case for the tier itself, so that one in which nothing is to be told still shows that it ran.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::wording;
use crate::gate::report::{Finding, FindingVerdict, GateReport, TierReport, TierStatus};

/// What the cases of tiers belong to.
const GATE: &str = "consensus-bench gate";
/// The case of a finding about a row and none of its metrics.
const WHOLE_ROW: &str = "the row as a whole";
/// The case of the base against itself.
const CONTROL: &str = "base against itself";

pub(super) fn junit(report: &GateReport) -> Result<String, SerializeError> {
    let mut junit = Report::new(GATE);
    junit.set_time(report.tiers.iter().map(duration).fold(Duration::ZERO, Duration::saturating_add));
    for tier in &report.tiers {
        junit.add_test_suite(suite(report, tier));
    }
    junit.to_string()
}

fn suite(report: &GateReport, tier: &TierReport) -> TestSuite {
    let mut suite = TestSuite::new(format!("tier {}", wording::tier_name(tier.tier)));
    suite.set_time(duration(tier));
    suite.add_test_case(case_of_tier(tier));
    if let Some(control) = &tier.control {
        let status = match control.alarms.len() {
            0 => TestCaseStatus::success(),
            _ => with_message(TestCaseStatus::skipped(), &wording::control(control)),
        };
        suite.add_test_case(case(GATE, CONTROL, status, &wording::control(control)));
    }
    suite.add_test_cases(tier.findings.iter().map(|finding| case_of_finding(tier, finding)));
    let notes = tier.notes.iter().map(|note| wording::clean(note));
    let again = format!("To judge the same again: {}", wording::command(report));
    suite.set_system_out(notes.chain([again]).collect::<Vec<_>>().join("\n"));
    suite
}

/// What took no time that there is, took none.
fn duration(tier: &TierReport) -> Duration {
    Duration::try_from_secs_f64(tier.seconds).unwrap_or_default()
}

fn case_of_tier(tier: &TierReport) -> TestCase {
    let status = match &tier.status {
        TierStatus::Ran => TestCaseStatus::success(),
        TierStatus::NotRun { forbidden: false, .. } => TestCaseStatus::skipped(),
        TierStatus::NotRun { .. } | TierStatus::Failed { .. } => {
            TestCaseStatus::non_success(NonSuccessKind::Error)
        }
    };
    let status = match wording::why_not(tier) {
        Some(why) => with_message(status, &why),
        None => status,
    };
    case(GATE, tier.tier.name(), status, &format!("{} metrics judged", tier.judged))
}

fn case_of_finding(tier: &TierReport, finding: &Finding) -> TestCase {
    let sentence = wording::sentence(tier.tier, finding);
    let status = if wording::keeps_out(finding) {
        let mut failure = TestCaseStatus::non_success(NonSuccessKind::Failure);
        failure.set_type(finding.verdict.name()).set_description(&sentence);
        with_message(failure, &sentence)
    } else if finding.verdict == FindingVerdict::Inconclusive {
        with_message(TestCaseStatus::skipped(), &sentence)
    } else {
        TestCaseStatus::success()
    };
    let metric = wording::clean(&finding.metric);
    let name = if metric.is_empty() { WHOLE_ROW } else { &metric };
    case(&wording::clean(&finding.row), name, status, &sentence)
}

fn with_message(mut status: TestCaseStatus, message: &str) -> TestCaseStatus {
    status.set_message(message);
    status
}

/// What a case that did not pass has to say is in its message already.
fn case(class: &str, name: &str, status: TestCaseStatus, output: &str) -> TestCase {
    let has_passed = matches!(status, TestCaseStatus::Success { .. });
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    if has_passed {
        case.set_system_out(output);
    }
    case
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gate::output::samples;

    /// Suites, and of their cases how many succeeded, failed, were skipped and are errors.
    fn counts(xml: &str) -> Vec<(String, [usize; 4])> {
        let report = Report::deserialize_from_str(xml).unwrap();
        let of = |suite: &TestSuite| {
            let mut counts = [0; 4];
            for case in &suite.test_cases {
                counts[match &case.status {
                    TestCaseStatus::Success { .. } => 0,
                    TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, .. } => 1,
                    TestCaseStatus::Skipped { .. } => 2,
                    TestCaseStatus::NonSuccess { .. } => 3,
                }] += 1;
            }
            (suite.name.to_string(), counts)
        };
        report.test_suites.iter().map(of).collect()
    }

    #[test]
    fn a_reader_finds_tiers_as_suites_and_findings_as_cases() {
        let xml = junit(&samples::everything()).unwrap();
        let expected = [
            ("tier 0 safety", [1, 1, 0, 0]),
            ("tier 1 exact", [3, 3, 0, 0]),
            ("tier 1 instructions", [0, 0, 1, 0]),
            ("tier 2 paired", [4, 1, 2, 0]),
            // What is only told fails nothing.
            ("tier 3 targets", [2, 0, 0, 0]),
        ];
        assert_eq!(counts(&xml), expected.map(|(name, counts)| (name.to_string(), counts)));
        insta::assert_snapshot!(xml);
    }

    #[test]
    fn a_tier_in_which_all_is_well_has_a_passing_case() {
        let xml = junit(&samples::pass()).unwrap();
        assert_eq!(
            counts(&xml),
            [("tier 0 safety".to_string(), [1, 0, 0, 0]), ("tier 1 exact".to_string(), [1, 0, 0, 0])]
        );
    }

    #[test]
    fn a_tier_that_broke_or_must_not_be_left_out_is_an_error() {
        let mut report = samples::pass();
        report.tiers[0].status = TierStatus::Failed { reason: "it broke".into(), of_baseline: false };
        report.tiers[1].status = TierStatus::NotRun { reason: "no tool".into(), forbidden: true };
        let xml = junit(&report).unwrap();
        assert!(counts(&xml).iter().all(|(_, counts)| *counts == [0, 0, 0, 1]), "{xml}");
        assert!(xml.contains("message=\"not run, which the policy forbids: no tool\""), "{xml}");
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_xml(report in samples::any_report()) {
            let xml = junit(&report).unwrap();
            let read = Report::deserialize_from_str(&xml).unwrap();
            prop_assert_eq!(read.test_suites.len(), report.tiers.len());
            for (suite, tier) in read.test_suites.iter().zip(&report.tiers) {
                let others = 1 + usize::from(tier.control.is_some());
                prop_assert_eq!(suite.test_cases.len(), tier.findings.len() + others);
                for (case, finding) in suite.test_cases[others..].iter().zip(&tier.findings) {
                    let fails = matches!(case.status, TestCaseStatus::NonSuccess { .. });
                    prop_assert_eq!(fails, wording::keeps_out(finding));
                }
            }
            // What XML 1.0 allows as a character.
            let is_blank = |c| matches!(c, '\t' | '\n' | '\r');
            let is_mark = |c| matches!(c, '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
            let is_allowed = |c: char| is_blank(c) || is_mark(c);
            prop_assert!(xml.chars().all(is_allowed), "{xml:?}");
        }
    }
}
