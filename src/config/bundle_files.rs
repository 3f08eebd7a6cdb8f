//! The files of a bundle that the configuration names, or those that are kept with a release.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::diagnostic::Mistake;
use super::file::Unpinned;
use super::pin::Pins;
use crate::fs::tree;
use crate::model::container::Bundled;
use crate::model::{Explain as _, ImageDigest, ImageName};
use crate::text::chain;

/// The folder of a bundle, and of a release, that has the templates.
const TEMPLATES: &str = "templates";

/// The folder of a release that has the other files of its bundle, by their paths there: beside the templates it would be
/// in the way of what handover keeps itself.
pub const KEPT: &str = "bundle";

/// Where they are read. Nothing outside is: a bundle must not reach the host's files.
pub(super) struct BundleFiles {
    roots: Option<Roots>,
    /// What the tags mean; none where that is known already, or is still to be asked.
    pins: Option<Pins>,
}

struct Roots {
    /// What has the folder `templates/`.
    templates: PathBuf,
    /// What has all others.
    others: PathBuf,
}

impl BundleFiles {
    /// Those of a bundle.
    pub(super) fn of(bundle: &Path, pins: Pins) -> Self {
        Self { pins: Some(pins), ..Self::unpinned(bundle) }
    }

    /// Those of a bundle, whatever it says about its tags.
    pub(super) fn unpinned(bundle: &Path) -> Self {
        Self { roots: Some(Roots { templates: bundle.to_owned(), others: bundle.to_owned() }), pins: None }
    }

    /// Those that are kept with a release.
    pub(super) fn kept_in(release: &Path) -> Self {
        let roots = Roots { templates: release.to_owned(), others: release.join(KEPT) };
        Self { roots: Some(roots), pins: None }
    }

    /// None: there is only the text of a configuration.
    pub(super) fn none() -> Self {
        Self { roots: None, pins: None }
    }

    /// Whether the bundle says what a tag means.
    pub(super) fn pins(&self, image: &ImageName, tag: &str) -> bool {
        self.pins.as_ref().is_some_and(|pins| pins.digest(image, tag).is_some())
    }

    /// What a tag means that is written at `span`; nothing where the registry has to be asked.
    pub(super) fn pinned(
        &self,
        image: &ImageName,
        tag: &str,
        span: Range<usize>,
        unpinned: Unpinned,
    ) -> Result<Option<ImageDigest>, Mistake> {
        self.pins.as_ref().map_or(Ok(None), |pins| pins.of_tag(image, tag, span, unpinned))
    }

    /// The text of a template: a file in `templates/`.
    pub(super) fn template(&self, path: &Spanned<String>) -> Result<String, Mistake> {
        let text = path.get_ref();
        let wrong = |what: String| Mistake::at(path.span(), what);
        let below = text.strip_prefix(TEMPLATES).and_then(|rest| rest.strip_prefix('/'));
        if !below.is_some_and(is_inside) {
            return Err(wrong(format!("'{text}' is not the path of a template"))
                .help("templates are files in the bundle's folder templates/: write \"templates/NAME\""));
        }
        let Some(roots) = &self.roots else {
            return Err(wrong(format!("template '{text}' cannot be read without the bundle's folder")));
        };
        let unreadable = |e: std::io::Error| wrong(format!("cannot read '{text}' in the bundle: {e}"));
        let root = roots.templates.join(TEMPLATES).canonicalize().map_err(unreadable)?;
        let real = roots.templates.join(text).canonicalize().map_err(unreadable)?;
        let bundle = roots.templates.canonicalize().map_err(unreadable)?;
        if !real.starts_with(&root) || !root.starts_with(bundle) {
            return Err(wrong(format!("'{text}' is a link that leads out of the bundle's templates/")));
        }
        read_text(&real, path)
    }

