//! What bollard puts on the wire, and how versions are negotiated.

use std::collections::HashMap;

use crate::common::{REPOSITORY, bench, body, client, create, image, pull, refusal, run, stocked};
use bollard::{
    models::{ContainerCreateBody, RestartPolicyNameEnum as Policy},
    query_parameters::{ListContainersOptionsBuilder, RemoveImageOptions},
};
use fake_docker::{FakeDocker, Image};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

/// One raw call: status line and body.
async fn raw(engine: &FakeDocker, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(engine.socket()).await.unwrap();
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: {length}");
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text.split_once("\r\n\r\n").unwrap().1.trim().to_owned())
}

/// bollard joins an absolute path to the address, which throws the version prefix away: no call carries one, negotiated
/// or not, and the Engine takes each for its own newest version.
#[tokio::test]
async fn bollard_sends_no_version_prefix() {
    let bench = stocked(image()).await;
    let negotiated = client(&bench.engine).negotiate_version().await.unwrap();
    let version = negotiated.client_version();
    assert_eq!((version.major_version, version.minor_version), (1, 41));
    run(&negotiated, "web", Policy::NO, None).await;
    run(&bench.docker, "two", Policy::NO, None).await;
    let paths: Vec<_> = bench.engine.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(
        paths,
        [
            "/images/create",
            "/version",
            "/containers/create",
            "/containers/web/start",
            "/containers/create",
            "/containers/two/start",
        ]
    );
}

#[tokio::test]
async fn a_version_outside_the_range_is_refused() {
    let bench = bench().await;
    assert_eq!(raw(&bench.engine, "GET", "/v1.41/containers/json", "").await, (200, "[]".to_owned()));
    assert_eq!(
        raw(&bench.engine, "GET", "/v1.42/containers/json", "").await,
        (
            400,
            r#"{"message":"client version 1.42 is too new. Maximum supported API version is 1.41"}"#
                .to_owned()
        )
    );
    bench.engine.api_versions((1, 44), (1, 52));
    let (status, text) = raw(&bench.engine, "GET", "/v1.41/containers/json", "").await;
    assert_eq!(status, 400);
    assert!(text.contains("client version 1.41 is too old. Minimum supported API version is 1.44"), "{text}");
    let version = bench.docker.version().await.unwrap();
    assert_eq!(
        (version.api_version.as_deref(), version.min_api_version.as_deref()),
        (Some("1.52"), Some("1.44"))
    );
}

