//! `consensus-bench quorums`: which read and write quorums to set.

use clap::Args;
use protocol_core::{LaunchError, Settings, SimulationSpec, check_size};
use serde_json::json;
use thiserror::Error;

use super::Format;
use crate::exit::{EXIT_OK, EXIT_TOOL, EXIT_UNSAFE, EXIT_USAGE};
use crate::model::by_simulation::spec_at;
use crate::model::quorum_latency::Sites;
use crate::output::say;
use crate::quorum_choice::{
    Choice, MeasuredLatency, QuorumError, Ranked, Wishes, at_replicas, rank, text, verify,
};
use crate::run::RunError;
use crate::suite::{Registration, Suite, SuiteError};
use crate::topology::{self, TopologyError};

/// Of a topology with one region.
const USUAL_REPLICAS: usize = 3;

#[derive(Args)]
pub(super) struct QuorumsCommand {
    /// Protocol whose quorums can be set: omnipaxos, abd or dynamo
    protocol: String,
    /// Built-in topology, or a topology file
    #[arg(long)]
    topology: String,
    /// Share of the commands that read, from 0 to 1
    #[arg(long, default_value_t = 0.5)]
    read_share: f64,
    /// Size of the cluster; a replica per region when it is not given
    #[arg(long)]
    replicas: Option<usize>,
    /// Replicas that may fail with reads, writes and elections going on
    #[arg(long, default_value_t = 1)]
    tolerate: usize,
    /// The replica that leads, of a protocol with a leader; all are averaged when it is not given
    #[arg(long)]
    leader: Option<usize>,
    /// Seed of jitter and of the simulation
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Simulates the best and the default, and shows what they took there
    #[arg(long)]
    verify: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Why no quorums were ranked.
#[derive(Debug, Error)]
pub(super) enum QuorumsCommandError {
    #[error(transparent)]
    Suite(#[from] SuiteError),
    #[error("--read-share {0} is outside 0 to 1")]
    ReadShare(f64),
    #[error(transparent)]
    Topology(#[from] TopologyError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Quorums(#[from] QuorumError),
    #[error("quorums as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl QuorumsCommandError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            QuorumsCommandError::Quorums(QuorumError::Run(RunError::Unsafe(_))) => EXIT_UNSAFE,
            QuorumsCommandError::Quorums(QuorumError::Run(RunError::Stalled(_)))
            | QuorumsCommandError::Json(_) => EXIT_TOOL,
            _ => EXIT_USAGE,
        }
    }
}

/// What is to be verified.
struct Wanted<'a> {
    registration: &'a Registration,
    base: &'a Settings,
    spec: &'a SimulationSpec,
    wishes: Wishes,
}

impl Wanted<'_> {
    /// The best pair and the default in the simulator, each beside what is predicted for who led there.
    fn measure(&self, ranked: &Ranked) -> Result<Vec<(Choice, MeasuredLatency)>, QuorumError> {
        let protocol = &*self.registration.protocol;
        let best = ranked.choices.first();
        let usual = ranked.default_choice().filter(|usual| Some(*usual) != best);
        let mut measured = Vec::new();
        for choice in best.into_iter().chain(usual) {
            let found = verify(protocol, self.base, choice, self.spec, self.wishes.read_share)?;
            let leads = Wishes { leader: found.leader, ..self.wishes };
            let again = rank(&protocol.descriptor(), self.base, &Sites::of(self.spec), &leads)?;
            let same = |other: &&Choice| (other.read, other.write) == (choice.read, choice.write);
            measured.push((again.choices.iter().find(same).unwrap_or(choice).clone(), found));
        }
        Ok(measured)
    }
}

impl QuorumsCommand {
    pub(super) fn run(&self, suite: &Suite) -> Result<u8, QuorumsCommandError> {
        let registration = suite.get(&self.protocol)?;
        let descriptor = registration.protocol.descriptor();
        if !(0.0..=1.0).contains(&self.read_share) {
            return Err(QuorumsCommandError::ReadShare(self.read_share));
        }
        let topology = topology::resolve(&self.topology)?;
        let regions = topology.placement.as_ref().map_or(topology.regions.len(), Vec::len);
        let usual = if regions > 1 { regions } else { USUAL_REPLICAS };
        let replicas = self.replicas.unwrap_or_else(|| descriptor.size_for(usual));
        check_size(&descriptor, replicas)?;
        let base = Settings::checked(registration.settings.clone(), &descriptor)?;
        let spec = spec_at(&self.topology, replicas, self.seed).map_err(QuorumError::from)?;
        let wishes = Wishes {
            replicas,
            read_share: self.read_share,
            tolerate: self.tolerate,
            leader: self.leader,
            seed: self.seed,
        };
        let sites = Sites::of(&spec);
        let ranked = rank(&descriptor, &base, &sites, &wishes)?;
        let Some(best) = ranked.choices.first() else { return Ok(EXIT_OK) };
        let region = |replica: usize| topology.region_of(replica).to_string();
        let at = at_replicas(&descriptor, &base, best, &sites, region, self.seed)?;
        let wanted = Wanted { registration, base: &base, spec: &spec, wishes };
        let measured = if self.verify { wanted.measure(&ranked)? } else { Vec::new() };
        match self.format {
            Format::Text => {
                say!(
                    "{} on {replicas} replicas of {}, {:.0} % reads, from link delays alone",
                    self.protocol,
                    topology.name,
                    self.read_share * 100.0
                );
                say!("{}", text(&ranked, &at, &measured));
            }
            Format::Json => {
                let verified: Vec<_> = measured
                    .iter()
                    .map(|(predicted, found)| json!({ "predicted": predicted, "simulated": found }))
                    .collect();
                let all = json!({
                    "protocol": self.protocol, "topology": topology.name, "replicas": replicas,
                    "read_share": self.read_share, "ranked": ranked, "best_at_each_replica": at,
                    "verified": verified,
                });
                say!("{}", serde_json::to_string_pretty(&all)?);
            }
        }
        Ok(EXIT_OK)
    }
}
