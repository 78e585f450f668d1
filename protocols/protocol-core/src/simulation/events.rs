//! What is to happen, in order of time; what is to happen at the same time, in the order in which it
//! was decided.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A queue of events. The heap holds places only: events are several times larger, and moving them up
/// and down would cost more than finding them.
#[derive(Debug)]
pub struct Events<E> {
    heap: BinaryHeap<Reverse<(u64, u64, u32)>>,
    places: Vec<Option<E>>,
    vacant: Vec<u32>,
    sequence: u64,
}

impl<E> Default for Events<E> {
    fn default() -> Self {
        Events { heap: BinaryHeap::new(), places: Vec::new(), vacant: Vec::new(), sequence: 0 }
    }
}

impl<E> Events<E> {
    /// Has an event happen at `at` nanoseconds.
    pub fn push(&mut self, at: u64, event: E) {
        let place = match self.vacant.pop() {
            Some(place) => {
                self.places[place as usize] = Some(event);
                place
            }
            None => {
                self.places.push(Some(event));
                self.places.len() as u32 - 1
            }
        };
        self.heap.push(Reverse((at, self.sequence, place)));
        self.sequence += 1;
    }

    /// When the next event happens, if there is one.
    pub fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(u64, E)> {
        let Reverse((at, _, place)) = self.heap.pop()?;
        self.vacant.push(place);
        self.places[place as usize].take().map(|event| (at, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_by_decision() {
        let mut events = Events::default();
        for (at, name) in [(20, "c"), (10, "a"), (20, "d"), (10, "b")] {
            events.push(at, name);
        }
        assert_eq!(events.next_at(), Some(10));
        assert_eq!([events.pop(), events.pop()], [Some((10, "a")), Some((10, "b"))]);
        events.push(20, "e");
        let rest: Vec<_> = std::iter::from_fn(|| events.pop()).collect();
        assert_eq!(rest, [(20, "c"), (20, "d"), (20, "e")]);
        assert!(events.places.len() <= 4, "places are used again");
    }
}
