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
        let times = parts_of(phases, service_ns.saturating_sub(phases.total_ns()));
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

/// Sums over acknowledged requests by part, without histograms: little enough to be kept by a closed loop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanTotals {
    requests: u64,
    service_ns: u64,
    /// Of [`Phases`], in the order of [`Part::ALL`]; that of the answer stays 0.
    phases_ns: [u64; Part::ALL.len()],
}

impl SpanTotals {
    /// Adds one request's phases.
    pub fn record(&mut self, phases: &Phases) {
        self.requests += 1;
        for (total, part) in self.phases_ns.iter_mut().zip(parts_of(phases, 0)) {
            *total = total.saturating_add(part);
        }
    }

    /// Adds the service time of requests that were recorded.
    pub fn add_service_ns(&mut self, service_ns: u64) {
        self.service_ns = self.service_ns.saturating_add(service_ns);
    }

    /// Adds what was recorded of requests, service time included.
    pub fn include(&mut self, requests: u64, service_ns: u64, times: &PartTimes) {
        self.requests += requests;
        self.add_service_ns(service_ns);
        for part in Part::ALL.into_iter().filter(|&part| part != Part::Answer) {
            self.phases_ns[part as usize] += times.total_ns(part);
        }
    }

    /// Requests.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Sum of the times of one part; the answer has what the others leave of the service time.
    pub fn total_ns(&self, part: Part) -> u64 {
        match part {
            Part::Answer => {
                let others =
                    Part::ALL.into_iter().filter(|&part| part != Part::Fsync && part != Part::Answer);
                self.service_ns.saturating_sub(others.map(|part| self.total_ns(part)).sum())
            }
            part => self.phases_ns[part as usize],
        }
    }
}

/// Times in the order of [`Part::ALL`].
fn parts_of(phases: &Phases, answer_ns: u64) -> [u64; Part::ALL.len()] {
    [
        phases.submission_ns,
        phases.replication_ns,
        phases.quorum_wait_ns,
        phases.application_ns,
        answer_ns,
        phases.fsync_ns,
    ]
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

        // Sums alone say the same, wherever they come from.
        let (mut recorded, mut included) = (SpanTotals::default(), SpanTotals::default());
        recorded.record(&phases);
        recorded.add_service_ns(50_000);
        included.include(1, 50_000, &parts);
        assert_eq!(recorded, included);
        assert!(Part::ALL.iter().all(|&part| recorded.total_ns(part) == parts.total_ns(part)));
    }
}
