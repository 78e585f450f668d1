//! The checks that every adapter passes, but for those that need a replica alone, a leader that stays, or
//! a quorum of replicas that hear each other through a third one only. They run with authentication codes;
//! the first two and the last also with signatures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests in real time fail by panicking"
)]

#[allow(dead_code, reason = "some checks are for other protocols")]
#[path = "../../protocol-core/conformance/mod.rs"]
mod conformance;

use conformance::{faults, partitions, phases, soak};
use protocol_tendermint::Tendermint;

#[tokio::test]
async fn without_a_disk_nothing_is_flushed() {
    phases::without_a_disk_nothing_is_flushed(&Tendermint::CODES).await;
    phases::without_a_disk_nothing_is_flushed(&Tendermint::SIGNATURES).await;
}

#[tokio::test]
async fn a_log_on_disk_is_waited_for() {
    phases::a_log_on_disk_is_waited_for(&Tendermint::CODES).await;
    phases::a_log_on_disk_is_waited_for(&Tendermint::SIGNATURES).await;
}

#[tokio::test]
async fn a_quorum_takes_a_round_trip() {
    phases::a_quorum_takes_a_round_trip(&Tendermint::CODES).await;
}

#[tokio::test]
async fn degraded_links_of_a_follower_hold_no_one_up() {
    faults::degraded_links_of_a_follower_hold_no_one_up(&Tendermint::CODES).await;
}

#[tokio::test]
async fn a_paused_leader_is_replaced_and_rejoins() {
    faults::a_paused_leader_is_replaced_and_rejoins(&Tendermint::CODES).await;
}

#[tokio::test]
async fn requests_that_became_late_at_a_paused_replica_end() {
    faults::requests_that_became_late_at_a_paused_replica_end(&Tendermint::CODES).await;
}

#[tokio::test]
async fn a_paused_follower_catches_up() {
    faults::a_paused_follower_catches_up(&Tendermint::CODES).await;
}

#[tokio::test]
async fn a_paused_replica_crashes_and_stops_like_any_other() {
    faults::a_paused_replica_crashes_and_stops_like_any_other(&Tendermint::CODES).await;
}

#[tokio::test]
async fn pauses_that_make_no_sense_say_so() {
    faults::pauses_that_make_no_sense_say_so(&Tendermint::CODES).await;
}

#[tokio::test]
async fn without_a_majority_nothing_is_acknowledged() {
    faults::without_a_majority_nothing_is_acknowledged(&Tendermint::CODES).await;
}

#[tokio::test]
async fn a_leader_that_no_one_hears_is_replaced() {
    partitions::a_leader_that_no_one_hears_is_replaced(&Tendermint::CODES).await;
}

#[tokio::test]
async fn a_busy_leader_that_hears_no_one() {
    partitions::a_busy_leader_that_hears_no_one(&Tendermint::CODES, true).await;
}

#[tokio::test]
async fn leaders_crash_and_restart_under_load() {
    soak::leaders_crash_and_restart_under_load(&Tendermint::CODES).await;
    soak::leaders_crash_and_restart_under_load(&Tendermint::SIGNATURES).await;
}
