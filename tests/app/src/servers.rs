//! `app serve-postgres`, `app serve-redis`: entry points of the images of those two servers, as their official images
//! have them: what the server needs is made at the first start, in a volume, and then the server takes this process's
//! place.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The user of both servers, in the images' `/etc/passwd`.
const USER: u32 = 999;
const DATABASES: &str = "/var/lib/postgresql/data";

/// By `POSTGRES_USER` (postgres), `POSTGRES_PASSWORD` and `POSTGRES_DB` (the user's name).
pub(crate) fn postgres() -> Result<()> {
    let programs = env::var("POSTGRES_PROGRAMS").context("POSTGRES_PROGRAMS is not set")?;
    let folder = env::var("PGDATA").unwrap_or_else(|_| DATABASES.to_owned());
    let data = Path::new(&folder).join("cluster");
    if !data.exists() {
        make_cluster(&programs, Path::new(&folder), &data)?;
    }
    let mut server = as_user(&format!("{programs}/postgres"));
    let settings = ["listen_addresses=*", "unix_socket_directories=", "password_encryption=scram-sha-256"];
    server.arg("-D").arg(&data).args(settings.iter().flat_map(|setting| ["-c", *setting]));
    Err(server.exec()).context("cannot start postgres")
}

/// Made beside its place: what was interrupted is made anew at the next start.
fn make_cluster(programs: &str, folder: &Path, data: &Path) -> Result<()> {
    let user = env::var("POSTGRES_USER").unwrap_or_else(|_| "postgres".to_owned());
    let password = needed("POSTGRES_PASSWORD")?;
    let database = env::var("POSTGRES_DB").unwrap_or_else(|_| user.clone());
    let new = folder.join("cluster.new");
    if new.exists() {
        fs::remove_dir_all(&new)?;
    }
    own(folder, 0o700)?;
    let file = folder.join("password");
    fs::write(&file, password)?;
    own(&file, 0o600)?;
    let initdb = as_user(&format!("{programs}/initdb"))
        .args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--username", &user, "--pwfile"])
        .arg(&file)
        .arg("--pgdata")
        .arg(&new)
        .status();
    fs::remove_file(&file)?;
    if !initdb.context("cannot start initdb")?.success() {
        bail!("initdb failed");
    }
    if database != "postgres" {
        let mut single = as_user(&format!("{programs}/postgres"))
            .arg("--single")
            .arg("-D")
            .arg(&new)
            .arg("postgres")
            .stdin(Stdio::piped())
            .spawn()?;
        let create = format!("create database \"{}\"\n", database.replace('"', "\"\""));
        single.stdin.take().context("postgres takes no commands")?.write_all(create.as_bytes())?;
        if !single.wait()?.success() {
            bail!("postgres --single failed");
        }
    }
    fs::write(new.join("pg_hba.conf"), "host all all all scram-sha-256\n")?;
    Ok(fs::rename(new, data)?)
}

/// By `REDIS_PASSWORD`; what it has is in `/data`.
pub(crate) fn redis() -> Result<()> {
    let settings = format!(
        "bind 0.0.0.0\nappendonly yes\ndir /data\nrequirepass \"{}\"\n",
        escaped(&needed("REDIS_PASSWORD")?)
    );
    own(Path::new("/data"), 0o700)?;
    // Not on the command line, where everybody can read it.
    let file = Path::new("/data/redis.conf");
    fs::write(file, settings)?;
    own(file, 0o600)?;
    Err(as_user("/usr/bin/redis-server").arg(file).exec()).context("cannot start redis-server")
}

fn needed(name: &str) -> Result<String> {
    env::var(name).ok().filter(|value| !value.is_empty()).with_context(|| format!("{name} is not set"))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Both servers refuse to be root, or should not be.
fn as_user(program: &str) -> Command {
    let mut command = Command::new(program);
    command.uid(USER).gid(USER).current_dir("/");
    command
}

fn own(path: &Path, mode: u32) -> Result<()> {
    let to = || format!("cannot give {} to the server's user", path.display());
    chown(path, Some(USER), Some(USER)).with_context(to)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).with_context(to)
}
