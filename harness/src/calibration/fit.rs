//! From closed loops to what each kind of work costs.

use protocol_core::{Counters, MessageKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ProtocolCosts, WorkCosts};
use crate::results::Estimate;
use crate::stats::{fit_non_negative, jackknife_plus};

/// One closed loop: what a commit cost in it, and how much of each kind of work that was. Work is that of
/// all replicas together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FittedCell {
    /// Replicas.
    pub replicas: usize,
    /// Clients, each with one request in flight.
    pub clients: usize,
    /// Bytes of every payload.
    pub payload_bytes: usize,
    /// Commits behind it.
    pub commits: u64,
    /// CPU time per commit, in nanoseconds: the median of the rounds.
    pub measured_ns: f64,
    /// What the costs say that it is.
    pub fitted_ns: f64,
    /// Wake-ups per commit.
    pub wake_ups: f64,
    /// Messages sent and received per commit.
    pub messages: f64,
    /// Bytes of those.
    pub bytes: f64,
    /// Commands taken up per commit.
    pub requests: f64,
    /// Commands applied per commit.
    pub deliveries: f64,
    /// Signatures made, signatures checked, and authentication codes made or checked per commit.
    pub cryptography: [f64; 3],
}

impl FittedCell {
    /// Enters the work that `commits` took, from what replicas counted.
    pub fn with_work(mut self, spent: &Counters, deliveries: u64, commits: u64) -> Self {
        let per_commit = |count: u64| count as f64 / commits as f64;
        let all = |of: fn(&Counters, MessageKind) -> u64| {
            MessageKind::ALL.into_iter().map(|kind| of(spent, kind)).sum::<u64>()
        };
        let sent = all(|spent, kind| spent.of(kind).messages);
        self.commits = commits;
        self.wake_ups = per_commit(spent.wake_ups);
        self.messages = per_commit(sent + spent.drained_messages);
        // In memory nothing is lost: what was sent is received.
        self.bytes = per_commit(2 * all(|spent, kind| spent.of(kind).bytes));
        self.requests = 1.0;
        self.deliveries = per_commit(deliveries);
        self.cryptography = [spent.signatures, spent.verifications, spent.macs].map(per_commit);
        self
    }

    fn row(&self) -> Vec<f64> {
        vec![self.wake_ups, self.messages, self.bytes, self.requests, self.deliveries]
    }

    /// What the work costs, in nanoseconds per commit. Flushes are the disk's work, and not in it.
    pub fn cost_ns(&self, costs: &WorkCosts) -> f64 {
        let WorkCosts { wake_up_ns, message_ns, byte_ns, request_ns, delivery_ns, .. } = *costs;
        let each = [wake_up_ns, message_ns, byte_ns, request_ns, delivery_ns];
        let work = self.row().iter().zip(each).map(|(amount, cost)| amount * cost).sum::<f64>();
        work + self.cryptography_ns(costs)
    }

    fn cryptography_ns(&self, known: &WorkCosts) -> f64 {
        let [signed, verified, maced] = self.cryptography;
        known.sign_ns * signed + known.verify_ns * verified + known.mac_ns * maced
    }
}

/// Fits the costs of wake-ups, messages, bytes, requests and deliveries to the cells, and writes into each
/// what the fit says of it. What cryptography costs is known by itself, and taken off first. None when
/// there is nothing to fit: no cell, or one that took no time besides cryptography.
pub fn fit(cells: &mut [FittedCell], known: &WorkCosts) -> Option<WorkCosts> {
    let rows: Vec<Vec<f64>> = cells.iter().map(FittedCell::row).collect();
    let rest: Vec<f64> = cells.iter().map(|cell| cell.measured_ns - cell.cryptography_ns(known)).collect();
    let found = fit_non_negative(&rows, &rest)?;
    let [wake_up_ns, message_ns, byte_ns, request_ns, delivery_ns] = found.coefficients[..] else {
        return None;
    };
    for ((cell, deviation), rest) in cells.iter_mut().zip(&found.deviations).zip(&rest) {
        cell.fitted_ns = rest * (1.0 + deviation) + cell.cryptography_ns(known);
    }
    Some(WorkCosts { wake_up_ns, message_ns, byte_ns, request_ns, delivery_ns, ..*known })
}

