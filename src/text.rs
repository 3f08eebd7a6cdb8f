//! Text that is fit for any log: short, one line, ASCII.

/// The longest line that a report prints, in characters. `CodeDeploy` drops the whole tail of a hook for one line of
/// 2,048 characters, and cuts it to 2 KB (contract of both agents).
pub const LONGEST_LINE: usize = 180;

/// One line of foreign text, made harmless like [`clean`], and cut where it is too long.
pub fn sanitize(text: &str) -> String {
    shorten(&clean(text), LONGEST_LINE)
}

/// Foreign text, made harmless: it becomes one line, escape sequences and control characters go, other characters than
/// ASCII become `?` (`CodeDeploy`'s agent can fail a hook that exited 0 over one invalid byte).
pub fn clean(text: &str) -> String {
    let mut line = String::new();
    let mut characters = text.trim().chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            // An ANSI escape sequence: ESC [ parameters, up to its final letter.
            '\u{1b}' => {
                if characters.next_if_eq(&'[').is_some() {
                    while characters.next_if(|c| !('@'..='~').contains(c)).is_some() {}
                    characters.next();
                }
            }
            c if c.is_whitespace() => line.push(' '),
            c if c.is_ascii_graphic() => line.push(c),
            c if c.is_control() => {}
            _ => line.push('?'),
        }
    }
    without_queries(&line)
}

/// The queries of URLs go: those of the registry's storage are presigned, and as good as a password for a while. So do
/// user and password before the host, as in the address of a proxy.
fn without_queries(line: &str) -> String {
    let mut kept = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let end = rest[at..].find([' ', '"', '\'', '>']).map_or(rest.len(), |length| at + length);
        let (scheme, url) = rest[..end].split_at(at + "://".len());
        let url = url.split('?').next().unwrap_or_default();
        let host_at = url.split('/').next().and_then(|authority| authority.rfind('@')).map_or(0, |at| at + 1);
        kept.push_str(scheme);
        kept.push_str(&url[host_at..]);
        rest = &rest[end..];
    }
    kept + rest
}

/// An error and its causes, outermost first, one a line.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut lines = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let line = error.to_string();
        if lines.last() != Some(&line) {
            lines.push(line);
        }
        cause = error.source();
    }
    lines.join("\n -> ")
}

/// An error and its causes, outermost first, in one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// At most `longest` characters of an ASCII line, with dots where it was cut.
pub fn shorten(line: &str, longest: usize) -> String {
    if line.chars().count() <= longest {
        return line.to_owned();
    }
    let kept: String = line.chars().take(longest - 3).collect();
    format!("{kept}...")
}

/// At most `longest` characters of an ASCII line, with dots in the middle: the Engine's messages begin with the act and end with the
/// reason.
pub fn shorten_middle(line: &str, longest: usize) -> String {
    if line.len() <= longest || !line.is_ascii() {
        return shorten(line, longest);
    }
    let half = (longest - 5) / 2;
    format!("{} ... {}", &line[..half], &line[line.len() - half..])
}

/// How much a word may exceed the width of its line: an image with its digest is one word, and no part of it may
/// be lost.
const OVERHANG: usize = 50;

/// Cuts text into lines of at most `width` characters, between words; only a longer word exceeds it, by at most
/// `OVERHANG`.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let word = shorten_middle(word, width + OVERHANG);
        let last = lines.last_mut().expect("there is always a line");
        if last.is_empty() {
            *last = word;
        } else if last.len() + 1 + word.len() <= width {
            last.push(' ');
            last.push_str(&word);
        } else {
            lines.push(word);
        }
    }
    lines
}

/// An amount of memory or disk: `512 MiB`, `1.5 GiB`.
pub fn amount(bytes: u64) -> String {
    let tenths_of_gib = (u128::from(bytes) * 10) >> 30;
    match tenths_of_gib {
        0..10 if bytes < 1 << 20 => format!("{} KiB", bytes >> 10),
        0..10 => format!("{} MiB", bytes >> 20),
        tenths => format!("{}.{} GiB", tenths / 10, tenths % 10),
    }
}

/// What the kernel did to a container that had too little memory: how often, of its own limit or of all that the machine has.
pub fn out_of_memory(kills: u64, limit: Option<u64>) -> String {
    let killed =
        if kills == 1 { "one of its processes".to_owned() } else { format!("{kills} of its processes") };
    let why = match limit {
        Some(limit) => format!("it reached its memory limit of {}", amount(limit)),
        None => "the memory of the machine was used up".to_owned(),
    };
    format!("the kernel killed {killed}, because {why} (OOM)")
}

