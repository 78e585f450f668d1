//! Where replicas stood in virtual time.

use super::chart::{Axis, Card, ChartData, Form, Point, Scale, Series, Style};
use super::{card as card_of, ids, view};
use crate::report::material::Material;
use crate::scenario::Measure;
use crate::topology::{self, Topology};

const ABOUT: &str = "One-way delays between places; two places are as far apart as a message takes, as well as a \
                     plane allows.";

/// The card of all topologies with more than one place.
pub(super) fn card(material: &Material) -> Option<Card> {
    let mut names: Vec<&str> = Vec::new();
    for result in material.results() {
        let used: Vec<&str> = match &result.scenario.measure {
            Measure::Exact(plan) => plan.topologies.iter().map(String::as_str).collect(),
            Measure::VirtualFaultTolerance(plan) => vec![&plan.topology],
            _ => Vec::new(),
        };
        for name in used {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    // A topology of one's own may have changed since, or be on another machine: only what is built in is
    // sure.
    let known = names.into_iter().filter_map(|name| topology::built_in(name).ok());
    let placed = known.filter(|topology| topology.regions.len() > 1);
    let views = placed.map(|topology| view(topology.name.clone(), "delays", chart(&topology))).collect();
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
