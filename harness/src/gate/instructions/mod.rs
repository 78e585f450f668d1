//! Tier 1, instructions: what a commit and the harness's own hot paths take in instructions, under callgrind, and
//! in allocations. Both are counts of a program that does the same in every run, so they tell changes of a
//! hundredth that a clock can't. What is counted is the package `consensus-bench-instructions`, built from the
//! sources that are judged.

mod summary;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use thiserror::Error;

pub use summary::{Counted, Per};

use super::policy::Policy;
use super::report::{Finding, Tier, TierStatus};
use super::source::SAME_LAYOUT;
use super::values::{Known, Reference, judge_values};
use crate::compare::ExactValues;
use crate::exit::EXIT_UNSAFE;
use crate::results::Better;

/// What is missing, and how to get it.
pub const NO_VALGRIND: &str = "valgrind is missing: `apt-get install valgrind` installs it";

const PACKAGE: &str = "consensus-bench-instructions";
/// Where it is in a source folder.
const MANIFEST: &str = "benches/instructions/Cargo.toml";
const WORKLOADS: &str = "instruction-workloads";
const BENCH: &str = "instructions";
/// Variables that change what gungraun does, and of which it would not tell.
const GUNGRAUN_VARIABLES: [&str; 2] = ["GUNGRAUN_", "IAI_CALLGRIND_"];

