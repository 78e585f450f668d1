//! A report as JSON, and read back from it. Its JSON Schema is committed as `harness/gate.schema.json`.

use std::path::Path;

use thiserror::Error;

use crate::files::{Document, FileError};
use crate::gate::report::{GATE_SCHEMA_VERSION, GateReport};

const REPORT: Document = Document { what: "report of a gate", version: GATE_SCHEMA_VERSION };

/// Why a report is not written as JSON.
#[derive(Debug, Error)]
#[error("the report as JSON: it could not be read back: {reason}")]
pub struct ReportError {
    reason: String,
}

/// JSON has no word for infinity: what would not read back is refused now and not when someone needs it.
pub(super) fn json(report: &GateReport) -> Result<String, ReportError> {
    let text = serde_json::to_string_pretty(report)
        .map_err(|error| ReportError { reason: error.to_string() })?
        + "\n";
    match serde_json::from_str::<GateReport>(&text) {
        Ok(again) if again == *report => Ok(text),
        Ok(_) => Err(ReportError { reason: "a number is not what it was".into() }),
        Err(error) => Err(ReportError { reason: error.to_string() }),
    }
}

impl GateReport {
    /// Reads a report from its file of JSON.
    pub fn read(path: &Path) -> Result<GateReport, FileError> {
        REPORT.read(path)
    }

    /// Reads a report from text; `path` names it in errors.
    pub fn parse(path: &Path, text: &[u8]) -> Result<GateReport, FileError> {
        REPORT.parse(path, text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gate::output::samples;

    #[test]
    fn a_report_is_whole_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gate.json");
        let report = samples::everything();
        std::fs::write(&path, json(&report).unwrap()).unwrap();
        assert_eq!(GateReport::read(&path).unwrap(), report);
        insta::assert_snapshot!(json(&report).unwrap());
    }

    #[test]
    fn what_is_no_report_is_told_as_of_other_files() {
        let text = json(&samples::everything()).unwrap();
        let error =
            |text: &str| GateReport::parse(Path::new("g.json"), text.as_bytes()).unwrap_err().to_string();
        for (broken, expected) in [
            ("", "g.json: cut off (EOF while parsing a value at line 1 column 0); "),
            (&text[..text.len() / 2], "g.json: cut off (EOF while parsing"),
            ("hello", "g.json: not JSON: expected value at line 1 column 1"),
            ("{}", "g.json: no report of a gate: missing field `schema_version` at line 1 column 2"),
            (
                &text.replacen("\"schema_version\": 1", "\"schema_version\": 9", 1),
                "g.json: written by a later version (schema 9, this one reads up to 1): update ",
            ),
            (
                &text.replacen("\"verdict\": \"unsafe\"", "\"verdict\": \"spl\\nendid\"", 1),
                "g.json: no report of a gate: unknown variant `spl endid`",
            ),
        ] {
            let error = error(broken);
            assert!(error.starts_with(expected), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        let missing = GateReport::read(Path::new("/nowhere/g.json")).unwrap_err().to_string();
        assert_eq!(missing, "/nowhere/g.json: there is no such file");
    }

    #[test]
    fn numbers_that_json_has_no_word_for_are_refused() {
        let mut report = samples::everything();
        report.tiers[0].seconds = f64::INFINITY;
        let error = json(&report).unwrap_err().to_string();
        assert!(
            error.starts_with("the report as JSON: it could not be read back: invalid type: null"),
            "{error}"
        );
        // An absent value and one that is no number look the same in JSON, and are not.
        let mut report = samples::everything();
        report.tiers[1].findings[0].head = Some(f64::NAN);
        assert!(json(&report).is_err());
    }

    proptest! {
        #[test]
        fn any_text_reads_back(report in samples::any_report()) {
            let text = json(&report).unwrap();
            prop_assert_eq!(GateReport::parse(Path::new("g.json"), text.as_bytes()).unwrap(), report);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            GateReport::parse(Path::new("g.json"), &bytes).ok();
        }
    }
}
