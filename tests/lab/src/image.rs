//! Images out of nothing: the application, the lab's certificate authority, and settings. Docker is not needed.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::application;
use crate::certs::BUNDLE;

/// The type of an image's manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// The type of an index of several platforms.
pub const INDEX_TYPE: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const CONFIG_TYPE: &str = "application/vnd.docker.container.image.v1+json";
const LAYER_TYPE: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// What an image is to be.
#[derive(Debug, Clone)]
pub struct ImageSpec {
    /// The release that the application names in its answers; `RELEASE` in its environment.
    pub release: String,
    /// How the application behaves; `VARIANT` in its environment. See the crate `app` for the variants.
    pub variant: String,
    /// Further environment.
    pub environment: BTreeMap<String, String>,
    /// The image's own health check.
    pub healthcheck: Option<Healthcheck>,
    /// What runs.
    pub entrypoint: Vec<String>,
    /// Its arguments.
    pub command: Vec<String>,
    /// The user; empty for root.
    pub user: String,
    /// The signal that asks the application to end, if not TERM.
    pub stop_signal: Option<String>,
    /// The ports that the image says it listens on.
    pub ports: Vec<u16>,
    /// The platform's architecture, as Go names it.
    pub architecture: String,
    /// A layer of so many megabytes that do not compress.
    pub ballast_mb: usize,
    /// Makes ballast and so the layer another one.
    pub ballast_seed: u64,
    /// Further files, with their modes, in a layer of their own.
    pub files: Vec<(String, Vec<u8>, u32)>,
    /// Leave the application out (an image whose entry point is missing).
    pub without_application: bool,
    /// The folders that the image declares as `VOLUME`.
    pub volumes: Vec<String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
}

/// An image's own health check.
#[derive(Debug, Clone)]
pub struct Healthcheck {
    /// As in the image's configuration: `["CMD", "/app", "check"]`.
    pub test: Vec<String>,
    /// Milliseconds between checks.
    pub interval_ms: u64,
    /// Milliseconds that a check may take.
    pub timeout_ms: u64,
    /// Milliseconds in which failures do not count.
    pub start_period_ms: u64,
    /// Failures in a row until the container is unhealthy.
    pub retries: u64,
}

impl Default for Healthcheck {
    fn default() -> Self {
        let test = ["CMD", "/app", "check"].map(str::to_owned).to_vec();
        Self { test, interval_ms: 500, timeout_ms: 2000, start_period_ms: 0, retries: 2 }
    }
}

impl ImageSpec {
    /// An image of a release that behaves well.
    pub fn new(release: &str) -> Self {
        Self {
            release: release.to_owned(),
            variant: "good".to_owned(),
            environment: BTreeMap::new(),
            healthcheck: None,
            entrypoint: vec!["/app".to_owned()],
            command: Vec::new(),
            user: String::new(),
            stop_signal: None,
            ports: vec![8000],
            architecture: if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }.to_owned(),
            ballast_mb: 0,
            ballast_seed: 1,
            files: Vec::new(),
            without_application: false,
            volumes: Vec::new(),
            labels: BTreeMap::new(),
        }
    }

    /// The same with another variant of the application.
    #[must_use]
    pub fn variant(mut self, variant: &str) -> Self {
        variant.clone_into(&mut self.variant);
        self
    }

    /// The same with one more variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// Bytes and their digest.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) digest: String,
    pub(crate) bytes: Arc<Vec<u8>>,
}

/// An image, ready to be pushed.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) blobs: Vec<Blob>,
    pub(crate) manifest: Vec<u8>,
}

/// A layer, packed.
#[derive(Debug, Clone)]
struct Layer {
    blob: Blob,
    /// The digest of the unpacked tar archive.
    diff: String,
}

/// The digest of bytes, as registries write it.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

