//! What people read: standard output that may go away, for `consensus-bench list | head` must not end a run, and
//! words of a file in an error of one line.

use std::fmt::Arguments;
use std::io::Write;

/// Writes a line to standard output. One that no one reads any more is dropped.
pub fn line(text: Arguments<'_>) {
    let mut output = std::io::stdout().lock();
    output.write_fmt(text).and_then(|()| output.write_all(b"\n")).ok();
}

/// Characters of a value that an error repeats, at most.
const SHOWN_CHARACTERS: usize = 40;

/// Text on one line, whatever it is made of: a message of a parser repeats keys of its file.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A value of a file as far as an error repeats it, on one line whatever it is made of.
pub(crate) fn shown(value: &str) -> String {
    let mut shown: String = value.chars().take(SHOWN_CHARACTERS).flat_map(char::escape_debug).collect();
    if value.chars().nth(SHOWN_CHARACTERS).is_some() {
        shown.push('…');
    }
    shown
}

/// `println!` for a reader that may go away.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}

pub(crate) use say;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_file_stay_on_their_line() {
        assert_eq!(printable("a\nb\u{1b}[2Jc"), "a b [2Jc");
        assert_eq!(shown("a\nb"), "a\\nb");
        assert_eq!(shown(&"x".repeat(SHOWN_CHARACTERS)), "x".repeat(SHOWN_CHARACTERS));
        assert_eq!(shown(&"ä".repeat(1_000)), format!("{}…", "ä".repeat(SHOWN_CHARACTERS)));
    }
}