impl ProtocolCosts {
    /// CPU time of a commit that takes this much work, in nanoseconds. The interval is a jackknife+ one of the
    /// cells, each left out of the fit in its turn; none when they are too few to fit the costs to the others.
    pub fn of_commit(&self, work: &FittedCell) -> Estimate {
        let WorkCosts { sign_ns, verify_ns, mac_ns, .. } = self.costs;
        let known = WorkCosts { sign_ns, verify_ns, mac_ns, ..WorkCosts::default() };
        let without = |left_out: usize| {
            let mut others = self.cells.clone();
            let cell = others.remove(left_out);
            let costs = fit(&mut others, &known)?;
            let logarithms = (work.cost_ns(&costs).ln(), (cell.measured_ns / cell.cost_ns(&costs)).ln());
            (logarithms.0.is_finite() && logarithms.1.is_finite()).then_some(logarithms)
        };
        let enough = self.cells.len() > work.row().len();
        let pairs: Option<Vec<(f64, f64)>> =
            if enough { (0..self.cells.len()).map(without).collect() } else { None };
        let interval = pairs.and_then(|pairs| jackknife_plus(&pairs));
        Estimate {
            value: work.cost_ns(&self.costs),
            lower: interval.map(|(lower, _)| lower.exp()),
            upper: interval.map(|(_, upper)| upper.exp()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: WorkCosts = WorkCosts {
        wake_up_ns: 700.0,
        message_ns: 120.0,
        byte_ns: 0.5,
        request_ns: 300.0,
        delivery_ns: 90.0,
        sign_ns: 0.0,
        verify_ns: 0.0,
        mac_ns: 66.0,
        fsync_ns: 0.0,
    };

    /// Loops whose commits cost what [`TRUTH`] says.
    fn cells() -> Vec<FittedCell> {
        let cell = |(index, replicas): (usize, f64)| {
            let batch = 2.0_f64.powi(index as i32);
            let mut cell = FittedCell {
                wake_ups: 4.0 * replicas / batch,
                messages: 8.0 * (replicas - 1.0) / batch + index as f64 * 0.1,
                bytes: 200.0 + 1_000.0 * (index % 3) as f64,
                requests: 1.0,
                deliveries: replicas,
                cryptography: [0.0, 0.0, replicas],
                ..FittedCell::default()
            };
            let work: f64 = cell
                .row()
                .iter()
                .zip([700.0, 120.0, 0.5, 300.0, 90.0])
                .map(|(amount, cost)| amount * cost)
                .sum();
            cell.measured_ns = work + 66.0 * replicas;
            assert!((cell.cost_ns(&TRUTH) / cell.measured_ns - 1.0).abs() < 1e-12);
            cell
        };
        [3.0, 5.0, 3.0, 5.0, 3.0, 5.0, 3.0, 5.0].into_iter().enumerate().map(cell).collect()
    }

    #[test]
    fn costs_come_back_from_cells_that_they_made_with_cryptography_apart() {
        let mut cells = cells();
        let known = WorkCosts { mac_ns: 66.0, ..WorkCosts::default() };
        let found = fit(&mut cells, &known).unwrap();
        for ((name, found), (_, truth)) in found.named().into_iter().zip(TRUTH.named()) {
            assert!((found - truth).abs() < 1e-6 * truth.max(1.0), "{name}: {found} for {truth}");
        }
        assert!(cells.iter().all(|cell| (cell.fitted_ns - cell.measured_ns).abs() < 1e-6));
        assert_eq!(fit(&mut [], &known), None);
    }

    #[test]
    fn a_commit_costs_what_its_work_does_and_the_interval_is_as_wide_as_the_cells_are_off() {
        let costs = |cells: Vec<FittedCell>| ProtocolCosts {
            protocol: "toy".into(),
            implementation: "toy".into(),
            calibrated_unix_s: 0,
            disturbed: Vec::new(),
            costs: TRUTH,
            resume_ns: 0.0,
            cells,
            fit_error_median: 0.0,
            fit_error_max: 0.0,
        };
        let mut off = cells();
        let work = off[3].clone();
        let truth = work.measured_ns;
        let width = |estimate: Estimate| estimate.upper.unwrap() / estimate.lower.unwrap();
        let exact = costs(off.clone()).of_commit(&work);
        assert!((exact.value / truth - 1.0).abs() < 1e-9 && width(exact) < 1.000_01, "{exact:?}");
        for (index, cell) in off.iter_mut().enumerate() {
            cell.measured_ns *= if index % 2 == 0 { 1.1 } else { 0.9 };
        }
        let noisy = costs(off.clone()).of_commit(&work);
        assert!(noisy.lower.unwrap() < truth && truth < noisy.upper.unwrap(), "{noisy:?}");
        assert!(width(noisy) > 1.1, "{noisy:?}");
        off.truncate(5);
        assert_eq!(costs(off).of_commit(&work).lower, None, "four cells tell no five costs");
    }
}