impl Image {
    pub(crate) fn build(spec: &ImageSpec, authority: &[u8]) -> Result<Self> {
        let mut layers = Vec::new();
        if !spec.without_application {
            layers.push(application_layer()?);
        }
        layers.push(Layer::pack(&[(BUNDLE, authority, 0o644)])?);
        if spec.ballast_mb > 0 {
            layers.push(Layer::pack(&[("/ballast", &noise(spec.ballast_mb, spec.ballast_seed), 0o644)])?);
        }
        if !spec.files.is_empty() {
            let files: Vec<_> = spec
                .files
                .iter()
                .map(|(path, bytes, mode)| (path.as_str(), bytes.as_slice(), *mode))
                .collect();
            layers.push(Layer::pack(&files)?);
        }
        let settings = Blob::new(settings(spec, &layers).to_string().into_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": { "mediaType": CONFIG_TYPE, "digest": settings.digest, "size": settings.bytes.len() },
            "layers": layers.iter().map(|layer| json!({
                "mediaType": LAYER_TYPE, "digest": layer.blob.digest, "size": layer.blob.bytes.len(),
            })).collect::<Vec<_>>(),
        });
        let mut blobs: Vec<_> = layers.into_iter().map(|layer| layer.blob).collect();
        blobs.push(settings);
        Ok(Self { blobs, manifest: manifest.to_string().into_bytes() })
    }
}

fn settings(spec: &ImageSpec, layers: &[Layer]) -> Value {
    let mut environment =
        vec![format!("PATH=/"), format!("RELEASE={}", spec.release), format!("VARIANT={}", spec.variant)];
    environment.extend(spec.environment.iter().map(|(name, value)| format!("{name}={value}")));
    let ports: BTreeMap<_, _> = spec.ports.iter().map(|port| (format!("{port}/tcp"), json!({}))).collect();
    let mut config = json!({
        "Env": environment, "Entrypoint": spec.entrypoint, "Cmd": spec.command, "User": spec.user,
        "ExposedPorts": ports, "Labels": spec.labels,
    });
    if let Some(signal) = &spec.stop_signal {
        config["StopSignal"] = json!(signal);
    }
    if !spec.volumes.is_empty() {
        config["Volumes"] = spec.volumes.iter().map(|path| (path.clone(), json!({}))).collect();
    }
    if let Some(check) = &spec.healthcheck {
        let nanoseconds = |milliseconds: u64| milliseconds * 1_000_000;
        config["Healthcheck"] = json!({
            "Test": check.test, "Interval": nanoseconds(check.interval_ms), "Timeout": nanoseconds(check.timeout_ms),
            "StartPeriod": nanoseconds(check.start_period_ms), "Retries": check.retries,
        });
    }
    json!({
        "architecture": spec.architecture, "os": "linux", "created": "2020-01-01T00:00:00Z", "config": config,
        "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|layer| &layer.diff).collect::<Vec<_>>() },
    })
}

impl Blob {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { digest: digest(&bytes), bytes: Arc::new(bytes) }
    }
}

impl Layer {
    fn pack(files: &[(&str, &[u8], u32)]) -> Result<Self> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, bytes, mode) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(*mode);
            header.set_cksum();
            archive.append_data(&mut header, path.trim_start_matches('/'), *bytes)?;
        }
        let archive = archive.into_inner()?;
        // Packed but not pressed: nobody waits for a compressor in a test.
        let mut packed = GzEncoder::new(Vec::new(), Compression::none());
        std::io::Write::write_all(&mut packed, &archive)?;
        Ok(Self { blob: Blob::new(packed.finish()?), diff: digest(&archive) })
    }
}

/// The layer with the application. Its digests take a while without optimisation: made once in a process.
fn application_layer() -> Result<Layer> {
    static MADE: Mutex<Option<Layer>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(layer) = made.as_ref() {
        return Ok(layer.clone());
    }
    let program = fs::read(application::binary()?)?;
    let layer = Layer::pack(&[("/app", &program, 0o755)])?;
    *made = Some(layer.clone());
    Ok(layer)
}

/// Bytes that do not compress, the same for the same seed (xorshift): a megabyte again and again, which no compressor
/// looks back as far as.
fn noise(megabytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.max(1);
    let mut bytes = Vec::with_capacity(1 << 20);
    while bytes.len() < 1 << 20 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.repeat(megabytes)
}
