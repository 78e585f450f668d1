//! Reports that the tests of all formats start from.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::gate::report::*;
use crate::results::{Better, Machine};

fn machine() -> Machine {
    Machine {
        fingerprint: "0f3a9c21d4e7".into(),
        cpu_model: "AMD EPYC 7B13".into(),
        cores: 2,
        memory_bytes: 8_323_276_800,
        os: "Linux (Debian GNU/Linux 12)".into(),
        kernel: "6.1.0-18-amd64".into(),
        rustc: "rustc 1.95.0".into(),
    }
}

fn finding(row: &str, metric: &str, unit: &str, verdict: FindingVerdict) -> Finding {
    Finding {
        metric: metric.into(),
        unit: unit.into(),
        better: Better::Lower,
        verdict,
        ..Finding::about(row, Effect::Block)
    }
}

fn counted(metric: &str, base: f64, head: f64, verdict: FindingVerdict) -> Finding {
    Finding { base: Some(base), head: Some(head), ..finding("cost/raft-rs", metric, "1", verdict) }
}

fn measured(row: &str, metric: &str, (base, head): (f64, f64), verdict: FindingVerdict) -> Finding {
    let relative = head / base - 1.0;
    Finding {
        base: Some(base),
        head: Some(head),
        tolerance: 0.05,
        shift: Some(Shift {
            relative,
            lower: relative - 0.021,
            upper: relative + 0.019,
            p: 0.0004,
            pairs: 24,
            detectable: 0.015,
        }),
        ..finding(row, metric, "ns", verdict)
    }
}

fn tier(tier: Tier, seconds: f64, judged: usize, findings: Vec<Finding>) -> TierReport {
    TierReport { tier, status: TierStatus::Ran, seconds, judged, findings, control: None, notes: Vec::new() }
}

fn report(tiers: Vec<TierReport>) -> GateReport {
    GateReport {
        schema_version: GATE_SCHEMA_VERSION,
        verdict: GateVerdict::of(&tiers),
        base: Some(Side { name: "origin/main".into(), commit: Some("9f8e7d6".into()) }),
        head: Side { name: "HEAD".into(), commit: Some("1a2b3c4+".into()) },
        machine: machine(),
        tiers,
        notes: Vec::new(),
        reproduce: "cargo consensus-bench gate --tier safety,exact,instructions,paired --base origin/main"
            .into(),
    }
}

/// One of nearly everything.
pub(super) fn everything() -> GateReport {
    use FindingVerdict as Found;
    let unsafe_row = Finding {
        reason: Some("seed 17: replicas 0 and 2 differ at slot 7".into()),
        ..finding("explore/pbft", "", "", Found::Unsafe)
    };
    let exact = vec![
        counted("lan_replicas_3_clients_1_messages_per_commit", 4.0, 4.25, Found::Regressed),
        counted("lan_replicas_3_clients_1_bytes_per_commit", 379.616, 371.5, Found::Declared),
        Finding {
            row: "virtual_scalability/plumtree".into(),
            owner: Some("gossip".into()),
            reason: Some("the committed counts do not have it".into()),
            ..finding(
                "",
                "planet13_replicas_13_clients_64_control_messages_per_delivery",
                "1",
                Found::Missing,
            )
        },
        Finding { head: Some(12.0), ..finding("wan/swim", "wan_rounds_per_commit", "1", Found::New) },
        Finding { better: Better::Neither, ..counted("lan_replicas_3_batches", 0.0, 3.0, Found::Changed) },
    ];
    let instructions = TierReport {
        status: TierStatus::NotRun {
            reason: "valgrind is not installed: `apt-get install valgrind`".into(),
            forbidden: false,
        },
        ..tier(Tier::Instructions, 0.0, 0, Vec::new())
    };
    let paired = TierReport {
        control: Some(Control { judged: 32, alarms: Vec::new(), largest_shift: -0.012 }),
        notes: vec![
            "threads waited for a core for 3.1 % of the time: wall-clock metrics are not judged".into(),
        ],
        ..tier(
            Tier::Paired,
            181.25,
            32,
            vec![
                Finding {
                    owner: Some("net".into()),
                    ..measured("commit/raft-rs", "cpu_ns_per_commit", (1520.0, 1711.0), Found::Regressed)
                },
                measured("commit/openraft", "cpu_ns_per_commit", (9100.0, 8200.0), Found::Improved),
                measured("commit/pbft", "cpu_ns_per_commit", (9100.0, 9110.0), Found::Passed),
                Finding {
                    reason: Some("24 pairs can't tell it from the tolerance".into()),
                    ..measured("commit/abd", "cpu_ns_per_commit", (700.0, 731.0), Found::Inconclusive)
                },
                Finding {
                    reason: Some("threads waited for a core".into()),
                    ..finding("commit/abd", "response_ns_p99", "ns", Found::Inconclusive)
                },
            ],
        )
    };
    let missed = Finding {
        effect: Effect::Warn,
        head: Some(151e6),
        reason: Some("not above 100 ms".into()),
        ..finding("high_load/raft-rs", "response_ns_p99", "ns", Found::Regressed)
    };
    let tiers = vec![
        tier(Tier::Safety, 41.23, 13, vec![unsafe_row]),
        tier(Tier::Exact, 9.31, 1200, exact),
        instructions,
        paired,
        tier(Tier::Targets, 12.0, 6, vec![missed]),
    ];
    GateReport { notes: vec!["The base was built with the head's harness.".into()], ..report(tiers) }
}

