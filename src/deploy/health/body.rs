//! What an application says of itself when it answers with an error: mostly a page for people, sometimes with the reason.

use crate::host::probe::LONGEST_BODY;
use crate::redact::Redactor;
use crate::text::{clean, shorten};

/// So much of it is quoted, in characters.
const LONGEST: usize = 120;

/// So much of one that was cut off is left out at its end, in bytes: half a secret could not be masked.
const MARGIN: usize = 8 << 10;

/// Elements whose text nobody sees.
const UNSEEN: [&str; 3] = ["script", "style", "svg"];

/// The first words of an answer, in one line: without markup, without secrets. Empty where it is no text.
pub(super) fn first_words(body: &str, redactor: &Redactor) -> String {
    // Before anything is taken out of it, and once more as a browser would show it.
    let masked = redactor.redact(body);
    let whole = if body.len() < LONGEST_BODY {
        masked.as_str()
    } else {
        &masked[..masked.floor_char_boundary(masked.len().saturating_sub(MARGIN))]
    };
    let text = redactor.redact(&shown(&without_markup(whole)));
    let odd = text.chars().filter(|c| *c == '\u{fffd}' || (c.is_control() && !c.is_whitespace())).count();
    if odd * 10 > text.chars().count() {
        return String::new();
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    shorten(&clean(&words.join(" ")), LONGEST)
}

/// The text between the tags. What looks like none, such as `a < b` in JSON, stays.
fn without_markup(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        kept.push_str(before);
        if !tag[1..].starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c)) {
            kept.push('<');
            rest = &tag[1..];
            continue;
        }
        kept.push(' ');
        let name: String = tag[1..].chars().take_while(char::is_ascii_alphanumeric).collect();
        let end = if tag.starts_with("<!--") {
            "-->".to_owned()
        } else if UNSEEN.contains(&name.to_ascii_lowercase().as_str()) {
            format!("</{name}>")
        } else {
            ">".to_owned()
        };
        // What was cut off inside a tag is not text.
        rest = tag.split_once(&end).map_or("", |(_, rest)| rest);
    }
    kept + rest
}

/// The characters that HTML writes in another way.
fn shown(text: &str) -> String {
    let names = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#39;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    names.iter().fold(text.to_owned(), |text, (name, character)| text.replace(name, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(body: &str) -> String {
        let mut redactor = Redactor::default();
        redactor.learn("p<b>ss&\"wörd");
        first_words(body, &redactor)
    }

    #[test]
    fn a_page_is_its_title_and_its_text() {
        let django = "<!DOCTYPE html>\n<html><head><title>ProgrammingError at /health</title>\n<style>body { a: b > c }</style>\
                      <script>if (a < b) { x() }</script></head><!-- <p>no</p> --><body>\n  <h1>relation &quot;app_page&quot;\n does not \
                      exist</h1></body></html>";
        assert_eq!(words(django), "ProgrammingError at /health relation \"app_page\" does not exist");
        assert_eq!(words("{\"error\": \"a < b\"}\n"), "{\"error\": \"a < b\"}");
        assert_eq!(words("<p>cut <a hre"), "cut");
        assert_eq!(words(&"word ".repeat(100)).len(), LONGEST);
        for empty in ["", " \n", "<html></html>", "\u{1}\u{2}\u{fffd}\u{fffd}"] {
            assert_eq!(words(empty), "", "{empty:?}");
        }
    }

    #[test]
    fn half_a_secret_at_the_cut_is_left_out() {
        let secret = "0123456789abcdef".repeat(64);
        let mut redactor = Redactor::default();
        redactor.learn(&secret);
        let markup = "<i></i>".repeat(LONGEST_BODY / 7 - 10);
        let page = format!("{markup}{secret}");
        let cut = &page[..LONGEST_BODY];
        assert!(cut.contains("0123456789abcdef") && !cut.contains(&secret), "the secret is cut");
        assert_eq!(first_words(cut, &redactor), "");
    }

    /// Taking the markup out must not take the secret apart before it is masked.
    #[test]
    fn secrets_are_masked_however_they_are_written() {
        for page in [
            "password p<b>ss&\"wörd is wrong",
            "<p>password p&lt;b&gt;ss&amp;&quot;wörd is wrong</p>",
            "password p\\u003cb\\u003ess\\u0026\\\"wörd is wrong",
            "password p%3Cb%3Ess%26%22w%C3%B6rd is wrong",
        ] {
            assert_eq!(words(page), "password *** is wrong", "{page}");
        }
    }
}
