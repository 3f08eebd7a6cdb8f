//! The lab's certificate authority, and the certificate of its servers.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::names::{
    CACHE_HOST, DATABASE_HOST, ECR_HOST, OTHER_REGION, OTHER_REGION_ECR_HOST, OTHER_REGISTRY_HOST, REGION,
};

/// The machine's bundle of authorities, at the path where Debian and Ubuntu keep it.
pub(crate) const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Makes an authority, a certificate for all the servers, and a bundle of the machine's authorities and ours.
pub(crate) fn make(folder: &Path, database_user: (u32, u32)) -> Result<()> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "lab CA");
    let authority_certificate = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate()?;
    let mut server = CertificateParams::new(vec![
        ECR_HOST.to_owned(),
        format!("*.{REGION}.amazonaws.com"),
        format!("api.ecr.{REGION}.amazonaws.com"),
        "*.amazonaws.com".to_owned(),
        OTHER_REGION_ECR_HOST.to_owned(),
        format!("api.ecr.{OTHER_REGION}.amazonaws.com"),
        format!("secretsmanager.{OTHER_REGION}.amazonaws.com"),
        format!("ssm.{OTHER_REGION}.amazonaws.com"),
        OTHER_REGISTRY_HOST.to_owned(),
        DATABASE_HOST.to_owned(),
        CACHE_HOST.to_owned(),
    ])?;
    server.distinguished_name.push(DnType::CommonName, "lab");
    server.use_authority_key_identifier_extension = true;
    let certificate = server.signed_by(&key, &issuer)?.pem();

    fs::write(folder.join("ca.pem"), &authority_certificate)?;
    fs::write(folder.join("server.pem"), certificate)?;
    for name in ["server.key", "database.key"] {
        let path = folder.join(name);
        fs::write(&path, key.serialize_pem())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    }
    // PostgreSQL refuses a key that others could read.
    chown(folder.join("database.key"), Some(database_user.0), Some(database_user.1))?;
    let machine = fs::read_to_string(BUNDLE)
        .with_context(|| format!("no {BUNDLE}: install the package ca-certificates"))?;
    fs::write(folder.join("bundle.pem"), format!("{machine}\n{authority_certificate}"))?;
    Ok(())
}
