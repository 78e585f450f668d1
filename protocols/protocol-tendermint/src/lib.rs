//! consensus-bench adapter over Malachite's Tendermint (Buchman, Kwon and Milosevic, "The latest gossip on
//! BFT consensus", 2018): its sans-IO core as a [`Replica`](protocol_core::Replica).
//!
//! One crate gives two protocols, which differ in nothing but the proofs that messages carry: signatures,
//! or authentication codes.

mod certificates;
mod codec;
mod context;
mod host;
mod keys;
mod ledger;
mod lies;
mod mempool;
mod messages;
mod records;
mod recovery;
mod replica;
mod setup;
mod signature;
mod sync;
mod timers;

use std::sync::Arc;

use async_trait::async_trait;
use malachitebft_core_types::{ThresholdParam, ThresholdParams, VotingPower};
use protocol_core::{
    Behaviour, ClientRule, Cluster, Descriptor, DriverOptions, Family, FaultModel, Floors, LaunchError,
    LaunchSpec, Operation, Order, Particulars, Protocol, Quorums, ReplicaCluster, Role, Scale,
    SimulatedCluster, Simulation, SimulationSpec, SizeRule, StorageSpec, Timing, Tunable, check_size,
};

pub use context::{
    Address, Batch, BatchId, Chain, Height, NoParts, Proofs, Proposal, Validator, Validators, Vote,
};
pub use keys::{Authentication, Keyring, client_seal};
pub use messages::{Decision, Snapshot, TendermintMessage};
pub use records::Record;
pub use replica::TendermintReplica;
pub use setup::TendermintSetup;

pub(crate) const LARGEST_BATCH: Tunable = Tunable {
    name: "largest_batch_commands",
    role: Role::BatchSize,
    about: "commands in one proposal",
    range: (1.0, host::MOST_COMMANDS as f64),
    scale: Scale::Logarithmic,
    default: 1_024.0,
    live: false,
    trades: None,
};

/// Replicas that tolerate one liar.
const FEWEST: usize = 4;

/// The protocols `tendermint` and `tendermint-mac`.
#[derive(Clone, Copy, Debug)]
pub struct Tendermint {
    authentication: Authentication,
}

impl Tendermint {
    /// `tendermint`: replicas and clients sign.
    pub const SIGNATURES: Tendermint = Tendermint { authentication: Authentication::Signatures };
    /// `tendermint-mac`: they make an authentication code for each receiver.
    pub const CODES: Tendermint = Tendermint { authentication: Authentication::Codes };

    /// [`simulate`](Protocol::simulate) with signatures that are really made and checked, to measure what
    /// they cost this machine. Counts and bytes are the same.
    pub fn simulate_with_real_signatures(
        &self,
        spec: &SimulationSpec,
    ) -> Result<Box<dyn Simulation>, LaunchError> {
        self.simulate_with(spec, self.authentication)
    }

    fn simulate_with(
        &self,
        spec: &SimulationSpec,
        authentication: Authentication,
    ) -> Result<Box<dyn Simulation>, LaunchError> {
        check_size(&self.descriptor(), spec.replicas)?;
        let setup = TendermintSetup {
            authentication,
            timing: spec.timing,
            settings: spec.settings.clone(),
            durable: spec.durable,
            seed: spec.seed,
        };
        let options = self.driver_options(&setup, spec.replicas);
        SimulatedCluster::launch(spec, options, move |boot| setup.replica(boot))
    }

    fn driver_options(&self, setup: &TendermintSetup, replicas: usize) -> DriverOptions {
        DriverOptions {
            largest_proposal: host::MOST_COMMANDS,
            clients: ClientRule::Everyone { matching: answers(replicas) },
            seal: Some(client_seal(setup.authentication, replicas, setup.seed)),
            ..DriverOptions::of(&self.descriptor())
        }
    }
}

/// A proposal to all others, and from each replica two votes to all others.
fn logical_floors(replicas: usize) -> Floors {
    let n = replicas as f64;
    Floors::without_cryptography((n - 1.0) * (2.0 * n + 1.0), 3.0)
}

fn tolerated(replicas: usize) -> usize {
    replicas.saturating_sub(1) / 3
}

/// Equal answers that a client waits for: one of them is honest.
fn answers(replicas: usize) -> usize {
    tolerated(replicas) + 1
}

#[async_trait]
impl Protocol for Tendermint {
    fn descriptor(&self) -> Descriptor {
        let (name, implementation) = match self.authentication {
            Authentication::Signatures | Authentication::IdealSignatures => {
                ("tendermint", "arc-malachitebft-core-consensus 0.8.2, Ed25519")
            }
            Authentication::Codes => {
                ("tendermint-mac", "arc-malachitebft-core-consensus 0.8.2, BLAKE3 codes")
            }
        };
        Descriptor {
            name,
            family: Family::Byzantine,
            implementation,
            fault_model: FaultModel::Byzantine,
            tolerates: |replicas, _| tolerated(replicas),
            cluster_sizes: (FEWEST, 101),
            order: Order::Total,
            operation: Operation::append,
            commit_means: "precommitted by +2/3, durably when the storage is, and applied by f + 1 that say so",
            quorums: |replicas, _| {
                // The library's own, by which its core counts votes.
                let ThresholdParams { quorum, honest } = ThresholdParams::default();
                let least = |part: ThresholdParam| part.min_expected(replicas as VotingPower) as usize;
                Ok(Quorums::from([
                    ("commit", least(quorum)),
                    ("next_round", least(honest)),
                    ("reply", answers(replicas)),
                ]))
            },
            floors: match self.authentication {
                Authentication::Signatures | Authentication::IdealSignatures => |replicas| Floors {
                    signatures_per_batch: 2.0 * replicas as f64,
                    ..logical_floors(replicas)
                },
                Authentication::Codes => logical_floors,
            },
            // Its proposals begin with a height and not with a request: there is nothing to linger for.
            tunables: &[LARGEST_BATCH, Timing::HEARTBEAT, Timing::ELECTION_MIN],
            constraints: &[
                Timing::WHOLE_HEARTBEAT,
                Timing::ELECTION_AFTER_HEARTBEAT,
                Timing::SPREAD_ELECTIONS,
            ],
            particulars: Particulars {
                behaviours: &Behaviour::LIES,
                sizes: Some(SizeRule {
                    rule: "n ≥ 3f + 1 for f liars", fits: |replicas| replicas >= FEWEST
                }),
                ..Particulars::default()
            },
        }
    }

    async fn launch(&self, spec: LaunchSpec) -> Result<Arc<dyn Cluster>, LaunchError> {
        check_size(&self.descriptor(), spec.replicas)?;
        let setup = TendermintSetup {
            authentication: self.authentication,
            timing: spec.timing,
            settings: spec.settings.clone(),
            durable: spec.storage != StorageSpec::Memory,
            seed: spec.seed,
        };
        let options = self.driver_options(&setup, spec.replicas);
        ReplicaCluster::launch(&spec, options, move |boot| setup.replica(boot)).await
    }

    fn simulate(&self, spec: &SimulationSpec) -> Result<Box<dyn Simulation>, LaunchError> {
        self.simulate_with(spec, self.authentication.ideal())
    }
}
