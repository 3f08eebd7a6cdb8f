//! One attempt to reach somebody: a name, a connection, and what is left of its time.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::trouble::{Layer, Trouble, no_way};
use crate::host::names::Names;
use crate::model::Place;
use crate::text::{clean, duration};

/// An attempt under way.
pub(super) struct Attempt {
    names: Names,
    timeout: Duration,
    end: Instant,
}

impl Attempt {
    /// One that begins now. It resolves anew: an answer of before, even that there is none, may be over.
    pub(super) fn of(timeout: Duration) -> Self {
        Self { names: Names::of_the_system(), timeout, end: Instant::now() + timeout }
    }

    /// How long it may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What this comes to in the time that is left; else the layer at which nobody answered. It is asked for at the end,
    /// because what is done may have come further by then.
    pub(super) async fn within<T>(
        &self,
        layer: impl Fn() -> Layer,
        place: &Place,
        work: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let done = tokio::time::timeout_at(self.end, work).await;
        done.unwrap_or_else(|_| Err(Trouble::silence(layer(), &place.to_string(), &duration(self.timeout))))
    }

    /// The addresses of a host.
    pub(super) async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Trouble> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let found = tokio::time::timeout_at(self.end, self.names.lookup(host)).await;
        match found {
            Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
            Ok(Err(error)) if !error.is_unknown() => Err(Trouble::passing(
                Layer::Dns,
                clean(&error.to_string()),
                "look at the name servers in /etc/resolv.conf, and at the way to them",
            )),
            Ok(_) => Err(Trouble::passing(
                Layer::Dns,
                format!("there is no '{host}'"),
                format!(
                    "check the name (getent hosts {host}); a private zone has to be associated with this VPC, and the VPC needs enableDnsSupport"
                ),
            )),
            Err(_) => {
                Err(Trouble::silence(Layer::Dns, &format!("whoever knows '{host}'"), &duration(self.timeout)))
            }
        }
    }

    /// A connection to the first address that accepts one; each gets its share of the time.
    pub(super) async fn connect(&self, place: &Place) -> Result<TcpStream, Trouble> {
        let addresses = self.resolve(&place.host).await?;
        let mut trouble = None;
        for (tried, address) in addresses.iter().enumerate() {
            let left = self.end.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - tried).unwrap_or(1);
            let connecting = TcpStream::connect((*address, place.port));
            let shown = shown(place, *address);
            match tokio::time::timeout(share, connecting).await {
                Ok(Ok(stream)) => {
                    // Questions are short, and each waits for its answer.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => trouble = Some(not_connected(&shown, &error)),
                Err(_) => {
                    trouble = Some(Trouble::silence(Layer::Connect, &shown, &duration(self.timeout)));
                }
            }
        }
        Err(trouble
            .unwrap_or_else(|| Trouble::silence(Layer::Connect, &place.to_string(), &duration(self.timeout))))
    }
}

/// A place with the address that its name has.
fn shown(place: &Place, address: IpAddr) -> String {
    if place.host.parse::<IpAddr>().is_ok() { place.to_string() } else { format!("{place} ({address})") }
}

fn not_connected(place: &str, error: &std::io::Error) -> Trouble {
    let what = format!("{place}: {error}");
    let fix = match error.kind() {
        ErrorKind::ConnectionRefused => {
            "the host is there, and nothing listens: is the server up, and is the port right?".to_owned()
        }
        _ => no_way(place),
    };
    Trouble::passing(Layer::Connect, what, fix)
}
