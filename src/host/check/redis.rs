//! Redis by its usual crate: TLS, AUTH or ACL, PING, and every master of a cluster, on our own resolver and TLS.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisConnectionInfo, RedisError, Value};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;

use super::attempt::Attempt;
use super::tls::{self, Verified};
use super::trouble::{Layer, Trouble};
use crate::model::Place;
use crate::text::clean;

/// A Redis, with all that it takes to be let in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cache {
    /// Where it is.
    pub place: Place,
    /// The user of an ACL.
    pub username: Option<String>,
    /// The password, where there is one.
    #[serde(serialize_with = "exposed")]
    pub password: Option<SecretString>,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The CAs that are trusted, as PEM; those of the system without.
    pub ca: Option<String>,
    /// Whether it is a cluster.
    pub cluster: bool,
    /// The name of the secret: for people.
    pub secret: Option<String>,
}

#[expect(clippy::ref_option, reason = "serde passes a reference")]
fn exposed<S: Serializer>(password: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    password.as_ref().map(ExposeSecret::expose_secret).serialize(serializer)
}

/// Both kinds of connection: one client is enough for both.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection that was let in.
struct Node {
    client: MultiplexedConnection,
    driver: AbortHandle,
    place: Place,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Logs in and asks for an answer; of a cluster, each of its masters.
pub(super) async fn ask(cache: &Cache, attempt: &Attempt) -> Result<(), Trouble> {
    let mut node = Node::open(cache, &cache.place, attempt).await?;
    node.ask(cache, attempt, &["PING"]).await?;
    if !cache.cluster {
        return Ok(());
    }
    let info = node.ask(cache, attempt, &["CLUSTER", "INFO"]).await?;
    let info = text_of(&info);
    let state = info.lines().find_map(|line| line.strip_prefix("cluster_state:")).unwrap_or("none").trim();
    if state != "ok" {
        return Err(Trouble::passing(
            Layer::Query,
            format!("the state of the cluster at {} is '{}'", cache.place, clean(state)),
            "look at its shards: a slot without a master keeps the whole cluster from answering",
        ));
    }
    let slots = node.ask(cache, attempt, &["CLUSTER", "SLOTS"]).await?;
    for master in masters(&slots, &cache.place) {
        let mut node = Node::open(cache, &master, attempt).await?;
        node.ask(cache, attempt, &["PING"]).await?;
    }
    Ok(())
}

impl Node {
    async fn open(cache: &Cache, place: &Place, attempt: &Attempt) -> Result<Self, Trouble> {
        let stream = attempt.connect(place).await?;
        let stream: Box<dyn Duplex> = if cache.tls {
            let securing = tls::secure(stream, place, Verified::Name, cache.ca.as_deref());
            Box::new(attempt.within(|| Layer::Tls, place, securing).await?)
        } else {
            Box::new(stream)
        };
        // It says no more of itself than it has to: an ACL need not allow CLIENT.
        let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(password) = &cache.password {
            info = info.set_password(password.expose_secret());
        }
        if let Some(username) = &cache.username {
            info = info.set_username(username);
        }
        // The time is ours to keep.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let logging_in = async {
            let connected = MultiplexedConnection::new_with_config(&info, stream, config).await;
            connected.map_err(|error| trouble(&error, Layer::Authentication, place, cache))
        };
        let (client, driver) = attempt.within(|| Layer::Authentication, place, logging_in).await?;
        Ok(Self { client, driver: tokio::spawn(driver).abort_handle(), place: place.clone() })
    }

    async fn ask(&mut self, cache: &Cache, attempt: &Attempt, words: &[&str]) -> Result<Value, Trouble> {
        let Self { client, place, .. } = self;
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        let asking = async {
            let answer = client.send_packed_command(&command).await;
            let answer = answer.and_then(Value::extract_error);
            answer.map_err(|error| trouble(&error, Layer::Query, place, cache))
        };
        attempt.within(|| Layer::Query, place, asking).await
    }
}

/// The master of each range of slots, each once. A node that does not know its own name has the one it was asked by.
fn masters(slots: &Value, asked: &Place) -> Vec<Place> {
    let Value::Array(ranges) = slots else { return vec![] };
    let mut masters = Vec::new();
    for range in ranges {
        let Value::Array(range) = range else { continue };
        let Some(Value::Array(master)) = range.get(2) else { continue };
        let (host, Some(Value::Int(port))) = (master.first().map(text_of).unwrap_or_default(), master.get(1))
        else {
            continue;
        };
        let host = if host.is_empty() || host == "?" { asked.host.clone() } else { host };
        let Ok(port) = u16::try_from(*port) else { continue };
        let place = Place { host, port };
        if !masters.contains(&place) {
            masters.push(place);
        }
    }
    masters
}

fn text_of(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.clone(),
        _ => String::new(),
    }
}

/// What an error says, and what to look at.
fn trouble(error: &RedisError, layer: Layer, place: &Place, cache: &Cache) -> Trouble {
    if error.is_io_error() || error.is_connection_dropped() {
        let fix = if cache.tls {
            "look at the server's own log"
        } else {
            "does it expect TLS (on ElastiCache: encryption in transit)? Then write tls = true"
        };
        return Trouble::closed(layer, place, &clean(&error.to_string()), fix);
    }
    let said = clean(&error.to_string());
    let says = |word: &str| error.code() == Some(word) || said.contains(word);
    let what = format!("{place} refuses: {said}");
    let lasting = |fix: String| Trouble::lasting(Layer::Authentication, what.clone(), fix);
    let secret = cache.secret.as_deref().unwrap_or_default();
    if says("WRONGPASS") || error.kind() == ErrorKind::AuthenticationFailed {
        return lasting(format!(
            "the password in secret '{secret}' is not the one of Redis, or it has none: was it rotated? With an ACL, check 'username', too"
        ));
    }
    if says("NOAUTH") {
        return lasting("it wants a password: name its secret, secret = \"NAME\"".to_owned());
    }
    if says("NOPERM") {
        return lasting(
            "the user's ACL does not allow this command: allow +ping (and +cluster for a cluster)".to_owned(),
        );
    }
    if ["LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY"].iter().any(|word| says(word)) {
        return Trouble::passing(layer, what, "it starts, or fails over: look at its own log");
    }
    if says("cluster support disabled") {
        return Trouble::lasting(layer, what, "it is no cluster: remove cluster = true");
    }
    Trouble::lasting(layer, what, "is it Redis that listens there?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_master_is_asked_once_and_one_without_a_name_has_that_of_the_endpoint() {
        let node = |host: &str, port| {
            Value::Array(vec![
                Value::BulkString(host.into()),
                Value::Int(port),
                Value::BulkString("id".into()),
            ])
        };
        let range = |nodes: Vec<Value>| Value::Array([vec![Value::Int(0), Value::Int(1)], nodes].concat());
        let slots = Value::Array(vec![
            range(vec![node("10.0.0.1", 6379), node("10.0.0.9", 6379)]),
            range(vec![node("", 6380)]),
            range(vec![node("10.0.0.1", 6379)]),
            Value::Nil,
        ]);
        let asked = Place { host: "cache".to_owned(), port: 1 };
        let found: Vec<String> = masters(&slots, &asked).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1:6379", "cache:6380"]);
    }
}
