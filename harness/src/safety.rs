//! The safety check of every run: no number without it.
//!
//! Agreement: live replicas applied the same commands in the same slots (by digest chain).
//! Durability: every acknowledged command is applied on every live replica. Exactly once: a slot is
//! delivered once, and a command delivered again must be one that a client had sent again.
//! Validity: nothing is applied that no client sent.

use std::sync::Arc;
use std::time::Duration;

use protocol_core::{AppliedLog, Cluster, CommandId, IdSet, Observation, Order, ReplicaId};

use crate::results::Safety;

const POLL: Duration = Duration::from_millis(2);
/// Ids that a message names, at most.
const NAMED_IDS: usize = 5;

/// What clients know of a run.
#[derive(Clone, Debug)]
pub struct Claims {
    /// Ids 0 to this were sent.
    pub submitted: u64,
    /// Those that were acknowledged.
    pub acknowledged: IdSet,
}

/// Waits until all live replicas stand at the same point, at most `limit`, and checks what they
/// applied against what clients know.
pub async fn settle_and_check(cluster: Arc<dyn Cluster>, claims: Claims, limit: Duration) -> Safety {
    let deadline = tokio::time::Instant::now() + limit;
    while !settled(&cluster.observe(), claims.acknowledged.len()) && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(POLL).await;
    }
    check(&cluster.audit(), &cluster.observe(), &claims)
}

fn settled(observation: &Observation, acknowledged: u64) -> bool {
    let mut live = observation.replicas.iter().filter(|replica| replica.live && !replica.corrupted);
    let Some(first) = live.next() else { return true };
    first.delivered >= acknowledged && live.all(|replica| replica.delivered == first.delivered)
}

/// The first replica that stopped by itself, such as one whose disk is full, and why.
pub fn stopped(observation: &Observation) -> Option<String> {
    let failures = observation.replicas.iter().map(|replica| &replica.failure).enumerate();
    failures.filter_map(|(id, failure)| Some(format!("replica {id} stopped: {}", failure.as_ref()?))).next()
}

/// Checks the logs of live replicas.
pub fn check(logs: &[(ReplicaId, AppliedLog)], observation: &Observation, claims: &Claims) -> Safety {
    let mut violations = Vec::new();
    let (mut lost, mut applied_twice) = (0, 0);
    let longest = logs.iter().max_by_key(|(_, log)| log.delivered());
    for (id, log) in logs {
        violations.extend(log.violations().iter().map(|what| format!("replica {id}: {what}")));
        if let Some((reference_id, reference)) = longest {
            violations.extend(disagreement(*id, log, *reference_id, reference));
        }
        // A write to a register may be superseded before it reaches every replica.
        if log.order() != Order::Reads {
            lost = lost.max(claims.acknowledged.difference(log.ids()).count() as u64);
            if let Some(names) = named(claims.acknowledged.difference(log.ids())) {
                violations.push(format!("replica {id} did not apply acknowledged {names}"));
            }
        }
        let sent = |id: &CommandId| id.0 >= claims.submitted;
        if let Some(names) = named(log.ids().difference(&IdSet::default()).filter(sent)) {
            violations.push(format!("replica {id} applied what no client sent: {names}"));
        }
        applied_twice = applied_twice.max(log.duplicates().saturating_sub(observation.resubmissions));
        if log.duplicates() > observation.resubmissions {
            violations.push(format!(
                "replica {id} delivered {} commands again, but clients sent only {} again",
                log.duplicates(),
                observation.resubmissions
            ));
        }
    }
    Safety {
        checked: true,
        violations,
        submitted: claims.submitted,
        acknowledged: claims.acknowledged.len(),
        applied: logs.iter().map(|(_, log)| log.ids().len()).max().unwrap_or(0),
        duplicates: logs.iter().map(|(_, log)| log.duplicates()).max().unwrap_or(0),
        replicas: logs.len(),
        lost,
        applied_twice,
    }
}

