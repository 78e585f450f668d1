//! The files of a profile: written together into a folder, and found again.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::difference::scale;
use super::flame_graph::{Labels, difference_graph, flame_graph};
use super::{
    Attribution, FEWEST_SAMPLES, FlameGraphError, Folded, FoldedError, HeapProfileError, Measured, Samples,
    SamplingError,
};
use crate::files::{FileError, write_atomically};
use crate::run::RunError;
use crate::store::Store;

/// The folder of a profile within that of its run.
pub const PROFILE_FOLDER: &str = "profile";

const ATTRIBUTION: &str = "profile.json";
const ENCODED: &str = "profile.pb";
const FOLDED: &str = "stacks.folded";
const FLAME_GRAPH: &str = "flamegraph.svg";

/// Why there is no profile.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// The load did not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Nothing was sampled.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// The heap was not watched.
    #[error(transparent)]
    Heap(#[from] HeapProfileError),
    /// A file was not written or not understood.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder can't be made.
    #[error("{}: can't make this folder: {source}", path.display())]
    Folder {
        /// Folder.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The stacks can't be read.
    #[error("{}: no collapsed stacks: {source}", path.display())]
    Folded {
        /// File.
        path: PathBuf,
        /// What and where.
        source: FoldedError,
    },
    /// The graph was not drawn.
    #[error(transparent)]
    FlameGraph(#[from] FlameGraphError),
    /// Shares of so few samples say nothing.
    #[error(
        "{what}: {samples} samples in {cpu_s:.2} CPU seconds are too few, {FEWEST_SAMPLES} are needed: profile for \
         longer, or under more load"
    )]
    TooFew {
        /// Which profile.
        what: String,
        /// Samples.
        samples: u64,
        /// CPU time, in seconds.
        cpu_s: f64,
    },
    /// Neither a path nor a run with a profile.
    #[error(
        "`{reference}` is no profile: neither a {ATTRIBUTION}, nor a folder or a run with one; \
         `cargo consensus-bench profile SCENARIO PROTOCOL` makes one"
    )]
    Unknown {
        /// Asked for.
        reference: String,
    },
}

/// A folder with a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileFiles {
    /// The folder.
    pub folder: PathBuf,
}

impl ProfileFiles {
    /// Writes all files of a profile; the folder is made. A profile of too few samples is refused.
    pub fn write(
        folder: &Path,
        samples: &Samples,
        attribution: &Attribution,
    ) -> Result<ProfileFiles, ProfileError> {
        enough(attribution, &attribution.name())?;
        std::fs::create_dir_all(folder)
            .map_err(|source| ProfileError::Folder { path: folder.into(), source })?;
        let files = ProfileFiles { folder: folder.into() };
        let folded = Folded::of(&samples.stacks);
        let title = attribution.name();
        let facts = &attribution.sampling;
        let subtitle = match facts.cpu_s {
            Some(cpu_s) => format!("{} samples of {cpu_s:.2} CPU seconds", facts.samples),
            None => format!("{} samples", facts.samples),
        };
        let labels = Labels { title: &title, subtitle: &subtitle, unit: "samples" };
        write_atomically(&files.flame_graph(), &flame_graph(&folded, &labels)?)?;
        write_atomically(&files.folder.join(ENCODED), &samples.encoded)?;
        write_atomically(&files.folder.join(FOLDED), folded.text().as_bytes())?;
        attribution.write(&files.attribution_path())?;
        Ok(files)
    }

    /// Finds a profile by a path (of its `profile.json`, its folder or its run's folder), a run's id, or
    /// `latest`; the first that fits, in this order.
    pub fn find(reference: &str, store: &Store) -> Result<ProfileFiles, ProfileError> {
        let path = Path::new(reference);
        let in_run = || store.home.join(reference).join(PROFILE_FOLDER);
        let candidates = [
            path.file_name().filter(|name| *name == ATTRIBUTION).and(path.parent()).map(Path::to_path_buf),
            Some(path.to_path_buf()),
            Some(path.join(PROFILE_FOLDER)),
            Store::is_run(reference).then(in_run),
            (reference == "latest")
                .then(|| ProfileFiles::all(store).next())
                .flatten()
                .map(|latest| latest.folder),
        ];
        let found = candidates.into_iter().flatten().find(|folder| folder.join(ATTRIBUTION).is_file());
        // A file of another name is told by what is wrong in it.
        let file = || path.is_file().then(|| Attribution::read(path));
        match (found, reference.is_empty()) {
            (Some(folder), false) => Ok(ProfileFiles { folder }),
            _ => match file() {
                Some(Err(error)) => Err(error.into()),
                _ => Err(ProfileError::Unknown { reference: reference.into() }),
            },
        }
    }

    /// The profiles of all runs, the newest first.
    pub fn all(store: &Store) -> impl Iterator<Item = ProfileFiles> {
        let paths = store.files_of_runs(&Path::new(PROFILE_FOLDER).join(ATTRIBUTION));
        paths.into_iter().filter_map(|path| Some(ProfileFiles { folder: path.parent()?.into() }))
    }

