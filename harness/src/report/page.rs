//! The page: one file with its styles, its script and its pictures, which asks the network for nothing.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::charts;
use super::compared;
use super::identity::{Looks, definitions};
use super::material::Material;
use super::story::Story;
use super::{advice, figures, overview, profiles};
use crate::compare::Comparison;

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// What the page may load: what is in it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
                      frame-src data:";

/// A page larger than this is drawn anew with less on it.
pub const MOST_BYTES: usize = 2_000_000;

/// What the section of flame graphs is called.
pub(super) const PROFILE_TITLE: &str = "Where the CPU time goes";

/// How much a page has of what makes it large.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detail {
    /// Points of a series, at most.
    points: usize,
    /// Charts of a card, at most; without any there are no cards.
    pub(super) views: usize,
    /// Charts of a card that have their values as a table, at most.
    pub(super) tables: usize,
    /// Whether flame graphs are on it.
    profiles: bool,
}

const ALL: Detail =
    Detail { points: charts::MOST_POINTS, views: usize::MAX, tables: usize::MAX, profiles: true };
/// What is tried, in this order: what a card shows last goes first, and a chart loses its points at the very end.
const DETAILS: [Detail; 15] = [
    ALL,
    Detail { tables: 1, ..ALL },
    Detail { tables: 1, views: 48, ..ALL },
    Detail { tables: 1, views: 32, ..ALL },
    Detail { tables: 1, views: 24, ..ALL },
    Detail { tables: 1, views: 16, ..ALL },
    Detail { tables: 1, views: 12, ..ALL },
    Detail { tables: 1, views: 8, ..ALL },
    Detail { tables: 1, profiles: false, ..ALL },
    Detail { tables: 1, views: 16, profiles: false, ..ALL },
    Detail { tables: 1, views: 8, profiles: false, ..ALL },
    Detail { tables: 1, views: 4, points: 80, profiles: false },
    Detail { tables: 1, views: 2, points: 40, profiles: false },
    Detail { tables: 0, views: 1, points: 16, profiles: false },
    Detail { tables: 0, views: 0, points: 16, profiles: false },
];

/// The page of a run, of several runs as one, or of a baseline.
pub fn page(material: &Material) -> String {
    let story = Story::of(material);
    fitting(|detail| {
        let cards = charts::cards(material, detail.points);
        let looks = Looks::of(material.protocols());
        let sections = [
            section("overview", "At a glance", overview::glance(material, &story, &looks)),
            section("protocols", "Protocol by protocol", overview::protocols(&story, &looks)),
            section("results", "Every protocol under every scenario", overview::matrix(&story, &looks)),
            section("advice", "What to change", advice::section(material, &cards)),
            section("charts", "Charts", figures::all(&cards, &looks, detail)),
            section(charts::ids::PROFILE, PROFILE_TITLE, profiles::section(material, detail.profiles)),
            section("about", "About this run", overview::manifest(material)),
        ];
        document(
            &format!("consensus-bench: {}", material.name),
            overview::heading(material),
            &sections,
            &looks,
        )
    })
}

/// The page of two sides.
pub fn compare_page(a: &Material, b: &Material, comparison: &Comparison) -> String {
    let profiled = profiles::differences(a, b);
    fitting(|detail| {
        let looks = Looks::of(a.protocols().into_iter().chain(b.protocols()));
        let (cards_a, cards_b) = (charts::cards(a, detail.points), charts::cards(b, detail.points));
        let sections = [
            section("differences", "What changed", compared::summary(comparison)),
            section("exact", "Exact changes", compared::exact(comparison)),
            section("measured", "Measured changes", compared::measured(comparison)),
            section("manifest", "What else differs between the runs", compared::manifests(a, b)),
            section("charts", "Charts, A beside B", figures::beside(&cards_a, &cards_b, &looks, detail)),
            section(charts::ids::PROFILE, PROFILE_TITLE, profiles::two(a, b, &profiled, detail.profiles)),
        ];
        let title = format!("consensus-bench: {} against {}", comparison.a, comparison.b);
        document(&title, compared::heading(a, b), &sections, &looks)
    })
}

/// Draws with less and less on the page until it is small enough.
fn fitting(draw: impl Fn(Detail) -> String) -> String {
    let mut last = String::new();
    for detail in DETAILS {
        last = draw(detail);
        if last.len() <= MOST_BYTES {
            break;
        }
    }
    last
}

/// A part of the page with its name, for the table of contents.
struct Section {
    id: &'static str,
    title: &'static str,
    body: Option<Markup>,
}

/// A section; one without a body is left out.
fn section(id: &'static str, title: &'static str, body: impl Into<Option<Markup>>) -> Section {
    Section { id, title, body: body.into() }
}

fn document(title: &str, heading: Markup, sections: &[Section], looks: &Looks) -> String {
    let shown: Vec<(&Section, &Markup)> =
        sections.iter().filter_map(|section| Some((section, section.body.as_ref()?))).collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // What is not in the file is not asked for, whatever a name in it would like.
                meta http-equiv="Content-Security-Policy"
                    content=(POLICY);
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "To the results" }
                (definitions())
                (figures::patterns())
                header { (heading) }
                nav aria-label="Sections" {
                    ul {
                        @for (section, _) in &shown { li { a href={ "#" (section.id) } { (section.title) } } }
                    }
                }
                (figures::filter(looks))
                main id="main" tabindex="-1" {
                    @for (section, body) in &shown {
                        section id=(section.id) aria-labelledby={ (section.id) "-title" } {
                            h2 id={ (section.id) "-title" } { (section.title) }
                            (body)
                        }
                    }
                }
                footer {
                    p {
                        "Written by consensus-bench " (env!("CARGO_PKG_VERSION")) ". "
                        "Nothing on this page is loaded from a network."
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}
