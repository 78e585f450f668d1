//! x
pub mod results;
pub mod scenario;
pub mod stats;
