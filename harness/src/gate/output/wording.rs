//! Findings in words and numbers, the same in every format.

use crate::gate::report::{
    Control, Effect, Finding, FindingVerdict, GateReport, GateVerdict, Shift, Side, Tier, TierReport,
    TierStatus,
};
use crate::table::quantity::{self, NOTHING};

/// How many metrics are named that came out different, though nothing differs.
const ALARMS_NAMED: usize = 5;

/// Text on one line, without what moves a cursor or turns the direction of writing: names and reasons may
/// hold anything, and XML forbids most control characters altogether.
pub(super) fn clean(text: &str) -> String {
    let text: String = text.chars().map(|c| if is_unseen(c) { ' ' } else { c }).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A command on one line. Its blanks stay, because they may be part of an argument.
pub(super) fn command(report: &GateReport) -> String {
    let text = report.reproduce.trim();
    text.chars().map(|c| if is_unseen(c) { ' ' } else { c }).collect()
}

fn is_unseen(c: char) -> bool {
    let is_direction =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_break = matches!(c, '\u{2028}' | '\u{2029}');
    let is_no_character = matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    c.is_control() || is_direction || is_break || is_no_character
}

/// The verdict and how it came about: the first line of every format for people.
pub(super) fn headline(report: &GateReport) -> String {
    let of = |fits: &dyn Fn(&Finding) -> bool| findings(report).filter(|finding| fits(finding)).count();
    let judged: usize = report.tiers.iter().map(|tier| tier.judged).sum();
    let mut parts = vec![format!("{judged} metrics judged")];
    let kept_out = of(&keeps_out);
    if kept_out > 0 {
        parts.push(format!("{kept_out} keep the change out"));
    }
    let warnings = of(&is_warning);
    if warnings > 0 {
        parts.push(format!("{warnings} only told"));
    }
    let inconclusive = of(&|finding| finding.verdict == FindingVerdict::Inconclusive);
    if inconclusive > 0 {
        parts.push(format!("{inconclusive} can't be told"));
    }
    format!("{}: {}", report.verdict.headline(), parts.join(", "))
}

fn findings(report: &GateReport) -> impl Iterator<Item = &Finding> {
    report.tiers.iter().flat_map(|tier| &tier.findings)
}

/// What is compared with what, and where.
pub(super) fn sides(report: &GateReport) -> String {
    let base = report.base.as_ref().map_or_else(|| "the committed baselines".into(), side);
    let machine = &report.machine;
    let place = format!("{}, {} cores, {}", machine.cpu_model, machine.cores, machine.fingerprint);
    clean(&format!("{} against {base}, on {place}", side(&report.head)))
}

fn side(side: &Side) -> String {
    match &side.commit {
        Some(commit) => format!("{} ({commit})", side.name),
        None => side.name.clone(),
    }
}

/// Number and name of a tier.
pub(super) fn tier_name(tier: Tier) -> String {
    format!("{} {tier}", tier.number())
}

/// Whether a tier ran, in two words.
pub(super) fn status(tier: &TierReport) -> &'static str {
    match &tier.status {
        TierStatus::Ran => "ran",
        TierStatus::NotRun { .. } => "not run",
        TierStatus::Failed { .. } => "failed",
    }
}

/// Why a tier did not run to its end.
pub(super) fn why_not(tier: &TierReport) -> Option<String> {
    match &tier.status {
        TierStatus::Ran => None,
        TierStatus::NotRun { reason, forbidden: true } => {
            Some(clean(&format!("not run, which the policy forbids: {reason}")))
        }
        TierStatus::NotRun { reason, .. } => Some(clean(&format!("not run: {reason}"))),
        TierStatus::Failed { reason, .. } => Some(clean(&format!("failed: {reason}"))),
    }
}

/// How long a tier took. One that did not run took no time worth a number.
pub(super) fn seconds(tier: &TierReport) -> String {
    match &tier.status {
        TierStatus::NotRun { .. } => NOTHING.into(),
        _ => format!("{:.1}", tier.seconds),
    }
}

/// What is worth a row of a table: what is neither as before nor in doubt, and everything that was measured in
/// pairs, for how much could have been seen is part of its verdict. The worst first.
pub(super) fn told(tier: &TierReport) -> Vec<&Finding> {
    let is_told = |finding: &&Finding| {
        finding.shift.is_some()
            || !matches!(finding.verdict, FindingVerdict::Passed | FindingVerdict::Inconclusive)
    };
    let mut told: Vec<&Finding> = tier.findings.iter().filter(is_told).collect();
    told.sort_by_key(|finding| (!keeps_out(finding), severity(finding.verdict)));
    told
}

/// What can't be told.
pub(super) fn inconclusive(tier: &TierReport) -> impl Iterator<Item = &Finding> {
    tier.findings.iter().filter(|finding| finding.verdict == FindingVerdict::Inconclusive)
}

fn severity(verdict: FindingVerdict) -> u8 {
    match verdict {
        FindingVerdict::Unsafe => 0,
        FindingVerdict::Regressed => 1,
        FindingVerdict::Missing => 2,
        FindingVerdict::Changed => 3,
        FindingVerdict::Declared => 4,
        FindingVerdict::Improved => 5,
        FindingVerdict::New => 6,
        FindingVerdict::Inconclusive => 7,
        FindingVerdict::Passed => 8,
    }
}

/// Whether a finding speaks against the change.
fn is_bad(finding: &Finding) -> bool {
    !matches!(GateVerdict::from(finding), GateVerdict::Pass | GateVerdict::Inconclusive)
}

