//! How many replicas it takes, in numbers.

use std::collections::BTreeMap;

use crate::protocol::LaunchError;
use crate::settings::Settings;

/// How many replicas each kind of step takes, by its name:
///
/// - `commit`: whose logs or votes make a command committed
/// - `election`, `view_change`: that make a leader
/// - `write`, `read`: whose answers a register's phases wait for
/// - `reply`: whose equal answers a client waits for, where replicas may lie
///
/// and what a protocol has besides. One that has no quorums, because everyone who lives counts, has none here.
pub type Quorums = BTreeMap<&'static str, usize>;

/// The quorums of a protocol that has none, under any settings. Gossip.
pub fn no_quorums(_replicas: usize, _: &Settings) -> Result<Quorums, LaunchError> {
    Ok(Quorums::new())
}