#[tokio::test]
async fn unknown_parameters_and_fields_are_refused() {
    let bench = stocked(image()).await;
    let name = format!("{REPOSITORY}:latest");
    let cases = [
        ("GET", "/containers/json?al=1", String::new(), 400, "fake: unknown query parameter al=1"),
        (
            "GET",
            "/containers/json?filters={%22nope%22:[%22x%22]}",
            String::new(),
            400,
            "Invalid filter 'nope'",
        ),
        ("GET", "/swarm", String::new(), 501, "fake: not implemented: GET /swarm"),
        (
            "POST",
            "/containers/create?name=aa",
            r#"{"Image":5}"#.to_owned(),
            500,
            "json: cannot unmarshal number into Go struct field ContainerConfigWrapper.Image of type string",
        ),
        (
            "POST",
            "/containers/create?name=aa",
            format!(r#"{{"Image":"{name}","Imge":"x"}}"#),
            400,
            "fake: unknown field ContainerConfigWrapper.Imge",
        ),
        (
            "POST",
            "/containers/create?name=aa",
            format!(r#"{{"Image":"{name}","HostConfig":{{"RestartPolicy":{{"Name":"sometimes"}}}}}}"#),
            400,
            "invalid restart policy 'sometimes'",
        ),
        (
            "POST",
            "/containers/create?name=aa",
            format!(r#"{{"Image":"{name}","HostConfig":{{"Memory":5}}}}"#),
            400,
            "Minimum memory limit allowed is 6MB",
        ),
        (
            "POST",
            "/containers/create?name=aa",
            format!(
                r#"{{"Image":"{name}","HostConfig":{{"Mounts":[{{"Type":"bind","Source":"/nope","Target":"/x"}}]}}}}"#
            ),
            400,
            "invalid mount config for type \"bind\": bind source path does not exist: /nope",
        ),
        ("POST", "/containers/create?name=aa", String::new(), 500, "EOF"),
    ];
    for (method, path, body, status, message) in cases {
        let (got, text) = raw(&bench.engine, method, path, &body).await;
        let value: HashMap<String, String> = serde_json::from_str(&text).unwrap();
        assert_eq!((got, value["message"].as_str()), (status, message), "{method} {path} {body}");
    }
}

#[tokio::test]
async fn lists_are_filtered() {
    let bench = stocked(image()).await;
    for name in ["web", "worker"] {
        let labels = HashMap::from([("handover.process".to_owned(), name.to_owned())]);
        let labelled = ContainerCreateBody { labels: Some(labels), ..body(Policy::NO, None) };
        create(&bench.docker, name, labelled).await.unwrap();
    }
    crate::common::start(&bench.docker, "web").await.unwrap();
    let list = async |all: bool, key: &str, value: &str| -> Vec<String> {
        let filters = HashMap::from([(key.to_owned(), vec![value.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(all).filters(&filters).build();
        let found = bench.docker.list_containers(Some(options)).await.unwrap();
        found.into_iter().flat_map(|one| one.names.unwrap()).collect()
    };
    assert_eq!(list(true, "label", "handover.process").await, ["/worker", "/web"]);
    assert_eq!(list(false, "label", "handover.process").await, ["/web"]);
    assert_eq!(list(true, "label", "handover.process=worker").await, ["/worker"]);
    assert_eq!(list(true, "name", "^/web$").await, ["/web"]);
    assert_eq!(list(false, "status", "created").await, ["/worker"]);
    bench.engine.assert_no_complaints();
}

#[tokio::test]
async fn images_are_pulled_moved_and_removed() {
    let bench = stocked(image()).await;
    let (one, two) = (Image::digest_of("one"), Image::digest_of("two"));
    let tag = format!("{REPOSITORY}:latest");
    let inspect = bench.docker.inspect_image(&tag).await.unwrap();
    assert_eq!(inspect.repo_digests, Some(vec![format!("{REPOSITORY}@{one}")]));
    run(&bench.docker, "web", Policy::NO, None).await;

    bench.engine.add_image(Image::new(REPOSITORY, "latest", &two));
    pull(&bench.docker, None).await.unwrap();
    assert_ne!(bench.docker.inspect_image(&tag).await.unwrap().id, inspect.id);
    let pinned = format!("{REPOSITORY}@{one}");
    assert_eq!(bench.docker.inspect_image(&pinned).await.unwrap().id, inspect.id);
    let gone = bench.docker.remove_image(&pinned, None::<RemoveImageOptions>, None).await;
    let (status, message) = refusal(gone);
    assert_eq!(status, 409);
    assert!(message.contains("is using its referenced image"), "{message}");
    bench.docker.remove_image(&tag, None::<RemoveImageOptions>, None).await.unwrap();
    assert_eq!(bench.engine.images(), [pinned]);

    bench.engine.retag(REPOSITORY, "latest", &one);
    let described = bench.docker.inspect_registry_image(&tag, None).await.unwrap();
    assert_eq!(described.descriptor.digest, Some(one));

    bench.engine.add_image(Image {
        pull_fails: Some("toomanyrequests: slow down".to_owned()),
        ..Image::new(REPOSITORY, "latest", &Image::digest_of("three"))
    });
    let failed = pull(&bench.docker, None).await.unwrap_err();
    assert!(failed.to_string().contains("slow down"), "{failed}");
    bench.engine.registry_down(Some("dial tcp 10.0.0.1:443: connect: connection refused"));
    assert_eq!(refusal(pull(&bench.docker, None).await).0, 500);
    bench.engine.assert_no_complaints();
}
