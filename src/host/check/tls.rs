//! TLS to databases and caches: rustls, with as much verification as is asked for.

use std::io;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
pub(super) use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::trouble::{Layer, Trouble};
use crate::host::roots;
use crate::model::Place;
use crate::text::{chain, clean};

/// How much is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verified {
    /// Nothing: whoever answers.
    Nothing,
    /// That a CA which is trusted vouches for it.
    Ca,
    /// The same, and its name.
    Name,
}

/// What secures connections. `ca` are the only CAs that are trusted, as PEM; without, it is those of this system.
pub(super) fn connector(verified: Verified, ca: Option<&str>) -> Result<TlsConnector, Trouble> {
    let provider = Arc::new(ring::default_provider());
    let refuse = |what: String| Trouble::lasting(Layer::Tls, what, "");
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(format!("TLS cannot be set up: {error}")))?;
    let judge = match verified {
        Verified::Nothing => None,
        Verified::Ca | Verified::Name => {
            let roots = Arc::new(trusted(ca)?);
            let judge = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
            Some(judge.map_err(|error| refuse(format!("TLS cannot be set up: {error}")))?)
        }
    };
    let verifier: Arc<dyn ServerCertVerifier> = match judge {
        Some(judge) if verified == Verified::Name => judge,
        judge => Arc::new(Lenient { judge, provider }),
    };
    let config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn trusted(ca: Option<&str>) -> Result<RootCertStore, Trouble> {
    let system = match ca {
        Some(_) => vec![],
        None => roots::pem().map_err(|error| Trouble::lasting(Layer::Tls, chain(&error), ""))?,
    };
    let pem = ca.map_or(system.as_slice(), str::as_bytes);
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
    if roots.is_empty() {
        let fix = "name a PEM file with the CA's certificate";
        return Err(Trouble::lasting(Layer::Tls, "'ca' has no certificate that can be read", fix));
    }
    Ok(roots)
}

/// The name by which a server is asked for its certificate.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, Trouble> {
    ServerName::try_from(host.to_owned()).map_err(|_| {
        let fix = "write the name that its certificate has";
        Trouble::lasting(Layer::Tls, format!("'{host}' is no name that a certificate can have"), fix)
    })
}

/// Secures a connection.
pub(super) async fn secure(
    stream: TcpStream,
    place: &Place,
    verified: Verified,
    ca: Option<&str>,
) -> Result<TlsStream<TcpStream>, Trouble> {
    let (connector, name) = (connector(verified, ca)?, server_name(&place.host)?);
    connector.connect(name, stream).await.map_err(|error| not_secured(&error, place, ca.is_some()))
}

/// Why a handshake failed; `own_ca` says that the configuration names the CA.
pub(super) fn not_secured(error: &io::Error, place: &Place, own_ca: bool) -> Trouble {
    let host = &place.host;
    let Some(why) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        let fix = format!("does {place} speak TLS, and is it the right port?");
        return Trouble::closed(Layer::Tls, place, &error.to_string(), &fix);
    };
    let Error::InvalidCertificate(wrong) = why else {
        let fix = format!("does {place} speak TLS, and is it the right port?");
        let what = format!("{place}: {}", clean(&why.to_string()));
        return Trouble::passing(Layer::Tls, what, fix);
    };
    let fix = match wrong {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } if own_ca => format!(
            "the certificate of {host} or the CA in 'ca' has expired, or this instance's clock is wrong (timedatectl); RDS: take the new bundle, and rotate the instance's certificate"
        ),
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            format!(
                "the certificate of {host} is not valid now, or this instance's clock is wrong: see 'timedatectl'"
            )
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "is {host} the name that the server itself goes by? An alias of one's own is not in the certificate of RDS or ElastiCache: write their endpoint, or tls = \"verify-ca\""
        ),
        _ if own_ca => format!(
            "no CA in 'ca' has signed the certificate of {host}: is the file the right one, and new enough? RDS: https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
        ),
        _ => format!(
            "none of {} has signed the certificate of {host}: name the CA's file by 'ca'. RDS: https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem",
            roots::shown()
        ),
    };
    Trouble::lasting(Layer::Tls, format!("{place}: {}", clean(&why.to_string())), fix)
}

/// Verifies less than rustls wants: the CA alone, or nothing. Signatures of the handshake count all the same.
#[derive(Debug)]
struct Lenient {
    judge: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(judge) = &self.judge else { return Ok(ServerCertVerified::assertion()) };
        // The name is looked at when everything else is right.
        match judge.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            answer => answer,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
