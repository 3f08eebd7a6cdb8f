//! `app worker`: takes jobs from Redis, as rq's worker does. A job that it has in hand stands in a list of its own until
//! it is done, so that nothing is lost with it: another worker puts back what one that is gone had in hand.
//!
//! A worker holds an advisory lock of PostgreSQL as long as it lives. That is what tells one that is gone, and no time
//! that was too short on a busy machine. After the database was away all of them are gone for a moment: so it takes two
//! looks on one connection, a second apart.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::backends::{self, Steady};
use crate::jobs::{self, Job};
use crate::postgres::{self, quoted};
use crate::tables::{self, WORKER};
use crate::{identity, number, redis, variant};

/// How long Redis waits for a job before it is asked again, in its seconds; and so how late TERM may be seen.
const WAIT: &str = "0.2";
/// Between two looks at the other workers.
const LOOK: Duration = Duration::from_secs(1);

struct Worker {
    id: String,
    in_hand: String,
    ending: Arc<AtomicBool>,
    database: Steady<postgres::Connection>,
    queue: Steady<redis::Connection>,
    /// Who was gone at the last look, and on which connection to the database.
    gone: (u64, BTreeSet<String>),
    looked: Option<Instant>,
}

/// Works until it is told to end. The job in hand is finished first.
pub(crate) fn run() -> Result<()> {
    let ending = Arc::new(AtomicBool::new(false));
    let variant = variant::of("worker");
    // Before anything slow: the first process of a container that handles no signal is deaf to TERM.
    if variant != "ignore-term" {
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&ending))?;
        }
    }
    variant::begin("worker")?;
    if variant == "crash-later" {
        thread::spawn(|| {
            thread::sleep(Duration::from_millis(number("CRASH_AFTER_MS", 2000)));
            eprintln!("app: crashing, as I was told");
            std::process::exit(1);
        });
    }
    let id = identity::run();
    let mut worker = Worker {
        in_hand: jobs::in_hand(&id),
        ending,
        database: Steady::open(|| {
            let mut connection = backends::database()?;
            tables::prepare(&mut connection)?;
            Ok(connection)
        })?,
        queue: Steady::open(backends::queue)?,
        gone: (0, BTreeSet::new()),
        looked: None,
        id,
    };
    // In this order: one that is in the list and lives has its lock.
    stay_present(&worker.id)?;
    worker.queue.with(|queue| queue.ask(&["SADD", jobs::WORKERS, &worker.id]))?;
    println!("app {} works", worker.id);
    while !worker.is_ending() {
        worker.put_back_of_the_gone();
        if let Some(job) = worker.take()? {
            worker.work(&job)?;
        }
    }
    // Nothing is in hand. If Redis is away, the next one finds an empty list.
    let _ = worker.queue.with(|queue| queue.ask(&["SREM", jobs::WORKERS, &worker.id]));
    println!("app worker ends");
    Ok(())
}

/// `app worker --check`: whether the worker of this container has begun.
pub(crate) fn check() -> Result<()> {
    let own = format!("{}-", identity::container());
    let workers = backends::queue()?.ask(&["SMEMBERS", jobs::WORKERS])?.texts();
    if !workers.iter().any(|worker| worker.starts_with(&own)) {
        bail!("no worker of {} takes jobs", identity::container());
    }
    Ok(())
}

impl Worker {
    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// The next job: one whose answer was lost with a connection, or one that waits. None if there is none for a
    /// while. What comes while this worker is told to end is put back where it was.
    fn take(&mut self) -> Result<Option<Job>> {
        let (in_hand, ending) = (&self.in_hand, &self.ending);
        let taken = self.queue.insist(ending, |queue| {
            let kept = queue.ask(&["LINDEX", in_hand, "0"])?.text();
            if kept.is_some() {
                return Ok(kept);
            }
            Ok(queue.ask(&["BLMOVE", jobs::WAITING, in_hand, "LEFT", "RIGHT", WAIT])?.text())
        })?;
        if taken.is_some() && self.is_ending() {
            self.queue.with(|queue| queue.ask(&["LMOVE", &self.in_hand, jobs::WAITING, "LEFT", "LEFT"]))?;
            return Ok(None);
        }
        Ok(taken.map(|text| Job::of(&text)))
    }

