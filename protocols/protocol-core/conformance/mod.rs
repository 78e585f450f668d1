//! What every adapter has to survive, in the same words for all. Not a part of the crate: an adapter's
//! `tests/conformance.rs` includes it by its path, as `mod conformance` at its root, and calls the macro of its
//! protocol's kind, which makes one test of each check:
//!
//! | macro | for |
//! |---|---|
//! | [`crash_tolerant_log`] | one order of all commands, while replicas crash |
//! | [`byzantine_log`] | one order of all commands, while replicas lie; see also `liars.rs` |
//! | [`registers`] | reads and writes of registers, without an order |
//!
//! Sizes of clusters, faults that are borne, tunables and floors come from the protocol's descriptor.
//! Protocols that spread updates have a suite of their own, `dissemination.rs`.
#![allow(
    dead_code,
    unused_macros,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, some look at the real clock, and each kind of protocol takes its own checks"
)]

pub mod bench;
pub mod commits;
pub mod counts;
pub mod exactly_once;
pub mod faults;
pub mod partitions;
pub mod phases;
pub mod recovery;
pub mod refusals;
pub mod replay;
pub mod sizes;
pub mod soak;
pub mod tolerance;
pub mod tunables;
pub mod virtual_time;

use protocol_core::{FaultModel, LaunchSpec, Protocol, Simulation};

/// Replicas of the clusters of most checks: the fewest that tolerate a fault.
pub fn size(protocol: &dyn Protocol) -> usize {
    protocol.descriptor().size_for(protocol.descriptor().cluster_sizes.0.max(3))
}

/// Such a cluster, in memory.
pub fn spec(protocol: &dyn Protocol) -> LaunchSpec {
    LaunchSpec::in_memory(size(protocol))
}

/// Whether a leader stays until it fails. Where another one's turn comes with each decision, who leads
/// shows nothing.
pub fn keeps_its_leader(protocol: &dyn Protocol) -> bool {
    protocol.descriptor().fault_model == FaultModel::Crash
}

/// Whether the protocol looks for repetitions itself. Where replicas may lie every replica is asked, so each
/// command comes to a leader several times.
pub fn deduplicates(protocol: &dyn Protocol) -> bool {
    protocol.descriptor().fault_model == FaultModel::Byzantine
}

/// Waits until so many live replicas of a simulation applied the same, and so many commands, each once.
pub fn agree(protocol: &dyn Protocol, simulation: &mut dyn Simulation, live: usize, commands: u64) {
    virtual_time::settle(simulation, commands);
    if deduplicates(protocol) {
        virtual_time::assert_agree_once(simulation, live, commands);
    } else {
        virtual_time::assert_agree(simulation, live, commands);
    }
}

/// Makes a test of each check: those in real time of `real`, those in virtual time of `virtually`.
macro_rules! tests {
    (
        $protocol:expr;
        real { $($file:ident::{$($check:ident),+ $(,)?})* }
        virtually { $($virtual_file:ident::{$($virtual_check:ident),+ $(,)?})* }
    ) => {
        $($(
            #[tokio::test]
            async fn $check() {
                $crate::conformance::$file::$check(&$protocol).await;
            }
        )+)*
        $($(
            #[test]
            fn $virtual_check() {
                $crate::conformance::$virtual_file::$virtual_check(&$protocol);
            }
        )+)*
    };
}
pub(crate) use tests;

