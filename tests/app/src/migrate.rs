//! `app migrate`: brings the schema to the version that the release wants. It is not safe twice: a second run of a
//! version, and one that runs beside another, do damage; that is written down.

use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::postgres::{Connection, quoted};
use crate::tables::{self, MIGRATION};
use crate::{backends, identity, number, schema, variant};

/// Migrates to this version, or to `SCHEMA`; without either, it only leaves its row. It takes `MIGRATE_MS`.
///
/// Variants: `migrate:fail` stops half-way, `migrate:nothing` says that it is done, and the common ones.
pub(crate) fn run(version: Option<&str>) -> Result<()> {
    let version = version.map(str::parse).transpose()?.or(schema::wanted()?);
    let variant = variant::begin("migrate")?;
    if variant == "nothing" {
        println!("migrated");
        return Ok(());
    }
    let mut database = backends::database()?;
    tables::prepare(&mut database)?;
    let [release, container] = [identity::release(), identity::container()].map(|text| quoted(&text));
    let wanted = version.map_or("null".to_owned(), |version: u64| version.to_string());
    let lock = format!("select pg_try_advisory_lock({MIGRATION}, 0)");
    if database.query(&lock)?.as_deref() != Some("t") {
        damage(&mut database, "two migrations at once")?;
    }
    let again = format!("select count(*) from migrations where version = {wanted} and ended is not null");
    if database.query(&again)?.as_deref() != Some("0") {
        damage(&mut database, &format!("version {wanted} was there already"))?;
    }
    let insert = format!(
        "insert into migrations (release, container, version) values ({release}, {container}, {wanted}) returning id"
    );
    let row = database.query(&insert)?.unwrap_or_default();
    println!("app migrates to {wanted}");
    thread::sleep(Duration::from_millis(number("MIGRATE_MS", 0)));
    if variant == "fail" {
        bail!("column \"notes\" of relation \"incidents\" already exists");
    }
    if let Some(version) = version {
        database.query(&format!("update schema_version set version = {version}"))?;
    }
    database.query(&format!("update migrations set ended = now() where id = {row}"))?;
    let count = database.query("select count(*) from migrations where ended is not null")?;
    println!("migrated, {} so far", count.unwrap_or_default());
    Ok(())
}

/// `app migrate --check`: fails while there is something to do.
pub(crate) fn check(version: Option<&str>) -> Result<()> {
    let wanted = version.map(str::parse).transpose()?.or(schema::wanted()?).unwrap_or(0_u64);
    let seen = schema::seen(&mut backends::database()?)?;
    println!("the schema has version {seen}, wanted is {wanted}");
    if seen < wanted {
        bail!("version {wanted} is to be migrated to");
    }
    Ok(())
}

fn damage(database: &mut Connection, what: &str) -> Result<()> {
    eprintln!("app: damage: {what}");
    let [release, container, what] = [&identity::release(), &identity::container(), what].map(quoted);
    let insert =
        format!("insert into damage (release, container, what) values ({release}, {container}, {what})");
    database.query(&insert).map(drop)
}
