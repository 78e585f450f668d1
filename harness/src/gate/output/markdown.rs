//! A report as a comment on a pull request: GitHub's Markdown, with a mark by which a later comment finds the
//! one that it replaces, and never longer than a comment may be.

use super::wording;
use crate::gate::report::{Finding, GateReport, TierReport};

/// The first line of every comment, which readers don't see.
pub const MARKER: &str = "<!-- consensus-bench gate -->";

/// The longest comment that is written, in bytes. GitHub refuses those of more than 65,536 characters.
pub const LONGEST_COMMENT: usize = 60_000;

/// The most rows of a table, so that a tier with thousands leaves room for the others.
const MOST_ROWS: usize = 100;

/// The longest cell or note, in characters.
const LONGEST_TEXT: usize = 400;

/// The longest command, in bytes: half of one reproduces nothing.
const LONGEST_COMMAND: usize = 4_000;

/// Room for the line that says what was left out.
const LEFT_OUT_ROOM: usize = 160;

const COUNTED: [&str; 7] = ["row", "metric", "base", "head", "change", "verdict", "note"];
const MEASURED: [&str; 11] = [
    "row",
    "metric",
    "base",
    "head",
    "change",
    "95 % interval",
    "tolerance",
    "pairs",
    "detectable",
    "verdict",
    "note",
];

pub(super) fn markdown(report: &GateReport) -> String {
    within(report, LONGEST_COMMENT, MOST_ROWS)
}

fn within(report: &GateReport, longest: usize, most_rows: usize) -> String {
    let again = again(report);
    let room = longest.saturating_sub(again.len() + LEFT_OUT_ROOM);
    let mut page = Page { text: String::new(), room, most_rows, left_out: 0 };
    page.line(MARKER);
    page.line(&format!("## {}\n", text(&wording::headline(report))));
    page.line(&format!("{}\n", text(&wording::sides(report))));
    tiers(&mut page, report);
    page.list("", report.notes.iter().map(|note| format!("Note: {}", text(note))));
    for tier in &report.tiers {
        changes(&mut page, tier);
    }
    inconclusive(&mut page, report);
    page.end(&again)
}

/// What is written so far, and how much more may be.
struct Page {
    text: String,
    /// Bytes.
    room: usize,
    /// Of one table or list.
    most_rows: usize,
    /// Rows and lines that did not fit.
    left_out: usize,
}

impl Page {
    fn line(&mut self, line: &str) -> bool {
        if self.text.len() + line.len() + 1 > self.room {
            self.left_out += 1;
            return false;
        }
        self.text += line;
        self.text.push('\n');
        true
    }

