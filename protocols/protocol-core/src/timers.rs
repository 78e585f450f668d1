//! The many timers of a library on the one timer that its adapter asks of the driver.

use std::collections::BTreeMap;

use crate::replica::Time;

/// A library's timers, for an adapter that sets one [timer](crate::Effects::set_timer) for all of them: by
/// the time when they run out, and by age among those of the same time.
#[derive(Debug)]
pub struct Timers<T> {
    by_due: BTreeMap<(Time, u64), T>,
    set: u64,
    /// What the driver was last asked for.
    asked: Option<Time>,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Timers { by_due: BTreeMap::new(), set: 0, asked: None }
    }
}

impl<T> Timers<T> {
    /// Adds a timer.
    pub fn set(&mut self, due: Time, timer: T) {
        self.set += 1;
        self.by_due.insert((due, self.set), timer);
    }

    /// Takes the oldest of those that ran out.
    pub fn take_due(&mut self, now: Time) -> Option<T> {
        let first = self.by_due.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// The driver's timer ran out, and is not set any more.
    pub fn rang(&mut self) {
        self.asked = None;
    }

    /// When the driver's timer has to run out, if that is not what it was last asked for.
    pub fn to_ask(&mut self) -> Option<Time> {
        let next = self.by_due.first_key_value().map(|(&(due, _), _)| due)?;
        if self.asked == Some(next) {
            return None;
        }
        self.asked = Some(next);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_run_out_in_order_and_the_driver_is_asked_once() {
        let mut timers = Timers::default();
        assert_eq!((timers.to_ask(), timers.take_due(Time(9))), (None, None));
        for (due, name) in [(5, 'b'), (3, 'a'), (5, 'c')] {
            timers.set(Time(due), name);
        }
        assert_eq!((timers.to_ask(), timers.to_ask()), (Some(Time(3)), None));
        timers.rang();
        assert_eq!((timers.take_due(Time(3)), timers.take_due(Time(3))), (Some('a'), None));
        assert_eq!(timers.to_ask(), Some(Time(5)));
        assert_eq!((timers.take_due(Time(6)), timers.take_due(Time(6))), (Some('b'), Some('c')));
        assert_eq!(timers.to_ask(), None);
    }
}
