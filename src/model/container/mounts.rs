//! What is mounted into a container: volumes and tmpfs.

use serde::Serialize;

use crate::model::is_docker_name;

/// A folder in memory: `/tmp` or `/tmp:size=64m,mode=1777`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tmpfs {
    /// Where it is in the container.
    pub target: String,
    /// Options of the mount, with commas between; Docker adds `noexec,nosuid,nodev`.
    pub options: String,
}

impl TryFrom<String> for Tmpfs {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let (target, options) = text.split_once(':').unwrap_or((&text, ""));
        if !is_target(target) {
            return Err(format!("'{text}' does not start with a folder of the container, such as \"/tmp\""));
        }
        let wrong = options.split(',').find(|o| !options.is_empty() && !is_tmpfs_option(o));
        match wrong {
            None => Ok(Self { target: target.to_owned(), options: options.to_owned() }),
            Some(wrong) => Err(format!(
                "'{wrong}' is not a tmpfs option: use size=64m, mode=1777, uid=NUMBER, gid=NUMBER and exec"
            )),
        }
    }
}

fn is_tmpfs_option(option: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match option.split_once('=') {
        Some(("size", size)) => digits(size.strip_suffix(['k', 'm', 'g']).unwrap_or(size)),
        Some(("mode", mode)) => (3..=4).contains(&mode.len()) && u32::from_str_radix(mode, 8).is_ok(),
        Some(("uid" | "gid", id)) => digits(id),
        _ => option == "exec",
    }
}

/// A folder or file of the host, a volume of Docker's, or a part of the bundle: `/srv/media:/media:ro`, `media:/media`,
/// `./conf/app.conf:/etc/app.conf`, `@static:/srv/static`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// What is mounted.
    pub source: Source,
    /// Where it is in the container.
    pub target: String,
    /// Whether the container cannot write to it.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A path of the host. It has to exist: Docker must not create a folder that belongs to root.
    Host(String),
    /// A volume of Docker's, by name. It is created when it does not exist.
    Volume(String),
    /// A volume of the release, by its name: all containers of the release share it, and it goes with the release.
    Release(String),
    /// A file or folder of the bundle: a copy that is kept with the release.
    Bundle(Bundled),
}

/// A part of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bundled {
    /// Its path there.
    pub path: String,
    /// Stands for all that is in it; empty as long as nobody has looked.
    pub digest: String,
}

impl TryFrom<String> for Volume {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is not a volume: write \"/HOST/PATH:/PATH\", \"NAME:/PATH\" or \"@NAME:/PATH\", with :ro if it is read-only, or \"./PATH:/PATH\" of the bundle"
            )
        };
        let mut parts = text.split(':');
        let (Some(source), Some(target), mode, None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let is_bundled = !source.starts_with(['/', '@']) && source.contains('/');
        if is_bundled && mode == Some("rw") {
            return Err(format!("'{source}' of the bundle is mounted read-only: remove ':rw'"));
        }
        let read_only = match mode {
            None if is_bundled => true,
            None | Some("rw") => false,
            Some("ro") => true,
            Some(_) => return Err(wrong()),
        };
        let source = if source.starts_with('/') {
            Source::Host(source.to_owned())
        } else if is_bundled {
            Source::Bundle(Bundled { path: source.to_owned(), digest: String::new() })
        } else if let Some(name) = source.strip_prefix('@').filter(|name| is_docker_name(name)) {
            Source::Release(name.to_owned())
        } else if is_docker_name(source) {
            Source::Volume(source.to_owned())
        } else {
            return Err(wrong());
        };
        if !is_target(target) {
            return Err(wrong());
        }
        Ok(Self { source, target: target.to_owned(), read_only })
    }
}

fn is_target(path: &str) -> bool {
    path.starts_with('/')
        && !path.trim_matches('/').is_empty()
        && path.split('/').all(|part| part != ".." && part != ".")
        && !path.contains(',')
}

#[cfg(test)]
mod tests {
    use super::{Source, Volume};

    #[test]
    fn a_volume_of_the_release_is_told_from_one_of_dockers() {
        let of =
            |text: &str| Volume::try_from(text.to_owned()).map(|volume| (volume.source, volume.read_only));
        assert_eq!(of("@static:/srv"), Ok((Source::Release("static".to_owned()), false)));
        assert_eq!(of("@static:/srv:ro"), Ok((Source::Release("static".to_owned()), true)));
        assert_eq!(of("static:/srv"), Ok((Source::Volume("static".to_owned()), false)));
        for wrong in ["@:/srv", "@a/b:/srv", "@@a:/srv", "@a:srv", "@a:/srv:z"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
