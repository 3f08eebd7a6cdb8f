//! `[image]`, checked: which image, and how to log in to its registry.

use std::collections::BTreeMap;

use toml::Spanned;

use super::diagnostic::Mistake;
use super::file;
use super::secret::SecretSource;
use crate::model::{Auth, ImageSource, Repository};
use crate::suggest::nearest;

/// The three ways, for a registry that is not known to be ECR's.
const WAYS: &str =
    "add auth = \"none\", auth = { secret = \"NAME\" }, or auth = \"ecr\" if it is a proxy for ECR";

/// ECR's public gallery: a registry of its own.
const PUBLIC_ECR: &str = "public.ecr.aws";

const PUBLIC_ECR_WAY: &str = "write auth = \"none\": everybody may pull from it; if too often, through a pull-through cache of your own ECR";

pub(super) fn resolve_image(
    image: file::Image,
    secrets: &BTreeMap<String, SecretSource>,
) -> Result<ImageSource, Mistake> {
    let (span, repository) = (image.repository.span(), image.repository.into_inner());
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
    Ok(ImageSource { repository, auth, region, tag: parse_tag(image.tag)? })
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
            if secrets.contains_key(&secret) {
                return Ok(Auth::Secret(secret));
            }
            let names: Vec<&str> = secrets.keys().map(String::as_str).collect();
            let help = if names.is_empty() {
                format!("add a table [secret.{secret}]")
            } else {
                nearest(&secret, &names)
            };
            Err(Mistake::at(span, format!("there is no secret '{secret}'")).help(help))
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
}
