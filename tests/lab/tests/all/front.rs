//! The faults of the registry, as an instance's Docker Engine meets them.

use lab::names::{REPOSITORY, REPOSITORY_URL};
use lab::{ImageSpec, Instance, Lab, Registry, RegistryFault, registry_authorization, wait_until};

use crate::support::SOON;

/// A lab with an image of a layer that is nobody else's, and an Engine that tries each layer once.
fn lab() -> (Lab, Instance) {
    let lab = Lab::up().unwrap();
    let mut spec = ImageSpec::new("1");
    spec.ballast_mb = 1;
    lab.registry().push_image(REPOSITORY, "1", &spec).unwrap();
    let instance = lab.instance("web-1").unwrap();
    std::fs::write(instance.path("/etc/docker/daemon.json"), r#"{ "max-download-attempts": 1 }"#).unwrap();
    instance.restart_docker().unwrap();
    (lab, instance)
}

fn pull(instance: &Instance) -> Result<(), String> {
    let image = format!("{REPOSITORY_URL}:1");
    instance
        .docker()
        .unwrap()
        .pull(&image, Some(&registry_authorization()))
        .map_err(|error| error.to_string())
}

fn asked(registry: &Registry, path: &str) -> usize {
    registry.requests().unwrap().iter().filter(|request| request.path.contains(path)).count()
}

#[test]
fn errors_of_every_kind_and_for_so_many_requests() {
    let (lab, instance) = lab();
    let registry = lab.registry();
    let at_manifests =
        |status, code| RegistryFault::error(RegistryFault::MANIFESTS, status, code, "as the lab was told");
    for (status, code, says) in [
        (401, "UNAUTHORIZED", "as the lab was told"),
        (403, "DENIED", "denied"),
        (404, "MANIFEST_UNKNOWN", "manifest unknown"),
        (429, "TOOMANYREQUESTS", "toomanyrequests"),
        (500, "UNKNOWN", "500 Internal Server Error"),
    ] {
        registry.set_faults(&[at_manifests(status, code)]).unwrap();
        let refused = pull(&instance).unwrap_err();
        assert!(refused.contains(says), "{status}: {refused}");
    }
    // Once: not the first request and not the third.
    registry.set_faults(&[at_manifests(500, "UNKNOWN").method("HEAD").after(1).times(1)]).unwrap();
    registry.reset_requests().unwrap();
    let head = |_| {
        let path = format!("/v2/{REPOSITORY}/manifests/1");
        let script = format!(
            "curl -s -o /dev/null -w '%{{http_code}}' -I -u AWS:123456789012-auth-token \
             -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' https://{}{path}",
            lab::names::ECR_HOST
        );
        let done = instance.command("sh").args(["-c", &script]).output().unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    assert_eq!([0, 1, 2].map(head), ["200", "500", "200"]);
    let requests = registry.requests().unwrap();
    assert_eq!(requests.iter().map(|request| request.fault).collect::<Vec<_>>(), [false, true, false]);
    assert!(requests.iter().all(|request| request.method == "HEAD" && request.client == "10.66.0.11"));

    registry.clear_faults().unwrap();
    pull(&instance).unwrap();
}

#[test]
fn content_that_is_cut_changed_or_dropped() {
    let (lab, instance) = lab();
    let registry = lab.registry();
    for (fault, says) in [
        (RegistryFault::cut(RegistryFault::BLOBS), "EOF"),
        (RegistryFault::flip(RegistryFault::BLOBS), "verification failed"),
        (RegistryFault::reset(RegistryFault::MANIFESTS), "EOF"),
    ] {
        registry.set_faults(std::slice::from_ref(&fault)).unwrap();
        let refused = pull(&instance).unwrap_err();
        assert!(refused.contains(says), "{fault:?}: {refused}");
    }
    registry.clear_faults().unwrap();
    pull(&instance).unwrap();
}

#[test]
fn answers_that_wait_for_us() {
    let (lab, instance) = lab();
    let registry = lab.registry();
    let during = |fault: RegistryFault, path: &str| {
        registry.reset_requests().unwrap();
        registry.set_faults(&[fault]).unwrap();
        std::thread::scope(|scope| {
            let pulling = scope.spawn(|| pull(&instance));
            wait_until("it is asked for", SOON, || Ok(asked(&registry, path) > 0)).unwrap();
            assert!(!pulling.is_finished());
            registry.clear_faults().unwrap();
            pulling.join().unwrap()
        })
    };
    let hung = during(RegistryFault::hang(RegistryFault::MANIFESTS), "/manifests/1").unwrap_err();
    assert!(hung.contains("EOF"), "{hung}");
    during(RegistryFault::hold(RegistryFault::MANIFESTS), "/manifests/1").unwrap();
    // The connection ends half-way: Docker asks for the rest.
    let mut spec = ImageSpec::new("1");
    spec.ballast_mb = 2;
    registry.push_image(REPOSITORY, "1", &spec).unwrap();
    during(RegistryFault::stall(RegistryFault::BLOBS), RegistryFault::BLOBS).unwrap();
}
