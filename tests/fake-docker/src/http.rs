//! The server on the Unix socket.

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    io,
    os::unix::net::UnixListener as StdListener,
    path::Path,
    sync::{Arc, Weak},
    task::Poll,
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request as HttpRequest, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, SERVER, UPGRADE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    net::{UnixListener, UnixStream},
    task::{AbortHandle, JoinSet},
};

use crate::{
    answer::{Body, Reply, Wait, refuse},
    call::{Call, Fate, mutates},
    engine::Shared,
    query::Query,
    request::Request,
    route::route,
    system::RELEASE,
};

/// A listening daemon. Dropped, its socket and all connections are closed.
pub(crate) struct Daemon {
    socket: Option<Arc<UnixListener>>,
    task: AbortHandle,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.socket = None;
        self.task.abort();
    }
}

impl Daemon {
    /// Listens on a path, replacing a dead socket that lies there.
    pub(crate) fn listen(path: &Path, shared: &Arc<Shared>) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = StdListener::bind(path)?;
        socket.set_nonblocking(true)?;
        let socket = Arc::new(UnixListener::from_std(socket)?);
        let task = tokio::spawn(accept(Arc::downgrade(&socket), Arc::downgrade(shared)));
        Ok(Self { socket: Some(socket), task: task.abort_handle() })
    }
}

/// Accepts while the socket lives.
async fn accept(socket: Weak<UnixListener>, shared: Weak<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = poll_fn(|context| match socket.upgrade() {
            None => Poll::Ready(None),
            Some(socket) => socket.poll_accept(context).map(Result::ok),
        });
        let (Some((stream, _)), Some(shared)) = (accepted.await, shared.upgrade()) else { return };
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(stream, shared));
    }
}

async fn serve(stream: UnixStream, shared: Arc<Shared>) {
    let born = shared.generation();
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(handle(&shared, born, request).await) }
    });
    // A client that goes away is what this fake is for.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

/// Decides about one call, carries it out, answers.
async fn handle(
    shared: &Arc<Shared>,
    born: u64,
    mut request: HttpRequest<Incoming>,
) -> Response<Full<Bytes>> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return pending().await };
    // A client that has crashed sends nothing any more, whatever was under way on its connections.
    if !shared.lives(born) {
        return pending().await;
    }
    let method = parts.method.as_str().to_owned();
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let segments: Vec<&str> = path.split('/').collect();
    let mutating = mutates(&method, &segments);
    let call = Call { n: 0, method, path: path.clone(), query: query.clone(), mutating, status: None };
    let call = shared.log_call(call);
    let fate = shared.fate(&call);
    if fate == Fate::CrashBefore {
        shared.crash();
        return pending().await;
    }
    if fate == Fate::Hang {
        return pending().await;
    }
    let text = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let request = Request {
        query: Query::parse(&query).into(),
        body: body.to_bytes().to_vec(),
        registry_auth: text("x-registry-auth"),
        upgrade: text("upgrade").is_some(),
    };
    let reply = if let Fate::Refuse(status, message) = &fate {
        refuse(*status, message)
    } else {
        let mut world = shared.world();
        route(&mut world, &call.method, &path, &request).unwrap_or_else(|refusal| refusal)
    };
    if let Some(complaint) = &reply.complaint {
        shared.complain(complaint);
    }
    if fate == Fate::CrashAfter {
        shared.crash();
        return pending().await;
    }
    let Reply { status, body, .. } = reply;
    shared.log_status(call.n, status);
    let body = match body {
        Body::Wait(wait) => {
            let code = end_of(shared, &wait).await;
            Body::Json(json!({ "Error": null, "StatusCode": code }))
        }
        Body::Ended(wait) => {
            end_of(shared, &wait).await;
            Body::Empty
        }
        Body::Never => pending().await,
        Body::Upgraded(bytes) => {
            tokio::spawn(async move {
                if let Ok(upgraded) = upgrade.await {
                    let mut stream = TokioIo::new(upgraded);
                    let _ = stream.write_all(&bytes).await;
                    let _ = stream.shutdown().await;
                }
            });
            Body::Upgraded(Vec::new())
        }
        body => body,
    };
    let version = shared.world().max_version;
    response(status, body, version)
}

/// What a container has ended with, once it has.
async fn end_of(shared: &Shared, wait: &Wait) -> i64 {
    let mut changes = shared.changed.subscribe();
    loop {
        let code = shared.world().waited_for(wait);
        if let Some(code) = code {
            return code;
        }
        if changes.changed().await.is_err() {
            return pending().await;
        }
    }
}

fn response(status: u16, body: Body, version: (u32, u32)) -> Response<Full<Bytes>> {
    let upgraded = matches!(body, Body::Upgraded(_));
    let (kind, bytes) = match body {
        Body::Json(value) => (Some("application/json"), format!("{value}\n").into_bytes()),
        Body::Text(text) => (Some("text/plain; charset=utf-8"), text.as_bytes().to_vec()),
        Body::Bytes(kind, bytes) => (Some(kind), bytes),
        Body::Empty | Body::Upgraded(_) | Body::Wait(_) | Body::Ended(_) | Body::Never => (None, Vec::new()),
    };
    let mut response = Response::new(Full::new(Bytes::from(bytes)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(SERVER, &format!("Docker/{RELEASE} (linux)"));
    set(HeaderName::from_static("api-version"), &format!("{}.{}", version.0, version.1));
    set(HeaderName::from_static("ostype"), "linux");
    set(HeaderName::from_static("docker-experimental"), "false");
    if let Some(kind) = kind {
        set(CONTENT_TYPE, kind);
    }
    if upgraded {
        set(CONNECTION, "Upgrade");
        set(UPGRADE, "tcp");
        set(CONTENT_TYPE, "application/vnd.docker.raw-stream");
    }
    response
}
