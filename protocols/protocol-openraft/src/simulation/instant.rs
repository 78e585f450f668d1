//! A point in time by the clock of one simulated replica.

use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use super::world::Here;

/// Nanoseconds by the clock of the replica whose task asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VirtualInstant(pub(super) u64);

impl openraft::Instant for VirtualInstant {
    fn now() -> Self {
        VirtualInstant(Here::current().clock_ns())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for VirtualInstant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        VirtualInstant(self.0.saturating_add(nanos(duration)))
    }
}

impl AddAssign<Duration> for VirtualInstant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for VirtualInstant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        VirtualInstant(self.0.saturating_sub(nanos(duration)))
    }
}

impl SubAssign<Duration> for VirtualInstant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub for VirtualInstant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
