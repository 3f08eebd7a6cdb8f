//! What is no YAML, in plain words.

use std::ops::Range;

use libyaml_safer::Error;

use super::places::Places;

/// Why a text is no YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) why: String,
    pub(super) fix: &'static str,
    pub(super) span: Range<usize>,
}

/// libyaml's problems, each by a part of its sentence, with what to say for it and what to do.
const WORDS: &[(&str, &str, &str)] = &[
    ("a tab character", "it is indented with a tab", "write spaces"),
    (
        "mapping values are not allowed",
        "a key cannot stand here",
        "write a value that has ': ' in it in quotes, and indent this line as the keys beside it",
    ),
    ("mapping keys are not allowed", "a key cannot stand here", "indent it as the keys beside it"),
    (
        "block sequence entries are not allowed",
        "a list cannot begin here",
        "begin it in a line of its own, below its key",
    ),
    ("could not find expected ':'", "this is a key without a value", "write ': ' and its value"),
    ("',' or ']'", "a '[' is not closed", "write a ']' at its end, and a ',' between its parts"),
    ("',' or '}'", "a '{' is not closed", "write a '}' at its end, and a ',' between its parts"),
    (
        "did not find expected key",
        "this line is neither a key nor part of what stands before it",
        "indent it as the keys beside it, and look for quotes that are not closed",
    ),
    (
        "'-' indicator",
        "this line is no entry of the list above it",
        "begin it with '- ', or indent it as the keys of the entry",
    ),
    ("expected node content", "a value is missing", "write one"),
    ("unexpected end of stream", "quotes are not closed", "close them"),
    ("unexpected document indicator", "quotes are not closed", "close them"),
    (
        "unknown escape",
        "in double quotes this backslash means nothing",
        "write it twice, or use single quotes",
    ),
    ("character escape code", "in double quotes this is no character", "write it without the backslash"),
    ("hexdecimal number", "in double quotes this is no character", "write it without the backslash"),
    ("<document start>", "this line does not belong to what stands above it", "indent it as the first key"),
    ("alphabetic or numeric", "a name is missing behind '*' or '&'", "write the value in quotes"),
    ("undefined tag handle", "this '!' begins a tag that is not known", "write the value in quotes"),
];

impl Malformed {
    /// What libyaml says.
    pub(super) fn of(error: &Error, places: &Places) -> Self {
        let byte = error.problem_mark().map_or(0, |mark| places.byte(mark));
        let said = |part: &str| error.problem().contains(part);
        let context = |part: &str| error.context().is_some_and(|context| context.contains(part));
        let (why, fix) = if said("cannot start any token") {
            match places.character(byte) {
                Some('\t') => ("it is indented with a tab".to_owned(), "write spaces"),
                Some(first) => (format!("a value cannot begin with '{first}'"), "write it in quotes"),
                None => ("a value is missing".to_owned(), "write one"),
            }
        } else if context("flow node") {
            match places.character(byte) {
                Some(_) => (
                    "this cannot stand between a '[' or '{' and its end".to_owned(),
                    "write the ']' or '}' before it",
                ),
                None => ("a '[' or '{' is not closed".to_owned(), "close it"),
            }
        } else if let Some((_, why, fix)) = WORDS.iter().find(|(part, ..)| said(part)) {
            ((*why).to_owned(), *fix)
        } else if context("directive") {
            ("a line that begins with '%' is none of its own".to_owned(), "leave it out")
        } else if context("tag") {
            ("this '!' begins a tag that is not known".to_owned(), "write the value in quotes")
        } else if context("block scalar") {
            ("behind '|' or '>' only its own signs may stand".to_owned(), "begin the text in the next line")
        } else {
            ("this is no YAML".to_owned(), "compare it with appspec/appspec.yml")
        };
        Self { why, fix, span: byte..byte }
    }

    /// The first character that libyaml takes nowhere, not even in quotes.
    pub(super) fn character(text: &str) -> Option<Self> {
        let allowed = |c: char| {
            matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}') || c >= '\u{10000}'
        };
        let (byte, character) = text.char_indices().find(|(_, character)| !allowed(*character))?;
        let why = format!("it has a control character in it (U+{:04X})", u32::from(character));
        Some(Self { why, fix: "remove it", span: byte..byte + character.len_utf8() })
    }

    /// Lists and mappings in one another without end.
    pub(super) fn too_deep(span: Range<usize>) -> Self {
        Self { why: "it is nested too deep".to_owned(), fix: "write it flat", span }
    }
}
