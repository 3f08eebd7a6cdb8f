//! The real sockets of a running container.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use http_body_util::Full;
use hyper::{Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

use crate::{engine::Shared, image::Behaviour};

/// The UDP port that marks a loopback address as taken.
const RESERVATION: u16 = 9;

/// The listening sockets of one run of a container. Dropped, they are closed at once, and so are their connections.
#[derive(Default)]
pub(crate) struct Listeners {
    sockets: Vec<Arc<TcpListener>>,
    tasks: Vec<AbortHandle>,
    behaviours: Vec<Arc<Mutex<Behaviour>>>,
    reserved: Vec<UdpSocket>,
}

/// What answers on those sockets.
#[derive(Clone)]
pub(crate) struct Answering {
    pub(crate) behaviour: Arc<Mutex<Behaviour>>,
    pub(crate) digest: String,
    pub(crate) probes: Arc<AtomicUsize>,
    pub(crate) container: String,
    pub(crate) shared: Weak<Shared>,
}

impl Clone for Listeners {
    /// A copy of a container does not run.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.sockets.clear();
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Listeners {
    /// Listens on one more address. The port is bound when this returns.
    pub(crate) fn add(&mut self, address: SocketAddr, answering: Answering) -> io::Result<()> {
        let socket = StdListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let socket = Arc::new(TcpListener::from_std(socket)?);
        self.behaviours.push(Arc::clone(&answering.behaviour));
        self.tasks.push(tokio::spawn(accept(Arc::downgrade(&socket), answering)).abort_handle());
        self.sockets.push(socket);
        Ok(())
    }

    /// Keeps an address from other containers, of other processes too, when nothing listens on it.
    pub(crate) fn reserve(&mut self, ip: Ipv4Addr) -> io::Result<()> {
        self.reserved.push(UdpSocket::bind((ip, RESERVATION))?);
        Ok(())
    }

    /// Takes over another's sockets.
    pub(crate) fn join(&mut self, mut other: Self) {
        self.sockets.append(&mut other.sockets);
        self.tasks.append(&mut other.tasks);
        self.behaviours.append(&mut other.behaviours);
        self.reserved.append(&mut other.reserved);
    }

    /// Changes how they answer from now on.
    pub(crate) fn behave(&self, behaviour: &Behaviour) {
        for one in &self.behaviours {
            one.lock().unwrap_or_else(PoisonError::into_inner).clone_from(behaviour);
        }
    }
}

/// Accepts while the socket lives. It holds the socket weakly, so that dropping the listeners closes it there and then.
async fn accept(socket: Weak<TcpListener>, answering: Answering) {
    let mut connections = JoinSet::new();
    while let Some(stream) = next(&socket).await {
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(stream, answering.clone()));
    }
}

/// The next connection, or `None` when the socket is gone.
async fn next(socket: &Weak<TcpListener>) -> Option<TcpStream> {
    poll_fn(|context| match socket.upgrade() {
        None => Poll::Ready(None),
        Some(socket) => match socket.poll_accept(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(accepted) => Poll::Ready(accepted.ok().map(|(stream, _)| stream)),
        },
    })
    .await
}

async fn serve(stream: TcpStream, answering: Answering) {
    let service = service_fn(|_| async { Ok::<_, Infallible>(answer(&answering).await) });
    // A client that goes away is no concern of the container.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(answering: &Answering) -> Response<Full<Bytes>> {
    let n = answering.probes.fetch_add(1, Ordering::Relaxed);
    let behaviour = answering.behaviour.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let status = match behaviour {
        Behaviour::Answers(status) => status,
        Behaviour::HealthyAfterProbes(probes) if n < probes => 503,
        Behaviour::Hangs => std::future::pending().await,
        Behaviour::ExitsAfterProbes(probes, code) => {
            if n + 1 >= probes
                && let Some(shared) = answering.shared.upgrade()
            {
                let container = answering.container.clone();
                // In a task of its own: this one dies with the container's sockets.
                tokio::spawn(async move { shared.ends_by_itself(&container, code) });
            }
            200
        }
        _ => 200,
    };
    let mut response = Response::new(Full::new(Bytes::from(answering.digest.clone())));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response
}
