//! A report for a terminal: the verdict first, then what ran, what changed, what can't be told, and how to do
//! the same again.

use comfy_table::ContentArrangement;

use super::wording;
use crate::gate::report::{Finding, GateReport, TierReport};
use crate::table::{empty_table, lines_of};

/// Columns of the terminal that is written for.
const WIDTH: u16 = 100;

pub(super) fn text(report: &GateReport) -> String {
    let mut parts = vec![
        format!("{}\n{}", wording::headline(report), wrapped(&wording::sides(report), "")),
        tiers(report),
    ];
    for tier in &report.tiers {
        parts.extend(changes(tier));
        let control = tier.control.as_ref().map(wording::control);
        parts.extend(control.map(|control| wrapped(&format!("{}: {control}", tier.tier), "")));
    }
    parts.extend(inconclusive(report));
    let notes = report.notes.iter().map(|note| wrapped(&wording::clean(note), ""));
    parts.extend(notes);
    // Unwrapped, so that it can be copied.
    parts.push(format!("To judge the same again:\n  {}", wording::command(report)));
    parts.join("\n\n")
}

/// A line for each tier, and why those that did not run did not.
fn tiers(report: &GateReport) -> String {
    let mut table = empty_table(&["tier", "outcome", "judged", "seconds"], false);
    for tier in &report.tiers {
        table.add_row([
            wording::tier_name(tier.tier),
            wording::status(tier).into(),
            tier.judged.to_string(),
            wording::seconds(tier),
        ]);
    }
    let mut lines = vec![lines_of(&table)];
    for tier in &report.tiers {
        let notes = tier.notes.iter().map(|note| wording::clean(note));
        for line in wording::why_not(tier).into_iter().chain(notes) {
            lines.push(wrapped(&format!("{}: {line}", tier.tier), "  "));
        }
    }
    lines.join("\n")
}

/// A table of what was measured in pairs, and one for each other row in which something changed.
fn changes(tier: &TierReport) -> Option<String> {
    let (measured, counted): (Vec<&Finding>, Vec<&Finding>) =
        wording::told(tier).into_iter().partition(|finding| finding.shift.is_some());
    let mut rows: Vec<&str> = Vec::new();
    for finding in &counted {
        if !rows.contains(&finding.row.as_str()) {
            rows.push(&finding.row);
        }
    }
    let of_row = |row: &&str| {
        let own: Vec<&Finding> = counted.iter().copied().filter(|finding| finding.row == **row).collect();
        format!("{}: {}\n{}", tier.tier, wording::clean(row), of_row(tier, &own))
    };
    let pairs = (!measured.is_empty()).then(|| of_pairs(tier, &measured));
    let shown: Vec<String> = pairs.into_iter().chain(rows.iter().map(of_row)).collect();
    (!shown.is_empty()).then(|| shown.join("\n\n"))
}

fn of_row(tier: &TierReport, found: &[&Finding]) -> String {
    let (whole, metrics): (Vec<&Finding>, Vec<&Finding>) =
        found.iter().partition(|finding| finding.metric.is_empty());
    let mut lines: Vec<String> =
        whole.iter().map(|finding| wrapped(&wording::sentence(tier.tier, finding), "  ")).collect();
    if !metrics.is_empty() {
        let heads = ["metric", "base", "head", "change", "verdict"];
        lines.push(table(&heads, metrics.iter().map(|finding| counted_row(tier, finding))));
    }
    lines.extend(remarks(&metrics, |finding| wording::clean(&finding.metric)));
    lines.join("\n")
}

fn of_pairs(tier: &TierReport, found: &[&Finding]) -> String {
    let heads = [
        "benchmark",
        "base",
        "head",
        "change",
        "95 % interval",
        "toler-\nance",
        "pairs",
        "detect-\nable",
        "verdict",
    ];
    let mut lines = vec![table(&heads, found.iter().map(|finding| measured_row(tier, finding)))];
    lines.extend(remarks(found, wording::name));
    lines.join("\n")
}

