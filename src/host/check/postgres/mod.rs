//! `PostgreSQL` by tokio-postgres: a real login, on our own resolver and TLS.

mod lock;
mod upgrade;

use std::cell::Cell;
use std::io;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::DbError;
use tokio_postgres::{Client, Config, Error};

use super::attempt::Attempt;
use super::tls::{self, Verified};
use super::trouble::{Layer, Trouble};
use crate::model::{Place, TlsMode};
use crate::text::{chain, clean};
pub use lock::{AdvisoryLock, Holder, holder, key_of};
use upgrade::Upgrade;

/// A database, with all that it takes to be let in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Database {
    /// Where it is.
    pub place: Place,
    /// The user.
    pub user: String,
    /// Its password.
    #[serde(serialize_with = "super::exposed")]
    pub password: SecretString,
    /// The database; that of the user's name without one.
    pub dbname: Option<String>,
    /// How the connection is secured.
    pub tls: TlsMode,
    /// The CAs that are trusted, as PEM; those of the system without.
    pub ca: Option<String>,
    /// The name of the secret: for people.
    pub secret: String,
}

/// A login that lasts as long as this lives.
pub struct Session {
    /// What questions are put to.
    pub client: Client,
    connection: JoinHandle<Result<(), Error>>,
    place: Place,
}

impl Session {
    /// Waits until the connection is lost.
    pub async fn lost(&mut self) -> Trouble {
        let why = match (&mut self.connection).await {
            Ok(Ok(())) => "it ended".to_owned(),
            Ok(Err(error)) => clean(&chain(&error)),
            Err(_) => "it was given up".to_owned(),
        };
        Trouble::closed(Layer::Query, &self.place, &why, "look at the database's own log")
    }
}

/// The connection is closed, and with it goes what the server holds for it.
impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Logs in and asks for an answer.
pub(super) async fn ask(database: &Database, attempt: &Attempt) -> Result<(), Trouble> {
    let session = open(database, "handover", attempt).await?;
    let asking = async {
        let answer = session.client.simple_query("SELECT 1").await;
        answer.map(drop).map_err(|error| trouble(&error, Layer::Query, database))
    };
    attempt.within(|| Layer::Query, &database.place, asking).await
}

/// Logs in. `application` is what the server's `pg_stat_activity` shows.
pub async fn connect(database: &Database, application: &str, timeout: Duration) -> Result<Session, Trouble> {
    open(database, application, &Attempt::of(timeout)).await
}

/// One way to log in.
#[derive(Clone, Copy)]
struct Way {
    mode: SslMode,
    verified: Verified,
}

/// The ways of libpq's modes, in their order.
fn ways(database: &Database) -> Vec<Way> {
    let way = |mode, verified| Way { mode, verified };
    let (plain, any) = (way(SslMode::Disable, Verified::Nothing), way(SslMode::Require, Verified::Nothing));
    match database.tls {
        TlsMode::Disable => vec![plain],
        TlsMode::Allow => vec![plain, any],
        TlsMode::Prefer => vec![way(SslMode::Prefer, Verified::Nothing), plain],
        TlsMode::Require if database.ca.is_none() => vec![any],
        TlsMode::Require | TlsMode::VerifyCa => vec![way(SslMode::Require, Verified::Ca)],
        TlsMode::VerifyFull => vec![way(SslMode::Require, Verified::Name)],
    }
}

async fn open(database: &Database, application: &str, attempt: &Attempt) -> Result<Session, Trouble> {
    let mut kept = None;
    for way in ways(database) {
        match log_in(database, application, way, attempt).await {
            Ok(session) => return Ok(session),
            // Without a connection it makes no difference.
            Err(trouble) if matches!(trouble.layer, Layer::Dns | Layer::Connect) => return Err(trouble),
            // What is said without TLS is mostly that there is none.
            Err(trouble) if kept.is_none() || way.mode != SslMode::Disable => kept = Some(trouble),
            Err(_) => {}
        }
    }
    Err(kept.expect("there is a way in every mode"))
}

async fn log_in(
    database: &Database,
    application: &str,
    way: Way,
    attempt: &Attempt,
) -> Result<Session, Trouble> {
    let place = &database.place;
    let stream = attempt.connect(place).await?;
    let layer = Cell::new(if way.mode == SslMode::Disable { Layer::Authentication } else { Layer::Tls });
    let upgrade = Upgrade {
        connector: tls::connector(way.verified, database.ca.as_deref())?,
        name: tls::server_name(&place.host)?,
        layer: &layer,
    };
    let mut config = Config::new();
    config.user(&database.user).password(database.password.expose_secret()).ssl_mode(way.mode);
    config.application_name(application);
    if let Some(dbname) = &database.dbname {
        config.dbname(dbname);
    }
    let logging_in = async {
        let connected = config.connect_raw(stream, upgrade).await;
        connected.map_err(|error| trouble(&error, layer.get(), database))
    };
    let (client, connection) = attempt.within(|| layer.get(), place, logging_in).await?;
    Ok(Session { client, connection: tokio::spawn(connection), place: place.clone() })
}

/// What an error says, and what to look at.
fn trouble(error: &Error, layer: Layer, database: &Database) -> Trouble {
    let place = &database.place;
    if let Some(refused) = error.as_db_error() {
        return refusal(refused, layer, database);
    }
    let source = std::error::Error::source(error);
    let io = source.and_then(|source| source.downcast_ref::<io::Error>());
    if error.to_string().starts_with("error performing TLS") {
        return match io {
            Some(io) => tls::not_secured(io, place, database.ca.is_some()),
            None => Trouble::lasting(
                Layer::Tls,
                format!("{place} has no TLS"),
                "switch it on there (ssl = on), or say by 'tls' that none is wanted: tls = \"disable\"",
            ),
        };
    }
    if io.is_some() || error.is_closed() {
        let fix = "look at the server's own log; is it PostgreSQL that listens there, and does it speak TLS?";
        return Trouble::closed(layer, place, &clean(&chain(error)), fix);
    }
    Trouble::lasting(layer, format!("{place}: {}", clean(&chain(error))), "")
}

/// What the server itself says. Its messages name users and databases, and no password.
fn refusal(refused: &DbError, layer: Layer, database: &Database) -> Trouble {
    let (place, secret) = (&database.place, &database.secret);
    let what = format!("{place} refuses: {} ({})", clean(refused.message()), refused.code().code());
    let lasting = |fix: String| Trouble::lasting(Layer::Authentication, what.clone(), fix);
    match refused.code().code() {
        "28P01" => lasting(format!(
            "the password in secret '{secret}' is not the database's: was it rotated? A new deployment reads the newest version; look at the secret's rotation, and at the user"
        )),
        "28000" if refused.message().contains("no encryption") => {
            lasting("it wants TLS (on RDS: rds.force_ssl): write tls = \"verify-full\" and a 'ca'".to_owned())
        }
        "28000" => lasting(format!(
            "is the user of secret '{secret}' there, may it log in, and from this address (pg_hba.conf)?"
        )),
        "3D000" => lasting("check 'dbname', in the secret or in the check".to_owned()),
        "53300" => Trouble::passing(
            layer,
            what,
            "it has no connection left: look at max_connections, and at who holds them",
        ),
        "57P03" | "57P01" | "57P02" => {
            Trouble::passing(layer, what, "it starts or stops: is it rebooted, or failing over?")
        }
        _ => Trouble::lasting(layer, what, "look at the server's own log"),
    }
}
