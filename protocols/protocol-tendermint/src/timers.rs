//! The library's time-outs as timers of the replica.

use malachitebft_core_types::{LinearTimeouts, Round, Timeout, TimeoutKind};
use protocol_core::TimerId;

use crate::ledger::Queues;

/// The library's time-outs, each at the timer of its place.
const KINDS: [TimeoutKind; 4] =
    [TimeoutKind::Propose, TimeoutKind::Prevote, TimeoutKind::Precommit, TimeoutKind::Rebroadcast];

/// One timer for each kind: only the current round has any.
pub(crate) struct Timers {
    durations: LinearTimeouts,
    /// By kind, the round of the time-out that is set.
    armed: [Option<Round>; KINDS.len()],
}

impl Timers {
    pub(crate) fn new(durations: LinearTimeouts) -> Self {
        Timers { durations, armed: [None; KINDS.len()] }
    }

    pub(crate) fn set(&mut self, timeout: Timeout, effects: &mut Queues) {
        if let Some(index) = KINDS.iter().position(|&kind| kind == timeout.kind) {
            self.armed[index] = Some(timeout.round);
            effects.set_timer(TimerId(index as u32), self.durations.duration_for(timeout));
        }
    }

    pub(crate) fn cancel(&mut self, timeout: Timeout, effects: &mut Queues) {
        let index = KINDS.iter().position(|&kind| kind == timeout.kind);
        if let Some(index) = index.filter(|&index| self.armed[index] == Some(timeout.round)) {
            self.armed[index] = None;
            effects.cancel_timer(TimerId(index as u32));
        }
    }

    pub(crate) fn cancel_all(&mut self, effects: &mut Queues) {
        for (number, armed) in (0..).zip(&mut self.armed) {
            if armed.take().is_some() {
                effects.cancel_timer(TimerId(number));
            }
        }
    }

    /// The time-out that ran out with a timer, if it is still wanted.
    pub(crate) fn ran_out(&mut self, timer: TimerId) -> Option<Timeout> {
        let index = timer.0 as usize;
        let round = self.armed.get_mut(index)?.take()?;
        Some(Timeout::new(round, KINDS[index]))
    }
}
