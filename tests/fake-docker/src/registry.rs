//! The registry that the fake Engine pulls from.

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use serde_json::Value;

use crate::{
    answer::{Reply, refuse},
    image::Image,
    reference::Reference,
    world::World,
};

/// The MIME type of the fake's manifests.
pub(crate) const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Why the registry gives nothing. The Engine words it differently for a pull and for a look.
pub(crate) enum Denial {
    /// Not even asked, or in vain: the same for both.
    Failed(String),
    Unauthorized,
    Unknown(String),
}

impl Denial {
    pub(crate) fn of_pull(self) -> Reply {
        match self {
            Self::Failed(message) => refuse(500, message),
            Self::Unauthorized => refuse(500, "unauthorized: authentication required"),
            Self::Unknown(name) => {
                refuse(404, format!("manifest for {name} not found: manifest unknown: manifest unknown"))
            }
        }
    }

    pub(crate) fn of_distribution(self) -> Reply {
        match self {
            Self::Failed(message) => refuse(500, message),
            Self::Unauthorized => refuse(401, "unauthorized: authentication required"),
            Self::Unknown(_) => refuse(404, "manifest unknown: manifest unknown"),
        }
    }
}

impl World {
    /// Asks the registry for a reference.
    pub(crate) fn ask_registry(&self, wanted: &Reference, auth: Option<&str>) -> Result<Image, Denial> {
        let (host, path) = wanted.repository.split_once('/').unwrap_or(("", &wanted.repository));
        let version = wanted.digest.as_deref().unwrap_or_else(|| wanted.tag_or_latest());
        if let Some(why) = &self.registry_down {
            return Err(Denial::Failed(format!("Get \"https://{host}/v2/\": {why}")));
        }
        let hosted = |image: &&Image| image.repository.split_once('/').map_or("", |(host, _)| host) == host;
        if !self.registry.iter().any(|image| hosted(&image)) {
            let why = format!("dial tcp: lookup {host}: no such host");
            return Err(Denial::Failed(format!("Get \"https://{host}/v2/\": {why}")));
        }
        let in_repository: Vec<_> =
            self.registry.iter().filter(|image| image.repository == wanted.repository).collect();
        if let Some(expected) = in_repository.iter().find_map(|image| image.auth.as_ref()) {
            match auth.and_then(credentials) {
                None => {
                    let manifest = format!("https://{host}/v2/{path}/manifests/{version}");
                    let message = format!("Head \"{manifest}\": no basic auth credentials");
                    return Err(Denial::Failed(message));
                }
                Some(given) if given != *expected => return Err(Denial::Unauthorized),
                Some(_) => {}
            }
        }
        let found = in_repository.into_iter().find(|image| match &wanted.digest {
            Some(digest) => image.digest == *digest,
            None => image.tag.as_deref() == Some(wanted.tag_or_latest()),
        });
        found.cloned().ok_or_else(|| Denial::Unknown(wanted.name()))
    }

    /// Moves a tag to another digest of the same repository.
    pub(crate) fn retag(&mut self, repository: &str, tag: &str, digest: &str) {
        let at = self.registry.iter().position(|i| i.repository == repository && i.digest == digest);
        let mut image = self.registry[at.expect("the digest to tag must be in the registry")].clone();
        self.untag(repository, tag);
        image.tag = Some(tag.to_owned());
        self.registry.push(image);
    }

    /// Takes a tag off whatever has it.
    pub(crate) fn untag(&mut self, repository: &str, tag: &str) {
        let tagged = |image: &&mut Image| image.repository == repository && image.tag.as_deref() == Some(tag);
        for image in self.registry.iter_mut().filter(tagged) {
            image.tag = None;
        }
    }
}

/// User and password out of `X-Registry-Auth`. What the Engine cannot decode it takes for no credentials at all, and
/// it decodes the URL-safe alphabet only.
fn credentials(header: &str) -> Option<(String, String)> {
    let bytes = URL_SAFE.decode(header).ok()?;
    let value: Value = serde_json::from_slice(&bytes).ok()?;
    let text = |key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    Some((text("username")?.to_owned(), text("password")?.to_owned()))
}
