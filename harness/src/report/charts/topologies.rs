//! Where replicas stood in virtual time.

use super::chart::{Axis, Card, ChartData, Form, Point, Scale, Series, Style};
use super::{card as card_of, ids, view};
use crate::report::material::Material;
use crate::topology::{self, Topology};

const ABOUT: &str = "One-way delays between places; two places are as far apart as a message takes, as well as a \
                     plane allows.";

/// The card of all topologies with more than one place.
pub(super) fn card(material: &Material) -> Option<Card> {
    let mut known: Vec<Topology> = Vec::new();
    for run in &material.runs {
        let used = run.results.iter().flat_map(|result| result.scenario.measure.topologies());
        for name in used {
            let own = run.manifest.topologies.get(name).cloned();
            known.extend(own.or_else(|| topology::built_in(name).ok()));
        }
    }
    let mut views = Vec::new();
    for (index, topology) in known.iter().enumerate() {
        if topology.regions.len() > 1 && !known[..index].contains(topology) {
            views.push(view(topology.name.clone(), "delays", chart(topology)));
        }
    }
    card_of(ids::TOPOLOGY, "Where are the replicas?", ABOUT, views)
}

fn chart(topology: &Topology) -> ChartData {
    let series = topology.regions.iter().zip(&topology.one_way_ms).map(|(from, delays)| Series {
        name: from.clone(),
        protocol: None,
        style: Style::Marks,
        points: delays.iter().enumerate().map(|(to, ms)| Point::at(to as f64, ms * 1e6)).collect(),
    });
    let mut chart = ChartData::new(
        format!("{}: one-way delays between {} places", topology.name, topology.regions.len()),
        Form::Map,
        Axis::named("to", topology.regions.clone()),
        Axis::of("one-way delay", "ns", Scale::Linear),
        series.collect(),
    );
    if !topology.about.is_empty() {
        chart.notes.push(topology.about.clone());
    }
    chart
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use crate::scenario::{ExactPlan, Measure};

    #[test]
    fn a_topology_of_a_file_is_drawn_as_it_was_and_each_once() {
        let mut run = samples::run();
        let own = Topology { name: "ours".into(), ..topology::built_in("wan3").unwrap() };
        run.manifest.topologies.insert("ours.toml".into(), own);
        for result in &mut run.results {
            let topologies = vec!["lan".into(), "ours.toml".into(), "wan5".into(), "gone.toml".into()];
            result.scenario.measure = Measure::Exact(ExactPlan { topologies, ..ExactPlan::default() });
        }
        let card = card(&Material::of_runs("a", vec![run.clone(), run])).unwrap();
        let titles: Vec<&str> = card.views.iter().map(|view| view.chart.title.as_str()).collect();
        assert_eq!(
            titles,
            ["ours: one-way delays between 3 places", "wan5: one-way delays between 5 places"]
        );
    }
}
