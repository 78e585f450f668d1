//! What tuning found, as people read it.

use std::fmt::{Display, Formatter};

use super::{Changed, Finalist, Tuning};
use crate::trial::{SettingValues, Verdict};

impl Display for Tuning {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let target = self.target.as_ref().map_or_else(String::new, |target| format!(", {target}"));
        let (goal, load, place) = (self.goal.name(), &self.load, &self.place);
        writeln!(f, "{}/{}: {goal}{target}, {load}; {place}", self.scenario, self.protocol)?;
        writeln!(f, "  searched {} in {}", self.tunables.join(", "), self.searched_in)?;
        write!(f, "  {} trials in {} blocks", self.trials, self.blocks)?;
        if self.pruned + self.failed > 0 {
            write!(f, " ({} given up early, {} did not serve)", self.pruned, self.failed)?;
        }
        match self.known {
            0 => writeln!(f, "; nothing known from earlier")?,
            known => writeln!(f, "; started from {known} trials of earlier tunings")?,
        }
        if !self.dropped.is_empty() {
            writeln!(f, "  made no difference, and is left as it is: {}", self.dropped.join(", "))?;
        }
        for finalist in &self.finalists {
            writeln!(f, "  side by side: {}", in_words(finalist))?;
        }
        let missed = self.target.as_ref().zip(self.now_p99_ns);
        if let Some((target, p99_ns)) = missed {
            writeln!(f, "  what is set now misses {target}: p99 is {:.3} ms", p99_ns / 1e6)?;
        }
        match (&self.best, &self.stands) {
            (Some(best), _) => match missed {
                Some((target, _)) => writeln!(f, "Holds {target}, on fresh blocks: {}", in_words(best))?,
                None => writeln!(f, "Better, on fresh blocks: {}", in_words(best))?,
            },
            (None, Some(why)) => writeln!(f, "The default stands: {why}.")?,
            (None, None) => writeln!(f, "The default stands.")?,
        }
        for what in &self.disturbed {
            writeln!(f, "  * disturbed {what} (pairs share it, and it widens the interval)")?;
        }
        Ok(())
    }
}

impl Tuning {
    /// All that is set with a finalist: what was set before, and what it changes.
    pub fn settings_with(&self, finalist: &Finalist) -> SettingValues {
        let mut settings = self.settings.clone();
        settings.extend(finalist.changes.iter().map(|change| (change.name.clone(), change.to)));
        settings
    }

    /// The command that runs the scenario with settings.
    pub fn command(&self, finalist: &Finalist) -> String {
        let settings = self.settings_with(finalist);
        let set: String = settings.iter().map(|(name, value)| format!(" --set {name}={value}")).collect();
        format!("cargo consensus-bench run --protocol {} --scenario {}{set}", self.protocol, self.scenario)
    }
}

fn in_words(finalist: &Finalist) -> String {
    let changes: Vec<String> =
        finalist.changes.iter().map(|Changed { name, from, to }| format!("{name} {from} → {to}")).collect();
    let effect = finalist.effect.as_ref().map_or_else(String::new, |effect| {
        format!(
            ": {} × {:.3} [{:.3}, {:.3}], {}",
            effect.metric, effect.ratio, effect.lower, effect.upper, effect.basis
        )
    });
    let expected = finalist.expected.map_or_else(String::new, |ratio| format!(" (expected × {ratio:.3})"));
    let refused = match &finalist.verdict {
        Verdict::Refused { reason } => format!(" (refused: {reason})"),
        _ => String::new(),
    };
    format!("{}{effect}{expected}{refused}", changes.join(", "))
}
