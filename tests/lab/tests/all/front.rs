//! The faults of the registry, as an instance's Docker Engine meets them.

use lab::names::{OTHER_REGISTRY_HOST, REPOSITORY, REPOSITORY_URL};
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
    // Faster than a restart of the Engine, which waits a second for its containerd.
    instance.cut().unwrap();
    instance.boot().unwrap();
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

/// Docker says how long a manifest is, but not a layer: it comes in chunks.
#[test]
fn what_docker_pushes_arrives() {
    let (lab, instance) = lab();
    let docker = instance.docker().unwrap();
    pull(&instance).unwrap();
    // Under another host: in the same one its layers would only be linked.
    let copy = format!("{OTHER_REGISTRY_HOST}/copy");
    let tag = format!("/images/{REPOSITORY_URL}:1/tag?repo={copy}&tag=1");
    docker.post(&tag, &serde_json::Value::Null).unwrap();
    docker.push(&copy, "1", Some(&registry_authorization())).unwrap();
    assert!(lab.registry().digest_of("copy", "1").unwrap().is_some());
    let patches = lab.registry().requests().unwrap();
    assert!(patches.iter().any(|request| request.method == "PATCH"), "{patches:?}");
}

/// In chunks through the front and back, of which the front never has more than a piece.
#[test]
fn a_large_layer_goes_both_ways() {
    let lab = Lab::up().unwrap();
    let instance = lab.instance("web-1").unwrap();
    let script = r#"
        set -e
        layer() { head -c 256M /dev/zero; }
        ask() { curl -sS --fail-with-body -u AWS:123456789012-auth-token "$@"; }
        place() { ask -D - -o /dev/null "$@" | tr -d '\r' | sed -n "s,^[Ll]ocation: ,$url,p"; }
        upload=$(place -X POST "$url/v2/status-page/blobs/uploads/")
        upload=$(layer | place -X PATCH -H 'Transfer-Encoding: chunked' -T - "$upload")
        ask -X PUT "$upload&digest=$digest"
        echo "sha256:$(ask "$url/v2/status-page/blobs/$digest" | sha256sum | cut -d' ' -f1)"
    "#;
    let mut command = instance.command("bash");
    let url = format!("https://{}", lab::names::ECR_HOST);
    // 256 MiB of zeros.
    let digest = "sha256:a6d72ac7690f53be6ae46ba88506bd97302a093f7108472bd9efc3cefda06484";
    let done = command.env("url", url).env("digest", digest).args(["-c", script]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    assert_eq!(String::from_utf8(done.stdout).unwrap().trim(), digest);
    let status = "cat /proc/$(pgrep -o -f registry_front.py)/status";
    let status = lab.command("sh").unwrap().args(["-c", status]).output().unwrap();
    let status = String::from_utf8(status.stdout).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or(&status);
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 100 << 10, "the front had {peak} KiB");
}
