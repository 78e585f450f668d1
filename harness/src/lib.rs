//! x
pub mod histogram_log;
pub mod host;
pub mod interrupt;
pub mod load;
pub mod machine;
pub mod measure;
pub mod results;
pub mod run;
pub mod safety;
pub mod scenario;
pub mod stats;
