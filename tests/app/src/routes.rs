//! What the web server answers.

use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Error, Result};
use serde_json::{Value, json};

use crate::backends::Backends;
use crate::server::{Answers, Asked};
use crate::{identity, schema};

/// The paths and what is behind them.
pub(crate) struct Routes {
    answers: Answers,
    pub(crate) release: String,
    container: String,
    /// The only name to which it tells its health, if it is particular about that.
    host: Option<String>,
    backends: Backends,
    answered: AtomicUsize,
}

impl Routes {
    pub(crate) fn from_environment(answers: Answers) -> Result<Self> {
        Ok(Self {
            answers,
            release: identity::release(),
            container: identity::container(),
            host: env::var("ONLY_HOST").ok(),
            backends: Backends::from_environment()?,
            answered: AtomicUsize::new(0),
        })
    }

    pub(crate) fn answer(&self, asked: &Asked) -> (u16, Value) {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let first = self.answered.fetch_add(1, Ordering::SeqCst) == 0;
        if self.answers == Answers::Error || (self.answers == Answers::Flaky && !first) {
            return (500, json!({ "error": "as I was told", "release": self.release }));
        }
        if path == "/health" && self.host.as_ref().is_some_and(|host| *host != asked.host) {
            return (400, json!({ "error": format!("host '{}' is not mine", asked.host) }));
        }
        let milliseconds = query.strip_prefix("ms=").and_then(|wait| wait.parse().ok());
        if let ("POST", Some(job)) = (asked.method.as_str(), path.strip_prefix("/jobs/")) {
            // How long the job takes: /jobs/a-1?ms=50
            return self.accept(job, milliseconds.unwrap_or(0));
        }
        // A request that takes its time, for drains: /?ms=500
        if let Some(wait) = milliseconds {
            thread::sleep(Duration::from_millis(wait));
        }
        match path {
            "/ping" => (200, json!({ "release": self.release })),
            "/health" => match self.ready() {
                Ok(_) => (200, json!({ "release": self.release, "ready": true })),
                Err((status, error)) => (status, json!({ "error": format!("{error:#}"), "ready": false })),
            },
            "/" => match self.ready() {
                Ok((database, cache)) => (
                    200,
                    json!({
                        "release": self.release, "container": self.container, "request": asked.id,
                        "database": database, "cache": cache,
                    }),
                ),
                Err((status, error)) => self.refused(status, &error),
            },
            "/counter" => self.told(self.backends.counter().map(|counter| json!({ "counter": counter }))),
            "/schema" => {
                let seen = self.backends.schema();
                self.told(seen.and_then(|seen| Ok(json!({ "schema": seen, "wanted": schema::wanted()? }))))
            }
            _ => match path.strip_prefix("/env/").map(env::var) {
                Some(Ok(value)) => (200, json!({ "sha256": sha256(&value) })),
                _ => (404, json!({ "error": "no such path" })),
            },
        }
    }

    /// 202 when Redis has the job.
    fn accept(&self, job: &str, milliseconds: u64) -> (u16, Value) {
        if job.is_empty() || job.contains(|letter: char| !letter.is_ascii_graphic()) {
            return (400, json!({ "error": "a job needs an id" }));
        }
        match self.backends.accept(job, milliseconds) {
            Ok(()) => (202, json!({ "accepted": job, "release": self.release })),
            Err(error) => self.refused(503, &error),
        }
    }

    /// What the database and Redis say; 503 if they do not, 500 if the schema is none that this release knows.
    fn ready(&self) -> Result<(Value, Value), (u16, Error)> {
        let found = self.backends.database().and_then(|name| Ok((name, self.backends.cache()?)));
        let found = found.map_err(|error| (503, error))?;
        self.backends.schema_fits().map_err(|error| (503, error))?.map_err(|unfit| (500, unfit))?;
        Ok(found)
    }

    fn told(&self, answer: Result<Value>) -> (u16, Value) {
        answer.map_or_else(|error| self.refused(503, &error), |answer| (200, answer))
    }

    fn refused(&self, status: u16, error: &Error) -> (u16, Value) {
        (status, json!({ "error": format!("{error:#}"), "release": self.release }))
    }
}

/// Only the digest of a value ever leaves the application.
fn sha256(value: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, value.as_bytes());
    digest.as_ref().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
