//! The links of a simulated cluster: the same pure rules as in real time, each link with a random
//! stream of its own.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::network::{Degradation, Fate, LinkSpec, LinkState};
use crate::replica::ReplicaId;

#[derive(Debug)]
struct Link {
    base: LinkSpec,
    now: LinkSpec,
    cut: bool,
    state: LinkState,
    random: ChaCha8Rng,
    connection: u32,
}

/// All links, by sender and receiver.
#[derive(Debug)]
pub struct Links {
    replicas: usize,
    links: Vec<Link>,
}

impl Links {
    /// Links by sender and receiver, with random streams of `seed`.
    pub fn new(specs: &[Vec<LinkSpec>], seed: u64) -> Self {
        let links = specs.iter().flatten().zip(0..).map(|(&spec, stream)| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(stream);
            Link { base: spec, now: spec, cut: false, state: LinkState::default(), random, connection: 0 }
        });
        Links { replicas: specs.len(), links: links.collect() }
    }

    /// When a message of `bytes` sent at `at` nanoseconds arrives.
    pub fn pass(&mut self, from: ReplicaId, to: ReplicaId, at: u64, bytes: usize) -> Fate {
        let link = self.link(from, to);
        if link.cut {
            return Fate { arrival: None, again: None };
        }
        link.state.pass(&link.now, at, bytes, &mut link.random)
    }

    /// Which connection between the two a message sent now belongs to.
    pub fn connection(&mut self, from: ReplicaId, to: ReplicaId) -> u32 {
        self.link(from, to).connection
    }

    /// Begins another connection between two replicas. What the last one still carried is lost, and holds
    /// nothing up.
    pub fn reconnect(&mut self, one: ReplicaId, other: ReplicaId) {
        for (from, to) in [(one, other), (other, one)] {
            let link = self.link(from, to);
            link.connection += 1;
            link.state.reconnect();
        }
    }

    /// Whether messages of a link are lost for good.
    pub fn is_cut(&mut self, from: ReplicaId, to: ReplicaId) -> bool {
        self.link(from, to).cut
    }

    /// Loses all messages of a link from now on.
    pub fn cut(&mut self, from: ReplicaId, to: ReplicaId) {
        self.link(from, to).cut = true;
    }

    /// Makes a link worse, in place of an earlier degradation.
    pub fn degrade(&mut self, from: ReplicaId, to: ReplicaId, by: Degradation) {
        let link = self.link(from, to);
        link.now = link.base.degraded(by);
    }

    /// Ends all cuts and degradations, and returns the links that carried nothing.
    pub fn heal(&mut self) -> Vec<(ReplicaId, ReplicaId)> {
        let mut healed = Vec::new();
        for from in ReplicaId::all(self.replicas) {
            for to in ReplicaId::all(self.replicas) {
                let link = self.link(from, to);
                let dead = std::mem::replace(&mut link.now, link.base).is_dead();
                if std::mem::take(&mut link.cut) || dead {
                    healed.push((from, to));
                }
            }
        }
        healed
    }

    fn link(&mut self, from: ReplicaId, to: ReplicaId) -> &mut Link {
        &mut self.links[from.index() * self.replicas + to.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_new_connection_waits_for_nothing_that_the_last_one_carried() {
        let slow = LinkSpec { delay: Duration::from_nanos(1000), ..LinkSpec::default() }.connection();
        let mut links = Links::new(&vec![vec![slow; 3]; 3], 1);
        let [one, other, third] = [0, 1, 2].map(ReplicaId);
        let by = Degradation { extra_delay: Duration::from_nanos(9000), loss: 0.0 };
        for (from, to) in [(one, other), (third, other)] {
            links.degrade(from, to, by);
            assert_eq!(links.pass(from, to, 0, 10).arrival, Some(10_000));
        }
        links.heal();
        links.reconnect(other, one);
        assert_eq!((links.connection(one, other), links.connection(other, one)), (1, 1));
        assert_eq!(links.pass(one, other, 0, 10).arrival, Some(1000));
        assert_eq!(links.connection(third, other), 0);
        assert_eq!(links.pass(third, other, 0, 10).arrival, Some(10_000), "it waits behind the first");
    }
}
