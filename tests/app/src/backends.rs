//! The database and Redis, as the environment names them.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{jobs, postgres, redis, schema};

/// Opens a connection to the database; it has to be in the environment.
pub(crate) fn database() -> Result<postgres::Connection> {
    let place = place()?.context("DATABASE_HOST is not set")?;
    postgres::Connection::open(&place).context("database")
}

/// Opens a connection to Redis; it has to be in the environment.
pub(crate) fn queue() -> Result<redis::Connection> {
    redis::Connection::open(&url()?).context("redis")
}

/// Where the database is; nothing if there is to be none.
pub(crate) fn place() -> Result<Option<postgres::Place>> {
    let Ok(host) = env::var("DATABASE_HOST") else { return Ok(None) };
    let variable = |name: &str| env::var(name).with_context(|| format!("{name} is not set"));
    Ok(Some(postgres::Place {
        host,
        port: env::var("DATABASE_PORT").map_or(Ok(5432), |port| port.parse()).context("DATABASE_PORT")?,
        database: variable("DATABASE_NAME")?,
        user: variable("DATABASE_USER")?,
        password: variable("DATABASE_PASSWORD")?,
        secure: env::var("DATABASE_SSLMODE").as_deref() != Ok("disable"),
    }))
}

/// Where Redis is.
pub(crate) fn url() -> Result<String> {
    env::var("REDIS_URL").context("REDIS_URL is not set")
}

/// What the web server uses: connections that are kept; there are few, as in a real application.
pub(crate) struct Backends {
    database: Option<Pool<postgres::Connection>>,
    cache: Option<Pool<redis::Connection>>,
}

struct Pool<C> {
    open: Box<dyn Fn() -> Result<C> + Send + Sync>,
    idle: Mutex<Vec<C>>,
}

impl<C> Pool<C> {
    fn new(open: impl Fn() -> Result<C> + Send + Sync + 'static) -> Self {
        Self { open: Box::new(open), idle: Mutex::default() }
    }

    /// Uses a connection. One that has lain idle may have been closed by the other side: then once more with a new
    /// one.
    fn with<T>(&self, mut ask: impl FnMut(&mut C) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(mut connection) = idle
            && let Ok(answer) = ask(&mut connection)
        {
            self.keep(connection);
            return Ok(answer);
        }
        let mut connection = (self.open)()?;
        let answer = ask(&mut connection)?;
        self.keep(connection);
        Ok(answer)
    }

    fn keep(&self, connection: C) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < 4 {
            idle.push(connection);
        }
    }
}

impl Backends {
    pub(crate) fn from_environment() -> Result<Self> {
        let database = place()?.map(|place| Pool::new(move || postgres::Connection::open(&place)));
        let cache = env::var("REDIS_URL").ok().map(|url| Pool::new(move || redis::Connection::open(&url)));
        Ok(Self { database, cache })
    }

    /// The name of the database that answers; null without one.
    pub(crate) fn database(&self) -> Result<Value> {
        let Some(pool) = &self.database else { return Ok(Value::Null) };
        pool.with(|connection| connection.query("select current_database()"))
            .map(|name| json!(name))
            .context("database")
    }

    /// How often Redis was asked; null without one.
    pub(crate) fn cache(&self) -> Result<Value> {
        let Some(pool) = &self.cache else { return Ok(Value::Null) };
        let count = pool.with(|connection| connection.ask(&["INCR", "visits"])).context("cache")?;
        Ok(json!(count.number().context("cache")?))
    }

    /// The version of the schema that the database has; null without a database.
    pub(crate) fn schema(&self) -> Result<Option<u64>> {
        let Some(pool) = &self.database else { return Ok(None) };
        pool.with(schema::seen).map(Some).context("database")
    }

    /// Whether the release can work with that version; nobody is asked if it takes any.
    pub(crate) fn schema_fits(&self) -> Result<Result<()>> {
        if !schema::matters() {
            return Ok(Ok(()));
        }
        Ok(self.schema()?.map_or(Ok(()), schema::fits))
    }

    /// How many jobs were done, as the database counts them.
    pub(crate) fn counter(&self) -> Result<u64> {
        self.database.as_ref().context("there is no database")?.with(jobs::counter).context("database")
    }

    /// Puts a job into the queue, which takes so many milliseconds.
    pub(crate) fn accept(&self, id: &str, milliseconds: u64) -> Result<()> {
        let pool = self.cache.as_ref().context("there is no Redis")?;
        pool.with(|connection| jobs::accept(connection, id, milliseconds)).context("cache")
    }
}

/// A connection of a process that runs for long: opened again when it was lost.
pub(crate) struct Steady<C> {
    open: Box<dyn Fn() -> Result<C> + Send>,
    now: Option<C>,
    /// Which connection this is: what was seen on another one may not be true any more.
    pub(crate) number: u64,
}

impl<C> Steady<C> {
    /// The first one must be let in.
    pub(crate) fn open(open: impl Fn() -> Result<C> + Send + 'static) -> Result<Self> {
        let now = Some(open()?);
        Ok(Self { open: Box::new(open), now, number: 0 })
    }

    /// Tries once. After an error the next try has a new connection.
    pub(crate) fn with<T>(&mut self, mut ask: impl FnMut(&mut C) -> Result<T>) -> Result<T> {
        if self.now.is_none() {
            self.now = Some((self.open)()?);
            self.number += 1;
        }
        let answer = self.now.as_mut().map(&mut ask).context("no connection")?;
        if answer.is_err() {
            self.now = None;
        }
        answer
    }

    /// Tries until it works, or this process is to end.
    pub(crate) fn insist<T>(
        &mut self,
        ending: &AtomicBool,
        mut ask: impl FnMut(&mut C) -> Result<T>,
    ) -> Result<T> {
        loop {
            match self.with(&mut ask) {
                Err(error) if ending.load(Ordering::SeqCst) => bail!("at the end: {error:#}"),
                Err(error) => eprintln!("app: {error:#}; once more"),
                done => return done,
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}
