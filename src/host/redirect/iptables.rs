//! The programs that read and write the tables.

use std::ffi::OsString;
use std::fmt;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::route::Family;
use crate::host::child::{self, ChildError};
use crate::model::Explain;

/// How long a transaction waits for somebody else's, in seconds: the older backend has one lock for all.
const LOCK: &str = "10";
/// How long a call may take, with the wait.
const LIMIT: Duration = Duration::from_secs(20);
/// Where they are: hooks of `CodeDeploy` get a PATH without `sbin`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What stands behind `iptables` in the name: the machine's choice, and each of the two that it may have chosen from.
const BACKENDS: [&str; 3] = ["", "-nft", "-legacy"];

/// Why there is no redirect.
#[derive(Debug, thiserror::Error)]
pub enum RedirectError {
    /// There is no iptables.
    #[error("iptables is not installed here")]
    NoIptables,
    /// Docker's rules are nowhere to be seen.
    #[error("the Docker Engine has no rules in the tables of iptables")]
    NotDockers,
    /// The tables could not be read or changed.
    #[error("the NAT rules: {0}")]
    Call(#[from] ChildError),
    /// What stands in for them in a test refuses.
    #[error("the NAT rules: '{call}' failed: {said}")]
    Pretended {
        /// The program and its arguments.
        call: String,
        /// Why.
        said: String,
    },
}

impl Explain for RedirectError {
    fn fix(&self) -> Option<String> {
        let fix = match self {
            Self::NoIptables => "install the package iptables, or write order = \"stop-first\"",
            Self::NotDockers => {
                "with \"firewall-backend\": \"nftables\" or \"iptables\": false in /etc/docker/daemon.json, write order = \"stop-first\""
            }
            Self::Call(_) | Self::Pretended { .. } => return None,
        };
        Some(fix.to_owned())
    }
}

/// What answers in place of the programs: the family, `save` or `restore`, and what that reads.
type Pretend = dyn Fn(Family, &str, &str) -> Result<String, String> + Send + Sync;

/// Where the tables are.
#[derive(Clone)]
pub enum Tables {
    /// Where a program, with arguments, runs those of iptables; none for here.
    Through(Vec<OsString>),
    /// Nowhere: for tests.
    Pretended(Arc<Pretend>),
}

impl Default for Tables {
    fn default() -> Self {
        Self::Through(vec![])
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Through(words) => f.debug_tuple("Through").field(words).finish(),
            Self::Pretended(_) => f.write_str("Pretended"),
        }
    }
}

impl Tables {
    /// Whether a connection of this process goes through them.
    pub fn are_here(&self) -> bool {
        matches!(self, Self::Through(words) if words.is_empty())
    }
}

/// iptables and ip6tables, of the backend that the Docker Engine uses: both may hold rules, and only one has Docker's.
#[derive(Debug, Clone)]
pub struct Iptables {
    tables: Tables,
    backend: &'static str,
    userland_proxy: bool,
}

impl Iptables {
    /// Those that hold the Engine's rules.
    pub async fn find(tables: &Tables) -> Result<Self, RedirectError> {
        let mut error = RedirectError::NoIptables;
        for backend in BACKENDS {
            let found = Self { tables: tables.clone(), backend, userland_proxy: false };
            match found.save(Family::V4).await {
                Ok(saved) if saved.lines().any(|line| line.starts_with(":DOCKER ")) => {
                    return Ok(Self { userland_proxy: leaves_loopback_alone(&saved), ..found });
                }
                Ok(_) => error = RedirectError::NotDockers,
                Err(RedirectError::NoIptables) => {}
                Err(other) => error = other,
            }
        }
        Err(error)
    }

    /// Whether the Engine runs `docker-proxy` for published ports, by the rules that it had when these were found.
    pub fn has_userland_proxy(&self) -> bool {
        self.userland_proxy
    }

    /// The table of NAT rules, as text. A host without IPv6 has none for it.
    pub(super) async fn save(&self, family: Family) -> Result<String, RedirectError> {
        match self.run(family, "save", &["-t", "nat"], "").await {
            Err(RedirectError::Call(ChildError::Failed { .. }) | RedirectError::NoIptables)
                if family == Family::V6 =>
            {
                Ok(String::new())
            }
            saved => saved,
        }
    }

    /// Changes the tables, all of it or nothing.
    pub(super) async fn restore(&self, family: Family, transaction: &str) -> Result<(), RedirectError> {
        self.run(family, "restore", &["--noflush", "--wait", LOCK], transaction).await.map(drop)
    }

    async fn run(
        &self,
        family: Family,
        verb: &str,
        arguments: &[&str],
        input: &str,
    ) -> Result<String, RedirectError> {
        let program = if family == Family::V4 { "iptables" } else { "ip6tables" };
        let name = format!("{program}{}-{verb}", self.backend);
        let call = format!("{name} {}", arguments.join(" "));
        let through = match &self.tables {
            Tables::Through(through) => through,
            Tables::Pretended(answer) => {
                return answer(family, verb, input).map_err(|said| RedirectError::Pretended { call, said });
            }
        };
        let program = OsString::from(name);
        let mut words = through.iter().chain([&program]);
        let mut command = Command::new(words.next().unwrap_or(&program));
        command.args(words).args(arguments).env("PATH", PATH);
        child::run(command, &call, input, LIMIT).await.map_err(|error| match error {
            ChildError::Missing { .. } => RedirectError::NoIptables,
            error => RedirectError::Call(error),
        })
    }
}

/// Where the Engine runs no `docker-proxy`, its rules also take what goes to the loopback addresses (libnetwork's driver).
fn leaves_loopback_alone(saved: &str) -> bool {
    let to_docker = |line: &&str| line.starts_with("-A OUTPUT ") && line.ends_with(" -j DOCKER");
    saved.lines().filter(to_docker).all(|line| line.contains("! -d 127.0.0.0/8 "))
}
