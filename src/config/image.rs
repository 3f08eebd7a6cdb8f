//! `[image]`, checked: which image, and how to log in to its registry.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::bundle_files::BundleFiles;
use super::diagnostic::Mistake;
use super::environment::known;
use super::image_file::Reference;
use super::secret::SecretSource;
use super::{file, image_file};
use crate::model::{Auth, ImageDigest, ImageName, ImageSource, Malformed, Repository};

/// The keys of `[image]` whose values may be tables.
const TABLES: [&str; 2] = ["auth", "tag"];

/// The three ways, for a registry that is not known to be ECR's.
const WAYS: &str =
    "add auth = \"none\", auth = { secret = \"NAME\" }, or auth = \"ecr\" if it is a proxy for ECR";

/// ECR's public gallery: a registry of its own.
const PUBLIC_ECR: &str = "public.ecr.aws";

const PUBLIC_ECR_WAY: &str = "write auth = \"none\": everybody may pull from it; if too often, through a pull-through cache of your own ECR";

/// `[image.NAME]`, as written. They are taken out of `[image]` before the rest of the file is read: what is a table there,
/// and no key of its own, is another image.
#[derive(Default)]
pub(super) struct NamedImages(Vec<(ImageName, Spanned<file::Image>)>);

impl NamedImages {
    /// Takes them out of the file.
    pub(super) fn take_from(file: &mut DeTable<'_>) -> Result<Self, Mistake> {
        let mut named = vec![];
        let Some(DeValue::Table(image)) = file.get_mut("image").map(Spanned::get_mut) else {
            return Ok(Self::default());
        };
        let is_one = |key: &str, value: &DeValue<'_>| value.is_table() && !TABLES.contains(&key);
        let keys: Vec<Spanned<String>> = image
            .iter()
            .filter(|(key, value)| is_one(key.get_ref(), value.get_ref()))
            .map(|(key, _)| Spanned::new(key.span(), key.get_ref().to_string()))
            .collect();
        for key in keys {
            let name: ImageName = key
                .get_ref()
                .parse()
                .map_err(|error: Malformed| Mistake::at(key.span(), error.to_string()))?;
            if name == ImageName::default_image() {
                let what = "'default' is the image that [image] itself names";
                return Err(Mistake::at(key.span(), what).help("give this one another name"));
            }
            let Some(value) = image.remove(key.get_ref().as_str()) else { continue };
            let span = value.span();
            let DeValue::Table(table) = value.into_inner() else { continue };
            let table = toml::Deserializer::from(Spanned::new(span.clone(), table));
            let written = file::Image::deserialize(table).map_err(|error| Mistake::from(&error))?;
            named.push((name, Spanned::new(span, written)));
        }
        Ok(Self(named))
    }
}

/// All images, by their names.
pub(super) fn resolve_images(
    default: Spanned<file::Image>,
    named: NamedImages,
    known: &Known<'_>,
    bundle: &mut BTreeMap<String, PathBuf>,
) -> Result<BTreeMap<ImageName, ImageSource>, Mistake> {
    let all = std::iter::once((ImageName::default_image(), default)).chain(named.0);
    all.map(|(name, image)| {
        let image = resolve_image(&name, image, known, bundle)?;
        Ok((name, image))
    })
    .collect()
}

/// What an image may refer to.
pub(super) struct Known<'a> {
    pub(super) secrets: &'a BTreeMap<String, SecretSource>,
    pub(super) files: &'a BundleFiles,
    pub(super) unpinned: file::Unpinned,
}