    /// Does a job and writes down that it did. Each run of a job is a row, so that two show.
    fn work(&mut self, job: &Job) -> Result<()> {
        let id = quoted(&job.id);
        let done = format!("select count(*) from job_runs where job = {id} and ended is not null");
        if self.sql(&done)? == "0" {
            let (worker, release) = (quoted(&self.id), quoted(&identity::release()));
            let run = self.sql(&format!(
                "insert into job_runs (job, worker, release) values ({id}, {worker}, {release}) returning id"
            ))?;
            println!("app works at {}", job.id);
            thread::sleep(Duration::from_millis(job.milliseconds));
            // Asked again after a lost answer, it changes nothing.
            self.sql(&format!(
                "with done as (update job_runs set ended = now() where id = {run} and ended is null returning 1) \
                 update counter set value = value + 1 where exists (select from done)"
            ))?;
        }
        let text = job.text();
        let in_hand = &self.in_hand;
        self.queue.insist(&self.ending, |queue| queue.ask(&["LREM", in_hand, "1", &text]))?;
        println!("app has done {}", job.id);
        Ok(())
    }

    fn sql(&mut self, text: &str) -> Result<String> {
        Ok(self.database.insist(&self.ending, |database| database.query(text))?.unwrap_or_default())
    }

    /// What cannot be seen now is seen at the next look.
    fn put_back_of_the_gone(&mut self) {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        if let Err(error) = self.look() {
            eprintln!("app: cannot look for workers that are gone: {error:#}");
        }
    }

    fn look(&mut self) -> Result<()> {
        let (queue, id) = (&mut self.queue, &self.id);
        let workers = queue.with(|queue| Ok(queue.ask(&["SMEMBERS", jobs::WORKERS])?.texts()))?;
        // On a new connection the looks begin anew: the database may have been away, and the others are not back yet.
        self.database.with(|database| database.query("select 1"))?;
        if self.gone.0 != self.database.number {
            self.gone = (self.database.number, BTreeSet::new());
        }
        let seen = &self.gone.1;
        let mut gone = BTreeSet::new();
        self.database.with(|database| {
            for other in workers.iter().filter(|other| *other != id) {
                let lock = format!("({WORKER}, hashtext({}))", quoted(other));
                if database.query(&format!("select pg_try_advisory_lock{lock}"))?.as_deref() != Some("t") {
                    continue;
                }
                gone.insert(other.clone());
                if seen.contains(other) {
                    queue.with(|queue| put_back(queue, other))?;
                }
                database.query(&format!("select pg_advisory_unlock{lock}"))?;
            }
            Ok(())
        })?;
        self.gone.1 = gone;
        Ok(())
    }
}

/// What a worker that is gone had in hand goes to the head of the queue.
fn put_back(queue: &mut redis::Connection, other: &str) -> Result<()> {
    let in_hand = jobs::in_hand(other);
    while let Some(job) = queue.ask(&["LMOVE", &in_hand, jobs::WAITING, "LEFT", "LEFT"])?.text() {
        println!("app puts back {job}, which {other} had in hand");
    }
    queue.ask(&["SREM", jobs::WORKERS, other]).map(drop)
}

/// Holds this worker's lock, and takes it again when its connection was lost.
fn stay_present(id: &str) -> Result<()> {
    let lock = format!("select pg_try_advisory_lock({WORKER}, hashtext({}))", quoted(id));
    let take = move || {
        let mut connection = backends::database()?;
        let taken = connection.query(&lock)?;
        taken.filter(|taken| taken == "t").context("somebody looks at this worker's lock")?;
        Ok(connection)
    };
    let mut held = Steady::open(take)?;
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_millis(100));
            let _ = held.with(|connection| connection.query("select 1"));
        }
    });
    Ok(())
}
