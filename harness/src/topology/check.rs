//! Shapes and ranges of a topology, with errors that name file, key and mend on one line.

use super::{PerLink, Topology, TopologyError};
use crate::output::shown;

/// What names of topologies and regions are made of: they stand in file names and in tables.
const NAME: &str = "letters, digits, `_` and `-`";

/// Checks a topology; `file` names it in errors.
pub(super) fn check(file: &str, topology: &Topology) -> Result<(), TopologyError> {
    Checker { file, regions: &topology.regions }.check(topology)
}

struct Checker<'a> {
    file: &'a str,
    regions: &'a [String],
}

impl Checker<'_> {
    fn check(&self, topology: &Topology) -> Result<(), TopologyError> {
        self.require(is_name(&topology.name), "name", &shown(&topology.name), NAME)?;
        self.check_regions()?;
        self.check_matrix("one_way_ms", &topology.one_way_ms, (0.0, 60_000.0), "0 to 60000")?;
        self.check_links("jitter_ms", &topology.jitter_ms, (0.0, 60_000.0), "0 to 60000")?;
        self.check_links("loss", &topology.loss, (0.0, 1.0), "0 to 1")?;
        self.check_links("duplication", &topology.duplication, (0.0, 1.0), "0 to 1")?;
        if let Some(rate) = &topology.bandwidth_bytes_per_s {
            self.check_links("bandwidth_bytes_per_s", rate, (1.0, 1e15), "1 to 1e15")?;
        }
        if let Some(placement) = &topology.placement {
            let some = !placement.is_empty();
            self.require(some, "placement", "[]", "one region for each replica, or none of this key")?;
            let mut places = placement.iter().enumerate();
            places.try_for_each(|(replica, region)| self.known(&format!("placement[{replica}]"), region))?;
        }
        topology.client.as_ref().map_or(Ok(()), |region| self.known("client", region))
    }

    fn check_regions(&self) -> Result<(), TopologyError> {
        self.require(!self.regions.is_empty(), "regions", "[]", "at least one region")?;
        for (index, region) in self.regions.iter().enumerate() {
            self.require(is_name(region), &format!("regions[{index}]"), &shown(region), NAME)?;
            if self.regions[..index].contains(region) {
                return Err(TopologyError::RepeatedRegion { file: self.file.into(), region: region.clone() });
            }
        }
        Ok(())
    }

    fn check_links(
        &self,
        key: &str,
        links: &PerLink,
        range: (f64, f64),
        allowed: &'static str,
    ) -> Result<(), TopologyError> {
        match links {
            PerLink::Every(value) => self.within(key, *value, range, allowed),
            PerLink::Each(matrix) => self.check_matrix(key, matrix, range, allowed),
        }
    }

    fn check_matrix(
        &self,
        key: &str,
        matrix: &[Vec<f64>],
        range: (f64, f64),
        allowed: &'static str,
    ) -> Result<(), TopologyError> {
        self.one_for_each_region(key, matrix.len(), "rows")?;
        for (from, row) in self.regions.iter().zip(matrix) {
            self.one_for_each_region(&format!("{key} from `{from}`"), row.len(), "values")?;
            for (to, value) in self.regions.iter().zip(row) {
                self.within(&format!("{key} from `{from}` to `{to}`"), *value, range, allowed)?;
            }
        }
        Ok(())
    }

    fn one_for_each_region(
        &self,
        key: &str,
        found: usize,
        entries: &'static str,
    ) -> Result<(), TopologyError> {
        let regions = self.regions.len();
        if found == regions {
            return Ok(());
        }
        Err(TopologyError::Shape { file: self.file.into(), key: key.into(), found, entries, regions })
    }

    fn known(&self, key: &str, region: &str) -> Result<(), TopologyError> {
        if self.regions.iter().any(|known| known == region) {
            return Ok(());
        }
        let known = self.regions.join(", ");
        Err(TopologyError::UnknownRegion {
            file: self.file.into(),
            key: key.into(),
            region: shown(region),
            known,
        })
    }

    fn within(
        &self,
        key: &str,
        value: f64,
        (low, high): (f64, f64),
        allowed: &'static str,
    ) -> Result<(), TopologyError> {
        // The debug form keeps 1e300 short.
        self.require((low..=high).contains(&value), key, &format!("{value:?}"), allowed)
    }

    fn require(
        &self,
        holds: bool,
        key: &str,
        value: &str,
        allowed: &'static str,
    ) -> Result<(), TopologyError> {
        if holds {
            return Ok(());
        }
        Err(TopologyError::OutOfRange {
            file: self.file.into(),
            key: key.into(),
            value: value.into(),
            allowed,
        })
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}
