//! The machine itself: what the kernel says about its disks, its memory and its sockets.

mod age;
mod cgroup;
pub mod disk;
pub mod memory;
pub mod sockets;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use disk::Space;
use memory::Memory;
use sockets::{Holder, Socket};

/// The kernel's interfaces.
#[derive(Debug, Clone)]
pub struct Machine {
    /// procfs.
    proc: PathBuf,
    /// Where the control groups are mounted.
    cgroups: PathBuf,
    /// What is free on the filesystem of a path.
    space: fn(&Path) -> io::Result<Space>,
}

impl Machine {
    /// The one that this process runs on.
    pub fn of_the_system() -> Self {
        Self { proc: PathBuf::from("/proc"), cgroups: PathBuf::from("/sys/fs/cgroup"), space: disk::space }
    }

    /// One for tests: a folder in place of procfs, and a function in place of statvfs(3).
    pub fn pretended(proc: &Path, space: fn(&Path) -> io::Result<Space>) -> Self {
        Self { proc: proc.to_owned(), cgroups: proc.join("cgroups"), space }
    }

    /// What is free on the filesystem of a path.
    pub fn space(&self, path: &Path) -> io::Result<Space> {
        (self.space)(path)
    }

    /// Its memory, if procfs has it.
    pub fn memory(&self) -> Option<Memory> {
        Memory::parse(&std::fs::read_to_string(self.proc.join("meminfo")).ok()?)
    }

    /// How long a process has been running; `None` where that cannot be read.
    pub fn age(&self, pid: u32) -> Option<Duration> {
        age::age(&self.proc, pid)
    }

    /// How many processes of the control group of a process the kernel has killed because the group reached its memory
    /// limit; `None` where that cannot be read.
    pub fn oom_kills(&self, pid: u32) -> Option<u64> {
        cgroup::oom_kills(&self.proc, &self.cgroups, pid)
    }

    /// The most memory that the control group of a process has used, in bytes, without the files that the kernel keeps for it;
    /// `None` where that cannot be read.
    pub fn memory_used(&self, pid: u32) -> Option<u64> {
        cgroup::memory_used(&self.proc, &self.cgroups, pid)
    }

    /// Kills the process group that a process leads, if the process is in the control group of this container: by now its
    /// id may belong to another process.
    pub fn kill_group_of(&self, pid: u32, container: &str) {
        if cgroup::contains(&self.proc, pid, container)
            && let Some(leader) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }

    /// Where the kernel tells of its processes.
    pub fn proc(&self) -> &Path {
        &self.proc
    }

    /// Every socket of this network namespace that occupies a port.
    pub fn sockets(&self) -> Vec<Socket> {
        sockets::all(&self.proc)
    }

    /// What listens (TCP) in the network of a container, whose first process this is; nothing where that cannot be seen.
    pub fn listening_in(&self, pid: u32, container: &str) -> Option<Vec<Socket>> {
        sockets::listening_in(&self.proc, pid, container)
    }

    /// How many connections clients have to a container, whose first process this is, also by `docker-proxy` at these ports of the
    /// host; nothing where that cannot be seen.
    pub fn connections_to(&self, pid: u32, proxied: &[u16]) -> Option<usize> {
        sockets::connections_to(&self.proc, pid, proxied)
    }

    /// The process that has a socket open, if it can be seen from here.
    pub fn holder(&self, socket: &Socket) -> Option<Holder> {
        sockets::holder(&self.proc, socket.inode)
    }
}
