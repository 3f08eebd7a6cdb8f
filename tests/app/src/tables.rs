//! What the application and its tests write down in PostgreSQL.

use anyhow::Result;

use crate::postgres::Connection;

/// Made by whoever comes first: `if not exists` alone fails for one of two that come at once. Nothing here is unique, so
/// that what must not happen twice can be seen to have happened twice.
const TABLES: &str = "
select pg_advisory_xact_lock(7000, 0);
create table if not exists schema_version (version int not null);
insert into schema_version select 0 where not exists (select from schema_version);
create table if not exists migrations (id bigserial, at timestamptz default now(), release text, container text, version int, ended timestamptz);
create table if not exists damage (at timestamptz default now(), release text, container text, what text);
create table if not exists counter (value bigint not null);
insert into counter select 0 where not exists (select from counter);
create table if not exists job_runs (id bigserial, job text, worker text, release text, begun timestamptz default now(), ended timestamptz);
create table if not exists scheduler_events (id bigserial, at timestamptz default now(), run text, release text, event text, other text);
";

/// The first numbers of the advisory locks that runs hold as long as they live; the second one says which.
pub(crate) const WORKER: i32 = 7001;
pub(crate) const SCHEDULER: i32 = 7002;
pub(crate) const MIGRATION: i32 = 7003;

/// Makes what is missing.
pub(crate) fn prepare(connection: &mut Connection) -> Result<()> {
    connection.query(TABLES).map(drop)
}
