//! The checks that every adapter passes, as far as they are not about leaders and what logs hold.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests in real time fail by panicking, and registers do without some checks"
)]

#[path = "../../protocol-core/conformance/mod.rs"]
mod conformance;

use conformance::{faults, phases, soak};
use protocol_core::Protocol;
use protocol_register::{Abd, Dynamo};

const BOTH: [&dyn Protocol; 2] = [&Abd, &Dynamo];

#[tokio::test]
async fn without_a_disk_nothing_is_flushed() {
    for protocol in BOTH {
        phases::without_a_disk_nothing_is_flushed(protocol).await;
    }
}

/// An ABD write is flushed in its second round trip, which the phases of its batch don't tell.
#[tokio::test]
async fn a_log_on_disk_is_waited_for() {
    phases::a_log_on_disk_is_waited_for(&Dynamo).await;
}

#[tokio::test]
async fn a_replica_alone_has_phases_too() {
    for protocol in BOTH {
        phases::a_replica_alone_has_phases_too(protocol).await;
    }
}

#[tokio::test]
async fn a_quorum_takes_a_round_trip() {
    for protocol in BOTH {
        phases::a_quorum_takes_a_round_trip(protocol).await;
    }
}

#[tokio::test]
async fn degraded_links_of_a_replica_hold_no_one_up() {
    for protocol in BOTH {
        faults::degraded_links_of_a_follower_hold_no_one_up(protocol).await;
    }
}

#[tokio::test]
async fn a_paused_replica_is_done_without_and_rejoins() {
    for protocol in BOTH {
        faults::a_paused_leader_is_replaced_and_rejoins(protocol).await;
    }
}

#[tokio::test]
async fn requests_that_became_late_at_a_paused_replica_end() {
    for protocol in BOTH {
        faults::requests_that_became_late_at_a_paused_replica_end(protocol).await;
    }
}

#[tokio::test]
async fn a_paused_replica_crashes_and_stops_like_any_other() {
    for protocol in BOTH {
        faults::a_paused_replica_crashes_and_stops_like_any_other(protocol).await;
    }
}

#[tokio::test]
async fn pauses_that_make_no_sense_say_so() {
    faults::pauses_that_make_no_sense_say_so(&Abd).await;
}

#[tokio::test]
async fn without_a_majority_nothing_is_acknowledged() {
    faults::without_a_majority_nothing_is_acknowledged(&Abd).await;
}

#[tokio::test]
async fn replicas_crash_and_restart_under_load() {
    for protocol in BOTH {
        soak::leaders_crash_and_restart_under_load(protocol).await;
    }
}
