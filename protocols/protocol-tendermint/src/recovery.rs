//! What a log says, in the order in which a restart needs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use malachitebft_core_types::Value;
use protocol_core::LaunchError;

use crate::context::{Batch, BatchId, Height};
use crate::messages::{Decision, Snapshot};
use crate::records::Record;

/// A log, taken apart.
pub(crate) struct Recovery {
    /// The last snapshot.
    pub(crate) snapshot: Option<Snapshot>,
    /// What was decided after it.
    pub(crate) decisions: Vec<Arc<Decision>>,
    /// What was said at any height after it.
    pub(crate) records: Vec<Record>,
}

impl Recovery {
    /// None of an empty log.
    pub(crate) fn of(records: Vec<Record>) -> Result<Option<Recovery>, LaunchError> {
        if records.is_empty() {
            return Ok(None);
        }
        let mut recovery = Recovery { snapshot: None, decisions: Vec::new(), records: Vec::new() };
        let mut proposed: BTreeMap<BatchId, Batch> = BTreeMap::new();
        for record in records {
            match record {
                Record::Snapshot(snapshot) => {
                    recovery =
                        Recovery { snapshot: Some(snapshot), decisions: Vec::new(), records: Vec::new() };
                }
                // A snapshot may come before what was written in the same round.
                Record::Decided { height, .. } if recovery.is_before(height) => {}
                Record::Learned(Decision { height, .. }) if recovery.is_before(height) => {}
                Record::Decided { height, round, batch, certificate } => {
                    let Some(batch) = proposed.remove(&batch) else {
                        return Err(LaunchError::Library(format!(
                            "the log is damaged: batch {batch} was decided at height {height} and is not in it"
                        )));
                    };
                    recovery.decide(Decision { height, round, batch, certificate });
                    proposed.clear();
                }
                Record::Learned(decision) => {
                    recovery.decide(decision);
                    proposed.clear();
                }
                record => {
                    if let Record::Proposal(proposal) = &record {
                        let batch = &proposal.message.batch;
                        proposed.insert(batch.id(), batch.clone());
                    }
                    recovery.records.push(record);
                }
            }
        }
        Ok(Some(recovery))
    }

    /// Whether the snapshot has it already.
    fn is_before(&self, height: Height) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| height <= snapshot.height)
    }

    fn decide(&mut self, decision: Decision) {
        let next: Height = Height(decision.height.0 + 1);
        self.records.retain(|record| record.height() >= next);
        self.decisions.push(Arc::new(decision));
    }
}
