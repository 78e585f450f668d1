//! PBFT: agreement among n = 3f + 1 replicas of which f may lie.
//!
//! A sans-IO core of our own, after M. Castro and B. Liskov, *Practical Byzantine Fault Tolerance* (OSDI '99), and
//! *Practical Byzantine Fault Tolerance and Proactive Recovery* (ACM TOCS 20(4), 2002). Comments cite their
//! sections. The README says what is as in the papers, what is not, and why.

mod agreement;
mod authenticator;
mod batch;
mod byzantine;
mod certificates;
mod checkpoint;
mod client;
mod codec;
mod decision;
mod encoding;
mod exchange;
mod log;
mod messages;
mod pool;
mod quorums;
mod records;
mod recovery;
mod replica;
mod retransmission;
mod setup;
mod view_change;

use std::sync::Arc;

use async_trait::async_trait;
use protocol_core::{
    Behaviour, Boot, Byzantine, ClientRule, Cluster, Constraint, Descriptor, DriverOptions, Family,
    FaultModel, Floors, LaunchError, LaunchSpec, Operation, Order, Particulars, Protocol, ReplicaCluster,
    Seal, SimulatedCluster, Simulation, SimulationSpec, SizeRule, StorageSpec, Timing, Tunable, check_size,
};

pub use authenticator::{Authentication, Digest, KeySource, Keyring, Proof, Signature, SignatureScheme, Tag};
pub use batch::{Batch, Entry};
pub use certificates::{Certificate, CheckpointVote, NewView, Seen, ViewChange};
pub use messages::{Body, PbftMessage, Status, Vote};
pub use quorums::Flaw;
pub use records::Record;
pub use replica::PbftReplica;
pub use setup::Setup;

const TUNABLES: &[Tunable] = &[
    setup::LARGEST_BATCH,
    setup::WINDOW,
    setup::CHECKPOINT_INTERVAL,
    setup::LOG_WINDOW,
    setup::TENTATIVE,
    setup::CLIENT_SIGNATURES,
    Timing::HEARTBEAT,
    Timing::ELECTION_MIN,
    DriverOptions::LINGER,
    StorageSpec::GROUP_COMMIT,
];

const CONSTRAINTS: &[Constraint] =
    &[setup::ROOM_FOR_A_CHECKPOINT, Timing::WHOLE_HEARTBEAT, Timing::ELECTION_AFTER_HEARTBEAT];

/// The protocols `pbft`, whose replicas authenticate votes by codes, and `pbft-signed`, where they sign them.
#[derive(Clone, Copy, Debug)]
pub struct Pbft {
    authentication: Authentication,
}

impl Pbft {
    /// With message authentication codes.
    pub const MAC: Pbft = Pbft { authentication: Authentication::Mac };
    /// With signatures.
    pub const SIGNED: Pbft = Pbft { authentication: Authentication::Signature };

    /// What clients put on their commands.
    pub fn seal(&self, setup: &Setup) -> Seal {
        client::seal(&setup.keys, setup.client_authentication)
    }

    fn driver_options(&self, setup: &Setup) -> DriverOptions {
        DriverOptions {
            clients: ClientRule::Everyone { matching: setup.answers() },
            seal: Some(self.seal(setup)),
            ..DriverOptions::of(&self.descriptor())
        }
    }

    /// A cluster in virtual time whose replicas are made with this setup, such as one with a fault planted.
    pub fn simulate_with(
        &self,
        spec: &SimulationSpec,
        setup: Setup,
    ) -> Result<Box<dyn Simulation>, LaunchError> {
        let options = self.driver_options(&setup);
        SimulatedCluster::launch(spec, options, move |boot| replica(boot, &setup))
    }

    fn setup(&self, spec: &LaunchSpec) -> Result<Setup, LaunchError> {
        check_size(&self.descriptor(), spec.replicas)?;
        let durable = spec.storage != StorageSpec::Memory;
        let keys = KeySource::new(SignatureScheme::Ed25519, spec.seed, spec.replicas);
        Setup::new(keys, self.authentication, &spec.timing, &spec.settings, durable)
    }

    /// The setup of a simulation whose replicas and clients sign by this scheme. Counts and bytes are the same
    /// by either; with [`SignatureScheme::Ed25519`] the machine that simulates really does the work.
    pub fn simulated_setup(
        &self,
        spec: &SimulationSpec,
        scheme: SignatureScheme,
    ) -> Result<Setup, LaunchError> {
        check_size(&self.descriptor(), spec.replicas)?;
        let keys = KeySource::new(scheme, spec.seed, spec.replicas);
        Setup::new(keys, self.authentication, &spec.timing, &spec.settings, spec.durable)
    }
}

