//! What can't be done is said, with what could.

use protocol_core::{Behaviour, Fault, FaultError, LaunchError, Protocol, ReplicaId, Settings};

use super::bench::Bench;
use super::{size, spec};

pub async fn what_can_not_be_done_is_said(protocol: &dyn Protocol) {
    faults(protocol).await;
    restarts_of_what_runs(protocol).await;
    settings(protocol);
}

async fn faults(protocol: &dyn Protocol) {
    let bench = Bench::launch(protocol, spec(protocol)).await;
    bench.commit(1).await;
    bench.inject(Fault::Crash(ReplicaId(1))).await;
    let restart = bench.cluster.inject(Fault::Restart(ReplicaId(1))).await;
    assert!(matches!(restart, Err(FaultError::Unsupported { .. })), "{restart:?}");
    let stranger = ReplicaId(size(protocol) as u32);
    for fault in
        [Fault::Crash(ReplicaId(1)), Fault::Crash(stranger), Fault::Cut { from: ReplicaId(0), to: stranger }]
    {
        let refused = bench.cluster.inject(fault).await;
        assert!(matches!(refused, Err(FaultError::NotApplicable { .. })), "{fault:?}: {refused:?}");
    }
    for lie in Behaviour::LIES {
        if !protocol.descriptor().particulars.behaviours.contains(&lie) {
            let refused = bench.cluster.inject(Fault::Corrupt(ReplicaId(0), lie)).await;
            assert!(matches!(refused, Err(FaultError::Unsupported { .. })), "{lie:?}: {refused:?}");
        }
    }
    bench.stop().await;
}

async fn restarts_of_what_runs(protocol: &dyn Protocol) {
    let bench = Bench::launch_on_disk(protocol, spec(protocol)).await;
    let running = bench.cluster.inject(Fault::Restart(ReplicaId(0))).await;
    assert!(matches!(running, Err(FaultError::NotApplicable { .. })), "{running:?}");
    bench.stop().await;
}

/// Unknown names are answered with all names, and values with their range.
fn settings(protocol: &dyn Protocol) {
    let descriptor = protocol.descriptor();
    let set = |name: &str, value| Settings::checked([(name.to_string(), value)].into(), &descriptor);
    let unknown = set("no_such_setting", 1.0).unwrap_err().to_string();
    for tunable in descriptor.tunables {
        assert!(unknown.contains(tunable.name), "{unknown}");
        for outside in [tunable.range.0 - 1.0, tunable.range.1 + 1.0, f64::NAN] {
            let refused = set(tunable.name, outside).unwrap_err();
            assert!(matches!(refused, LaunchError::SettingOutOfRange { .. }), "{refused}");
        }
    }
}
