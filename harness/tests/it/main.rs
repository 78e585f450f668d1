//! The harness from outside, as a program that reads its files sees it.

mod schema;
