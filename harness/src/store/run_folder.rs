//! A run's folder and its name: the UTC time it started, so that names sort by time.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{RESULTS_FILE, StoreError, folder_error, names_in};
use crate::files;
use crate::results::RunResults;

/// Length of `20261121T114500.123Z`.
const TIME_LENGTH: usize = 20;

/// Runs that may start in one millisecond under one label before we give up on finding a name.
const MOST_AT_ONCE: u32 = 1_000;

/// A folder of its own for one run: results, histograms, reports.
#[derive(Clone, Debug)]
pub struct RunFolder {
    /// The run's id, which is the folder's name.
    pub id: String,
    /// The folder.
    pub path: PathBuf,
    /// When the run started, in seconds since 1970.
    pub started_unix_s: u64,
}

impl RunFolder {
    /// Makes a folder named after the time and a label. Two runs never share one.
    pub(super) fn create(home: &Path, label: &str) -> Result<RunFolder, StoreError> {
        // A clock before 1970 is wrong anyway; the run need not fail for it.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        RunFolder::create_at(home, label, now)
    }

    fn create_at(home: &Path, label: &str, now: Duration) -> Result<RunFolder, StoreError> {
        std::fs::create_dir_all(home).map_err(|source| folder_error("make", home, source))?;
        let first = format!("{}-{}", utc(now), plain_label(label));
        let mut attempt = 1;
        loop {
            let id = if attempt == 1 { first.clone() } else { format!("{first}-{attempt}") };
            let path = home.join(&id);
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(RunFolder { id, path, started_unix_s: now.as_secs() }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < MOST_AT_ONCE => {
                    attempt += 1
                }
                Err(source) => return Err(folder_error("make", &path, source)),
            }
        }
    }

    /// When the run of this id started, to the millisecond; none when it is no run's id.
    pub fn started(id: &str) -> Option<SystemTime> {
        if !is_id(id) {
            return None;
        }
        let (date, time) = id.split_at(8);
        let (date, time) = ([&date[..4], &date[4..6], &date[6..]].join("-"), &time[1..]);
        let time = [&time[..2], &time[2..4], &time[4..11]].join(":");
        humantime::parse_rfc3339(&format!("{date}T{time}")).ok()
    }

    /// Where the results are.
    pub fn results_path(&self) -> PathBuf {
        self.path.join(RESULTS_FILE)
    }

    /// Writes the results so far, whole or not at all.
    pub fn write_results(&self, results: &RunResults) -> Result<(), StoreError> {
        Ok(files::write_results(&self.results_path(), results)?)
    }
}

/// The runs in a folder, oldest first. What is not named like a run is something else's.
pub(super) fn ids_in(home: &Path) -> Result<Vec<String>, StoreError> {
    let mut names = names_in(home)?;
    names.retain(|name| is_id(name));
    Ok(names)
}

/// Whether a name is one that [`RunFolder::create`] gives.
pub(super) fn is_id(name: &str) -> bool {
    let Some((time, label)) = name.split_at_checked(TIME_LENGTH) else { return false };
    let fits = |(expected, c): (char, char)| if expected == '0' { c.is_ascii_digit() } else { c == expected };
    "00000000T000000.000Z".chars().zip(time.chars()).all(fits)
        && label.strip_prefix('-').is_some_and(super::is_plain)
}

/// A label as part of a folder's name: what is not plain becomes `-`.
fn plain_label(label: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let label: String = label.chars().take(60).map(plain).collect();
    if label.is_empty() { "run".into() } else { label }
}

/// `20261121T114500.123Z`: ISO 8601 in its basic form, in milliseconds.
fn utc(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let millis = since_1970.subsec_millis();
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{millis:03}Z")
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
///
/// Howard Hinnant's `civil_from_days`. Years are counted from March, so that the leap day is the
/// last day of its year and every month starts at a fixed day of the year.
fn civil_date(days: u64) -> (u64, u64, u64) {
    // 719,468 days from 0000-03-01 to 1970-01-01; 146,097 days in 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // As `date -u -d @SECONDS` says.
        for (seconds, millis, expected) in [
            (0, 0, "19700101T000000.000Z"),
            (951_782_399, 999, "20000228T235959.999Z"),
            (951_782_400, 0, "20000229T000000.000Z"),
            (951_868_800, 1, "20000301T000000.001Z"),
            (1_709_164_800, 0, "20240229T000000.000Z"),
            (1_735_689_599, 0, "20241231T235959.000Z"),
            (1_795_261_500, 123, "20261121T114500.123Z"),
            (4_107_542_400, 0, "21000301T000000.000Z"),
        ] {
            assert_eq!(utc(Duration::new(seconds, millis * 1_000_000)), expected);
        }
    }

    #[test]
    fn runs_that_start_in_the_same_millisecond_get_folders_of_their_own() {
        let home = tempfile::tempdir().unwrap();
        let now = Duration::from_millis(1_795_261_500_123);
        let create = || RunFolder::create_at(&home.path().join("new"), "low load/../x", now).unwrap();
        let (first, second, third) = (create(), create(), create());
        assert_eq!(first.id, "20261121T114500.123Z-low-load----x");
        assert_eq!(second.id, "20261121T114500.123Z-low-load----x-2");
        assert_eq!(third.started_unix_s, 1_795_261_500);
        assert_eq!(ids_in(&home.path().join("new")).unwrap(), [first.id, second.id, third.id]);
    }

    #[test]
    fn other_folders_are_no_runs() {
        for name in [
            "baselines",
            "20261121T114500.123Z",
            "20261121T114500.123Z-",
            "20261121-x",
            "20261121T114500.123Z-a/b",
        ] {
            assert!(!is_id(name), "{name}");
        }
        assert!(is_id("20261121T114500.123Z-quick"));
        let made = RunFolder::started("20261121T114500.123Z-quick").unwrap();
        assert_eq!(made.duration_since(UNIX_EPOCH).unwrap(), Duration::from_millis(1_795_261_500_123));
        assert_eq!(RunFolder::started("20261399T114500.123Z-quick"), None);
        assert_eq!(RunFolder::started("report"), None);
    }

    proptest! {
        #[test]
        fn every_day_is_followed_by_the_next(day in 0u64..3_000_000) {
            let ((y, m, d), next) = (civil_date(day), civil_date(day + 1));
            let leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
            let last = match m { 4 | 6 | 9 | 11 => 30, 2 if leap => 29, 2 => 28, _ => 31 };
            let expected = if d < last { (y, m, d + 1) } else if m < 12 { (y, m + 1, 1) } else { (y + 1, 1, 1) };
            prop_assert_eq!(next, expected);
        }

        #[test]
        fn no_label_makes_a_name_that_is_not_a_runs(label in any::<String>()) {
            let id = format!("{}-{}", utc(Duration::ZERO), plain_label(&label));
            prop_assert!(is_id(&id));
        }

        #[test]
        fn no_name_makes_the_check_panic(name in any::<String>()) {
            is_id(&name);
        }
    }
}
