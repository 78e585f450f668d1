//! The pages of explanation, one for each rule: what it means, how it is found, what helps and when it misleads.

/// Pages by the names of their rules, in alphabetical order.
const PAGES: [(&str, &str); 19] = [
    ("allocation-heavy", include_str!("../../rules/allocation-heavy.md")),
    ("batch-too-small", include_str!("../../rules/batch-too-small.md")),
    ("election-too-slow", include_str!("../../rules/election-too-slow.md")),
    ("election-too-twitchy", include_str!("../../rules/election-too-twitchy.md")),
    ("fsync-bound", include_str!("../../rules/fsync-bound.md")),
    ("generator-limited", include_str!("../../rules/generator-limited.md")),
    ("group-commit-off", include_str!("../../rules/group-commit-off.md")),
    ("heartbeat-storm", include_str!("../../rules/heartbeat-storm.md")),
    ("imbalance", include_str!("../../rules/imbalance.md")),
    ("latency-tail", include_str!("../../rules/latency-tail.md")),
    ("leader-bandwidth", include_str!("../../rules/leader-bandwidth.md")),
    ("linger-too-long", include_str!("../../rules/linger-too-long.md")),
    ("message-amplification", include_str!("../../rules/message-amplification.md")),
    ("queueing-before-leader", include_str!("../../rules/queueing-before-leader.md")),
    ("resource-constraint", include_str!("../../rules/resource-constraint.md")),
    ("serialisation-heavy", include_str!("../../rules/serialisation-heavy.md")),
    ("slow-replica", include_str!("../../rules/slow-replica.md")),
    ("throughput-degradation", include_str!("../../rules/throughput-degradation.md")),
    ("window-too-small", include_str!("../../rules/window-too-small.md")),
];

/// A rule's page, as Markdown.
pub fn page(rule: &str) -> Option<&'static str> {
    PAGES.iter().find(|(name, _)| *name == rule).map(|(_, page)| *page)
}

/// All rules that have a page, each with the first sentence of it.
pub fn pages() -> impl Iterator<Item = (&'static str, &'static str)> {
    PAGES.into_iter().map(|(name, page)| {
        let body = page.lines().skip(1).find(|line| !line.is_empty()).unwrap_or_default();
        (name, body)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::advice::RULES;

    #[test]
    fn each_rule_has_its_page_and_each_page_its_rule() {
        let rules: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
        let pages: BTreeSet<&str> = PAGES.iter().map(|(name, _)| *name).collect();
        assert_eq!(rules, pages);
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let files: BTreeSet<String> = files.map(|name| name.to_string_lossy().into_owned()).collect();
        assert_eq!(files, pages.iter().map(|name| format!("{name}.md")).collect());
    }

    #[test]
    fn each_page_says_what_a_reader_asks() {
        for (name, page) in PAGES {
            assert!(page.starts_with(&format!("# {name}\n\n")), "{name}");
            for head in ["\n## How it is found\n", "\n## What helps\n", "\n## When it misleads\n"] {
                assert!(page.contains(head), "{name}: {head}");
            }
        }
        assert!(page("no-such-rule").is_none());
        assert!(pages().all(|(_, summary)| summary.ends_with('.')));
    }
}
