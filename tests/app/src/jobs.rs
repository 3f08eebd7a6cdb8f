//! The queue in Redis, and what is written down about its jobs in PostgreSQL.

use anyhow::{Context, Result};

use crate::{postgres, redis};

/// What waits. The keys have a common hash tag, for a Redis in cluster mode.
pub(crate) const WAITING: &str = "{queue}:jobs";
/// Every job that was ever accepted.
pub(crate) const ACCEPTED: &str = "{queue}:accepted";
/// The workers that have a list of what they have in hand.
pub(crate) const WORKERS: &str = "{queue}:workers";
/// How often the scheduler has ticked.
pub(crate) const TICKS: &str = "{queue}:ticks";

/// Both at once, or neither; and once for each id, whoever asks again.
const ACCEPT: &str =
    "if redis.call('SADD', KEYS[1], ARGV[1]) == 1 then redis.call('RPUSH', KEYS[2], ARGV[2]) end return 1";

/// The list of what a worker has in hand.
pub(crate) fn in_hand(worker: &str) -> String {
    format!("{{queue}}:in-hand:{worker}")
}

/// A job as it stands in the queue.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) milliseconds: u64,
}

impl Job {
    pub(crate) fn of(text: &str) -> Self {
        let (id, milliseconds) = text.rsplit_once(' ').unwrap_or((text, "0"));
        Self { id: id.to_owned(), milliseconds: milliseconds.parse().unwrap_or(0) }
    }

    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.id, self.milliseconds)
    }
}

/// Puts a job into the queue, and notes that it was accepted.
pub(crate) fn accept(connection: &mut redis::Connection, id: &str, milliseconds: u64) -> Result<()> {
    let job = Job { id: id.to_owned(), milliseconds };
    connection.ask(&["EVAL", ACCEPT, "2", ACCEPTED, WAITING, id, &job.text()]).map(drop)
}

/// How many jobs were done.
pub(crate) fn counter(connection: &mut postgres::Connection) -> Result<u64> {
    if connection.query("select to_regclass('counter')")?.is_none() {
        return Ok(0);
    }
    let value = connection.query("select sum(value) from counter")?.unwrap_or_default();
    value.parse().with_context(|| format!("the counter is '{value}'"))
}

#[cfg(test)]
mod tests {
    use super::Job;

    #[test]
    fn a_job_there_and_back() {
        let job = Job { id: "a 1".to_owned(), milliseconds: 250 };
        assert_eq!(Job::of(&job.text()), job);
    }
}
