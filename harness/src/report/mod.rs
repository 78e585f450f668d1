//! A report that a person wants to look at: one page that needs nothing else, the same story in a terminal,
//! and the data of every chart for other tools.

pub mod charts;
pub mod identity;
pub mod material;
pub mod story;

mod advice;
mod compared;
pub mod data;
mod figures;
mod overview;
pub mod page;
mod profiles;
pub mod terminal;

/// The page's name in a run's folder.
pub const DEFAULT_FILE: &str = "report.html";

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