/// What a log in one order has to survive, whatever its replicas may do wrong.
macro_rules! log {
    (
        $protocol:expr, quiet_settings: $quiet:expr, values_tried: $tried:expr,
        busy_leader_gives_way: $gives_way:expr
    ) => {
        $crate::conformance::tests! {
            $protocol;
            real {
                commits::{
                    commands_commit_once_on_every_network_and_storage, a_closed_loop_takes_the_delays_of_the_floor,
                }
                phases::{
                    without_a_disk_nothing_is_flushed, a_log_on_disk_is_waited_for, a_quorum_takes_a_round_trip,
                    the_smallest_cluster_has_phases_too,
                }
                faults::{
                    degraded_links_of_a_follower_hold_no_one_up, a_paused_leader_is_replaced_and_rejoins,
                    requests_that_became_late_at_a_paused_replica_end, a_paused_follower_catches_up,
                    a_paused_replica_crashes_and_stops_like_any_other, pauses_that_make_no_sense_say_so,
                    without_a_majority_nothing_is_acknowledged,
                }
                partitions::{
                    a_leader_that_is_cut_off_is_replaced_and_rejoins, a_leader_that_no_one_hears_is_replaced,
                }
                recovery::{
                    a_crashed_leader_is_replaced_and_comes_back_from_its_log,
                    the_whole_cluster_restarts_with_everything_it_acknowledged,
                }
                refusals::{what_can_not_be_done_is_said}
                soak::{leaders_crash_and_restart_under_load}
            }
            virtually {
                commits::{answers_tell_what_every_replica_applied}
                counts::{what_replicas_count_adds_up}
                exactly_once::{a_leader_that_crashes_at_any_moment_leaves_each_command_once}
                recovery::{a_crash_of_all_at_any_moment_loses_nothing_acknowledged}
                replay::{
                    the_same_seed_gives_the_same_run_and_another_seed_another,
                    replicas_agree_after_a_crash_a_pause_and_a_cut,
                }
                sizes::{clusters_of_every_size_commit_or_are_refused}
                tolerance::{the_tolerated_crashes_stop_no_one, one_crash_more_stops_everyone_and_no_one_lies}
            }
        }

        #[test]
        fn every_setting_takes_effect() {
            $crate::conformance::tunables::every_setting_takes_effect(&$protocol, &$quiet, &$tried);
        }

        #[tokio::test]
        async fn a_busy_leader_that_hears_no_one() {
            $crate::conformance::partitions::a_busy_leader_that_hears_no_one(&$protocol, $gives_way).await;
        }
    };
}
pub(crate) use log;

/// The suite of a protocol that agrees on one order of all commands while replicas crash.
///
/// `quiet_settings` lists tunables that show in no run of [`tunables::every_setting_takes_effect`], and
/// `values_tried` says with which values it looks, beside the ends of their ranges and the size of the cluster;
/// `busy_leader_gives_way: false` is of a library whose leader stays while it can send, though it hears no one.
macro_rules! crash_tolerant_log {
    ($protocol:expr) => {
        $crate::conformance::crash_tolerant_log!(
            $protocol, quiet_settings: [], values_tried: $crate::conformance::tunables::TRIED,
            busy_leader_gives_way: true
        );
    };
    (
        $protocol:expr, quiet_settings: $quiet:expr, values_tried: $tried:expr,
        busy_leader_gives_way: $gives_way:expr
    ) => {
        $crate::conformance::log!(
            $protocol, quiet_settings: $quiet, values_tried: $tried, busy_leader_gives_way: $gives_way
        );
        $crate::conformance::tests! {
            $protocol;
            real {
                partitions::{an_idle_leader_that_hears_no_one_gives_way, only_the_hub_can_lead}
            }
            virtually {}
        }
    };
}
pub(crate) use crash_tolerant_log;

/// The suite of a protocol that agrees on one order of all commands while replicas lie. It has no cluster of one
/// replica, and in none of its clusters do replicas make a quorum that hear each other through a third one.
macro_rules! byzantine_log {
    ($protocol:expr) => {
        $crate::conformance::log!(
            $protocol, quiet_settings: [], values_tried: $crate::conformance::tunables::TRIED,
            busy_leader_gives_way: true
        );
    };
}
pub(crate) use byzantine_log;

/// The suite of a protocol of registers, which has no leader and whose logs show nothing. Whether a log is
/// waited for is not in it: the phases of an ABD write don't tell.
macro_rules! registers {
    ($protocol:expr) => {
        $crate::conformance::tests! {
            $protocol;
            real {
                phases::{
                    without_a_disk_nothing_is_flushed, the_smallest_cluster_has_phases_too,
                    a_quorum_takes_a_round_trip,
                }
                faults::{
                    degraded_links_of_a_follower_hold_no_one_up, a_paused_leader_is_replaced_and_rejoins,
                    requests_that_became_late_at_a_paused_replica_end,
                    a_paused_replica_crashes_and_stops_like_any_other, pauses_that_make_no_sense_say_so,
                    without_a_majority_nothing_is_acknowledged,
                }
                refusals::{what_can_not_be_done_is_said}
                soak::{leaders_crash_and_restart_under_load}
            }
            virtually {
                replay::{the_same_seed_gives_the_same_run_and_another_seed_another}
            }
        }

        #[test]
        fn every_setting_takes_effect() {
            $crate::conformance::tunables::every_setting_takes_effect(
                &$protocol,
                &[],
                &$crate::conformance::tunables::TRIED,
            );
        }
    };
}
pub(crate) use registers;
