//! The checks that every adapter passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests in real time fail by panicking"
)]

#[path = "../../protocol-core/conformance/mod.rs"]
#[expect(dead_code, reason = "the library has no cluster of one replica")]
mod conformance;

use conformance::{faults, partitions, phases, soak};
use protocol_omnipaxos::Omnipaxos;

#[tokio::test]
async fn without_a_disk_nothing_is_flushed() {
    phases::without_a_disk_nothing_is_flushed(&Omnipaxos).await;
}

#[tokio::test]
async fn a_log_on_disk_is_waited_for() {
    phases::a_log_on_disk_is_waited_for(&Omnipaxos).await;
}

#[tokio::test]
async fn a_quorum_takes_a_round_trip() {
    phases::a_quorum_takes_a_round_trip(&Omnipaxos).await;
}

#[tokio::test]
async fn degraded_links_of_a_follower_hold_no_one_up() {
    faults::degraded_links_of_a_follower_hold_no_one_up(&Omnipaxos).await;
}

#[tokio::test]
async fn a_paused_leader_is_replaced_and_rejoins() {
    faults::a_paused_leader_is_replaced_and_rejoins(&Omnipaxos).await;
}

#[tokio::test]
async fn requests_that_became_late_at_a_paused_replica_end() {
    faults::requests_that_became_late_at_a_paused_replica_end(&Omnipaxos).await;
}

#[tokio::test]
async fn a_paused_follower_catches_up() {
    faults::a_paused_follower_catches_up(&Omnipaxos).await;
}

#[tokio::test]
async fn a_paused_replica_crashes_and_stops_like_any_other() {
    faults::a_paused_replica_crashes_and_stops_like_any_other(&Omnipaxos).await;
}

#[tokio::test]
async fn pauses_that_make_no_sense_say_so() {
    faults::pauses_that_make_no_sense_say_so(&Omnipaxos).await;
}

#[tokio::test]
async fn without_a_majority_nothing_is_acknowledged() {
    faults::without_a_majority_nothing_is_acknowledged(&Omnipaxos).await;
}

#[tokio::test]
async fn a_leader_that_no_one_hears_is_replaced() {
    partitions::a_leader_that_no_one_hears_is_replaced(&Omnipaxos).await;
}

#[tokio::test]
async fn an_idle_leader_that_hears_no_one_gives_way() {
    partitions::an_idle_leader_that_hears_no_one_gives_way(&Omnipaxos).await;
}

#[tokio::test]
async fn a_busy_leader_that_hears_no_one() {
    partitions::a_busy_leader_that_hears_no_one(&Omnipaxos, true).await;
}

#[tokio::test]
async fn only_the_hub_can_lead() {
    partitions::only_the_hub_can_lead(&Omnipaxos).await;
}

#[tokio::test]
async fn leaders_crash_and_restart_under_load() {
    soak::leaders_crash_and_restart_under_load(&Omnipaxos).await;
}
