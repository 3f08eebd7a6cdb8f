//! rustls as the TLS of tokio-postgres.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

use super::Layer;
use super::tls;

/// Secures one connection, and notes when that is done.
pub(super) struct Upgrade<'a> {
    pub(super) connector: TlsConnector,
    pub(super) name: ServerName<'static>,
    pub(super) layer: &'a Cell<Layer>,
}

impl<'a> TlsConnect<TcpStream> for Upgrade<'a> {
    type Stream = Secured;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Secured>> + 'a>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            let secured = self.connector.connect(self.name, stream).await?;
            self.layer.set(Layer::Authentication);
            Ok(Secured(secured))
        })
    }
}

/// A secured connection. Passwords are not bound to it (SCRAM without PLUS): the certificate vouches for the server.
pub(super) struct Secured(tls::TlsStream<TcpStream>);

impl TlsStream for Secured {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