fn resolve_image(
    name: &ImageName,
    image: Spanned<file::Image>,
    known: &Known<'_>,
    bundle: &mut BTreeMap<String, PathBuf>,
) -> Result<ImageSource, Mistake> {
    let secrets = known.secrets;
    let (table, image) = (image.span(), image.into_inner());
    if image.local {
        return on_this_instance(image, table);
    }
    if let Some(id) = image.id {
        return Err(Mistake::at(id.span(), "'id' is of an image that is on the instance already")
            .help("add local = true, or write repository and tag instead"));
    }
    let missing = |key| Mistake::at(table.clone(), format!("missing field '{key}'"));
    let repository = image.repository.ok_or_else(|| missing("repository"))?;
    let tag = image.tag.ok_or_else(|| missing("tag"))?;
    let (span, repository) = (repository.span(), repository.into_inner());
    let auth = match (image.auth, &repository) {
        (Some(auth), _) => {
            let at = auth.span();
            let resolved = resolve_auth(auth, secrets)?;
            let is_public = matches!(&repository, Repository::Full(name) if name.host == PUBLIC_ECR);
            if resolved == Auth::Ecr && is_public {
                let what = format!("'{PUBLIC_ECR}' does not take the token of a private registry");
                return Err(Mistake::at(at, what).help(PUBLIC_ECR_WAY));
            }
            resolved
        }
        (None, Repository::Full(name)) if name.ecr().is_none() => {
            let what = format!(
                "'{}' is not a registry of Amazon ECR, so it has to be said how to log in",
                name.host
            );
            let help = if name.host == PUBLIC_ECR { PUBLIC_ECR_WAY } else { WAYS };
            return Err(Mistake::at(span, what).help(help));
        }
        (None, _) => Auth::Ecr,
    };
    let region = image.region.map(parse_region).transpose()?;
    let region = region.or_else(|| repository.region().map(str::to_owned));
    let at = tag.span();
    let Reference { tag, digest } = match tag.into_inner() {
        file::Tag::Text(tag) => Reference { tag: parse_tag(Spanned::new(at.clone(), tag))?, digest: None },
        file::Tag::InFile(written) => {
            let (read, (path, place)) = image_file::read(Spanned::new(at.clone(), written), known.files)?;
            bundle.insert(path, place);
            if read.digest.is_none() {
                parse_tag(Spanned::new(at.clone(), read.tag.clone()))?;
            }
            read
        }
    };
    let pinned = match digest {
        Some(digest) => Some(digest),
        None => known.files.pinned(name, &tag, at, known.unpinned)?,
    };
    Ok(ImageSource { repository, auth, region, tag, pinned, local: None })
}

/// `local = true`: built or loaded on the instance.
fn on_this_instance(image: file::Image, table: Range<usize>) -> Result<ImageSource, Mistake> {
    if let Some(auth) = image.auth {
        return Err(Mistake::at(auth.span(), "'auth' cannot be used with 'local': no registry is asked")
            .help("remove it"));
    }
    let own_region = image.region.map(parse_region).transpose()?;
    let source = |repository: Repository, tag: String, name: String| {
        let region = own_region.or_else(|| repository.region().map(str::to_owned));
        ImageSource { repository, auth: Auth::None, region, tag, pinned: None, local: Some(name) }
    };
    match (image.id, image.repository, image.tag) {
        (Some(id), None, None) => {
            let id_is: ImageDigest = id.get_ref().parse().map_err(|_| {
                Mistake::at(id.span(), format!("'{}' is not the id of an image", id.get_ref()))
                    .help("write all of it: docker image inspect --format {{.Id}} NAME")
            })?;
            // Docker's own words for what has no name.
            let none = || "<none>".to_owned();
            Ok(source(Repository::Here(none()), none(), id_is.to_string()))
        }
        (Some(id), _, _) => {
            Err(Mistake::at(id.span(), "an image is named by 'id' or by 'repository' and 'tag'")
                .help("keep one of them"))
        }
        (None, Some(repository), Some(tag)) => {
            let (at, tag) = (tag.span(), tag.into_inner());
            let file::Tag::Text(tag) = tag else {
                return Err(Mistake::at(
                    at,
                    "'tag' of an image that is on the instance is not read from a file",
                )
                .help("write the tag"));
            };
            let (repository, tag) = (repository.into_inner(), parse_tag(Spanned::new(at, tag))?);
            let name = format!("{}:{tag}", String::from(repository.clone()));
            Ok(source(repository, tag, name))
        }
        (None, repository, _) => {
            let key = if repository.is_none() { "repository" } else { "tag" };
            Err(Mistake::at(table, format!("missing field '{key}'"))
                .help("write repository and tag, or id = \"sha256:...\""))
        }
    }
}

