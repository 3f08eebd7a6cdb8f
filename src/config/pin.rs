//! `handover.pin`: what the tags of a bundle mean, written by `handover pin` where the bundle is made. With it a bundle means the
//! same bytes wherever and whenever it is deployed.
//!
//! ```toml
//! format = 1
//! at = "2026-11-27T10:00:00Z"
//!
//! [[image]]
//! name = "default"
//! tag = "latest"
//! digest = "sha256:…"
//! media-type = "application/vnd.oci.image.index.v1+json"
//! platforms = ["linux/amd64", "linux/arm64"]
//! ```

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use toml::Spanned;

use super::diagnostic::{Diagnostic, Mistake, Severity};
use super::file::Unpinned;
use crate::fs;
use crate::model::{ImageDigest, ImageName};
use crate::text::chain;

/// Its name inside a bundle.
pub const FILE_NAME: &str = "handover.pin";

/// The format of [`FILE_NAME`].
pub const FORMAT: u32 = 1;

/// How to make it right.
const AGAIN: &str = "write it anew: handover pin";

/// What one tag of one image means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The image's name in the configuration.
    pub name: ImageName,
    /// The tag.
    pub tag: String,
    /// What it means: an index, where there is one.
    pub digest: ImageDigest,
    /// What kind of manifest that is.
    pub media_type: String,
    /// The platforms that it is for; none where the registry did not say.
    pub platforms: Vec<String>,
}

/// What the tags of a bundle mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(Vec<Pinned>);

#[derive(Deserialize)]
struct Written {
    format: Spanned<u32>,
    #[serde(default)]
    image: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Entry {
    name: Spanned<String>,
    tag: Spanned<String>,
    digest: Spanned<String>,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    platforms: Vec<String>,
}

impl Pins {
    /// Those of a bundle; none without the file.
    pub(super) fn of(bundle: &Path) -> Result<Self, Diagnostic> {
        let path = bundle.join(FILE_NAME);
        let origin = path.display().to_string();
        match fs::read_if_there(&path) {
            Ok(Some(text)) => Self::parse(&text).map_err(|mistake| mistake.located(&text, &origin)),
            Ok(None) => Ok(Self::default()),
            Err(error) => Err(Diagnostic::without_place(Severity::Error, &chain(&error))),
        }
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        let written: Written = toml::from_str(text).map_err(|error| Mistake::from(&error).help(AGAIN))?;
        let format = *written.format.get_ref();
        if format != FORMAT {
            let what = format!("the file has format {format}, and this version reads format {FORMAT}");
            return Err(Mistake::at(written.format.span(), what).help(AGAIN));
        }
        let mut pins = Self::default();
        for entry in written.image {
            let wrong = |span, what: String| Mistake::at(span, what).help(AGAIN);
            let name: ImageName =
                entry.name.get_ref().parse().map_err(|error| wrong(entry.name.span(), format!("{error}")))?;
            let digest = entry.digest.get_ref().parse();
            let digest = digest.map_err(|_| {
                wrong(entry.digest.span(), format!("'{}' is not a digest", entry.digest.get_ref()))
            })?;
            if pins.digest(&name, entry.tag.get_ref()).is_some() {
                let what = format!("tag '{}' of image '{name}' is pinned twice", entry.tag.get_ref());
                return Err(wrong(entry.tag.span(), what));
            }
            let Entry { tag, media_type, platforms, .. } = entry;
            pins.0.push(Pinned { name, tag: tag.into_inner(), digest, media_type, platforms });
        }
        Ok(pins)
    }

    /// What a tag means that is written at `span`; nothing where each instance asks the registry.
    pub(super) fn of_tag(
        &self,
        name: &ImageName,
        tag: &str,
        span: Range<usize>,
        unpinned: Unpinned,
    ) -> Result<Option<ImageDigest>, Mistake> {
        if let Some(digest) = self.digest(name, tag) {
            return Ok(Some(digest.clone()));
        }
        let other = self.0.iter().find(|one| one.name == *name);
        let what = match other {
            Some(other) => format!("handover.pin says what tag '{}' means, and not '{tag}'", other.tag),
            None if unpinned == Unpinned::Refuse => {
                format!("tag '{tag}' is not pinned, and unpinned = \"refuse\"")
            }
            None => return Ok(None),
        };
        Err(Mistake::at(span, what).help("pin it where the bundle is made: handover pin"))
    }

    /// What a tag of an image means.
    pub(super) fn digest(&self, name: &ImageName, tag: &str) -> Option<&ImageDigest> {
        self.0.iter().find(|one| one.name == *name && one.tag == tag).map(|one| &one.digest)
    }
}

/// The text of the file.
pub fn render(pins: &[Pinned], at: Timestamp) -> String {
    // A string of JSON is one of TOML.
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let mut file = format!(
        "# What the tags of this bundle mean, written by handover pin: ship it with the bundle.\nformat = {FORMAT}\nat = {}\n",
        text(&at.to_string())
    );
    for Pinned { name, tag, digest, media_type, platforms } in pins {
        let platforms: Vec<String> = platforms.iter().map(|platform| text(platform)).collect();
        let _ = write!(
            file,
            "\n[[image]]\nname = {}\ntag = {}\ndigest = {}\nmedia-type = {}\nplatforms = [{}]\n",
            text(name.as_str()),
            text(tag),
            text(digest.as_str()),
            text(media_type),
            platforms.join(", ")
        );
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinned(tag: &str) -> Pinned {
        Pinned {
            name: ImageName::default_image(),
            tag: tag.to_owned(),
            digest: format!("sha256:{}", "0a".repeat(32)).parse().unwrap(),
            media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
            platforms: vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let pins = vec![pinned("latest"), pinned("v1")];
        let text = render(&pins, "2026-11-27T10:00:00Z".parse().unwrap());
        assert_eq!(Pins::parse(&text).unwrap(), Pins(pins));
    }

    #[test]
    fn a_tag_means_what_is_written() {
        let (one, other) = (pinned("latest"), "front".parse().unwrap());
        let pins = Pins(vec![one.clone()]);
        let of = |name: &ImageName, tag, unpinned| pins.of_tag(name, tag, 0..1, unpinned);
        assert_eq!(of(&one.name, "latest", Unpinned::Refuse), Ok(Some(one.digest.clone())));
        assert!(of(&one.name, "v2", Unpinned::Allow).unwrap_err().what.contains("and not 'v2'"));
        assert_eq!(of(&other, "latest", Unpinned::Allow), Ok(None));
        assert!(of(&other, "latest", Unpinned::Refuse).unwrap_err().what.contains("is not pinned"));
    }

    #[test]
    fn an_edited_file_is_refused_where_it_is_wrong() {
        let text = render(&[pinned("latest")], Timestamp::UNIX_EPOCH);
        for (from, to, what) in [
            ("sha256:0a0a", "sha256:", "is not a digest"),
            ("format = 1", "format = 2", "has format 2, and this version reads format 1"),
            ("name = \"default\"", "name = \"De Fault\"", "De Fault"),
            ("digest = ", "digest ", "expected"),
        ] {
            assert!(text.contains(from), "{from}");
            let mistake = Pins::parse(&text.replacen(from, to, 1)).unwrap_err();
            let shown = mistake.located(&text, FILE_NAME).to_string();
            assert!(shown.contains(what) && shown.contains(AGAIN), "{shown}");
        }
        let twice = render(&[pinned("latest"), pinned("latest")], Timestamp::UNIX_EPOCH);
        assert!(Pins::parse(&twice).unwrap_err().what.contains("pinned twice"));
    }
}
