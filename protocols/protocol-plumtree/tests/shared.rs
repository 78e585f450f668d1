//! The checks that every adapter of this order passes.
#![allow(clippy::unwrap_used)]

#[path = "../../protocol-core/conformance/dissemination.rs"]
mod dissemination;

use protocol_plumtree::Plumtree;

#[tokio::test]
async fn every_replica_gets_every_update() {
    dissemination::every_replica_gets_updates(&Plumtree, 500, 500).await;
}

#[tokio::test]
async fn a_replica_comes_back_empty() {
    dissemination::a_replica_comes_back_empty(&Plumtree).await;
}

#[test]
fn the_same_seed_gives_the_same_run() {
    dissemination::the_same_seed_gives_the_same_run(&Plumtree);
}

#[test]
fn a_replica_that_came_back_gets_what_is_new() {
    dissemination::a_replica_that_came_back_gets_what_is_new(&Plumtree);
}

#[test]
fn a_replica_cut_off_is_waited_for_in_vain() {
    dissemination::a_replica_cut_off_is_waited_for_in_vain(&Plumtree);
}

#[test]
fn bad_links_leave_no_split() {
    dissemination::bad_links_leave_no_split(&Plumtree);
}

#[test]
fn an_origin_that_dies_leaves_one_update_or_none() {
    dissemination::an_origin_that_dies_leaves_one_update_or_none(&Plumtree);
}
