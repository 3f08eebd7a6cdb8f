//! Keeps values that must not be seen out of everything that is printed. It knows values and texts, but not where they
//! come from.

use base64::Engine as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::escape::{UNRESERVED, python_escaped, shell_escaped};

/// Values shorter than this are not masked: masking every `1` or `db` would make reports unreadable, and nothing that
/// short is a secret.
const SHORTEST: usize = 4;

/// Lines of a longer value shorter than this are not masked on their own: `}` is in every text.
const SHORTEST_LINE: usize = 8;

/// The user of an address without a password is masked from this length on: then it is a token, not a name.
const SHORTEST_TOKEN: usize = 16;

/// Common values of configurations that are never secrets.
const PLAIN: [&str; 3] = ["true", "false", "null"];

/// Parts of the names of secrets in a text.
const SECRET_NAMES: [&str; 6] = ["pass", "pwd", "secret", "token", "key", "credential"];

const UNRESERVED_AND_SLASH: &AsciiSet = &UNRESERVED.remove(b'/');

/// What is shown in place of a value.
const MASK: &str = "***";

/// Whether a field of a secret may be shown: reports need hosts and names, and these are not secret. Of a parameter below
/// a path the last part of its name counts.
pub fn is_open(field: &str) -> bool {
    matches!(field.rsplit('/').next().unwrap_or_default(), "host" | "port" | "dbname" | "engine" | "username")
}

/// Takes secret values out of text, in every form in which they are likely to turn up.
///
/// It knows only the values that it has learnt, so it is the second line of defence: the first is that no secret is passed
/// to anything that prints.
#[derive(Default, Clone)]
pub struct Redactor {
    needles: Vec<SecretString>,
}

impl Redactor {
    /// Masks `value` from now on, and the secrets that are in it: the values of JSON, also of JSON in a text in it, the
    /// password of an address, and what is named like a password. Each as it is, percent-encoded, in Base64 and escaped for
    /// JSON, Python and a shell; and each of its lines, because others print line by line.
    pub fn learn(&mut self, value: &str) {
        self.learn_whole(value);
        for leaf in leaves(value) {
            self.learn_whole(&leaf);
        }
        self.tidy();
    }

    fn learn_whole(&mut self, value: &str) {
        self.learn_forms(value);
        for part in credentials(value) {
            self.learn_forms(&part);
            let decoded = percent_decode_str(&part).decode_utf8();
            if let Some(decoded) = decoded.ok().filter(|decoded| *decoded != part) {
                self.learn_forms(&decoded);
            }
        }
    }

    fn learn_forms(&mut self, value: &str) {
        if value.len() < SHORTEST || PLAIN.contains(&value) {
            return;
        }
        let json = serde_json::to_string(value).unwrap_or_default();
        let (python, shell) = (python_escaped(value), shell_escaped(value));
        let ascii_json = ascii_json(&json);
        let html_in_json = html_in_json(&json);
        let base64 = base64::engine::general_purpose::STANDARD.encode(value);
        let url_safe = base64::engine::general_purpose::URL_SAFE.encode(value);
        let percent = [NON_ALPHANUMERIC, UNRESERVED, UNRESERVED_AND_SLASH]
            .map(|reserved| utf8_percent_encode(value, reserved).to_string());
        let lower = percent.each_ref().map(|encoded| in_lower_case(encoded));
        let forms = [
            value,
            base64.trim_end_matches('='),
            url_safe.trim_end_matches('='),
            inside_quotes(&json),
            inside_quotes(&ascii_json),
            inside_quotes(&html_in_json),
            &python,
            &shell,
            &value.replace('\'', "'\"'\"'"),
        ];
        let lines = value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
        let percent = percent.iter().chain(&lower).map(String::as_str);
        for form in forms.into_iter().chain(percent).chain(lines) {
            self.needles.push(SecretString::from(form));
            self.needles.push(SecretString::from(form.replace("%20", "+")));
        }
    }

    /// Longest first, so that a value that contains another is masked as a whole.
    fn tidy(&mut self) {
        let order =
            |n: &SecretString| (std::cmp::Reverse(n.expose_secret().len()), n.expose_secret().to_owned());
        self.needles.sort_by_cached_key(order);
        self.needles.dedup_by(|a, b| a.expose_secret() == b.expose_secret());
    }