fn resolve_auth(
    auth: Spanned<file::Auth>,
    secrets: &BTreeMap<String, SecretSource>,
) -> Result<Auth, Mistake> {
    let span = auth.span();
    match auth.into_inner() {
        file::Auth::Word(word) => match word.as_str() {
            "ecr" => Ok(Auth::Ecr),
            "none" => Ok(Auth::None),
            _ => Err(Mistake::at(span, format!("'{word}' is not a way to log in to a registry"))
                .help("write \"ecr\", \"none\" or { secret = \"NAME\" }")),
        },
        file::Auth::Secret(file::WithSecret { secret }) => {
            known(&secret, secrets, &span)?;
            Ok(Auth::Secret(secret))
        }
    }
}

fn parse_region(region: Spanned<String>) -> Result<String, Mistake> {
    let is_region = |r: &str| {
        r.contains('-') && r.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if is_region(region.get_ref()) {
        return Ok(region.into_inner());
    }
    let what = format!("'{}' is not an AWS region", region.get_ref());
    Err(Mistake::at(region.span(), what).help("write a region such as \"eu-west-1\""))
}

fn parse_tag(tag: Spanned<String>) -> Result<String, Mistake> {
    let is_tag = |t: &str| {
        !t.is_empty() && t.len() <= 128 && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    if is_tag(tag.get_ref()) {
        return Ok(tag.into_inner());
    }
    Err(Mistake::at(tag.span(), format!("'{}' is not an image tag", tag.get_ref())))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_public_gallery_is_asked_without_a_login() {
        let parsed = |auth: &str| {
            let text = format!(
                "app = 'a'\n[image]\nrepository = 'public.ecr.aws/x/y'\n{auth}\ntag = 't'\n[process.web]\n"
            );
            crate::config::parse(&text, "f").map(drop).map_err(|mistake| mistake.to_string())
        };
        for auth in ["", "auth = 'ecr'"] {
            let mistake = parsed(auth).unwrap_err();
            assert!(mistake.contains("auth = \"none\"") && mistake.contains("pull-through"), "{mistake}");
        }
        assert_eq!(parsed("auth = 'none'"), Ok(()));
    }

    #[test]
    fn an_image_that_is_here_is_named_in_one_way_and_asks_no_registry() {
        let parsed = |lines: &str| {
            let text = format!("app = 'a'\n[image]\n{lines}\n[process.web]\n");
            let settings = crate::config::parse(&text, "f").map_err(|mistake| mistake.to_string())?;
            Ok::<_, String>(settings.default_image().clone())
        };
        let id = format!("sha256:{}", "0a".repeat(32));
        for (lines, name) in [
            ("local = true\nrepository = 'app'\ntag = 'dev'".to_owned(), "app:dev"),
            ("local = true\nrepository = 'ghcr.io/org/app'\ntag = 'dev'".to_owned(), "ghcr.io/org/app:dev"),
            (format!("local = true\nid = '{id}'"), id.as_str()),
        ] {
            assert_eq!(parsed(&lines).unwrap().local.as_deref(), Some(name));
        }
        for (lines, words) in [
            ("local = true\nrepository = 'app'", "missing field 'tag'"),
            ("local = true", "missing field 'repository'"),
            ("local = true\nid = 'abc'", "is not the id"),
            ("local = true\nid = 'abc'\ntag = 'x'", "keep one of them"),
            ("local = true\nrepository = 'app'\ntag = 'x'\nauth = 'none'", "no registry is asked"),
            ("repository = 'app'\ntag = 'x'\nid = 'abc'", "add local = true"),
            ("repository = 'app'", "missing field 'tag'"),
            ("local = false\ntag = 'x'", "missing field 'repository'"),
        ] {
            let mistake = parsed(lines).unwrap_err();
            assert!(mistake.contains(words), "{lines}: {mistake}");
        }
    }
}
