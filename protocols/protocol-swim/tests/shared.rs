//! The checks that every adapter of this order passes.
#![allow(clippy::unwrap_used)]

#[path = "../../protocol-core/conformance/dissemination.rs"]
mod dissemination;

use protocol_swim::Swim;

/// SWIM has no way to get what was missed, so that all of them do is not promised.
#[tokio::test]
async fn every_replica_gets_most_updates() {
    dissemination::every_replica_gets_updates(&Swim, 30, 10).await;
}

#[tokio::test]
async fn a_replica_comes_back_empty() {
    dissemination::a_replica_comes_back_empty(&Swim).await;
}

#[test]
fn the_same_seed_gives_the_same_run() {
    dissemination::the_same_seed_gives_the_same_run(&Swim);
}

#[test]
fn a_replica_that_came_back_gets_what_is_new() {
    dissemination::a_replica_that_came_back_gets_what_is_new(&Swim);
}

#[test]
fn a_replica_cut_off_is_waited_for_in_vain() {
    dissemination::a_replica_cut_off_is_waited_for_in_vain(&Swim);
}

#[test]
fn bad_links_leave_no_split() {
    dissemination::bad_links_leave_no_split(&Swim);
}

#[test]
fn an_origin_that_dies_leaves_one_update_or_none() {
    dissemination::an_origin_that_dies_leaves_one_update_or_none(&Swim);
}
