//! The kernel's rules for packets, by the programs that read and write them.
//!
//! What is in the kernel is all there is to know: each change reads the table first and is derived from what was found, so it may
//! be made from any state and by any process, and is one transaction for each family.

mod change;
mod mark;

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

pub(super) use change::{BEGINNINGS, Hook, Place, Wanted, end_of, new_connections};
pub(super) use mark::Mark;

use crate::host::child::{self, ChildError};
use crate::model::{AppName, Explain};

/// How long a transaction waits for somebody else's, in seconds: the older backend has one lock for all.
const LOCK: &str = "10";
/// How long a call may take, with the wait.
const LIMIT: Duration = Duration::from_secs(20);
/// Where they are: hooks of `CodeDeploy` get a PATH without `sbin`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What stands behind `iptables` in the name: the machine's choice, and each of the two that it may have chosen from.
const BACKENDS: [&str; 3] = ["", "-nft", "-legacy"];

/// A table of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Where new connections go.
    Nat,
    /// What becomes of each packet.
    Mangle,
    /// What packets there are, before the kernel tells connections apart.
    Raw,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Mangle => "mangle",
            Self::Raw => "raw",
        }
    }
}

/// Each has tables of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub(super) fn is_of(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }
}

/// Why there are no rules.
#[derive(Debug, thiserror::Error)]
pub enum IptablesError {
    /// There is no iptables.
    #[error("iptables is not installed here")]
    NoIptables,
    /// Docker's rules are nowhere to be seen.
    #[error("the Docker Engine has no rules in the tables of iptables")]
    NotDockers,
    /// The tables could not be read or changed.
    #[error("the rules of iptables: {0}")]
    Call(#[from] ChildError),
    /// What stands in for them in a test refuses.
    #[error("the rules of iptables: '{call}' failed: {said}")]
    Pretended {
        /// The program and its arguments.
        call: String,
        /// Why.
        said: String,
    },
}

impl Explain for IptablesError {
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

/// What answers in place of the programs: the table, the family, `save` or `restore`, and what that reads.
type Pretend = dyn Fn(Table, Family, &str, &str) -> Result<String, String> + Send + Sync;

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
    pub async fn find(tables: &Tables) -> Result<Self, IptablesError> {
        let mut error = IptablesError::NoIptables;
        for backend in BACKENDS {
            let found = Self { tables: tables.clone(), backend, userland_proxy: false };
            match found.save(Table::Nat, Family::V4).await {
                Ok(saved) if saved.lines().any(|line| line.starts_with(":DOCKER ")) => {
                    return Ok(Self { userland_proxy: leaves_loopback_alone(&saved), ..found });
                }
                Ok(_) => error = IptablesError::NotDockers,
                Err(IptablesError::NoIptables) => {}
                Err(other) => error = other,
            }
        }
        Err(error)
    }

    /// Those that hold the Engine's rules; where its rules are somewhere else, whichever there are: for what is no part of the
    /// Engine's own ways, every kind of them will do.
    pub async fn any(tables: &Tables) -> Result<Self, IptablesError> {
        match Self::find(tables).await {
            Err(IptablesError::NotDockers) => {}
            found => return found,
        }
        for backend in BACKENDS {
            let found = Self { tables: tables.clone(), backend, userland_proxy: false };
            match found.save(Table::Raw, Family::V4).await {
                Err(IptablesError::NoIptables) => {}
                saved => return saved.map(|_| found),
            }
        }
        Err(IptablesError::NoIptables)
    }

    /// Whether the Engine runs `docker-proxy` for published ports, by the rules that it had when these were found.
    pub fn has_userland_proxy(&self) -> bool {
        self.userland_proxy
    }

    /// Makes the rules of an app in a table what they are to be.
    pub(super) async fn change(
        &self,
        table: Table,
        family: Family,
        app: &AppName,
        wanted: &Wanted,
    ) -> Result<(), IptablesError> {
        let saved = self.save(table, family).await?;
        let Some(changes) = change::changes(app, &saved, wanted) else { return Ok(()) };
        let transaction = format!("*{}\n{changes}COMMIT\n", table.name());
        self.run(table, family, "restore", &["--noflush", "--wait", LOCK], &transaction).await.map(drop)
    }

    /// The same in both families.
    pub(super) async fn change_both(
        &self,
        table: Table,
        app: &AppName,
        wanted: &Wanted,
    ) -> Result<(), IptablesError> {
        for family in Family::BOTH {
            self.change(table, family, app, wanted).await?;
        }
        Ok(())
    }

    /// The rules that bring packets into the chain of an app, as they are printed.
    pub(super) async fn hooks(
        &self,
        table: Table,
        family: Family,
        app: &AppName,
    ) -> Result<Vec<String>, IptablesError> {
        let saved = self.save(table, family).await?;
        Ok(change::hooks(app, &saved).into_iter().map(str::to_owned).collect())
    }

    /// A table, as text. A host without IPv6 has none for it.
    async fn save(&self, table: Table, family: Family) -> Result<String, IptablesError> {
        match self.run(table, family, "save", &["-t", table.name()], "").await {
            Err(
                IptablesError::Call(ChildError::Failed { .. })
                | IptablesError::Pretended { .. }
                | IptablesError::NoIptables,
            ) if family == Family::V6 => Ok(String::new()),
            saved => saved,
        }
    }

    async fn run(
        &self,
        table: Table,
        family: Family,
        verb: &str,
        arguments: &[&str],
        input: &str,
    ) -> Result<String, IptablesError> {
        let program = if family == Family::V4 { "iptables" } else { "ip6tables" };
        let name = format!("{program}{}-{verb}", self.backend);
        let call = format!("{name} {}", arguments.join(" "));
        let through = match &self.tables {
            Tables::Through(through) => through,
            Tables::Pretended(answer) => {
                return answer(table, family, verb, input)
                    .map_err(|said| IptablesError::Pretended { call, said });
            }
        };
        let program = OsString::from(name);
        let mut words = through.iter().chain([&program]);
        let mut command = Command::new(words.next().unwrap_or(&program));
        command.args(words).args(arguments).env("PATH", PATH);
        child::run(command, &call, input, LIMIT).await.map_err(|error| match error {
            ChildError::Missing { .. } => IptablesError::NoIptables,
            error => IptablesError::Call(error),
        })
    }
}

/// Where the Engine runs no `docker-proxy`, its rules also take what goes to the loopback addresses (libnetwork's driver).
fn leaves_loopback_alone(saved: &str) -> bool {
    let to_docker = |line: &&str| line.starts_with("-A OUTPUT ") && line.ends_with(" -j DOCKER");
    saved.lines().filter(to_docker).all(|line| line.contains("! -d 127.0.0.0/8 "))
}
