//! Sampled stacks, and their collapsed form: a line per stack, `thread;outermost;…;innermost 12`, which every
//! tool for flame graphs reads.

use std::collections::BTreeMap;
use std::fmt::Write;

use thiserror::Error;

/// One function on a stack, as the debug information has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frame {
    /// The function's demangled name; empty when nothing names it.
    pub function: String,
    /// The source file, as the compiler wrote it down; empty for code without debug information.
    pub file: String,
}

/// A stack that was seen, and how often.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stack {
    /// Name of the thread.
    pub thread: String,
    /// Functions from the innermost to the outermost; one that was inlined is a frame of its own.
    pub frames: Vec<Frame>,
    /// Samples.
    pub samples: u64,
}

/// Stacks in collapsed form, with their samples: the same stack is there once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded(BTreeMap<String, u64>);

/// Why a text is no collapsed stacks.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum FoldedError {
    /// A line that does not end in a number.
    #[error("line {line}: no `stack count`")]
    NoCount {
        /// Line, from 1.
        line: usize,
    },
    /// There are no stacks.
    #[error("no stacks")]
    Empty,
}

impl Folded {
    /// Collapses stacks.
    pub fn of(stacks: &[Stack]) -> Folded {
        let mut folded = BTreeMap::new();
        for stack in stacks {
            let frames = stack.frames.iter().rev().map(|frame| frame.function.as_str());
            let names = std::iter::once(stack.thread.as_str()).chain(frames).map(one_name);
            *folded.entry(names.collect::<Vec<_>>().join(";")).or_default() += stack.samples;
        }
        Folded(folded)
    }

    /// Reads what [`text`](Folded::text) or another tool wrote.
    pub fn parse(text: &str) -> Result<Folded, FoldedError> {
        let mut folded = BTreeMap::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let parts = line.trim_end().rsplit_once(' ');
            let stack = parts.and_then(|(stack, count)| Some((stack, count.parse::<u64>().ok()?)));
            let (stack, samples) = stack.ok_or(FoldedError::NoCount { line: index + 1 })?;
            let sum = folded.entry(stack.to_string()).or_insert(0_u64);
            *sum = sum.saturating_add(samples);
        }
        if folded.is_empty() { Err(FoldedError::Empty) } else { Ok(Folded(folded)) }
    }

    /// A line per stack, sorted.
    pub fn text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, (stack, samples)| {
            // Writing to a string can't fail.
            writeln!(text, "{stack} {samples}").ok();
            text
        })
    }

    /// Samples of all stacks.
    pub fn samples(&self) -> u64 {
        self.0.values().sum()
    }

    /// The stacks with their weights multiplied and rounded: a stack that weighs nothing then is left out.
    pub fn scaled(&self, factor: f64) -> Folded {
        let scale = |(stack, &samples): (&String, &u64)| {
            let weight = (samples as f64 * factor).round() as u64;
            (weight > 0).then(|| (stack.clone(), weight))
        };
        Folded(self.0.iter().filter_map(scale).collect())
    }
}

/// A name as one frame of a line: a type such as `[u8; 32]` has the sign in it that parts frames.
fn one_name(name: &str) -> String {
    if name.is_empty() {
        return "[unknown]".into();
    }
    name.chars()
        .map(|c| {
            if c == ';' {
                ','
            } else if c.is_control() {
                ' '
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stack(thread: &str, functions: &[&str], samples: u64) -> Stack {
        let frame = |name: &&str| Frame { function: name.to_string(), file: String::new() };
        Stack { thread: thread.into(), frames: functions.iter().map(frame).collect(), samples }
    }

    #[test]
    fn stacks_collapse_from_the_thread_inwards_and_equal_ones_add_up() {
        let stacks = [
            stack("cluster", &["leaf", "caller"], 2),
            stack("cluster", &["leaf", "caller"], 3),
            stack("load", &["<[u8; 32] as Hash>::hash", ""], 1),
        ];
        let folded = Folded::of(&stacks);
        assert_eq!(folded.text(), "cluster;caller;leaf 5\nload;[unknown];<[u8, 32] as Hash>::hash 1\n");
        assert_eq!(folded.samples(), 6);
        assert_eq!(folded.scaled(0.4).text(), "cluster;caller;leaf 2\n");
    }

    #[test]
    fn what_is_no_collapsed_stack_is_told_by_its_line() {
        assert_eq!(Folded::parse("a;b 3\n\nc;d x\n"), Err(FoldedError::NoCount { line: 3 }));
        assert_eq!(Folded::parse("a;b"), Err(FoldedError::NoCount { line: 1 }));
        assert_eq!(Folded::parse("\n"), Err(FoldedError::Empty));
        assert_eq!(Folded::parse("a b;c 3").unwrap().samples(), 3);
    }

    proptest! {
        #[test]
        fn stacks_read_back_as_they_were_written(
            stacks in proptest::collection::vec((any::<String>(), proptest::collection::vec(any::<String>(), 0..4), 1u64..1_000), 1..10),
        ) {
            let stacks: Vec<Stack> = stacks
                .iter()
                .map(|(thread, names, samples)| {
                    stack(thread, &names.iter().map(String::as_str).collect::<Vec<_>>(), *samples)
                })
                .collect();
            let folded = Folded::of(&stacks);
            prop_assert_eq!(Folded::parse(&folded.text()).unwrap(), folded);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>()) {
            Folded::parse(&text).ok();
        }
    }
}
