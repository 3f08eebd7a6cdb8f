//! How a text is written where something else than text would be read.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// What percent-encoding by RFC 3986 leaves as it is, and most languages' encoders with it, is not in this set.
pub const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The text between the quotes of a Python literal.
pub fn python_escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        let written = match (c, u32::from(c)) {
            ('\\' | '\'', _) => write!(out, "\\{c}"),
            ('\n', _) => write!(out, "\\n"),
            ('\r', _) => write!(out, "\\r"),
            ('\t', _) => write!(out, "\\t"),
            (' '..='~', _) => write!(out, "{c}"),
            (_, code @ 0..=0xff) => write!(out, "\\x{code:02x}"),
            (_, code @ 0..=0xffff) => write!(out, "\\u{code:04x}"),
            (_, code) => write!(out, "\\U{code:08x}"),
        };
        written.expect("a String takes everything");
        out
    })
}

/// The text between the quotes of a shell word.
pub fn shell_escaped(text: &str) -> String {
    text.replace('\'', r"'\''")
}
