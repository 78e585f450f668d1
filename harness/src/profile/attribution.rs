//! Whose CPU time it was and what for: every stack is given to one kind of work, one crate and one function.
//!
//! - *Kind*: that of the innermost function that the table of [rules](Kind) knows. A copy of memory inside of
//!   an encoder is encoding; taking memory is allocation, whoever asks for it.
//! - *Crate and function*: the innermost that is neither the standard library's nor the allocator's: the code
//!   that someone could change.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::kind_of;
use super::{Frame, Kind, Origin, RuntimeUse, Samples, Stack, Waits};
use crate::files::{Document, FileError, write_atomically};
use crate::stats::wilson_interval;

/// Version of the schema of [`Attribution`]. Files of a later version are refused.
pub const PROFILE_SCHEMA_VERSION: u32 = 1;

/// Fewer samples than this say too little: a share of a half is then only known to ten points.
pub const FEWEST_SAMPLES: u64 = 100;

/// Functions that are kept, the most expensive first.
const FUNCTIONS_KEPT: usize = 40;

/// The crate of what the standard library or the C library does for nobody.
const NO_CRATE: &str = "(none)";

/// The system capped the rate when it gave less than this share of what was asked for.
const CAPPED_BELOW: f64 = 0.8;

const DOCUMENT: Document = Document { what: "profile", version: PROFILE_SCHEMA_VERSION };

/// A profile's numbers: `profile.json`. Intervals are 95 % intervals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attribution {
    /// [`PROFILE_SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// What ran while it was sampled.
    pub profiled: Profiled,
    /// How it was sampled.
    pub sampling: SamplingFacts,
    /// CPU time of the whole process per commit; none where commits or CPU time are not known.
    pub cpu_ns_per_commit: Option<Bounded>,
    /// Every kind of work, the most expensive first; they add up to everything.
    pub kinds: Vec<Share<Kind>>,
    /// Crates, the most expensive first; they add up to everything.
    pub crates: Vec<Share<String>>,
    /// The functions in whose own code, or in what it asked of the standard library, most time was spent.
    pub functions: Vec<Share<String>>,
    /// Threads by name, the most expensive first; they add up to everything.
    pub threads: Vec<Share<String>>,
    /// Where requests spent their time, on a core or not; none where nobody recorded it.
    pub waits: Option<Waits>,
    /// The runtime of the cluster's thread; none where nobody looked.
    pub runtime: Option<RuntimeUse>,
    /// Why the numbers are not to be trusted; empty when nothing disturbed the run.
    pub disturbed: Vec<String>,
}

/// What ran while it was sampled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Profiled {
    /// Scenario.
    pub scenario: String,
    /// Protocol.
    pub protocol: String,
    /// Settings that differ from the protocol's defaults.
    #[serde(default)]
    pub settings: BTreeMap<String, f64>,
    /// The load.
    pub load: ProfiledLoad,
    /// Commands committed while it was sampled; none where nobody counted.
    pub commits: Option<u64>,
    /// Fingerprint of the machine: times are only compared under the same one.
    #[serde(default)]
    pub machine: String,
    /// Commit of the working tree, with `+` when it was changed; none outside git.
    #[serde(default)]
    pub commit: Option<String>,
}

/// A load that was profiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ProfiledLoad {
    /// Clients with one request in flight each.
    Closed {
        /// Clients.
        clients: usize,
    },
    /// Requests at a rate, whatever becomes of them.
    Open {
        /// Requests per second.
        rate_per_s: f64,
    },
    /// Something else, as Criterion runs it.
    #[default]
    Other,
}

/// How often was looked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SamplingFacts {
    /// Samples.
    pub samples: u64,
    /// CPU time of the process, in seconds; none where the system does not tell.
    pub cpu_s: Option<f64>,
    /// Time that passed, in seconds.
    pub wall_s: f64,
    /// Samples per CPU second that were asked for.
    pub asked_per_s: f64,
    /// Samples per CPU second that came.
    pub per_cpu_s: Option<f64>,
    /// Whether the system gave clearly fewer than were asked for: its clock tick caps them.
    pub capped: bool,
}

/// A number with its 95 % interval; its ends are the number itself where nothing tells how far it can be off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bounded {
    /// The number.
    pub value: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// A part of the CPU time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Share<N> {
    /// What took it.
    pub of: N,
    /// Samples.
    pub samples: u64,
    /// Share of all samples, 0 to 1.
    pub share: f64,
    /// Lower end of the share's interval, by Wilson: what so many samples leave open.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// The share of the CPU time per commit, in nanoseconds; none where that is not known.
    pub ns_per_commit: Option<Bounded>,
}

