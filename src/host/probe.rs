//! One probe: does the container answer, and what?

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::model::StatusRange;
use crate::text::duration;

/// What a failed probe saw; with a phrase that follows "the last one that failed".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saw {
    /// An answer, but not a healthy one: its status, and what it says of itself.
    Answered {
        /// The status.
        status: u16,
        /// The phrase.
        what: String,
        /// The beginning of its body, as it is: not free of secrets.
        said: String,
    },
    /// Nobody took the connection.
    Refused(String),
    /// No answer.
    Nothing(String),
}

/// So much of a body is read, in bytes: one of this length was cut off.
pub const LONGEST_BODY: usize = 32 << 10;

/// An HTTP request on a connection of its own.
pub async fn http(
    address: SocketAddr,
    path: &str,
    host: Option<&str>,
    healthy: &[StatusRange],
    timeout: Duration,
) -> Result<(), Saw> {
    let asked = Instant::now();
    let ask = async {
        let stream = TcpStream::connect(address).await.map_err(|e| not_connected(address, &e))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| Saw::Nothing(e.to_string()))?;
        let request = hyper::Request::get(path)
            .header(HOST, host.map_or_else(|| address.to_string(), str::to_owned))
            .header(USER_AGENT, concat!("handover/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|e| Saw::Nothing(e.to_string()))?;
        let answer = async {
            let response = sender.send_request(request).await;
            let response =
                response.map_err(|e| Saw::Nothing(format!("got no answer from {address}: {e}")))?;
            let status = response.status().as_u16();
            if healthy.iter().any(|range| range.contains(status)) {
                return Ok(());
            }
            let took = asked.elapsed();
            // The status is an answer, whatever becomes of the body.
            let left = timeout.saturating_sub(took) / 2;
            let said = tokio::time::timeout(left, beginning(response.into_body())).await.unwrap_or_default();
            Err(Saw::Answered {
                status,
                what: format!("was answered with status {status} after {}", duration(took)),
                said,
            })
        };
        tokio::pin!(answer);
        // The connection has to be driven while the answer is awaited, and may end as soon as it is there.
        tokio::select! {
            answer = &mut answer => answer,
            _ = connection => answer.await,
        }
    };
    within(timeout, ask).await
}

/// The beginning of a body; nothing of one that breaks off.
async fn beginning(mut body: Incoming) -> String {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return String::new() };
        bytes.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
        if bytes.len() >= LONGEST_BODY {
            bytes.truncate(LONGEST_BODY);
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn not_connected(address: SocketAddr, error: &std::io::Error) -> Saw {
    let what = format!("could not connect to {address}: {error}");
    if error.kind() == std::io::ErrorKind::ConnectionRefused {
        Saw::Refused(what)
    } else {
        Saw::Nothing(what)
    }
}

/// A TCP connection.
pub async fn tcp(address: SocketAddr, timeout: Duration) -> Result<(), Saw> {
    let connect =
        async { TcpStream::connect(address).await.map(drop).map_err(|e| not_connected(address, &e)) };
    within(timeout, connect).await
}

async fn within(timeout: Duration, probe: impl Future<Output = Result<(), Saw>>) -> Result<(), Saw> {
    tokio::time::timeout(timeout, probe)
        .await
        .unwrap_or_else(|_| Err(Saw::Nothing(format!("had no answer within {}", duration(timeout)))))
}
