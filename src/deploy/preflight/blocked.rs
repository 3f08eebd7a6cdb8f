//! Digests that somebody has blocked.

use super::Found;
use crate::deploy::images::Meaning;
use crate::model::{Explain as _, ImageName};
use crate::state::Blocked;
use crate::text::chain;

/// A digest that somebody has gone back from, and has blocked, is not brought again.
pub(super) fn check(blocked: &Blocked, images: &[(ImageName, Meaning)], found: &mut Found) {
    let all = match blocked.all() {
        Ok(all) => all,
        // What cannot be read may name any of them.
        Err(error) => return found.finding(chain(&error), error.fix().unwrap_or_default()),
    };
    for (name, Meaning { image, .. }) in images {
        let Some(why) = all.get(&image.digest) else { continue };
        let digest = image.digest.short();
        found.finding(
            format!(
                "image '{name}' is digest {digest}, which is blocked on this instance since {}, when {} was gone back from",
                why.at.strftime("%Y-%m-%d %H:%M UTC"),
                why.release
            ),
            format!("deploy another image; or, if it is good after all: handover releases --unblock {digest}"),
        );
    }
}
