//! The root certificates that TLS trusts: those of `AWS_CA_BUNDLE`, else the platform's, else those built in.

use std::path::Path;

use base64::Engine as _;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// A bundle that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("'{path}', which AWS_CA_BUNDLE names, {why}")]
pub struct RootsError {
    path: String,
    why: String,
}

/// The roots, as PEM.
///
/// Only certificates that parse are passed on: the platform's stores hold odd ones, and the HTTP client takes an odd one
/// for a bug.
pub fn pem() -> Result<Vec<u8>, RootsError> {
    // Like the AWS CLI: a configured bundle replaces all others.
    if let Some(path) = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        let path = path.to_string_lossy().into_owned();
        return bundle(&path).map_err(|why| RootsError { path, why });
    }
    let mut platform = rustls_native_certs::load_native_certs().certs;
    platform.retain(is_a_root);
    if platform.is_empty() {
        return Ok(to_pem(TLS_SERVER_ROOT_CERTS.iter().map(AsRef::as_ref)));
    }
    Ok(to_pem(platform.iter().map(AsRef::as_ref)))
}

/// Where the roots come from, as people know it.
pub fn shown() -> String {
    let named = ["AWS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find_map(|name| {
        let path = std::env::var(name).ok().filter(|path| !path.is_empty())?;
        Some(format!("'{path}' ({name})"))
    });
    named.unwrap_or_else(|| "the system's certificates".to_owned())
}

/// The root certificates in a folder of the Engine's, such as `/etc/docker/certs.d/HOST`, as PEM: every `*.crt` in it that can be
/// read.
pub fn in_folder(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let texts = files.filter(|path| path.extension().is_some_and(|e| e == "crt")).map(std::fs::read);
    let mut certificates: Vec<CertificateDer<'static>> = texts
        .flatten()
        .flat_map(|text| CertificateDer::pem_slice_iter(&text).flatten().collect::<Vec<_>>())
        .collect();
    certificates.retain(is_a_root);
    to_pem(certificates.iter().map(AsRef::as_ref))
}

/// A configured bundle has to be valid: leaving a certificate out would cause a failure that is hard to explain.
fn bundle(path: &str) -> Result<Vec<u8>, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("cannot be read: {e}"))?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|e| format!("is not a valid PEM file: {e}"))?;
    if certificates.is_empty() {
        return Err("contains no certificate".to_owned());
    }
    match certificates.iter().position(|certificate| !is_a_root(certificate)) {
        None => Ok(to_pem(certificates.iter().map(AsRef::as_ref))),
        Some(bad) => Err(format!("contains a certificate, number {}, that cannot be read", bad + 1)),
    }
}

fn is_a_root(certificate: &CertificateDer<'static>) -> bool {
    webpki::anchor_from_trusted_cert(certificate).is_ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_that_is_not_right_is_refused_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let good = String::from_utf8(to_pem(TLS_SERVER_ROOT_CERTS[..2].iter().map(AsRef::as_ref))).unwrap();
        for (text, says) in [("", "no certificate"), (bad, "number 1"), (&format!("{good}{bad}"), "number 3")]
        {
            crate::fs::write_atomically(&path, text.as_bytes(), 0o600).unwrap();
            let why = bundle(&path.to_string_lossy()).unwrap_err();
            assert!(why.contains(says), "{why}");
        }
        crate::fs::write_atomically(&path, good.as_bytes(), 0o600).unwrap();
        assert_eq!(bundle(&path.to_string_lossy()).unwrap(), good.into_bytes());
        assert!(bundle("/nowhere").unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn what_the_engine_trusts_for_a_registry_is_read_and_what_is_odd_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let good = to_pem(TLS_SERVER_ROOT_CERTS[..1].iter().map(AsRef::as_ref));
        for (name, text) in [
            ("ca.crt", good.as_slice()),
            ("client.cert", good.as_slice()),
            ("bad.crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ] {
            crate::fs::write_atomically(&dir.path().join(name), text, 0o600).unwrap();
        }
        assert_eq!(in_folder(dir.path()), good);
        assert_eq!(in_folder(&dir.path().join("nowhere")), b"");
    }
}
