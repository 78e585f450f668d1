//! What every replica of a cluster is made with, and the settings that it follows from.

use std::time::Duration;

use protocol_core::{Constraint, LaunchError, Role, Scale, Settings, Situation, Timing, Tunable};

use crate::authenticator::{Authentication, KeySource};
use crate::quorums::Quorums;

pub(crate) const LARGEST_BATCH: Tunable = Tunable {
    name: "largest_batch_commands",
    role: Role::BatchSize,
    about: "commands under one sequence number",
    range: (1.0, 65_536.0),
    scale: Scale::Logarithmic,
    default: 1_024.0,
    live: true,
    trades: None,
};
pub(crate) const WINDOW: Tunable = Tunable {
    name: "window_batches",
    role: Role::Window,
    about: "batches that the primary has under way at once",
    range: (1.0, 65_536.0),
    scale: Scale::Logarithmic,
    default: 8.0,
    live: true,
    trades: None,
};
pub(crate) const CHECKPOINT_INTERVAL: Tunable = Tunable {
    name: "checkpoint_interval_batches",
    role: Role::SnapshotInterval,
    about: "batches between two checkpoints (K)",
    range: (1.0, 65_536.0),
    scale: Scale::Logarithmic,
    default: 128.0,
    live: false,
    trades: Some("memory, and how soon a replica that was away is back"),
};
pub(crate) const LOG_WINDOW: Tunable = Tunable {
    name: "log_window_batches",
    role: Role::Other,
    about: "batches between the low and the high watermark (L), at least one checkpoint interval",
    range: (1.0, 131_072.0),
    scale: Scale::Logarithmic,
    default: 256.0,
    live: false,
    trades: Some("memory, and how soon a replica that was away is back"),
};
pub(crate) const TENTATIVE: Tunable = Tunable {
    name: "tentative_flag",
    role: Role::Other,
    about: "1: answers are given once a batch is prepared, and clients wait for 2f + 1 of them",
    range: (0.0, 1.0),
    scale: Scale::Linear,
    default: 0.0,
    live: false,
    trades: Some("answers that a change of view may have to take back"),
};
pub(crate) const CLIENT_SIGNATURES: Tunable = Tunable {
    name: "client_signatures_flag",
    role: Role::Other,
    about: "1: clients sign their commands; 0: they put a code for each replica on them",
    range: (0.0, 1.0),
    scale: Scale::Linear,
    default: 0.0,
    live: false,
    trades: Some("whether clients can be held to what they sent"),
};

/// Otherwise the log is full before a checkpoint frees any of it.
pub(crate) const ROOM_FOR_A_CHECKPOINT: Constraint = Constraint {
    says: "log_window_batches ≥ checkpoint_interval_batches",
    broken: |Situation { settings, .. }| no_room_for_a_checkpoint(settings),
};

fn no_room_for_a_checkpoint(settings: &Settings) -> Option<String> {
    let [window, interval] = [LOG_WINDOW, CHECKPOINT_INTERVAL].map(|tunable| settings.get(&tunable) as u64);
    (window < interval).then(|| {
        format!(
            "`{}` = {window} is less than `{}` = {interval}, so the log would be full before a checkpoint; raise \
             the first",
            LOG_WINDOW.name, CHECKPOINT_INTERVAL.name
        )
    })
}

/// Settings, as a replica uses them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) authentication: Authentication,
    pub(crate) largest_batch: usize,
    pub(crate) window: u64,
    pub(crate) checkpoint_interval: u64,
    pub(crate) log_window: u64,
    pub(crate) tentative: bool,
    /// Whether records survive a crash.
    pub(crate) durable: bool,
    /// Between two statuses.
    pub(crate) tick: Duration,
    /// How long a request may take before the primary is suspected.
    pub(crate) patience: Duration,
}

impl Options {
    /// A tunable that changes live has another value.
    pub(crate) fn tune(&mut self, name: &str, value: f64) {
        if name == LARGEST_BATCH.name {
            self.largest_batch = value as usize;
        } else if name == WINDOW.name {
            self.window = value as u64;
        }
    }

    /// After so many failed views, patience grows no more.
    pub(crate) const MOST_DOUBLINGS: u32 = 8;
}

/// What every replica of a cluster is made with.
#[derive(Clone, Debug)]
pub struct Setup {
    pub(crate) options: Options,
    pub(crate) quorums: Quorums,
    pub(crate) keys: KeySource,
    pub(crate) client_authentication: Authentication,
}

impl Setup {
    /// Checks that the settings fit together. There are as many replicas as have keys.
    pub fn new(
        keys: KeySource,
        authentication: Authentication,
        timing: &Timing,
        settings: &Settings,
        durable: bool,
    ) -> Result<Self, LaunchError> {
        let whole = |tunable| settings.get(tunable) as u64;
        let flag = |tunable| settings.get(tunable) != 0.0;
        let options = Options {
            authentication,
            largest_batch: whole(&LARGEST_BATCH) as usize,
            window: whole(&WINDOW),
            checkpoint_interval: whole(&CHECKPOINT_INTERVAL),
            log_window: whole(&LOG_WINDOW),
            tentative: flag(&TENTATIVE),
            durable,
            tick: timing.heartbeat,
            patience: timing.election_min,
        };
        if let Some(broken) = no_room_for_a_checkpoint(settings) {
            return Err(LaunchError::Settings(broken));
        }
        let client_authentication =
            if flag(&CLIENT_SIGNATURES) { Authentication::Signature } else { Authentication::Mac };
        Ok(Setup { options, quorums: Quorums::of(keys.replicas()), keys, client_authentication })
    }

    /// Equal answers that a client waits for.
    pub(crate) fn answers(&self) -> usize {
        self.quorums.answers(self.options.tentative)
    }

    /// The same setup with a fault planted.
    #[cfg(any(test, feature = "planted-faults"))]
    pub fn with_flaw(mut self, flaw: crate::quorums::Flaw) -> Self {
        self.quorums.flaw = Some(flaw);
        self
    }
}
