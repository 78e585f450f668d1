//! Recommendations, with the numbers that they rest on and a link to the chart that shows them.

use maud::{Markup, html};

use super::charts::{Card, ids};
use super::material::Material;
use super::page::PROFILE_TITLE;
use crate::results::{Change, Confidence, Effect, Evidence, Recommendation, Status};
use crate::table::quantity;

/// All recommendations; nothing when no one has looked for any.
pub(super) fn section(material: &Material, cards: &[Card]) -> Option<Markup> {
    let advice = material.advice.as_ref()?;
    let places = Places { cards, profiled: !material.profiles.is_empty() };
    Some(html! {
        @if advice.recommendations.is_empty() { p { "The rules found nothing that is worth a change." } }
        ol.advice {
            @for one in &advice.recommendations {
                li data-protocol=(one.protocol) { (recommendation(one, &places)) }
            }
        }
        @if !advice.symptoms.is_empty() {
            h3 { "Seen, without a known mend" }
            ul {
                @for one in &advice.symptoms {
                    li { (one.protocol) ", " (one.scenario) ": " (one.bottleneck.evidence) }
                }
            }
        }
        @if !advice.withheld.is_empty() {
            h3 { "No advice on" }
            ul {
                @for one in &advice.withheld { li { (one.protocol) ", " (one.scenario) ": " (one.reason) } }
            }
        }
    })
}

/// What of the page evidence may be linked to.
struct Places<'a> {
    cards: &'a [Card],
    /// Whether it has flame graphs, which are a section and no card.
    profiled: bool,
}

impl<'a> Places<'a> {
    fn title_of(&self, id: &str) -> Option<&'a str> {
        if id == ids::PROFILE {
            return self.profiled.then_some(PROFILE_TITLE);
        }
        self.cards.iter().find(|card| card.id == id).map(|card| card.title.as_str())
    }
}

/// What to do, in a few words.
pub(super) fn action(change: &Change) -> String {
    match change {
        Change::Setting { name, from, to } => format!("set {name} from {from} to {to}"),
        Change::Code { place, action } => format!("{action} in {place}"),
        Change::Surroundings { action } => action.clone(),
    }
}

fn recommendation(one: &Recommendation, places: &Places) -> Markup {
    html! {
        h3 { (action(&one.change)) }
        p {
            strong { (one.protocol) } ", " (one.scenario)
            @if let Some(cell) = &one.cell { " (" (cell) ")" }
            ": " (one.reason)
        }
        ul.evidence { @for evidence in &one.evidence { li { (evidence_of(evidence, places)) } } }
        @if let Some(effect) = &one.expected { p { "Expected: " (effect_of(effect)) "." } }
        p {
            (status_of(&one.status)) " "
            @for (reason, blocks) in one.status.disturbed().into_iter().flatten() {
                span.warn { "Disturbed in " (blocks) " of its blocks: " (reason) "." } " "
            }
            span.muted {
                "Cause: " (sure(one.confidence)) " (rule " code { (one.rule) }
                ")."
            }
        }
    }
}

fn evidence_of(evidence: &Evidence, places: &Places) -> Markup {
    let card = card_of(&evidence.what, &evidence.source);
    let number = |value: f64| quantity::of_metric(&evidence.what, value, &evidence.unit);
    html! {
        code { (evidence.what) } ": " (number(evidence.value))
        @if let Some(threshold) = evidence.threshold { " against " (number(threshold)) }
        span.muted { ", " (evidence.source) }
        @if let Some(title) = places.title_of(card) { " – " a href={ "#" (card) } { (title) } }
    }
}

/// The chart that shows a metric.
fn card_of(metric: &str, source: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| metric.contains(word) || source.contains(word));
    if has(&["profile", "flame", "allocation_share", "encoding_share"]) {
        ids::PROFILE
    } else if has(&["sustainable", "knee"]) {
        ids::LOAD
    } else if has(&["unavailability", "recovered", "election"]) {
        ids::RECOVERY
    } else if has(&["submission", "replication", "quorum_wait", "fsync_ns", "application", "answer_"]) {
        ids::PARTS
    } else if has(&["messages_per", "bytes_per_commit", "syncs_per_commit", "commands_per_proposal"]) {
        ids::COST
    } else if has(&["sigma", "kappa", "peak_"]) {
        ids::SCALABILITY
    } else if has(&["cpu", "cores", "memory", "heap", "rss", "pressure"]) {
        ids::RESOURCES
    } else if has(&["response_ns_p"]) {
        ids::PERCENTILES
    } else {
        ids::OVER_TIME
    }
}

fn effect_of(effect: &Effect) -> String {
    let change = |ratio: f64| quantity::change(ratio - 1.0);
    format!(
        "{} {} [{} to {}], {}",
        effect.metric,
        change(effect.ratio),
        change(effect.lower),
        change(effect.upper),
        effect.basis
    )
}

fn status_of(status: &Status) -> Markup {
    match status {
        Status::Untested => html! { span.muted { "– not tried" } },
        Status::Verified { effect, .. } => {
            html! { span.good { "✓ tried, and better" } ": " (effect_of(effect)) "." }
        }
        Status::Refuted { effect, .. } => {
            html! { span.bad { "✗ tried, and not better" } ": " (effect_of(effect)) "." }
        }
        Status::Inconclusive { effect, .. } => {
            html! { span.warn { "? tried, and it does not tell" } ": " (effect_of(effect)) "." }
        }
        Status::Rescued { rounds, .. } => {
            html! { span.good { "✓ tried, and it serves where nothing was served" } ": " (rounds) " rounds." }
        }
        Status::Refused { reason } => {
            html! { span.bad { "✗ tried, and refused" } ": " (reason) "." }
        }
    }
}

fn sure(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Low => "one of several that would look the same",
        Confidence::Medium => "likely",
        Confidence::High => "nothing else explains the numbers",
    }
}
