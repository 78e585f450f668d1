//! `consensus-bench history`: what earlier runs measured.

mod text;
mod trend;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use thiserror::Error;

use super::{Format, store};
use crate::exit::{EXIT_OK, EXIT_TOOL, EXIT_USAGE};
use crate::files::{self, FileError};
use crate::history::{
    DEFAULT_RETENTION, EntryId, ExportFormat, Filter, History, HistoryError, Prune, Pruned, before,
    check_namespace, now_unix_ms,
};
use crate::output::say;

#[derive(Subcommand)]
pub(super) enum HistoryCommand {
    /// Lists entries, newest first
    #[command(after_help = "Example: cargo consensus-bench history list --namespace default --limit 10")]
    List {
        #[command(flatten)]
        filters: Filters,
        /// Entries to list, at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Shows an entry: its table, and all its metrics with their intervals
    #[command(after_help = "Example: cargo consensus-bench history show 12")]
    Show {
        /// Which entry, by the id that `list` shows
        id: String,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Shows a metric over time, oldest first
    #[command(after_help = "Example: cargo consensus-bench history query --metric response_ns_p99 \
                            --protocol raft-rs --scenario high_load --since 7d")]
    Query {
        /// Which metric, by the name that `show` gives
        #[arg(long)]
        metric: String,
        #[command(flatten)]
        filters: Filters,
        /// Entries to show, at most: the newest; all when not given
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        limit: Option<u32>,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Shows where metrics changed their level over many runs, the worst change first
    #[command(
        after_help = "Examples: cargo consensus-bench history trend, cargo consensus-bench history trend \
                            --metric response_ns_p99 --protocol raft-rs --scenario high_load"
    )]
    Trend(trend::TrendArguments),
    /// Removes entries and trials of `tune` that have expired, or that are older than an age; never pinned entries
    #[command(after_help = "Example: cargo consensus-bench history prune --older-than 30d --dry-run")]
    Prune {
        /// Removes what was recorded longer ago, expired or not: 30d, 12h
        #[arg(long, value_name = "AGE")]
        older_than: Option<String>,
        /// Only says how many would go
        #[arg(long)]
        dry_run: bool,
    },
    /// Keeps an entry for good
    #[command(after_help = "Example: cargo consensus-bench history pin 12")]
    Pin {
        /// Which entry, by the id that `list` shows
        id: String,
    },
    /// Lets an entry expire again
    #[command(after_help = "Example: cargo consensus-bench history unpin 12 --keep-for 30d")]
    Unpin {
        /// Which entry, by the id that `list` shows
        id: String,
        /// How long it is kept from now on; 90d when not given
        #[arg(long, value_name = "AGE")]
        keep_for: Option<String>,
    },
    /// Lists what `tune` tried, newest first
    #[command(after_help = "Example: cargo consensus-bench history trials --protocol raft-rs --limit 20")]
    Trials {
        /// Only trials of this protocol
        #[arg(long, value_name = "NAME")]
        protocol: Option<String>,
        /// Only trials of this scenario
        #[arg(long, value_name = "NAME")]
        scenario: Option<String>,
        /// Trials to list, at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Writes entries for other programs, oldest first
    #[command(after_help = "Example: cargo consensus-bench history export --format csv --output history.csv")]
    Export {
        /// What to write
        #[arg(long, visible_alias = "to", value_enum, default_value_t = ExportFormat::Json)]
        format: ExportFormat,
        /// Where to; standard output when not given
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        filters: Filters,
        /// Entries to write, at most: the newest; all when not given
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        limit: Option<u32>,
    },
}

#[derive(clap::Args)]
pub(super) struct Filters {
    /// Only entries of this namespace
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Only entries of this protocol
    #[arg(long, value_name = "NAME")]
    protocol: Option<String>,
    /// Only entries of this scenario
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// Only entries recorded since then: 7d, 12h
    #[arg(long, value_name = "AGE")]
    since: Option<String>,
}

/// Why a question to the history has no answer.
#[derive(Debug, Error)]
pub(super) enum HistoryCommandError {
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error("`{flag} {text}` is no age: write a number with its unit, as in 7d, 12h or 30min")]
    Age { flag: &'static str, text: String },
    #[error("no run was recorded yet ({} is not there); `cargo consensus-bench run` records one", path.display())]
    NothingRecorded { path: PathBuf },
    #[error("{0}")]
    NoMatch(String),
    #[error("`--significance {0}` is outside 0.001 to 0.1")]
    Significance(f64),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("history as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl HistoryCommandError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            HistoryCommandError::File(_)
            | HistoryCommandError::Json(_)
            | HistoryCommandError::History(
                HistoryError::Folder { .. }
                | HistoryError::Busy { .. }
                | HistoryError::Database { .. }
                | HistoryError::Json(_)
                | HistoryError::Csv(_),
            ) => EXIT_TOOL,
            _ => EXIT_USAGE,
        }
    }
}

pub(super) fn run(command: HistoryCommand) -> Result<u8, HistoryCommandError> {
    match command {
        HistoryCommand::List { filters, limit, format } => list(&filters.filter(Some(limit))?, format)?,
        HistoryCommand::Show { id, format } => show(id.parse()?, format)?,
        HistoryCommand::Query { metric, filters, limit, format } => {
            query(&metric, &filters.filter(limit)?, format)?;
        }
        HistoryCommand::Trend(arguments) => trend::run(&arguments)?,
        HistoryCommand::Prune { older_than, dry_run } => prune(older_than.as_deref(), dry_run)?,
        HistoryCommand::Pin { id } => {
            let id: EntryId = id.parse()?;
            recorded()?.pin(id)?;
            say!("entry {id} is kept until it is unpinned");
        }
        HistoryCommand::Unpin { id, keep_for } => unpin(id.parse()?, keep_for.as_deref())?,
        HistoryCommand::Trials { protocol, scenario, limit, format } => {
            trials(&Filter { protocol, scenario, limit: Some(limit), ..Filter::default() }, format)?;
        }
        HistoryCommand::Export { format, output, filters, limit } => {
            export(&filters.filter(limit)?, format, output.as_deref())?;
        }
    }
    Ok(EXIT_OK)
}

impl Filters {
    fn filter(&self, limit: Option<u32>) -> Result<Filter, HistoryCommandError> {
        self.namespace.as_deref().map_or(Ok(()), check_namespace)?;
        let since = self.since.as_deref().map(|text| age("--since", text)).transpose()?;
        Ok(Filter {
            namespace: self.namespace.clone(),
            protocol: self.protocol.clone(),
            scenario: self.scenario.clone(),
            since_unix_ms: since.map(|age| before(now_unix_ms(), age)),
            limit,
        })
    }
}

fn list(filter: &Filter, format: Format) -> Result<(), HistoryCommandError> {
    let path = store().history_path();
    let Some(history) = History::open_existing(&path)? else {
        // Nothing is a list too, and a program that reads one gets one.
        match format {
            Format::Text => say!("{}", HistoryCommandError::NothingRecorded { path }),
            Format::Json => say!("[]"),
        }
        return Ok(());
    };
    // One more than is shown tells whether there are more.
    let shown = filter.limit.map_or(usize::MAX, |limit| limit as usize);
    let one_more = Filter { limit: filter.limit.map(|limit| limit.saturating_add(1)), ..filter.clone() };
    let mut entries = history.list(&one_more)?;
    let has_more = entries.len() > shown;
    entries.truncate(shown);
    match format {
        Format::Json => say!("{}", serde_json::to_string_pretty(&entries)?),
        Format::Text if entries.is_empty() => say!("{}", no_match(&history)?),
        Format::Text => {
            say!("{}", text::list(&entries, now_unix_ms()));
            if has_more {
                say!("There are older ones: `--limit N` shows more than {shown}");
            }
        }
    }
    Ok(())
}

fn trials(filter: &Filter, format: Format) -> Result<(), HistoryCommandError> {
    let found = recorded()?.trials(filter)?;
    match format {
        Format::Json => say!("{}", serde_json::to_string_pretty(&found)?),
        Format::Text if found.is_empty() => say!("no trial matches; `cargo consensus-bench tune` makes some"),
        Format::Text => say!("{}", text::trials(&found)),
    }
    Ok(())
}

fn show(id: EntryId, format: Format) -> Result<(), HistoryCommandError> {
    let entry = recorded()?.get(id)?;
    match format {
        Format::Text => say!("{}", text::entry(&entry, now_unix_ms())),
        Format::Json => say!("{}", serde_json::to_string_pretty(&entry)?),
    }
    Ok(())
}

fn query(metric: &str, filter: &Filter, format: Format) -> Result<(), HistoryCommandError> {
    let history = recorded()?;
    let points = history.query(metric, filter)?;
    match format {
        Format::Json => say!("{}", serde_json::to_string_pretty(&points)?),
        Format::Text if points.is_empty() => say!("{}", no_match(&history)?),
        Format::Text => say!("{}", text::points(&points)),
    }
    Ok(())
}

fn prune(older_than: Option<&str>, dry_run: bool) -> Result<(), HistoryCommandError> {
    let what = match older_than {
        Some(text) => Prune::OlderThan(age("--older-than", text)?),
        None => Prune::Expired,
    };
    let mut history = recorded()?;
    let (verb, Pruned { entries, trials }) = match dry_run {
        true => ("would be removed", history.would_prune(what)?),
        false => ("removed", history.prune(what)?),
    };
    let entries = format!("{entries} {}", if entries == 1 { "entry" } else { "entries" });
    let trials = format!("{trials} {} of `tune`", if trials == 1 { "trial" } else { "trials" });
    say!("{entries} and {trials} {verb}");
    Ok(())
}

fn unpin(id: EntryId, keep_for: Option<&str>) -> Result<(), HistoryCommandError> {
    let keep_for = keep_for.map_or(Ok(DEFAULT_RETENTION), |text| age("--keep-for", text))?;
    recorded()?.unpin(id, keep_for)?;
    say!("entry {id} expires in {}", humantime::format_duration(keep_for));
    Ok(())
}

fn export(filter: &Filter, format: ExportFormat, output: Option<&Path>) -> Result<(), HistoryCommandError> {
    let text = recorded()?.export(filter, format)?;
    match output {
        Some(path) => files::write_atomically(path, format!("{text}\n").as_bytes())?,
        None => say!("{text}"),
    }
    Ok(())
}

/// The history of this store, which must be there.
fn recorded() -> Result<History, HistoryCommandError> {
    let path = store().history_path();
    History::open_existing(&path)?.ok_or(HistoryCommandError::NothingRecorded { path })
}

pub(super) fn age(flag: &'static str, text: &str) -> Result<Duration, HistoryCommandError> {
    humantime::parse_duration(text).map_err(|_| HistoryCommandError::Age { flag, text: text.into() })
}

/// What there is, when what was asked for is not.
fn no_match(history: &History) -> Result<String, HistoryError> {
    let (namespaces, protocols, scenarios) =
        (history.namespaces()?, history.protocols()?, history.scenarios()?);
    if namespaces.is_empty() {
        return Ok("the history is empty; `cargo consensus-bench run` records results".into());
    }
    Ok(format!(
        "no entry matches; there are: namespaces {}; protocols {}; scenarios {}",
        namespaces.join(", "),
        protocols.join(", "),
        scenarios.join(", ")
    ))
}
