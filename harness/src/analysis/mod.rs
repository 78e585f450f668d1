//! What several measurements say together: throughput by size and clients, and protocols against
//! each other.

mod scalability;

pub use scalability::{Rounds, scalability};