    /// Draws what differs from an earlier profile, in the unit of `measured`, as SVG.
    pub fn draw_difference(
        &self,
        before: &ProfileFiles,
        measured: Measured,
    ) -> Result<Vec<u8>, ProfileError> {
        let weighed = |files: &ProfileFiles| -> Result<Folded, ProfileError> {
            Ok(files.folded()?.scaled(scale(&files.attribution()?, measured)))
        };
        let (from, to) = (before.attribution()?.name(), self.attribution()?.name());
        let title = if from == to { to } else { format!("from {from} to {to}") };
        let labels = Labels {
            title: &title,
            subtitle: "as wide as in the second; red grew, blue shrank",
            unit: match measured {
                Measured::NsPerCommit => "ns per 1,000 commits",
                Measured::Share => "ppm of the CPU time",
            },
        };
        Ok(difference_graph(&weighed(before)?, &weighed(self)?, &labels)?)
    }

    /// The numbers; refused when they are of too few samples.
    pub fn attribution(&self) -> Result<Attribution, ProfileError> {
        let path = self.attribution_path();
        let attribution = Attribution::read(&path)?;
        enough(&attribution, &path.display().to_string())?;
        Ok(attribution)
    }

    /// The collapsed stacks.
    pub fn folded(&self) -> Result<Folded, ProfileError> {
        let path = self.folder.join(FOLDED);
        let text = std::fs::read_to_string(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => FileError::Missing { path: path.clone() },
            _ => FileError::Unreadable { path: path.clone(), source },
        })?;
        Folded::parse(&text).map_err(|source| ProfileError::Folded { path, source })
    }

    /// Where the numbers are.
    pub fn attribution_path(&self) -> PathBuf {
        self.folder.join(ATTRIBUTION)
    }

    /// Where the flame graph is.
    pub fn flame_graph(&self) -> PathBuf {
        self.folder.join(FLAME_GRAPH)
    }

    /// Names of all files, as one line.
    pub fn names() -> String {
        [ATTRIBUTION, ENCODED, FOLDED, FLAME_GRAPH].join(", ")
    }
}

fn enough(attribution: &Attribution, what: &str) -> Result<(), ProfileError> {
    let facts = &attribution.sampling;
    if facts.samples >= FEWEST_SAMPLES {
        return Ok(());
    }
    Err(ProfileError::TooFew { what: what.into(), samples: facts.samples, cpu_s: facts.cpu_s.unwrap_or(0.0) })
}

#[cfg(test)]
mod tests {
    use super::super::{Frame, Profiled, Stack, attribute};
    use super::*;

    fn samples(count: u64) -> Samples {
        let frame = Frame { function: "raft::step".into(), file: String::new() };
        Samples {
            stacks: vec![Stack { thread: "cluster".into(), frames: vec![frame], samples: count }],
            asked_per_s: 997.0,
            cpu_s: Some(1.0),
            wall_s: 1.0,
            encoded: b"pb".to_vec(),
            ..Samples::default()
        }
    }

    fn write(folder: &Path, count: u64) -> Result<ProfileFiles, ProfileError> {
        let samples = samples(count);
        ProfileFiles::write(folder, &samples, &attribute(&samples, Profiled::default(), None))
    }

    #[test]
    fn a_profile_is_found_by_its_file_its_folder_its_run_and_as_the_latest() {
        let home = tempfile::tempdir().unwrap();
        let store = Store { home: home.path().into(), committed: None, fingerprint: "x".into() };
        let run = store.create_run("profile").unwrap();
        let folder = run.path.join(PROFILE_FOLDER);
        let files = write(&folder, 300).unwrap();
        // A later run without one is no obstacle.
        store.create_run("run").unwrap();
        for reference in [
            files.attribution_path().display().to_string(),
            folder.display().to_string(),
            run.path.display().to_string(),
            run.id,
            "latest".into(),
        ] {
            assert_eq!(ProfileFiles::find(&reference, &store).unwrap(), files, "{reference}");
        }
        assert_eq!(files.folded().unwrap().samples(), 300);
        assert_eq!(files.attribution().unwrap().sampling.samples, 300);
        for name in ProfileFiles::names().split(", ") {
            assert!(folder.join(name).is_file(), "{name}");
        }
    }

    #[test]
    fn what_is_no_profile_is_told_in_one_line() {
        let home = tempfile::tempdir().unwrap();
        let store = Store { home: home.path().into(), committed: None, fingerprint: "x".into() };
        let text = home.path().join("notes.txt");
        std::fs::write(&text, "hello").unwrap();
        for (reference, expected) in [
            ("", "`` is no profile"),
            ("latest", "`latest` is no profile"),
            ("nowhere", "nor a folder or a run with one"),
            (text.to_str().unwrap(), "notes.txt: not JSON"),
        ] {
            let error = ProfileFiles::find(reference, &store).unwrap_err().to_string();
            assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
        }
        let few = write(&home.path().join("few"), 12).unwrap_err().to_string();
        assert!(few.contains("12 samples in 1.00 CPU seconds are too few, 100 are needed"), "{few}");
        assert!(!home.path().join("few").exists());
    }
}