/// Nothing to tell.
pub(super) fn pass() -> GateReport {
    let tiers = vec![tier(Tier::Safety, 40.9, 13, Vec::new()), tier(Tier::Exact, 9.3, 1173, Vec::new())];
    GateReport { base: None, ..report(tiers) }
}

/// What formats take for their own, beside any text at all.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z|`<>&*_\\[\\]()\\\\#~!\"' \n\r\t\u{1b}\u{0}$-]{0,24}",
        Just("]]><!-- --> </failure>".to_string()),
        Just("a/b | --- | c\n\n# d ```".to_string()),
    ]
}

fn finite() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO
}

fn any_shift() -> impl Strategy<Value = Shift> {
    (finite(), finite(), finite(), 0.0..1.0, 0usize..100, finite()).prop_map(
        |(relative, lower, upper, p, pairs, detectable)| Shift {
            relative,
            lower,
            upper,
            p,
            pairs,
            detectable,
        },
    )
}

fn any_finding() -> impl Strategy<Value = Finding> {
    use FindingVerdict as Found;
    let verdict = prop::sample::select(vec![
        Found::Unsafe,
        Found::Regressed,
        Found::Improved,
        Found::Changed,
        Found::Declared,
        Found::Passed,
        Found::Inconclusive,
        Found::Missing,
        Found::New,
    ]);
    let effect = prop::sample::select(vec![Effect::Block, Effect::Warn]);
    let texts = (name(), name(), name(), option::of(name()), option::of(name()));
    let numbers = (option::of(finite()), option::of(finite()), option::of(any_shift()), finite());
    (texts, numbers, verdict, effect).prop_map(|(texts, numbers, verdict, effect)| {
        let (row, metric, unit, owner, reason) = texts;
        let (base, head, shift, tolerance) = numbers;
        let like = finding(&row, &metric, &unit, verdict);
        Finding { effect, base, head, shift, tolerance, owner, reason, ..like }
    })
}

fn any_tier() -> impl Strategy<Value = TierReport> {
    let status = prop_oneof![
        Just(TierStatus::Ran),
        (name(), any::<bool>()).prop_map(|(reason, forbidden)| TierStatus::NotRun { reason, forbidden }),
        (name(), any::<bool>()).prop_map(|(reason, of_baseline)| TierStatus::Failed { reason, of_baseline }),
    ];
    let control = (vec(any_finding(), 0..2), finite()).prop_map(|(alarms, largest_shift)| Control {
        judged: 3,
        alarms,
        largest_shift,
    });
    let name = prop::sample::select(Tier::ALL.to_vec());
    (name, status, finite(), vec(any_finding(), 0..6), option::of(control), vec(self::name(), 0..2)).prop_map(
        |(tier, status, seconds, findings, control, notes)| {
            let judged = findings.len();
            TierReport { tier, status, seconds, judged, findings, control, notes }
        },
    )
}

/// Any report at all, with text that no format expects.
pub(super) fn any_report() -> impl Strategy<Value = GateReport> {
    (vec(any_tier(), 0..5), name(), name(), vec(name(), 0..3), name()).prop_map(
        |(tiers, side, commit, notes, reproduce)| GateReport {
            head: Side { name: side, commit: Some(commit) },
            notes,
            reproduce,
            ..report(tiers)
        },
    )
}
