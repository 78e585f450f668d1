//! Topologies as plain data: where replicas stand, and how long a message takes from each to each.

mod check;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::scenario::one_line;
use protocol_core::LinkSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The topologies that ship with the harness, with the files they are read from.
const BUILT_IN: [(&str, &str); 5] = [
    ("lan", include_str!("../../topologies/lan.toml")),
    ("metro", include_str!("../../topologies/metro.toml")),
    ("wan3", include_str!("../../topologies/wan3.toml")),
    ("wan5", include_str!("../../topologies/wan5.toml")),
    ("planet13", include_str!("../../topologies/planet13.toml")),
];

/// Regions, the links between them, and who stands where.
///
/// Matrices have a row for each region a message comes from and a column for each it goes to, in
/// the order of `regions`; the diagonal is the link between two replicas of one region. A replica's
/// link to itself is perfect.
///
/// Whatever was read by [`parse`], [`read`], [`built_in`] or [`resolve`] is checked; one that was
/// built by hand is to pass [`Topology::check`] before it is asked for anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// Name, as given on the command line and shown in results.
    pub name: String,
    /// What it stands for.
    #[serde(default)]
    pub about: String,
    /// Where its numbers come from, of which date, and how they were halved.
    #[serde(default)]
    pub source: String,
    /// Names of the regions.
    pub regions: Vec<String>,
    /// One-way delays in milliseconds, from row to column.
    pub one_way_ms: Vec<Vec<f64>>,
    /// Added to the delay, uniform from 0 to this, in milliseconds.
    #[serde(default)]
    pub jitter_ms: PerLink,
    /// Share of messages lost, 0 to 1.
    #[serde(default)]
    pub loss: PerLink,
    /// Share of messages that arrive twice, 0 to 1.
    #[serde(default)]
    pub duplication: PerLink,
    /// Bytes per second of each link between two replicas; none is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_bytes_per_s: Option<PerLink>,
    /// Whether messages of one link may overtake each other, which jitter then makes them do.
    /// Without it links are FIFO, as a TCP connection is.
    #[serde(default)]
    pub reorder: bool,
    /// The region of every replica; none places them round-robin over `regions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Vec<String>>,
    /// The clients' region; none is the region of replica 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

/// A property of links: the same for all, or a matrix of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number for all links, or a matrix with a row for each region")]
pub enum PerLink {
    /// Of every link.
    Every(f64),
    /// Of each link, from row to column.
    Each(Vec<Vec<f64>>),
}

impl Default for PerLink {
    fn default() -> Self {
        PerLink::Every(0.0)
    }
}

impl PerLink {
    fn between(&self, from: usize, to: usize) -> f64 {
        match self {
            PerLink::Every(value) => *value,
            PerLink::Each(matrix) => matrix[from][to],
        }
    }
}

/// Why a topology can't be used. One line that names the file, the key and the mend.
#[derive(Debug, Error)]
pub enum TopologyError {
    /// Neither a built-in topology nor a file.
    #[error("no topology `{name}`; there are: {}; or give the path of a topology file", known())]
    Unknown {
        /// Asked for.
        name: String,
    },
    /// The file can't be read.
    #[error("{}: {source}; give a topology file, or one of: {}", path.display(), known())]
    Unreadable {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The file is no topology.
    #[error("{file}: {reason}")]
    Syntax {
        /// File.
        file: String,
        /// What and where, on one line.
        reason: String,
    },
    /// A matrix, or a row of one, without exactly one entry for each region.
    #[error("{file}: {key} has {found} {entries}; give {regions}, one for each of `regions`")]
    Shape {
        /// File.
        file: String,
        /// The matrix, or its row.
        key: String,
        /// How many entries there are.
        found: usize,
        /// What they are: rows, or values.
        entries: &'static str,
        /// How many regions there are.
        regions: usize,
    },
    /// A value outside its range.
    #[error("{file}: {key} = {value} is outside {allowed}")]
    OutOfRange {
        /// File.
        file: String,
        /// Key; of a matrix with the names of both regions.
        key: String,
        /// Value given.
        value: String,
        /// Allowed values.
        allowed: &'static str,
    },
    /// A region that is given twice.
    #[error("{file}: regions names `{region}` twice; give every region a name of its own")]
    RepeatedRegion {
        /// File.
        file: String,
        /// Region.
        region: String,
    },
    /// A region that isn't there.
    #[error("{file}: {key} = `{region}` is not in `regions`; there are: {known}")]
    UnknownRegion {
        /// File.
        file: String,
        /// Key.
        key: String,
        /// Asked for.
        region: String,
        /// All regions.
        known: String,
    },
    /// Fewer places than replicas. It is known only together with the cluster, when the file is not
    /// at hand any more.
    #[error(
        "topology `{topology}`: placement has {places} regions for {replicas} replicas; name one for each \
         replica, or leave it out to place them round-robin"
    )]
    PlacementTooSmall {
        /// Name of the topology.
        topology: String,
        /// How many replicas are placed.
        places: usize,
        /// How many there are.
        replicas: usize,
    },
}

