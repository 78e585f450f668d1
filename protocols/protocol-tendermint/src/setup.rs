//! What replicas are made with.

use malachitebft_core_types::LinearTimeouts;
use protocol_core::{Boot, Byzantine, LaunchError, Settings, Timing};

use crate::keys::Authentication;
use crate::records::Record;
use crate::replica::TendermintReplica;

/// What every replica of a cluster is made with.
#[derive(Clone, Debug)]
pub struct TendermintSetup {
    /// How messages are proven.
    pub authentication: Authentication,
    /// Failure detection.
    pub timing: Timing,
    /// Tunables.
    pub settings: Settings,
    /// Whether records survive a crash.
    pub durable: bool,
    /// All keys come from it.
    pub seed: u64,
}

impl TendermintSetup {
    /// The library's time-outs. Whoever does not propose in time is suspected as early as a silent leader
    /// is elsewhere.
    pub fn timeouts(&self) -> LinearTimeouts {
        let Timing { heartbeat, election_min, election_max } = self.timing;
        LinearTimeouts {
            propose: election_min,
            propose_delta: election_min / 2,
            prevote: heartbeat * 2,
            prevote_delta: heartbeat,
            precommit: heartbeat * 2,
            precommit_delta: heartbeat,
            rebroadcast: election_min,
            max_timeout: election_max * 10,
        }
    }

    /// A replica that can be made to lie.
    pub fn replica(&self, boot: Boot<Record>) -> Result<Byzantine<TendermintReplica>, LaunchError> {
        let (me, replicas) = (boot.id, boot.replicas);
        // Most of what others wait for a proposal; the rest is the way there.
        let slow_by = self.timing.election_min * 4 / 5;
        Ok(Byzantine::new(TendermintReplica::new(boot, self)?, me, replicas, slow_by))
    }
}
