//! Where a replica's log is: in memory, or in a file that survives a crash.

mod wal;

use std::path::PathBuf;

use crate::role::Role;
use crate::settings::{Scale, Tunable};

pub use wal::{Recovered, Wal};

/// Where logs are kept. Durability is part of a result's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageSpec {
    /// Nothing is written and syncs cost nothing; a crashed replica can't restart.
    Memory,
    /// Each replica appends to `replica-<id>.wal` in this folder and flushes with `fdatasync`,
    /// many appends to a flush when they queue up.
    Wal {
        /// The folder; it must exist.
        folder: PathBuf,
    },
}

impl StorageSpec {
    /// How a log on disk is flushed.
    pub const GROUP_COMMIT: Tunable = Tunable {
        name: "group_commit_flag",
        role: Role::GroupCommit,
        about: "with a log on disk, 1: appends that queue up behind a flush share the next; 0: each has its own",
        range: (0.0, 1.0),
        scale: Scale::Linear,
        default: 1.0,
        live: false,
        trades: None,
    };

    /// The name in lists and results.
    pub fn name(&self) -> &'static str {
        match self {
            StorageSpec::Memory => "memory",
            StorageSpec::Wal { .. } => "wal",
        }
    }
}
