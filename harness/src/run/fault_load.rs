//! An open loop in virtual time: several clients, each sending at equal distances whatever becomes of its
//! requests, and the end of every single one.

use protocol_core::{Protocol, SimulationSpec, Time};
use rand::Rng;

use super::RunError;
use super::simulated::{SECOND_NS, SETTLING_NS};
use super::virtual_clients::VirtualClients;
use crate::load::Ended;
use crate::results::Safety;
use crate::scenario::{Scenario, VirtualFaultPlan};

/// What became of one request, in nanoseconds of virtual time.
struct Sent {
    due_ns: u64,
    /// When it was acknowledged; none until then, or when it never was.
    acknowledged_ns: Option<u64>,
}

/// A load on one cluster.
pub(super) struct VirtualLoad {
    pub(super) clients: VirtualClients,
    /// When each client sends next.
    next_ns: Vec<u64>,
    period_ns: u64,
    timeout_ns: u64,
    /// By command id.
    sent: Vec<Sent>,
    acknowledged: u64,
}

impl VirtualLoad {
    /// A cluster under clients that share the plan's rate, each beginning at a moment of its own.
    pub(super) fn start(
        protocol: &dyn Protocol,
        spec: &SimulationSpec,
        (scenario, plan): (&Scenario, &VirtualFaultPlan),
        random: &mut impl Rng,
    ) -> Result<Self, RunError> {
        let clients = plan.clients.max(1);
        let period_ns = ((clients as f64 / plan.rate_per_s * SECOND_NS as f64).round() as u64).max(1);
        Ok(VirtualLoad {
            clients: VirtualClients::of(protocol, spec, scenario.payload_bytes)?,
            next_ns: (0..clients).map(|_| random.random_range(0..period_ns)).collect(),
            period_ns,
            timeout_ns: scenario.timeout().as_nanos() as u64,
            sent: Vec::new(),
            acknowledged: 0,
        })
    }

    /// Requests acknowledged so far, late ones included.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Goes on for so long.
    pub(super) fn advance(&mut self, ns: u64) {
        let until_ns = self.clients.now().0.saturating_add(ns);
        self.send_until(until_ns);
        self.clients.simulation.run_until(Time(until_ns));
        self.take_answers();
    }

    /// Hands over all requests that are due before `until_ns`, in order.
    fn send_until(&mut self, until_ns: u64) {
        while let Some(next) = self.next_ns.iter_mut().min_by_key(|next| **next) {
            let due_ns = *next;
            if due_ns >= until_ns {
                return;
            }
            *next += self.period_ns;
            self.sent.push(Sent { due_ns, acknowledged_ns: None });
            self.clients.send(Time(due_ns), Time(due_ns.saturating_add(self.timeout_ns)));
        }
    }

    /// Enters what ended. Refused requests stay open until their time is over: no client knows more.
    fn take_answers(&mut self) {
        for answered in self.clients.take_answers() {
            let sent = self.sent.get_mut(answered.id.0 as usize);
            if let (Some(sent), Ok(_)) = (sent, answered.outcome) {
                sent.acknowledged_ns = Some(answered.answered.0);
                self.acknowledged += 1;
            }
        }
    }

    /// Sends nothing more, waits for what is open, and checks what replicas applied.
    pub(super) fn end(&mut self) -> Safety {
        let answered_by = self.clients.now().0.saturating_add(self.timeout_ns);
        self.clients.simulation.run_until(Time(answered_by));
        self.take_answers();
        self.clients.check(SETTLING_NS)
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
