//! How a protocol is told from the others: the same colour, mark and dash pattern everywhere in a report, so
//! that none of them is needed alone.

use std::collections::BTreeMap;

use maud::{Markup, html};

/// Colours of the style sheet: `--c0` to `--c7`.
pub const COLOURS: usize = 8;
/// Shapes of marks: `#m0` to `#m7`.
pub const SHAPES: usize = 8;
/// Dash patterns of the style sheet: `.d0` to `.d4`.
pub const DASHES: usize = 5;

/// What a series looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Which colour.
    pub colour: usize,
    /// Which shape its marks have.
    pub shape: usize,
    /// Which dash pattern its line has.
    pub dash: usize,
}

/// The looks of all protocols of a report, in the order in which they first appear.
#[derive(Clone, Debug, Default)]
pub struct Looks(BTreeMap<String, usize>);

impl Look {
    /// The look of number `index`. Where colours begin anew, shapes and dashes are others than before.
    pub fn number(index: usize) -> Look {
        let round = index / COLOURS;
        Look { colour: index % COLOURS, shape: (index + 3 * round) % SHAPES, dash: (index + round) % DASHES }
    }

    /// Classes of a group of marks and lines.
    pub fn classes(self) -> String {
        format!("s{} d{}", self.colour, self.dash)
    }

    /// A piece of its line with its mark, as a legend shows it.
    pub fn key(self) -> Markup {
        html! {
            svg class={ "key " (self.classes()) } viewBox="0 0 28 12" width="28" height="12" aria-hidden="true" {
                path class="ln" d="M1 6H27" {}
                use class="m" href={ "#m" (self.shape) } x="14" y="6" {}
            }
        }
    }
}

impl Looks {
    /// Gives each of these protocols a look.
    pub fn of<'a>(protocols: impl IntoIterator<Item = &'a str>) -> Looks {
        let mut looks = BTreeMap::new();
        for protocol in protocols {
            let next = looks.len();
            looks.entry(protocol.to_string()).or_insert(next);
        }
        Looks(looks)
    }

    /// The look of a protocol; one that is none of the report's looks like the first.
    pub fn get(&self, protocol: &str) -> Look {
        Look::number(self.0.get(protocol).copied().unwrap_or(0))
    }

    /// All protocols, in the order in which they got their looks.
    pub fn protocols(&self) -> Vec<&str> {
        let mut all: Vec<(&usize, &str)> =
            self.0.iter().map(|(name, index)| (index, name.as_str())).collect();
        all.sort();
        all.into_iter().map(|(_, name)| name).collect()
    }
}

/// Shapes of marks and fills of bars, which every picture of a page refers to.
pub fn definitions() -> Markup {
    let shapes = [
        "M0-4.4A4.4 4.4 0 1 1 0 4.4A4.4 4.4 0 1 1 0-4.4Z",
        "M-3.9-3.9H3.9V3.9H-3.9Z",
        "M0-5L4.9 4H-4.9Z",
        "M0-5.4L5.4 0L0 5.4L-5.4 0Z",
        "M0 5L4.9-4H-4.9Z",
        "M-1.7-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z",
        "M0-5.2L4.9-1.6L3 4.2H-3L-4.9-1.6Z",
        "M-5-2.4L-2.4-5L0-2.4L2.4-5L5-2.4L2.4 0L5 2.4L2.4 5L0 2.4L-2.4 5L-5 2.4L-2.4 0Z",
    ];
    html! {
        svg class="defs" width="0" height="0" aria-hidden="true" {
            defs {
                @for (index, path) in shapes.iter().enumerate() {
                    path id={ "m" (index) } d=(path) {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn forty_protocols_look_different_and_keep_their_look() {
        let looks: BTreeSet<_> =
            (0..40).map(Look::number).map(|look| (look.colour, look.shape, look.dash)).collect();
        assert_eq!(looks.len(), 40);
        let looks = Looks::of(["b", "a", "b"]);
        assert_eq!(looks.protocols(), ["b", "a"]);
        assert_eq!((looks.get("b"), looks.get("a")), (Look::number(0), Look::number(1)));
    }
}
