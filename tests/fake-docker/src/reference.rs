//! Image references: `repository[:tag][@digest]`.

use crate::answer::{Reply, refuse};

/// A parsed image reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) repository: String,
    pub(crate) tag: Option<String>,
    pub(crate) digest: Option<String>,
}

impl Reference {
    /// Reads a reference; a tag beside a digest is kept, the digest decides.
    pub(crate) fn parse(text: &str) -> Result<Self, Reply> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        let name_at = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (repository, tag) = match rest[name_at..].find(':') {
            Some(colon) => (&rest[..name_at + colon], Some(rest[name_at + colon + 1..].to_owned())),
            None => (rest, None),
        };
        if repository.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(refuse(400, "invalid reference format: repository name must be lowercase"));
        }
        let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/:".contains(c);
        let tag_sound = |t: &String| {
            !t.is_empty()
                && t.len() <= 128
                && t.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        if repository.is_empty()
            || !repository.chars().all(sound)
            || !tag.as_ref().is_none_or(tag_sound)
            || !digest.as_ref().is_none_or(|d| is_digest(d))
        {
            return Err(refuse(400, "invalid reference format"));
        }
        Ok(Self { repository: repository.to_owned(), tag, digest })
    }

    /// All of it, as the Engine writes it.
    pub(crate) fn name(&self) -> String {
        match (&self.tag, &self.digest) {
            (Some(tag), Some(digest)) => format!("{}:{tag}@{digest}", self.repository),
            (None, Some(digest)) => format!("{}@{digest}", self.repository),
            (_, None) => format!("{}:{}", self.repository, self.tag_or_latest()),
        }
    }

    /// The tag, with the default that holds when neither a tag nor a digest was given.
    pub(crate) fn tag_or_latest(&self) -> &str {
        self.tag.as_deref().unwrap_or("latest")
    }
}

/// Whether this is `sha256:` and 64 hexadecimal digits.
pub(crate) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_with_a_port_is_not_a_tag() {
        let plain = Reference::parse("localhost:5000/app").ok().unwrap();
        assert_eq!((plain.repository.as_str(), plain.tag), ("localhost:5000/app", None));
        let tagged = Reference::parse("localhost:5000/app:v1").ok().unwrap();
        assert_eq!((tagged.repository.as_str(), tagged.tag.as_deref()), ("localhost:5000/app", Some("v1")));
        let digest = format!("sha256:{}", "a".repeat(64));
        let pinned = Reference::parse(&format!("localhost:5000/app@{digest}")).ok().unwrap();
        assert_eq!(pinned.digest, Some(digest));
        assert!(Reference::parse("app@sha256:12").is_err());
        assert!(Reference::parse("App").is_err());
    }
}
