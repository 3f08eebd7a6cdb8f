//! The certificate authorities that TLS trusts: those of `AWS_CA_BUNDLE`, else the platform's, else those built in.

use base64::Engine as _;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// A bundle that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the certificates in '{path}', which AWS_CA_BUNDLE names")]
pub struct RootsError {
    path: String,
    source: std::io::Error,
}

/// The roots, as PEM.
pub fn pem() -> Result<Vec<u8>, RootsError> {
    // As the AWS CLI does: a bundle that was asked for replaces all others.
    if let Some(path) = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        let path = path.to_string_lossy().into_owned();
        return std::fs::read(&path).map_err(|source| RootsError { path, source });
    }
    let platform = rustls_native_certs::load_native_certs().certs;
    if platform.is_empty() {
        return Ok(to_pem(TLS_SERVER_ROOT_CERTS.iter().map(AsRef::as_ref)));
    }
    Ok(to_pem(platform.iter().map(AsRef::as_ref)))
}

fn to_pem<'a>(certificates: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut pem = Vec::new();
    for der in certificates {
        pem.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
        for line in base64::engine::general_purpose::STANDARD.encode(der).as_bytes().chunks(64) {
            pem.extend_from_slice(line);
            pem.push(b'\n');
        }
        pem.extend_from_slice(b"-----END CERTIFICATE-----\n");
    }
    pem
}
