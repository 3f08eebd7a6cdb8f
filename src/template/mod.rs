//! Templates: Jinja with strict rules. What is undefined is an error, and no error contains a value. Names and values go in,
//! text comes out.

mod depth;
mod filters;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, filters as builtin};
use secrecy::{ExposeSecret as _, SecretString};

pub use filters::undo_filter;

/// What a template can name, and the fields of each: a text, or why there is none.
pub type Values = BTreeMap<String, BTreeMap<String, Result<SecretString, String>>>;

/// The filters that there are. minijinja's others are left out: they format or escape in ways of their own, or show
/// values for debugging.
const FILTERS: &[&str] = &[
    "default",
    "first",
    "indent",
    "join",
    "last",
    "length",
    "lower",
    "python",
    "replace",
    "shell",
    "split",
    "tojson",
    "trim",
    "upper",
    "urlencode",
];

/// The tests (`is …`) that there are.
const TESTS: &[&str] = &["defined", "endingwith", "startingwith", "undefined"];

/// What is wrong with a template, before any value is known.
#[derive(Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Its own line.
    pub line: Option<usize>,
    /// What.
    pub what: String,
    /// The unknown word, and those that are known.
    pub unknown: Option<(String, &'static [&'static str])>,
}

/// Checks a template and returns the secrets that it names. Filters are checked in a trial with made-up values, so one
/// behind an `{% if %}` may show only when it is rendered, which is still before anything is touched.
pub fn check(text: &str) -> Result<BTreeSet<String>, TemplateError> {
    if let Some((line, what)) = depth::obstacle(text) {
        return Err(TemplateError { line: Some(line), what, unknown: None });
    }
    depth::with_a_large_stack(|| check_it(text))
}

fn check_it(text: &str) -> Result<BTreeSet<String>, TemplateError> {
    let engine = engine();
    let template = engine.template_from_str(text).map_err(|e| wrong(&e))?;
    let names: BTreeSet<String> = template.undeclared_variables(false).into_iter().collect();
    let anything = Value::from_object(Anything);
    let trial =
        limited(&template, Value::from_pairs(names.iter().map(|name| (name.clone(), anything.clone()))));
    match trial {
        Err(e) if is_in_the_text(e.kind()) => Err(wrong(&e)),
        _ => Ok(names),
    }
}

/// Whether an error is one of the template itself, whatever the values are.
fn is_in_the_text(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::SyntaxError
            | ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::TemplateNotFound
            | ErrorKind::WriteFailure
    )
}

fn wrong(error: &Error) -> TemplateError {
    let detail = error.detail().unwrap_or_default();
    let word = detail.split_whitespace().nth(1).unwrap_or_default().trim_matches(['\'', '"', '`']).to_owned();
    let unknown = match error.kind() {
        ErrorKind::UnknownFilter => Some(FILTERS),
        ErrorKind::UnknownTest => Some(TESTS),
        _ => None,
    };
    let what = match unknown {
        Some(_) => format!("{} '{word}'", error.kind()),
        None if detail.is_empty() => error.kind().to_string(),
        None => format!("{}: {detail}", error.kind()),
    };
    TemplateError { line: error.line(), what, unknown: unknown.map(|known| (word, known)) }
}

/// Why a template cannot be rendered, without values.
#[derive(Debug, PartialEq, Eq)]
pub struct RenderError {
    /// Its own line.
    pub line: usize,
    /// The reason.
    pub why: String,
}

/// Renders a template. `missing` explains a field that a secret does not have.
pub fn render(
    text: &str,
    values: &Values,
    missing: impl Fn(&str, &str) -> String + Send,
) -> Result<String, RenderError> {
    if let Some((line, why)) = depth::obstacle(text) {
        return Err(RenderError { line, why });
    }
    depth::with_a_large_stack(|| render_it(text, values, missing))
}

