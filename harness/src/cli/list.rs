//! `consensus-bench list`: what there is to run.

use protocol_core::{Order, Settings};

use super::{CliError, Format, Source};
use crate::exit::EXIT_OK;
use crate::output::say;
use crate::results::{ClusterQuorums, quorums_in_words};
use crate::scenario::Scenario;
use crate::suite::{Registration, Suite};

pub(super) fn list(suite: &Suite, source: &Source, format: Format) -> Result<u8, CliError> {
    let scenarios = source.scenarios()?;
    match format {
        Format::Json => say!("{}", serde_json::to_string_pretty(&list_json(suite, &scenarios))?),
        Format::Text => print_list(suite, &scenarios),
    }
    Ok(EXIT_OK)
}

fn print_list(suite: &Suite, scenarios: &[Scenario]) {
    say!("Protocols");
    for registration in suite.all() {
        let protocol = registration.protocol.descriptor();
        let (low, high) = protocol.cluster_sizes;
        say!("  {} ({}): {}", registration.name, protocol.family.name(), protocol.implementation);
        say!("      commit: {}", protocol.commit_means);
        // They were checked when the protocol was registered.
        let settings = Settings::checked(registration.settings.clone(), &protocol).unwrap_or_default();
        let mut sizes = [3, 5].map(|replicas| protocol.size_for(replicas)).to_vec();
        sizes.dedup();
        let tolerates =
            sizes.iter().map(|&size| format!("{size} tolerate {}", (protocol.tolerates)(size, &settings)));
        let tolerates: Vec<String> = tolerates.collect();
        say!("      {low} to {high} replicas; {}", tolerates.join(", "));
        let quorums = listed_quorums(registration);
        if !quorums.is_empty() {
            say!("      quorums, in replicas: {}", quorums_in_words(&quorums));
        }
        for tunable in protocol.tunables {
            let (low, high) = tunable.range;
            let live = if tunable.live { "; changes live" } else { "" };
            say!(
                "      --set {}={} ({low} to {high}{live}): {}",
                tunable.name,
                tunable.default,
                tunable.about
            );
        }
        for constraint in protocol.constraints {
            say!("      holds, of the values in force: {}", constraint.says);
        }
    }
    say!("Scenarios");
    for scenario in scenarios {
        say!("  {} ({}): {}", scenario.name, scenario.measure.name(), scenario.about);
    }
}

/// The quorums of clusters of 3 and 5 replicas, or of the next sizes that the protocol can have.
fn listed_quorums(registration: &Registration) -> Vec<ClusterQuorums> {
    let protocol = registration.protocol.descriptor();
    ClusterQuorums::of(&protocol, &registration.settings, [3, 5].map(|replicas| protocol.size_for(replicas)))
}

fn list_json(suite: &Suite, scenarios: &[Scenario]) -> serde_json::Value {
    let protocols: Vec<_> = suite
        .all()
        .iter()
        .map(|registration| {
            let protocol = registration.protocol.descriptor();
            let tunables: Vec<_> = protocol
                .tunables
                .iter()
                .map(|tunable| {
                    serde_json::json!({
                        "name": tunable.name, "about": tunable.about, "low": tunable.range.0,
                        "high": tunable.range.1, "default": tunable.default, "live": tunable.live,
                        "unit": tunable.unit(), "scale": tunable.scale.name(), "trades": tunable.trades,
                    })
                })
                .collect();
            serde_json::json!({
                "name": registration.name, "family": protocol.family.name(),
                "implementation": protocol.implementation, "commit_means": protocol.commit_means,
                "closed_loop": protocol.order != Order::Set,
                "quorums": listed_quorums(registration),
                "smallest": protocol.cluster_sizes.0, "largest": protocol.cluster_sizes.1,
                "tunables": tunables,
                "constraints": protocol.constraints.iter().map(|one| one.says).collect::<Vec<_>>(),
            })
        })
        .collect();
    serde_json::json!({ "protocols": protocols, "scenarios": scenarios })
}
