//! What every parser promises of any bytes: no panic, and either an error of one line that names the file, or a
//! value that can be written and reads back the same. Property tests and fuzz targets both call it.
//!
//! Each function says whether there was a value.

#![allow(clippy::expect_used)]

use std::fmt::{Debug, Display};
use std::path::Path;

use consensus_bench::compare::{ExactValues, compare_exact};
use consensus_bench::files;
use consensus_bench::gate::policy::Policy;
use consensus_bench::pair::Noise;
use consensus_bench::scenario::{self, Scenario};
use consensus_bench::topology;
use serde::Serialize;

/// What the file is called in errors.
const FILE: &str = "some/file";

/// Sizes of clusters that a topology is asked for links of.
const CLUSTERS: [usize; 3] = [1, 3, 14];

/// Results of a run.
pub fn results(bytes: &[u8]) -> bool {
    let read = |bytes: &[u8]| files::parse_results(Path::new(FILE), bytes);
    check(read(bytes), |run| read(&serde_json::to_vec(run).expect("results are JSON"))).is_some()
}

/// Exact values.
pub fn exact(bytes: &[u8]) -> bool {
    let read = |bytes: &[u8]| ExactValues::parse(Path::new(FILE), bytes);
    let again = |values: &ExactValues| read(values.to_text().expect("exact values are JSON").as_bytes());
    let Some(values) = check(read(bytes), again) else { return false };
    assert!(compare_exact(&values, &values).is_same(), "{values:?}");
    true
}

/// The noise of a machine.
pub fn noise(bytes: &[u8]) -> bool {
    let read = |bytes: &[u8]| Noise::parse(Path::new(FILE), bytes);
    check(read(bytes), |noise| read(&serde_json::to_vec(noise).expect("noise is JSON"))).is_some()
}

/// The gate's policy.
pub fn policy(bytes: &[u8]) -> bool {
    let read = |text: &str| Policy::parse(Path::new(FILE), text);
    std::str::from_utf8(bytes).is_ok_and(|text| check(read(text), |policy| read(&toml_of(policy))).is_some())
}

/// Scenarios.
pub fn scenario(bytes: &[u8]) -> bool {
    #[derive(Serialize)]
    struct File<'a> {
        scenario: &'a [Scenario],
    }
    let read = |text: &str| scenario::parse(FILE, text);
    let again = |scenarios: &Vec<Scenario>| read(&toml_of(&File { scenario: scenarios }));
    std::str::from_utf8(bytes).is_ok_and(|text| check(read(text), again).is_some())
}

/// A topology, which is also asked for what a run asks of it.
pub fn topology(bytes: &[u8]) -> bool {
    let read = |text: &str| topology::parse(FILE, text);
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Some(topology) = check(read(text), |topology| read(&toml_of(topology))) else { return false };
    for replicas in CLUSTERS {
        match topology.links(replicas) {
            Ok(links) => assert_eq!(links.len(), replicas),
            Err(error) => assert_one_line(&error),
        }
        assert_eq!(topology.client_delays(replicas).len(), replicas);
        topology.largest_one_way(replicas);
    }
    true
}

/// Checks the promise; gives the value where there is one.
fn check<T, E>(outcome: Result<T, E>, again: impl Fn(&T) -> Result<T, E>) -> Option<T>
where
    T: PartialEq + Debug,
    E: Display,
{
    match outcome {
        Ok(value) => {
            match again(&value) {
                Ok(copy) => assert_eq!(value, copy, "read back differently"),
                Err(error) => panic!("{value:?} does not read back: {error}"),
            }
            Some(value)
        }
        Err(error) => {
            assert_one_line(&error);
            assert!(error.to_string().contains(FILE), "{error}");
            None
        }
    }
}

fn assert_one_line(error: &impl Display) {
    let text = error.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

fn toml_of(value: &impl Serialize) -> String {
    toml::to_string(value).expect("what came from TOML can be TOML")
}
