//! The filters of templates that quote a text for another language, and their inverses.

use minijinja::{Error, ErrorKind, Value};
use percent_encoding::{percent_decode_str, utf8_percent_encode};

use crate::escape::{UNRESERVED, python_escaped, shell_escaped};

/// The text of a filter's input. Whole secrets and lists have none.
fn text(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None if value.is_number() || value.kind() == minijinja::value::ValueKind::Bool => {
            Ok(value.to_string())
        }
        None if value.is_undefined() => Err(Error::from(ErrorKind::UndefinedError)),
        None => Err(Error::new(ErrorKind::InvalidOperation, "only text can be quoted")),
    }
}

/// Percent-encoding that leaves RFC 3986's unreserved characters only.
pub(super) fn urlencode(value: &Value) -> Result<String, Error> {
    Ok(utf8_percent_encode(&text(value)?, UNRESERVED).to_string())
}

/// A JSON string, quotes included. Never escaped for HTML.
pub(super) fn tojson(value: &Value) -> Result<String, Error> {
    Ok(json(&text(value)?))
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

/// A literal of Python 3, quotes included, in ASCII.
pub(super) fn python(value: &Value) -> Result<String, Error> {
    Ok(format!("'{}'", python_escaped(&text(value)?)))
}

/// One word of a POSIX shell, quotes included.
pub(super) fn shell(value: &Value) -> Result<String, Error> {
    let text = text(value)?;
    if text.contains('\0') {
        return Err(Error::new(ErrorKind::InvalidOperation, "a shell's word cannot contain a NUL character"));
    }
    Ok(format!("'{}'", shell_escaped(&text)))
}

/// The input of a filter, from its output: a container may print either.
pub fn undo_filter(filter: &str, rendered: &str) -> Option<String> {
    match filter {
        "urlencode" => percent_decode_str(rendered).decode_utf8().ok().map(Into::into),
        "tojson" => serde_json::from_str(rendered).ok(),
        "shell" => Some(rendered.strip_prefix('\'')?.strip_suffix('\'')?.replace(r"'\''", "'")),
        "python" => python_unescaped(rendered.strip_prefix('\'')?.strip_suffix('\'')?),
        _ => None,
    }
}

fn python_unescaped(literal: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = literal.chars();
    while let Some(c) = rest.next() {
        let digits = match (c, if c == '\\' { rest.next()? } else { c }) {
            ('\\', 'x') => 2,
            ('\\', 'u') => 4,
            ('\\', 'U') => 8,
            (_, plain) => {
                let escaped = c == '\\';
                out.push(match plain {
                    'n' if escaped => '\n',
                    'r' if escaped => '\r',
                    't' if escaped => '\t',
                    plain => plain,
                });
                continue;
            }
        };
        let code: String = rest.by_ref().take(digits).collect();
        out.push(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32)?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use proptest::prelude::*;
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    use super::*;

    /// Texts that quoting gets wrong, by chance and by name.
    fn nasty() -> Vec<String> {
        let mut texts: Vec<String> = [
            "",
            "'",
            "''",
            "\\",
            "\\'",
            "'\\''",
            "\"",
            "$HOME `id` $(id)",
            "a\nb\r\nc\t",
            "-n",
            "%",
            "\u{7f}\u{80}\u{ff}",
            "\u{2028}</script>&<>",
            "grüße 🦀 \u{fe0f}",
            "\\N{DIGIT ONE}\\x41",
            "{{ x }}",
            "# ; | & * ? ~ !",
        ]
        .map(str::to_owned)
        .into();
        let mut runner = TestRunner::deterministic();
        let strategy = proptest::collection::vec(
            prop_oneof![
                proptest::sample::select(vec![
                    '\'', '"', '\\', '\n', '\r', '$', '`', ' ', '{', '%', '\u{1}', '💥'
                ]),
                any::<char>().prop_filter("no NUL in a shell", |c| *c != '\0'),
            ],
            0..24,
        );
        for _ in 0..400 {
            let tree = strategy.new_tree(&mut runner).unwrap();
            texts.push(tree.current().into_iter().collect());
        }
        texts
    }

    /// What a program prints that is given a script on stdin.
    fn said_by(program: &str, script: &str) -> Vec<u8> {
        use std::io::Write as _;
        let mut child = Command::new(program)
            .arg(if program == "sh" { "-s" } else { "-" })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let script = script.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(script.as_bytes()));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(output.status.success());
        output.stdout
    }

    /// Each text and a NUL, as the other language has it.
    fn expected(texts: &[String]) -> Vec<u8> {
        texts.iter().flat_map(|text| [text.as_bytes(), b"\0"].concat()).collect()
    }

    #[test]
    fn python_reads_what_was_written() {
        let texts = nasty();
        let literals: Vec<String> = texts.iter().map(|text| python(&Value::from(text)).unwrap()).collect();
        assert!(literals.iter().all(|literal| literal.is_ascii() && !literal.contains('\n')));
        let list = literals.join(",");
        let script =
            format!("import sys\nfor text in [{list}]: sys.stdout.buffer.write(text.encode() + b'\\0')\n");
        assert_eq!(said_by("python3", &script), expected(&texts));
    }

    #[test]
    fn a_shell_reads_what_was_written() {
        let texts = nasty();
        let words: Vec<String> = texts.iter().map(|text| shell(&Value::from(text)).unwrap()).collect();
        let script: String = words.iter().map(|word| format!("printf '%s\\0' {word}\n")).collect();
        assert_eq!(said_by("sh", &script), expected(&texts));
        assert!(shell(&Value::from("a\0b")).is_err());
    }

    #[test]
    fn json_and_urls_and_every_inverse() {
        for text in nasty() {
            let value = Value::from(&text);
            let made = tojson(&value).unwrap();
            assert_eq!(serde_json::from_str::<String>(&made).unwrap(), text);
            let filters = [
                ("tojson", made),
                ("urlencode", urlencode(&value).unwrap()),
                ("python", python(&value).unwrap()),
                ("shell", shell(&value).unwrap()),
            ];
            for (name, made) in filters {
                assert_eq!(undo_filter(name, &made).as_ref(), Some(&text), "{name}: {made}");
            }
        }
        assert_eq!(tojson(&Value::from("<a & 'b'>")).unwrap(), "\"<a & 'b'>\"");
        assert_eq!(urlencode(&Value::from("aZ09-._~ /+ü")).unwrap(), "aZ09-._~%20%2F%2B%C3%BC");
    }

    #[test]
    fn what_has_no_text_is_not_quoted() {
        for filter in [urlencode, tojson, python, shell] {
            assert!(filter(&Value::from(vec!["hunter2"])).is_err());
            assert!(filter(&Value::from(5432)).is_ok());
        }
    }
}
