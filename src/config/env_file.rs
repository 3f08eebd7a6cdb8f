//! Files with environment variables, in the syntax of `docker run --env-file` (docker's `opts/file.go`) and nothing beyond it:
//! one `NAME=VALUE` on a line, the value as it is up to the line's end.

use std::ops::Range;

use toml::Spanned;

use super::bundle_files::{BundleFiles, read_text};
use super::diagnostic::Mistake;

/// One variable.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
    /// Its line, from 1 on.
    pub(super) line: usize,
}

/// What is wrong with a line. Never contains a value.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    line: usize,
    what: String,
    help: String,
}

/// The variables of a file of the bundle.
pub(super) fn read(path: &Spanned<String>, files: &BundleFiles) -> Result<Vec<Variable>, Mistake> {
    let (_, file) = files.find(path)?;
    parse(&read_text(&file, path)?).map_err(|Wrong { line, what, help }| {
        Mistake::at(path.span(), format!("{}, line {line}: {what}", path.get_ref())).help(help)
    })
}

fn parse(text: &str) -> Result<Vec<Variable>, Wrong> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = vec![];
    for (line, written) in (1..).zip(text.split('\n')) {
        let wrong = |what: String, help: &str| Wrong { line, what, help: help.to_owned() };
        let written = written.strip_suffix('\r').unwrap_or(written).trim_start();
        if written.is_empty() || written.starts_with('#') {
            continue;
        }
        let (name, value) = match written.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (written, None),
        };
        if name.is_empty() {
            return Err(wrong("there is no name before '='".to_owned(), "write NAME=VALUE"));
        }
        if name.contains([' ', '\t']) {
            let help = match name.strip_prefix("export") {
                Some(_) => "remove 'export': it is no shell that reads this file",
                None => "write NAME=VALUE, without spaces before '='",
            };
            // Whatever stands before the first space is no value.
            let first = name.split([' ', '\t']).next().unwrap_or_default();
            return Err(wrong(format!("the name of a variable has a space behind '{first}'"), help));
        }
        let Some(value) = value else {
            return Err(wrong(
                format!(
                    "'{name}' has no value: docker would take that of its own environment, and a hook has none"
                ),
                "write NAME=VALUE, or NAME= for an empty one",
            ));
        };
        if written.contains('\0') {
            return Err(wrong(
                "an environment variable cannot contain a NUL character".to_owned(),
                "remove it",
            ));
        }
        variables.push(Variable { name: name.to_owned(), value: value.to_owned(), line });
    }
    Ok(variables)
}

/// Warnings about what should rather be a secret: the bundle's archive, and whoever can read it, have the file. `span` is
/// what names the file.
pub(super) fn lints(path: &Spanned<String>, files: &BundleFiles) -> Vec<Mistake> {
    // Whatever is wrong with the file is found elsewhere.
    let variables = read(path, files).unwrap_or_default();
    let suspects = variables.iter().filter(|variable| looks_secret(&variable.name, &variable.value));
    suspects.map(|variable| warning(path.span(), path.get_ref(), variable)).collect()
}

fn warning(span: Range<usize>, file: &str, Variable { name, line, .. }: &Variable) -> Mistake {
    let what = format!("{file}, line {line}: the value of '{name}' looks like a secret");
    Mistake::warning(span, what).help(format!(
        "keep it in Secrets Manager or Parameter Store, and write {name} = {{ secret = \"NAME.FIELD\" }}"
    ))
}

/// Words in the names of variables whose values are secrets.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pass",
    "pwd",
    "secret",
    "token",
    "apikey",
    "credential",
    "credentials",
];

/// Words before `KEY` that make it a secret one.
const SECRET_KEYS: &[&str] =
    &["api", "access", "private", "encryption", "signing", "master", "license", "auth"];

/// Last words of the names of variables that only say where a secret is, or how it is made.
const ABOUT_SECRETS: &[&str] = &[
    "file",
    "path",
    "dir",
    "name",
    "id",
    "arn",
    "url",
    "header",
    "algorithm",
    "ttl",
    "timeout",
    "expiry",
    "expires",
    "length",
    "enabled",
    "required",
    "lifetime",
    "field",
    "type",
];

/// How tokens of common services begin.
const TOKENS: &[&str] = &[
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "sk_live_",
    "rk_live_",
    "SG.",
    "eyJ",
    "AIza",
];

/// The length from which on a text with such a beginning is a token.
const SHORTEST_TOKEN: usize = 16;

fn looks_secret(name: &str, value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']);
    is_secret_value(value) || (is_secret_name(name) && !is_harmless(value))
}

