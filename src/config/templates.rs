//! The templates of a bundle, or those that are kept with a release: files in `templates/`.

use std::path::{Path, PathBuf};

use toml::Spanned;

use super::diagnostic::Mistake;

/// The folder of a bundle, and of a release, that has the templates.
pub(crate) const FOLDER: &str = "templates";

/// Where templates are read.
pub(super) struct Templates(Option<PathBuf>);

impl Templates {
    /// Those of a bundle.
    pub(super) fn of(bundle: &Path) -> Self {
        Self(Some(bundle.to_owned()))
    }

    /// None: there is only the text of a configuration.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// The text of a template. Nothing outside `templates/` is read: a bundle must not reach the host's files.
    pub(super) fn read(&self, path: &Spanned<String>) -> Result<String, Mistake> {
        let text = path.get_ref();
        let wrong = |what: String| Mistake::at(path.span(), what);
        let is_part = |part: &str| !matches!(part, "" | "." | "..");
        let below = text.strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix('/'));
        if !below.is_some_and(|rest| rest.split('/').all(is_part) && !rest.contains('\0')) {
            return Err(wrong(format!("'{text}' is not the path of a template"))
                .help("templates are files in the bundle's folder templates/: write \"templates/NAME\""));
        }
        let Some(bundle) = &self.0 else {
            return Err(wrong(format!("template '{text}' cannot be read without the bundle's folder")));
        };
        let unreadable = |e: std::io::Error| wrong(format!("cannot read '{text}' in the bundle: {e}"));
        let root = bundle.join(FOLDER).canonicalize().map_err(unreadable)?;
        let real = bundle.join(text).canonicalize().map_err(unreadable)?;
        if !real.starts_with(&root) || !bundle.canonicalize().is_ok_and(|bundle| root.starts_with(bundle)) {
            return Err(wrong(format!("'{text}' is a link that leads out of the bundle's templates/")));
        }
        if !real.is_file() {
            return Err(wrong(format!("'{text}' is not a file")));
        }
        let bytes = std::fs::read(&real).map_err(unreadable)?;
        String::from_utf8(bytes).map_err(|_| wrong(format!("'{text}' is not UTF-8 text")))
    }
}
