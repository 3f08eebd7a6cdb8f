//! The database and Redis, as the environment names them.

use std::env;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{postgres, redis};

/// Connections that are kept; there are few, as in a real application.
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
        Ok(json!(count.parse::<u64>().context("cache")?))
    }
}

fn place() -> Result<Option<postgres::Place>> {
    let Ok(host) = env::var("DATABASE_HOST") else { return Ok(None) };
    let variable = |name: &str| env::var(name).with_context(|| format!("{name} is not set"));
    Ok(Some(postgres::Place {
        host,
        port: env::var("DATABASE_PORT").map_or(Ok(5432), |port| port.parse()).context("DATABASE_PORT")?,
        database: variable("DATABASE_NAME")?,
        user: variable("DATABASE_USER")?,
        password: variable("DATABASE_PASSWORD")?,
    }))
}

/// What a deployment's task does: one row for each run, so that a test can count them. It takes `MIGRATE_MS`.
pub(crate) fn migrate() -> Result<()> {
    let place = place()?.context("DATABASE_HOST is not set")?;
    let mut connection = postgres::Connection::open(&place)?;
    connection.query("create table if not exists migrations (at timestamptz default now(), release text)")?;
    let release = env::var("RELEASE").unwrap_or_default().replace('\'', "''");
    connection.query(&format!("select pg_sleep({} / 1000.0)", crate::number("MIGRATE_MS", 0)))?;
    connection.query(&format!("insert into migrations (release) values ('{release}')"))?;
    let count = connection.query("select count(*) from migrations")?;
    println!("migrated, {} so far", count.unwrap_or_default());
    Ok(())
}
