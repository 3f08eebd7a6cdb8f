//! The only writer to stdout and stderr. stdout is data, stderr is talk; whoever listens may go away at any time.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::text::{clean, shorten_middle};

/// Where a run tells how far it is.
pub trait Talk {
    /// A step begins.
    fn begin(&self, label: &str);
    /// It is done.
    fn done(&self, label: &str, took: Duration);
    /// It failed.
    fn failed(&self, label: &str, why: &str);
    /// Bytes of a download.
    fn progress(&self, done: u64, total: u64);
    /// A line between the steps.
    fn say(&self, line: &str);
}

/// Nobody listens: for tests.
#[derive(Debug, Default)]
pub struct Silent;

impl Talk for Silent {
    fn begin(&self, _: &str) {}
    fn done(&self, _: &str, _: Duration) {}
    fn failed(&self, _: &str, _: &str) {}
    fn progress(&self, _: u64, _: u64) {}
    fn say(&self, _: &str) {}
}

/// The two streams of this process.
#[derive(Debug)]
pub struct Printer {
    /// On a terminal only: a hook's log must not contain carriage returns.
    bar: Option<ProgressBar>,
    has_colour: bool,
}

const GREEN: u8 = 32;
const RED: u8 = 31;

impl Printer {
    /// For whoever listens at stderr: a terminal gets a moving line, everybody else plain ones.
    pub fn new(hook: bool) -> Self {
        let bar = (!hook && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::no_length();
            bar.set_style(style("{spinner} {msg} {wide_bar} {bytes}/{total_bytes}"));
            bar
        });
        let has_colour = is_coloured(io::stderr().is_terminal(), |name| std::env::var(name).ok());
        Self { bar, has_colour }
    }

    /// Data: goes to stdout.
    pub fn data(&self, text: &str) {
        // A reader that went away (`handover status | head -1`) is no error.
        let _ = writeln!(io::stdout().lock(), "{text}");
    }

    /// Talk: goes to stderr, in one write, so that lines of two processes do not mix.
    pub fn line(&self, text: &str) {
        let write = || {
            let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn coloured(&self, word: &str, colour: u8) -> String {
        if self.has_colour { format!("\x1b[{colour}m{word}\x1b[39m") } else { word.to_owned() }
    }

    fn hide_bar(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            bar.reset();
        }
    }
}

/// Whether words are coloured: on a terminal that can, and to nobody who says no (<https://no-color.org>,
/// <https://bixense.com/clicolors>).
fn is_coloured(is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let is = |name, value| variable(name).as_deref() == Some(value);
    let refused = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    is_terminal && !refused && !is("CLICOLOR", "0") && !is("TERM", "dumb")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// `1.2 s`.
pub fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

impl Talk for Printer {
    fn begin(&self, label: &str) {
        if let Some(bar) = &self.bar {
            bar.set_style(style("{spinner} {msg}"));
            bar.set_message(label.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
        }
    }

    fn done(&self, label: &str, took: Duration) {
        self.hide_bar();
        let mark = self.coloured("ok", GREEN);
        self.line(&format!("  {mark}  {label} ({})", seconds(took)));
    }

    fn failed(&self, label: &str, why: &str) {
        self.hide_bar();
        let mark = self.coloured("FAILED", RED);
        // The act stands at the beginning of what the Engine says, the reason at its end.
        self.line(&format!("  {mark}  {label}: {}", shorten_middle(&clean(why), 140)));
    }

    fn progress(&self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_style(style("{spinner} {msg} {bar:30} {bytes}/{total_bytes}"));
            bar.set_length(total);
            bar.set_position(done);
        }
    }

    fn say(&self, line: &str) {
        self.line(line);
    }
}

#[cfg(test)]
mod tests {
    use super::is_coloured;

    #[test]
    fn only_a_terminal_is_coloured_and_nobody_who_says_no() {
        let with = |name: &'static str, value: &'static str| {
            is_coloured(true, move |asked| (asked == name).then(|| value.to_owned()))
        };
        assert!(with("TERM", "xterm") && with("NO_COLOR", "") && with("CLICOLOR", "1"));
        assert!(!with("NO_COLOR", "1") && !with("CLICOLOR", "0") && !with("TERM", "dumb"));
        assert!(!is_coloured(false, |_| None));
    }
}