#[async_trait]
impl Protocol for Pbft {
    fn descriptor(&self) -> Descriptor {
        let (name, implementation) = match self.authentication {
            Authentication::Mac => ("pbft", "our own, with BLAKE3 codes"),
            Authentication::Signature => ("pbft-signed", "our own, with Ed25519 signatures"),
        };
        Descriptor {
            name,
            family: Family::Byzantine,
            implementation,
            fault_model: FaultModel::Byzantine,
            tolerates: |replicas, _| replicas.saturating_sub(1) / 3,
            cluster_sizes: (4, 103),
            order: Order::Total,
            operation: Operation::append,
            commit_means: "2f + 1 replicas said that they prepared it, and f + 1 that they applied it",
            quorums: |replicas, settings| {
                Ok(quorums::Quorums::of(replicas).sizes(settings.get(&setup::TENTATIVE) != 0.0))
            },
            floors: match self.authentication {
                Authentication::Mac => floors_with_codes,
                Authentication::Signature => floors_with_signatures,
            },
            tunables: TUNABLES,
            constraints: CONSTRAINTS,
            particulars: Particulars {
                behaviours: &Behaviour::LIES,
                // Quorums of 2f + 1 are the right ones for no other size.
                sizes: Some(SizeRule { rule: "n = 3f + 1", fits: |replicas| replicas % 3 == 1 }),
                ..Particulars::default()
            },
        }
    }

    async fn launch(&self, spec: LaunchSpec) -> Result<Arc<dyn Cluster>, LaunchError> {
        let setup = self.setup(&spec)?;
        let options = self.driver_options(&setup);
        ReplicaCluster::launch(&spec, options, move |boot| replica(boot, &setup)).await
    }

    fn simulate(&self, spec: &SimulationSpec) -> Result<Box<dyn Simulation>, LaunchError> {
        self.simulate_with(spec, self.simulated_setup(spec, SignatureScheme::Ideal)?)
    }
}

/// Proofs of votes that the replicas check together, at least. A backup checks a PRE-PREPARE and 2f − 1 PREPAREs
/// beside its own, the primary 2f PREPAREs, and everyone 2f COMMITs beside its own: 4f for each.
fn least_checks(replicas: usize) -> f64 {
    let faults = replicas.saturating_sub(1) / 3;
    (4 * faults * replicas) as f64
}

fn messages_per_batch(replicas: usize) -> f64 {
    2.0 * replicas as f64 * replicas.saturating_sub(1) as f64
}

/// A code is made for every message, and each replica checks the client's code on every request.
fn floors_with_codes(replicas: usize) -> Floors {
    let messages = messages_per_batch(replicas);
    let macs_per_batch = messages + least_checks(replicas);
    Floors {
        macs_per_batch,
        macs_per_command: replicas as f64,
        ..Floors::without_cryptography(messages, 3.0)
    }
}

/// Every replica signs twice, the primary PRE-PREPARE and COMMIT, a backup PREPARE and COMMIT.
fn floors_with_signatures(replicas: usize) -> Floors {
    Floors {
        signatures_per_batch: 2.0 * replicas as f64,
        verifications_per_batch: least_checks(replicas),
        macs_per_command: replicas as f64,
        ..Floors::without_cryptography(messages_per_batch(replicas), 3.0)
    }
}

/// A replica that can be made to lie. When it is slow, it is not quite as slow as others bear.
fn replica(boot: Boot<Record>, setup: &Setup) -> Result<Byzantine<PbftReplica>, LaunchError> {
    let (id, replicas) = (boot.id, boot.replicas);
    let slow_by = setup.options.patience * 4 / 5;
    Ok(Byzantine::new(PbftReplica::new(boot, setup)?, id, replicas, slow_by))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol_core::ReplicaId;

    #[test]
    fn real_time_signs_by_ed25519() {
        let spec = LaunchSpec::in_memory(4);
        let real = KeySource::new(SignatureScheme::Ed25519, spec.seed, 4).keyring(ReplicaId(1));
        for protocol in [Pbft::MAC, Pbft::SIGNED] {
            let signature = protocol.setup(&spec).unwrap().keys.keyring(ReplicaId(0)).sign(b"yes");
            assert!(real.verify(ReplicaId(0), b"yes", &signature));
        }
    }
}
