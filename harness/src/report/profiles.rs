//! Flame graphs: each is an SVG of its own with a script of its own, and so stands in a frame that can't
//! touch the page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use super::material::{FlameGraph, Material};

/// All flame graphs of a run; nothing when it was not profiled.
pub(super) fn section(material: &Material, embedded: bool) -> Option<Markup> {
    (!material.flame_graphs.is_empty())
        .then(|| html! { @for graph in &material.flame_graphs { (frame(graph, "", embedded)) } })
}

/// Those of two sides, each above the other.
pub(super) fn two(a: &Material, b: &Material, embedded: bool) -> Option<Markup> {
    let sides = [("A: ", a), ("B: ", b)];
    sides.iter().any(|(_, side)| !side.flame_graphs.is_empty()).then(|| {
        html! {
            @for (side, material) in sides {
                @for graph in &material.flame_graphs { (frame(graph, side, embedded)) }
            }
        }
    })
}

fn frame(graph: &FlameGraph, side: &str, embedded: bool) -> Markup {
    let title = format!("{side}flame graph of {}", graph.name);
    html! {
        article.card.wide {
            h3 { (title) }
            @if embedded {
                iframe.flame sandbox="allow-scripts" title=(title) loading="lazy"
                    src={ "data:image/svg+xml;base64," (STANDARD.encode(&graph.svg)) } {}
            } @else {
                p.muted { "It would make this page too large; it is in " code { (graph.path.display()) } "." }
            }
        }
    }
}