/// The names of the built-in topologies.
pub fn names() -> Vec<&'static str> {
    BUILT_IN.map(|(name, _)| name).into()
}

fn known() -> String {
    names().join(", ")
}

/// A built-in topology.
pub fn built_in(name: &str) -> Result<Topology, TopologyError> {
    let (_, text) = BUILT_IN
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| TopologyError::Unknown { name: name.into() })?;
    parse(&format!("topology {name}"), text)
}

/// A built-in topology by its name, or else one from the file of that path. A built-in name wins
/// over a file of the same name, which `./name` still reaches.
pub fn resolve(reference: &str) -> Result<Topology, TopologyError> {
    let path = Path::new(reference);
    let meant_as_path = path.extension().is_some() || path.components().count() > 1 || path.is_file();
    if names().contains(&reference) || !meant_as_path { built_in(reference) } else { read(path) }
}

/// The topology of a file.
pub fn read(path: &Path) -> Result<Topology, TopologyError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| TopologyError::Unreadable { path: path.into(), source })?;
    parse(&path.display().to_string(), &text)
}

/// Reads and checks a topology; `file` names it in errors.
pub fn parse(file: &str, text: &str) -> Result<Topology, TopologyError> {
    let topology: Topology = toml::from_str(text)
        .map_err(|error| TopologyError::Syntax { file: file.into(), reason: one_line(&error, text) })?;
    topology.check(file)?;
    Ok(topology)
}

impl Topology {
    /// Checks every value against its range; `file` names the topology in errors.
    pub fn check(&self, file: &str) -> Result<(), TopologyError> {
        check::check(file, self)
    }

    /// The region of a replica. A replica beyond `placement` starts over at its front, so that this
    /// has an answer for all; [`Topology::links`] refuses such a cluster.
    pub fn region_of(&self, replica: usize) -> &str {
        &self.regions[self.region_index(replica)]
    }

    /// The link from each replica to each: rows are senders, columns are receivers.
    pub fn links(&self, replicas: usize) -> Result<Vec<Vec<LinkSpec>>, TopologyError> {
        if let Some(placement) = self.placement.as_ref().filter(|placement| placement.len() < replicas) {
            let (topology, places) = (self.name.clone(), placement.len());
            return Err(TopologyError::PlacementTooSmall { topology, places, replicas });
        }
        let link = |from, to| if from == to { LinkSpec::default() } else { self.link(from, to) };
        Ok((0..replicas).map(|from| (0..replicas).map(|to| link(from, to)).collect()).collect())
    }

    /// One-way delay from the clients' region to each replica, without jitter.
    pub fn client_delays(&self, replicas: usize) -> Vec<Duration> {
        let client = match &self.client {
            Some(region) => self.index_of(region),
            None => self.region_index(0),
        };
        (0..replicas).map(|replica| millis(self.one_way_ms[client][self.region_index(replica)])).collect()
    }

    /// The longest that a message from one replica to another can be under way, loss, bandwidth and
    /// queues apart: delay and jitter of the slowest link. Failure detection has to wait longer.
    pub fn largest_one_way(&self, replicas: usize) -> Duration {
        (0..replicas)
            .flat_map(|from| (0..replicas).filter(move |to| *to != from).map(move |to| (from, to)))
            .map(|(from, to)| self.link(from, to))
            .map(|link| link.delay + link.jitter)
            .max()
            .unwrap_or_default()
    }

    /// The link between two different replicas.
    fn link(&self, from: usize, to: usize) -> LinkSpec {
        let (from, to) = (self.region_index(from), self.region_index(to));
        LinkSpec {
            delay: millis(self.one_way_ms[from][to]),
            jitter: millis(self.jitter_ms.between(from, to)),
            loss: self.loss.between(from, to),
            duplication: self.duplication.between(from, to),
            bandwidth: self.bandwidth_bytes_per_s.as_ref().map(|rate| rate.between(from, to)),
            fifo: !self.reorder,
            ..LinkSpec::default()
        }
    }

    fn region_index(&self, replica: usize) -> usize {
        match &self.placement {
            Some(placement) => self.index_of(&placement[replica % placement.len()]),
            None => replica % self.regions.len(),
        }
    }

    /// The region's place in `regions`, where the check made sure that it is.
    fn index_of(&self, region: &str) -> usize {
        let index = self.regions.iter().position(|known| known == region);
        assert!(index.is_some(), "region `{region}` of an unchecked topology");
        index.unwrap_or_default()
    }
}

fn millis(value: f64) -> Duration {
    Duration::from_secs_f64(value.max(0.0) / 1e3)
}
