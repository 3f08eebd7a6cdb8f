//! The version of the schema: which the database has, and which this release wants.

use std::env;

use anyhow::{Context, Result, bail};

use crate::identity;
use crate::postgres::Connection;

/// The version that the database has; 0 before the first migration.
pub(crate) fn seen(connection: &mut Connection) -> Result<u64> {
    if connection.query("select to_regclass('schema_version')")?.is_none() {
        return Ok(0);
    }
    let version = connection.query("select max(version) from schema_version")?;
    version.map_or(Ok(0), |version| version.parse()).context("the version of the schema")
}

/// `SCHEMA`: the version that this release needs at least, if it cares.
pub(crate) fn wanted() -> Result<Option<u64>> {
    version("SCHEMA")
}

/// Whether this release cares.
pub(crate) fn matters() -> bool {
    ["SCHEMA", "SCHEMA_AT_MOST"].iter().any(|name| env::var_os(name).is_some())
}

/// Whether this release can work with this version: not an older one than `SCHEMA`, not a newer one than `SCHEMA_AT_MOST`.
pub(crate) fn fits(seen: u64) -> Result<()> {
    let release = identity::release();
    if let Some(wanted) = wanted()?.filter(|&wanted| seen < wanted) {
        bail!("the schema has version {seen}, and release {release} needs {wanted}");
    }
    if let Some(most) = version("SCHEMA_AT_MOST")?.filter(|&most| seen > most) {
        bail!("the schema has version {seen}, and release {release} knows none after {most}");
    }
    Ok(())
}

fn version(name: &str) -> Result<Option<u64>> {
    env::var(name)
        .ok()
        .map(|version| version.parse().with_context(|| format!("{name}={version}")))
        .transpose()
}