    /// A file or folder anywhere in the bundle: its path there, plain, and where it is.
    pub(super) fn find(&self, path: &Spanned<String>) -> Result<(String, PathBuf), Mistake> {
        let text = path.get_ref();
        let wrong = |what: String| Mistake::at(path.span(), what);
        let mut plain = text.trim_end_matches('/');
        while let Some(rest) = plain.strip_prefix("./") {
            plain = rest.trim_start_matches('/');
        }
        if plain != "." && !is_inside(plain) {
            return Err(wrong(format!("'{text}' is not a path in the bundle"))
                .help("write it from the bundle's folder on, without '..': \"conf/app.conf\""));
        }
        let Some(roots) = &self.roots else {
            return Err(wrong(format!("'{text}' cannot be read without the bundle's folder")));
        };
        let unreadable = |e: std::io::Error| wrong(format!("cannot read '{text}' in the bundle: {e}"));
        let bundle = roots.others.canonicalize().map_err(unreadable)?;
        let real = bundle.join(plain).canonicalize().map_err(unreadable)?;
        if !real.starts_with(&bundle) {
            return Err(wrong(format!("'{text}' is a link that leads out of the bundle")));
        }
        Ok((plain.to_owned(), real))
    }
}

impl BundleFiles {
    /// A file or folder that is mounted: its path in the bundle, where it is, and what stands for all that is in it.
    pub(super) fn tree(&self, path: &Spanned<String>) -> Result<(Bundled, PathBuf), Mistake> {
        let (plain, real) = self.find(path)?;
        if plain == "." {
            return Err(Mistake::at(path.span(), "the whole bundle cannot be mounted")
                .help("put what the container needs into a folder of it: \"./conf:/PATH\""));
        }
        let digest = tree::digest(&real).map_err(|error| {
            let mistake = Mistake::at(path.span(), chain(&error));
            match error.fix() {
                Some(fix) => mistake.help(fix),
                None => mistake,
            }
        })?;
        Ok((Bundled { path: plain, digest }, real))
    }
}

/// The text of a file that was found.
pub(super) fn read_text(file: &Path, path: &Spanned<String>) -> Result<String, Mistake> {
    let wrong = |what: String| Mistake::at(path.span(), what);
    let text = path.get_ref();
    if !file.is_file() {
        return Err(wrong(format!("'{text}' is not a file")));
    }
    let bytes = std::fs::read(file).map_err(|e| wrong(format!("cannot read '{text}' in the bundle: {e}")))?;
    String::from_utf8(bytes).map_err(|_| {
        wrong(format!("'{text}' is not UTF-8 text")).help("save it as UTF-8, or name another file")
    })
}

fn is_inside(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains('\0')
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "what a test writes need not outlive a power cut")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_mounted_is_in_the_bundle_and_made_of_files() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = dir.path().join("bundle");
        std::fs::create_dir_all(bundle.join("conf/d")).unwrap();
        std::fs::write(bundle.join("conf/d/a"), "a").unwrap();
        std::fs::write(dir.path().join("outside"), "x").unwrap();
        symlink("../outside", bundle.join("out")).unwrap();
        symlink("conf", bundle.join("current")).unwrap();
        std::fs::create_dir(bundle.join("linked")).unwrap();
        symlink("../conf/d/a", bundle.join("linked/a")).unwrap();
        std::fs::create_dir(bundle.join("odd")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(bundle.join("odd/socket")).unwrap();
        let files = BundleFiles::unpinned(&bundle);
        let tree = |path: &str| files.tree(&Spanned::new(0..1, path.to_owned()));
        let (folder, place) = tree("./conf/").unwrap();
        assert_eq!((folder.path.as_str(), place), ("conf", bundle.join("conf").canonicalize().unwrap()));
        // By whatever name: it is the same.
        assert_eq!(tree("current").unwrap().0.digest, folder.digest);
        assert_eq!(tree("conf/d/a").unwrap().0.path, "conf/d/a");
        for (path, what) in [
            ("./nothing", "cannot read './nothing'"),
            ("../outside", "is not a path in the bundle"),
            ("conf/../../outside", "is not a path in the bundle"),
            ("./out", "leads out of the bundle"),
            ("./linked", "is a link that leads out of it"),
            ("./odd", "is neither a file, a folder nor a link"),
            ("./", "the whole bundle cannot be mounted"),
        ] {
            let mistake = tree(path).unwrap_err();
            assert!(mistake.what.contains(what), "{path}: {mistake:?}");
        }
    }
}
