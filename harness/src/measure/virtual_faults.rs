//! From the cycles of one fault in virtual time to its metrics. The seeds are all there is, not a sample of
//! more: their least, middle and most are given, and no interval.

use super::exact::exact;
use super::outage::median;
use crate::results::{Better, FaultCycle, Metric};

/// The metrics of one fault over its seeds. A number that some seeds did not come to is that of the others,
/// whose number is the metric's `n`.
pub fn virtual_fault_metrics(cycles: &[FaultCycle], tolerated: bool) -> Vec<Metric> {
    if cycles.is_empty() {
        return Vec::new();
    }
    let mut metrics = Vec::new();
    let mut time = |name: &str, of: &dyn Fn(&FaultCycle) -> Option<u64>| {
        let mut values: Vec<f64> = cycles.iter().filter_map(of).map(|ns| ns as f64).collect();
        values.sort_by(f64::total_cmp);
        let middle = median(&values.iter().collect::<Vec<_>>());
        if let (Some(&least), Some(&most)) = (values.first(), values.last()) {
            for (ending, value) in [("", middle), ("_min", least), ("_max", most)] {
                let n = values.len() as u64;
                metrics.push(Metric { n, ..exact(&format!("{name}{ending}"), "ns", Better::Lower, value) });
            }
        }
    };
    time("unavailability_ns", &|cycle| Some(cycle.unavailability_ns));
    time("first_commit_ns", &|cycle| cycle.first_commit_ns);
    time("recovered_ns", &|cycle| cycle.recovered_ns);
    time("caught_up_ns", &|cycle| cycle.caught_up_ns);
    if tolerated {
        // Beyond tolerance every request waits for the end of the fault, however long that is.
        time("response_ns_p99_during", &|cycle| Some(cycle.p99_during_ns));
    }
    let mut sum = |name: &str, better: Better, of: &dyn Fn(&FaultCycle) -> u64| {
        let value = cycles.iter().map(of).sum::<u64>() as f64;
        metrics.push(Metric { n: cycles.len() as u64, ..exact(name, "1", better, value) });
    };
    sum("commits_during", Better::Higher, &|cycle| cycle.acknowledged_during);
    sum("failed_requests", Better::Lower, &|cycle| cycle.failed);
    sum("new_views", Better::Neither, &|cycle| cycle.views);
    if tolerated {
        let in_time = |cycle: &FaultCycle| cycle.recovered_ns.is_some_and(|ns| ns < cycle.fault_ns);
        sum("recovered_before_its_end", Better::Higher, &|cycle| u64::from(in_time(cycle)));
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycle(outage_ms: u64, recovered_ms: Option<u64>) -> FaultCycle {
        let ms = 1_000_000;
        FaultCycle {
            replicas: vec![0],
            fault_ns: 1_000 * ms,
            rate_before_per_s: 1_000.0,
            unavailability_ns: outage_ms * ms,
            first_commit_ns: recovered_ms.map(|at| at * ms),
            recovered_ns: recovered_ms.map(|at| at * ms),
            backlog_drain_ns: None,
            p99_before_ns: ms,
            p99_during_ns: outage_ms * ms,
            failed: 1,
            acknowledged_during: 100,
            views: 1,
            seed: Some(1),
            caught_up_ns: Some(2 * ms),
            timeline: None,
        }
    }

    #[test]
    fn seeds_give_least_middle_and_most_and_those_without_the_number_are_not_hidden() {
        let cycles = [cycle(300, Some(300)), cycle(900, None), cycle(400, Some(1_200))];
        let metrics = virtual_fault_metrics(&cycles, true);
        let value = |name: &str| {
            let metric = metrics.iter().find(|metric| metric.name == name).unwrap();
            (metric.value, metric.n)
        };
        assert_eq!(value("unavailability_ns_min"), (300e6, 3));
        assert_eq!(value("unavailability_ns"), (400e6, 3));
        assert_eq!(value("unavailability_ns_max"), (900e6, 3));
        assert_eq!(value("recovered_ns"), (750e6, 2));
        assert_eq!((value("commits_during"), value("failed_requests")), ((300.0, 3), (3.0, 3)));
        assert_eq!(value("recovered_before_its_end"), (1.0, 3), "the last was back after the fault's end");
        let beyond = virtual_fault_metrics(&cycles, false);
        assert!(beyond.iter().all(|metric| !metric.name.starts_with("response")));
        assert_eq!(virtual_fault_metrics(&[], true), []);
    }
}
