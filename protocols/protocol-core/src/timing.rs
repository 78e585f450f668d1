//! Failure-detection times: those of a scenario, and the tunables that change them.

use std::time::Duration;

use crate::role::Role;
use crate::settings::{Constraint, Scale, Settings, Situation, Tunable};

/// Failure-detection times, the same for every protocol of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between heartbeats of an idle leader.
    pub heartbeat: Duration,
    /// A follower that hears nothing for a random time between this …
    pub election_min: Duration,
    /// … and this starts an election.
    pub election_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            heartbeat: Duration::from_millis(50),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(600),
        }
    }
}

impl Timing {
    /// In place of the scenario's heartbeat.
    pub const HEARTBEAT: Tunable = Tunable {
        name: "heartbeat_ms",
        role: Role::Heartbeat,
        about: "time between heartbeats of an idle leader, and of what else recurs; 0 is the scenario's",
        range: (0.0, 60_000.0),
        scale: Scale::Logarithmic,
        default: 0.0,
        live: false,
        trades: Some("how soon a failed replica is missed, and how often one is missed that lives"),
    };
    /// In place of the scenario's shortest election time-out.
    pub const ELECTION_MIN: Tunable = Tunable {
        name: "election_min_ms",
        role: Role::ElectionMin,
        about: "shortest silence after which a replica suspects the leader; 0 is the scenario's",
        range: (0.0, 600_000.0),
        scale: Scale::Logarithmic,
        default: 0.0,
        live: false,
        trades: Some("how soon a failed replica is missed, and how often one is missed that lives"),
    };
    /// In place of the scenario's longest election time-out.
    pub const ELECTION_MAX: Tunable = Tunable {
        name: "election_max_ms",
        role: Role::ElectionMax,
        about: "longest silence after which a replica suspects the leader; 0 is the scenario's",
        range: (0.0, 600_000.0),
        scale: Scale::Logarithmic,
        default: 0.0,
        live: false,
        trades: Some("how soon a failed replica is missed, and how often one is missed that lives"),
    };

    /// Shorter intervals would be lost in the time that a round of a replica takes.
    pub const WHOLE_HEARTBEAT: Constraint = Constraint {
        says: "heartbeat_ms ≥ 1",
        broken: |Situation { timing, .. }| {
            (timing.heartbeat < Duration::from_millis(1))
                .then(|| format!("heartbeat_ms = {} has to be at least 1", in_ms(timing.heartbeat)))
        },
    };
    /// Otherwise a leader that lives is suspected between two of its heartbeats.
    pub const ELECTION_AFTER_HEARTBEAT: Constraint = Constraint {
        says: "election_min_ms > heartbeat_ms",
        broken: |Situation { timing, .. }| {
            (timing.election_min <= timing.heartbeat).then(|| {
                format!(
                    "election_min_ms = {} has to be longer than heartbeat_ms = {}",
                    in_ms(timing.election_min),
                    in_ms(timing.heartbeat)
                )
            })
        },
    };
    /// Otherwise replicas stand for election at the same time, and none wins.
    pub const SPREAD_ELECTIONS: Constraint = Constraint {
        says: "election_max_ms > election_min_ms",
        broken: |Situation { timing, .. }| {
            (timing.election_max <= timing.election_min).then(|| {
                format!(
                    "election_max_ms = {} has to be longer than election_min_ms = {}",
                    in_ms(timing.election_max),
                    in_ms(timing.election_min)
                )
            })
        },
    };

    /// Default times stretched so that an election can't start before a heartbeat's answer over
    /// links of this one-way delay.
    pub fn for_delay(one_way: Duration) -> Self {
        let (default, round_trip) = (Timing::default(), one_way * 2);
        let heartbeat = default.heartbeat.max(round_trip * 2);
        Timing {
            heartbeat,
            election_min: default.election_min.max(heartbeat * 6),
            election_max: default.election_max.max(heartbeat * 12),
        }
    }

