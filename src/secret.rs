//! Values that must not be seen: how they are held, and how they are kept out of everything that is printed.

use base64::Engine as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
pub use secrecy::{ExposeSecret, SecretString};

use crate::config::settings::{Settings, Value};
use crate::environment::filters;

/// Values shorter than this are not masked: masking every `1` or `db` would make reports unreadable, and a secret that
/// short is none.
const SHORTEST: usize = 4;

/// Lines of a longer value shorter than this are not masked on their own: `}` is in every text.
const SHORTEST_LINE: usize = 8;

/// What the `urlencode` of templates leaves (RFC 3986), and what the encoders of most languages leave.
pub(crate) const UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const UNRESERVED_AND_SLASH: &AsciiSet = &UNRESERVED.remove(b'/');

/// What a masked value reads as.
const MASK: &str = "***";

/// Whether a field of a secret may be seen: a report without hosts and names would say little, and they are no secrets.
pub fn is_open(field: &str) -> bool {
    matches!(field, "host" | "port" | "dbname" | "engine" | "username")
}

/// Takes secret values out of text, in every form in which they are likely to turn up.
///
/// It knows only the values it was told of, so it is the second line of defence: the first is that no secret is handed
/// to anything that prints.
#[derive(Default, Clone)]
pub struct Redactor {
    needles: Vec<SecretString>,
}

impl Redactor {
    /// Masks `value` from now on: as it is, percent-encoded, in Base64 and escaped for JSON; and each of its lines, because
    /// others print line by line.
    pub fn learn(&mut self, value: &str) {
        if value.len() < SHORTEST {
            return;
        }
        let json = serde_json::to_string(value).unwrap_or_default();
        let (python, shell) = (filters::python_escaped(value), filters::shell_escaped(value));
        let ascii_json = ascii_json(&json);
        let base64 = base64::engine::general_purpose::STANDARD.encode(value);
        let url_safe = base64::engine::general_purpose::URL_SAFE.encode(value);
        let percent = [NON_ALPHANUMERIC, UNRESERVED, UNRESERVED_AND_SLASH]
            .map(|reserved| utf8_percent_encode(value, reserved).to_string());
        let forms = [
            value,
            base64.trim_end_matches('='),
            url_safe.trim_end_matches('='),
            inside_quotes(&json),
            inside_quotes(&ascii_json),
            &python,
            &shell,
            &value.replace('\'', "'\"'\"'"),
        ];
        let lines = value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
        for form in forms.into_iter().chain(percent.iter().map(String::as_str)).chain(lines) {
            self.needles.push(SecretString::from(form));
            self.needles.push(SecretString::from(form.replace("%20", "+")));
        }
        self.tidy();
    }

    /// Longest first, so that a value that contains another is masked as a whole.
    fn tidy(&mut self) {
        self.needles.sort_by_key(|n| std::cmp::Reverse(n.expose_secret().len()));
        self.needles.dedup_by(|a, b| a.expose_secret() == b.expose_secret());
    }

    /// Masks what another one masks, too.
    pub fn learn_all(&mut self, other: Self) {
        self.needles.extend(other.needles);
        self.tidy();
    }

    /// Masks what a container was given from secrets, and leaves what the configuration says openly.
    pub fn learn_environment(&mut self, environment: &[(String, SecretString)], settings: &Settings) {
        for (name, value) in environment {
            match settings.environment.get(name) {
                None | Some(Value::Literal(_)) => {}
                Some(Value::Secret { field, .. }) if is_open(field) => {}
                Some(Value::Secret { .. }) => self.learn(value.expose_secret()),
                Some(Value::Template(template)) => {
                    self.learn(value.expose_secret());
                    self.learn_rendered(template, value.expose_secret());
                }
            }
        }
    }

