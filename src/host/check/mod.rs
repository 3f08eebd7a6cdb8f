//! What an app needs of others, asked for real: a database that lets us in, a Redis that answers, not just an open port. One
//! file a kind. A failure says at which layer it came to an end.

mod attempt;
pub mod postgres;
pub mod redis;
mod tls;
mod trouble;
mod web;

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use tokio::time::Instant;

use crate::model::{Place, StatusRange};
use attempt::Attempt;
pub use trouble::{Layer, Trouble};

/// What is asked, with all that it takes. It may be put into words to be handed to a process of ours: then it contains
/// passwords.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Question {
    /// Who is asked.
    pub target: Target,
    /// How long one answer may take.
    pub timeout: Duration,
    /// How long it is asked again.
    pub deadline: Duration,
    /// Whether it is asked again also where the same answer is to be expected: on a first boot everything may still come.
    pub patient: bool,
}

/// Who is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// A `PostgreSQL` database.
    Postgres(postgres::Database),
    /// A Redis.
    Redis(redis::Cache),
    /// A URL.
    Web {
        /// The URL.
        url: String,
        /// The codes that count.
        status: Vec<StatusRange>,
    },
    /// A TCP port.
    Tcp(Place),
    /// A name.
    Dns(String),
}

/// Asks until there is a good answer, or no time.
pub async fn ask(question: &Question) -> Result<(), Trouble> {
    let end = Instant::now() + question.deadline;
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(2))
        .without_max_times()
        .build();
    loop {
        let Err(trouble) = ask_once(&question.target, question.timeout).await else { return Ok(()) };
        let pause = pauses.next().unwrap_or_default();
        let again = (trouble.passing || question.patient) && Instant::now() + pause < end;
        if !again {
            return Err(trouble);
        }
        tokio::time::sleep(pause).await;
    }
}

/// Asks once.
pub async fn ask_once(target: &Target, timeout: Duration) -> Result<(), Trouble> {
    let attempt = Attempt::of(timeout);
    // On the heap: the states of the clients are large.
    match target {
        Target::Postgres(database) => Box::pin(postgres::ask(database, &attempt)).await,
        Target::Redis(cache) => Box::pin(redis::ask(cache, &attempt)).await,
        Target::Web { url, status } => Box::pin(web::ask(url, status, &attempt)).await,
        Target::Tcp(place) => attempt.connect(place).await.map(drop),
        Target::Dns(name) => attempt.resolve(name).await.map(drop),
    }
}

/// A password on its way to a process of ours.
fn exposed<S: Serializer>(password: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(password.expose_secret())
}
