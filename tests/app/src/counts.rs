//! `app counts`: what became of jobs, schedulers and migrations, for tests; one object of JSON.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::jobs::{self, Job};
use crate::{backends, redis, schema, tables};

/// Per job, how often it was begun and how often it was done.
const JOBS: &str = "select coalesce(json_object_agg(job, json_build_array(begun, done)), '{}') from (\
 select job, count(*) as begun, count(ended) as done from job_runs group by job) as jobs";

/// From the first to the last event of a run: two that are entangled have overlapped. Pairs, each once.
const OVERLAPS: &str = "with runs as (select run, min(id) as first, max(id) as last from scheduler_events group by run) \
 select coalesce(json_agg(json_build_array(one, two)), '[]') from (\
 select a.run as one, b.run as two from runs a join runs b on a.first < b.first and b.first < a.last \
 union select other, run from scheduler_events where event = 'overlap') as pairs";

const RUNS: &str = "select count(distinct run) from scheduler_events";

const MIGRATIONS: &str = "select coalesce(json_agg(json_build_object('release', release, 'container', container, \
 'version', version, 'done', ended is not null) order by id), '[]') from migrations";

const DAMAGE: &str = "select coalesce(json_agg(what order by at), '[]') from damage";

pub(crate) fn run() -> Result<()> {
    let mut database = backends::database()?;
    tables::prepare(&mut database)?;
    let mut ask = |query: &str| -> Result<Value> {
        Ok(serde_json::from_str(&database.query(query)?.context("no answer")?)?)
    };
    let (schedulers, overlaps) = (ask(RUNS)?, ask(OVERLAPS)?);
    let (migrations, damage) = (ask(MIGRATIONS)?, ask(DAMAGE)?);
    let mut queue = backends::queue()?;
    let ticks = queue.ask(&["GET", jobs::TICKS])?.text().unwrap_or_default();
    let accepted: BTreeSet<_> = queue.ask(&["SMEMBERS", jobs::ACCEPTED])?.texts().into_iter().collect();
    // Before what was done is read: a job that is done meanwhile is in both, one that is taken meanwhile in neither list.
    let (waiting, in_hand) = unfinished(&mut queue)?;
    let runs: BTreeMap<String, (u64, u64)> = serde_json::from_value(ask(JOBS)?)?;
    let done: BTreeSet<_> =
        runs.iter().filter(|(_, (_, done))| *done > 0).map(|(job, _)| job.clone()).collect();
    let more_than_once = |count: fn(&(u64, u64)) -> u64| runs.values().filter(|runs| count(runs) > 1).count();
    let lost: Vec<_> =
        accepted.difference(&done).filter(|job| !waiting.contains(*job) && !in_hand.contains(*job)).collect();
    let counts = json!({
        "accepted": accepted.len(), "done": done.len(), "duplicated": more_than_once(|runs| runs.1),
        "begun_again": more_than_once(|runs| runs.0), "waiting": waiting.len(), "in_hand": in_hand.len(),
        "lost": lost, "migrations": migrations, "damage": damage, "schedulers": schedulers, "overlaps": overlaps,
        "ticks": ticks.parse().unwrap_or(0_u64), "counter": jobs::counter(&mut database)?,
        "schema": schema::seen(&mut database)?,
    });
    println!("{counts}");
    Ok(())
}

/// The jobs that wait, and those that workers have in hand.
fn unfinished(queue: &mut redis::Connection) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let mut list = |key: &str| -> Result<Vec<String>> {
        let jobs = queue.ask(&["LRANGE", key, "0", "-1"])?.texts();
        Ok(jobs.iter().map(|job| Job::of(job).id).collect())
    };
    let waiting = list(jobs::WAITING)?.into_iter().collect();
    let mut in_hand = BTreeSet::new();
    for worker in queue.ask(&["SMEMBERS", jobs::WORKERS])?.texts() {
        in_hand.extend(queue.ask(&["LRANGE", &jobs::in_hand(&worker), "0", "-1"])?.texts());
    }
    Ok((waiting, in_hand.iter().map(|job| Job::of(job).id).collect()))
}
