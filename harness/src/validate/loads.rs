//! The loads that virtual time is held against. None of them is one that costs are fitted to: those are
//! closed loops with other numbers of clients and other payloads.

use super::Quantity;
use crate::scenario::{NetworkConfig, Scenario, StorageConfig};
use crate::suite::Registration;

/// How far virtual time may be from real time, as a share.
const AIM_P50: f64 = 0.10;
const AIM_P99: f64 = 0.25;
const AIM_THROUGHPUT: f64 = 0.20;

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LoadKind {
    /// Poisson arrivals at this rate, in requests per second.
    Open(f64),
    /// So many clients, each with one request in flight.
    Closed(usize),
    /// Poisson arrivals at this rate, and the leader crashes.
    LeaderCrash(f64),
}

/// One load on one kind of cluster.
#[derive(Clone, Debug)]
pub struct Load {
    /// Name, as given to `--load`.
    pub name: &'static str,
    /// What it is, in words.
    pub about: &'static str,
    /// How requests come.
    pub kind: LoadKind,
    /// One-way delay of every link, in milliseconds.
    pub delay_ms: f64,
    /// Where logs are kept.
    pub storage: StorageConfig,
}

impl Load {
    /// How large the error of a quantity may be under this load; none where nothing is promised. The
    /// throughput of an open loop is not compared: below saturation it is what was offered.
    pub fn aim(&self, quantity: Quantity) -> Option<f64> {
        match (quantity, self.kind) {
            (Quantity::Throughput | Quantity::PerCpuSecond, LoadKind::Closed(_)) => Some(AIM_THROUGHPUT),
            (Quantity::P50, _) => Some(AIM_P50),
            (Quantity::P99, _) => Some(AIM_P99),
            (Quantity::Throughput | Quantity::PerCpuSecond | Quantity::Recovery, _) => None,
        }
    }

    /// The scenario of the load for a protocol, without phases: three replicas, or as few as it can have.
    pub fn scenario(&self, registration: &Registration) -> Scenario {
        Scenario {
            replicas: registration.sizes_near(&[3]).first().copied().unwrap_or(3),
            network: NetworkConfig { delay_ms: self.delay_ms, ..NetworkConfig::default() },
            storage: self.storage,
            // Longer than any outage, so that clients try until the cluster is back.
            timeout_ms: 8_000.0,
            ..Scenario::named(&format!("validate_{}", self.name))
        }
    }
}

/// All loads.
pub fn loads() -> Vec<Load> {
    use LoadKind::{Closed, LeaderCrash, Open};
    let load =
        |name, about, kind, delay_ms| Load { name, about, kind, delay_ms, storage: StorageConfig::Memory };
    let on_disk = |load: Load| Load { storage: StorageConfig::Wal, ..load };
    vec![
        load("open_low", "500 requests/s, perfect links", Open(500.0), 0.0),
        load("open_medium", "10,000 requests/s, perfect links", Open(10_000.0), 0.0),
        load("lan_low", "500 requests/s, links of 0.25 ms", Open(500.0), 0.25),
        load("lan_medium", "5,000 requests/s, links of 0.25 ms", Open(5_000.0), 0.25),
        load("far_low", "500 requests/s, links of 5 ms", Open(500.0), 5.0),
        load("far_medium", "5,000 requests/s, links of 5 ms", Open(5_000.0), 5.0),
        load("closed_1", "1 client, perfect links", Closed(1), 0.0),
        load("closed_64", "64 clients, perfect links", Closed(64), 0.0),
        load("lan_closed_1", "1 client, links of 0.25 ms", Closed(1), 0.25),
        load("lan_closed_64", "64 clients, links of 0.25 ms", Closed(64), 0.25),
        load("saturation", "1,024 clients, perfect links", Closed(1_024), 0.0),
        on_disk(load("wal_low", "200 requests/s, perfect links, a log on disk", Open(200.0), 0.0)),
        on_disk(load(
            "leader_crash",
            "the leader crashes under 1,000 requests/s, a log on disk",
            LeaderCrash(1_000.0),
            0.0,
        )),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Design;

    #[test]
    fn no_load_is_one_that_costs_are_fitted_to() {
        let fitted = Design::default();
        for load in loads() {
            let scenario = Scenario::named(load.name);
            assert!(!fitted.payloads.contains(&scenario.payload_bytes));
            if let LoadKind::Closed(clients) = load.kind {
                assert!(!fitted.clients.contains(&clients), "{}", load.name);
            }
        }
    }
}
