//! One resolver for every client. A static binary must not call the C library's resolver, which loads code at run time.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::parse_resolv_conf;

use crate::text::{clean, shorten};

/// The name servers, and how to ask them.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The lines of a `resolv.conf`: as in the C library, one that is wrong is no reason not to heed the others.
struct Lines<'a> {
    good: Vec<&'a [u8]>,
    /// With their numbers, from 1.
    bad: Vec<(usize, &'a [u8])>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a [u8]) -> Self {
        let (mut good, mut bad) = (vec![], vec![]);
        for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            if is_good(line) {
                good.push(line);
            } else {
                bad.push((number, line));
            }
        }
        Self { good, bad }
    }

    fn good(&self) -> Vec<u8> {
        let mut good = self.good.clone();
        // What the C library does without any.
        if !good.iter().any(|line| line.trim_ascii_start().starts_with(b"nameserver")) {
            good.push(b"nameserver 127.0.0.1");
        }
        good.join(&b'\n')
    }
}

/// Whether a line says what it may say. An option that is not known is none that has to be.
fn is_good(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let words: Vec<&str> = text.split([';', '#']).next().unwrap_or_default().split_whitespace().collect();
    match words.as_slice() {
        [] => true,
        ["nameserver", address, ..] => {
            address.split('%').next().is_some_and(|address| address.parse::<IpAddr>().is_ok())
        }
        ["nameserver" | "domain"] => false,
        ["domain" | "search" | "options" | "sortlist" | "lookup" | "family", ..] => {
            parse_resolv_conf([b"nameserver 127.0.0.1\n", line].concat()).is_ok()
        }
        _ => false,
    }
}

/// What is wrong with the lines of a `resolv.conf` that are not heeded.
pub fn ignored_lines(path: &Path) -> Vec<String> {
    let Ok(text) = std::fs::read(path) else { return vec![] };
    let said = |(number, line): &(usize, &[u8])| {
        let line = shorten(&clean(&String::from_utf8_lossy(line)), 60);
        format!("line {number} of {} is wrong, and ignored: '{line}'", path.display())
    };
    Lines::of(&text).bad.iter().map(said).collect()
}

/// Names to addresses, by `/etc/hosts` and `/etc/resolv.conf`. Without the latter, by the former alone.
#[derive(Clone)]
pub struct Names {
    resolver: Result<TokioResolver, String>,
    has_servers: bool,
}

/// A name that has no address.
#[derive(Debug, thiserror::Error)]
#[error("failed to look up '{name}': {why}")]
pub struct LookupError {
    name: String,
    why: String,
    is_unknown: bool,
}

impl LookupError {
    /// Whether somebody who knows says that there is no such name, or none with an address.
    pub fn is_unknown(&self) -> bool {
        self.is_unknown
    }
}

impl Names {
    /// Reads the system's configuration.
    pub fn of_the_system() -> Self {
        let text = std::fs::read(RESOLV_CONF).ok();
        let read = text.as_ref().and_then(|text| parse_resolv_conf(Lines::of(text).good()).ok());
        let has_servers = read.is_some();
        let nothing = || (ResolverConfig::from_parts(None, vec![], vec![]), ResolverOpts::default());
        let (config, mut options) = read.unwrap_or_else(nothing);
        // Nobody answers in no time: the C library asks once at least, and for a second.
        options.timeout = options.timeout.max(Duration::from_secs(1));
        options.attempts = options.attempts.max(1);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        Self { resolver: builder.with_options(options).build().map_err(|e| e.to_string()), has_servers }
    }

    /// The addresses of a name.
    pub async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        let error = |why| LookupError { name: name.to_owned(), why, is_unknown: false };
        let resolver = self.resolver.as_ref().map_err(|e| error(e.clone()))?;
        match resolver.lookup_ip(name).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(_) if !self.has_servers => {
                Err(error("it is not in /etc/hosts, and /etc/resolv.conf cannot be read".to_owned()))
            }
            Err(e) => Err(LookupError { is_unknown: e.is_no_records_found(), ..error(e.to_string()) }),
        }
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names")
    }
}

impl ResolveDns for Names {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move { self.lookup(name).await.map_err(ResolveDnsError::new) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_wrong_leaves_the_others() {
        let text = b"# made by hand\nnameserver 10.0.0\nnameserver 10.0.0.2\nnameserver\nsearch a..b\n\
            search corp.internal\nnamserver 1.1.1.1\noptions ndots:2 trust-ad whatever\n\
            nameserver fe80::1%eth0 ; of the router\n\xff\xfe\n";
        let lines = Lines::of(text);
        let bad: Vec<usize> = lines.bad.iter().map(|(number, _)| *number).collect();
        assert_eq!(bad, [2, 4, 5, 7, 10]);
        let (config, options) = parse_resolv_conf(lines.good()).unwrap();
        let servers: Vec<String> = config.name_servers().iter().map(|server| server.ip.to_string()).collect();
        assert_eq!((servers.join(" ").as_str(), options.ndots), ("10.0.0.2 fe80::1", 2));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        crate::fs::write_atomically(&path, text, 0o600).unwrap();
        let notes = ignored_lines(&path);
        assert!(
            notes[0].starts_with("line 2 of ") && notes[0].ends_with("ignored: 'nameserver 10.0.0'"),
            "{notes:?}"
        );
        assert_eq!(ignored_lines(&dir.path().join("nowhere")), [""; 0]);
    }

    #[test]
    fn without_a_server_it_is_the_one_of_this_host() {
        let (config, _) = parse_resolv_conf(Lines::of(b"search corp.internal\n").good()).unwrap();
        assert_eq!(config.name_servers()[0].ip, IpAddr::from([127, 0, 0, 1]));
    }
}
