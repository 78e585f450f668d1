//! Profiles: flame graphs, and what two of the same work differ in. Each graph is an SVG of its own with a script
//! of its own, and so stands in a frame that can't touch the page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use super::material::{Material, RunProfile};
use crate::profile::{Change, Difference, Measured, difference};

/// Rows of a table of changes: a profile sees dozens of crates, most of them hardly at all.
const ROWS: usize = 8;

/// Two profiles of the same protocol and scenario against each other.
#[derive(Clone, Debug)]
pub(super) struct ProfileDifference {
    /// Scenario, protocol and settings.
    name: String,
    difference: Difference,
    /// The differential flame graph; or why there is none.
    graph: Result<String, String>,
}

/// What the profiles of two sides differ in, for all that both have one of.
pub(super) fn differences(a: &Material, b: &Material) -> Vec<ProfileDifference> {
    let work = |one: &RunProfile| {
        let profiled = &one.profile.attribution.profiled;
        (profiled.scenario.clone(), profiled.protocol.clone())
    };
    let pairs = b.profiles.iter().filter_map(|after| {
        let before = a.profiles.iter().find(|before| work(before) == work(after))?;
        // Two runs of one commit may have but one profile between them.
        (before.profile.files != after.profile.files).then_some((&before.profile, &after.profile))
    });
    pairs
        .map(|(before, after)| {
            let difference = difference(&before.attribution, &after.attribution);
            let drawn = after.files.draw_difference(&before.files, difference.measured);
            ProfileDifference {
                name: after.attribution.name(),
                graph: drawn
                    .map(|svg| String::from_utf8_lossy(&svg).into_owned())
                    .map_err(|error| error.to_string()),
                difference,
            }
        })
        .collect()
}

/// All flame graphs of a run; nothing when it was not profiled.
pub(super) fn section(material: &Material, embedded: bool) -> Option<Markup> {
    (!material.profiles.is_empty())
        .then(|| html! { @for profile in &material.profiles { (one(profile, "", embedded)) } })
}

/// What differs, and the graphs of both sides.
pub(super) fn two(
    a: &Material,
    b: &Material,
    differences: &[ProfileDifference],
    embedded: bool,
) -> Option<Markup> {
    let sides = [("A: ", a), ("B: ", b)];
    sides.iter().any(|(_, side)| !side.profiles.is_empty()).then(|| {
        html! {
            @for one in differences { (differing(one, embedded)) }
            @if differences.is_empty() {
                p { "No work was profiled on both sides, so there is no difference to show." }
            }
            @for (side, material) in sides {
                @for profile in &material.profiles { (one(profile, side, embedded)) }
            }
        }
    })
}

fn one(profile: &RunProfile, side: &str, embedded: bool) -> Markup {
    let title = format!("{side}flame graph of {}", profile.profile.attribution.name());
    let path = profile.profile.files.flame_graph();
    html! {
        article.card.wide {
            h3 { (title) }
            @if embedded { (frame(&title, &profile.svg)) } @else { (too_large(&path.display().to_string())) }
        }
    }
}

fn differing(one: &ProfileDifference, embedded: bool) -> Markup {
    let difference = &one.difference;
    let title = format!("{}: from A to B", one.name);
    html! {
        article.card.wide {
            h3 { (title) }
            p.about {
                @match difference.measured {
                    Measured::NsPerCommit => { "CPU time per commit. " }
                    Measured::Share => { "Shares of the CPU time: a profile does not know its commits. " }
                }
                "Intervals hold what sampling leaves open, not what differs from one process to the next; \"?\" marks \
                 what may be no change."
            }
            @for note in &difference.notes { p.note { (note) } }
            div.scroll tabindex="0" role="region" aria-label={ "Changes of the CPU time of " (one.name) } {
                table {
                    thead {
                        tr {
                            @for head in ["CPU time", "A", "B", "change, 95 % interval", "verdict"] { th scope="col" { (head) } }
                        }
                    }
                    tbody {
                        @if let Some(total) = &difference.total { (row("all of it", total, difference.measured)) }
                        @for change in shown(&difference.kinds) { (row(&change.of, change, difference.measured)) }
                    }
                    tbody {
                        @for change in shown(&difference.crates) {
                            (row(&format!("crate {}", change.of), change, difference.measured))
                        }
                    }
                }
            }
            @match (&one.graph, embedded) {
                (Ok(svg), true) => {
                    p.about { "As wide as in B; red grew, blue shrank." }
                    (frame(&title, svg))
                }
                (Ok(_), false) => { (too_large("what `cargo consensus-bench profile diff` draws")) }
                (Err(why), _) => { p.warning { "No flame graph of the difference: " (why) } }
            }
        }
    }
}

/// The largest changes, of what was seen at all.
fn shown(changes: &[Change]) -> impl Iterator<Item = &Change> {
    changes.iter().filter(|change| change.is_seen()).take(ROWS)
}

fn row(name: &str, change: &Change, measured: Measured) -> Markup {
    let (number, signed) = (|value| measured.number(value), |value| measured.signed(value));
    let (word, class) = match change.is_certain() {
        false => ("?", "muted"),
        true if change.change.value > 0.0 => ("▲ grew", "bad"),
        true => ("▼ shrank", "good"),
    };
    html! {
        tr {
            th scope="row" { (name) }
            td { (number(change.before.value)) } td { (number(change.after.value)) }
            td {
                (signed(change.change.value))
                " [" (signed(change.change.lower)) " to " (signed(change.change.upper)) "]"
            }
            td { span class=(class) { (word) } }
        }
    }
}

fn frame(title: &str, svg: &str) -> Markup {
    html! {
        iframe.flame sandbox="allow-scripts" title=(title) loading="lazy"
            src={ "data:image/svg+xml;base64," (STANDARD.encode(svg)) } {}
    }
}

fn too_large(place: &str) -> Markup {
    html! { p.muted { "It would make this page too large; it is in " code { (place) } "." } }
}