/// Why there are no counts. One line that says how to get them.
#[derive(Debug, Error)]
pub enum InstructionsError {
    /// There is no valgrind.
    #[error("{NO_VALGRIND}")]
    NoValgrind,
    /// The sources are older than the benches.
    #[error(
        "{}: there is no {MANIFEST}: give sources that have it, or compare with a stored baseline",
        source_folder.display()
    )]
    NoBenches {
        /// Folder.
        source_folder: PathBuf,
    },
    /// A program could not be started.
    #[error("{program} can't be started: {source}")]
    NotStarted {
        /// Which.
        program: String,
        /// Cause.
        source: std::io::Error,
    },
    /// Cargo, or what it ran, failed.
    #[error("`{command}` in {} failed: {reason}", source_folder.display())]
    Failed {
        /// What ran.
        command: String,
        /// Folder.
        source_folder: PathBuf,
        /// The first error that it told.
        reason: String,
    },
    /// A workload broke a promise.
    #[error("a broken promise: {reason}")]
    Unsafe {
        /// What it told.
        reason: String,
    },
    /// What was printed is not what was to be.
    #[error("{what}: {reason}: measure again, with sources whose benches are whole")]
    NotUnderstood {
        /// Which text.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Judges counts against others; how many were, and what is worth telling.
pub fn judge(
    old: &ExactValues,
    new: &ExactValues,
    reference: Reference<'_>,
    policy: &Policy,
) -> (usize, Vec<Finding>) {
    let known = |_: &str, metric: &str| {
        let unit = if metric.starts_with("allocated_bytes") { "bytes" } else { "1" };
        Some(Known { unit: unit.into(), better: Better::Lower })
    };
    judge_values(Tier::Instructions, old, new, reference, known, policy)
}

/// Whether valgrind can be started.
pub fn has_valgrind() -> bool {
    let found =
        Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

/// The tier's status on a machine without valgrind.
pub fn not_run(policy: &Policy) -> TierStatus {
    TierStatus::NotRun { reason: NO_VALGRIND.into(), forbidden: policy.instructions.required }
}

/// Builds and counts the workloads of a workspace at `source`, with all that is built in `target`.
///
/// Rows are `instructions/<workload>`; metrics `instructions_per_commit`, `allocations_per_commit` and
/// `allocated_bytes_per_commit`, of a hot path `…_per_operation`. What is zero is kept: a first allocation
/// would be new otherwise, and not worse.
pub fn measure(source: &Path, target: &Path) -> Result<ExactValues, InstructionsError> {
    if !source.join(MANIFEST).is_file() {
        return Err(InstructionsError::NoBenches { source_folder: source.into() });
    }
    if !has_valgrind() {
        return Err(InstructionsError::NoValgrind);
    }
    let workloads = run(source, target, &["run", "--profile", "bench", "--bin", WORKLOADS], &[])?;
    // Flags of gungraun need the `=`: without it the value would be taken for a filter.
    let arguments = ["--", "--output-format=json", "--nosummary=true"];
    let summaries = run(source, target, &["bench", "--bench", BENCH], &arguments)?;
    summary::values(&workloads, &summaries)
}

/// What cargo prints on its standard output.
fn run(source: &Path, target: &Path, what: &[&str], then: &[&str]) -> Result<String, InstructionsError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let not_started =
        |source| InstructionsError::NotStarted { program: cargo.to_string_lossy().into_owned(), source };
    // Cargo runs in the source folder, for which a relative target would be another one.
    let target = std::path::absolute(target).map_err(not_started)?;
    let mut command = Command::new(&cargo);
    command.current_dir(source).args(what).args(["--package", PACKAGE, "--quiet"]).args(then);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if GUNGRAUN_VARIABLES.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    // Being set it also hides what a user's own configuration of cargo says, such as another target CPU.
    command.env("RUSTFLAGS", SAME_LAYOUT).env_remove("CARGO_ENCODED_RUSTFLAGS");
    command.env("CARGO_TARGET_DIR", &target).env("GUNGRAUN_HOME", target.join("gungraun"));
    let output = command.stdin(Stdio::null()).output().map_err(not_started)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let reason = first_error(&String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(i32::from(EXIT_UNSAFE)) {
        return Err(InstructionsError::Unsafe { reason });
    }
    Err(InstructionsError::Failed {
        command: format!("cargo {} --package {PACKAGE}", what.join(" ")),
        source_folder: source.into(),
        reason,
    })
}

/// The line to show of all that was told: the first that speaks of an error, or else the last.
fn first_error(told: &str) -> String {
    let mut lines = told.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.clone().next_back().unwrap_or("it said nothing");
    lines.find(|line| line.starts_with("error") || line.contains("panicked at")).unwrap_or(last).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_that_cargo_tells_the_first_error_is_shown() {
        let told = "warning: x\n\nerror: could not compile\nerror: build failed\nbye\n";
        assert_eq!(first_error(told), "error: could not compile");
        assert_eq!(first_error("one\ntwo\n\n"), "two");
        assert_eq!(first_error(""), "it said nothing");
    }

    #[test]
    fn sources_without_the_benches_are_refused() {
        let empty = tempfile::tempdir().unwrap();
        let error = measure(empty.path(), &empty.path().join("target")).unwrap_err();
        assert!(matches!(error, InstructionsError::NoBenches { .. }));
        assert!(error.to_string().contains("there is no benches/instructions/Cargo.toml: give sources"));
    }

    #[test]
    #[ignore = "needs valgrind, and builds the workspace optimised: minutes"]
    fn this_workspace_is_like_itself() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let count = || measure(&workspace, &workspace.join("target")).unwrap();
        let (base, head) = (count(), count());
        assert!(base.get("instructions/raft-rs", "instructions_per_commit").unwrap() > 1_000.0);
        let (_, found) = judge(&base, &head, Reference::Base, &Policy::shipped().unwrap());
        assert_eq!(found, []);
    }

    /// A process's own `PATH` can't be changed safely while other tests run, so the test starts itself again.
    #[test]
    fn without_valgrind_nothing_is_measured() {
        const AGAIN: &str = "CONSENSUS_BENCH_TEST_WITHOUT_VALGRIND";
        const NAME: &str = "gate::instructions::tests::without_valgrind_nothing_is_measured";
        if std::env::var_os(AGAIN).is_some() {
            let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
            let error = measure(&workspace, &std::env::temp_dir()).unwrap_err();
            assert_eq!(error.to_string(), NO_VALGRIND);
            return;
        }
        let empty = tempfile::tempdir().unwrap();
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", NAME]).env(AGAIN, "1").env("PATH", empty.path());
        let told = String::from_utf8(again.output().unwrap().stdout).unwrap();
        assert!(told.contains("1 passed"), "{told}");
    }

    #[test]
    fn without_valgrind_the_tier_says_how_to_get_it() {
        let mut policy = Policy::shipped().unwrap();
        for required in [false, true] {
            policy.instructions.required = required;
            let TierStatus::NotRun { reason, forbidden } = not_run(&policy) else { panic!("it ran") };
            assert_eq!(forbidden, required);
            assert!(reason.contains("apt-get install valgrind") && reason.lines().count() == 1);
        }
    }
}