    /// A table, or as much of it as fits: without its heads it would be none. Says whether it has rows.
    fn table(&mut self, heading: &str, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> bool {
        let mut rows = rows.map(|cells| format!("| {} |", cells.join(" | ")));
        let Some(first) = rows.next() else { return false };
        let rule = vec!["---"; heads.len()].join(" | ");
        let first = format!("| {} |\n| {rule} |\n{first}", heads.join(" | "));
        self.block(heading, &first, rows);
        true
    }

    /// A list, or as much of it as fits. Items must not begin with what Markdown takes for its own.
    fn list(&mut self, heading: &str, items: impl Iterator<Item = String>) {
        let mut items = items.map(|item| format!("- {item}"));
        if let Some(first) = items.next() {
            self.block(heading, &first, items);
        }
    }

    /// Lines under a heading, if it has one. After a line that does not fit none follows: a gap would not be
    /// seen.
    fn block(&mut self, heading: &str, first: &str, others: impl Iterator<Item = String>) {
        let heading = if heading.is_empty() { String::new() } else { format!("### {heading}\n\n") };
        let mut fits = self.line(&format!("{heading}{first}"));
        for (index, line) in others.enumerate() {
            fits = fits && index + 1 < self.most_rows;
            if fits {
                fits = self.line(&line);
            } else {
                self.left_out += 1;
            }
        }
        if self.text.len() < self.room {
            self.text.push('\n');
        }
    }

    fn end(mut self, again: &str) -> String {
        if self.left_out > 0 {
            let left_out = self.left_out;
            self.text += &format!(
                "**{left_out} rows were left out, for a comment must not be longer: the report as JSON has \
                 them.**\n\n"
            );
        }
        self.text + again
    }
}

fn tiers(page: &mut Page, report: &GateReport) {
    let row = |tier: &TierReport| {
        vec![
            wording::tier_name(tier.tier),
            text(&wording::why_not(tier).unwrap_or_else(|| wording::status(tier).into())),
            tier.judged.to_string(),
            wording::seconds(tier),
        ]
    };
    page.table("", &["tier", "outcome", "judged", "seconds"], report.tiers.iter().map(row));
}

fn changes(page: &mut Page, tier: &TierReport) {
    let (measured, counted): (Vec<&Finding>, Vec<&Finding>) =
        wording::told(tier).into_iter().partition(|finding| finding.shift.is_some());
    // What comes first of these has the heading.
    let heading = format!("Tier {}", wording::tier_name(tier.tier));
    let mut is_headed =
        page.table(&heading, &COUNTED, counted.iter().map(|finding| counted_row(tier, finding)));
    let next = if is_headed { "" } else { &heading };
    is_headed |= page.table(next, &MEASURED, measured.iter().map(|finding| measured_row(tier, finding)));
    let control = tier.control.as_ref().map(|control| text(&wording::control(control)));
    let notes = tier.notes.iter().map(|note| format!("Note: {}", text(note)));
    page.list(if is_headed { "" } else { &heading }, control.into_iter().chain(notes));
}

fn counted_row(tier: &TierReport, finding: &Finding) -> Vec<String> {
    let verdict = match wording::keeps_out(finding) {
        true => format!("**{}**", wording::verdict(finding)),
        false => wording::verdict(finding),
    };
    vec![
        identifier(&finding.row),
        identifier(&finding.metric),
        text(&wording::value(tier.tier, finding, finding.base)),
        text(&wording::value(tier.tier, finding, finding.head)),
        text(&wording::change(finding)),
        verdict,
        text(&wording::remark(finding)),
    ]
}

fn measured_row(tier: &TierReport, finding: &Finding) -> Vec<String> {
    let mut row = counted_row(tier, finding);
    let of_shift = finding.shift.iter().flat_map(|shift| {
        [
            text(&wording::interval(shift)),
            text(&wording::share(finding.tolerance)),
            shift.pairs.to_string(),
            text(&wording::share(shift.detectable)),
        ]
    });
    row.splice(5..5, of_shift);
    row
}

fn inconclusive(page: &mut Page, report: &GateReport) {
    let items = report.tiers.iter().flat_map(|tier| {
        wording::inconclusive(tier).map(move |finding| {
            let (row, metric) = (identifier(&finding.row), identifier(&finding.metric));
            format!("{}: {row} {metric}: {}", tier.tier, text(&wording::sentence(tier.tier, finding)))
        })
    });
    page.list("Can't be told", items);
}

/// The command, between fences longer than any in it.
fn again(report: &GateReport) -> String {
    let command = wording::command(report);
    if command.len() > LONGEST_COMMAND {
        return "The command that judges the same again is too long for a comment: the report as JSON has \
                it.\n"
            .into();
    }
    let longest = command.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("To judge the same again:\n\n{fence}sh\n{command}\n{fence}\n")
}

/// A name as code where nothing in it has a meaning in Markdown, and as text elsewhere.
fn identifier(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./=+:,".contains(c);
    match !name.is_empty() && name.len() <= LONGEST_TEXT && name.chars().all(is_plain) {
        true => format!("`{name}`"),
        false => text(name),
    }
}

/// Text that is shown as it is, on one line, in a table too. A `|` is written as an entity, because tables are
/// cut into cells before anything else is understood.
fn text(text: &str) -> String {
    let text = wording::clean(text);
    let mut shown = String::new();
    for c in text.chars().take(LONGEST_TEXT) {
        match c {
            '|' => shown += "&#124;",
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '~' | '&' | '!' | '$' => {
                shown.push('\\');
                shown.push(c);
            }
            c => shown.push(c),
        }
    }
    if text.chars().nth(LONGEST_TEXT).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

    use super::*;
    use crate::gate::output::samples;

    /// What a reader of Markdown finds.
    #[derive(Debug, Default)]
    struct Read {
        /// Heads and rows of all tables, as plain text.
        tables: Vec<Vec<Vec<String>>>,
        code: String,
        html: Vec<String>,
        /// Links, images, quotes and the like, which no report has.
        others: Vec<String>,
    }

    fn read(source: &str) -> Read {
        let mut read = Read::default();
        let (mut in_cell, mut in_fence) = (false, false);
        for event in Parser::new_ext(source, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
            let table = read.tables.last_mut();
            match event {
                Event::Start(Tag::Table(_)) => read.tables.push(Vec::new()),
                Event::Start(Tag::TableHead | Tag::TableRow) => table.unwrap().push(Vec::new()),
                Event::Start(Tag::TableCell) => {
                    table.and_then(|table| table.last_mut()).unwrap().push(String::new());
                    in_cell = true;
                }
                Event::End(TagEnd::TableCell) => in_cell = false,
                Event::Start(Tag::CodeBlock(_)) => in_fence = true,
                Event::End(TagEnd::CodeBlock) => in_fence = false,
                Event::Text(text) if in_fence => read.code += &text,
                Event::Text(text) | Event::Code(text) if in_cell => {
                    *table.and_then(|table| table.last_mut()?.last_mut()).unwrap() += &text;
                }
                Event::Text(_) | Event::Code(_) => {}
                Event::Html(html) | Event::InlineHtml(html) => read.html.push(html.to_string()),
                Event::Start(
                    Tag::Paragraph
                    | Tag::Heading { .. }
                    | Tag::List(None)
                    | Tag::Item
                    | Tag::Strong
                    | Tag::HtmlBlock,
                )
                | Event::End(_) => {}
                other => read.others.push(format!("{other:?}")),
            }
        }
        read
    }

    fn cut(text: &str) -> String {
        let text = wording::clean(text);
        match text.char_indices().nth(LONGEST_TEXT) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        }
    }

