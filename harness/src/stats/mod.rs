//! Statistics: pure functions over samples, in one place.

mod bootstrap;
mod ratio;
mod theil_sen;

pub use bootstrap::{INTERVAL_LEVEL, bootstrap_interval};
pub use ratio::{Estimate, ratio, relative_change};
pub use theil_sen::theil_sen;
