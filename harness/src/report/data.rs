//! The data of every chart for other tools: CSV with a line for each point, and JSON with everything.

use super::charts::chart::{Card, ChartData, View};
use super::charts::{cards, svg::shown};
use super::material::Material;

/// Points are exported as they are, and not as a picture has room for them.
const ALL: usize = usize::MAX;

/// All charts as one JSON document.
pub fn json(material: &Material) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&cards(material, ALL))
}

/// Two files for each chart: `NAME.csv` and `NAME.json`.
pub fn files(material: &Material) -> Result<Vec<(String, String)>, serde_json::Error> {
    let mut files = Vec::new();
    for card in cards(material, ALL) {
        // On another scale the data are the same.
        for (index, view) in card.views.iter().enumerate().filter(|(_, view)| view.scale != "linear") {
            let name = file_name(&card, view, index);
            files.push((format!("{name}.csv"), csv(&view.chart)));
            files.push((format!("{name}.json"), serde_json::to_string_pretty(&view.chart)?));
        }
    }
    Ok(files)
}

/// The number keeps names apart that differ in signs only.
fn file_name(card: &Card, view: &View, index: usize) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let metric: String = format!("{} {}", view.subject, view.metric).chars().take(80).map(plain).collect();
    format!("{}-{index}-{metric}", card.id)
}

/// A line for each point, with its category's name where it has one.
fn csv(chart: &ChartData) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let x = head("x", &chart.x.label, &chart.x.unit);
    let y = head("y", &chart.y.label, &chart.y.unit);
    // Writing into memory does not fail.
    writer.write_record(["series", "protocol", &x, &y, "lower", "upper", "note"]).ok();
    for series in &chart.series {
        for point in &series.points {
            let value = |value: f64, axis: &super::charts::chart::Axis| {
                if axis.categories.is_empty() { value.to_string() } else { shown(value, axis) }
            };
            let end = |end: Option<f64>| end.map(|end| end.to_string()).unwrap_or_default();
            let record = [
                series.name.clone(),
                series.protocol.clone().unwrap_or_default(),
                value(point.x, &chart.x),
                value(point.y, &chart.y),
                end(point.lower),
                end(point.upper),
                point.note.clone(),
            ];
            writer.write_record(record).ok();
        }
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

fn head(axis: &str, label: &str, unit: &str) -> String {
    if unit.is_empty() { format!("{axis}: {label}") } else { format!("{axis}: {label} [{unit}]") }
}
