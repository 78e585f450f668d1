//! Commits as folders and programs: worktrees of git that go when they are done with, and builds of them that
//! differ in nothing but their source.

pub(super) mod dependencies;
mod times;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use thiserror::Error;

/// Every function of both builds starts at a multiple of 64 bytes: otherwise code that a change did not touch
/// moves, and runs up to a quarter faster or slower. All builds of a side have it, so that they share what they can.
pub(super) const SAME_LAYOUT: &str = "-C llvm-args=-align-all-functions=6";
/// Lines of a failed build that are repeated.
const SHOWN_LINES: usize = 12;

/// Why a commit can't be had.
#[derive(Debug, Error)]
pub enum SourceError {
    /// Git is missing, or this is none of its folders.
    #[error("git: {0}")]
    Git(String),
    /// No such commit.
    #[error(
        "no commit `{name}` here; `git fetch` brings those of others, and a shallow clone has only its own"
    )]
    NoCommit {
        /// Asked for.
        name: String,
    },
    /// The working tree is not what is committed.
    #[error(
        "the working tree has changes ({file}, …): with a base, commits are judged: commit or stash them"
    )]
    Dirty {
        /// One of them.
        file: String,
    },
    /// A commit does not build.
    #[error("{name} does not build:\n{output}")]
    Build {
        /// Which commit.
        name: String,
        /// The end of what cargo printed.
        output: String,
    },
    /// The build's program is not where it should be.
    #[error("{name} built no {}", program.display())]
    NoProgram {
        /// Which commit.
        name: String,
        /// What it should have built.
        program: PathBuf,
    },
    /// The system refused a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

/// A repository of git.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Its top folder.
    pub root: PathBuf,
}

impl Repository {
    /// The repository of the working folder.
    pub fn here() -> Result<Repository, SourceError> {
        let root = text(&git(Path::new("."), &["rev-parse", "--show-toplevel"])?);
        Ok(Repository { root: root.into() })
    }

    /// The full name of a commit.
    pub fn commit(&self, name: &str) -> Result<String, SourceError> {
        let commit = format!("{name}^{{commit}}");
        // A name that begins like a flag is none of a commit.
        let found = git(&self.root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]);
        found.map(|output| text(&output)).map_err(|error| match error {
            SourceError::Git(_) => SourceError::NoCommit { name: name.into() },
            other => other,
        })
    }

    /// Where a commit left the history of another: their last common ancestor, or the other itself, when the commit
    /// is part of its history. None when they have nothing in common here, as in a shallow clone.
    pub fn left_at(&self, other: &str, commit: &str) -> Option<String> {
        let ancestor = text(&git(&self.root, &["merge-base", other, commit]).ok()?);
        Some(if ancestor == commit { other.into() } else { ancestor })
    }

    /// Refuses a working tree with changes.
    pub fn check_clean(&self) -> Result<(), SourceError> {
        let status = text(&git(&self.root, &["status", "--porcelain"])?);
        match status.lines().next() {
            None => Ok(()),
            Some(line) => Err(SourceError::Dirty {
                file: line.trim_start_matches([' ', 'M', 'A', 'D', '?', 'R']).into(),
            }),
        }
    }

    /// A file as a commit has it; none when it has none of this name.
    pub fn file_at(&self, commit: &str, path: &str) -> Option<Vec<u8>> {
        let shown = git(&self.root, &["show", &format!("{commit}:{path}")]).ok()?;
        Some(shown.stdout)
    }

    /// The commit in a folder of its own, which goes with the value. What an earlier run left there goes first. Files
    /// that are what they were in the last worktree of this folder have the time they had there.
    pub fn worktree(&self, commit: &str, folder: &Path) -> Result<Worktree, SourceError> {
        let tree = Worktree { root: self.root.clone(), folder: folder.into() };
        tree.remove();
        let path = folder.to_string_lossy();
        git(&self.root, &["worktree", "add", "--detach", "--force", &path, commit])?;
        let listed = git(folder, &["ls-tree", "-r", "-z", "HEAD"])?;
        times::keep(folder, &String::from_utf8_lossy(&listed.stdout));
        Ok(tree)
    }
}

