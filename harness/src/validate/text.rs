//! A validation as a table for terminals, and as Markdown.

use super::{Comparison, Validation};
use crate::table::{empty_table, lines_of, quantity};

const HEADS: [&str; 9] =
    ["protocol", "load", "quantity", "real", "range of blocks", "virtual", "error", "aim", ""];

/// The table, with what it says in all.
pub fn text(validation: &Validation) -> String {
    let mut table = empty_table(&HEADS, false);
    table.add_rows(validation.comparisons.iter().map(cells));
    format!("{}\n{}", lines_of(&table), summary(validation).join("\n"))
}

/// The same as Markdown.
pub fn markdown(validation: &Validation) -> String {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let heads: Vec<String> = HEADS.map(String::from).into();
    let mut lines = vec![line(&heads), format!("|{}", "---|".repeat(HEADS.len()))];
    lines.extend(validation.comparisons.iter().map(|row| line(&cells(row))));
    lines.push(String::new());
    lines.push(summary(validation).join("\n"));
    lines.join("\n")
}

fn cells(row: &Comparison) -> Vec<String> {
    let value = |value| quantity::in_unit(value, row.quantity.unit());
    let verdict = match row.is_met() {
        None => "",
        Some(true) => "met",
        Some(false) => "missed",
    };
    let mut notes = vec![verdict.to_string()];
    if row.is_blurred() {
        notes.push(format!("real time varies by {:.0} %", row.real_spread() * 100.0));
    }
    if row.disturbed_blocks > 0 {
        notes.push(format!("{} of {} blocks disturbed", row.disturbed_blocks, row.blocks));
    }
    notes.retain(|note| !note.is_empty());
    vec![
        row.protocol.clone(),
        row.load.clone(),
        row.quantity.name().into(),
        value(row.real),
        format!("{} to {}", value(row.real_range.0), value(row.real_range.1)),
        value(row.simulated),
        format!("{:+.0} %", row.error * 100.0),
        row.aim.map_or_else(|| quantity::NOTHING.into(), |aim| format!("{:.0} %", aim * 100.0)),
        notes.join("; "),
    ]
}

fn summary(validation: &Validation) -> Vec<String> {
    let ((met, aimed), (sharp_met, sharp)) = validation.met();
    let mut lines = vec![format!(
        "{met} of {aimed} aims met; of the {sharp} whose real blocks vary by less than the aim, {sharp_met}. \
         Real: median of {} blocks of {} s.",
        validation.effort.blocks, validation.effort.block_s
    )];
    lines.extend(validation.loads.iter().map(|(name, about)| format!("{name}: {about}.")));
    lines.extend(validation.not_compared.iter().map(|(what, why)| format!("{what}: not compared: {why}")));
    lines.extend(
        validation.calibration_disturbed.iter().map(|why| format!("the calibration was disturbed: {why}")),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::super::{Effort, Quantity};
    use super::*;

    #[test]
    fn both_forms_hold_every_number_and_say_what_is_met() {
        let comparison = Comparison {
            protocol: "raft-rs".into(),
            load: "lan_low".into(),
            quantity: Quantity::P50,
            real: 600_000.0,
            real_range: (590_000.0, 700_000.0),
            simulated: 570_000.0,
            error: -0.05,
            aim: Some(0.1),
            blocks: 3,
            disturbed_blocks: 1,
        };
        let validation = Validation {
            calibrated_unix_s: 0,
            calibration_disturbed: vec!["threads waited".into()],
            effort: Effort { blocks: 3, block_s: 1.0 },
            loads: vec![("lan_low".into(), "500 requests/s".into())],
            comparisons: vec![comparison],
            not_compared: vec![("openraft".into(), "no virtual time".into())],
        };
        insta::assert_snapshot!(format!("{}\n\n{}", text(&validation), markdown(&validation)));
    }
}
