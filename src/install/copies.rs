//! Copies of the binary, and the link to the one that operators use.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use semver::Version;

use crate::digest::Sha256;
use crate::fs::{Context as _, FsError, sync_dir};
use crate::host::Paths;

/// The age at which an incomplete copy of a killed process is removed: another process may be at work on a younger one.
const ABANDONED: Duration = Duration::from_hours(1);
const INCOMPLETE: &str = ".handover-";

/// A copy of a binary of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Where it is.
    pub path: PathBuf,
    version: Version,
    made: SystemTime,
}

/// On whose behalf the link is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// For an operator: always.
    Operator,
    /// After a good deployment: unless it points to a newer binary. A rollback does not take the operators' tool away.
    GoodDeployment,
    /// Before a deployment: only when it points nowhere.
    IfMissing,
}

/// Where the link points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Linked {
    /// To this copy.
    ToThis,
    /// To another one, which is newer or was there first.
    ToNewer(PathBuf),
    /// It is not ours.
    Foreign,
}

/// Makes a copy of the binary that runs, unless there is one.
pub fn keep(paths: &Paths) -> Result<Copy, FsError> {
    let dir = &paths.copies;
    // Opened by its file, not by its name: the bundle may have been deleted since.
    let mut binary = File::open(&paths.binary).on("read", &paths.binary)?;
    let (hash, length) = fingerprint(&mut binary).on("read", &paths.binary)?;
    let path = dir.join(format!("handover-{}-{hash}", env!("CARGO_PKG_VERSION")));
    // The name has the hash of the content, and a copy gets its name when it is complete.
    if std::fs::metadata(&path).map_or(true, |there| there.len() != length) {
        public_dir(dir)?;
        check_execution(dir)?;
        binary.rewind().on("read", &paths.binary)?;
        let mut copy =
            tempfile::Builder::new().prefix(INCOMPLETE).tempfile_in(dir).on("create a file in", dir)?;
        io::copy(&mut binary, &mut copy).on("write", &path)?;
        copy.as_file().set_permissions(Permissions::from_mode(0o755)).on("set permissions of", &path)?;
        copy.as_file().sync_all().on("sync", &path)?;
        copy.persist(&path).map_err(|e| e.error).on("replace", &path)?;
        sync_dir(dir)?;
    }
    copy_at(&path).on("read", &path)
}

/// Eight digits of the hash of a file, and its length.
fn fingerprint(file: &mut File) -> io::Result<(String, u64)> {
    let mut hash = Sha256::default();
    let (mut buffer, mut length) = (vec![0; 64 << 10], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => {
                hash.update(&buffer[..n]);
                length += n as u64;
            }
        }
    }
    let mut digits = hash.hex();
    digits.truncate(8);
    Ok((digits, length))
}

/// Points the link to a copy, if the claim allows it.
pub fn link(paths: &Paths, copy: &Copy, claim: Claim) -> Result<Linked, FsError> {
    match (link_target(paths)?, claim) {
        (Target::Elsewhere, _) => return Ok(Linked::Foreign),
        (Target::To(there), _) if there.path == copy.path => return Ok(Linked::ToThis),
        (Target::To(there), Claim::GoodDeployment)
            if (&there.version, there.made) > (&copy.version, copy.made) =>
        {
            return Ok(Linked::ToNewer(there.path));
        }
        (Target::To(there), Claim::IfMissing) => return Ok(Linked::ToNewer(there.path)),
        (Target::Nowhere | Target::To(_), _) => {}
    }
    let dir = paths.link.parent().unwrap_or(Path::new("/"));
    public_dir(dir)?;
    tempfile::Builder::new()
        .prefix(INCOMPLETE)
        .make_in(dir, |path| std::os::unix::fs::symlink(&copy.path, path))
        .on("create a link in", dir)?
        .persist(&paths.link)
        .map_err(|e| e.error)
        .on("replace", &paths.link)?;
    sync_dir(dir)?;
    Ok(Linked::ToThis)
}

