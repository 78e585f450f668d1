//! Statistics: pure functions over samples, in one place.

mod bootstrap;
mod change_points;
mod harmonic;
mod hodges_lehmann;
mod holm;
mod jackknife;
mod lawson_hanson;
mod median;
mod non_negative;
mod paired;
mod posynomial;
mod power_law;
mod quantiles;
mod queueing;
mod ratio;
mod theil_sen;
mod usl;
mod wilson;

pub use bootstrap::{INTERVAL_LEVEL, bootstrap_interval};
pub use change_points::{ChangePoint, FEWEST_BETWEEN, FEWEST_VALUES, PERMUTATIONS, change_points};
pub use harmonic::harmonic_mean;
pub use hodges_lehmann::{hodges_lehmann, hodges_lehmann_interval};
pub use holm::holm;
pub use jackknife::{jackknife_interval, jackknife_plus};
pub use median::median;
pub use non_negative::{MOST_COLUMNS, NonNegativeFit, fit_non_negative};
pub use paired::{FEWEST_PAIRS, PairedRatio, log_ratios, paired_ratio, signed_rank_p};
pub use posynomial::Posynomial;
pub use power_law::{PowerLaw, power_law};
pub use quantiles::{Spread, nearest_rank};
pub use queueing::{congestion, mg1_mean_wait, mm1_response_quantile};
pub use ratio::{Estimate, ratio, relative_change};
pub use theil_sen::theil_sen;
pub use usl::{BEYOND_DATA, Interval, LoadPoint, Usl, UslError, UslFit, UslIntervals, fit_usl};
pub use wilson::wilson_interval;