    /// Masks what stands in a rendered text for the expressions of its template: as it is, and as it was before the
    /// filters.
    pub fn learn_rendered(&mut self, template: &str, rendered: &str) {
        for (expression, part) in filled_in(template, rendered) {
            let mut pipeline = expression.split('|').map(str::trim);
            let field = pipeline.next().and_then(|name| name.rsplit('.').next()).unwrap_or_default();
            if is_open(field) {
                continue;
            }
            self.learn(part);
            let filters: Vec<&str> = pipeline.collect();
            let mut before = part.to_owned();
            for filter in filters.into_iter().rev() {
                let Some(earlier) = filters::before(filter, &before) else { break };
                self.learn(&earlier);
                before = earlier;
            }
        }
    }

    /// `text` with every known value masked.
    pub fn redact(&self, text: &str) -> String {
        self.needles
            .iter()
            .map(ExposeSecret::expose_secret)
            .fold(text.to_owned(), |text, needle| text.replace(needle, MASK))
    }
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

fn inside_quotes(json: &str) -> &str {
    json.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(json)
}

/// What stands in a rendered text where its template has `{{ … }}`, as far as the text between tells. With a part that
/// is there or not, such as an `{% if %}`, the lines are compared one by one.
fn filled_in<'a>(template: &'a str, rendered: &'a str) -> Vec<(&'a str, &'a str)> {
    let whole = filled_in_at_once(template, rendered);
    if whole.len() == template.matches("{{").count() {
        return whole;
    }
    let lines = template.lines().filter(|line| line.contains("{{"));
    lines.flat_map(|line| rendered.lines().flat_map(move |found| filled_in_at_once(line, found))).collect()
}

fn filled_in_at_once<'a>(template: &'a str, rendered: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut parts = Vec::new();
    let mut pieces = template.split("{{");
    let Some(mut rest) = rendered.strip_prefix(pieces.next().unwrap_or_default()) else { return parts };
    for piece in pieces {
        let (expression, literal) = piece.split_once("}}").unwrap_or_default();
        let end = if literal.is_empty() { Some(rest.len()) } else { rest.find(literal) };
        let Some(end) = end else { break };
        parts.push((expression, &rest[..end]));
        rest = &rest[(end + literal.len()).min(rest.len())..];
    }
    parts
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

    /// What a process learns that never read the secret, from the file that a container has.
    #[test]
    fn values_are_found_in_a_rendered_file_and_before_its_filters() {
        let template = "HOST = {{ db.host | python }}\n{% if db.password %}\nPASSWORD = {{ db.password | python }}\n{% endif %}\nexport TOKEN={{ redis.value | shell }}\n";
        let rendered = "HOST = 'db.internal'\n\nPASSWORD = 'it\\'s secret'\n\nexport TOKEN='t'\\''oken'\n";
        let mut redactor = Redactor::default();
        redactor.learn_rendered(template, rendered);
        assert_eq!(redactor.redact("it's secret, t'oken, db.internal"), "***, ***, db.internal");
    }

    #[test]
    fn a_value_inside_another_leaves_no_rest() {
        let mut redactor = Redactor::default();
        redactor.learn("token");
        redactor.learn("token-with-tail");
        assert_eq!(redactor.redact("token-with-tail token"), "*** ***");
    }

    #[test]
    fn the_parts_of_a_template_are_found_again() {
        let template = "postgres://sp:{{ database.password | urlencode }}@{{ database.host }}:5432/sp";
        assert_eq!(
            filled_in(template, "postgres://sp:a%2Fb@db.internal:5432/sp"),
            [(" database.password | urlencode ", "a%2Fb"), (" database.host ", "db.internal")]
        );
        assert_eq!(filled_in("{{ redis.value }}", "token"), [(" redis.value ", "token")]);
        assert_eq!(filled_in("no secret", "no secret"), []);
        assert_eq!(filled_in("a{{ b }}c", "another text"), []);
    }

    #[test]
    fn short_values_are_left_alone() {
        let mut redactor = Redactor::default();
        redactor.learn("sp");
        assert_eq!(redactor.redact("spelling"), "spelling");
    }
}
