//! ECR's registry, as an instance's Docker Engine meets it.

use lab::names::{ECR_HOST, REPOSITORY, REPOSITORY_URL};
use lab::{Fault, ImageSpec, Lab, registry_authorization};
use serde_json::json;

#[test]
fn pull_with_the_token_of_ecr_and_not_without() {
    let lab = Lab::up().unwrap();
    let digest = lab.registry().push_image(REPOSITORY, "1", &ImageSpec::new("1")).unwrap();
    let instance = lab.instance("web-1").unwrap();
    let docker = instance.docker().unwrap();
    let image = format!("{REPOSITORY_URL}@{digest}");
    let refused = docker.pull(&image, None).unwrap_err().to_string();
    assert!(refused.contains("no basic auth credentials"), "{refused}");

    let token = lab.aws().unwrap().ecr("GetAuthorizationToken", &json!({})).unwrap();
    let token = &token["authorizationData"][0];
    assert_eq!(token["proxyEndpoint"], format!("https://{ECR_HOST}"));
    assert_eq!(token["authorizationToken"], "QVdTOjEyMzQ1Njc4OTAxMi1hdXRoLXRva2Vu");
    docker.pull(&image, Some(&registry_authorization())).unwrap();
    assert_eq!(docker.images().unwrap()[0]["RepoDigests"][0], image.as_str());
}

#[test]
fn tags_move_and_go() {
    let lab = Lab::up().unwrap();
    let registry = lab.registry();
    let one = registry.push_image(REPOSITORY, "latest", &ImageSpec::new("1")).unwrap();
    assert_eq!(
        registry.push_image(REPOSITORY, "latest", &ImageSpec::new("1")).unwrap(),
        one,
        "the same again"
    );
    let two = registry.push_image(REPOSITORY, "latest", &ImageSpec::new("2")).unwrap();
    assert_ne!(one, two);
    assert_eq!(registry.digest_of(REPOSITORY, "latest").unwrap(), Some(two.clone()));
    registry.delete_tag(REPOSITORY, "latest").unwrap();
    assert_eq!(registry.digest_of(REPOSITORY, "latest").unwrap(), None);
    assert_eq!(registry.digest_of(REPOSITORY, &two).unwrap(), Some(two.clone()));
    registry.delete_manifest(REPOSITORY, &two).unwrap();
    assert_eq!(registry.digest_of(REPOSITORY, &two).unwrap(), None);
    assert_eq!(registry.digest_of(REPOSITORY, &one).unwrap(), Some(one));
}

#[test]
fn a_registry_that_is_down_and_comes_back() {
    let lab = Lab::up().unwrap();
    let registry = lab.registry();
    let instance = lab.instance("web-1").unwrap();
    registry.stop().unwrap();
    assert!(!registry.runs().unwrap());
    registry.push_image(REPOSITORY, "1", &ImageSpec::new("1")).unwrap();
    let image = format!("{REPOSITORY_URL}:1");
    let docker = instance.docker().unwrap();
    let refused = docker.pull(&image, Some(&registry_authorization())).unwrap_err().to_string();
    assert!(refused.contains("refused"), "{refused}");
    registry.start().unwrap();
    docker.pull(&image, Some(&registry_authorization())).unwrap();
}

#[test]
fn an_index_gives_each_platform_its_own() {
    let lab = Lab::up().unwrap();
    let here = ImageSpec::new("1");
    let mut there = ImageSpec::new("1");
    there.architecture = if here.architecture == "amd64" { "arm64" } else { "amd64" }.to_owned();
    there.ballast_mb = 1;
    let digest = lab.registry().push_index(REPOSITORY, "1", &[there, here]).unwrap();
    let instance = lab.instance("web-1").unwrap();
    let docker = instance.docker().unwrap();
    let image = format!("{REPOSITORY_URL}@{digest}");
    docker.pull(&image, Some(&registry_authorization())).unwrap();
    let found = docker.get(&format!("/images/{image}/json")).unwrap();
    assert_eq!(found["Architecture"], ImageSpec::new("").architecture);
}

#[test]
fn ballast_is_as_large_as_it_says() {
    let lab = Lab::up().unwrap();
    let mut spec = ImageSpec::new("1");
    spec.ballast_mb = 8;
    lab.registry().push_image(REPOSITORY, "1", &spec).unwrap();
    let instance = lab.instance("web-1").unwrap();
    let docker = instance.docker().unwrap();
    docker.pull(&format!("{REPOSITORY_URL}:1"), Some(&registry_authorization())).unwrap();
    assert!(docker.images().unwrap()[0]["Size"].as_u64().unwrap() > 8 << 20);
    // What is done through the lab's own handle is no call of anybody's.
    lab.aws().unwrap().set_faults([("GetAuthorizationToken", Fault::error(500, "ServerException"))]).unwrap();
    lab.aws().unwrap().ecr("GetAuthorizationToken", &json!({})).unwrap();
    assert!(lab.aws().unwrap().calls().unwrap().is_empty());
}
