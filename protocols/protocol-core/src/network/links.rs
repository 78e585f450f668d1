//! The condition of every link while the network is open: what faults begin and end.
//!
//! Sending over a perfect link must cost next to nothing, so one flag for the whole network says
//! whether any link needs a closer look. It stays up after a fault for as long as a link that keeps
//! order still holds a message, which nothing may overtake.

use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::link::{Degradation, Fate, LinkSpec, LinkState};
use crate::replica::ReplicaId;

/// One directed link.
pub(super) struct Link {
    /// Its condition now.
    spec: LinkSpec,
    state: LinkState,
    random: ChaCha8Rng,
    /// Messages that the delay line has for it.
    held: usize,
    /// Which connection between the two it is.
    pub(super) connection: u32,
}

impl Link {
    /// Whether a message may be carried at once, past the delay line.
    pub(super) fn passes_at_once(&self) -> bool {
        self.spec.passes_at_once(self.held)
    }

    /// When a message of so many bytes arrives, in nanoseconds of the network's clock. Each arrival has
    /// to be [released](Links::released).
    pub(super) fn pass(&mut self, now: u64, bytes: usize) -> Fate {
        let fate = self.state.pass(&self.spec, now, bytes, &mut self.random);
        self.held += usize::from(fate.arrival.is_some()) + usize::from(fate.again.is_some());
        fate
    }
}

/// All links of a network.
pub(super) struct Links {
    replicas: usize,
    /// The condition of every link without faults, and whether it is perfect.
    base: LinkSpec,
    perfect: bool,
    /// By `from * replicas + to`, as are the cuts.
    links: Vec<Mutex<Link>>,
    cuts: Vec<AtomicBool>,
    troubled: AtomicBool,
    /// Whether any fault lasts. Held while faults begin and end.
    faults: Mutex<bool>,
}