/// A commit in a folder. Dropping it removes the folder.
#[derive(Debug)]
pub struct Worktree {
    root: PathBuf,
    /// Where it is.
    pub folder: PathBuf,
}

impl Worktree {
    fn remove(&self) {
        if !self.folder.exists() {
            return;
        }
        let path = self.folder.to_string_lossy();
        if git(&self.root, &["worktree", "remove", "--force", &path]).is_err() {
            // Half of one, which git does not know.
            std::fs::remove_dir_all(&self.folder).ok();
            git(&self.root, &["worktree", "prune"]).ok();
        }
    }

    /// Gives the commit a lock file when it has none of its own, so that both sides have the same dependencies.
    pub fn lend_lock_file(&self, other: &Worktree) -> Result<(), SourceError> {
        let (own, theirs) = (self.folder.join("Cargo.lock"), other.folder.join("Cargo.lock"));
        if own.exists() || !theirs.exists() {
            return Ok(());
        }
        std::fs::copy(&theirs, &own).map(|_| ()).map_err(|source| SourceError::Io { path: own, source })
    }

    /// Whether another commit has the same lock file.
    pub fn has_lock_file_of(&self, other: &Worktree) -> bool {
        let lock = |tree: &Worktree| std::fs::read(tree.folder.join("Cargo.lock")).ok();
        lock(self) == lock(other)
    }

    /// Builds a program, optimised, with the lock file as it is, into a target folder of its own; `arguments` say
    /// which. Gives its path.
    pub fn build(
        &self,
        name: &str,
        arguments: &[String],
        program: &str,
        target: &Path,
    ) -> Result<PathBuf, SourceError> {
        let output = Command::new("cargo")
            .current_dir(&self.folder)
            .args(["build", "--release", "--locked", "--quiet"])
            .args(arguments)
            .env("CARGO_TARGET_DIR", target)
            .env("RUSTFLAGS", SAME_LAYOUT)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .stdin(Stdio::null())
            .output()
            .map_err(|source| SourceError::Io { path: "cargo".into(), source })?;
        if !output.status.success() {
            let printed = String::from_utf8_lossy(&output.stderr).into_owned();
            let lines: Vec<&str> = printed.lines().collect();
            let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
            return Err(SourceError::Build { name: name.into(), output: shown.join("\n") });
        }
        let built = target.join("release").join(program).with_extension(std::env::consts::EXE_EXTENSION);
        match built.is_file() {
            true => Ok(built),
            false => Err(SourceError::NoProgram { name: name.into(), program: built }),
        }
    }
}

impl Drop for Worktree {
    fn drop(&mut self) {
        self.remove();
    }
}

