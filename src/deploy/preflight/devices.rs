//! Devices: Docker takes one that is not there, and fails when it starts the container. By then live is stopped.

use std::path::Path;

use super::Found;
use crate::config::Settings;

/// What the Engine runs to give a container GPUs; it looks for it where root's programs are.
const GPU_HOOK: &str = "nvidia-container-runtime-hook";
const PROGRAMS: &[&str] = &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// `exists` says whether there is something at a path of the host.
pub(super) fn check(settings: &Settings, exists: impl Fn(&Path) -> bool, found: &mut Found) {
    for (name, process) in &settings.processes {
        for device in
            process.workload.options.devices.iter().filter(|device| !exists(Path::new(&device.host)))
        {
            found.finding(
                format!("[process.{name}] devices: there is no '{}' on this host", device.host),
                "load the driver that makes it, or remove it from 'devices'",
            );
        }
        let has_hook = || PROGRAMS.iter().any(|folder| exists(&Path::new(folder).join(GPU_HOOK)));
        if process.workload.options.gpus.is_some() && !has_hook() {
            // Newer Engines can find GPUs without it (CDI).
            found.note(format!(
                "[process.{name}] gpus: {GPU_HOOK} is not on this host; without NVIDIA's container toolkit the container does not start"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;

    fn found(options: &str, there: &[&str]) -> Found {
        let mut found = Found::default();
        check(&settings(options), |path| there.iter().any(|other| Path::new(other) == path), &mut found);
        found
    }

    #[test]
    fn a_device_that_is_not_there_is_a_finding() {
        let options = "devices = [\"/dev/fuse\", \"/dev/kvm:r\"]";
        assert_eq!(found(options, &["/dev/fuse", "/dev/kvm"]), Found::default());
        let missing = found(options, &["/dev/fuse"]).findings;
        assert!(missing.len() == 1 && missing[0].what.contains("'/dev/kvm'"), "{missing:?}");
    }

    #[test]
    fn gpus_without_the_toolkit_are_a_note() {
        let options = "gpus = \"all\"";
        assert_eq!(found(options, &["/usr/bin/nvidia-container-runtime-hook"]), Found::default());
        let without = found(options, &[]);
        assert!(without.findings.is_empty() && without.notes[0].contains("NVIDIA"), "{without:?}");
    }
}
