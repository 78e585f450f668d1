//! `consensus-bench explain`: what a rule of advice means, how it is found, and when it misleads.

use clap::Args;

use super::CliError;
use crate::advice::{page, pages};
use crate::exit::EXIT_OK;
use crate::output::say;

#[derive(Args)]
pub(super) struct Explain {
    /// A rule's name; all are listed when none is given
    rule: Option<String>,
}

impl Explain {
    pub(super) fn run(&self) -> Result<u8, CliError> {
        match &self.rule {
            None => pages().for_each(|(name, summary)| say!("{name:24}{summary}")),
            Some(rule) => {
                let known = || pages().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
                let page =
                    page(rule).ok_or_else(|| CliError::UnknownRule { rule: rule.clone(), known: known() })?;
                say!("{}", page.trim_end());
            }
        }
        Ok(EXIT_OK)
    }
}
