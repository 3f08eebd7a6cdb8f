//! Labs come up side by side, and go down without a trace, however they end.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use lab::names::REPOSITORY;
use lab::{ImageSpec, Lab, wait_until};

use crate::support::{SOON, answer, assert_apart, assert_gone, processes_of, run};

/// Set in the process that is to be killed.
const VICTIM: &str = "LAB_TEST_VICTIM";

#[test]
fn up_and_down_leave_nothing_behind() {
    let lab = Lab::up().unwrap();
    let folder = lab.dir().to_owned();
    let instance = lab.instance("web-1").unwrap();
    lab.registry().push_image(REPOSITORY, "1", &ImageSpec::new("1")).unwrap();
    run(&instance, "web", "1", &[]);
    answer(&lab, &instance, "/");
    assert!(!Lab::control_groups(&folder).is_empty(), "the container has its control groups");
    let namespaces = assert_apart(&folder);
    assert!(namespaces.iter().filter(|one| one.starts_with("net:")).count() >= 3, "VPC, instance, container");
    drop((instance, lab));
    assert_gone(&folder);
    let children = format!("/proc/self/task/{}/children", std::process::id());
    assert_eq!(fs::read_to_string(children).unwrap(), "", "all children have been waited for");
}

#[test]
fn two_labs_side_by_side() {
    let (one, two) = (Lab::up().unwrap(), Lab::up().unwrap());
    for (lab, release) in [(&one, "1"), (&two, "2")] {
        lab.registry().push_image(REPOSITORY, "latest", &ImageSpec::new(release)).unwrap();
        run(&lab.instance("web-1").unwrap(), "web", "latest", &[]);
    }
    for (lab, release) in [(&one, "1"), (&two, "2")] {
        assert_eq!(answer(lab, &lab.instance("web-1").unwrap(), "/")["release"], release);
    }
    let folder = one.dir().to_owned();
    one.down().unwrap();
    assert_gone(&folder);
    let instance = two.instance("web-1").unwrap();
    assert_eq!(answer(&two, &instance, "/")["release"], "2", "the other lab lives on");
    assert_ne!(instance.metadata().unwrap().instance_id, "i-fake");
}

#[test]
fn two_instances_see_each_other() {
    let lab = Lab::up().unwrap();
    lab.registry().push_image(REPOSITORY, "1", &ImageSpec::new("1")).unwrap();
    let (one, two) = (lab.instance("web-1").unwrap(), lab.instance("web-2").unwrap());
    assert_eq!(
        (one.ip().to_string(), two.ip().to_string()),
        ("10.66.0.11".to_owned(), "10.66.0.12".to_owned())
    );
    let (one_says, two_says) = (one.metadata().unwrap(), two.metadata().unwrap());
    assert_ne!(one_says.instance_id, two_says.instance_id);
    assert_ne!(one_says.availability_zone, two_says.availability_zone);
    run(&one, "web", "1", &[]);
    answer(&lab, &one, "/");
    let reach = format!("exec 3<>/dev/tcp/{}/8000", one.ip());
    assert!(two.command("bash").args(["-c", &reach]).status().unwrap().success());
}

/// Whoever is in the VPC keeps the router's and the services' MAC in its neighbour table.
#[test]
fn the_network_stays_the_same_while_instances_come_and_go() {
    let lab = Lab::up().unwrap();
    let mac = || {
        let done = lab.command("ip").unwrap().args(["-brief", "link", "show", "br0"]).output().unwrap();
        String::from_utf8(done.stdout).unwrap().split_whitespace().nth(2).unwrap().to_owned()
    };
    let first = mac();
    let (one, _two) = (lab.instance("web-1").unwrap(), lab.instance("web-2").unwrap());
    assert_eq!(mac(), first, "instances are there");
    one.cut().unwrap();
    assert_eq!(mac(), first, "one is gone");
    one.boot().unwrap();
    assert_eq!(mac(), first, "it is back");
}

#[test]
fn a_killed_test_process_leaves_nothing_behind() {
    let mut victim = Command::new(env::current_exe().unwrap())
        .args(["--exact", "lifecycle::victim", "--nocapture"])
        .env(VICTIM, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let folder = lines.find_map(|line| line.strip_prefix("folder ").map(PathBuf::from)).unwrap();
    assert!(processes_of(&folder).len() > 5);
    victim.kill().unwrap();
    victim.wait().unwrap();
    wait_until("the janitor is done", SOON, || Ok(processes_of(&folder).is_empty())).unwrap();
    assert_gone(&folder);
}

/// Raises a lab and waits to be killed; does nothing unless the test above runs it.
#[test]
fn victim() {
    if env::var_os(VICTIM).is_none() {
        return;
    }
    let lab = Lab::up().unwrap();
    let instance = lab.instance("web-1").unwrap();
    lab.registry().push_image(REPOSITORY, "1", &ImageSpec::new("1")).unwrap();
    run(&instance, "web", "1", &[]);
    println!("folder {}", lab.dir().display());
    std::io::stdin().lines().for_each(drop);
}

#[test]
fn a_lab_of_the_command_line_outlives_it() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().canonicalize().unwrap();
    let lab = |words: &[&str]| {
        let (action, rest) = words.split_first().unwrap();
        let done =
            Command::new(env!("CARGO_BIN_EXE_lab")).arg(action).arg(&folder).args(rest).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    lab(&["up"]);
    assert_eq!(lab(&["host", "web-1"]), "10.66.0.11");
    assert!(lab(&["push", "good", "1"]).starts_with("sha256:"));
    assert_eq!(lab(&["exec", "web-1", "hostname"]), "web-1");
    assert!(lab(&["exec", "vpc", "getent", "hosts", "db.internal"]).starts_with("10.66.0.4"));
    lab(&["cut", "web-1"]);
    assert!(!Lab::attach(&folder).unwrap().instance("web-1").unwrap().is_running());
    lab(&["boot", "web-1"]);
    lab(&["down"]);
    assert_gone(&folder);
}