fn render_it(
    text: &str,
    values: &Values,
    missing: impl Fn(&str, &str) -> String,
) -> Result<String, RenderError> {
    let engine = engine();
    let context = Value::from_pairs(values.iter().map(|(name, fields)| (name.clone(), Secret::of(fields))));
    let failed = |line: Option<usize>, why: String| RenderError { line: line.unwrap_or(1), why };
    let template = engine.template_from_str(text).map_err(|e| failed(e.line(), wrong(&e).what))?;
    limited(&template, context).map_err(|e| {
        let why = match (unusable(&e), first_missing(&template, values)) {
            (Some(why), _) => why.to_owned(),
            (None, Some((name, field))) if e.kind() == ErrorKind::UndefinedError => missing(&name, &field),
            // minijinja quotes values in the details of other errors; the line is the configuration's own.
            _ if is_in_the_text(e.kind()) => wrong(&e).what,
            _ => match e.line().and_then(|line| text.lines().nth(line.saturating_sub(1))) {
                Some(line) => format!("{} in '{}'", e.kind(), line.trim()),
                None => e.kind().to_string(),
            },
        };
        failed(e.line(), why)
    })
}

/// The most text that comes out of a template: a few characters of one can ask for more than there is memory.
const LONGEST: usize = 16 << 20;

/// Renders as much as may come out.
fn limited(template: &minijinja::Template<'_, '_>, context: Value) -> Result<String, Error> {
    struct Limited(Vec<u8>);
    impl Write for Limited {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.len() + bytes.len() > LONGEST {
                return Err(io::Error::other("more than 16 MiB"));
            }
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut rendered = Limited(Vec::new());
    template.render_captured_to(context, &mut rendered).map_err(|error| match error.kind() {
        ErrorKind::WriteFailure => Error::new(ErrorKind::WriteFailure, "more than 16 MiB come out of it"),
        _ => error,
    })?;
    // It comes in pieces of text.
    Ok(String::from_utf8_lossy(&rendered.0).into_owned())
}

/// The first field that a template names and its values do not have.
fn first_missing(template: &minijinja::Template<'_, '_>, values: &Values) -> Option<(String, String)> {
    let paths: BTreeSet<String> = template.undeclared_variables(true).into_iter().collect();
    let mut fields = paths.iter().filter_map(|path| path.split_once('.'));
    let found = fields
        .find(|(name, field)| values.get(*name).is_some_and(|held| !matches!(held.get(*field), Some(Ok(_)))));
    found.map(|(name, field)| (name.to_owned(), field.to_owned()))
}

/// A field without a text was used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unusable(String);

fn unusable(error: &Error) -> Option<&str> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(Unusable(why)) = cause.downcast_ref() {
            return Some(why);
        }
        next = cause.source();
    }
    None
}

/// A secret in a template: only its fields have values.
struct Secret {
    fields: Vec<(String, Value)>,
}

impl Secret {
    fn of(fields: &BTreeMap<String, Result<SecretString, String>>) -> Value {
        let value = |held: &Result<SecretString, String>| match held {
            Ok(text) => Value::from(text.expose_secret()),
            Err(why) => {
                let problem = Unusable(why.clone());
                Value::from(Error::new(ErrorKind::InvalidOperation, "unusable").with_source(problem))
            }
        };
        let fields = fields.iter().map(|(field, held)| (field.clone(), value(held))).collect();
        Value::from_object(Self { fields })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Object for Secret {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        self.fields.iter().find(|(field, _)| field == key).map(|(_, value)| value.clone())
    }

    /// All of its values in one text are never wanted.
    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Err(fmt::Error)
    }
}

/// Has every field.
#[derive(Debug)]
struct Anything;

impl Object for Anything {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        Some(Value::from("x"))
    }
}

