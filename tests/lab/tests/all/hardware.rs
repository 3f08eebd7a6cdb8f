//! Instances with a small disk, and Docker Engines that come late.

use lab::names::{REPOSITORY, REPOSITORY_URL};
use lab::{Hardware, ImageSpec, Lab, registry_authorization};

use crate::support::{answer, run};

#[test]
fn a_small_disk_is_full_until_it_is_grown() {
    let lab = Lab::up().unwrap();
    let mut spec = ImageSpec::new("1");
    spec.ballast_mb = 24;
    lab.registry().push_image(REPOSITORY, "1", &spec).unwrap();
    let instance = lab.new_instance("web-1", &Hardware { docker_disk: Some(32) }).unwrap();
    assert!(lab.new_instance("web-1", &Hardware::default()).is_err(), "there is one of that name");
    let docker = instance.docker().unwrap();
    let pull = || docker.pull(&format!("{REPOSITORY_URL}:1"), Some(&registry_authorization()));
    let full = pull().unwrap_err().to_string();
    assert!(full.contains("no space left on device"), "{full}");
    instance.resize_docker_disk(128).unwrap();
    pull().unwrap();
}

#[test]
fn a_docker_engine_that_comes_late_brings_its_containers() {
    let lab = Lab::up().unwrap();
    lab.registry().push_image(REPOSITORY, "1", &ImageSpec::new("1")).unwrap();
    let instance = lab.instance("web-1").unwrap();
    run(&instance, "web", "1", &[]);
    instance.cut().unwrap();
    instance.boot_without_docker().unwrap();
    assert!(!instance.docker_runs().unwrap());
    assert!(!instance.path("/run/docker.sock").exists());
    assert!(lab.http_get(&format!("http://{}:8000/", instance.ip())).is_err());
    instance.start_docker().unwrap();
    answer(&lab, &instance, "/");
}