fn disagreement(id: ReplicaId, log: &AppliedLog, other: ReplicaId, reference: &AppliedLog) -> Option<String> {
    let range = log.agrees_with(reference).err()?;
    let mine = named(log.ids().difference(reference.ids()));
    let theirs = named(reference.ids().difference(log.ids()));
    let what = match (mine, theirs) {
        (None, None) => "the same commands in another order, or with other payloads".to_string(),
        (mine, theirs) => format!(
            "only on {id}: {}; only on {other}: {}",
            mine.unwrap_or_else(|| "none".into()),
            theirs.unwrap_or_else(|| "none".into())
        ),
    };
    Some(format!("replicas {id} and {other} part within deliveries {} to {}: {what}", range.start, range.end))
}

/// The first few ids and how many more there are; none when there is none.
fn named(ids: impl Iterator<Item = CommandId>) -> Option<String> {
    let (mut names, mut count) = (Vec::new(), 0usize);
    for id in ids {
        count += 1;
        if names.len() < NAMED_IDS {
            names.push(id.0.to_string());
        }
    }
    match count.checked_sub(names.len()) {
        _ if count == 0 => None,
        Some(0) | None => Some(format!("command {}", names.join(", "))),
        Some(more) => Some(format!("command {} and {more} more", names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol_core::{Command, ReplicaStatus, Slot};

    /// Slots and ids per replica, acknowledged ids, resubmissions, and what must be told.
    type Case<'a> = (&'a [&'a [(u64, u64)]], &'a [u64], u64, &'a str);

    fn log(entries: &[(u64, u64)]) -> AppliedLog {
        let mut log = AppliedLog::default();
        for &(slot, id) in entries {
            log.apply(Slot(slot), &Command::new(CommandId(id), b"x"));
        }
        log
    }

    fn verdict(logs: &[&[(u64, u64)]], acknowledged: &[u64], resubmissions: u64) -> Vec<String> {
        let logs: Vec<_> =
            logs.iter().enumerate().map(|(id, entries)| (ReplicaId(id as u32), log(entries))).collect();
        let claims =
            Claims { submitted: 10, acknowledged: acknowledged.iter().map(|&id| CommandId(id)).collect() };
        let observation = Observation { resubmissions, ..Observation::default() };
        check(&logs, &observation, &claims).violations
    }

    #[test]
    fn replicas_that_agree_on_what_was_acknowledged_are_safe() {
        assert_eq!(verdict(&[&[(1, 0), (2, 1)], &[(1, 0), (2, 1)]], &[0, 1], 0), [""; 0]);
    }

    #[test]
    fn each_broken_rule_is_told_with_what_differs() {
        let cases: [Case; 5] = [
            (&[&[(1, 0), (2, 1)], &[(1, 1), (2, 0)]], &[], 0, "same commands in another order"),
            (&[&[(1, 0), (2, 1)], &[(1, 0), (2, 2)]], &[], 0, "only on 0: command 1; only on 1: command 2"),
            (&[&[(1, 0)], &[(1, 0)]], &[0, 3], 0, "replica 1 did not apply acknowledged command 3"),
            (&[&[(1, 11)]], &[], 0, "replica 0 applied what no client sent: command 11"),
            (&[&[(1, 0), (2, 0)]], &[], 0, "delivered 1 commands again, but clients sent only 0 again"),
        ];
        for (logs, acknowledged, resubmissions, expected) in cases {
            let violations = verdict(logs, acknowledged, resubmissions);
            assert!(violations.iter().any(|violation| violation.contains(expected)), "{violations:?}");
        }
        assert_eq!(verdict(&[&[(1, 0), (2, 0)]], &[0], 1), [""; 0], "a resent command may come again");
    }

    #[test]
    fn a_replica_that_failed_is_told() {
        let status = ReplicaStatus { failure: Some("disk full".into()), ..ReplicaStatus::default() };
        let observation = Observation { replicas: vec![status], ..Observation::default() };
        assert_eq!(stopped(&observation).as_deref(), Some("replica 0 stopped: disk full"));
        assert_eq!(stopped(&Observation::default()), None);
    }
}
