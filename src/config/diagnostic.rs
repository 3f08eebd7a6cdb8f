//! A mistake in a configuration file, shown where it is: file, line, column, the line itself and the way out.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// Keys that the design names and this version does not have. They are refused by name, never ignored: a key that does
/// nothing is a promise broken in silence.
const NOT_YET: &[&str] = &[
    "groups",
    "group",
    "task",
    "check",
    "bake",
    "keep",
    "traffic",
    "drain",
    "singleton",
    "stall",
    "disposable",
];

/// How alike two words must be (0 to 1) for one to be offered for the other: two letters swapped in a word of three are.
const ALIKE: f64 = 0.66;

/// One mistake, rendered for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, in one line with its place: `handover.toml:3:1: unknown key 'tga'`.
    pub headline: String,
    rendered: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered)
    }
}

/// What is wrong with a span of the file, before it is known which file.
#[derive(Debug, Clone)]
pub(super) struct Mistake {
    /// The bytes it is about.
    pub(super) span: Range<usize>,
    /// What is wrong.
    pub(super) what: String,
    /// The way out.
    pub(super) help: Option<String>,
}

impl Mistake {
    /// A mistake at a span.
    pub(super) fn at(span: Range<usize>, what: impl Into<String>) -> Self {
        Self { span, what: what.into(), help: None }
    }

    /// Adds the way out.
    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Shows it in its file.
    pub(super) fn located(self, text: &str, origin: &str) -> Diagnostic {
        let start = self.span.start.min(text.len());
        let end = self.span.end.clamp(start, text.len());
        let line = text[..start].matches('\n').count() + 1;
        let column = text[..start].rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        // Only the first line of a long value: the place matters, not the value.
        let end = text[start..end].find('\n').map_or(end, |newline| start + newline);
        let snippet = Snippet::source(text).path(origin).annotation(
            AnnotationKind::Primary.span(start..end).label(self.help.as_deref().unwrap_or("here")),
        );
        let report = [Group::with_title(Level::ERROR.primary_title(&self.what)).element(snippet)];
        Diagnostic {
            headline: format!("{origin}:{line}:{column}: {}", self.what),
            rendered: Renderer::plain().render(&report),
        }
    }
}

impl Diagnostic {
    /// Translates an error of the parser into the words of this tool.
    pub(super) fn of_toml(error: &toml::de::Error, text: &str, origin: &str) -> Self {
        let span = error.span().unwrap_or(0..0);
        let message = error.message();
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let mistake = match (message.strip_prefix("unknown field"), quoted.split_first()) {
            (Some(_), Some((key, _))) if NOT_YET.contains(key) => Mistake::at(
                span,
                format!("key '{key}' is not supported by handover {} yet", env!("CARGO_PKG_VERSION")),
            )
            .help("remove it, or use the version that has it"),
            (Some(_), Some((key, known))) => {
                Mistake::at(span, format!("unknown key '{key}'")).help(nearest(key, known))
            }
            _ => Mistake::at(span, message.replace('`', "'")),
        };
        mistake.located(text, origin)
    }
}

/// A hint that names the known word nearest to `word`, or all of them.
pub(super) fn nearest(word: &str, known: &[&str]) -> String {
    known
        .iter()
        .map(|k| (strsim::jaro_winkler(word, k).max(strsim::normalized_damerau_levenshtein(word, k)), *k))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(|| format!("known here: {}", known.join(", ")), |(_, k)| format!("did you mean '{k}'?"))
}
