//! Standard output that may go away: `consensus-bench list | head` must not end a run.

use std::fmt::Arguments;
use std::io::Write;

/// Writes a line to standard output. One that no one reads any more is dropped.
pub fn line(text: Arguments<'_>) {
    let mut output = std::io::stdout().lock();
    output.write_fmt(text).and_then(|()| output.write_all(b"\n")).ok();
}

/// `println!` for a reader that may go away.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}

pub(crate) use say;
