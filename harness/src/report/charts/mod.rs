//! The charts of a report, and their data: the one place from which pictures and exports are made.

pub mod axes;
pub mod chart;
mod cost;
mod faults;
mod load;
mod map;
mod over_time;
mod parts;
mod percentiles;
mod rows;
mod scalability;
pub mod svg;
mod topologies;
mod trend;

pub use chart::{Card, ChartData, View};
pub use svg::draw;

use super::material::Material;

/// Points of a series that are drawn, at most.
pub const MOST_POINTS: usize = 160;

/// Names of the cards that advice and verdicts refer to.
pub mod ids {
    /// Latency against throughput.
    pub const LOAD: &str = "latency-throughput";
    /// Percentile curves.
    pub const PERCENTILES: &str = "percentiles";
    /// Throughput and latency over time.
    pub const OVER_TIME: &str = "over-time";
    /// Commits around a fault.
    pub const OUTAGE: &str = "outage";
    /// How long it took to come back from each fault.
    pub const RECOVERY: &str = "recovery";
    /// Where the time of a request goes.
    pub const PARTS: &str = "latency-parts";
    /// CPU, memory and network over time.
    pub const RESOURCES: &str = "resources";
    /// Throughput by clients and replicas.
    pub const SCALABILITY: &str = "scalability";
    /// Messages and bytes of a commit.
    pub const COST: &str = "cost";
    /// Metrics over earlier runs.
    pub const TREND: &str = "trend";
    /// Where replicas are.
    pub const TOPOLOGY: &str = "topology";
    /// Flame graphs.
    pub const PROFILE: &str = "profile";
}

/// All charts that the material has data for, thinned to at most so many points in a series.
pub fn cards(material: &Material, most_points: usize) -> Vec<Card> {
    let all = [
        load::card(material),
        faults::outage_card(material),
        faults::recovery_card(material),
        percentiles::card(material),
        over_time::load_card(material),
        parts::card(material),
        cost::card(material),
        scalability::card(material),
        over_time::resources_card(material),
        trend::card(material),
        topologies::card(material),
    ];
    let mut cards: Vec<Card> = all.into_iter().flatten().collect();
    for view in cards.iter_mut().flat_map(|card| &mut card.views) {
        view.chart.thin(most_points);
    }
    cards
}

/// A card of these views; none when there is nothing to draw.
fn card(id: &str, title: &str, about: &str, mut views: Vec<View>) -> Option<Card> {
    views.retain(|view| !view.chart.is_empty());
    (!views.is_empty()).then(|| Card { id: id.into(), title: title.into(), about: about.into(), views })
}

/// A chart on its own scale.
fn view(subject: impl Into<String>, metric: impl Into<String>, chart: ChartData) -> View {
    View { subject: subject.into(), metric: metric.into(), scale: String::new(), chart }
}

/// A chart of which the logarithmic scale comes first, and the linear one with it.
fn both_scales(subject: &str, metric: &str, chart: ChartData) -> [View; 2] {
    let linear = chart.on(chart::Scale::Linear);
    let of = |scale: &str, chart| View {
        subject: subject.into(),
        metric: metric.into(),
        scale: scale.into(),
        chart,
    };
    [of("logarithmic", chart), of("linear", linear)]
}

#[cfg(test)]
mod tests;
