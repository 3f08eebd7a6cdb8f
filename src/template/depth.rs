//! How deep an expression may be: minijinja reads one by calling itself, and a stack that is used up ends the process without a
//! word. So a tag is short, and it is read on a stack that is large enough for the longest.

use std::thread::Builder;

/// The longest tag (`{{ ... }}`, `{% ... %}`) in bytes. Each may be one more call.
pub(super) const LONGEST_TAG: usize = 4 << 10;

/// The most branches of a template: those of one `{% if %}` are within each other.
const MOST_BRANCHES: usize = 500;

/// What is used of it is a few kilobytes for each level.
const STACK: usize = 64 << 20;

/// Why a template is not read, and in which line; nothing where it may be.
pub(super) fn obstacle(text: &str) -> Option<(usize, String)> {
    let (mut at, mut branches) = (0, 0);
    while let Some(begin) = text[at..].find('{').map(|found| at + found) {
        let line = || text[..begin].matches('\n').count() + 1;
        let inside = &text[begin + 1..];
        let end = match inside.chars().next() {
            Some('{') => end_of_tag(inside, "}}"),
            Some('%') => end_of_tag(inside, "%}"),
            Some('#') => inside.find("#}"),
            _ => {
                at = begin + 1;
                continue;
            }
        };
        // What has no end is told by who reads it, unless that would be too much for it.
        let tag = &inside[..end.unwrap_or(inside.len())];
        if !tag.starts_with('#') && tag.len() > LONGEST_TAG {
            return Some((line(), format!("a tag of more than {LONGEST_TAG} bytes")));
        }
        let word = tag.trim_start_matches(['%', '-', '+']).trim_start();
        branches += usize::from(tag.starts_with('%') && word.starts_with("elif"));
        if branches > MOST_BRANCHES {
            return Some((line(), format!("more than {MOST_BRANCHES} branches (elif)")));
        }
        at = begin + 1 + tag.len();
        if tag.starts_with('%') && word.starts_with("raw") {
            at = text[at..].find("endraw").map_or(text.len(), |found| at + found);
        }
    }
    None
}

/// Where a tag ends: not within a text.
fn end_of_tag(tag: &str, end: &str) -> Option<usize> {
    let (mut quote, mut is_escaped) = (None, false);
    for (at, c) in tag.char_indices().skip(1) {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some(_) if c == '\\' => is_escaped = true,
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if tag[at..].starts_with(end) => return Some(at),
            Some(_) | None => {}
        }
    }
    None
}

/// Does something on a stack that is large enough for every template without an obstacle.
pub(super) fn with_a_large_stack<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread =
            Builder::new().stack_size(STACK).spawn_scoped(scope, act).expect("there is memory for a thread");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tag_has_to_be_short() {
        let long = "x".repeat(LONGEST_TAG + 1);
        for fine in [
            format!("{long}{{{{ a }}}}{long}"),
            format!("{{# {long} #}}"),
            format!("{{% raw %}}{{{{ {long}{{% endraw %}}"),
            "{{ a }}\n".repeat(10_000),
            format!("{{ {long} }}"),
        ] {
            assert_eq!(obstacle(&fine), None, "{}", &fine[..20]);
        }
        for (line, what, text) in [
            (2, "a tag", format!("\n{{{{ {long} }}}}")),
            (1, "a tag", format!("{{{{ '}}}}' ~ {long} }}}}")),
            (1, "a tag", format!("{{%- if {long}")),
            (1, "more than 500", format!("{{% if 1 %}}{}", "{%- elif 1 %}".repeat(501))),
        ] {
            let (at, why) = obstacle(&text).unwrap();
            assert!(at == line && why.contains(what), "{why}");
        }
    }
}