impl Attribution {
    /// Reads a `profile.json`.
    pub fn read(path: &Path) -> Result<Attribution, FileError> {
        let read: Attribution = DOCUMENT.read(path)?;
        let unlikely = |of: &str| DOCUMENT.wrong(path, format!("`{of}`: a share outside of 0 to 1"));
        let is_share = |share: f64| (0.0..=1.0).contains(&share);
        match read.kinds.iter().find(|kind| !is_share(kind.share)) {
            Some(kind) => Err(unlikely(kind.of.name())),
            None => Ok(read),
        }
    }

    /// Writes it, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let refused = |error: serde_json::Error| FileError::NotReadableBack {
            path: path.into(),
            reason: error.to_string(),
        };
        let mut bytes = serde_json::to_vec_pretty(self).map_err(refused)?;
        bytes.push(b'\n');
        write_atomically(path, &bytes)
    }

    /// How it is called: `scenario/protocol`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.profiled.scenario, self.profiled.protocol)
    }

    /// Of the functions that are kept, those that do work of these kinds, the most expensive first.
    pub fn functions_of(&self, kinds: &[Kind]) -> impl Iterator<Item = &Share<String>> {
        let is_of = |function: &str| kind_of_function(function).is_some_and(|kind| kinds.contains(&kind));
        self.functions.iter().filter(move |share| is_of(&share.of))
    }

    /// The share of one kind of work; none of it is a share too.
    pub fn kind(&self, kind: Kind) -> Option<&Share<Kind>> {
        self.kinds.iter().find(|share| share.of == kind)
    }
}

/// Attributes samples. `cpu_ns_per_commit` is what the load measured, if it did.
pub fn attribute(samples: &Samples, profiled: Profiled, cpu_ns_per_commit: Option<Bounded>) -> Attribution {
    let (mut kinds, mut crates) = (Counted::default(), Counted::default());
    let (mut functions, mut threads) = (Counted::default(), Counted::default());
    for kind in Kind::ALL {
        kinds.add(kind, 0);
    }
    for stack in &samples.stacks {
        let whose = whose(stack);
        kinds.add(whose.kind, stack.samples);
        crates.add(whose.krate, stack.samples);
        functions.add(whose.function, stack.samples);
        threads.add(stack.thread.clone(), stack.samples);
    }
    let total = kinds.total;
    let per_cpu_s = samples.cpu_s.filter(|&cpu_s| cpu_s > 0.0).map(|cpu_s| total as f64 / cpu_s);
    Attribution {
        schema_version: PROFILE_SCHEMA_VERSION,
        profiled,
        sampling: SamplingFacts {
            samples: total,
            cpu_s: samples.cpu_s,
            wall_s: samples.wall_s,
            asked_per_s: samples.asked_per_s,
            per_cpu_s,
            capped: per_cpu_s.is_some_and(|rate| rate < CAPPED_BELOW * samples.asked_per_s),
        },
        cpu_ns_per_commit,
        kinds: kinds.shares(cpu_ns_per_commit, usize::MAX),
        crates: crates.shares(cpu_ns_per_commit, usize::MAX),
        functions: functions.shares(cpu_ns_per_commit, FUNCTIONS_KEPT),
        threads: threads.shares(cpu_ns_per_commit, usize::MAX),
        waits: None,
        runtime: None,
        disturbed: samples.disturbed.clone(),
    }
}

/// Whom a stack is given to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whose {
    pub(super) kind: Kind,
    pub(super) krate: String,
    pub(super) function: String,
}

pub(super) fn whose(stack: &Stack) -> Whose {
    let mut kind = None;
    let mut owner: Option<(String, String)> = None;
    // A library that is not in the table, so far without a caller that is.
    let mut stranger = false;
    for frame in &stack.frames {
        let origin = Origin::of(frame);
        let of_frame = kind_of(frame, origin);
        let serves_all =
            origin.krate.is_empty() || origin.is_standard() || of_frame == Some(Kind::Allocation);
        if owner.is_none() && !serves_all {
            owner = Some((package(origin), in_full(frame, origin)));
        }
        stranger |= kind.is_none() && of_frame.is_none() && !serves_all;
        // A runtime polls whatever it is given, so that it is no caller.
        let is_of_nobody = stranger && of_frame == Some(Kind::Runtime) && !origin.is_local;
        kind = kind.or(if is_of_nobody { Some(Kind::Unknown) } else { of_frame });
        if kind.is_some() && owner.is_some() {
            break;
        }
    }
    let innermost = || stack.frames.iter().map(|frame| frame.function.as_str()).find(|name| !name.is_empty());
    let (krate, function) =
        owner.unwrap_or_else(|| (NO_CRATE.into(), innermost().unwrap_or(NO_CRATE).into()));
    Whose { kind: kind.unwrap_or(Kind::Unknown), krate, function }
}

