//! Values that must not be seen: how they are held, and how they are kept out of everything that is printed.

use base64::Engine as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
pub use secrecy::{ExposeSecret, SecretString};

use crate::config::settings::{Settings, Value};

/// Values shorter than this are not masked: masking every `1` or `db` would make reports unreadable, and a secret that
/// short is none.
const SHORTEST: usize = 4;

/// What a masked value reads as.
const MASK: &str = "[secret]";

/// Takes secret values out of text, in every form in which they are likely to turn up.
///
/// It knows only the values it was told of, so it is the second line of defence: the first is that no secret is handed
/// to anything that prints.
#[derive(Default, Clone)]
pub struct Redactor {
    needles: Vec<SecretString>,
}

impl Redactor {
    /// Masks `value` from now on: as it is, percent-encoded, in Base64 and escaped for JSON.
    pub fn learn(&mut self, value: &str) {
        if value.len() < SHORTEST {
            return;
        }
        let json = serde_json::to_string(value).unwrap_or_default();
        let base64 = base64::engine::general_purpose::STANDARD.encode(value);
        for form in [
            value,
            &utf8_percent_encode(value, NON_ALPHANUMERIC).to_string(),
            base64.trim_end_matches('='),
            json.trim_matches('"'),
        ] {
            self.needles.push(SecretString::from(form));
        }
        // Longest first, so that a value that contains another is masked as a whole.
        self.needles.sort_by_key(|n| std::cmp::Reverse(n.expose_secret().len()));
        self.needles.dedup_by(|a, b| a.expose_secret() == b.expose_secret());
    }

    /// Masks what a container was given from secrets, and leaves what the configuration says openly.
    pub fn learn_environment(&mut self, environment: &[(String, SecretString)], settings: &Settings) {
        for (name, value) in environment {
            if !matches!(settings.environment.get(name), None | Some(Value::Literal(_))) {
                self.learn(value.expose_secret());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_masked() {
        let mut redactor = Redactor::default();
        redactor.learn("p\"ss/wörd #1");
        for shown in ["p\"ss/wörd #1", "p%22ss%2Fw%C3%B6rd%20%231", "cCJzcy93w7ZyZCAjMQ", "p\\\"ss/wörd #1"]
        {
            assert_eq!(redactor.redact(&format!("a {shown} b")), "a [secret] b", "{shown}");
        }
    }

    #[test]
    fn a_value_inside_another_leaves_no_rest() {
        let mut redactor = Redactor::default();
        redactor.learn("token");
        redactor.learn("token-with-tail");
        assert_eq!(redactor.redact("token-with-tail token"), "[secret] [secret]");
    }

    #[test]
    fn short_values_are_left_alone() {
        let mut redactor = Redactor::default();
        redactor.learn("sp");
        assert_eq!(redactor.redact("spelling"), "spelling");
    }
}
