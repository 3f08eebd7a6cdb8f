//! A mistake in a configuration file, shown where it is: file, line, column, the line itself and how to fix it.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::docker_words;
use crate::suggest::nearest;

/// One mistake, rendered for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, in one line with its place: `handover.toml:3:1: unknown key 'tga'`.
    pub headline: String,
    /// Whether it stops a deployment, or is only worth knowing.
    pub severity: Severity,
    rendered: String,
}

/// How serious a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It has to be fixed.
    Error,
    /// It works, but may not do what was expected.
    Warning,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered)
    }
}

/// What is wrong with a span of the file, before it is known which file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The bytes it is about.
    pub(crate) span: Range<usize>,
    /// What is wrong.
    pub(crate) what: String,
    /// How to fix it.
    pub(crate) help: Option<String>,
    /// Where it applies, if not everywhere.
    pub(crate) note: Option<String>,
    /// How serious it is.
    pub(crate) severity: Severity,
}

impl Mistake {
    /// A mistake at a span.
    pub(crate) fn at(span: Range<usize>, what: impl Into<String>) -> Self {
        Self { span, what: what.into(), help: None, note: None, severity: Severity::Error }
    }

    /// A warning at a span.
    pub(crate) fn warning(span: Range<usize>, what: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::at(span, what) }
    }

    /// Adds how to fix it.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Shows it in its file.
    pub(crate) fn located(self, text: &str, origin: &str) -> Diagnostic {
        // A position from another parser may be inside a character.
        let start = text.floor_char_boundary(self.span.start);
        let end = text.ceil_char_boundary(self.span.end.clamp(start, text.len()));
        let line = line_of(text, start);
        let column = text[..start].rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        // Only the first line of a long value: the place matters, not the value.
        let end = text[start..end].find('\n').map_or(end, |newline| start + newline);
        let snippet = Snippet::source(text).path(origin).annotation(
            AnnotationKind::Primary.span(start..end).label(self.help.as_deref().unwrap_or("here")),
        );
        let title = self.severity.level().primary_title(&self.what);
        let note = self.note.map(|note| Level::NOTE.message(note));
        let report = [Group::with_title(title).element(snippet).elements(note)];
        Diagnostic {
            headline: format!("{origin}:{line}:{column}: {}", self.what),
            severity: self.severity,
            rendered: Renderer::plain().render(&report),
        }
    }
}

impl Severity {
    fn level(self) -> Level<'static> {
        match self {
            Self::Error => Level::ERROR,
            Self::Warning => Level::WARNING,
        }
    }
}

/// The line of a byte, from 1.
pub(crate) fn line_of(text: &str, byte: usize) -> usize {
    text[..byte].matches('\n').count() + 1
}

impl Diagnostic {
    /// What is wrong outside of any file, in the same form.
    pub(crate) fn without_place(severity: Severity, what: &str) -> Self {
        let report = [Group::with_title(severity.level().primary_title(what))];
        Self { headline: what.to_owned(), severity, rendered: Renderer::plain().render(&report) }
    }
}

impl From<&toml::de::Error> for Mistake {
    /// Rephrases an error of the parser in the style of this tool.
    fn from(error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or(0..0);
        let message = error.message();
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        if let (true, Some((key, known))) = (message.starts_with("unknown field"), quoted.split_first()) {
            let mut known = known.to_vec();
            if known.contains(&"app") {
                // These are taken out before the rest of the file is read.
                known.extend(["groups", "group"]);
            }
            let advice = docker_words::advice(key).map(str::to_owned);
            return Self::at(span, format!("unknown key '{key}'"))
                .help(advice.unwrap_or_else(|| nearest(key, &known)));
        }
        let parts = ["invalid type: ", "invalid length ", "invalid value: "]
            .into_iter()
            .find_map(|kind| message.strip_prefix(kind)?.split_once(", expected "));
        match parts {
            Some((found, expected)) => of_another_type(span, found, expected),
            None => of_the_parser(span, message),
        }
    }
}

