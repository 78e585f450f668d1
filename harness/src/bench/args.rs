//! The flags that Criterion and the harness share. Criterion checks them and explains them; this
//! reads what the harness must obey too.

use regex::Regex;

use crate::exit::EXIT_USAGE;

/// Criterion's flags that take a value, so that a value is not taken for the filter.
const WITH_VALUE: [&str; 18] = [
    "-b",
    "-c",
    "-s",
    "--baseline",
    "--baseline-lenient",
    "--color",
    "--confidence-level",
    "--format",
    "--load-baseline",
    "--measurement-time",
    "--noise-threshold",
    "--nresamples",
    "--output-format",
    "--plotting-backend",
    "--profile-time",
    "--sample-size",
    "--save-baseline",
    "--significance-level",
];
const WITH_VALUE_TOO: &str = "--warm-up-time";

/// What the harness obeys of a bench target's command line.
#[derive(Clone, Debug, Default)]
pub struct BenchArgs {
    /// Only benchmarks whose id matches run.
    pub filter: Option<Regex>,
    /// The filter is the whole id.
    pub exact: Option<String>,
    /// Keep the results under this name.
    pub save_baseline: Option<String>,
    /// Compare with the results of this name.
    pub baseline: Option<String>,
    /// A baseline that is missing is no error.
    pub lenient: bool,
    /// Run everything once, and briefly.
    pub test: bool,
    /// Only name the benchmarks.
    pub list: bool,
    /// Only profile, for Criterion's own benchmarks.
    pub profile: bool,
}

impl BenchArgs {
    /// Reads this process's flags; ends it with an explanation when they are wrong.
    pub fn from_env() -> Self {
        Self::parse(std::env::args().skip(1)).unwrap_or_else(|error| {
            eprintln!("error: {error}");
            std::process::exit(i32::from(EXIT_USAGE))
        })
    }

    /// Reads the flags of a bench target, without the program's name.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, regex::Error> {
        let (mut args, mut filter, mut exact, mut bench) = (BenchArgs::default(), None, false, false);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (flag, mut value) = match argument.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag.to_string(), Some(value.to_string())),
                _ => (argument, None),
            };
            let takes_value = WITH_VALUE.contains(&flag.as_str()) || flag == WITH_VALUE_TOO;
            if takes_value && value.is_none() {
                value = arguments.next();
            }
            match flag.as_str() {
                "-s" | "--save-baseline" => args.save_baseline = value,
                "-b" | "--baseline" => args.baseline = value,
                "--baseline-lenient" => (args.baseline, args.lenient) = (value, true),
                "--profile-time" => args.profile = true,
                "--test" => args.test = true,
                "--list" => args.list = true,
                "--exact" => exact = true,
                "--bench" => bench = true,
                _ if flag.starts_with('-') => {}
                _ => filter = Some(flag),
            }
        }
        // `cargo test` runs bench targets without `--bench`; Criterion then tests them as well.
        args.test |= !bench;
        match filter {
            Some(id) if exact => args.exact = Some(id),
            Some(pattern) => args.filter = Some(Regex::new(&pattern)?),
            None => {}
        }
        Ok(args)
    }

    /// Whether a benchmark is asked for.
    pub fn wants(&self, id: &str) -> bool {
        let exact = self.exact.as_deref().is_none_or(|exact| exact == id);
        exact && self.filter.as_ref().is_none_or(|filter| filter.is_match(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> BenchArgs {
        BenchArgs::parse(line.split_whitespace().map(String::from)).unwrap()
    }

    #[test]
    fn values_of_flags_are_not_taken_for_the_filter() {
        let args = parse("--sample-size 10 --save-baseline main openraft --warm-up-time=1 --bench");
        assert_eq!(args.save_baseline.as_deref(), Some("main"));
        assert!(args.wants("high_load/openraft/open_loop") && !args.wants("high_load/raft-rs/open_loop"));
        assert!(!args.test);
    }

    #[test]
    fn a_target_run_by_cargo_test_is_in_test_mode() {
        assert!(parse("").test && parse("--test --bench").test);
        assert!(parse("--bench --list").list);
    }

    #[test]
    fn an_exact_filter_is_the_whole_id() {
        let args = parse("--bench --exact commit/raft-rs");
        assert!(args.wants("commit/raft-rs") && !args.wants("commit/raft-rs/clients=1"));
    }
}
