//! Instances: what they are, what they lose in a power cut, and what they keep.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use lab::names::REPOSITORY;
use lab::{ImageSpec, Lab, wait_until};

use crate::support::{SOON, answer, run, state};

#[test]
fn a_cut_and_a_boot_bring_containers_back() {
    let lab = Lab::up().unwrap();
    lab.registry().push_image(REPOSITORY, "1", &ImageSpec::new("1")).unwrap();
    let instance = lab.instance("web-1").unwrap();
    let id = run(&instance, "web", "1", &[]);
    answer(&lab, &instance, "/");
    for _ in 0..2 {
        instance.cut().unwrap();
        assert!(!instance.is_running());
        assert!(lab.http_get(&format!("http://{}:8000/", instance.ip())).is_err());
        let since = Instant::now();
        instance.boot().unwrap();
        answer(&lab, &instance, "/");
        println!("answers {:?} after the power came back", since.elapsed());
        let found = instance.docker().unwrap().inspect("web").unwrap().unwrap();
        assert_eq!(found["Id"], id);
    }
}

#[test]
fn folders_persist_and_the_rest_is_gone() {
    let lab = Lab::up().unwrap();
    let instance = lab.instance("web-1").unwrap();
    let kept = ["/var/lib/handover", "/var/log/handover", "/etc/docker", "/opt/codedeploy-agent", "/tmp"];
    let write = |path: &str| {
        let done =
            instance.command("sh").args(["-c", &format!("echo written >{path}/mark")]).status().unwrap();
        assert!(done.success(), "{path}");
    };
    for path in kept {
        write(path);
    }
    // These are layers in memory over the machine's own: the machine sees nothing of it.
    for path in ["/etc", "/var/lib", "/run"] {
        write(path);
    }
    assert!(!std::path::Path::new("/etc/mark").exists());
    for path in kept {
        assert_eq!(fs::read_to_string(instance.path(path).join("mark")).unwrap(), "written\n");
    }
    assert!(instance.path("/run/mark").exists());
    instance.cut().unwrap();
    assert_eq!(fs::read_to_string(instance.path("/var/lib/handover/mark")).unwrap(), "written\n");
    fs::write(instance.path("/usr/local/bin/hello"), "#!/bin/sh\necho \"hello from $(hostname)\"\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(instance.path("/usr/local/bin/hello"), mode).unwrap();
    instance.boot().unwrap();
    let kept = kept.map(|path| format!("{path}/mark")).join(" ");
    let check = format!("cat {kept} && ! ls /etc/mark && ! ls /var/lib/mark && ! ls /run/mark && hello");
    let done = instance.command("sh").args(["-c", &check]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stdout).ends_with("hello from web-1\n"));
}

#[test]
fn commands_get_a_bare_environment_and_the_exit_code_comes_back() {
    let lab = Lab::up().unwrap();
    let instance = lab.instance("web-1").unwrap();
    let done = instance.command("env").output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.lines().all(|line| line.starts_with("PATH=")), "{text}");
    let done = instance.command("sh").args(["-c", "pwd; exit 7"]).output().unwrap();
    assert_eq!((done.status.code(), done.stdout.as_slice()), (Some(7), b"/\n".as_slice()));
    // The name service, and no way out.
    let hosts = ["db.internal", "cache.internal", "secretsmanager.eu-west-1.amazonaws.com"];
    for host in hosts {
        assert!(instance.command("getent").args(["hosts", host]).status().unwrap().success(), "{host}");
    }
    assert!(!instance.command("getent").args(["hosts", "example.com"]).status().unwrap().success());
}

#[test]
fn a_signal_reaches_the_process_inside() {
    let lab = Lab::up().unwrap();
    let instance = lab.instance("web-1").unwrap();
    let mut child = instance
        .command("bash")
        .args(["-c", "trap 'echo asked; exit 5' TERM; echo ready; while :; do read -t 0.05 <> <(:); done"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    instance.signal(&child, 15).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "asked");
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn the_engine_restarts_on_its_own() {
    let lab = Lab::up().unwrap();
    lab.registry().push_image(REPOSITORY, "1", &ImageSpec::new("1")).unwrap();
    let instance = lab.instance("web-1").unwrap();
    run(&instance, "web", "1", &[]);
    answer(&lab, &instance, "/");
    let before = state(&instance, "web")["StartedAt"].clone();
    let pid = instance.pid().unwrap();
    instance.stop_docker().unwrap();
    assert!(!instance.docker_runs().unwrap());
    assert!(instance.docker().unwrap().get("/version").is_err());
    instance.start_docker().unwrap();
    answer(&lab, &instance, "/");
    assert_ne!(state(&instance, "web")["StartedAt"], before);
    assert_eq!(instance.pid().unwrap(), pid, "the instance itself went on");
    instance.restart_docker().unwrap();
    answer(&lab, &instance, "/");

    // Killed, it leaves its containers alone. What it does with them when it comes back is its own affair (20.10
    // stops them, and does not start them again).
    let process = state(&instance, "web")["Pid"].to_string();
    instance.kill_docker().unwrap();
    assert!(instance.command("kill").args(["-0", &process]).status().unwrap().success());
    instance.start_docker().unwrap();
    assert!(instance.docker_runs().unwrap());
    instance.docker().unwrap().post("/containers/web/start", &serde_json::Value::Null).unwrap();
    answer(&lab, &instance, "/");
}

#[test]
fn a_cut_is_total() {
    let lab = Lab::up().unwrap();
    let instance = lab.instance("web-1").unwrap();
    let mut child = instance.command("sleep").arg("1000").spawn().unwrap();
    wait_until("sleep runs", SOON, || Ok(instance.process_of(&child).is_ok())).unwrap();
    instance.cut().unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(instance.docker().is_err());
    assert!(instance.pid().is_err());
}

#[test]
fn the_power_may_fail_at_any_moment() {
    let lab = Lab::up().unwrap();
    let instance = lab.instance("web-1").unwrap();
    for pause in [0, 20, 100, 250] {
        instance.cut().unwrap();
        std::thread::scope(|scope| {
            let booting = scope.spawn(|| instance.boot());
            wait_until("it has power", SOON, || Ok(instance.is_running())).unwrap();
            // Some way into the boot: there is nothing to wait for, any moment will do.
            std::thread::sleep(Duration::from_millis(pause));
            instance.cut().unwrap();
            // A quick machine may have been done already.
            let _ = booting.join().unwrap();
            assert!(!instance.is_running());
        });
    }
    instance.boot().unwrap();
    assert!(instance.docker().unwrap().get("/version").is_ok());
    std::thread::scope(|scope| {
        let restarting = scope.spawn(|| instance.restart_docker());
        std::thread::sleep(Duration::from_millis(20));
        instance.cut().unwrap();
        let _ = restarting.join().unwrap();
        assert!(!instance.is_running());
    });
    instance.boot().unwrap();
}
