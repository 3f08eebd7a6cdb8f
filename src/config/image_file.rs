//! Files in which a build says which image it made: `tag = { file = "…" }`.
//!
//! A plain text with a tag, a digest or an image's whole name; `imageDetail.json`, which ECR's source and `CodeBuild` write for
//! `CodePipeline`; `imagedefinitions.json`, which its deployments read.

use serde::Deserialize;
use toml::Spanned;

use super::bundle_files::{BundleFiles, read_text};
use super::diagnostic::Mistake;
use super::file::TagInFile;
use crate::model::ImageDigest;

/// What names an image in its repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// A tag; the digest's text where there is none.
    pub(super) tag: String,
    /// What is known of it without asking.
    pub(super) digest: Option<ImageDigest>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Json {
    Definitions(Vec<Definition>),
    Detail(Detail),
}

/// A line of `imagedefinitions.json`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Definition {
    name: String,
    image_uri: String,
}

/// `imageDetail.json`.
#[derive(Deserialize)]
struct Detail {
    #[serde(rename = "ImageURI")]
    uri: Option<String>,
    #[serde(rename = "ImageDigest")]
    digest: Option<String>,
    #[serde(rename = "ImageTags", default)]
    tags: Vec<String>,
}

/// Reads which image a file of the bundle names. Also its path there, plain, and where it is: it is kept with the release.
pub(super) fn read(
    written: Spanned<TagInFile>,
    files: &BundleFiles,
) -> Result<(Reference, (String, std::path::PathBuf)), Mistake> {
    let span = written.span();
    let TagInFile { file, name } = written.into_inner();
    let path = Spanned::new(span.clone(), file);
    let place = files.find(&path)?;
    let text = read_text(&place.1, &path)?;
    let reference = parse(&text, name.as_deref());
    let reference = reference.map_err(|what| Mistake::at(span, format!("'{}' {what}", path.get_ref())))?;
    Ok((reference, place))
}

/// Which image a text names; `name` is the container of `imagedefinitions.json`.
fn parse(text: &str, name: Option<&str>) -> Result<Reference, String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if !text.starts_with(['[', '{']) {
        if let Some(name) = name {
            return Err(format!("is a plain text, and has nothing called '{name}': remove 'name'"));
        }
        return reference(text);
    }
    let json = serde_json::from_str(text)
        .map_err(|error| format!("is neither an imagedefinitions.json nor an imageDetail.json ({error})"))?;
    match json {
        Json::Definitions(all) => {
            let names = || all.iter().map(|one| format!("'{}'", one.name)).collect::<Vec<_>>().join(", ");
            let found = match name {
                Some(name) => all.iter().find(|one| one.name == name),
                None => all.first().filter(|_| all.len() == 1),
            };
            let one = found.ok_or_else(|| match name {
                Some(name) => format!("has no container '{name}', only {}", names()),
                None => format!("has {} containers ({}): say which, with name = \"…\"", all.len(), names()),
            })?;
            reference(&one.image_uri)
        }
        Json::Detail(detail) => {
            if let Some(name) = name {
                return Err(format!("is about one image, and has nothing called '{name}': remove 'name'"));
            }
            let named = detail.uri.as_deref().map(reference).transpose()?;
            let digest = match &detail.digest {
                Some(digest) => Some(digest_of(digest)?),
                None => named.as_ref().and_then(|named| named.digest.clone()),
            };
            let tag = detail.tags.into_iter().next().or_else(|| Some(named?.tag));
            let tag = tag.or_else(|| Some(digest.as_ref()?.to_string()));
            let tag = tag.ok_or("names no image: it has no ImageURI, no ImageDigest and no ImageTags")?;
            Ok(Reference { tag, digest })
        }
    }
}

/// `TAG`, `sha256:…`, `REPOSITORY:TAG`, `REPOSITORY@sha256:…` or both. Of the repository nothing is taken: the configuration says
/// which one it is.
fn reference(text: &str) -> Result<Reference, String> {
    if text.is_empty() {
        return Err("is empty: it should name the image's tag".to_owned());
    }
    if text.contains(char::is_whitespace) {
        return Err("has more than one word: it should only name the image's tag".to_owned());
    }
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest_of(digest)?)),
        None if text.starts_with("sha256:") => ("", Some(digest_of(text)?)),
        None => (text, None),
    };
    let last = name.rsplit('/').next().unwrap_or_default();
    let tag = match last.split_once(':') {
        Some((_, tag)) => Some(tag),
        // The repository alone, before a digest.
        None if digest.is_some() => None,
        None if name.contains('/') => return Err(format!("names '{name}', without a tag")),
        None => Some(name),
    };
    let tag = tag.map(str::to_owned).or_else(|| Some(digest.as_ref()?.to_string()));
    Ok(Reference { tag: tag.unwrap_or_default(), digest })
}

fn digest_of(text: &str) -> Result<ImageDigest, String> {
    text.parse().map_err(|_| format!("has '{text}' where an image's digest should be"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_a_build_writes_names_its_image() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let detail = format!(
            r#"{{"ImageSizeInBytes":"1","ImageDigest":"{digest}","Version":"1.0","RegistryId":"1","RepositoryName":"app","ImageURI":"1.dkr.ecr/app@{digest}","ImageTags":["v7","latest"]}}"#
        );
        let one = r#"[{"name":"web","imageUri":"1.dkr.ecr.eu-west-1.amazonaws.com/app:v7"}]"#;
        let two = r#"[{"name":"web","imageUri":"host:5000/app:v7"},{"name":"front","imageUri":"host:5000/front:v8"}]"#;
        for (text, name, tag, pinned) in [
            ("v7\n", None, "v7", false),
            ("host:5000/team/app:v7", None, "v7", false),
            (&digest, None, digest.as_str(), true),
            (&format!("host:5000/app@{digest}"), None, &digest, true),
            (&format!("host:5000/app:v7@{digest}"), None, "v7", true),
            (&detail, None, "v7", true),
            (one, None, "v7", false),
            (one, Some("web"), "v7", false),
            (two, Some("front"), "v8", false),
        ] {
            let reference = parse(text, name).unwrap();
            assert_eq!((reference.tag.as_str(), reference.digest.is_some()), (tag, pinned), "{text}");
        }
        for (text, name, what) in [
            ("", None, "is empty"),
            ("two words", None, "more than one word"),
            ("host/app", None, "without a tag"),
            ("sha256:abc", None, "where an image's digest should be"),
            ("v7", Some("web"), "remove 'name'"),
            (two, None, "has 2 containers ('web', 'front')"),
            (one, Some("front"), "has no container 'front', only 'web'"),
            (detail.as_str(), Some("web"), "remove 'name'"),
            ("{}", None, "names no image"),
            ("[1]", None, "neither"),
        ] {
            let why = parse(text, name).unwrap_err();
            assert!(why.contains(what), "{text}: {why}");
        }
    }
}
