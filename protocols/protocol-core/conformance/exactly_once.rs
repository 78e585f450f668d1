//! Each command takes effect once, whoever leads when.

use std::time::Duration;

use protocol_core::{Protocol, SimulationSpec, Time};

use super::virtual_time::{MILLISECOND, NEVER, all_answered, closed_loop, command, crash, leader, restart};
use super::{agree, size};

/// The leader is crashed at every stage of the commands that are under way.
pub fn a_leader_that_crashes_at_any_moment_leaves_each_command_once(protocol: &dyn Protocol) {
    for moment in 0..8 {
        let mut spec = SimulationSpec::uniform(size(protocol), Duration::from_millis(10), moment);
        spec.durable = true;
        let mut simulation = protocol.simulate(&spec).unwrap();
        closed_loop(&mut *simulation, 0..3);
        let now = simulation.now().0;
        for id in 3..13 {
            simulation.submit(Time(now + (id - 3) * 4 * MILLISECOND), command(id), NEVER);
        }
        simulation.run_until(Time(now + moment * 7 * MILLISECOND));
        let first = leader(&*simulation);
        crash(&mut *simulation, [first]);
        all_answered(&mut *simulation, 3..13);
        agree(protocol, &mut *simulation, size(protocol) - 1, 13);
        restart(&mut *simulation, [first]);
        agree(protocol, &mut *simulation, size(protocol), 13);
    }
}