impl Links {
    /// Links between so many replicas; `seed` decides jitter, losses and duplicates.
    pub(super) fn new(replicas: usize, base: LinkSpec, seed: u64) -> Self {
        let links = replicas * replicas;
        let link = |index| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(index);
            Mutex::new(Link { spec: base, state: LinkState::default(), random, held: 0, connection: 0 })
        };
        Links {
            replicas,
            base,
            perfect: base.is_perfect(),
            links: (0..links as u64).map(link).collect(),
            cuts: (0..links).map(|_| AtomicBool::new(false)).collect(),
            troubled: AtomicBool::new(false),
            faults: Mutex::new(false),
        }
    }

    /// Whether messages pass at once on every link of the network.
    pub(super) fn all_perfect(&self) -> bool {
        // Acquire, so that what is sent now comes after what the delay line released before.
        self.perfect && !self.troubled.load(Acquire)
    }

    /// One link; what is passed and handed to the delay line under this guard stays in order.
    pub(super) fn link(&self, from: ReplicaId, to: ReplicaId) -> MutexGuard<'_, Link> {
        held(&self.links[self.index(from, to)])
    }

    /// A message of this link left the delay line and was carried.
    pub(super) fn released(&self, from: ReplicaId, to: ReplicaId) {
        let drained = {
            let mut link = self.link(from, to);
            link.held -= 1;
            link.held == 0
        };
        if drained && self.perfect {
            self.settle();
        }
    }

    pub(super) fn cut(&self, from: ReplicaId, to: ReplicaId) {
        let mut faults = held(&self.faults);
        *faults = true;
        self.cuts[self.index(from, to)].store(true, Relaxed);
        self.troubled.store(true, Release);
    }

    pub(super) fn is_cut(&self, from: ReplicaId, to: ReplicaId) -> bool {
        self.cuts[self.index(from, to)].load(Relaxed)
    }

    /// Begins another connection between two replicas: what the last one still holds is void, and holds
    /// nothing up.
    pub(super) fn reconnect(&self, one: ReplicaId, other: ReplicaId) {
        for (from, to) in [(one, other), (other, one)] {
            let mut link = self.link(from, to);
            link.connection += 1;
            link.state.reconnect();
        }
    }

    /// Degrades a link, in place of an earlier degradation. The delay line must be there.
    pub(super) fn degrade(&self, from: ReplicaId, to: ReplicaId, by: Degradation) {
        let mut faults = held(&self.faults);
        *faults = true;
        self.link(from, to).spec = self.base.degraded(by);
        self.troubled.store(true, Release);
    }

    /// Ends all cuts and degradations, and returns the links that carried nothing.
    pub(super) fn heal(&self) -> Vec<(ReplicaId, ReplicaId)> {
        let cut = {
            let mut faults = held(&self.faults);
            *faults = false;
            let revived: Vec<bool> = self
                .links
                .iter()
                .map(|link| std::mem::replace(&mut held(link).spec, self.base).is_dead())
                .collect();
            let pairs = ReplicaId::all(self.replicas)
                .flat_map(|from| ReplicaId::all(self.replicas).map(move |to| (from, to)));
            let down = |&(from, to): &(ReplicaId, ReplicaId)| {
                let index = self.index(from, to);
                self.cuts[index].swap(false, Relaxed) || revived[index]
            };
            pairs.filter(down).collect()
        };
        self.settle();
        cut
    }

    /// Takes the flag down once no fault lasts and nothing is held any more.
    fn settle(&self) {
        let faults = held(&self.faults);
        // With no fault a link that holds nothing will hold nothing, so that looking at one after the
        // other is enough.
        if !*faults && self.links.iter().all(|link| held(link).held == 0) {
            self.troubled.store(false, Release);
        }
    }

    fn index(&self, from: ReplicaId, to: ReplicaId) -> usize {
        from.index() * self.replicas + to.index()
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const A: ReplicaId = ReplicaId(0);
    const B: ReplicaId = ReplicaId(1);
    const SLOW: Degradation = Degradation { extra_delay: Duration::from_nanos(1000), loss: 0.0 };

    #[test]
    fn the_flag_is_up_until_what_a_fifo_link_holds_is_released() {
        let links = Links::new(2, LinkSpec { fifo: true, ..LinkSpec::default() }, 1);
        assert!(links.all_perfect());
        links.degrade(A, B, SLOW);
        assert!(!links.all_perfect() && links.link(B, A).passes_at_once());
        assert_eq!(links.link(A, B).pass(0, 10).arrival, Some(1000));
        assert!(links.heal().is_empty(), "a degraded link was not cut");
        assert!(!links.all_perfect() && !links.link(A, B).passes_at_once());
        assert_eq!(links.link(A, B).pass(10, 10).arrival, Some(1000), "it waits behind the first");
        links.released(A, B);
        assert!(!links.all_perfect() && !links.link(A, B).passes_at_once());
        links.released(A, B);
        assert!(links.all_perfect() && links.link(A, B).passes_at_once());
    }

    #[test]
    fn a_new_connection_waits_for_nothing_that_the_last_one_held() {
        let links = Links::new(2, LinkSpec { fifo: true, ..LinkSpec::default() }, 1);
        links.degrade(A, B, SLOW);
        assert_eq!(links.link(A, B).pass(0, 10).arrival, Some(1000));
        links.heal();
        links.reconnect(B, A);
        assert_eq!((links.link(A, B).connection, links.link(B, A).connection), (1, 1));
        assert_eq!(links.link(A, B).pass(10, 10).arrival, Some(10));
    }

    #[test]
    fn a_later_degradation_takes_the_place_of_an_earlier_one() {
        let links = Links::new(2, LinkSpec::default(), 1);
        links.degrade(A, B, SLOW);
        links.degrade(A, B, Degradation { extra_delay: 3 * SLOW.extra_delay, loss: 0.0 });
        assert_eq!(links.link(A, B).pass(0, 10).arrival, Some(3000));
        links.degrade(A, B, Degradation { extra_delay: Duration::ZERO, loss: 1.0 });
        assert_eq!(links.link(A, B).pass(0, 10).arrival, None);
        links.released(A, B);
        assert!(!links.all_perfect(), "the fault lasts, whatever is held");
        links.cut(B, A);
        assert_eq!(links.heal(), [(B, A)]);
        assert!(links.all_perfect());
    }

    #[test]
    fn links_that_are_never_perfect_are_looked_at_always() {
        let links = Links::new(2, LinkSpec { delay: SLOW.extra_delay, ..LinkSpec::default() }, 1);
        assert!(!links.all_perfect());
        assert_eq!(links.link(A, B).pass(0, 10).arrival, Some(1000));
        links.released(A, B);
        links.heal();
        assert!(!links.all_perfect());
    }
}
