//! The harness from outside: as a library author runs it, and as a program that reads its files sees it.
#![allow(clippy::unwrap_used)]

mod browser;
mod explore;
mod heap;
mod history;
mod parsers;
mod run;
mod schema;
mod suite;
mod toys;
