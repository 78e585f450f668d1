//! Commands of the user's around each protocol of a scenario.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::interrupt;
use crate::results::{Outcome, ScenarioResult};
use crate::run::Pair;
use crate::scenario::Hooks;

/// How often a running command is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Why a hook failed. Its output is in the message: no one else shows it.
#[derive(Debug, Error)]
pub enum HookError {
    /// It could not be started, or its output not be kept.
    #[error("{when} hook `{command}`: {source}")]
    Io {
        /// `pre` or `post`.
        when: &'static str,
        /// The command.
        command: String,
        /// Cause.
        source: std::io::Error,
    },
    /// It ended with a failure.
    #[error("{when} hook `{command}` ended with {status}{}", shown(output))]
    Failed {
        /// `pre` or `post`.
        when: &'static str,
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed, errors included.
        output: String,
    },
    /// It took too long and was killed.
    #[error("{when} hook `{command}` did not end within {limit:?} (hooks.timeout_s){}", shown(output))]
    TimedOut {
        /// `pre` or `post`.
        when: &'static str,
        /// The command.
        command: String,
        /// Its limit.
        limit: Duration,
        /// What it printed until then.
        output: String,
    },
    /// Someone stopped the run while it was under way, and it was killed.
    #[error("{when} hook `{command}` was killed: the run was interrupted")]
    Interrupted {
        /// `pre` or `post`.
        when: &'static str,
        /// The command.
        command: String,
    },
}

fn shown(output: &str) -> String {
    let lines: String = output.lines().map(|line| format!("\n    {line}")).collect();
    if lines.is_empty() { "; it printed nothing".into() } else { format!("; it printed{lines}") }
}

/// Runs the commands before a pair, in order, until one fails.
pub fn before(pair: &Pair, folder: &Path) -> Result<(), HookError> {
    let hooks = &pair.scenario.hooks;
    hooks.pre.iter().try_for_each(|command| {
        run("pre", command, hooks, |process| {
            set_environment(process, pair, folder);
        })
    })
}

/// Runs the commands after a pair whose results are in `results`; all of them, and the first failure
/// is told.
pub fn after(pair: &Pair, folder: &Path, results: &Path, result: &ScenarioResult) -> Result<(), HookError> {
    let hooks = &pair.scenario.hooks;
    let outcome = match &result.outcome {
        Outcome::Completed => "completed",
        Outcome::Interrupted => "interrupted",
        Outcome::Failed { .. } => "failed",
        Outcome::Unsafe => "unsafe",
    };
    let mut ended = Ok(());
    for command in &hooks.post {
        ended = ended.and(run("post", command, hooks, |process| {
            set_environment(process, pair, folder);
            process.env("CONSENSUS_BENCH_RESULTS", results).env("CONSENSUS_BENCH_OUTCOME", outcome);
        }));
    }
    ended
}

fn set_environment(process: &mut Command, pair: &Pair, folder: &Path) {
    process
        .env("CONSENSUS_BENCH_RUN_FOLDER", folder)
        .env("CONSENSUS_BENCH_SCENARIO", &pair.scenario.name)
        .env("CONSENSUS_BENCH_PROTOCOL", &pair.name);
}

fn run(
    when: &'static str,
    command: &str,
    hooks: &Hooks,
    prepare: impl FnOnce(&mut Command),
) -> Result<(), HookError> {
    let io = |source| HookError::Io { when, command: command.into(), source };
    let limit = Duration::from_secs_f64(hooks.timeout_s);
    // Into a file and not a pipe: a command that leaves a child behind would keep a pipe open.
    let printed = tempfile::NamedTempFile::new().map_err(io)?;
    let output = || {
        // What can't be read back is told as nothing; the failure itself is told in any case.
        String::from_utf8_lossy(&std::fs::read(printed.path()).unwrap_or_default()).into_owned()
    };
    let mut process = shell(command);
    prepare(&mut process);
    let sink = printed.reopen().map_err(io)?;
    process.stdin(Stdio::null()).stdout(sink.try_clone().map_err(io)?).stderr(sink);
    let mut child = process.spawn().map_err(io)?;
    let command = command.to_string();
    match wait(&mut child, limit) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(HookError::Failed { when, command, status, output: output() }),
        Ok(None) => {
            kill(&mut child);
            if interrupt::requested() {
                return Err(HookError::Interrupted { when, command });
            }
            Err(HookError::TimedOut { when, command, limit, output: output() })
        }
        Err(source) => Err(HookError::Io { when, command, source }),
    }
}

/// Ends a command and, where it has a process group of its own, all that it started.
fn kill(child: &mut Child) {
    #[cfg(target_os = "linux")]
    if let Some(group) = rustix::process::Pid::from_raw(child.id() as i32) {
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
    }
    // Either fails only when the command ended by itself meanwhile.
    child.kill().ok();
    child.wait().ok();
}

fn shell(command: &str) -> Command {
    #[cfg(windows)]
    let (shell, flag) = ("cmd", "/C");
    #[cfg(not(windows))]
    let (shell, flag) = ("sh", "-c");
    let mut process = Command::new(shell);
    process.arg(flag).arg(command);
    #[cfg(target_os = "linux")]
    std::os::unix::process::CommandExt::process_group(&mut process, 0);
    process
}

/// Waits for a command's end; none when it took too long, or the run was interrupted.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some(status)),
            None if Instant::now() >= deadline || interrupt::requested() => return Ok(None),
            None => std::thread::sleep(LOOK_EVERY),
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    fn hooks(timeout_s: f64) -> Hooks {
        Hooks { timeout_s, ..Hooks::default() }
    }

    fn message(command: &str, timeout_s: f64) -> String {
        run("pre", command, &hooks(timeout_s), |_| {}).unwrap_err().to_string()
    }

    #[test]
    fn a_failing_command_is_told_with_what_it_printed() {
        assert!(run("pre", "exit 0", &hooks(60.0), |_| {}).is_ok());
        let told = message("echo to stdout; echo to stderr >&2; exit 3", 60.0);
        for part in ["pre hook", "exit status: 3", "\n    to stdout", "\n    to stderr"] {
            assert!(told.contains(part), "{told}");
        }
        assert!(message("exit 1", 60.0).contains("it printed nothing"));
        assert!(message("no-such-command-anywhere", 60.0).contains("not found"));
    }

    #[test]
    fn a_command_that_takes_too_long_is_killed_with_its_children() {
        let told = message("sleep 600 & echo child $!; wait", 0.5);
        assert!(told.contains("hooks.timeout_s"), "{told}");
        let child: u32 = told.rsplit("child ").next().and_then(|pid| pid.trim().parse().ok()).unwrap();
        // Gone, or dead and not yet collected by whoever inherits orphans here.
        let dead = || match std::fs::read_to_string(format!("/proc/{child}/stat")) {
            Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
            Err(_) => true,
        };
        let died = (0..1_000_000).any(|_| {
            std::thread::yield_now();
            dead()
        });
        assert!(died, "the child of the command still runs");
    }

    #[test]
    fn the_environment_reaches_the_command() {
        let prepared = |process: &mut Command| {
            process.env("CONSENSUS_BENCH_SCENARIO", "mine");
        };
        assert!(run("pre", "test \"$CONSENSUS_BENCH_SCENARIO\" = mine", &hooks(60.0), prepared).is_ok());
    }
}
