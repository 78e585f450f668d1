//! Statistics: pure functions over samples, in one place.

mod bootstrap;

pub use bootstrap::{INTERVAL_LEVEL, bootstrap_interval};
