//! Single values, each checked by what Docker makes of it.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::suggest::nearest;

/// The signal that asks a process to stop: a name with or without `SIG`, or a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct StopSignal(String);

/// Those that stop programs, with their numbers on x86 and Arm (signal(7)).
const SIGNALS: &[(&str, u8)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ABRT", 6),
    ("KILL", 9),
    ("USR1", 10),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("WINCH", 28),
    ("PWR", 30),
];
/// The first of the real-time signals, as glibc and Docker count them.
const REAL_TIME: u8 = 34;

impl StopSignal {
    /// Its number.
    pub fn number(&self) -> u8 {
        let name = self.0.strip_prefix("SIG").unwrap_or(&self.0);
        let of_name = || SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
        let real_time = || Some(REAL_TIME + real_time(name)?);
        name.parse().ok().or_else(of_name).or_else(real_time).expect("it was understood")
    }
}

impl Default for StopSignal {
    /// Docker's.
    fn default() -> Self {
        Self("SIGTERM".to_owned())
    }
}

/// `RTMIN+3`: systemd stops at one of the first real-time signals.
fn real_time(name: &str) -> Option<u8> {
    name.strip_prefix("RTMIN+")?.parse().ok().filter(|beyond| *beyond <= 15)
}

impl TryFrom<String> for StopSignal {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let is_known = SIGNALS.iter().any(|(known, _)| *known == name) || real_time(name).is_some();
        match text.parse::<u8>() {
            Ok(1..=64) => Ok(Self(text)),
            Err(_) if is_known => Ok(Self(format!("SIG{name}"))),
            _ => {
                let names: Vec<&str> = SIGNALS.iter().map(|(known, _)| *known).collect();
                Err(format!("'{text}' is not a stop signal: {}", nearest(name, &names)))
            }
        }
    }
}

/// Who a command runs as: `USER` or `USER:GROUP`, names or numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct User(String);

impl TryFrom<String> for User {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let is_name = |part: &str| {
            !part.is_empty()
                && !part.starts_with('-')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        let parts: Vec<&str> = text.split(':').collect();
        if parts.len() <= 2 && parts.iter().all(|part| is_name(part)) {
            return Ok(Self(text));
        }
        Err(format!("'{text}' is not a user: write \"USER\" or \"USER:GROUP\", names or numbers"))
    }
}

/// What a container calls its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Hostname(String);

/// The kernel takes no longer one (`__NEW_UTS_LEN`), and says so only when the container starts.
const LONGEST_HOSTNAME: usize = 64;

impl TryFrom<String> for Hostname {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let is_label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        if text.len() <= LONGEST_HOSTNAME && text.split('.').all(is_label) {
            return Ok(Self(text));
        }
        Err(format!(
            "'{text}' is not a host's name: write letters, digits, dashes and dots, {LONGEST_HOSTNAME} characters at most"
        ))
    }
}

/// A line of `/etc/hosts`: `NAME:ADDRESS`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ExtraHost(String);

/// Docker's word for the address of the host on the container's network.
const HOST_GATEWAY: &str = "host-gateway";

impl TryFrom<String> for ExtraHost {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        match text.split_once(':') {
            Some((name, address))
                if is_name(name) && (address == HOST_GATEWAY || address.parse::<IpAddr>().is_ok()) =>
            {
                Ok(Self(text))
            }
            _ => Err(format!("'{text}' is not a host: write \"NAME:ADDRESS\" or \"NAME:{HOST_GATEWAY}\"")),
        }
    }
}

/// The network of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The host's own: no address and no ports of its own.
    Host,
    /// Only its own loopback.
    None,
    /// A network of Docker's with this name; it has to exist.
    Named(String),
}

impl Network {
    /// Whether ports can be published on it.
    pub fn can_publish(&self) -> bool {
        matches!(self, Self::Named(_))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::None => "none",
            Self::Named(name) => name,
        })
    }
}

impl TryFrom<String> for Network {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let is_name = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        match text.as_str() {
            "host" => Ok(Self::Host),
            "none" => Ok(Self::None),
            _ if is_name => Ok(Self::Named(text)),
            _ => Err(format!(
                "'{text}' is not a network: write the name of a bridge network, \"host\" or \"none\""
            )),
        }
    }
}

/// Processors, in billionths of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Cpus(pub i64);

/// A capability of the kernel, or `ALL`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Capability(String);

/// All of them (Linux 5.9 to 6.18, `linux/capability.h`).
const CAPABILITIES: &[&str] = &[
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

impl TryFrom<String> for Capability {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if CAPABILITIES.contains(&name) {
            return Ok(Self(name.to_owned()));
        }
        let help = nearest(name, CAPABILITIES);
        let help = if help.starts_with("did") { help } else { "see capabilities(7)".to_owned() };
        Err(format!("'{text}' is not a capability: {help}"))
    }
}

/// A limit of a container's processes; -1 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ulimit {
    /// What a process starts with.
    pub soft: i64,
    /// The most to which it may raise it.
    pub hard: i64,
}

/// Those of `setrlimit(2)`, by Docker's names.
pub const ULIMITS: &[&str] = &[
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// What is shown is what was written.
macro_rules! shown_as_written {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
shown_as_written!(StopSignal, User, Hostname, ExtraHost, Capability);
