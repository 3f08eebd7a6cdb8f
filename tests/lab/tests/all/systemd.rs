//! A real systemd boots on an instance, loses power, boots again, and goes without a trace.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use lab::names::REPOSITORY;
use lab::{ImageSpec, Lab, SystemdInstance, wait_until};

use crate::support::{SOON, answer, assert_gone, processes_of, run};

/// Set in the process that is to be killed.
const VICTIM: &str = "LAB_TEST_SYSTEMD_VICTIM";

/// What the machine itself knows of machines and their locks, and its own settings that a systemd changes at a boot.
fn machine() -> Vec<String> {
    let names = |folder: &str| -> Vec<String> {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| format!("{entry:?}")).collect()
    };
    let mut known: Vec<_> = ["/run/systemd/machines", "/run/systemd/nspawn", "/sys/class/net"]
        .into_iter()
        .flat_map(names)
        .collect();
    known.sort();
    known.extend(
        ["pid_max", "core_pattern"]
            .map(|name| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap()),
    );
    known
}

#[test]
fn it_boots_is_cut_boots_again_and_leaves_nothing_behind() {
    let before = machine();
    let lab = Lab::up().unwrap();
    let folder = lab.dir().to_owned();
    let instance = lab.instance("web-1").unwrap();
    let mut systemd = SystemdInstance::boot(&instance).unwrap();
    assert_eq!(systemd.run(&["cat", "/proc/1/comm"]).unwrap(), "systemd");
    assert_eq!(systemd.run(&["hostname"]).unwrap(), "web-1");
    assert_eq!(systemd.property("docker.service", "ActiveState").unwrap(), "active");
    assert!(systemd.run(&["getent", "hosts", "db.internal"]).unwrap().starts_with("10.66.0.4"));
    lab.registry().push_image(REPOSITORY, "1", &ImageSpec::new("1")).unwrap();
    run(&instance, "web", "1", &[]);
    assert_eq!(answer(&lab, &instance, "/")["release"], "1");
    let boot = systemd.run(&["cat", "/proc/sys/kernel/random/boot_id"]).unwrap();
    systemd.run(&["sh", "-c", "echo kept >/var/lib/kept; echo lost >/run/lost"]).unwrap();

    systemd.cut().unwrap();
    assert!(systemd.run(&["true"]).is_err());
    systemd.boot_again().unwrap();
    assert_eq!(answer(&lab, &instance, "/")["release"], "1");
    assert_ne!(systemd.run(&["cat", "/proc/sys/kernel/random/boot_id"]).unwrap(), boot);
    assert_eq!(systemd.run(&["cat", "/var/lib/kept"]).unwrap(), "kept");
    assert!(systemd.run(&["cat", "/run/lost"]).is_err());

    drop((systemd, instance, lab));
    assert_gone(&folder);
    assert_eq!(machine(), before);
    let children = format!("/proc/self/task/{}/children", std::process::id());
    assert_eq!(fs::read_to_string(children).unwrap(), "", "all children have been waited for");
}

#[test]
fn a_unit_that_fails_at_a_boot_is_told() {
    let lab = Lab::up().unwrap();
    let mut systemd = SystemdInstance::boot(&lab.instance("web-1").unwrap()).unwrap();
    let unit = "[Service]\nType=oneshot\nExecStart=/bin/false\n[Install]\nWantedBy=multi-user.target\n";
    fs::write(systemd.path("/etc/systemd/system/broken.service").unwrap(), unit).unwrap();
    systemd.run(&["systemctl", "enable", "broken.service"]).unwrap();
    systemd.cut().unwrap();
    let error = systemd.boot_again().unwrap_err().to_string();
    assert!(error.starts_with("systemd is degraded") && error.contains("broken.service"), "{error}");
}

#[test]
fn a_killed_test_process_takes_it_along() {
    let before = machine();
    let mut victim = Command::new(env::current_exe().unwrap())
        .args(["--exact", "systemd::victim", "--nocapture"])
        .env(VICTIM, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let folder = lines.find_map(|line| line.strip_prefix("folder ").map(PathBuf::from)).unwrap();
    assert!(processes_of(&folder).iter().any(|process| process.contains("systemd-nspawn")));
    victim.kill().unwrap();
    victim.wait().unwrap();
    wait_until("the janitor is done", SOON, || Ok(processes_of(&folder).is_empty())).unwrap();
    assert_gone(&folder);
    assert_eq!(machine(), before);
}

/// Boots and waits to be killed; does nothing unless the test above runs it.
#[test]
fn victim() {
    if env::var_os(VICTIM).is_none() {
        return;
    }
    let lab = Lab::up().unwrap();
    let instance = lab.instance("web-1").unwrap();
    let systemd = SystemdInstance::boot(&instance).unwrap();
    println!("folder {}", lab.dir().display());
    std::io::stdin().lines().for_each(drop);
    drop(systemd);
}
