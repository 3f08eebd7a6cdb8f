//! Servers of this machine's packages as images from nothing: nginx, PostgreSQL, Redis. Each is the program with the
//! libraries that it is linked to, and the few files that it reads. They run as in their official images.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::image::ImageSpec;
use crate::tools;

const NGINX: &str = "/usr/sbin/nginx";
const REDIS: &str = "/usr/bin/redis-server";

const USERS: &str =
    "root:x:0:0::/root:/bin/sh\nserver:x:999:999::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n";
const GROUPS: &str = "root:x:0:\nserver:x:999:\nnobody:x:65534:\n";

/// What the official image's `nginx.conf` says: a site is a file in `conf.d`.
const NGINX_SETTINGS: &str = "\
user nobody;
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr notice;
events { worker_connections 1024; }
http {
  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  access_log /dev/stdout;
  include /etc/nginx/conf.d/*.conf;
}
";

impl ImageSpec {
    /// nginx as the front server: sites are in `/etc/nginx/conf.d/*.conf`, the whole configuration in
    /// `/etc/nginx/nginx.conf`; none is there.
    pub fn front(release: &str) -> Result<Self> {
        let mut files = Files::default();
        files.program(NGINX)?;
        files.copy(Path::new("/etc/nginx/mime.types"))?;
        files.text("/etc/nginx/nginx.conf", NGINX_SETTINGS);
        for folder in ["/etc/nginx/conf.d", "/run", "/var/lib/nginx", "/var/log/nginx"] {
            files.text(&format!("{folder}/.keep"), "");
        }
        let mut spec = files.server(release, &[NGINX, "-g", "daemon off;"], 80);
        spec.without_application = true;
        // It ends what it has begun at QUIT, and drops it at TERM.
        spec.stop_signal = Some("SIGQUIT".to_owned());
        Ok(spec)
    }

    /// PostgreSQL with a password and without TLS: `POSTGRES_USER`, `POSTGRES_PASSWORD`, `POSTGRES_DB`; what it has is in the
    /// volume `/var/lib/postgresql/data`.
    pub fn postgres() -> Result<Self> {
        let programs = tools::postgres_programs()?;
        let home = programs.parent().context("PostgreSQL is in no folder")?;
        let version = home.file_name().context("PostgreSQL has no version")?;
        let mut files = Files::default();
        for program in ["postgres", "initdb"] {
            files.program(&programs.join(program).display().to_string())?;
        }
        // initdb runs postgres by a shell.
        files.program("/bin/sh")?;
        // The rest of the libraries is of extensions, and a compiler.
        for library in ["plpgsql.so", "dict_snowball.so"] {
            files.copy(&home.join("lib").join(library))?;
        }
        files.folder(&Path::new("/usr/share/postgresql").join(version))?;
        let mut spec = files.server("postgres", &["/app", "serve-postgres"], 5432);
        spec.environment.insert("POSTGRES_PROGRAMS".to_owned(), programs.display().to_string());
        spec.volumes = vec!["/var/lib/postgresql/data".to_owned()];
        // The fast way: clients are not waited for.
        spec.stop_signal = Some("SIGINT".to_owned());
        Ok(spec)
    }

    /// Redis with a password and without TLS: `REDIS_PASSWORD`; what it has is in the volume `/data`.
    pub fn redis() -> Result<Self> {
        let mut files = Files::default();
        files.program(REDIS)?;
        let mut spec = files.server("redis", &["/app", "serve-redis"], 6379);
        spec.volumes = vec!["/data".to_owned()];
        Ok(spec)
    }
}

/// What an image gets, by path.
#[derive(Default)]
struct Files {
    files: Vec<(String, Vec<u8>, u32)>,
    known: BTreeSet<String>,
}

impl Files {
    fn server(mut self, release: &str, entrypoint: &[&str], port: u16) -> ImageSpec {
        self.text("/etc/passwd", USERS);
        self.text("/etc/group", GROUPS);
        self.text("/etc/nsswitch.conf", "hosts: files dns\n");
        let mut spec = ImageSpec::new(release);
        spec.entrypoint = entrypoint.iter().map(|&word| word.to_owned()).collect();
        spec.ports = vec![port];
        spec.files = self.files;
        spec
    }

    fn text(&mut self, path: &str, text: &str) {
        self.files.push((path.to_owned(), text.as_bytes().to_vec(), 0o644));
    }

    /// A program and its libraries, where its linker looks for them.
    fn program(&mut self, path: &str) -> Result<()> {
        if !Path::new(path).exists() {
            bail!("{path} is missing: run scripts/lab-setup");
        }
        self.copy(Path::new(path))?;
        let linked = Command::new("ldd").arg(path).output().context("cannot start ldd")?;
        for library in
            String::from_utf8(linked.stdout)?.split_whitespace().filter(|word| word.starts_with('/'))
        {
            self.copy(Path::new(library))?;
        }
        Ok(())
    }

    fn folder(&mut self, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("there is no {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() { self.folder(&path)? } else { self.copy(&path)? }
        }
        Ok(())
    }

    /// Links are followed: what they mean is under their own path.
    fn copy(&mut self, path: &Path) -> Result<()> {
        let name = path.display().to_string();
        if self.known.insert(name.clone()) {
            let bytes =
                fs::read(path).with_context(|| format!("cannot read {name}: run scripts/lab-setup"))?;
            self.files.push((name, bytes, 0o755));
        }
        Ok(())
    }
}