/// A span of time as people say it: `250 ms`, `3.2 s`, `40 s`, `2 min 30 s`, `1 h 5 min`.
pub fn duration(span: std::time::Duration) -> String {
    let tenths = (span.as_millis() + 50) / 100;
    let seconds = (span.as_millis() + 500) / 1_000;
    let and = |whole: u128, unit: &str, rest: u128, smaller: &str| match rest {
        0 => format!("{whole} {unit}"),
        rest => format!("{whole} {unit} {rest} {smaller}"),
    };
    match seconds {
        _ if span.as_millis() < 950 => format!("{} ms", span.as_millis()),
        0..10 if !tenths.is_multiple_of(10) => format!("{}.{} s", tenths / 10, tenths % 10),
        0..60 => format!("{seconds} s"),
        60..3_600 => and(seconds / 60, "min", seconds % 60, "s"),
        _ => and(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
    }
}

/// Lines without the repetitions that a program prints while it waits: `(3 times)` is added to the one that is kept.
pub fn folded(lines: &[String]) -> Vec<String> {
    let mut folded: Vec<(&String, usize)> = Vec::new();
    for line in lines {
        match folded.last_mut() {
            Some((last, times)) if *last == line => *times += 1,
            _ => folded.push((line, 1)),
        }
    }
    let shown = |(line, times): (&String, usize)| match times {
        1 => line.clone(),
        times => format!("{line} ({times} times)"),
    };
    folded.into_iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escape_sequences_and_foreign_letters_go() {
        assert_eq!(sanitize("\u{1b}[31;1mred\u{1b}[0m\tgrün\r\n"), "red gr?n");
        assert_eq!(sanitize("\u{1b}"), "");
        assert_eq!(sanitize("a\u{7}b\u{0}c\u{9b}d"), "abcd");
    }

    /// An error and its causes.
    #[derive(Debug)]
    struct Told(&'static str, Option<Box<Told>>);

    impl std::fmt::Display for Told {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Told {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            self.1.as_ref().map(|cause| &**cause as _)
        }
    }

    #[test]
    fn causes_are_told_and_none_twice() {
        let told = |words: &[&'static str]| {
            let cause = words.iter().rev().fold(None, |cause, word| Some(Box::new(Told(word, cause))));
            let told = cause.unwrap();
            (causes(&*told), chain(&*told))
        };
        assert_eq!(told(&["a", "b", "c"]), ("a\n -> b\n -> c".to_owned(), "a: b: c".to_owned()));
        assert_eq!(told(&["a", "b", "b", "c"]), ("a\n -> b\n -> c".to_owned(), "a: b: c".to_owned()));
        assert_eq!(told(&["a: b", "b"]).1, "a: b");
    }

    #[test]
    fn presigned_urls_lose_their_queries() {
        let said =
            "Get \"https://bucket.s3.amazonaws.com/layer?X-Amz-Signature=abc&x=1\": dial tcp: i/o timeout?";
        assert_eq!(clean(said), "Get \"https://bucket.s3.amazonaws.com/layer\": dial tcp: i/o timeout?");
    }

    #[test]
    fn urls_lose_their_users_and_passwords() {
        let said = "proxy http://me:p@ss@proxy:3128/x@y is down, https://h/a@b is not, user@host";
        assert_eq!(clean(said), "proxy http://proxy:3128/x@y is down, https://h/a@b is not, user@host");
    }

    #[test]
    fn what_is_too_long_keeps_both_its_ends() {
        let cut = shorten_middle(&format!("failed to start{}: port is taken", "x".repeat(900)), 100);
        assert!(
            cut.len() <= 100 && cut.starts_with("failed to start") && cut.ends_with("port is taken"),
            "{cut}"
        );
    }

    #[test]
    fn a_word_that_just_fits_stays_in_its_line() {
        assert_eq!(wrap("four five six", 9), ["four five", "six"]);
        assert_eq!(wrap("four five six", 8), ["four", "five six"]);
    }

    #[test]
    fn amounts_have_the_unit_that_people_expect() {
        for (bytes, shown) in [
            (0, "0 KiB"),
            ((1 << 20) - 1, "1023 KiB"),
            (1 << 20, "1 MiB"),
            (300 << 20, "300 MiB"),
            ((1 << 30) - 1, "1023 MiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "17179869183.9 GiB"),
        ] {
            assert_eq!(amount(bytes), shown);
        }
    }

    #[test]
    fn durations_read_as_people_say_them() {
        for (milliseconds, said) in [
            (0, "0 ms"),
            (250, "250 ms"),
            (999, "1 s"),
            (1_000, "1 s"),
            (3_240, "3.2 s"),
            (40_462, "40 s"),
            (119_998, "2 min"),
            (150_000, "2 min 30 s"),
            (3_900_000, "1 h 5 min"),
        ] {
            assert_eq!(duration(std::time::Duration::from_millis(milliseconds)), said, "{milliseconds}");
        }
    }

    #[test]
    fn repeated_lines_are_folded() {
        let lines = ["a", "b", "b", "b", "a"].map(str::to_owned);
        assert_eq!(folded(&lines), ["a", "b (3 times)", "a"]);
    }

    proptest! {
        #[test]
        fn whatever_comes_in_a_short_ascii_line_comes_out(text in any::<String>()) {
            let line = sanitize(&text);
            prop_assert!(line.len() <= LONGEST_LINE && line.bytes().all(|b| (b' '..=b'~').contains(&b)));
        }

        #[test]
        fn wrapped_lines_fit(text in "[ -~]{0,600}") {
            prop_assert!(wrap(&text, 60).iter().all(|line| line.len() <= 60 + OVERHANG));
        }
    }
}
