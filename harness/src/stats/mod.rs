//! Statistics: pure functions over samples, in one place.

mod bootstrap;
mod harmonic;
mod paired;
mod power_law;
mod ratio;
mod theil_sen;
mod usl;

pub use bootstrap::{INTERVAL_LEVEL, bootstrap_interval};
pub use harmonic::harmonic_mean;
pub use paired::{FEWEST_PAIRS, PairedRatio, paired_ratio, signed_rank_p};
pub use power_law::{PowerLaw, power_law};
pub use ratio::{Estimate, ratio, relative_change};
pub use theil_sen::theil_sen;
pub use usl::{BEYOND_DATA, Interval, LoadPoint, Usl, UslError, UslFit, UslIntervals, fit_usl};
