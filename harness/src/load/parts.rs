//! Where the time of requests went, part by part.

use hdrhistogram::Histogram;
use protocol_core::Phases;

/// Significant decimal digits of these histograms: there are many of them, and means come from exact
/// sums.
const PRECISION: u8 = 2;

/// A part of a request's service time. All but the last add up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// From sent until a replica took the command up.
    Submission,
    /// Until that replica had sent it to its peers and to its log.
    Replication,
    /// Until that replica knew that it was committed.
    QuorumWait,
    /// Until it was applied.
    Application,
    /// Until the client had the answer.
    Answer,
    /// The part of the quorum wait in which that replica's own log was still being flushed.
    Fsync,
}

impl Part {
    /// All parts, in the order of time.
    pub const ALL: [Part; 6] =
        [Part::Submission, Part::Replication, Part::QuorumWait, Part::Application, Part::Answer, Part::Fsync];

    /// The name that metrics begin with.
    pub fn name(self) -> &'static str {
        match self {
            Part::Submission => "submission",
            Part::Replication => "replication",
            Part::QuorumWait => "quorum_wait",
            Part::Application => "application",
            Part::Answer => "answer",
            Part::Fsync => "fsync",
        }
    }
}

/// Times of acknowledged requests by part, in nanoseconds.
#[derive(Clone, Debug)]
pub struct PartTimes {
    histograms: [Histogram<u64>; Part::ALL.len()],
    totals: [u64; Part::ALL.len()],
}

impl PartTimes {
    /// Nothing recorded yet; times above `highest` count as that in percentiles.
    pub fn new(highest: u64) -> Self {
        let histogram = |_| match Histogram::new_with_bounds(1, highest.max(2), PRECISION) {
            Ok(histogram) => histogram,
            Err(error) => unreachable!("bounds 1 to {highest} are valid: {error}"),
        };
        PartTimes { histograms: std::array::from_fn(histogram), totals: [0; Part::ALL.len()] }
    }

    /// Records one request: the cluster's own phases, and what is left of its service time.
    pub fn record(&mut self, phases: &Phases, service_ns: u64) {
        let times = [
            phases.submission_ns,
            phases.replication_ns,
            phases.quorum_wait_ns,
            phases.application_ns,
            service_ns.saturating_sub(phases.total_ns()),
            phases.fsync_ns,
        ];
        for (index, time) in times.into_iter().enumerate() {
            self.histograms[index].saturating_record(time);
            self.totals[index] += time;
        }
    }

    /// Times of one part.
    pub fn histogram(&self, part: Part) -> &Histogram<u64> {
        &self.histograms[part as usize]
    }

    /// Sum of the times of one part, exact.
    pub fn total_ns(&self, part: Part) -> u64 {
        self.totals[part as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_request_add_up_to_its_service_time() {
        let phases = Phases {
            submission_ns: 10,
            replication_ns: 200,
            quorum_wait_ns: 3_000,
            application_ns: 40_000,
            fsync_ns: 2_500,
        };
        let mut parts = PartTimes::new(1_000_000);
        parts.record(&phases, 50_000);
        let addends = Part::ALL.iter().filter(|&&part| part != Part::Fsync);
        assert_eq!(addends.map(|&part| parts.total_ns(part)).sum::<u64>(), 50_000);
        assert_eq!(parts.total_ns(Part::Answer), 50_000 - phases.total_ns());
        assert_eq!(parts.histogram(Part::Fsync).len(), 1);
    }
}
