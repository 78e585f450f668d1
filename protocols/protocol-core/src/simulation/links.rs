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
            Link { base: spec, now: spec, cut: false, state: LinkState::default(), random }
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
