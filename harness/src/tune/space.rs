//! What is searched: for each tunable a few levels, by its range and scale.
//!
//! Levels and not a continuum: doubling a batch may matter, a command more does not, and settings that are
//! tried twice need not be run twice.

use protocol_core::{Role, Scale, StorageSpec, Tunable};
use thiserror::Error;

use crate::scenario::StorageConfig;
use crate::trial::{SettingValues, Trial};

/// On a logarithmic scale, doublings to either side of the value that is set.
const DOUBLINGS: i32 = 8;
/// Where such a scale begins that has zero, in its unit, when zero is set.
const ABOVE_ZERO: f64 = 16.0;
/// A linear scale this long or shorter has a level for each value.
const MOST_UNITS: f64 = 101.0;
/// Levels of a longer one, about, besides doublings of the distance from the value that is set.
const STEPS: f64 = 10.0;

/// A tunable with the values that are tried.
#[derive(Clone, Debug)]
pub struct Dimension {
    /// The tunable.
    pub tunable: Tunable,
    /// Values, ascending.
    pub levels: Vec<f64>,
    /// Which of them is in force now.
    pub base: usize,
}

/// All that is searched.
#[derive(Clone, Debug)]
pub struct Space {
    dimensions: Vec<Dimension>,
}

/// A level of each dimension.
pub type Point = Vec<usize>;

/// Why there is nothing to search.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpaceError {
    /// The protocol has no such tunable.
    #[error("{protocol} has no tunable `{name}`; it has: {known}")]
    Unknown {
        /// Protocol.
        protocol: String,
        /// Asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// It can't change while a cluster runs.
    #[error("{protocol}: `{name}` does not change while a cluster runs; what does: {known}")]
    NotLive {
        /// Protocol.
        protocol: String,
        /// Asked for.
        name: String,
        /// Names of those that do.
        known: String,
    },
    /// None whose price a load shows.
    #[error(
        "{protocol} has no tunable whose whole price a load shows; name some with `--tunable`, of: {known}"
    )]
    Nothing {
        /// Protocol.
        protocol: String,
        /// All names.
        known: String,
    },
}

impl Space {
    /// The tunables of these names, or all whose price the load shows.
    pub fn of(trial: &Trial, names: &[String]) -> Result<Space, SpaceError> {
        let tunables = trial.pair.protocol.descriptor().tunables;
        let known = || tunables.iter().map(|tunable| tunable.name).collect::<Vec<_>>().join(", ");
        let protocol = trial.pair.name.clone();
        if let Some(name) = names.iter().find(|name| tunables.iter().all(|tunable| tunable.name != **name)) {
            return Err(SpaceError::Unknown { protocol, name: name.clone(), known: known() });
        }
        let on_disk = trial.pair.scenario.storage == StorageConfig::Wal;
        let wanted = |tunable: &&Tunable| match names {
            [] => tunable.trades.is_none() && (on_disk || tunable.name != StorageSpec::GROUP_COMMIT.name),
            names => names.iter().any(|name| name == tunable.name),
        };
        let dimensions: Vec<Dimension> = tunables
            .iter()
            .filter(wanted)
            .filter_map(|tunable| {
                let in_force = trial.in_force(&SettingValues::new(), tunable.name)?;
                Some(Dimension::of(*tunable, in_force, trial.replicas()))
            })
            .filter(|dimension| dimension.levels.len() > 1)
            .collect();
        if dimensions.is_empty() {
            return Err(SpaceError::Nothing { protocol, known: known() });
        }
        Ok(Space { dimensions })
    }

    /// A space of these dimensions.
    pub fn new(dimensions: Vec<Dimension>) -> Space {
        Space { dimensions }
    }

    /// The dimensions.
    pub fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    /// What is set now.
    pub fn base(&self) -> Point {
        self.dimensions.iter().map(|one| one.base).collect()
    }

    /// How many points there are.
    pub fn size(&self) -> usize {
        self.dimensions.iter().map(|one| one.levels.len()).product()
    }

    /// The settings of a point that differ from what is set now.
    pub fn settings(&self, point: &[usize]) -> SettingValues {
        let changed = self.dimensions.iter().zip(point).filter(|(one, level)| **level != one.base);
        changed.map(|(one, &level)| (one.tunable.name.to_string(), one.levels[level])).collect()
    }

    /// The point of settings; none when one of them is no level, or no dimension.
    pub fn point(&self, settings: &SettingValues) -> Option<Point> {
        let mut point = self.base();
        for (name, value) in settings {
            let place = self.dimensions.iter().position(|one| one.tunable.name == name)?;
            point[place] = self.dimensions[place].levels.iter().position(|level| level == value)?;
        }
        Some(point)
    }
}

impl Dimension {
    /// The levels around the value in force, in a cluster of so many replicas.
    pub fn of(tunable: Tunable, in_force: f64, replicas: usize) -> Dimension {
        let (low, high) = tunable.range;
        let mut levels = if tunable.is_flag() {
            vec![0.0, 1.0]
        } else if tunable.scale == Scale::Logarithmic {
            let middle = if in_force > 0.0 { in_force } else { ABOVE_ZERO };
            let doublings = if in_force > 0.0 { -DOUBLINGS..=DOUBLINGS } else { 0..=DOUBLINGS + 2 };
            // Times shorter than a millisecond are for units that say so.
            let doubled =
                doublings.map(|times| rounded(middle * 2f64.powi(times))).filter(|&level| level >= 1.0);
            doubled.chain((low == 0.0).then_some(0.0)).collect()
        } else {
            linear(low, if counts_replicas(&tunable) { high.min(replicas as f64) } else { high }, in_force)
        };
        levels.push(in_force);
        levels.retain(|level| (low..=high).contains(level) && !stands_for_the_scenarios(&tunable, *level));
        levels.sort_by(f64::total_cmp);
        levels.dedup();
        let base = levels.iter().position(|&level| level == in_force).unwrap_or_default();
        Dimension { tunable, levels, base }
    }
}

/// All values of a short scale. Of a long one every tenth of it, and what is nearer to the value in force.
fn linear(low: f64, high: f64, in_force: f64) -> Vec<f64> {
    if high - low <= MOST_UNITS {
        return (0..).map(|index| low + f64::from(index)).take_while(|&level| level <= high).collect();
    }
    let step = rounded((high - low) / STEPS);
    let coarse = (0..=STEPS as u32).map(|index| low + f64::from(index) * step);
    let distances = (0i32..).map(|times| 2f64.powi(times)).take_while(|&distance| distance < step);
    coarse.chain(distances.flat_map(|distance| [in_force - distance, in_force + distance])).collect()
}

/// Whether its values are numbers of replicas, of which there are no more than the cluster has.
fn counts_replicas(tunable: &Tunable) -> bool {
    matches!(tunable.role, Role::ReadQuorum | Role::WriteQuorum) || tunable.name.ends_with("_replicas")
}

/// Times of failure detection take zero for the scenario's, which has a level of its own already.
fn stands_for_the_scenarios(tunable: &Tunable, level: f64) -> bool {
    level == 0.0 && protocol_core::Timing::default().in_force_ms(tunable).is_some()
}

/// A whole number: tunables count commands, bytes or milliseconds.
fn rounded(value: f64) -> f64 {
    value.round()
}