/// What the parser says, with what to do where its words do not say it.
fn of_the_parser(span: Range<usize>, message: &str) -> Mistake {
    let missing = message.strip_prefix("missing field ").map(|field| field.trim_matches('`').to_owned());
    let is = |words: &str| message.contains(words);
    let help = match &missing {
        Some(field) if field == "app" => Some("add app = \"NAME\" at the top".to_owned()),
        Some(field) => Some(format!("add {field} = ...")),
        None if is("recursion limit") || is("cannot recurse") => Some("nest it less deeply".to_owned()),
        None if is("duplicate key") => Some("remove one of the two".to_owned()),
        None if is("carriage return") => Some("end each line with a line feed".to_owned()),
        None => None,
    };
    let mistake = Mistake::at(span, message.replace('`', "'"));
    Mistake { help, ..mistake }
}

/// A value of a type that does not belong there, in TOML's words instead of the parser's.
fn of_another_type(span: Range<usize>, found: &str, expected: &str) -> Mistake {
    let range = match expected {
        "u8" => Some("0 to 255"),
        "u16" => Some("0 to 65535"),
        "u32" => Some("0 to 4294967295"),
        "u64" | "usize" => Some("0 to 9223372036854775807"),
        "i64" => Some("-9223372036854775808 to 9223372036854775807"),
        _ => None,
    };
    if let Some(range) = range {
        let number = found.split('`').nth(1).filter(|_| found.starts_with("integer"));
        let what = number
            .map_or("a whole number belongs here".to_owned(), |number| format!("{number} is out of range"));
        return Mistake::at(span, what).help(format!("write a whole number, {range}"));
    }
    let (what, help) = match expected {
        "a sequence" => ("a list", "write it in brackets, such as [\"...\"]"),
        "a string" => ("a text", "write it in quotes"),
        "a boolean" => ("true or false", "write it without quotes"),
        "struct Image" => ("a table", "write [image], and repository and tag below it"),
        "a map" | "a table of variables" => ("a table", "write NAME = \"VALUE\" below its name"),
        table if table.starts_with("struct ") => ("a table", "write its keys below its name"),
        other => (other, "write that"),
    };
    Mistake::at(span, format!("{what} belongs here")).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parser_s_words_are_not_the_last() {
        let shown = |text: &str| {
            let (_, errors) = toml::de::DeTable::parse_recoverable(text);
            let parsed = || crate::config::parse(text, "f").unwrap_err().to_string();
            errors.first().map_or_else(parsed, |error| Mistake::from(error).located(text, "f").to_string())
        };
        let base = "app = 'a'\n[image]\nrepository = 'x'\ntag = 't'\n[process.web]\n";
        let deep = format!("x = {}{}", "[".repeat(1000), "]".repeat(1000));
        for (text, what, help) in [
            ("", "missing field 'app'", "add app ="),
            (
                &*format!("{base}[process.web.health]\nsuccesses = -1"),
                "-1 is out of range",
                "0 to 4294967295",
            ),
            (&format!("{base}[check.x]\npostgres = []"), "a table belongs here", "below its name"),
            ("a = 1\na = 2", "duplicate key", "remove one"),
            ("a = 1\rb = 2", "carriage return", "line feed"),
            (&deep, "recurs", "less deeply"),
        ] {
            let shown = shown(text);
            assert!(shown.contains(what) && shown.contains(help), "{text}:\n{shown}");
        }
    }

    #[test]
    fn a_place_inside_a_character_or_behind_the_end_is_shown_all_the_same() {
        for span in [1..2, 0..1, 3..4, 7..9, 900..901] {
            let shown = Mistake::at(span.clone(), "what").located("é 🦀\n", "f").headline;
            assert!(shown.starts_with("f:"), "{span:?}: {shown}");
        }
    }
}
