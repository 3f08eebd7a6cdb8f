//! The registry that the fake Engine pulls from.

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use serde_json::{Value, json};

use crate::{
    answer::{Body, Reply, complain, refuse},
    image::Image,
    reference::Reference,
    world::World,
};

/// The MIME type of the fake's manifests.
pub(crate) const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// What the registry does with a request instead of answering it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mood {
    /// An error of its own: a code (`toomanyrequests`, `denied`, `unauthorized`, …), a colon and words.
    Says(&'static str),
    /// Something that the Engine says, such as that a connection broke.
    Fails(&'static str),
    /// A layer that is not what it should be: told inside the stream of a pull.
    Spoils(&'static str),
    /// Nothing, ever.
    Hangs,
    /// It does not have it any more.
    Forgot,
    /// It answers after all.
    Answers,
}

/// Why the registry gives nothing. The Engine words it differently for a pull and for a look.
pub(crate) enum Denial {
    /// Not even asked, or in vain: the same for both.
    Failed(String),
    /// In the registry's words, about a repository.
    Said(String, String),
    Unknown(String),
    NoRepository(String, String),
    /// Inside the stream.
    Spoilt(String),
    Silence,
}

impl Denial {
    /// As Docker 20.10 was seen to pass it on.
    pub(crate) fn of_pull(self) -> Reply {
        match self {
            Self::Failed(message) => refuse(500, message),
            Self::Said(repository, words) if words.starts_with("denied") => refuse(
                404,
                format!(
                    "pull access denied for {repository}, repository does not exist or may require 'docker login': {words}"
                ),
            ),
            Self::Said(_, words) => refuse(500, words),
            Self::Unknown(name) => {
                refuse(404, format!("manifest for {name} not found: manifest unknown: manifest unknown"))
            }
            Self::NoRepository(repository, words) => {
                refuse(404, format!("repository {repository} not found: name unknown: {words}"))
            }
            Self::Spoilt(message) => {
                let line = json!({ "errorDetail": { "message": message }, "error": message });
                Reply::new(200, Body::Bytes("application/json", format!("{line}\r\n").into_bytes()))
            }
            Self::Silence => Reply::new(200, Body::Never),
        }
    }

    pub(crate) fn of_distribution(self) -> Reply {
        match self {
            Self::Failed(message) => refuse(500, message),
            Self::Said(_, words) => refuse(status_of(&words), words),
            Self::Unknown(_) => refuse(404, "manifest unknown: manifest unknown"),
            Self::NoRepository(_, words) => refuse(404, format!("name unknown: {words}")),
            Self::Spoilt(message) => complain(500, format!("a look reads no layer: {message}")),
            Self::Silence => Reply::new(200, Body::Never),
        }
    }
}

/// The status of an error with this code, as a look passes it on.
fn status_of(words: &str) -> u16 {
    match words.split(':').next() {
        Some("unauthorized") => 401,
        Some("denied") => 403,
        Some("toomanyrequests") => 429,
        _ => 500,
    }
}

impl World {
    /// Asks the registry for a reference.
    pub(crate) fn ask_registry(&mut self, wanted: &Reference, auth: Option<&str>) -> Result<Image, Denial> {
        let (host, path) = wanted.repository.split_once('/').unwrap_or(("", &wanted.repository));
        let version = wanted.digest.as_deref().unwrap_or_else(|| wanted.tag_or_latest());
        // What a tag means is asked first; a digest is known.
        let verb = if wanted.digest.is_some() { "Get" } else { "Head" };
        if let Some(why) = &self.registry_down {
            return Err(Denial::Failed(format!("Get \"https://{host}/v2/\": {why}")));
        }
        match self.registry_moods.pop_front() {
            None | Some(Mood::Answers) => {}
            Some(Mood::Forgot) => return Err(Denial::Unknown(wanted.name())),
            Some(Mood::Says(words)) => return Err(Denial::Said(wanted.repository.clone(), words.to_owned())),
            Some(Mood::Fails(words)) => {
                let manifest = format!("https://{host}/v2/{path}/manifests/{version}");
                return Err(Denial::Failed(format!("{verb} \"{manifest}\": {words}")));
            }
            Some(Mood::Spoils(words)) => return Err(Denial::Spoilt(words.to_owned())),
            Some(Mood::Hangs) => return Err(Denial::Silence),
        }
        let hosted = |image: &&Image| image.repository.split_once('/').map_or("", |(host, _)| host) == host;
        if !self.registry.iter().any(|image| hosted(&image)) {
            let why = format!("dial tcp: lookup {host}: no such host");
            return Err(Denial::Failed(format!("Get \"https://{host}/v2/\": {why}")));
        }
        let in_repository: Vec<_> =
            self.registry.iter().filter(|image| image.repository == wanted.repository).collect();
        if in_repository.is_empty() {
            let words = format!("The repository with name '{path}' does not exist in the registry");
            return Err(Denial::NoRepository(wanted.repository.clone(), words));
        }
        if let Some(expected) = in_repository.iter().find_map(|image| image.auth.as_ref()) {
            match auth.and_then(credentials) {
                None => {
                    let manifest = format!("https://{host}/v2/{path}/manifests/{version}");
                    let message = format!("{verb} \"{manifest}\": no basic auth credentials");
                    return Err(Denial::Failed(message));
                }
                Some(given) if given != *expected => {
                    let words = "unauthorized: authentication required".to_owned();
                    return Err(Denial::Said(wanted.repository.clone(), words));
                }
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
