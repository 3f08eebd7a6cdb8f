//! What Psych takes a value without quotes for: YAML 1.1, in its own way (`scalar_scanner.rb` of Psych 4).

use std::sync::LazyLock;

use regex_lite::Regex;

use super::psych::Value;

/// What Psych does not load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unloadable {
    /// Dates and times, which the safe loading refuses.
    Date,
    /// It looks like a number, and Ruby's `Integer()` or `Float()` raises.
    Number,
}

/// The value of a plain scalar.
pub(super) fn value(text: &str) -> Result<Value, Unloadable> {
    if text.is_empty() {
        return Ok(Value::Nil);
    }
    if looks_like_text(text) {
        return Ok(word(text));
    }
    if is_time(text) || is_date(text) {
        return Err(Unloadable::Date);
    }
    match text.trim_start_matches('+').to_ascii_lowercase().as_str() {
        ".inf" if !text.starts_with("++") => return Ok(Value::Float(f64::INFINITY)),
        "-.inf" if !text.starts_with('+') => return Ok(Value::Float(f64::NEG_INFINITY)),
        ".nan" if !text.starts_with('+') => return Ok(Value::Float(f64::NAN)),
        _ => {}
    }
    if let Some(name) = text.strip_prefix(':').filter(|name| !name.is_empty()) {
        return Ok(Value::Symbol(name.trim_matches(['"', '\'']).to_owned()));
    }
    if let Some(value) = base_60(text) {
        return Ok(value);
    }
    if is_float(text) {
        return float(text);
    }
    integer(text).unwrap_or_else(|| Ok(Value::Text(text.to_owned())))
}

/// Whether it begins like a word: a letter or a sign that no number begins with, or such a one after any other.
fn looks_like_text(text: &str) -> bool {
    let is_sign =
        |c: char| c.is_alphabetic() || c.is_ascii_whitespace() || "_!@#$%^&*(){}<>|/\\~;=".contains(c);
    let mut characters = text.chars();
    let (first, second) = (characters.next(), characters.next());
    let is_free = |c: char| !c.is_ascii_digit() && !".:-".contains(c);
    text.contains('\n')
        || first.is_some_and(is_sign)
        || (first.is_some_and(is_free) && second.is_some_and(is_sign))
}

/// A word of up to five letters may be nothing, true or false.
fn word(text: &str) -> Value {
    match text.to_ascii_lowercase().as_str() {
        "~" | "null" => Value::Nil,
        "yes" | "true" | "on" => Value::Bool(true),
        "no" | "false" | "off" => Value::Bool(false),
        _ => Value::Text(text.to_owned()),
    }
}

/// A form of numbers, as Psych writes it.
macro_rules! form {
    ($name:ident, $form:literal) => {
        static $name: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($form).ok());
    };
}

form!(TIME, r"^-?\d{4}-\d{1,2}-\d{1,2}([Tt]|\s+)\d{1,2}:\d\d:\d\d(\.\d*)?(\s*(Z|[-+]\d{1,2}:?(\d\d)?))?$");
form!(DATE, r"^\d{4}-(1[012]|0\d|\d)-([12]\d|3[01]|0\d|\d)$");
form!(BASE_60, r"^[-+]?[0-9][0-9_]*(:[0-5]?[0-9]){1,2}(\.[0-9_]*)?$");
form!(FLOAT, r"^[-+]?([0-9][0-9_,]*)?\.[0-9]*([eE][-+][0-9]+)?$");
form!(INTEGER, r"^[-+]?(0b[01_,]+|0[0-7_,]+|0|[1-9]([0-9]|,[0-9]|_[0-9])*|0x[0-9a-fA-F_,]+)$");

fn fits(form: &LazyLock<Option<Regex>>, text: &str) -> bool {
    form.as_ref().is_some_and(|form| form.is_match(text))
}

fn is_time(text: &str) -> bool {
    fits(&TIME, text)
}

fn is_date(text: &str) -> bool {
    fits(&DATE, text)
}

fn is_float(text: &str) -> bool {
    fits(&FLOAT, text) && !matches!(text, "." | "+." | "-.")
}

/// `10:20`, which Psych takes for 10 hours and 20 minutes: 37200.
fn base_60(text: &str) -> Option<Value> {
    if !fits(&BASE_60, text) {
        return None;
    }
    let weights = [3600, 60, 1];
    if text.contains('.') {
        let number = |part: &str| part.replace('_', "").parse::<f64>().unwrap_or(0.0);
        let sum = text.split(':').zip(weights).map(|(part, weight)| number(part) * f64::from(weight)).sum();
        return Some(Value::Float(sum));
    }
    let sum = text.split(':').zip(weights).fold(0_i128, |sum, (part, weight)| {
        sum.saturating_add(leading_integer(part).saturating_mul(weight.into()))
    });
    Some(Value::Integer(sum))
}

