//! What handover says while it works: to people, and into its log.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use handover::printer::Talk;
use tracing_subscriber::layer::SubscriberExt as _;

pub struct Heard {
    text: Text,
    _log: tracing::subscriber::DefaultGuard,
}

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Heard {
    /// Listens to everything that this thread logs, other crates' events left out as in the real log.
    pub fn new() -> Self {
        let text = Text::default();
        let writer = text.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
            .finish()
            .with(tracing_subscriber::filter::filter_fn(|event| event.target().starts_with("handover")));
        Self { text, _log: tracing::subscriber::set_default(subscriber) }
    }

    pub fn all(&self) -> String {
        String::from_utf8_lossy(&self.text.0.lock().unwrap()).into_owned()
    }

    fn line(&self, line: &str) {
        writeln!(self.text.clone(), "{line}").unwrap();
    }
}

impl Talk for Heard {
    fn begin(&self, label: &str) {
        self.line(label);
    }

    fn done(&self, label: &str, _: Duration) {
        self.line(&format!("ok {label}"));
    }

    fn failed(&self, label: &str, why: &str) {
        self.line(&format!("FAILED {label}: {why}"));
    }

    fn progress(&self, _: u64, _: u64) {}

    fn say(&self, line: &str) {
        self.line(line);
    }
}