fn git(folder: &Path, arguments: &[&str]) -> Result<Output, SourceError> {
    let output = Command::new("git")
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| SourceError::Git(error.to_string()))?;
    if output.status.success() {
        return Ok(output);
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    Err(SourceError::Git(printed.lines().next().unwrap_or("it failed without a word").to_string()))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(folder: &Path) -> Repository {
        for arguments in [
            &["init", "--quiet", "--initial-branch", "main"][..],
            &["config", "user.name", "a"],
            &["config", "user.email", "a@example.org"],
        ] {
            git(folder, arguments).unwrap();
        }
        Repository { root: folder.into() }
    }

    fn commit(repository: &Repository, file: &str, text: &str) -> String {
        std::fs::write(repository.root.join(file), text).unwrap();
        git(&repository.root, &["add", "--all"]).unwrap();
        git(&repository.root, &["commit", "--quiet", "--message", "x"]).unwrap();
        repository.commit("HEAD").unwrap()
    }

    #[test]
    fn a_worktree_has_the_files_of_its_commit_and_goes_with_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let first = commit(&repository, "a", "1");
        let second = commit(&repository, "a", "2");
        let elsewhere = tempfile::tempdir().unwrap();
        let path = elsewhere.path().join("base");
        // Left behind by a run that was killed.
        std::fs::create_dir(&path).unwrap();
        let tree = repository.worktree(&first, &path).unwrap();
        assert_eq!(std::fs::read_to_string(path.join("a")).unwrap(), "1");
        // Another run takes the folder over.
        let again = repository.worktree(&second, &path).unwrap();
        assert_eq!(std::fs::read_to_string(path.join("a")).unwrap(), "2");
        drop((tree, again));
        assert!(!path.exists());
        let known = text(&git(&repository.root, &["worktree", "list"]).unwrap());
        assert_eq!(known.lines().count(), 1, "{known}");
    }

    #[test]
    fn a_change_is_held_against_the_commit_that_it_left() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let left = commit(&repository, "a", "1");
        let tip = commit(&repository, "a", "2");
        git(&repository.root, &["checkout", "--quiet", "-b", "change", &left]).unwrap();
        let change = commit(&repository, "b", "1");
        assert_eq!(repository.left_at(&tip, &change).as_ref(), Some(&left));
        // A base that the change has in its history is where it left, and so is one that came out of the change.
        assert_eq!(repository.left_at(&left, &change).as_ref(), Some(&left));
        assert_eq!(repository.left_at(&change, &left).as_ref(), Some(&change));
        git(&repository.root, &["checkout", "--quiet", "--orphan", "other"]).unwrap();
        let other = commit(&repository, "c", "1");
        assert_eq!(repository.left_at(&other, &change), None);
    }

    #[test]
    fn what_did_not_change_keeps_its_time_and_what_did_gets_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        commit(&repository, "same", "1");
        let first = commit(&repository, "other", "1");
        let second = commit(&repository, "other", "2");
        let elsewhere = tempfile::tempdir().unwrap();
        let path = elsewhere.path().join("base");
        let times = |commit: &str| {
            let tree = repository.worktree(commit, &path).unwrap();
            ["same", "other"].map(|file| tree.folder.join(file).metadata().unwrap().modified().unwrap())
        };
        let begin = times(&first);
        let changed = times(&second);
        assert!(changed[0] == begin[0] && changed[1] > begin[1], "{begin:?} {changed:?}");
        assert_eq!(times(&second), changed);
        // What it was before the last time is newer than all that was built since.
        assert!(times(&first)[1] > changed[1]);
    }

    #[test]
    fn files_and_commits_that_are_not_there_and_changes_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let first = commit(&repository, "a", "1");
        assert_eq!(repository.file_at(&first, "a").as_deref(), Some(&b"1"[..]));
        assert_eq!(repository.file_at(&first, "b"), None);
        repository.check_clean().unwrap();
        for name in ["no-such", "--all", "", "HEAD~9"] {
            let error = repository.commit(name).unwrap_err().to_string();
            assert!(error.starts_with(&format!("no commit `{name}` here")), "{error}");
        }
        std::fs::write(folder.path().join("a"), "3").unwrap();
        let error = repository.check_clean().unwrap_err().to_string();
        assert!(error.starts_with("the working tree has changes (a, …)"), "{error}");
    }

    #[test]
    fn a_commit_that_does_not_build_is_told_with_the_end_of_what_cargo_says() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let only = commit(&repository, "a", "1");
        let elsewhere = tempfile::tempdir().unwrap();
        let tree = repository.worktree(&only, &elsewhere.path().join("base")).unwrap();
        let error = tree.build("base", &[], "x", &elsewhere.path().join("target")).unwrap_err().to_string();
        assert!(error.starts_with("base does not build:\n") && error.contains("Cargo.toml"), "{error}");
    }
}
