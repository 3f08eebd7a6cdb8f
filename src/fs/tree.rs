//! A file, or a folder with all that is in it: what it is, as a digest, and a copy that survives a power cut.

use std::fs::{File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{Context as _, FsError, private_dir, sync_dir};
use crate::digest::Sha256;
use crate::text::amount;

/// Why a tree cannot be read or copied.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FsError),
    /// A link leads to something that would not be in the copy.
    #[error("'{}' is a link that leads out of it", path.display())]
    LeadsOut {
        /// The link.
        path: PathBuf,
    },
    /// Nobody means to keep that with each release.
    #[error("'{}' has more than {} in it", path.display(), amount(MOST_BYTES))]
    TooLarge {
        /// The tree.
        path: PathBuf,
    },
    /// The same.
    #[error("'{}' has more than {MOST_MEMBERS} files and folders in it", path.display())]
    TooMany {
        /// The tree.
        path: PathBuf,
    },
    /// A socket, a pipe or a device.
    #[error("'{}' is neither a file, a folder nor a link", path.display())]
    Special {
        /// What it is.
        path: PathBuf,
    },
}

impl crate::model::Explain for TreeError {
    fn fix(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.fix(),
            Self::LeadsOut { .. } => "put what it leads to into the folder, or remove the link".to_owned(),
            Self::TooLarge { .. } | Self::TooMany { .. } => {
                "it is kept with each release: put what is that large into the image, or on the host"
                    .to_owned()
            }
            Self::Special { .. } => "remove it".to_owned(),
        })
    }
}

/// The most that a tree may have in it.
const MOST_BYTES: u64 = 64 << 20;
const MOST_MEMBERS: usize = 10_000;

/// One member of a tree.
struct Member {
    /// Its path below the tree's own; empty for that itself.
    below: PathBuf,
    kind: Kind,
    mode: u32,
}

enum Kind {
    File,
    Folder,
    /// Where it leads, as it is written.
    Link(PathBuf),
}

/// Stands for everything that a copy would have: names, contents, permissions and links.
pub fn digest(root: &Path) -> Result<String, TreeError> {
    let mut digest = Sha256::default();
    for member in members(root)? {
        let path = join(root, &member.below);
        let (kind, length) = match &member.kind {
            Kind::File => ("file", std::fs::metadata(&path).on("read", &path)?.len()),
            Kind::Folder => ("folder", 0),
            Kind::Link(_) => ("link", 0),
        };
        // What is written before a content says where that ends.
        let name = member.below.as_os_str().as_encoded_bytes();
        digest.update(format!("{kind} {:o} {} {length} ", member.mode, name.len()).as_bytes());
        digest.update(name);
        match &member.kind {
            Kind::File => read_pieces(&path, |piece| digest.update(piece))?,
            Kind::Folder => {}
            Kind::Link(to) => digest.update(to.as_os_str().as_encoded_bytes()),
        }
    }
    Ok(digest.hex())
}

/// Copies a tree to a place where nothing is, or an earlier copy. Owners are not kept: the copy belongs to whoever makes it.
pub fn copy(root: &Path, to: &Path) -> Result<(), TreeError> {
    let members = members(root)?;
    private_dir(to.parent().unwrap_or(to))?;
    let mut folders = vec![];
    for Member { below, kind, mode } in members {
        let (from, place) = (join(root, &below), join(to, &below));
        match kind {
            Kind::Folder => {
                private_dir(&place)?;
                folders.push((place, mode));
            }
            Kind::Link(leads_to) => match std::os::unix::fs::symlink(&leads_to, &place) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                made => made.on("create", &place)?,
            },
            Kind::File => {
                // An earlier copy may be a file that nobody may write to.
                match std::fs::remove_file(&place) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    removed => removed.on("replace", &place)?,
                }
                std::fs::copy(&from, &place).on("copy", &from)?;
                let copy = File::open(&place).on("read", &place)?;
                copy.set_permissions(Permissions::from_mode(mode)).on("set permissions of", &place)?;
                copy.sync_all().on("sync", &place)?;
            }
        }
    }
    // The innermost first: a folder that nobody may write to is made so when it is complete.
    for (folder, mode) in folders.iter().rev() {
        sync_dir(folder)?;
        std::fs::set_permissions(folder, Permissions::from_mode(*mode)).on("set permissions of", folder)?;
    }
    Ok(sync_dir(to.parent().unwrap_or(to))?)
}

/// Without a slash at the end where there is nothing to add: of a file it would be a mistake.
fn join(root: &Path, below: &Path) -> PathBuf {
    if below.as_os_str().is_empty() { root.to_owned() } else { root.join(below) }
}