/// `Float()` of it without its commas and underscores. Rust reads `1.` and `.5`, too, but no exponent alone.
fn float(text: &str) -> Result<Value, Unloadable> {
    let digits = text.replace([',', '_'], "");
    digits.parse().map(Value::Float).map_err(|_| Unloadable::Number)
}

/// `Integer()` of it without its commas and underscores: the sign, the base, the digits.
fn integer(text: &str) -> Option<Result<Value, Unloadable>> {
    if !fits(&INTEGER, text) {
        return None;
    }
    let digits = text.replace([',', '_'], "");
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let (digits, base) =
        match (digits.strip_prefix("0b"), digits.strip_prefix("0x"), digits.strip_prefix('0')) {
            (Some(rest), ..) => (rest, 2),
            (_, Some(rest), _) => (rest, 16),
            (.., Some(rest)) if !rest.is_empty() => (rest, 8),
            _ => (digits, 10),
        };
    if digits.is_empty() {
        return Some(Err(Unloadable::Number));
    }
    let number = i128::from_str_radix(digits, base).unwrap_or(i128::MAX);
    Some(Ok(Value::Integer(if negative { -number } else { number })))
}

/// Ruby's `String#to_i`: the digits that it begins with, else 0.
pub(super) fn leading_integer(text: &str) -> i128 {
    let text = text.trim_start();
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut number = 0_i128;
    let mut after_digit = false;
    for character in rest.chars() {
        match character.to_digit(10) {
            Some(digit) => number = number.saturating_mul(10).saturating_add(digit.into()),
            None if character == '_' && after_digit => {}
            None => break,
        }
        after_digit = character != '_';
    }
    if negative { -number } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each seen with Psych 4.0.3.
    #[test]
    fn a_plain_value_is_what_psych_takes_it_for() {
        let number = |number| Ok(Value::Integer(number));
        let text = |text: &str| Ok(Value::Text(text.to_owned()));
        for (written, read) in [
            ("0755", number(493)),
            ("10:20", number(37200)),
            ("1:2:3", number(3723)),
            ("-1:30", number(-1800)),
            ("1_000", number(1000)),
            ("1,000", number(1000)),
            ("0x1F", number(31)),
            ("0b101", number(5)),
            ("+12", number(12)),
            ("00", number(0)),
            ("08", text("08")),
            ("1e3", text("1e3")),
            ("0o755", text("0o755")),
            ("1__0", text("1__0")),
            ("30s", text("30s")),
            ("y", text("y")),
            ("n", text("n")),
            ("nope", text("nope")),
            (".", text(".")),
            ("-", text("-")),
            ("1.2.3", text("1.2.3")),
            ("2024-13-01", text("2024-13-01")),
            ("1.", Ok(Value::Float(1.0))),
            (".5", Ok(Value::Float(0.5))),
            ("1.5e+3", Ok(Value::Float(1500.0))),
            ("-.INF", Ok(Value::Float(f64::NEG_INFINITY))),
            ("Yes", Ok(Value::Bool(true))),
            ("OFF", Ok(Value::Bool(false))),
            ("~", Ok(Value::Nil)),
            ("NULL", Ok(Value::Nil)),
            ("", Ok(Value::Nil)),
            (":linux", Ok(Value::Symbol("linux".to_owned()))),
            ("2024-01-31", Err(Unloadable::Date)),
            ("2024-02-31", Err(Unloadable::Date)),
            ("2024-1-2 3:04:05", Err(Unloadable::Date)),
            ("2024-01-02T03:04:05.6Z", Err(Unloadable::Date)),
            ("0x_", Err(Unloadable::Number)),
            (".e+3", Err(Unloadable::Number)),
        ] {
            assert_eq!(value(written), read, "{written}");
        }
    }

    #[test]
    fn a_text_is_a_number_by_the_digits_that_it_begins_with() {
        for (text, number) in
            [("30s", 30), (" 5", 5), ("1_000", 1000), ("1__0", 1), ("-3", -3), ("0x10", 0), ("soon", 0)]
        {
            assert_eq!(leading_integer(text), number, "{text}");
        }
    }
}