    /// These times, but for those that the settings say.
    pub fn set_by(self, settings: &Settings) -> Self {
        let set = |tunable: &Tunable, scenario: Duration| match settings.get(tunable) {
            ms if ms > 0.0 => Duration::from_secs_f64(ms / 1e3),
            _ => scenario,
        };
        Timing {
            heartbeat: set(&Timing::HEARTBEAT, self.heartbeat),
            election_min: set(&Timing::ELECTION_MIN, self.election_min),
            election_max: set(&Timing::ELECTION_MAX, self.election_max),
        }
    }

    /// The time that a tunable stands for, in milliseconds; none when it stands for none.
    pub fn in_force_ms(&self, tunable: &Tunable) -> Option<f64> {
        let times = [
            (Timing::HEARTBEAT, self.heartbeat),
            (Timing::ELECTION_MIN, self.election_min),
            (Timing::ELECTION_MAX, self.election_max),
        ];
        times.into_iter().find(|(one, _)| one.name == tunable.name).map(|(_, time)| in_ms(time))
    }
}

fn in_ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use crate::applied::Order;
    use crate::operation::Operation;
    use crate::protocol::{Descriptor, Family, FaultModel, Floors};
    use crate::quorums::no_quorums;

    fn descriptor() -> Descriptor {
        Descriptor {
            name: "some",
            family: Family::Raft,
            implementation: "none",
            fault_model: FaultModel::Crash,
            tolerates: |_, _| 0,
            cluster_sizes: (1, 9),
            order: Order::Total,
            operation: Operation::append,
            commit_means: "",
            quorums: no_quorums,
            floors: |_| Floors::without_cryptography(0.0, 0.0),
            tunables: &[Timing::HEARTBEAT, Timing::ELECTION_MIN, Timing::ELECTION_MAX],
            constraints: &[
                Timing::WHOLE_HEARTBEAT,
                Timing::ELECTION_AFTER_HEARTBEAT,
                Timing::SPREAD_ELECTIONS,
            ],
            particulars: Default::default(),
        }
    }

    fn settings(values: &[(&str, f64)]) -> Settings {
        let values: BTreeMap<String, f64> =
            values.iter().map(|(name, value)| ((*name).into(), *value)).collect();
        Settings::checked(values, &descriptor()).unwrap()
    }

    #[test]
    fn settings_take_the_place_of_the_scenarios_times_and_nothing_keeps_them() {
        let scenario = Timing::for_delay(Duration::from_millis(25));
        assert_eq!(scenario.set_by(&Settings::default()), scenario);
        let timing = scenario.set_by(&settings(&[("heartbeat_ms", 20.0), ("election_max_ms", 0.0)]));
        assert_eq!(timing, Timing { heartbeat: Duration::from_millis(20), ..scenario });
        assert_eq!(timing.in_force_ms(&Timing::HEARTBEAT), Some(20.0));
        assert_eq!(timing.in_force_ms(&Timing::ELECTION_MIN), Some(600.0));
    }

    #[test]
    fn times_that_contradict_the_scenarios_are_refused_in_one_line() {
        let broken = |values: &[(&str, f64)]| {
            let settings = settings(values);
            let timing = Timing::default().set_by(&settings);
            let checked = Situation { replicas: 3, timing, settings: &settings }.check(&descriptor());
            checked.err().map(|error| error.to_string())
        };
        assert_eq!(broken(&[]), None);
        assert_eq!(broken(&[("heartbeat_ms", 299.0)]), None);
        for (values, expected) in [
            (("heartbeat_ms", 300.0), "election_min_ms = 300 has to be longer than heartbeat_ms = 300"),
            (("heartbeat_ms", 0.5), "heartbeat_ms = 0.5 has to be at least 1"),
            (("election_min_ms", 700.0), "election_max_ms = 600 has to be longer than election_min_ms = 700"),
        ] {
            let error = broken(&[values]).unwrap();
            assert_eq!(error, format!("the settings don't fit together: {expected}"));
        }
    }
}