fn engine() -> Environment<'static> {
    let mut engine = Environment::empty();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.add_filter("default", builtin::default);
    engine.add_filter("first", builtin::first);
    engine.add_filter("indent", builtin::indent);
    engine.add_filter("join", builtin::join);
    engine.add_filter("last", builtin::last);
    engine.add_filter("length", builtin::length);
    engine.add_filter("lower", builtin::lower);
    engine.add_filter("python", filters::python);
    engine.add_filter("replace", builtin::replace);
    engine.add_filter("shell", filters::shell);
    engine.add_filter("split", builtin::split);
    engine.add_filter("tojson", filters::tojson);
    engine.add_filter("trim", builtin::trim);
    engine.add_filter("upper", builtin::upper);
    engine.add_filter("urlencode", filters::urlencode);
    engine.add_test("defined", minijinja::tests::is_defined);
    engine.add_test("undefined", minijinja::tests::is_undefined);
    engine.add_test("startingwith", minijinja::tests::is_startingwith);
    engine.add_test("endingwith", minijinja::tests::is_endingwith);
    engine
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(text: &str) -> String {
        let wrong = check(text).unwrap_err();
        format!("{}: {}", wrong.line.unwrap_or_default(), wrong.what)
    }

    #[test]
    fn what_cannot_be_right_is_found_before_any_value_is_known() {
        assert_eq!(what("a\n{{ database.host | urlencod }}"), "2: unknown filter 'urlencod'");
        assert_eq!(what("{% if database.host is nice %}x{% endif %}"), "1: unknown test 'nice'");
        assert!(
            what("a\nb\n{{ database.host").starts_with("3: syntax error"),
            "{}",
            what("{{ database.host")
        );
        assert!(what("{% include 'other' %}").starts_with("1: "));
    }

    /// Each of these ended the process, by its stack or by its memory.
    #[test]
    fn what_is_too_much_for_the_engine_is_a_mistake() {
        let many = |piece: &str, n: usize| piece.repeat(n);
        for text in [
            format!("{{{{ {}1 }}}}", many("-", 50_000)),
            format!("{{{{ 1{} }}}}", many("~1", 50_000)),
            format!("{{{{ a{} }}}}", many("|upper", 50_000)),
            format!("{{{{ {}1 }}}}", many("1 if 1 else ", 50_000)),
        ] {
            assert!(what(&text).contains("a tag of more than 4096 bytes"), "{}", &text[..20]);
            let failed = render(&text, &Values::new(), |_, _| String::new()).unwrap_err();
            assert!(failed.why.contains("a tag of more than 4096 bytes"));
        }
        assert!(
            what(&format!("{{% if 1 %}}{}{{% endif %}}", many("{% elif 1 %}", 50_000))).contains("branches")
        );
        assert!(what("{{ 'x' * 20000000 }}").contains("more than 16 MiB come out of it"));
        // The deepest that may be.
        for text in [
            format!("{{{{ {}1 }}}}", many("-", depth::LONGEST_TAG - 10)),
            format!("{{{{ 1{} }}}}", many("~1", depth::LONGEST_TAG / 2 - 10)),
            format!("{{{{ a{} }}}}", many("[0]", depth::LONGEST_TAG / 3 - 10)),
            format!("{{% if 1 %}}{}{{% endif %}}", many("{% elif 1 %}", 500)),
        ] {
            check(&text).unwrap();
        }
    }

    #[test]
    fn every_filter_and_test_that_is_offered_is_there() {
        for filter in FILTERS {
            assert!(check(&format!("{{{{ database.host | {filter} }}}}")).is_ok(), "{filter}");
        }
        for test in TESTS {
            assert!(check(&format!("{{{{ database.host is {test} }}}}")).is_ok(), "{test}");
        }
        assert!(check("{{ database.host | pprint }}").is_err() && check("{{ database.host | e }}").is_err());
    }

    #[test]
    fn the_secrets_that_are_named() {
        let names =
            check("{% set x = a.b %}{{ x }}{{ c['d-e'] }}{% for f in g.h %}{{ f }}{% endfor %}").unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "c", "g"]);
    }
}