    /// Also masks what another one masks.
    pub fn learn_all(&mut self, other: Self) {
        self.needles.extend(other.needles);
        self.tidy();
    }

    /// `text` with every known value masked.
    pub fn redact(&self, text: &str) -> String {
        self.needles
            .iter()
            .map(ExposeSecret::expose_secret)
            .fold(text.to_owned(), |text, needle| text.replace(needle, MASK))
    }
}

/// The texts and numbers in a value that is a JSON object or array, and in its texts that are JSON themselves. What may be
/// shown is left out.
fn leaves(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(json @ (Value::Array(_) | Value::Object(_))) = serde_json::from_str(value) {
        leaves_of(json, &mut found);
    }
    found
}

fn leaves_of(value: Value, found: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.into_iter().for_each(|value| leaves_of(value, found)),
        Value::Object(members) => {
            let hidden = members.into_iter().filter(|(name, value)| is_nested(value) || !is_open(name));
            hidden.for_each(|(_, value)| leaves_of(value, found));
        }
        Value::String(text) => {
            found.extend(leaves(&text));
            found.push(text);
        }
        Value::Number(number) => found.push(number.to_string()),
        Value::Bool(_) | Value::Null => {}
    }
}

fn is_nested(value: &Value) -> bool {
    value.is_array() || value.is_object()
}

/// The passwords in a text, by their place: in an address, and after the name of a secret.
fn credentials(text: &str) -> Vec<String> {
    let words = || text.split_whitespace();
    let addresses = words().filter_map(|word| password_of(word.split_once("://")?.1));
    let pieces = words().flat_map(|word| word.split([';', '&', '?']));
    let named = text.lines().chain(words()).chain(pieces).filter_map(named_secret);
    addresses.chain(named).map(str::to_owned).collect()
}

/// The password of an address, or its token, from what follows its `://`.
fn password_of(rest: &str) -> Option<&str> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) => match user.split_once(':') {
            Some((_, password)) => Some(password),
            None => Some(user).filter(|user| user.len() >= SHORTEST_TOKEN),
        },
        // A password that should have been percent-encoded, and was not.
        None => Some(rest.rsplit_once('@')?.0.split_once(':')?.1),
    }
}

/// `hunter2` of `export DB_PASSWORD="hunter2"`, of `password: hunter2` and of `Pwd=hunter2`.
fn named_secret(text: &str) -> Option<&str> {
    let (name, value) = text.split_once(['=', ':'])?;
    let name = name.split_whitespace().next_back()?.to_ascii_lowercase();
    let is_secret = SECRET_NAMES.iter().any(|word| name.contains(word));
    is_secret.then(|| value.trim().trim_matches(['"', '\'']))
}

/// Percent-encoding in lower case, as some languages write it.
fn in_lower_case(encoded: &str) -> String {
    let mut digits = 0;
    let lower = |c: char| {
        let is_digit = digits > 0;
        digits = if c == '%' { 2_u8 } else { digits.saturating_sub(1) };
        if is_digit { c.to_ascii_lowercase() } else { c }
    };
    encoded.chars().map(lower).collect()
}

/// JSON in ASCII, as Python writes it.
fn ascii_json(json: &str) -> String {
    let mut units = [0; 2];
    let escaped = |c: char| match c {
        ' '..='~' => c.to_string(),
        _ => c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    };
    json.chars().map(escaped).collect()
}