/// The package that a crate is of: where only a function's name tells the crate, its dashes are lost.
fn package(origin: Origin<'_>) -> String {
    if origin.file.is_empty() { origin.krate.replace('_', "-") } else { origin.krate.into() }
}

/// A function with its crate and file: the name of one that was inlined has no path.
fn in_full(frame: &Frame, origin: Origin<'_>) -> String {
    let name = if frame.function.is_empty() { "(unnamed)" } else { &frame.function };
    if origin.file.is_empty() { name.into() } else { format!("{}/{}: {name}", origin.krate, origin.file) }
}

/// The kind of work of a function that is called as [`in_full`] calls it; none where its name does not tell. One in a
/// file that no rule knows is taken for the protocol's, of which there may be any.
pub(super) fn kind_of_function(function: &str) -> Option<Kind> {
    let in_file = function.split_once(": ").and_then(|(place, name)| Some((place.split_once('/')?, name)));
    let name = in_file.map_or(function, |(_, name)| name);
    let frame = Frame { function: name.into(), file: String::new() };
    let origin = match in_file {
        Some(((krate, file), _)) => Origin { krate, file, is_local: true },
        None => Origin::of(&frame),
    };
    kind_of(&frame, origin)
}

/// Samples by name.
struct Counted<N> {
    by_name: BTreeMap<N, u64>,
    total: u64,
}

impl<N> Default for Counted<N> {
    fn default() -> Self {
        Counted { by_name: BTreeMap::new(), total: 0 }
    }
}

impl<N: Ord> Counted<N> {
    fn add(&mut self, name: N, samples: u64) {
        *self.by_name.entry(name).or_default() += samples;
        self.total += samples;
    }

    /// The largest first, equal ones by name.
    fn shares(self, cpu_ns_per_commit: Option<Bounded>, most: usize) -> Vec<Share<N>> {
        let total = self.total;
        let mut shares: Vec<Share<N>> = self
            .by_name
            .into_iter()
            .map(|(of, samples)| Share::of(of, samples, total, cpu_ns_per_commit))
            .collect();
        shares.sort_by_key(|share| std::cmp::Reverse(share.samples));
        shares.truncate(most);
        shares
    }
}

/// All CPU time per commit, in nanoseconds; 0 where it is not known.
pub(super) fn whole(attribution: &Attribution) -> f64 {
    attribution.cpu_ns_per_commit.map_or(0.0, |cpu| cpu.value)
}

impl ProfiledLoad {
    /// For people.
    pub fn in_words(&self) -> String {
        match self {
            ProfiledLoad::Closed { clients: 1 } => "1 client in a closed loop".into(),
            ProfiledLoad::Closed { clients } => format!("{clients} clients in a closed loop"),
            ProfiledLoad::Open { rate_per_s } => format!("{rate_per_s} requests/s in an open loop"),
            ProfiledLoad::Other => "an unknown load".into(),
        }
    }
}

impl<N> Share<N> {
    /// The same under another name.
    pub(super) fn called<M>(&self, name: M) -> Share<M> {
        let Share { samples, share, lower, upper, ns_per_commit, .. } = *self;
        Share { of: name, samples, share, lower, upper, ns_per_commit }
    }

    fn of(of: N, samples: u64, total: u64, cpu_ns_per_commit: Option<Bounded>) -> Share<N> {
        let (lower, upper) = wilson_interval(samples, total);
        let share = if total == 0 { 0.0 } else { samples as f64 / total as f64 };
        let bounded = Bounded { value: share, lower, upper };
        let ns_per_commit = cpu_ns_per_commit.map(|cpu| bounded.times(cpu));
        Share { of, samples, share, lower, upper, ns_per_commit }
    }
}

impl Bounded {
    /// A number that nothing is known about how far it can be off.
    pub fn exactly(value: f64) -> Bounded {
        Bounded { value, lower: value, upper: value }
    }

    /// The product of two independent numbers: what either can be off adds up in squares, each side by itself
    /// (G. Y. Zou and A. Donner, Statistics in Medicine 2008, for the interval of a combination).
    pub fn times(self, other: Bounded) -> Bounded {
        let value = self.value * other.value;
        let side = |own: f64, others: f64| (own * other.value).hypot(others * self.value);
        Bounded {
            value,
            lower: value - side(self.value - self.lower, other.value - other.lower),
            upper: value + side(self.upper - self.value, other.upper - other.value),
        }
    }

    /// This less another that is independent of it, by the same method.
    pub fn minus(self, other: Bounded) -> Bounded {
        let value = self.value - other.value;
        Bounded {
            value,
            lower: value - (self.value - self.lower).hypot(other.upper - other.value),
            upper: value + (self.upper - self.value).hypot(other.value - other.lower),
        }
    }
}

#[cfg(test)]
mod tests;
