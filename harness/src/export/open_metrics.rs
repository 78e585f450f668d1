//! OpenMetrics text (<https://prometheus.io/docs/specs/om/open_metrics_spec/>), which Prometheus and its node
//! exporter's textfile collector read.
//!
//! A metric is a family of gauges with its own name, and each row is a series of it, told apart by labels.
//! Ends of intervals are families beside it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::{ExportedFile, Number, Remark};

/// What every family's name begins with.
const PREFIX: &str = "consensus_bench_";

/// A family's samples: labels and value.
type Families = BTreeMap<String, (String, Vec<(String, f64)>)>;

/// One file with everything.
pub(super) fn files(numbers: &[Number], output: &Path) -> (Vec<ExportedFile>, Vec<Remark>) {
    let mut families = Families::new();
    for number in numbers {
        let (metric, labels) = (number.metric, labels(number));
        let name = format!("{PREFIX}{}", plain(&metric.name));
        let mut add = |name: String, help: String, value: f64| {
            let (_, samples) = families.entry(name).or_insert_with(|| (help, Vec::new()));
            samples.push((labels.clone(), value));
        };
        let unit = if metric.unit.is_empty() { "1" } else { &metric.unit };
        add(name.clone(), format!("{} in {unit}", metric.name), metric.value);
        if let Some((lower, upper)) = number.interval() {
            for (ending, what, value) in [("lower", "lower", lower), ("upper", "upper", upper)] {
                add(
                    format!("{name}_{ending}"),
                    format!("{what} end of the 95 % interval of {}", metric.name),
                    value,
                );
            }
        }
    }
    (vec![ExportedFile { path: output.into(), text: text(&families), numbers: numbers.len() }], Vec::new())
}

fn text(families: &Families) -> String {
    let mut text = String::new();
    for (name, (help, samples)) in families {
        // Writing into a string does not fail.
        writeln!(text, "# TYPE {name} gauge\n# HELP {name} {}", escaped(help)).ok();
        for (labels, value) in samples {
            writeln!(text, "{name}{{{labels}}} {value:?}").ok();
        }
    }
    text + "# EOF\n"
}

fn labels(number: &Number) -> String {
    let result = number.result;
    let disturbed = if result.disturbed.is_empty() { "no" } else { "yes" };
    [
        ("scenario", result.scenario.name.as_str()),
        ("protocol", &result.protocol),
        ("network", result.network_name()),
        ("storage", result.scenario.storage.name()),
        ("disturbed", disturbed),
    ]
    .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
    .join(",")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', " ")
}

/// A name of letters, digits and `_`.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