/// All of them, in an order that does not depend on the filesystem, each folder before what is in it.
fn members(root: &Path) -> Result<Vec<Member>, TreeError> {
    let real = root.canonicalize().on("read", root)?;
    let mut found = vec![];
    let mut bytes = 0;
    let mut next = vec![PathBuf::new()];
    while let Some(below) = next.pop() {
        if found.len() + next.len() >= MOST_MEMBERS {
            return Err(TreeError::TooMany { path: root.to_owned() });
        }
        let path = join(root, &below);
        // What names the tree may be a link to it.
        let metadata = if below.as_os_str().is_empty() { path.metadata() } else { path.symlink_metadata() };
        let metadata = metadata.on("read", &path)?;
        let kind = if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).on("read", &path)?;
            let mut names = entries
                .map(|entry| entry.map(|entry| below.join(entry.file_name())))
                .collect::<io::Result<Vec<_>>>()
                .on("read", &path)?;
            names.sort_by(|a, b| b.cmp(a));
            next.extend(names);
            Kind::Folder
        } else if metadata.is_symlink() {
            let to = path.read_link().on("read", &path)?;
            let is_inside = path.canonicalize().is_ok_and(|end| end.starts_with(&real));
            if to.is_absolute() || !is_inside {
                return Err(TreeError::LeadsOut { path });
            }
            Kind::Link(to)
        } else if metadata.is_file() {
            bytes += metadata.len();
            if bytes > MOST_BYTES {
                return Err(TreeError::TooLarge { path: root.to_owned() });
            }
            Kind::File
        } else {
            return Err(TreeError::Special { path });
        };
        found.push(Member { below, kind, mode: metadata.permissions().mode() & 0o7777 });
    }
    Ok(found)
}

fn read_pieces(path: &Path, mut each: impl FnMut(&[u8])) -> Result<(), FsError> {
    let mut file = File::open(path).on("read", path)?;
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece).on("read", path)? {
            0 => return Ok(()),
            read => each(&piece[..read]),
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    clippy::type_complexity,
    reason = "what a test writes need not outlive a power cut"
)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    type Change = fn(&Path);

    fn write(path: &Path, text: &str) {
        crate::fs::write_atomically(path, text.as_bytes(), 0o644).unwrap();
    }

    fn tree() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("conf");
        std::fs::create_dir_all(root.join("d")).unwrap();
        write(&root.join("d/a.conf"), "a");
        write(&root.join("run.sh"), "#!/bin/sh");
        std::fs::set_permissions(root.join("run.sh"), Permissions::from_mode(0o755)).unwrap();
        symlink("d/a.conf", root.join("current")).unwrap();
        (dir, root)
    }

    #[test]
    fn a_copy_is_the_same_and_may_be_made_twice() {
        let (dir, root) = tree();
        std::fs::set_permissions(root.join("d"), Permissions::from_mode(0o555)).unwrap();
        for copied in ["copies/one", "copies/one", "copies/two"] {
            let copied = dir.path().join(copied);
            copy(&root, &copied).unwrap();
            assert_eq!(digest(&copied).unwrap(), digest(&root).unwrap());
        }
        let file = dir.path().join("copies/file");
        copy(&root.join("run.sh"), &file).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(digest(&file).unwrap(), digest(&root.join("run.sh")).unwrap());
        std::fs::set_permissions(root.join("d"), Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(dir.path().join("copies/one/d"), Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(dir.path().join("copies/two/d"), Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn any_difference_is_one_of_the_digest() {
        let (_dir, root) = tree();
        let changes: [(&str, Change); 5] = [
            ("a content", |root| write(&root.join("d/a.conf"), "b")),
            ("a name", |root| std::fs::rename(root.join("run.sh"), root.join("ran.sh")).unwrap()),
            ("permissions", |root| {
                std::fs::set_permissions(root.join("ran.sh"), Permissions::from_mode(0o700)).unwrap();
            }),
            ("one more", |root| write(&root.join("d/b.conf"), "")),
            ("a link", |root| {
                std::fs::remove_file(root.join("current")).unwrap();
                symlink("d/b.conf", root.join("current")).unwrap();
            }),
        ];
        for (what, change) in changes {
            let before = digest(&root).unwrap();
            change(&root);
            assert_ne!(digest(&root).unwrap(), before, "{what}");
        }
    }

    #[test]
    fn what_would_not_be_in_a_copy_is_refused() {
        for to in ["/etc/passwd", "../outside", "nowhere"] {
            let (dir, root) = tree();
            write(&dir.path().join("outside"), "");
            symlink(to, root.join("d/out")).unwrap();
            let error = digest(&root).unwrap_err().to_string();
            assert!(error.contains("d/out' is a link that leads out"), "{error}");
        }
        let (_dir, root) = tree();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        assert!(matches!(copy(&root, &root.join("copy")), Err(TreeError::Special { .. })));
    }

    #[test]
    fn what_is_too_much_is_refused_before_it_is_read() {
        let (_dir, root) = tree();
        let sparse = std::fs::OpenOptions::new().create(true).append(true).open(root.join("dump")).unwrap();
        sparse.set_len(MOST_BYTES).unwrap();
        assert!(matches!(digest(&root), Err(TreeError::TooLarge { .. })));
        sparse.set_len(0).unwrap();
        assert!(digest(&root).is_ok());
        for n in 0..MOST_MEMBERS {
            symlink("run.sh", root.join(n.to_string())).unwrap();
        }
        assert!(matches!(digest(&root), Err(TreeError::TooMany { .. })));
    }
}
