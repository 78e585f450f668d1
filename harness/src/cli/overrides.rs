//! What the command line sets in place of a scenario's own values.

use clap::Args;

use crate::scenario::{Measure, Scenario, StorageConfig, TransportKind};

#[derive(Args, Default)]
pub(super) struct Overrides {
    /// How messages move, in place of the scenario's
    #[arg(long, value_enum)]
    pub(super) network: Option<TransportKind>,
    /// One-way delay of every link in milliseconds, in place of the scenario's
    #[arg(long, allow_negative_numbers = true)]
    pub(super) delay_ms: Option<f64>,
    /// With tcp, replica i listens on this port plus i
    #[arg(long)]
    pub(super) base_port: Option<u16>,
    /// Where logs are kept, in place of the scenario's
    #[arg(long, value_enum)]
    pub(super) storage: Option<StorageConfig>,
    /// Size of the cluster, in place of the scenario's
    #[arg(long)]
    pub(super) replicas: Option<usize>,
    /// Seed, in place of the scenario's
    #[arg(long)]
    pub(super) seed: Option<u64>,
}

impl Overrides {
    pub(super) fn apply(&self, scenario: &mut Scenario) {
        let network = &mut scenario.network;
        network.kind = self.network.unwrap_or(network.kind);
        network.delay_ms = self.delay_ms.unwrap_or(network.delay_ms);
        network.base_port = self.base_port.or(network.base_port);
        scenario.storage = self.storage.unwrap_or(scenario.storage);
        if let Some(replicas) = self.replicas {
            scenario.replicas = replicas;
            // These bring their own sizes, which an override must not leave as they are.
            match &mut scenario.measure {
                Measure::Scalability(sweep) => sweep.replicas = vec![replicas],
                Measure::Exact(plan) => plan.replicas = vec![replicas],
                _ => {}
            }
        }
        scenario.seed = self.seed.unwrap_or(scenario.seed);
    }

    /// The same flags again, to be written into a command.
    pub(super) fn flags(&self) -> String {
        let mut flags = String::new();
        let mut flag = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                flags += &format!(" --{name} {value}");
            }
        };
        flag("network", self.network.map(|kind| kind.name().into()));
        flag("delay-ms", self.delay_ms.map(|ms| ms.to_string()));
        flag("base-port", self.base_port.map(|port| port.to_string()));
        flag("storage", self.storage.map(|storage| storage.name().into()));
        flag("replicas", self.replicas.map(|replicas| replicas.to_string()));
        flag("seed", self.seed.map(|seed| seed.to_string()));
        flags
    }
}