    /// That rows and metrics are in the tables as they were found, in the columns where they belong.
    fn check(report: &GateReport) -> Result<(), TestCaseError> {
        let source = markdown(report);
        prop_assert!(source.len() <= LONGEST_COMMENT, "{}", source.len());
        prop_assert!(source.starts_with(&format!("{MARKER}\n## ")), "{source}");
        let read = read(&source);
        prop_assert_eq!(&read.html, &[format!("{MARKER}\n")], "{}", source);
        prop_assert_eq!(&read.others, &Vec::<String>::new(), "{}", source);
        let mut found = Vec::new();
        for table in &read.tables {
            let heads = &table[0];
            prop_assert!(table.iter().all(|row| row.len() == heads.len()), "{table:?}");
            let note = heads.iter().position(|head| head == "note");
            found.extend(
                table[1..].iter().filter_map(|row| Some([&row[0], &row[1], &row[note?]].map(String::clone))),
            );
        }
        let mut expected = Vec::new();
        for tier in &report.tiers {
            let (measured, counted): (Vec<&Finding>, Vec<&Finding>) =
                wording::told(tier).into_iter().partition(|finding| finding.shift.is_some());
            expected.extend(
                counted
                    .iter()
                    .chain(&measured)
                    .map(|finding| [cut(&finding.row), cut(&finding.metric), cut(&wording::remark(finding))]),
            );
        }
        prop_assert_eq!(found, expected, "{}", source);
        let command = wording::command(report);
        prop_assert_eq!(read.code.trim_end(), command.trim_end(), "{}", source);
        Ok(())
    }

    #[test]
    fn a_change_is_told_with_all_that_led_to_the_verdict() {
        check(&samples::everything()).unwrap();
        insta::assert_snapshot!(markdown(&samples::everything()));
    }

    #[test]
    fn a_pass_is_short() {
        insta::assert_snapshot!(markdown(&samples::pass()));
    }

    /// Rows of tables and items of lists, and how many are said to be left out.
    fn rows(source: &str) -> (usize, usize) {
        let tables: usize = read(source).tables.iter().map(|table| table.len() - 1).sum();
        let items = source.lines().filter(|line| line.starts_with("- ")).count();
        let said = source.split("**").find_map(|part| part.split_once(" rows were left out"));
        (tables + items, said.map_or(0, |(count, _)| count.parse().unwrap()))
    }

    #[test]
    fn a_comment_is_never_too_long_and_says_what_it_lacks() {
        let mut report = samples::everything();
        let like = report.tiers[1].findings[0].clone();
        report.tiers[1].findings = vec![like; 2_000];
        let (all, none) = rows(&within(&report, 10_000_000, 10_000));
        assert_eq!((all > 2_000, none), (true, 0));
        for (longest, most_rows) in
            [(LONGEST_COMMENT, MOST_ROWS), (LONGEST_COMMENT, 10_000), (5_000, MOST_ROWS)]
        {
            let source = within(&report, longest, most_rows);
            assert!(source.len() <= longest, "{}", source.len());
            let (shown, left_out) = rows(&source);
            assert!(left_out > 1_000, "{left_out}");
            assert_eq!(shown + left_out, all);
            assert!(source.contains("--base origin/main\n```"), "the command stays");
        }
        assert!(markdown(&report).contains("### Tier 3 targets"), "no tier takes all the room");
    }

    #[test]
    fn what_is_too_long_alone_is_cut_or_not_shown() {
        let mut report = samples::pass();
        report.reproduce = "x".repeat(70_000);
        report.notes = vec!["|".repeat(70_000); 200];
        report.head.name = "&".repeat(70_000);
        let source = markdown(&report);
        assert!(source.len() <= LONGEST_COMMENT);
        assert!(source.contains("is too long for a comment"), "{source}");
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_table(report in samples::any_report()) {
            check(&report)?;
        }

        #[test]
        fn text_is_read_as_it_was(text in any::<String>()) {
            let source = format!("| a | b |\n| --- | --- |\n| {} | x |\n", super::text(&text));
            let read = read(&source);
            prop_assert_eq!(&read.tables[0][1], &[cut(&text), "x".to_string()], "{}", source);
        }
    }
}
