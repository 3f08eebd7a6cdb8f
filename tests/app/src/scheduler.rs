//! `app scheduler`: ticks, and must never run twice. Each run writes its beginning, its ticks and its end into one
//! sequence, so that two runs that overlapped are seen to be entangled. One that neither ticks nor ends is seen by its
//! advisory lock, which stays taken.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::backends::{self, Steady};
use crate::postgres::{Connection, quoted};
use crate::tables::{self, SCHEDULER};
use crate::{identity, jobs, number, redis, variant};

/// A lock that is taken for so many ticks belongs to one that lives: a killed one's is free sooner.
const TAKEN: u32 = 10;
/// How long the end may take, also without a database.
const END: Duration = Duration::from_secs(1);

struct Scheduler {
    run: String,
    database: Steady<Connection>,
    queue: Steady<redis::Connection>,
    /// The connection on which it has the lock.
    locked: Option<u64>,
    /// For how many ticks the lock has been somebody else's.
    taken: u32,
}

/// Ticks every `TICK_MS` (500) until it is told to end.
pub(crate) fn run() -> Result<()> {
    let (told, end) = mpsc::channel();
    if variant::of("scheduler") == "ignore-term" {
        std::mem::forget(told);
    } else {
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        thread::spawn(move || {
            signals.forever().next();
            let _ = told.send(());
            thread::sleep(END);
            std::process::exit(0);
        });
    }
    variant::begin("scheduler")?;
    let run = identity::run();
    let name = format!("set application_name = {}", quoted(&run));
    let database = Steady::open(move || {
        let mut connection = backends::database()?;
        tables::prepare(&mut connection)?;
        connection.query(&name)?;
        Ok(connection)
    })?;
    let queue = Steady::open(backends::queue)?;
    let mut scheduler = Scheduler { run, database, queue, locked: None, taken: 0 };
    scheduler.note("begin", "")?;
    println!("app {} schedules", scheduler.run);
    let tick = Duration::from_millis(number("TICK_MS", 500));
    loop {
        if let Err(error) = scheduler.tick() {
            eprintln!("app: {error:#}");
        }
        match end.recv_timeout(tick) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => break,
        }
    }
    scheduler.note("end", "")?;
    // Before it is gone: its connection may outlive it for a moment, and the next one would find the lock taken.
    scheduler.database.with(|database| database.query("select pg_advisory_unlock_all()"))?;
    println!("app scheduler ends");
    Ok(())
}

impl Scheduler {
    fn tick(&mut self) -> Result<()> {
        self.queue.with(|queue| queue.ask(&["INCR", jobs::TICKS]))?;
        self.note("tick", "")?;
        if self.locked == Some(self.database.number) {
            return Ok(());
        }
        let lock = format!("select pg_try_advisory_lock({SCHEDULER}, 0)");
        if self.database.with(|database| database.query(&lock))?.as_deref() == Some("t") {
            self.locked = Some(self.database.number);
            return Ok(());
        }
        self.taken += 1;
        if self.taken == TAKEN {
            let holder = format!(
                "select a.application_name from pg_locks l join pg_stat_activity a using (pid) \
                 where l.locktype = 'advisory' and l.classid = {SCHEDULER} and l.objid = 0 and l.granted"
            );
            let other = self.database.with(|database| database.query(&holder))?;
            self.note("overlap", &other.unwrap_or_default())?;
        }
        Ok(())
    }

    fn note(&mut self, event: &str, other: &str) -> Result<()> {
        let [run, release, event, other] = [&self.run, &identity::release(), event, other].map(quoted);
        let insert = format!(
            "insert into scheduler_events (run, release, event, other) values ({run}, {release}, {event}, {other})"
        );
        self.database.with(|database| database.query(&insert)).map(drop)
    }
}
