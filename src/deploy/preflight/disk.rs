//! Room on the disk: for the image where Docker keeps it, and for what handover itself writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Found;
use crate::deploy::images::ToPull;
use crate::host::{Machine, Paths};
use crate::text::amount;

/// What an image takes for each byte that is pulled: the compressed layer while it is unpacked, and the unpacked one, which
/// is about twice as large.
const UNPACKED: u64 = 3;

/// What has to be free for an image whose size is not known: less is not worth to begin with.
const UNKNOWN: u64 = 512 << 20;

/// A journal, a record and a configuration are some KiB; a log and its predecessor are moved aside at some MiB.
const OWN: u64 = 16 << 20;

/// An image has thousands of files; what handover writes, a handful.
const FILES_OF_IMAGE: u64 = 2_000;
const OWN_FILES: u64 = 50;

/// What is needed at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    path: PathBuf,
    bytes: u64,
    files: u64,
    /// For what, for people.
    what: String,
}

/// What a deployment writes, and where. Nothing is known of an image that was not found.
pub(super) fn needs<'p>(
    images: &Path,
    to_pull: impl IntoIterator<Item = &'p ToPull>,
    paths: &Paths,
) -> Vec<Need> {
    let image = |bytes, what: String| Need { path: images.to_owned(), bytes, files: FILES_OF_IMAGE, what };
    let own = |path: &Path| Need {
        path: path.to_owned(),
        bytes: OWN,
        files: OWN_FILES,
        what: "handover itself".to_owned(),
    };
    let pulled = to_pull.into_iter().filter_map(|to_pull| match to_pull {
        ToPull::Nothing => None,
        ToPull::Unknown(_) => Some(image(UNKNOWN, "an image of unknown size".to_owned())),
        ToPull::Bytes(bytes) => Some(image(
            bytes.saturating_mul(UNPACKED),
            format!("the image: {UNPACKED} times the {} that are to be pulled", amount(*bytes)),
        )),
    });
    pulled.chain([own(&paths.state), own(&paths.log)]).collect()
}

/// Needs on the same filesystem add up.
pub(super) fn check(needs: &[Need], machine: &Machine, found: &mut Found) {
    let mut filesystems = BTreeMap::new();
    for need in needs {
        match machine.space(&need.path) {
            Ok(space) => filesystems.entry(space.device).or_insert((space, vec![])).1.push(need),
            Err(error) => {
                found.note(format!("cannot tell what is free at '{}': {error}", need.path.display()));
            }
        }
    }
    for (space, needs) in filesystems.values() {
        let bytes: u64 = needs.iter().map(|need| need.bytes).fold(0, u64::saturating_add);
        let files: u64 = needs.iter().map(|need| need.files).sum();
        // The image comes first: its place is the one to name.
        let (place, what) = (needs[0].path.display(), &needs[0].what);
        if space.bytes < bytes {
            found.finding(
                format!(
                    "the disk of '{place}' has {} free, and {} are needed ({what})",
                    amount(space.bytes),
                    amount(bytes)
                ),
                "make room: 'docker system df' says what Docker keeps, 'handover prune' removes old releases",
            );
        } else if let Some(free) = space.files.filter(|free| *free < files) {
            found.finding(
                format!(
                    "the disk of '{place}' has room for {free} more files, and {files} are needed ({what})"
                ),
                "remove files ('df -i' counts them), or make a new filesystem with more inodes",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::machine::disk::Space;

    const MIB: u64 = 1 << 20;

    /// Docker has a disk of its own, with 100 MiB; the root filesystem has 40 MiB, and one for the log has no inodes left.
    fn space(path: &Path) -> std::io::Result<Space> {
        let space = |device, bytes, files| Ok(Space { device, bytes, files });
        match path.to_str().unwrap() {
            "/data/docker" => space(2, 100 * MIB, None),
            "/full" => space(3, 10_000 * MIB, Some(3)),
            "/gone" => Err(std::io::ErrorKind::NotFound.into()),
            _ => space(1, 40 * MIB, Some(100_000)),
        }
    }

    fn found(images: &str, to_pull: Option<ToPull>, log: &str) -> Found {
        let machine = Machine::pretended(Path::new("/nowhere"), space);
        let mut paths = Paths::of_the_system();
        paths.log = log.into();
        let mut found = Found::default();
        check(&needs(Path::new(images), to_pull.as_ref(), &paths), &machine, &mut found);
        found
    }

    fn whats(found: &Found) -> Vec<&str> {
        found.findings.iter().map(|finding| finding.what.as_str()).collect()
    }

    #[test]
    fn an_image_needs_three_times_what_is_pulled() {
        let pull = |bytes| found("/data/docker", Some(ToPull::Bytes(bytes)), "/var/log/handover");
        assert_eq!(pull(33 * MIB), Found::default());
        assert_eq!(
            whats(&pull(34 * MIB)),
            [
                "the disk of '/data/docker' has 100 MiB free, and 102 MiB are needed (the image: 3 times the 34 MiB \
              that are to be pulled)"
            ]
        );
    }

    #[test]
    fn an_image_that_is_here_needs_nothing_and_one_of_unknown_size_a_little() {
        let nothing = found("/data/docker", Some(ToPull::Nothing), "/var/log/handover");
        assert_eq!(nothing, Found::default());
        assert_eq!(found("/data/docker", None, "/var/log/handover"), Found::default());
        let unknown = found("/data/docker", Some(ToPull::Unknown(String::new())), "/var/log/handover");
        assert!(whats(&unknown)[0].contains("512 MiB are needed (an image of unknown size)"), "{unknown:?}");
    }

    #[test]
    fn needs_on_one_filesystem_add_up() {
        // 3 + 16 + 16 fit into 40, and 12 + 16 + 16 do not.
        let both = |bytes| found("/var/lib/docker", Some(ToPull::Bytes(bytes)), "/var/log/handover");
        assert_eq!(both(MIB), Found::default());
        assert!(
            whats(&both(4 * MIB))[0].contains("'/var/lib/docker' has 40 MiB free, and 44 MiB are needed")
        );
    }

    #[test]
    fn inodes_count_and_what_cannot_be_seen_is_a_note() {
        let full = found("/data/docker", None, "/full");
        assert!(whats(&full)[0].contains("'/full' has room for 3 more files, and 50 are needed"), "{full:?}");
        let gone = found("/data/docker", None, "/gone");
        assert!(gone.findings.is_empty() && gone.notes[0].contains("'/gone'"), "{gone:?}");
    }
}
