//! How updates spread that every replica has to have, in virtual time: how fast, at what cost, to how many.

use protocol_core::{Answered, MessageKind, Observation};

use super::exact::{ExactRecord, Times, exact};
use crate::results::{Better, Metric};

/// How long updates took to reach so many of all replicas, and how many did not reach all in time.
#[derive(Clone, Debug, Default)]
pub struct Dissemination {
    half: Times,
    most: Times,
    nearly_all: Times,
    all: Times,
    complete: u64,
    late: u64,
}

impl Dissemination {
    /// Records the end of one update; commands that are none leave no trace.
    pub fn record(&mut self, answered: &Answered) {
        let Some(spread) = answered.spread else { return };
        if answered.outcome.is_err() {
            self.late += 1;
            return;
        }
        self.complete += 1;
        let since = |reached: u64| reached.saturating_sub(answered.submitted.0);
        self.half.record(since(spread.half.0));
        self.most.record(since(spread.most.0));
        self.nearly_all.record(since(spread.nearly_all.0));
        self.all.record(since(answered.decided.0));
    }

    /// Updates that did not reach all live replicas before their deadline.
    pub fn late(&self) -> u64 {
        self.late
    }
}

/// What became of a cluster of which some replicas went and came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Churn {
    /// From the crash until every live replica held all that crashed to have failed; none without a
    /// detector, or when that took too long.
    pub detection_ns: Option<u64>,
    /// Replicas that were held to have failed while they lived, counted for each that held it; none
    /// without a detector.
    pub false_suspicions: Option<u64>,
    /// From the restart until an update sent after it had reached all replicas; none when none did.
    pub convergence_ns: Option<u64>,
}

/// The metrics of one combination, beside those of any protocol. Updates that were late count for the
/// completeness and for no time.
pub fn dissemination_metrics(
    spreading: &Dissemination,
    record: &ExactRecord,
    churn: Option<Churn>,
) -> Vec<Metric> {
    let less = Better::Lower;
    let mut metrics = Vec::new();
    let Dissemination { half, most, nearly_all, all, complete, late } = spreading;
    for (share, times) in [(50, half), (90, most), (99, nearly_all), (100, all)] {
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
            metrics.push(exact(&format!("spread_{share}_ns_{name}"), "ns", less, times.quantile(quantile)));
        }
    }
    let ended = (complete + late) as f64;
    metrics.push(exact("completeness_ratio", "1", Better::Higher, *complete as f64 / ended));
    let spent = record.after.total() - record.before.total();
    let deliveries = from_others(record.before, record.after) as f64;
    for (name, kind) in [("payload", MessageKind::Protocol), ("control", MessageKind::Control)] {
        let per_delivery = spent.of(kind).messages as f64 / deliveries;
        metrics.push(exact(&format!("{name}_messages_per_delivery"), "1", less, per_delivery));
    }
    let Churn { detection_ns, false_suspicions, convergence_ns } = churn.unwrap_or_default();
    let nanos = |name: &str, ns: Option<u64>| ns.map(|ns| exact(name, "ns", less, ns as f64));
    metrics.extend(nanos("detection_ns", detection_ns));
    metrics.extend(nanos("convergence_ns", convergence_ns));
    metrics.extend(false_suspicions.map(|count| exact("false_suspicions", "1", less, count as f64)));
    metrics.retain(|metric| metric.value.is_finite());
    metrics
}

/// Deliveries on replicas that had the update from another one, not from its client.
fn from_others(before: &Observation, after: &Observation) -> u64 {
    let delivered = |observation: &Observation| -> u64 {
        observation.replicas.iter().map(|replica| replica.delivered).sum()
    };
    let own = after.total().proposed_commands - before.total().proposed_commands;
    (delivered(after) - delivered(before)).saturating_sub(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol_core::{CommandId, Counters, Floors, ReplicaStatus, Slot, Spread, SubmitError, Time};

    use crate::measure::Latencies;

    fn answered(outcome: Result<Slot, SubmitError>) -> Answered {
        Answered {
            id: CommandId(0),
            submitted: Time(100),
            taken_up: Time(100),
            decided: Time(150),
            answered: Time(150),
            outcome,
            output: 0,
            spread: Some(Spread { half: Time(110), most: Time(130), nearly_all: Time(140) }),
        }
    }

    fn observation(delivered: [u64; 3], proposed: u64, payloads: u64) -> Observation {
        let mut counters = Counters { proposed_commands: proposed, ..Counters::default() };
        counters.traffic[MessageKind::Protocol.index()].messages = payloads;
        let status = |delivered| ReplicaStatus { delivered, ..ReplicaStatus::default() };
        let mut replicas: Vec<_> = delivered.into_iter().map(status).collect();
        replicas[0].counters = counters;
        Observation { replicas, ..Observation::default() }
    }

    #[test]
    fn times_are_of_what_reached_all_and_completeness_of_everything() {
        let mut spreading = Dissemination::default();
        spreading.record(&answered(Ok(Slot(0))));
        spreading.record(&answered(Err(SubmitError::TimedOut)));
        spreading.record(&Answered { spread: None, ..answered(Ok(Slot(0))) });
        assert_eq!(spreading.late(), 1);
        let (before, after) = (observation([5, 5, 5], 5, 100), observation([7, 7, 6], 7, 106));
        let record = ExactRecord {
            latencies: &Latencies::default(),
            before: &before,
            after: &after,
            virtual_ns: 1,
            recovery_ns: None,
            heap: None,
            floors: Floors::without_cryptography(2.0, 1.0),
            one_way_ns: None,
        };
        let churn = Churn { convergence_ns: Some(9), ..Churn::default() };
        let metrics = dissemination_metrics(&spreading, &record, Some(churn));
        let value = |name: &str| metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value);
        let shares = [50, 90, 99, 100].map(|share| value(&format!("spread_{share}_ns_p99")).unwrap());
        assert_eq!(shares, [10.0, 30.0, 40.0, 50.0]);
        assert_eq!(value("completeness_ratio"), Some(0.5));
        // Five deliveries, two of them where the client was.
        assert_eq!(value("payload_messages_per_delivery"), Some(2.0));
        assert_eq!((value("convergence_ns"), value("detection_ns")), (Some(9.0), None));
    }
}