/// Whether a finding alone would keep the change out.
pub(super) fn keeps_out(finding: &Finding) -> bool {
    finding.effect == Effect::Block && is_bad(finding)
}

/// Whether it would, if the policy did not say otherwise.
pub(super) fn is_warning(finding: &Finding) -> bool {
    finding.effect != Effect::Block && is_bad(finding)
}

/// Row and metric.
pub(super) fn name(finding: &Finding) -> String {
    clean(&format!("{} {}", finding.row, finding.metric))
}

/// The verdict of one finding.
pub(super) fn verdict(finding: &Finding) -> String {
    let name = finding.verdict.name();
    if is_warning(finding) { format!("{name} (only told)") } else { name.into() }
}

/// A value of a finding. Rounding would make counts look equal that are compared for equality.
pub(super) fn value(tier: Tier, finding: &Finding, value: Option<f64>) -> String {
    match value {
        None => NOTHING.into(),
        Some(value) if matches!(tier, Tier::Exact | Tier::Instructions) => value.to_string(),
        Some(value) => clean(&quantity::of_metric(&finding.metric, value, &finding.unit)),
    }
}

/// The relative change of a finding.
pub(super) fn change(finding: &Finding) -> String {
    if let Some(shift) = &finding.shift {
        return quantity::change(shift.relative);
    }
    match finding.base.zip(finding.head) {
        Some((base, head)) if base != 0.0 => quantity::change(head / base - 1.0),
        _ => NOTHING.into(),
    }
}

/// The interval of a change.
pub(super) fn interval(shift: &Shift) -> String {
    format!("{} to {}", quantity::change(shift.lower), quantity::change(shift.upper))
}

/// A share that is no change: a tolerance, a detectable effect.
pub(super) fn share(value: f64) -> String {
    quantity::change(value.abs()).trim_start_matches('+').into()
}

/// What else is to be said about a finding; empty when nothing is.
pub(super) fn remark(finding: &Finding) -> String {
    let owner = finding.owner.as_ref().map(|owner| format!("{owner} answers for it"));
    let parts: Vec<String> = finding.reason.iter().cloned().chain(owner).collect();
    clean(&parts.join("; "))
}

/// A finding as one sentence.
pub(super) fn sentence(tier: Tier, finding: &Finding) -> String {
    let mut parts = vec![verdict(finding)];
    if finding.base.is_some() || finding.head.is_some() {
        let shown = |of| value(tier, finding, of);
        parts.push(format!("{} → {}", shown(finding.base), shown(finding.head)));
    }
    parts.extend(change_in_full(finding));
    parts.extend(Some(remark(finding)).filter(|remark| !remark.is_empty()));
    parts.join("; ")
}

/// The change with all that says how far to trust it.
pub(super) fn change_in_full(finding: &Finding) -> Option<String> {
    let change = change(finding);
    let Some(shift) = &finding.shift else { return (change != NOTHING).then_some(change) };
    Some(format!(
        "{change} ({}; tolerance {}; {} pairs, detectable {})",
        interval(shift),
        share(finding.tolerance),
        shift.pairs,
        share(shift.detectable)
    ))
}

/// What the base against itself showed.
pub(super) fn control(control: &Control) -> String {
    let (judged, largest) = (control.judged, share(control.largest_shift));
    if control.alarms.is_empty() {
        return format!(
            "base against itself (A/A): none of {judged} metrics came out different, the largest shift was \
             {largest}"
        );
    }
    let mut names: Vec<String> = control.alarms.iter().take(ALARMS_NAMED).map(name).collect();
    let others = control.alarms.len() - names.len();
    if others > 0 {
        names.push(format!("{others} more"));
    }
    format!(
        "base against itself (A/A): {} of {judged} metrics came out different, though nothing differs, by up \
         to {largest}, so no paired verdict holds: {}",
        control.alarms.len(),
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gate::output::samples;

    #[test]
    fn one_line_without_control() {
        assert_eq!(clean(" a\n\u{1b}[31mb\r\n\tc\u{0} "), "a [31mb c");
        assert_eq!(clean("x\u{202e}y\u{ffff}z\u{feff}"), "x y z\u{feff}");
    }

    #[test]
    fn shares_have_no_sign() {
        assert_eq!((share(0.05).as_str(), share(-0.012).as_str()), ("5.0 %", "1.2 %"));
    }

    #[test]
    fn a_headline_counts() {
        assert_eq!(
            headline(&samples::everything()),
            "safety violation: 1251 metrics judged, 5 keep the change out, 1 only told, 2 can't be told"
        );
        assert_eq!(headline(&samples::pass()), "pass: 1186 metrics judged");
    }

    #[test]
    fn alarms_of_the_control_are_named() {
        let found = samples::everything().tiers.remove(3).findings;
        let alarms = [found.clone(), found].concat();
        let told = control(&Control { judged: 32, alarms, largest_shift: 0.131 });
        assert_eq!(
            told,
            "base against itself (A/A): 10 of 32 metrics came out different, though nothing differs, by up to \
             13 %, so no paired verdict holds: commit/raft-rs cpu_ns_per_commit, commit/openraft \
             cpu_ns_per_commit, commit/pbft cpu_ns_per_commit, commit/abd cpu_ns_per_commit, commit/abd \
             response_ns_p99, 5 more"
        );
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_line(text in any::<String>()) {
            let clean = clean(&text);
            prop_assert!(!clean.chars().any(is_unseen));
            prop_assert_eq!(&super::clean(&clean), &clean);
        }
    }
}
