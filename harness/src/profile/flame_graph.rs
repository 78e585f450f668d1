//! Flame graphs as SVG: of one profile, and of the difference of two.

use inferno::differential;
use inferno::flamegraph::{self, Options};
use thiserror::Error;

use super::Folded;

/// A flame graph that was not drawn.
#[derive(Debug, Error)]
#[error("no flame graph: {0}")]
pub struct FlameGraphError(#[from] std::io::Error);

/// How a graph is labelled.
pub struct Labels<'a> {
    /// Above the graph.
    pub title: &'a str,
    /// Below that.
    pub subtitle: &'a str,
    /// What the width of a function stands for.
    pub unit: &'a str,
}

/// Draws stacks.
pub fn flame_graph(folded: &Folded, labels: &Labels<'_>) -> Result<Vec<u8>, FlameGraphError> {
    let mut svg = Vec::new();
    flamegraph::from_reader(&mut options(labels), folded.text().as_bytes(), &mut svg)?;
    Ok(svg)
}

/// Draws the stacks of `after`, red where they grew and blue where they shrank since `before`. Both have to
/// be weighed in the same unit.
pub fn difference_graph(
    before: &Folded,
    after: &Folded,
    labels: &Labels<'_>,
) -> Result<Vec<u8>, FlameGraphError> {
    let mut lines = Vec::new();
    let (before, after) = (before.text(), after.text());
    differential::from_readers(
        differential::Options::default(),
        before.as_bytes(),
        after.as_bytes(),
        &mut lines,
    )?;
    let mut svg = Vec::new();
    flamegraph::from_reader(&mut options(labels), &lines[..], &mut svg)?;
    Ok(svg)
}

fn options(labels: &Labels<'_>) -> Options<'static> {
    let mut options = Options::default();
    options.title = labels.title.into();
    options.subtitle = Some(labels.subtitle.into());
    options.count_name = labels.unit.into();
    // The same stacks give the same picture.
    options.deterministic = true;
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: Labels<'_> = Labels { title: "cost/raft-rs", subtitle: "A < B", unit: "samples" };

    #[test]
    fn a_flame_graph_holds_every_function_with_its_weight() {
        let folded = Folded::parse("cluster;outer;Vec<T>::push 30\ncluster;other 10\n").unwrap();
        let svg = String::from_utf8(flame_graph(&folded, &LABELS).unwrap()).unwrap();
        for part in [
            "cost/raft-rs",
            "A &lt; B",
            "Vec&lt;T&gt;::push (30 samples, 75.00%)",
            "other (10 samples, 25.00%)",
        ] {
            assert!(svg.contains(part), "{part}");
        }
        assert_eq!(svg.as_bytes(), flame_graph(&folded, &LABELS).unwrap());
    }

    #[test]
    fn a_difference_says_what_grew() {
        let before = Folded::parse("t;a 100\nt;b 100\n").unwrap();
        let after = Folded::parse("t;a 100\nt;b 300\n").unwrap();
        let svg = String::from_utf8(difference_graph(&before, &after, &LABELS).unwrap()).unwrap();
        assert!(svg.contains("b (300 samples, 75.00%; +50.00%)"), "{svg}");
    }
}
