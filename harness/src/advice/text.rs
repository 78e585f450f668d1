//! Advice for people: as text, as Markdown, and in one line.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::results::{Advice, Change, Confidence, Effect, Evidence, Recommendation, Status};

/// Advice as text for a terminal, the most promising first.
pub fn text(advice: &Advice) -> String {
    let mut text = String::new();
    for (index, one) in advice.recommendations.iter().enumerate() {
        let place = index + 1;
        let _ = writeln!(text, "{place}. {}, {}: {}", one.protocol, one.scenario, change(one));
        if let Some(cell) = &one.cell {
            let _ = writeln!(text, "   where:    {cell}");
        }
        let _ = writeln!(text, "   why:      {} ({})", one.reason, one.rule);
        for seen in &one.evidence {
            let _ = writeln!(text, "   evidence: {}", evidence(seen));
        }
        let _ = writeln!(text, "   expected: {}", expected(one));
        let _ = writeln!(text, "   sure:     {}; {}", confidence(one.confidence), status(&one.status));
    }
    if advice.recommendations.is_empty() {
        let _ = writeln!(text, "{}", nothing(advice));
    }
    for symptom in &advice.symptoms {
        let found = &symptom.bottleneck;
        let _ = writeln!(
            text,
            "seen: {}, {}: {} ({})",
            symptom.protocol, symptom.scenario, found.evidence, found.rule
        );
    }
    for withheld in &advice.withheld {
        let _ =
            writeln!(text, "no advice on {}, {}: {}", withheld.protocol, withheld.scenario, withheld.reason);
    }
    let rules = rules_of(advice);
    if !rules.is_empty() {
        let _ = writeln!(text, "`cargo consensus-bench explain RULE` says more, of: {}", rules.join(", "));
    }
    text.trim_end().into()
}

/// The same as Markdown.
pub fn markdown(advice: &Advice) -> String {
    let mut text = String::new();
    if advice.recommendations.is_empty() {
        let _ = writeln!(text, "{}", nothing(advice));
    } else {
        text += "| | protocol | scenario | change | why | expected | sure |\n|---|---|---|---|---|---|---|\n";
    }
    for (index, one) in advice.recommendations.iter().enumerate() {
        let cells = [
            (index + 1).to_string(),
            one.protocol.clone(),
            match &one.cell {
                Some(cell) => format!("{}: {cell}", one.scenario),
                None => one.scenario.clone(),
            },
            change(one),
            format!("{} ({})", one.reason, one.rule),
            expected(one),
            format!("{}; {}", confidence(one.confidence), status(&one.status)),
        ];
        let _ = writeln!(
            text,
            "| {} |",
            cells.map(|cell| cell.replace('|', "\\|").replace('\n', " ")).join(" | ")
        );
    }
    if !advice.symptoms.is_empty() || !advice.withheld.is_empty() {
        text.push('\n');
    }
    for symptom in &advice.symptoms {
        let found = &symptom.bottleneck;
        let _ = writeln!(
            text,
            "- seen: {}, {}: {} ({})",
            symptom.protocol, symptom.scenario, found.evidence, found.rule
        );
    }
    for withheld in &advice.withheld {
        let _ = writeln!(
            text,
            "- no advice on {}, {}: {}",
            withheld.protocol, withheld.scenario, withheld.reason
        );
    }
    text.trim_end().into()
}

/// Why there is nothing to recommend.
fn nothing(advice: &Advice) -> String {
    let why = match (advice.withheld.is_empty(), advice.symptoms.is_empty()) {
        (false, _) => {
            "some results can't be relied on, and in the others no rule found a change that is worth it"
        }
        (true, false) => "what was seen has no cause that a rule knows how to mend",
        (true, true) => "no rule found anything that a change would mend",
    };
    format!("nothing to recommend: {why}")
}

fn change(one: &Recommendation) -> String {
    let mut text = match &one.change {
        Change::Setting { name, from, to } => format!("set {name} from {from} to {to}"),
        Change::Code { place, action } => format!("in {place}: {action}"),
        Change::Surroundings { action } => action.clone(),
    };
    for (name, value) in &one.with {
        let _ = write!(text, ", and {name} to {value}");
    }
    text
}

fn evidence(seen: &Evidence) -> String {
    let unit = if seen.unit == "1" { String::new() } else { format!(" {}", seen.unit) };
    let number =
        |value: f64| if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") };
    let against =
        seen.threshold.map_or_else(String::new, |value| format!(", held against {}{unit}", number(value)));
    format!("{} = {}{unit}{against} ({})", seen.what, number(seen.value), seen.source)
}

fn expected(one: &Recommendation) -> String {
    one.expected.as_ref().map_or_else(|| "not predicted".into(), effect)
}

fn effect(effect: &Effect) -> String {
    format!(
        "{} × {:.3} ({:.3} to {:.3}), by: {}",
        effect.metric, effect.ratio, effect.lower, effect.upper, effect.basis
    )
}

fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "nothing else explains the numbers",
        Confidence::Medium => "the likely cause",
        Confidence::Low => "one of several possible causes",
    }
}

fn status(status: &Status) -> String {
    let mut text = match status {
        Status::Untested => "untested".into(),
        Status::Verified { effect: found, .. } => format!("verified: {}", effect(found)),
        Status::Refuted { effect: found, .. } => format!("refuted: {}", effect(found)),
        Status::Rescued { rounds, .. } => {
            format!("verified: all of {rounds} rounds are served, and none was before")
        }
        Status::Refused { reason } => format!("tried, and refused: {reason}"),
        Status::Inconclusive { effect: found, .. } => {
            format!("tried, and it can't be told: {}", effect(found))
        }
    };
    for (reason, blocks) in status.disturbed().into_iter().flatten() {
        let _ = write!(text, "; disturbed in {blocks} of its blocks: {reason}");
    }
    text
}

fn rules_of(advice: &Advice) -> Vec<&str> {
    let recommended = advice.recommendations.iter().map(|one| one.rule.as_str());
    let seen = advice.symptoms.iter().map(|symptom| symptom.bottleneck.rule.as_str());
    recommended.chain(seen).filter(|rule| !rule.is_empty()).collect::<BTreeSet<_>>().into_iter().collect()
}