/// JSON that may stand in HTML, as Go writes it.
fn html_in_json(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn inside_quotes(json: &str) -> &str {
    json.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_masked() {
        let mut redactor = Redactor::default();
        redactor.learn("p\"ss/wörd #1");
        for shown in ["p\"ss/wörd #1", "p%22ss%2Fw%C3%B6rd%20%231", "cCJzcy93w7ZyZCAjMQ", "p\\\"ss/wörd #1"]
        {
            assert_eq!(redactor.redact(&format!("a {shown} b")), "a *** b", "{shown}");
        }
    }

    /// As the filters write it, and as others do.
    #[test]
    fn every_quoted_form_is_masked() {
        let mut redactor = Redactor::default();
        redactor.learn("it's a 🦀");
        for shown in [
            r"it\'s a \U0001f980",
            r"it'\''s a 🦀",
            r#"it'"'"'s a 🦀"#,
            r"it's a \ud83e\udd80",
            "it%27s%20a%20%F0%9F%A6%80",
            "it%27s+a+%F0%9F%A6%80",
            "aXQncyBhIPCfpoA",
        ] {
            assert_eq!(redactor.redact(&format!("a {shown} b")), "a *** b", "{shown}");
        }
    }

    #[test]
    fn a_value_inside_another_leaves_no_rest() {
        let mut redactor = Redactor::default();
        redactor.learn("token");
        redactor.learn("token-with-tail");
        assert_eq!(redactor.redact("token-with-tail token"), "*** ***");
    }

    fn redacted(value: &str, text: &str) -> String {
        let mut redactor = Redactor::default();
        redactor.learn(value);
        redactor.redact(text)
    }

    /// An app that reads such a text prints what is in it, and not the text.
    #[test]
    fn the_values_in_a_text_that_is_json_are_masked_by_themselves() {
        let inner = r#"{"token": "in\"side"}"#;
        let value = serde_json::json!({
            "password": "hunter2", "host": "db.internal", "on": true, "none": null, "port": 543_210,
            "deep": [{"keys": ["first-key", 20_250_101]}], "again": inner,
        });
        for text in [value.to_string(), format!("{value:#}"), format!(" {value}\n"), format!("[{value}]")] {
            assert_eq!(
                redacted(&text, "hunter2 db.internal true null first-key 20250101 in\"side"),
                "*** db.internal true null *** *** ***",
                "{text}"
            );
        }
        assert_eq!(redacted("true", "true"), "true");
        // Cut off, it is not JSON, but still has the name.
        assert_eq!(redacted(r#"{"password": "hunter2""#, "hunter2"), "***");
    }

    #[test]
    fn percent_encoding_is_found_in_both_cases() {
        for shown in ["p%22ss%2fw%c3%b6rd", "p%22ss%2Fw%C3%B6rd", "p%22ss/w%c3%b6rd"] {
            assert_eq!(redacted("p\"ss/wörd", &format!("a {shown} b")), "a *** b", "{shown}");
        }
    }

    #[test]
    fn the_password_in_an_address_is_masked_by_itself() {
        for url in [
            "postgres://sp:hunt%2Fer2@db.internal:5432/sp?sslmode=require",
            "postgres://sp:hunt/er2@db.internal/sp",
            "a redis://:hunt%2fer2@cache:6379/0, and more",
            r#"{"url": "postgres://sp:hunt/er2@db.internal/sp"}"#,
        ] {
            assert_eq!(
                redacted(url, "hunt/er2 hunt%2fer2 hunt%2Fer2 at db.internal"),
                "*** *** *** at db.internal"
            );
        }
        assert_eq!(redacted("https://0123456789abcdef0123@sentry/1", "0123456789abcdef0123"), "***");
        assert_eq!(redacted("postgres://postgres@db.internal/sp", "postgres"), "postgres");
        assert_eq!(redacted("https://db.internal/a:b/c@d", "db.internal"), "db.internal");
    }

    #[test]
    fn what_is_called_a_password_in_a_text_is_masked_by_itself() {
        for text in [
            "HOST=db.internal\nexport DB_PASSWORD=\"hunter2\"\n",
            "host=db.internal user=sp password=hunter2",
            "jdbc:postgresql://db.internal/sp?user=sp&password=hunter2&ssl=true",
            "Server=db.internal;Pwd=hunter2;",
            "password: hunter2\nhost: db.internal\n",
        ] {
            assert_eq!(redacted(text, "hunter2 at db.internal"), "*** at db.internal", "{text}");
        }
    }

    #[test]
    fn short_values_are_left_alone() {
        let mut redactor = Redactor::default();
        redactor.learn("sp");
        assert_eq!(redactor.redact("spelling"), "spelling");
    }
}