/// What else is to be said, once for all findings of which it is said.
fn remarks(found: &[&Finding], name: impl Fn(&Finding) -> String) -> Vec<String> {
    let mut of_findings: Vec<(String, Vec<String>)> = Vec::new();
    for finding in found {
        let remark = wording::remark(finding);
        match of_findings.iter_mut().find(|(said, _)| *said == remark) {
            Some((_, names)) => names.push(name(finding)),
            None => of_findings.push((remark, vec![name(finding)])),
        }
    }
    of_findings.retain(|(remark, _)| !remark.is_empty());
    let said =
        |(remark, names): (String, Vec<String>)| wrapped(&format!("{}: {remark}", names.join(", ")), "  ");
    of_findings.into_iter().map(said).collect()
}

fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = empty_table(heads, false);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    rows.for_each(|row| {
        table.add_row(row);
    });
    lines_of(&table)
}

fn counted_row(tier: &TierReport, finding: &Finding) -> Vec<String> {
    vec![
        wording::clean(&finding.metric),
        wording::value(tier.tier, finding, finding.base),
        wording::value(tier.tier, finding, finding.head),
        wording::change(finding),
        // What is in brackets goes below, for the metric's name needs the room.
        wording::verdict(finding).replace(" (", "\n("),
    ]
}

fn measured_row(tier: &TierReport, finding: &Finding) -> Vec<String> {
    let mut row = counted_row(tier, finding);
    row[0] = format!("{}\n{}", wording::clean(&finding.row), wording::clean(&finding.metric));
    let of_shift = finding.shift.iter().flat_map(|shift| {
        [
            wording::interval(shift),
            wording::share(finding.tolerance),
            shift.pairs.to_string(),
            wording::share(shift.detectable),
        ]
    });
    row.splice(4..4, of_shift);
    row
}

fn inconclusive(report: &GateReport) -> Option<String> {
    let of_tier = |tier: &TierReport| {
        let line = |finding| {
            let about = format!("{}: {}", wording::name(finding), wording::sentence(tier.tier, finding));
            wrapped(&format!("{}: {about}", tier.tier), "  ")
        };
        wording::inconclusive(tier).map(line).collect::<Vec<_>>()
    };
    let lines: Vec<String> = report.tiers.iter().flat_map(of_tier).collect();
    (!lines.is_empty()).then(|| format!("Can't be told:\n{}", lines.join("\n")))
}

/// Text in lines that fit the terminal, where its words are short enough.
fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.replace(" %", "\u{a0}%").split(' ') {
        let length = lines.last().map_or(0, |line| line.chars().count());
        let own = word.chars().count();
        let fits = length == 0 || indent.len() + length + 1 + own <= usize::from(WIDTH);
        match lines.last_mut().filter(|_| fits) {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => *line += &format!(" {word}"),
            None => lines.push(format!("  {word}")),
        }
    }
    // A number and its sign stay together.
    let lines = lines.iter().map(|line| format!("{indent}{}", line.replace('\u{a0}', " ")));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gate::output::samples;

    #[test]
    fn a_change_is_told_with_all_that_led_to_the_verdict() {
        let shown = text(&samples::everything());
        assert!(shown.lines().all(|line| line.chars().count() <= usize::from(WIDTH)), "{shown}");
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn a_pass_is_short() {
        insta::assert_snapshot!(text(&samples::pass()));
    }

    #[test]
    fn nothing_can_be_told_too() {
        let mut report = samples::pass();
        report.tiers.clear();
        assert!(text(&report).starts_with("pass: 0 metrics judged\n"));
    }

    proptest! {
        #[test]
        fn no_text_moves_the_cursor(report in samples::any_report()) {
            let shown = text(&report);
            prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
            for finding in report.tiers.iter().flat_map(wording::told) {
                if let Some(reason) = &finding.reason {
                    let reason = wording::clean(reason);
                    let words = reason.split(' ').next().unwrap_or_default();
                    prop_assert!(shown.contains(words), "{shown}");
                }
            }
        }
    }
}
