//! An open loop in virtual time: several clients, each sending at equal distances whatever becomes of its
//! requests, and the end of every single one.

use std::time::Duration;

use protocol_core::{CommandId, CommandSource, IdSet, Simulation, Time};
use rand::Rng;

use super::simulated::SECOND_NS;
use crate::load::Ended;
use crate::scenario::VirtualFaultPlan;

/// What became of one request, in nanoseconds of virtual time.
struct Sent {
    due_ns: u64,
    /// When it was acknowledged; none until then, or when it never was.
    acknowledged_ns: Option<u64>,
}

/// The clients of one simulation.
pub(super) struct VirtualLoad {
    /// When each client sends next.
    next_ns: Vec<u64>,
    period_ns: u64,
    timeout_ns: u64,
    payload: Vec<u8>,
    /// By command id.
    sent: Vec<Sent>,
    acknowledged: u64,
}

impl VirtualLoad {
    /// Clients that share the plan's rate, each beginning at a moment of its own.
    pub(super) fn new(
        plan: &VirtualFaultPlan,
        payload_bytes: usize,
        timeout: Duration,
        random: &mut impl Rng,
    ) -> Self {
        let clients = plan.clients.max(1);
        let period_ns = ((clients as f64 / plan.rate_per_s * SECOND_NS as f64).round() as u64).max(1);
        VirtualLoad {
            next_ns: (0..clients).map(|_| random.random_range(0..period_ns)).collect(),
            period_ns,
            timeout_ns: timeout.as_nanos() as u64,
            payload: vec![0x5A; payload_bytes],
            sent: Vec::new(),
            acknowledged: 0,
        }
    }

    pub(super) fn timeout_ns(&self) -> u64 {
        self.timeout_ns
    }

    /// Requests acknowledged so far, late ones included.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Requests sent so far.
    pub(super) fn submitted(&self) -> u64 {
        self.sent.len() as u64
    }

    /// Hands over all requests that are due before `until_ns`, in order.
    pub(super) fn send_until(
        &mut self,
        simulation: &mut dyn Simulation,
        commands: &mut CommandSource,
        until_ns: u64,
    ) {
        while let Some(next) = self.next_ns.iter_mut().min_by_key(|next| **next) {
            let due_ns = *next;
            if due_ns >= until_ns {
                return;
            }
            *next += self.period_ns;
            let command = commands.command(CommandId(self.sent.len() as u64), &self.payload);
            self.sent.push(Sent { due_ns, acknowledged_ns: None });
            simulation.submit(Time(due_ns), command, Time(due_ns.saturating_add(self.timeout_ns)));
        }
    }

    /// Enters what ended. Refused requests stay open until their time is over: no client knows more.
    pub(super) fn take_answers(&mut self, simulation: &mut dyn Simulation) {
        for answered in simulation.take_answers() {
            let sent = self.sent.get_mut(answered.id.0 as usize);
            if let (Some(sent), Ok(_)) = (sent, answered.outcome) {
                sent.acknowledged_ns = Some(answered.answered.0);
                self.acknowledged += 1;
            }
        }
    }

    /// What clients were told to have committed: after the time-out too, because it is a promise.
    pub(super) fn acknowledged_ids(&self) -> IdSet {
        let ids = (0..).map(CommandId).zip(&self.sent);
        ids.filter(|(_, sent)| sent.acknowledged_ns.is_some()).map(|(id, _)| id).collect()
    }

    /// The ends of all requests, in the order in which they came. One that took longer than the time-out
    /// ended with it.
    pub(super) fn trace(&self) -> Vec<Ended> {
        let ended = self.sent.iter().map(|sent| {
            let limit = sent.due_ns.saturating_add(self.timeout_ns);
            let in_time = sent.acknowledged_ns.filter(|&at| at <= limit);
            Ended {
                intended_ns: sent.due_ns,
                ended_ns: in_time.unwrap_or(limit),
                acknowledged: in_time.is_some(),
            }
        });
        let mut trace: Vec<Ended> = ended.collect();
        trace.sort_by_key(|one| one.ended_ns);
        trace
    }
}
