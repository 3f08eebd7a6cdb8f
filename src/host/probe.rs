//! One probe: does the container answer, and what?

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::model::StatusRange;
use crate::text::duration;

/// What a failed probe saw, as a phrase that follows "the last one that failed".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saw {
    /// An answer, but not a healthy one.
    Answered(String),
    /// No answer.
    Nothing(String),
}

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
        let stream = TcpStream::connect(address)
            .await
            .map_err(|e| Saw::Nothing(format!("could not connect to {address}: {e}")))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| Saw::Nothing(e.to_string()))?;
        let request = hyper::Request::get(path)
            .header(HOST, host.map_or_else(|| address.to_string(), str::to_owned))
            .header(USER_AGENT, concat!("handover/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|e| Saw::Nothing(e.to_string()))?;
        let answer = sender.send_request(request);
        tokio::pin!(answer);
        // The connection has to be driven while the answer is awaited, and may end as soon as it is there.
        let response = tokio::select! {
            response = &mut answer => response,
            _ = connection => answer.await,
        };
        let response = response.map_err(|e| Saw::Nothing(format!("got no answer from {address}: {e}")))?;
        let code = response.status().as_u16();
        if healthy.iter().any(|range| range.contains(code)) {
            Ok(())
        } else {
            let took = duration(asked.elapsed());
            Err(Saw::Answered(format!("was answered with status {code} after {took}")))
        }
    };
    within(timeout, ask).await
}

/// A TCP connection.
pub async fn tcp(address: SocketAddr, timeout: Duration) -> Result<(), Saw> {
    let connect = async {
        TcpStream::connect(address)
            .await
            .map(drop)
            .map_err(|e| Saw::Nothing(format!("could not connect to {address}: {e}")))
    };
    within(timeout, connect).await
}

async fn within(timeout: Duration, probe: impl Future<Output = Result<(), Saw>>) -> Result<(), Saw> {
    tokio::time::timeout(timeout, probe)
        .await
        .unwrap_or_else(|_| Err(Saw::Nothing(format!("had no answer within {}", duration(timeout)))))
}
