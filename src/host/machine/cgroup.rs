//! What the kernel counts for a container: `memory.events` of cgroup v2, `memory.oom_control` of v1. Docker's own
//! `OOMKilled` leaves out a container's child processes, and a web server consists of them.

use std::path::{Path, PathBuf};

/// See [`super::Machine::oom_kills`]. Both files have had `oom_kill` since Linux 4.13.
pub(super) fn oom_kills(proc: &Path, cgroups: &Path, pid: u32) -> Option<u64> {
    let groups = std::fs::read_to_string(proc.join(pid.to_string()).join("cgroup")).ok()?;
    let text = match group(&groups, cgroups)? {
        Group::V1(folder) => std::fs::read_to_string(folder.join("memory.oom_control")).ok()?,
        Group::V2(folder) => std::fs::read_to_string(folder.join("memory.events")).ok()?,
    };
    field(&text, "oom_kill")
}

/// See [`super::Machine::memory_used`]. `memory.peak` is there since Linux 5.19; before, and on v2 alone, it is what is used now.
pub(super) fn memory_used(proc: &Path, cgroups: &Path, pid: u32) -> Option<u64> {
    let groups = std::fs::read_to_string(proc.join(pid.to_string()).join("cgroup")).ok()?;
    let (folder, peak, cache, own) = match group(&groups, cgroups)? {
        Group::V1(folder) => (folder, "memory.max_usage_in_bytes", "total_cache", "total_rss"),
        Group::V2(folder) => (folder, "memory.peak", "file", "anon"),
    };
    let stat = std::fs::read_to_string(folder.join("memory.stat")).ok()?;
    let own = field(&stat, own)?;
    let peak =
        std::fs::read_to_string(folder.join(peak)).ok().and_then(|text| text.trim().parse::<u64>().ok());
    // The files that the kernel keeps for it are counted, too, and given back when somebody needs the room.
    let peak = peak.map(|peak| peak.saturating_sub(field(&stat, cache).unwrap_or_default()));
    Some(own.max(peak.unwrap_or_default()))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}

/// Whether a process is in the control group of a container. Docker's control groups end in the container's id.
pub(super) fn contains(proc: &Path, pid: u32, container: &str) -> bool {
    let groups = std::fs::read_to_string(proc.join(pid.to_string()).join("cgroup")).unwrap_or_default();
    container.len() == 64 && groups.contains(container)
}

/// The folder of a control group, by the version of its memory controller.
enum Group {
    V1(PathBuf),
    V2(PathBuf),
}

/// By `/proc/PID/cgroup`: `4:memory:/docker/ID` on v1, `0::/docker/ID` on v2.
fn group(groups: &str, cgroups: &Path) -> Option<Group> {
    let group = |line: &str, controller: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let has_it = parts.next()?.split(',').any(|name| name == controller);
        has_it.then(|| parts.next())?.map(|path| path.trim_start_matches('/').to_owned())
    };
    // With both, the memory controller is v1's.
    if let Some(path) = groups.lines().find_map(|line| group(line, "memory")) {
        return Some(Group::V1(cgroups.join("memory").join(path)));
    }
    let path = groups.lines().filter(|line| line.starts_with("0::")).find_map(|line| group(line, ""))?;
    Some(Group::V2(cgroups.join(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_counted_on_both_versions() {
        for (groups, folder, file, text) in [
            (
                "12:memory:/docker/4e9d\n1:name=systemd:/docker/4e9d\n0::/system.slice\n",
                "memory/docker/4e9d",
                "memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
            ),
            (
                "0::/system.slice/docker-4e9d.scope\n",
                "system.slice/docker-4e9d.scope",
                "memory.events",
                "low 0\nhigh 0\nmax 12\noom 3\noom_kill 3\noom_group_kill 0\n",
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let (proc, cgroups) = (dir.path().join("proc"), dir.path().join("cgroup"));
            std::fs::create_dir_all(proc.join("7")).unwrap();
            std::fs::create_dir_all(cgroups.join(folder)).unwrap();
            assert_eq!(oom_kills(&proc, &cgroups, 7), None, "there is no such process");
            crate::fs::write_atomically(&proc.join("7/cgroup"), groups.as_bytes(), 0o600).unwrap();
            assert_eq!(oom_kills(&proc, &cgroups, 7), None, "it cannot be seen");
            let counter = cgroups.join(folder).join(file);
            crate::fs::write_atomically(&counter, text.as_bytes(), 0o600).unwrap();
            assert_eq!(oom_kills(&proc, &cgroups, 7), Some(3), "{groups}");
        }
    }

    #[test]
    fn what_is_used_is_the_most_that_it_was_without_the_files_that_are_kept_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let (proc, cgroups) = (dir.path().join("proc"), dir.path().join("cgroup"));
        std::fs::create_dir_all(proc.join("7")).unwrap();
        std::fs::create_dir_all(cgroups.join("a")).unwrap();
        let write = |path: PathBuf, text: &str| {
            crate::fs::write_atomically(&path, text.as_bytes(), 0o600).unwrap();
        };
        write(proc.join("7/cgroup"), "0::/a\n");
        write(cgroups.join("a/memory.stat"), "anon 100\nfile 50\nkernel 3\n");
        assert_eq!(memory_used(&proc, &cgroups, 7), Some(100));
        write(cgroups.join("a/memory.peak"), "400\n");
        assert_eq!(memory_used(&proc, &cgroups, 7), Some(350));
    }

    #[test]
    fn a_process_belongs_to_the_container_that_its_control_group_names() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("7")).unwrap();
        let id = "4e9d".repeat(16);
        let group = format!("0::/system.slice/docker-{id}.scope\n");
        crate::fs::write_atomically(&dir.path().join("7/cgroup"), group.as_bytes(), 0o600).unwrap();
        assert!(contains(dir.path(), 7, &id));
        assert!(
            !contains(dir.path(), 7, &"0".repeat(64))
                && !contains(dir.path(), 7, "")
                && !contains(dir.path(), 8, &id)
        );
    }
}
