//! Cores that replicas share, and the queue of those that wait for one.
//!
//! In real time all replicas of a cluster are tasks of one runtime: a replica that is woken waits until
//! those before it have gone to sleep, and one that goes on finding something in its inbox keeps its
//! core, because the real driver looks there again before it gives way.

use std::collections::VecDeque;

use super::cluster::{Event, SimulatedCluster};
use crate::replica::{Replica, ReplicaId};

/// Cores that the replicas of a simulated cluster share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedCores {
    /// How many; 0 counts as 1.
    pub count: usize,
    /// How long a core that had nothing to do takes until it runs the replica that is woken, in
    /// nanoseconds: its thread sleeps, and has to be woken first.
    pub resume_ns: u64,
}

/// Who has a core, and who waits for one. Replicas come with the number of their life.
pub(super) struct Cores {
    free: usize,
    resume_ns: u64,
    queue: VecDeque<(ReplicaId, u32)>,
}

impl Cores {
    pub(super) fn new(shared: SharedCores) -> Self {
        Cores { free: shared.count.max(1), resume_ns: shared.resume_ns, queue: VecDeque::new() }
    }

    /// Asks for a core. Returns after how many nanoseconds it is there, or queues the replica.
    pub(super) fn ask(&mut self, id: ReplicaId, life: u32) -> Option<u64> {
        if self.free == 0 {
            self.queue.push_back((id, life));
            return None;
        }
        self.free -= 1;
        Some(self.resume_ns)
    }

    /// Passes a core on to the first in the queue, which has it at once; with no one there it goes to
    /// sleep.
    pub(super) fn pass_on(&mut self) -> Option<(ReplicaId, u32)> {
        let next = self.queue.pop_front();
        self.free += usize::from(next.is_none());
        next
    }
}

// None of this is inlined into the loop of events, which is to stay as small as it is without it.
impl<R: Replica> SimulatedCluster<R> {
    /// A woken replica wants a core from `ready` on. One that has a core looks into its inbox again before
    /// it gives that away.
    #[inline(never)]
    pub(super) fn ask_for_core(&mut self, id: ReplicaId, ready: u64) {
        let (Some(cores), node) = (&mut self.cores, &mut self.nodes[id.index()]) else { return };
        if node.has_core {
            return;
        }
        if let Some(after) = cores.ask(id, node.life) {
            node.has_core = true;
            self.events.push(ready.max(self.now + after), Event::Wake(id, node.life));
        }
    }

    /// After a wake-up on a shared core: the core is taken until the round is over.
    #[inline(never)]
    pub(super) fn keep_core(&mut self, id: ReplicaId, ran: bool) {
        let node = &mut self.nodes[id.index()];
        if ran {
            self.events.push(node.busy_until, Event::RoundOver(id, node.life, false));
        } else {
            node.has_core = false;
            self.pass_core_on();
        }
    }

    /// A replica goes on with what came meanwhile, or gives its core away. What happens at the same
    /// moment comes first: the client that was answered last may have asked again.
    #[inline(never)]
    pub(super) fn round_over(&mut self, id: ReplicaId, life: u32, yielded: bool) {
        if !yielded && self.events.next_at() == Some(self.now) {
            return self.events.push(self.now, Event::RoundOver(id, life, true));
        }
        let node = &mut self.nodes[id.index()];
        if node.life != life {
            self.pass_core_on();
        } else if node.woken {
            self.events.push(self.now, Event::Wake(id, life));
        } else {
            node.has_core = false;
            self.pass_core_on();
        }
    }

    /// Gives a core that became free to the first that waits for one and still lives.
    #[inline(never)]
    pub(super) fn pass_core_on(&mut self) {
        let Some(cores) = &mut self.cores else { return };
        while let Some((id, life)) = cores.pass_on() {
            let node = &mut self.nodes[id.index()];
            if node.life == life {
                node.has_core = true;
                return self.events.push(node.busy_until.max(self.now), Event::Wake(id, life));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_given_in_the_order_of_asking_and_only_idle_ones_take_time() {
        let mut cores = Cores::new(SharedCores { count: 2, resume_ns: 30 });
        assert_eq!([cores.ask(ReplicaId(4), 0), cores.ask(ReplicaId(3), 1)], [Some(30), Some(30)]);
        assert_eq!([cores.ask(ReplicaId(2), 0), cores.ask(ReplicaId(1), 5)], [None, None]);
        assert_eq!(cores.pass_on(), Some((ReplicaId(2), 0)));
        assert_eq!(cores.pass_on(), Some((ReplicaId(1), 5)));
        assert_eq!(cores.pass_on(), None);
        assert_eq!(cores.ask(ReplicaId(0), 0), Some(30));
    }
}