/// Removes old copies: all but the youngest, the one that is linked, and `copy`.
pub fn sweep(paths: &Paths, copy: &Copy, kept: usize) -> Result<(), FsError> {
    let linked = match link_target(paths)? {
        Target::To(linked) => Some(linked.path),
        Target::Nowhere | Target::Elsewhere => None,
    };
    let mut copies: Vec<Copy> = entries(&paths.copies).filter_map(|path| copy_at(&path).ok()).collect();
    copies.sort_by_key(|copy| std::cmp::Reverse(copy.made));
    let old = copies.into_iter().skip(kept).map(|copy| copy.path);
    let old = old.filter(|path| *path != copy.path && Some(path) != linked.as_ref());
    let incomplete = entries(&paths.copies).filter(|path| is_abandoned(path));
    for path in old.chain(incomplete) {
        std::fs::remove_file(&path).on("remove", &path)?;
    }
    Ok(())
}

enum Target {
    Nowhere,
    To(Copy),
    Elsewhere,
}

/// A link is ours if it points into our folder, also to a copy that is gone.
fn link_target(paths: &Paths) -> Result<Target, FsError> {
    match std::fs::read_link(&paths.link) {
        Ok(target) if target.parent() == Some(&paths.copies) => {
            Ok(copy_at(&target).map_or(Target::Nowhere, Target::To))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Target::Nowhere),
        Ok(_) => Ok(Target::Elsewhere),
        // It is not a link.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(Target::Elsewhere),
        Err(error) => Err(error).on("read", &paths.link),
    }
}

/// The copy at a path; an error when what is there has no name of ours.
fn copy_at(path: &Path) -> io::Result<Copy> {
    let version = path.file_name().and_then(|name| version_of(name.to_str()?));
    let version = version.ok_or(io::ErrorKind::InvalidInput)?;
    let there = std::fs::symlink_metadata(path)?;
    if !there.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(Copy { path: path.to_owned(), version, made: there.modified()? })
}

/// `handover-VERSION-HASH`, with eight digits.
fn version_of(name: &str) -> Option<Version> {
    let (version, hash) = name.strip_prefix("handover-")?.rsplit_once('-')?;
    let is_hash = hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_hash.then(|| Version::parse(version).ok())?
}

fn is_abandoned(path: &Path) -> bool {
    let is_incomplete = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(INCOMPLETE));
    let age =
        std::fs::symlink_metadata(path).and_then(|m| m.modified()).ok().and_then(|at| at.elapsed().ok());
    is_incomplete && age.is_some_and(|age| age >= ABANDONED)
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

/// A folder that everybody can enter, like its siblings.
fn public_dir(path: &Path) -> Result<(), FsError> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).on("create", path)
}

