//! An advisory lock of `PostgreSQL`: one at a time in a whole fleet. It belongs to the session, so it goes with the
//! connection, whatever ends that.

use std::time::Duration;

use tokio_postgres::SimpleQueryMessage;

use super::{Database, Layer, Session, Trouble, connect, trouble};
use crate::digest::sha256;
use crate::model::AppName;
use crate::text::clean;

/// How often a session that holds the lock is asked whether it is still there, and how long it may take to answer: packets
/// that vanish end no connection by themselves.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// The key of an app's lock: the first eight bytes of the SHA-256 of `handover:APP`, as a big-endian number. The same in every
/// version, or two of them would not see each other.
pub fn key_of(app: &AppName) -> i64 {
    let hex = sha256(format!("handover:{app}").as_bytes());
    u64::from_str_radix(&hex[..16], 16).expect("a digest is hexadecimal").cast_signed()
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What its connection is called: `handover APP INSTANCE`.
    pub application: String,
    /// The address it came from; empty for a socket of the database's own host.
    pub address: String,
}

/// A lock that is held as long as this lives.
pub struct AdvisoryLock {
    session: Session,
    database: Database,
    key: i64,
    timeout: Duration,
}

impl AdvisoryLock {
    /// Takes it at once; or the session back, where somebody else holds it. Behind a pooler that lends a connection for one
    /// transaction only (`PgBouncer`'s `pool_mode = transaction`) none is taken: it would stay with a connection of the pool,
    /// and nobody could ever give it back.
    pub async fn try_take(
        session: Session,
        database: &Database,
        key: i64,
        timeout: Duration,
    ) -> Result<Result<Self, Session>, Trouble> {
        if !has_a_backend(&session, database, timeout).await? {
            return Err(lent_by_the_transaction(database));
        }
        let taken = value(&session, database, &format!("SELECT pg_try_advisory_lock({key})")).await?;
        if taken.as_deref() != Some("t") {
            return Ok(Err(session));
        }
        Self::proven(session, database, key, timeout).await.map(Ok)
    }

    /// Waits until it is free, however long that takes, and takes it.
    pub async fn take(
        session: Session,
        database: &Database,
        key: i64,
        timeout: Duration,
    ) -> Result<Self, Trouble> {
        value(&session, database, &format!("SELECT pg_advisory_lock({key})")).await?;
        Self::proven(session, database, key, timeout).await
    }

    /// Sees that the lock is this session's own: a busy pool may have lent it the same connection by chance before.
    async fn proven(
        session: Session,
        database: &Database,
        key: i64,
        timeout: Duration,
    ) -> Result<Self, Trouble> {
        let held = value(&session, database, &held_by_me(key)).await?;
        if held.as_deref() != Some("1") || !has_a_backend(&session, database, timeout).await? {
            // It is with whatever connection it was taken through: most likely the one that is lent next.
            let _ = value(&session, database, &format!("SELECT pg_advisory_unlock({key})")).await;
            return Err(lent_by_the_transaction(database));
        }
        Ok(Self { session, database: database.clone(), key, timeout })
    }

    /// Sees that it is held.
    pub async fn is_held(&mut self) -> Result<(), Trouble> {
        let Self { session, database, key, timeout } = self;
        let question = held_by_me(*key);
        let held = value(session, database, &question);
        match tokio::time::timeout(*timeout, held).await {
            Ok(Ok(Some(held))) if held == "1" => Ok(()),
            Ok(Ok(_)) => {
                let what = format!("{} holds the lock no more", database.place);
                Err(Trouble::lasting(Layer::Query, what, "look at the server's own log"))
            }
            Ok(Err(trouble)) => Err(trouble),
            Err(_) => {
                let within = crate::text::duration(*timeout);
                Err(Trouble::silence(Layer::Query, &database.place.to_string(), &within))
            }
        }
    }

    /// Waits until it is lost: the connection was cut, nobody answers any more, or the server has let it go.
    pub async fn lost(&mut self) -> Trouble {
        loop {
            tokio::select! {
                trouble = self.session.lost() => return trouble,
                () = tokio::time::sleep(HEARTBEAT) => {}
            }
            if let Err(trouble) = self.is_held().await {
                return trouble;
            }
        }
    }
}

/// Whether a session has a process of the server to itself: another login is given another one.
async fn has_a_backend(session: &Session, database: &Database, timeout: Duration) -> Result<bool, Trouble> {
    let pid = "SELECT pg_backend_pid()";
    let own = value(session, database, pid).await?;
    let other = connect(database, "handover", timeout).await?;
    Ok(own != value(&other, database, pid).await?)
}

fn lent_by_the_transaction(database: &Database) -> Trouble {
    Trouble::lasting(
        Layer::Query,
        format!(
            "{} is a pool that lends a connection for one transaction only (PgBouncer: pool_mode = transaction), and no lock can be held there",
            database.place
        ),
        "name the database itself in this check, or a pool with pool_mode = session",
    )
}

/// Who holds a lock; nothing where nobody does, or where this user may not see it.
pub async fn holder(session: &Session, database: &Database, key: i64) -> Result<Option<Holder>, Trouble> {
    let question = format!(
        "SELECT coalesce(a.application_name, ''), coalesce(host(a.client_addr), '') \
         FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE {} AND l.granted LIMIT 1",
        is_lock("l.", key)
    );
    let row = row(session, database, &question).await?;
    Ok(row.map(|row| {
        let column = |n: usize| clean(row.get(n).and_then(Option::as_deref).unwrap_or_default());
        Holder { application: column(0), address: column(1) }
    }))
}

/// How `pg_locks` shows the lock of a key in this database.
fn is_lock(table: &str, key: i64) -> String {
    let bits = key.cast_unsigned();
    let (high, low) = (bits >> 32, bits & 0xffff_ffff);
    format!(
        "{table}locktype = 'advisory' AND {table}objsubid = 1 AND {table}classid = {high} AND {table}objid = {low} \
         AND {table}database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
}

fn held_by_me(key: i64) -> String {
    let is_lock = is_lock("", key);
    format!("SELECT count(*) FROM pg_locks WHERE {is_lock} AND granted AND pid = pg_backend_pid()")
}

/// The first column of the first row.
async fn value(session: &Session, database: &Database, question: &str) -> Result<Option<String>, Trouble> {
    Ok(row(session, database, question).await?.and_then(|row| row.into_iter().next().flatten()))
}

/// The first row. As a simple query: a pooler need not know prepared statements.
async fn row(
    session: &Session,
    database: &Database,
    question: &str,
) -> Result<Option<Vec<Option<String>>>, Trouble> {
    let answer = session.client.simple_query(question).await;
    let messages = answer.map_err(|error| trouble(&error, Layer::Query, database))?;
    Ok(messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
        }
        _ => None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another version of handover, elsewhere in the fleet, has to come to the same.
    #[test]
    fn the_key_of_an_app_stays_what_it_is() {
        assert_eq!(key_of(&"status-page".parse().unwrap()), -1_730_132_972_121_288_865);
        assert_ne!(key_of(&"a".parse().unwrap()), key_of(&"b".parse().unwrap()));
    }

    #[test]
    fn both_halves_of_a_key_are_unsigned() {
        assert!(is_lock("", -1).contains("classid = 4294967295 AND objid = 4294967295"));
        assert!(is_lock("l.", 1 << 32 | 7).contains("l.classid = 1 AND l.objid = 7"));
    }
}