fn is_secret_name(name: &str) -> bool {
    let lower = name.to_lowercase();
    let words: Vec<&str> = lower.split(['_', '-', '.']).filter(|word| !word.is_empty()).collect();
    if words.last().is_some_and(|last| ABOUT_SECRETS.contains(last)) {
        return false;
    }
    let glued = |word: &&str| ["password", "secret"].iter().any(|end| word.ends_with(end));
    words.iter().any(|word| SECRET_WORDS.contains(word) || glued(word))
        || words.array_windows().any(|[before, word]| *word == "key" && SECRET_KEYS.contains(before))
}

/// A switch, a number, a path, or nothing.
fn is_harmless(value: &str) -> bool {
    let switch = ["true", "false", "yes", "no", "on", "off", "none", "null", "changeme"];
    value.is_empty()
        || value.starts_with('/')
        || value.parse::<u16>().is_ok()
        || switch.contains(&value.to_lowercase().as_str())
}

fn is_secret_value(value: &str) -> bool {
    let is_token =
        |begin: &&str| value.len() >= SHORTEST_TOKEN && value.starts_with(*begin) && !value.contains(' ');
    value.contains("PRIVATE KEY-----") || TOKENS.iter().any(is_token) || has_password(value)
}

/// `scheme://USER:PASSWORD@host`.
fn has_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    user.and_then(|user| user.split_once(':')).is_some_and(|(_, password)| !password.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let variables = parse(text).unwrap_or_else(|wrong| panic!("{text:?}: {wrong:?}"));
        variables.into_iter().map(|variable| (variable.name, variable.value)).collect()
    }

    #[test]
    fn a_file_is_read_as_docker_reads_it() {
        let text = "\u{feff}# a comment\r\n\n  \t# another\nA=1\r\n  B=two words \nC=\nD=a=b # no comment\nE=\"quoted\"\nF='x'\nG=$HOME ${A}\nh-i.j=\u{e4}\nA=again";
        let expected = [
            ("A", "1"),
            ("B", "two words "),
            ("C", ""),
            ("D", "a=b # no comment"),
            ("E", "\"quoted\""),
            ("F", "'x'"),
            ("G", "$HOME ${A}"),
            ("h-i.j", "\u{e4}"),
            ("A", "again"),
        ];
        assert_eq!(read(text), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(read("").is_empty() && read("\n\r\n  ").is_empty());
    }

    #[test]
    fn what_docker_refuses_and_what_it_takes_from_elsewhere() {
        for (line, what, help) in [
            ("=hunter2", "no name before '='", "NAME=VALUE"),
            ("A =hunter2", "a space behind 'A'", "without spaces"),
            ("A: hunter2", "a space behind 'A:'", "without spaces"),
            ("export A=hunter2", "a space behind 'export'", "remove 'export'"),
            ("A", "'A' has no value", "NAME= for an empty one"),
            ("A=hunter2\0", "NUL", "remove"),
        ] {
            let wrong = parse(&format!("OK=1\n\n{line}\n")).unwrap_err();
            assert_eq!(wrong.line, 3, "{line}");
            assert!(wrong.what.contains(what) && wrong.help.contains(help), "{line}: {wrong:?}");
            assert!(!format!("{wrong:?}").contains("hunter2"), "{wrong:?}");
        }
    }

    #[test]
    fn what_looks_like_a_secret() {
        for (name, value) in [
            ("DATABASE_PASSWORD", "hunter2"),
            ("DJANGO_SECRET_KEY", "django-insecure-x"),
            ("PGPASSWORD", "\"hunter2\""),
            ("STRIPE_API_KEY", "x"),
            ("github.token", "x"),
            ("URL", "postgres://sp:hunter2@db/sp"),
            ("REDIS", "rediss://:hunter2@cache:6379/0"),
            ("ID", "AKIAIOSFODNN7EXAMPLE"),
            ("PEM", "-----BEGIN RSA PRIVATE KEY-----"),
        ] {
            assert!(looks_secret(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("DATABASE_PASSWORD", ""),
            ("DATABASE_PASSWORD_FILE", "/run/secrets/db"),
            ("PASSWORD_RESET_TIMEOUT", "hour"),
            ("TOKEN_REQUIRED", "sometimes"),
            ("USE_TOKEN", "false"),
            ("KEYBOARD", "de"),
            ("CACHE_KEY_PREFIX", "sp"),
            ("PASSENGER_APP", "web"),
            ("URL", "https://user@example.com/a:b@c"),
            ("SIZE", "eyJ"),
            ("SECRET_ID", "prod/db"),
        ] {
            assert!(!looks_secret(name, value), "{name}={value}");
        }
    }
}
