//! The only writer to stdout and stderr. stdout is data, stderr is talk; whoever listens may go away at any time.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::{OwoColorize as _, Stream};

use crate::report::text::{sanitize, shorten};

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
}

impl Printer {
    /// For whoever listens at stderr: a terminal gets a moving line, everybody else plain ones.
    pub fn new(hook: bool) -> Self {
        let bar = (!hook && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::no_length();
            bar.set_style(style("{spinner} {msg} {wide_bar} {bytes}/{total_bytes}"));
            bar
        });
        Self { bar }
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

    fn hide_bar(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            bar.reset();
        }
    }
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
        let mark = "ok".if_supports_color(Stream::Stderr, |t| t.green()).to_string();
        self.line(&format!("  {mark}  {label} ({})", seconds(took)));
    }

    fn failed(&self, label: &str, why: &str) {
        self.hide_bar();
        let mark = "FAILED".if_supports_color(Stream::Stderr, |t| t.red()).to_string();
        self.line(&format!("  {mark}  {label}: {}", shorten(&sanitize(why), 140)));
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
