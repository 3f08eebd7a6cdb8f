//! The programs of the machine that the lab is made of, and the packages they come from.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// What a process of the lab finds its programs by.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Programs and the Debian packages that have them.
const PROGRAMS: [(&str, &str); 10] = [
    ("dockerd", "docker.io"),
    ("containerd", "containerd"),
    ("docker-registry", "docker-registry"),
    ("redis-server", "redis-server"),
    ("dnsmasq", "dnsmasq-base"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("python3", "python3"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
];

/// One clear line if this machine cannot raise a lab.
pub(crate) fn check() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("the lab needs root: it is made of namespaces, mounts and network cards");
    }
    for (program, package) in PROGRAMS {
        if find(program).is_none() {
            bail!("{program} is missing: install the package {package}, or run scripts/lab-setup");
        }
    }
    Ok(())
}

/// Where a program is.
fn find(program: &str) -> Option<PathBuf> {
    PATH.split(':').map(|folder| Path::new(folder).join(program)).find(|path| path.exists())
}

/// The `lab` binary: `LAB_BIN`, this very process, or the one beside the running test's folder.
pub(crate) fn lab_binary() -> Result<PathBuf> {
    if let Some(path) = env::var_os("LAB_BIN") {
        return Ok(path.into());
    }
    let running = env::current_exe()?;
    if running.file_name().is_some_and(|name| name == "lab") {
        return Ok(running);
    }
    running
        .ancestors()
        .skip(1)
        .take(3)
        .map(|folder| folder.join("lab"))
        .find(|path| path.is_file())
        .with_context(|| {
            format!("no lab binary near {}: run `cargo build -p lab`, or set LAB_BIN", running.display())
        })
}

/// The folder that cargo builds into; what the lab keeps between runs is in there.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let binary = lab_binary()?;
    // target/debug/lab
    let folder = binary.parent().and_then(Path::parent);
    Ok(folder.context("the lab binary is in no target folder")?.to_owned())
}

/// The folders that something of this build may be in: the lab's, and that of the running program.
pub(crate) fn build_folders() -> Result<Vec<PathBuf>> {
    let mut folders = vec![target_folder()?];
    let running = env::current_exe()?;
    if !running.starts_with(&folders[0]) {
        // target/debug/deps/test-0123456789abcdef
        folders.extend(
            running.ancestors().nth(3).filter(|folder| folder.components().count() > 2).map(Path::to_owned),
        );
    }
    Ok(folders)
}

/// The folder of what is made once and used by every lab.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    let folder = target_folder()?.join("lab-cache");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// The top of the repository.
pub(crate) fn repository() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap_or(crate_folder).to_owned()
}

/// A Python that can import moto: beside `MOTO_SERVER`, or in the virtual environment that scripts/lab-setup makes.
pub(crate) fn python_with_moto() -> Result<PathBuf> {
    if let Some(server) = env::var_os("MOTO_SERVER") {
        let python = Path::new(&server).with_file_name("python");
        if python.exists() {
            return Ok(python);
        }
        bail!("MOTO_SERVER is {}, and there is no python beside it", server.display());
    }
    for folder in [target_folder()?, repository().join("target")] {
        let python = folder.join("lab-venv/bin/python");
        if python.exists() {
            return Ok(python);
        }
    }
    bail!("moto is missing: run scripts/lab-setup, or set MOTO_SERVER to the path of moto_server")
}

/// The folder with PostgreSQL's programs; the newest version.
pub(crate) fn postgres_programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, path)| path.join("initdb").exists())
        .collect();
    found.sort();
    Ok(found.pop().context("initdb is missing: install the package postgresql, or run scripts/lab-setup")?.1)
}

/// User and group ids of a user of the machine.
pub(crate) fn user(name: &str) -> Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd")?;
    users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name))
        .and_then(|fields| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)))
        .with_context(|| format!("there is no user {name} on this machine"))
}
