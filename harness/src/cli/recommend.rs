//! `consensus-bench recommend`: what to change, by the results of a run, its profiles and the history.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{CliError, step_line, store};
use crate::advice::{
    Background, advise, background_of, carry_over, markdown, pair_of, read, text, verify, write,
};
use crate::exit::EXIT_OK;
use crate::output::say;
use crate::results::{Advice, RunResults, ScenarioResult};
use crate::run::Limits;
use crate::store::Store;
use crate::suite::Suite;
use crate::trial::Plan;

#[derive(Args)]
pub(super) struct Recommend {
    /// A run's id, `latest`, a baseline, or a path
    #[arg(default_value = "latest")]
    run: String,
    /// Protocols to advise on, by name; all of the run when none is given
    #[arg(long, value_delimiter = ',')]
    protocol: Vec<String>,
    /// Tries the first so many recommendations that are settings, side by side with what is set now
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "3")]
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
        let store = store();
        let mut all = Advice::default();
        for run in store.load(&self.run).map_err(CliError::NothingToAdvise)?.runs {
            let advice = self.advise_on(suite, &store, &run)?;
            all.recommendations.extend(advice.recommendations);
            all.symptoms.extend(advice.symptoms);
            all.withheld.extend(advice.withheld);
        }
        crate::advice::rank(&mut all.recommendations);
        match self.format {
            AdviceFormat::Text => say!("{}", text(&all)),
            AdviceFormat::Markdown => say!("{}", markdown(&all)),
            AdviceFormat::Json => say!("{}", serde_json::to_string_pretty(&all)?),
        }
        Ok(EXIT_OK)
    }

    /// Advice on one run, which is kept in its folder if it has one.
    fn advise_on(&self, suite: &Suite, store: &Store, run: &RunResults) -> Result<Advice, CliError> {
        let known = |name: &str| suite.get(name).ok().map(|one| one.protocol.descriptor());
        let folder = self.folder_of(store, run);
        let background = match &folder {
            Some(folder) => background_of(folder, run, store),
            None => Background::default(),
        };
        let run = self.of_protocols(suite, run)?;
        let mut advice = advise(&run, known, &background);
        let Some(folder) = folder else {
            self.try_first(suite, &run, &mut advice)?;
            return Ok(advice);
        };
        if let Some(before) = read(&folder)? {
            carry_over(&before, &mut advice);
        }
        self.try_first(suite, &run, &mut advice)?;
        // A part of a run is shown, and not kept as if it were the whole.
        if self.protocol.is_empty() {
            write(&folder, &advice)?;
        }
        Ok(advice)
    }

    /// Tries the first recommendations, if that was asked for.
    fn try_first(&self, suite: &Suite, run: &RunResults, advice: &mut Advice) -> Result<(), CliError> {
        let line = step_line();
        let mut left = self.verify.unwrap_or(0);
        for one in &mut advice.recommendations {
            let measured = |result: &&ScenarioResult| {
                (&result.protocol, &result.scenario.name) == (&one.protocol, &one.scenario)
            };
            let Some(result) = run.results.iter().find(measured).filter(|_| left > 0) else { continue };
            let Some(pair) = pair_of(result, suite, Limits::default()) else { continue };
            line.set_message(format!("trying {} on {}", one.rule, pair.id()));
            if let Some(status) = verify(one, pair, &Plan::default())? {
                one.status = status;
                left -= 1;
            }
        }
        line.finish_and_clear();
        Ok(())
    }

    /// The folder of the run: the one that was named, or that of its id.
    fn folder_of(&self, store: &Store, run: &RunResults) -> Option<PathBuf> {
        let named = PathBuf::from(&self.run);
        let candidates = [named, store.home.join(&run.run_id)];
        candidates.into_iter().find(|folder| folder.join(crate::store::RESULTS_FILE).is_file())
    }

    /// The results of the protocols that were asked for.
    fn of_protocols(&self, suite: &Suite, run: &RunResults) -> Result<RunResults, CliError> {
        let mut run = run.clone();
        for name in &self.protocol {
            if !run.results.iter().any(|result| result.protocol == *name) {
                suite.get(name)?;
                return Err(CliError::NotInRun { protocol: name.clone(), run: run.run_id });
            }
        }
        if !self.protocol.is_empty() {
            run.results.retain(|result| self.protocol.contains(&result.protocol));
        }
        Ok(run)
    }
}
