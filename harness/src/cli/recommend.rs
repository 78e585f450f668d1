//! `consensus-bench recommend`: what to change, by the results of a run, its profiles and the history.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{CliError, step_line, store};
use crate::advice::{
    Background, advise, background_of, carry_over, markdown, pair_of, rank, read, text, verify, write,
};
use crate::bench::newest_runs;
use crate::exit::EXIT_OK;
use crate::interrupt;
use crate::output::say;
use crate::results::{Advice, RunResults, ScenarioResult};
use crate::run::Limits;
use crate::store::Store;
use crate::suite::Suite;
use crate::trial::{Plan, TrialError};

#[derive(Args)]
pub(super) struct Recommend {
    /// A run's id, `latest`, a baseline, or a path; when none is given the newest run, with all targets of the
    /// `cargo bench` that it is a part of
    run: Option<String>,
    /// Protocols to advise on, by name; all of the run when none is given
    #[arg(long, value_delimiter = ',')]
    protocol: Vec<String>,
    /// Tries the first so many recommendations that are settings, or 3, side by side with what is set now
    ///
    /// Each is tried in the place, of the size and under the load that it is about. What came of it is kept with the
    /// run after each trial, and told in later advice.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "3")]
    verify: Option<usize>,
    /// How to print
    #[arg(long, value_enum, default_value_t = AdviceFormat::Text)]
    format: AdviceFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AdviceFormat {
    /// A ranked list
    Text,
    /// For machines
    Json,
    /// For a page or a comment
    Markdown,
}

impl Recommend {
    pub(super) fn run(&self, suite: &Suite) -> Result<u8, CliError> {
        if self.verify.is_some()
            && let Err(error) = interrupt::listen()
        {
            eprintln!("Ctrl-C will lose the trial that runs, and print nothing: {error}");
        }
        let store = store();
        let mut all = Advice::default();
        // What ends the trials does not take with it what is known by then.
        let mut tried = Ok(());
        for (run, folder) in self.runs(suite, &store)? {
            let advice = self.advise_on(suite, &store, &run, folder, &mut tried)?;
            all.recommendations.extend(advice.recommendations);
            all.symptoms.extend(advice.symptoms);
            all.withheld.extend(advice.withheld);
        }
        all.recommendations.retain(|one| self.is_asked_for(&one.protocol));
        all.symptoms.retain(|one| self.is_asked_for(&one.protocol));
        all.withheld.retain(|one| self.is_asked_for(&one.protocol));
        rank(&mut all.recommendations);
        match self.format {
            AdviceFormat::Text => say!("{}", text(&all)),
            AdviceFormat::Markdown => say!("{}", markdown(&all)),
            AdviceFormat::Json => say!("{}", serde_json::to_string_pretty(&all)?),
        }
        match tried {
            Err(CliError::Trial(TrialError::Interrupted)) => Ok(interrupt::EXIT_INTERRUPTED),
            tried => tried.map(|()| EXIT_OK),
        }
    }

    /// Advice on all of one run, which is kept in its folder if it has one: before anything is tried, and after each
    /// trial.
    fn advise_on(
        &self,
        suite: &Suite,
        store: &Store,
        run: &RunResults,
        folder: Option<PathBuf>,
        tried: &mut Result<(), CliError>,
    ) -> Result<Advice, CliError> {
        let known = |name: &str| suite.get(name).ok().map(|one| one.protocol.descriptor());
        let background = match &folder {
            Some(folder) => background_of(folder, run, store),
            None => Background::default(),
        };
        let mut advice = advise(run, known, &background);
        if let Some(before) = folder.as_deref().map(read).transpose()?.flatten() {
            carry_over(&before, &mut advice);
        }
        let keep = |advice: &Advice| match &folder {
            Some(folder) => write(folder, advice).map_err(CliError::from),
            None => Ok(()),
        };
        keep(&advice)?;
        if tried.is_ok() {
            *tried = self.try_first(suite, run, &mut advice, keep);
        }
        Ok(advice)
    }

    /// Tries the first recommendations, if that was asked for.
    fn try_first(
        &self,
        suite: &Suite,
        run: &RunResults,
        advice: &mut Advice,
        keep: impl Fn(&Advice) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let line = step_line();
        let mut left = self.verify.unwrap_or(0);
        for index in 0..advice.recommendations.len() {
            let one = &advice.recommendations[index];
            let measured = |result: &&ScenarioResult| {
                (&result.protocol, &result.scenario.name) == (&one.protocol, &one.scenario)
            };
            let is_next = left > 0 && self.is_asked_for(&one.protocol);
            let Some(result) = run.results.iter().find(measured).filter(|_| is_next) else { continue };
            let Some(pair) = pair_of(result, one.cell.as_ref(), suite, Limits::default()) else { continue };
            line.set_message(format!("trying {} on {}", one.rule, pair.id()));
            let status = verify(one, pair, &Plan::default())?;
            if interrupt::requested() {
                // Its last block was cut short.
                return Err(TrialError::Interrupted.into());
            }
            if let Some(status) = status {
                advice.recommendations[index].status = status;
                keep(advice)?;
                left -= 1;
            }
        }
        line.finish_and_clear();
        Ok(())
    }

    fn is_asked_for(&self, protocol: &String) -> bool {
        self.protocol.is_empty() || self.protocol.contains(protocol)
    }

    /// What to advise on: the runs with results of protocols that were asked for, each of which one of them has; with
    /// their folders, where there are some.
    fn runs(&self, suite: &Suite, store: &Store) -> Result<Vec<(RunResults, Option<PathBuf>)>, CliError> {
        let named = self.run.clone().map_or_else(|| newest_runs(store), |run| vec![run]);
        let mut runs = Vec::new();
        for run in &named {
            let (found, folder) = store.locate(run).map_err(CliError::NothingToAdvise)?;
            let with_folder = |run: RunResults| {
                let folder = folder.clone().or_else(|| store.folder_of(&run));
                (run, folder)
            };
            runs.extend(found.runs.into_iter().map(with_folder));
        }
        let has = |run: &RunResults, name: &String| run.results.iter().any(|one| one.protocol == *name);
        if let Some(absent) = self.protocol.iter().find(|name| !runs.iter().any(|(run, _)| has(run, name))) {
            suite.get(absent)?;
            return Err(CliError::NotInRun { protocol: absent.clone(), run: named.join(", ") });
        }
        runs.retain(|(run, _)| self.protocol.is_empty() || self.protocol.iter().any(|name| has(run, name)));
        Ok(runs)
    }
}
