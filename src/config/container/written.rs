//! Values that parse themselves, with the place where they are written.

use toml::Spanned;

use crate::config::diagnostic::Mistake;
use crate::config::file;

/// A value that parses itself; what is wrong with it is shown at its own place, not at the list's.
pub(super) fn parse<T: TryFrom<String, Error = String>>(written: &Spanned<String>) -> Result<T, Mistake> {
    T::try_from(written.get_ref().clone()).map_err(|what| Mistake::at(written.span(), what))
}

/// The same, of a value that people also write as a number.
pub(super) fn parse_text_or_number<T: TryFrom<String, Error = String>>(
    written: &Spanned<file::Field>,
) -> Result<T, Mistake> {
    T::try_from(written.get_ref().clone().into_text()).map_err(|what| Mistake::at(written.span(), what))
}
