//! As many faults as the protocol tolerates stop no one; one more stops everyone, and no one lies.

use std::time::Duration;

use protocol_core::{Protocol, ReplicaId, Simulation, SimulationSpec};

use super::virtual_time::{all_answered, closed_loop, crash, leader, restart, run_for, submit};
use super::{agree, size};

/// Clusters that tolerate one fault and two, with how many, and whether the leader is among those hit.
fn cases(protocol: &dyn Protocol) -> [(usize, usize, bool); 3] {
    let (descriptor, least) = (protocol.descriptor(), size(protocol));
    let tolerates = |replicas| (descriptor.tolerates)(replicas, &Default::default());
    let more = (least..).find(|&n| descriptor.fits(n) && tolerates(n) > tolerates(least)).unwrap();
    [(least, false), (least, true), (more, true)]
        .map(|(replicas, with_leader)| (replicas, tolerates(replicas), with_leader))
}

/// Long enough for many elections, or views.
const ELECTIONS: Duration = Duration::from_secs(3);

fn launch(protocol: &dyn Protocol, replicas: usize) -> Box<dyn Simulation> {
    let mut spec = SimulationSpec::uniform(replicas, Duration::from_millis(2), 1);
    spec.durable = true;
    protocol.simulate(&spec).unwrap()
}

/// So many replicas in a row, from the leader on, or from the one behind it.
fn victims(simulation: &dyn Simulation, count: usize, with_leader: bool) -> Vec<ReplicaId> {
    let replicas = simulation.observe().replicas.len();
    let first = leader(simulation).index() + usize::from(!with_leader);
    (first..first + count).map(|index| ReplicaId((index % replicas) as u32)).collect()
}

pub fn the_tolerated_crashes_stop_no_one(protocol: &dyn Protocol) {
    for (replicas, tolerated, with_leader) in cases(protocol) {
        let mut simulation = launch(protocol, replicas);
        closed_loop(&mut *simulation, 0..10);
        let victims = victims(&*simulation, tolerated, with_leader);
        crash(&mut *simulation, victims.clone());
        closed_loop(&mut *simulation, 10..30);
        agree(protocol, &mut *simulation, replicas - tolerated, 30);
        restart(&mut *simulation, victims);
        closed_loop(&mut *simulation, 30..40);
        agree(protocol, &mut *simulation, replicas, 40);
    }
}

pub fn one_crash_more_stops_everyone_and_no_one_lies(protocol: &dyn Protocol) {
    for (replicas, tolerated, with_leader) in cases(protocol) {
        let mut simulation = launch(protocol, replicas);
        closed_loop(&mut *simulation, 0..10);
        agree(protocol, &mut *simulation, replicas, 10);
        let victims = victims(&*simulation, tolerated + 1, with_leader);
        crash(&mut *simulation, victims.clone());
        submit(&mut *simulation, 10..20);
        run_for(&mut *simulation, ELECTIONS);
        assert_eq!(simulation.take_answers(), [], "{replicas} replicas, {tolerated} tolerated");
        // Nothing is applied either that no one was told of.
        agree(protocol, &mut *simulation, replicas - tolerated - 1, 10);
        restart(&mut *simulation, victims);
        all_answered(&mut *simulation, 10..20);
        agree(protocol, &mut *simulation, replicas, 20);
    }
}