/// A link to a file that cannot be executed would be worse than none.
fn check_execution(dir: &Path) -> Result<(), FsError> {
    let flags = rustix::fs::statvfs(dir).map_err(io::Error::from).on("look at", dir)?.f_flag;
    if flags.contains(rustix::fs::StatVfsMountFlags::NOEXEC) {
        return Err(io::Error::other("its file system is mounted with noexec"))
            .on("execute anything in", dir);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        paths: Paths,
        _dir: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let place = Self { paths: Paths::below(dir.path()), _dir: dir };
            place.binary("one");
            place
        }

        fn binary(&self, text: &str) {
            crate::fs::write_atomically(&self.paths.binary, text.as_bytes(), 0o755).unwrap();
        }

        /// A copy of another version, older than any that is made here.
        fn other(&self, version: &str, age: u64) -> Copy {
            public_dir(&self.paths.copies).unwrap();
            let path = self.paths.copies.join(format!("handover-{version}-0123abcd"));
            crate::fs::write_atomically(&path, version.as_bytes(), 0o755).unwrap();
            let made = SystemTime::now() - Duration::from_secs(age);
            File::options().write(true).open(&path).unwrap().set_modified(made).unwrap();
            copy_at(&path).unwrap()
        }

        fn linked(&self) -> String {
            std::fs::read_to_string(&self.paths.link).unwrap()
        }
    }

    #[test]
    fn the_link_points_to_the_newest_good_one() {
        let place = Place::new();
        let one = keep(&place.paths).unwrap();
        assert_eq!(link(&place.paths, &one, Claim::IfMissing).unwrap(), Linked::ToThis);
        place.binary("two");
        let two = keep(&place.paths).unwrap();
        assert_eq!(link(&place.paths, &two, Claim::IfMissing).unwrap(), Linked::ToNewer(one.path));
        assert_eq!(place.linked(), "one");
        assert_eq!(link(&place.paths, &two, Claim::GoodDeployment).unwrap(), Linked::ToThis);
        assert_eq!(place.linked(), "two");
        // 0.10 is newer than 0.9, whatever their letters, and a rollback to this version does not take it away.
        let newer = place.other("0.10.0", 60);
        link(&place.paths, &newer, Claim::Operator).unwrap();
        let nine = place.other("0.9.0", 0);
        for older in [&two, &nine] {
            let stays = link(&place.paths, older, Claim::GoodDeployment).unwrap();
            assert_eq!(stays, Linked::ToNewer(newer.path.clone()));
        }
        assert_eq!(place.linked(), "0.10.0");
        assert_eq!(link(&place.paths, &two, Claim::Operator).unwrap(), Linked::ToThis);
        assert_eq!(place.linked(), "two");
        // A link to a copy that is gone points nowhere.
        std::fs::remove_file(&two.path).unwrap();
        link(&place.paths, &nine, Claim::IfMissing).unwrap();
        assert_eq!(place.linked(), "0.9.0");
    }

    #[test]
    fn what_somebody_else_put_there_is_left_alone() {
        for foreign in ["a file", "a link"] {
            let place = Place::new();
            let dir = place.paths.link.parent().unwrap();
            public_dir(dir).unwrap();
            let other = dir.join("other");
            crate::fs::write_atomically(&other, b"other", 0o755).unwrap();
            match foreign {
                "a file" => std::fs::copy(&other, &place.paths.link).map(drop).unwrap(),
                _ => std::os::unix::fs::symlink(&other, &place.paths.link).unwrap(),
            }
            let copy = keep(&place.paths).unwrap();
            assert_eq!(link(&place.paths, &copy, Claim::Operator).unwrap(), Linked::Foreign, "{foreign}");
            assert_eq!(place.linked(), "other");
        }
    }

    #[test]
    fn the_last_three_copies_stay_and_the_linked_one_and_nothing_foreign_goes() {
        let place = Place::new();
        let linked = place.other("0.0.1", 500);
        link(&place.paths, &linked, Claim::Operator).unwrap();
        let others: Vec<Copy> = ["0.0.2", "0.0.3", "0.0.4"]
            .iter()
            .zip([400, 300, 200])
            .map(|(v, age)| place.other(v, age))
            .collect();
        let foreign = ["handover-backup", "handover-1.0.0", "notes", "handover-x-0123abcd"];
        for name in foreign {
            crate::fs::write_atomically(&place.paths.copies.join(name), b"", 0o644).unwrap();
        }
        let own = keep(&place.paths).unwrap();
        sweep(&place.paths, &own, 3).unwrap();
        let left = |path: &Path| path.exists();
        assert!(left(&own.path) && left(&linked.path) && left(&others[2].path) && left(&others[1].path));
        assert!(!left(&others[0].path));
        assert!(foreign.iter().all(|name| place.paths.copies.join(name).exists()));
    }

    #[test]
    fn a_copy_that_is_there_is_not_made_again() {
        let place = Place::new();
        let copy = keep(&place.paths).unwrap();
        assert_eq!(keep(&place.paths).unwrap(), copy);
        assert_eq!(std::fs::metadata(&copy.path).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(entries(&place.paths.copies).count(), 1);
    }
}
